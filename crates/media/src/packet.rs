//! The packet: one coded frame, or something a decoder must know before the frames that follow.

use crate::{Codec, Time};
use bytes::Bytes;
use std::fmt;

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Timed metadata and script messages.
    Data,
}

/// A track of a stream. Index 0 is the default one of its kind; other indices carry no ranking (E-RTMP v2, multitrack).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId {
    /// What the track carries.
    pub kind: Kind,
    /// Its number among the tracks of that kind.
    pub index: u8,
}

impl TrackId {
    /// The default video track.
    pub const VIDEO: TrackId = TrackId::video(0);
    /// The default audio track.
    pub const AUDIO: TrackId = TrackId::audio(0);
    /// The data track.
    pub const DATA: TrackId = TrackId { kind: Kind::Data, index: 0 };

    /// Video track `index`.
    pub const fn video(index: u8) -> Self {
        Self { kind: Kind::Video, index }
    }

    /// Audio track `index`.
    pub const fn audio(index: u8) -> Self {
        Self { kind: Kind::Audio, index }
    }
}

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Video => "video",
            Kind::Audio => "audio",
            Kind::Data => "data",
        };
        write!(f, "{kind}{}", self.index)
    }
}

/// What a packet is to its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A coded frame (an access unit, or the audio frames of one message). An empty audio frame means silence.
    Frame,
    /// Codec configuration: avcC, hvcC, av1C, vpcC, AudioSpecificConfig, OpusHead, "fLaC" + STREAMINFO, ...
    Config,
    /// AV1 configuration in the MPEG-2 TS descriptor form (E-RTMP packet type 5).
    ConfigTs,
    /// Channel order and mapping of an audio track (E-RTMP MultichannelConfig).
    ConfigChannels,
    /// Metadata of a video track as AMF0 values: `colorInfo` for HDR (E-RTMP packet type 4).
    Metadata,
    /// A video command: payload is the one command byte (seek start, seek end).
    Command,
    /// End of the coded sequence.
    End,
    /// Stream metadata: AMF0 values beginning with their name, nearly always the string `onMetaData`. Of each name the newest
    /// is kept for late joiners.
    StreamMetadata,
    /// What was kept under the name in the payload, an AMF0 string, is no longer. Not delivered.
    ClearStreamMetadata,
    /// Any other data message, as AMF0 values beginning with its name. Delivered once, in order.
    Message,
}

impl Role {
    /// Whether the newest packet of this role (and track) must reach a late joiner before any frame.
    pub const fn is_kept(self) -> bool {
        matches!(
            self,
            Role::Config | Role::ConfigTs | Role::ConfigChannels | Role::Metadata | Role::StreamMetadata
        )
    }
}

/// Properties of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags {
    /// Decoding can start here. Never set on audio, where every frame could.
    pub keyframe: bool,
    /// No other frame depends on this one: it may be dropped without harm.
    pub disposable: bool,
}

/// One coded frame, or one piece of configuration, of one track.
///
/// Cheap to clone: the payload is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The track it belongs to.
    pub track: TrackId,
    /// The codec of the payload.
    pub codec: Codec,
    /// What the payload is.
    pub role: Role,
    /// Keyframe and disposable.
    pub flags: Flags,
    /// When to decode.
    pub dts: Time,
    /// When to present; equal to `dts` where nothing is reordered.
    pub pts: Time,
    /// The codec's bytes, without any container header. H.264, H.265 and H.266 frames are NAL units with length
    /// prefixes of the size that the configuration record names; AAC is raw (no ADTS); AV1 is the low-overhead OBU form.
    pub payload: Bytes,
}

impl Packet {
    /// The name at the start of a data packet, if it is an AMF0 string (marker 02, length:u16, UTF-8).
    pub fn data_name(&self) -> Option<&[u8]> {
        match &self.payload[..] {
            [2, high, low, rest @ ..] if self.track.kind == Kind::Data => {
                rest.get(..usize::from(u16::from_be_bytes([*high, *low])))
            }
            _ => None,
        }
    }

    /// Whether this is the metadata that describes the whole stream.
    pub fn is_on_meta_data(&self) -> bool {
        self.role == Role::StreamMetadata && self.data_name() == Some(b"onMetaData")
    }

    /// Whether this is a video frame at which decoding can start.
    pub fn is_video_keyframe(&self) -> bool {
        self.track.kind == Kind::Video && self.role == Role::Frame && self.flags.keyframe
    }
}
