//! Elementary streams of sound: frames that follow each other without regard to where a PES begins.

use crate::Codec;
use crate::codec::{ac3, adts, mp3, opus};
use bytes::{BufMut, Bytes, BytesMut};

/// What stands at the front of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Front {
    Frame(Frame),
    /// The beginning of a frame that is not complete.
    More,
    /// No frame begins here.
    Garbage,
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes that only this container has.
    pub(super) head_bytes: usize,
    /// All of its bytes.
    pub(super) bytes: usize,
    /// How many samples at which rate.
    pub(super) samples: u32,
    pub(super) sample_rate: u32,
    /// The configuration that it brings along.
    pub(super) config: Option<Bytes>,
}

/// Looks for a frame at the front of `bytes`, which end where a PES ends. `channels` are those of Opus.
pub(super) fn front(codec: Codec, channels: u8, bytes: &[u8]) -> Front {
    let frame = match codec {
        Codec::Aac => adts_frame(bytes),
        Codec::Mp3 => mp3_frame(bytes),
        Codec::Ac3 => ac3_frame(bytes),
        Codec::Eac3 => return eac3_frames(bytes),
        Codec::Opus => opus_packet(bytes, channels),
        _ => None,
    };
    match frame {
        Some(frame) if frame.bytes > bytes.len() => Front::More,
        Some(frame) => Front::Frame(frame),
        None if bytes.len() < smallest(codec) => Front::More,
        None => Front::Garbage,
    }
}

/// Bytes with which it is certain whether a frame begins.
fn smallest(codec: Codec) -> usize {
    match codec {
        Codec::Aac => adts::HEADER_BYTES,
        Codec::Mp3 => 4,
        // Of a size above 255 the bytes go on; 1275 frames of 120 ms are the most (RFC 6716 section 3.4).
        Codec::Opus => 512,
        _ => 16,
    }
}

fn adts_frame(bytes: &[u8]) -> Option<Frame> {
    let header = adts::read_header(bytes).ok()?;
    Some(Frame {
        head_bytes: header.header_bytes,
        bytes: header.frame_bytes,
        samples: adts::FRAME_SAMPLES * u32::from(header.blocks),
        sample_rate: header.sample_rate(),
        config: Some(Bytes::copy_from_slice(&header.config()?)),
    })
}

fn mp3_frame(bytes: &[u8]) -> Option<Frame> {
    let header = mp3::read_header(bytes)?;
    Some(Frame {
        head_bytes: 0,
        bytes: header.frame_bytes.filter(|size| *size > 4)?,
        samples: header.samples,
        sample_rate: header.sample_rate,
        config: None,
    })
}

fn ac3_frame(bytes: &[u8]) -> Option<Frame> {
    let header = ac3::read_header(bytes).ok()?;
    Some(Frame {
        head_bytes: 0,
        bytes: header.frame_bytes,
        samples: u32::from(header.blocks) * ac3::BLOCK_SAMPLES,
        sample_rate: header.sample_rate,
        config: None,
    })
}

/// The sync frames of one time: up to the next one that begins a set of substreams, or the end of the PES.
fn eac3_frames(bytes: &[u8]) -> Front {
    let (mut size, mut first) = (0, None);
    loop {
        let rest = &bytes[size..];
        let Ok(header) = ac3::read_header(rest) else {
            return match first {
                // Nothing follows, or what follows is no sync frame.
                Some(frame) if rest.is_empty() || rest.len() >= smallest(Codec::Eac3) => {
                    Front::Frame(Frame { bytes: size, ..frame })
                }
                None if rest.len() >= smallest(Codec::Eac3) => Front::Garbage,
                _ => Front::More,
            };
        };
        let begins = !header.dependent && header.substream == 0;
        match first {
            Some(frame) if begins => return Front::Frame(Frame { bytes: size, ..frame }),
            None => first = ac3_frame(rest),
            _ => {}
        }
        if header.frame_bytes > rest.len() {
            return Front::More;
        }
        size += header.frame_bytes;
    }
}

/// A packet behind its control header (ETSI draft TS Opus 0.1.3): `3ff:11 start_trim:1 end_trim:1 extension:1 reserved:2`, the size
/// in bytes that are summed up to the first below 255, and what the flags announce.
fn opus_packet(bytes: &[u8], channels: u8) -> Option<Frame> {
    const START_TRIM: u8 = 0x10;
    const END_TRIM: u8 = 0x08;
    const EXTENSION: u8 = 0x04;
    let (&[0x7f, flags], rest) = bytes.split_first_chunk()? else { return None };
    if flags & 0xe0 != 0xe0 {
        return None;
    }
    let mut head_bytes = 2;
    let mut size = 0;
    for byte in rest {
        size += usize::from(*byte);
        head_bytes += 1;
        if *byte != 255 {
            break;
        }
    }
    head_bytes += [START_TRIM, END_TRIM].iter().filter(|flag| flags & **flag != 0).count() * 2;
    if flags & EXTENSION != 0 {
        head_bytes += 1 + bytes.get(head_bytes).map_or(0, |length| usize::from(*length));
    }
    let samples = bytes.get(head_bytes..).map_or(0, opus_samples);
    Some(Frame {
        head_bytes,
        bytes: head_bytes + size,
        samples,
        sample_rate: opus::SAMPLE_RATE,
        config: opus_head(channels),
    })
}

/// How long a packet lasts, at 48 kHz (RFC 6716 section 3.1).
fn opus_samples(packet: &[u8]) -> u32 {
    let Some(toc) = packet.first() else { return 0 };
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u32::from(count & 0x3f)),
    };
    frame * frames
}

/// Writes the control header of a packet.
pub(super) fn write_opus_head(packet_bytes: usize, out: &mut BytesMut) {
    out.put_slice(&[0x7f, 0xe0]);
    out.put_bytes(255, packet_bytes / 255);
    out.put_u8((packet_bytes % 255) as u8);
}

/// The OpusHead of streams in the usual layout of so many channels (RFC 7845 sections 5.1 and 5.1.1.2); `None` for other layouts.
fn opus_head(channels: u8) -> Option<Bytes> {
    /// Streams, how many of them are stereo, and where each channel is, for three to eight channels.
    const LAYOUTS: [(u8, u8, &[u8]); 6] = [
        (2, 1, &[0, 2, 1]),
        (2, 2, &[0, 1, 2, 3]),
        (3, 2, &[0, 4, 1, 2, 3]),
        (4, 2, &[0, 4, 1, 2, 3, 5]),
        (4, 3, &[0, 4, 1, 2, 3, 5, 6]),
        (5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
    ];
    let mut out = BytesMut::new();
    out.put_slice(b"OpusHead");
    out.put_slice(&[1, channels]);
    out.put_u16_le(0); // pre-skip: not said
    out.put_u32_le(opus::SAMPLE_RATE);
    out.put_u16_le(0); // gain
    match channels {
        1 | 2 => out.put_u8(0),
        channels => {
            let (streams, stereo, map) = LAYOUTS.get(usize::from(channels.checked_sub(3)?))?;
            out.put_slice(&[1, *streams, *stereo]);
            out.put_slice(map);
        }
    }
    Some(out.freeze())
}
