//! What the server and its worker processes say to each other, over a socket.
//!
//! ```text
//! message   length:u32 little-endian | body of that many bytes, postcard
//! ```
//!
//! A worker is told what it is by its first message. Neither side believes the other: a worker may run hostile code after
//! it has read a hostile stream, so that what it says is checked like anything from outside.

use crate::decode;
use crate::encode::{Backend, Codec, Config};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::picture::{Picture, Region};
use crate::slate;
use crate::sound;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::time::Duration;

/// From the server to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// First message: decode this codec.
    Decode {
        /// Its number; see [`code_of`].
        codec: u8,
        /// Threads; 0 leaves it to the decoder.
        threads: u8,
        /// Slots that encoders still read, from a decoder before it.
        busy: Vec<u8>,
        /// Who decodes.
        by: decode::Backend,
    },
    /// First message: encode this.
    Encode(Config, Backend),
    /// First message: say how fast this encodes.
    Measure(Config, Backend),
    /// First message: say how fast this is decoded, and whether as the processor decodes it.
    MeasureDecoder(Codec, decode::Backend),
    /// First message: decode sound, and encode this.
    Sound(sound::Config),
    /// First message: make a JPEG of the first packet, at most so many pixels wide.
    Still {
        /// Its number; see [`code_of`].
        codec: u8,
        /// In pixels.
        width_max: u32,
    },
    /// First message: make an animated WebP of the packets that follow, up to the end.
    Preview {
        /// Its number; see [`code_of`].
        codec: u8,
        /// The longest side, in pixels.
        side_max: u32,
    },
    /// First message: make this slate.
    Slate(slate::Config),
    /// First message: look at keyframes and listen to sound, for what is wrong with them.
    Watch,
    /// To one that watches: the codec of keyframes that follow (see [`code_of`]), with its configuration.
    Pictures(u8, #[serde(with = "serde_bytes")] Vec<u8>),
    /// To one that watches: a keyframe. To a decoder that has decoded nothing yet: one to try, and to show to nobody.
    Look(Coded),
    /// To one of sound: what follows, with its configuration.
    Source(sound::Source, #[serde(with = "serde_bytes")] Vec<u8>),
    /// To a decoder: the configuration of what follows.
    Configure(#[serde(with = "serde_bytes")] Vec<u8>),
    /// To a decoder: a frame.
    Packet(Coded),
    /// To a decoder: a slot may be used again.
    Free(u8),
    /// To a decoder: whether to find what people look at in its pictures.
    Find(bool),
    /// To an encoder: a picture.
    Picture(Picture),
    /// To an encoder: what people look at from the next picture on, in its pixels.
    Regions(Vec<Region>),
    /// To an encoder: when time zero of the source was, in nanoseconds of Unix time, for clocks in pictures.
    Clock(i64),
    /// To an encoder: the next picture is a keyframe.
    Keyframe,
    /// To an encoder: another bit rate, in bits per second.
    Bitrate(u32),
    /// To an encoder: at most so many frames per second, or all.
    FrameRate(Option<f64>),
    /// Nothing follows: give out what is left and end.
    End,
    /// To a decoder: the source is joined anew, so that what it holds comes again.
    Rejoin,
}

/// From a worker to the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// A decoder has a picture.
    Picture(Picture),
    /// An encoder does not need this slot any more.
    Free(u8),
    /// An encoder's configuration record for what follows.
    Configured(#[serde(with = "serde_bytes")] Vec<u8>),
    /// An encoder has a frame.
    Packet(Coded),
    /// A packet of sound, or a keyframe to look at, was worked on.
    Taken,
    /// Thousandths of a keyframe that are black, and that differ from the one before, if there was one.
    Seen { pts: i64, black: u16, changed: Option<u16> },
    /// The loudest sample of sound that ends here, in dB of full scale.
    Heard { pts: i64, peak_db: i8 },
    /// The picture of this time was left out, by the frame rate asked for.
    Skipped(i64),
    /// What an encoder's pictures look like, as VMAF would say, and with which quality it goes on.
    Judged { vmaf: f32, quality: f32 },
    /// A test encode went well.
    Measured { pictures: u32, wall: Duration, cpu: Duration },
    /// What is wrong with a frame, or why the worker ends.
    Failed(String),
    /// Everything was given out.
    Done,
    /// A decoder has decoded the keyframe that it was to try, or forgotten what it held.
    Ready,
    /// A device does not take this stream, which says nothing about others; the reason follows, and the end.
    Refused,
    /// What people look at in the pictures of a decoder that follow, in their pixels.
    Regions(Vec<Region>),
}

/// A coded frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Coded {
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) keyframe: bool,
    pub(crate) disposable: bool,
    #[serde(with = "serde_bytes")]
    pub(crate) payload: Vec<u8>,
}

const DECODED: [media::Codec; 5] =
    [media::Codec::H264, media::Codec::H265, media::Codec::Av1, media::Codec::Vp8, media::Codec::Vp9];

/// The number of a codec that is decoded.
pub(crate) fn code_of(codec: media::Codec) -> Option<u8> {
    DECODED.iter().position(|known| *known == codec).map(|code| code as u8)
}

/// The codec of a number.
#[cfg_attr(not(feature = "libav"), allow(dead_code))]
pub(crate) fn codec_of(code: u8) -> Option<media::Codec> {
    DECODED.get(usize::from(code)).copied()
}

/// Bytes of the length in front.
const PREFIX: usize = 4;

/// A message with its length in front.
pub(crate) fn write<T: Serialize>(message: &T) -> Vec<u8> {
    // Into a vector it cannot fail: the types have no maps of unknown length.
    let mut bytes = postcard::to_extend(message, vec![0; PREFIX]).unwrap_or_default();
    let length = bytes.len().saturating_sub(PREFIX) as u32;
    if let Some(prefix) = bytes.get_mut(..PREFIX) {
        prefix.copy_from_slice(&length.to_le_bytes());
    }
    bytes
}

/// The body of a message.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    postcard::from_bytes(body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

/// The length of the body after `prefix`, which is at most `bytes_max`.
pub(crate) fn length(prefix: [u8; PREFIX], bytes_max: usize) -> io::Result<usize> {
    let length = u32::from_le_bytes(prefix) as usize;
    if length > bytes_max {
        let why = format!("a message of {length} bytes; the most are {bytes_max}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(length)
}

/// Waits for a message; `None` is the end of the connection between two messages.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut prefix = [0; PREFIX];
    let mut read_bytes = 0;
    while read_bytes < PREFIX {
        match from.read(&mut prefix[read_bytes..]) {
            Ok(0) if read_bytes == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => read_bytes += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut body = vec![0; length(prefix, MESSAGE_BYTES_MAX)?];
    from.read_exact(&mut body)?;
    read(&body).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_survive_the_way() {
        let coded =
            Coded { pts: -1, dts: i64::MIN, keyframe: true, disposable: false, payload: vec![1, 2, 3] };
        let orders = [Order::Packet(coded), Order::Free(7), Order::Configure(vec![]), Order::End];
        let bytes: Vec<u8> = orders.iter().flat_map(write).collect();
        let mut stream = &bytes[..];
        for order in &orders {
            assert_eq!(receive::<Order>(&mut stream).unwrap().as_ref(), Some(order));
        }
        assert_eq!(receive::<Order>(&mut stream).unwrap(), None);
    }

    #[test]
    fn a_message_that_ends_early_or_is_too_long_is_an_error() {
        let bytes = write(&Order::Configure(vec![0; 100]));
        assert!(receive::<Order>(&mut &bytes[..50]).is_err());
        assert!(receive::<Order>(&mut &bytes[..2]).is_err());
        assert!(receive::<Order>(&mut &u32::MAX.to_le_bytes()[..]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_worker_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read::<Report>(&bytes);
            let _ = receive::<Report>(&mut &bytes[..]);
        }
    }
}
