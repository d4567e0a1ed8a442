//! FLV tags, which are also the payloads of RTMP audio, video and data messages: legacy (Adobe FLV 10.1 annex E) and
//! enhanced (Enhanced RTMP v2).
//!
//! ```text
//! file    "FLV" version=1 flags header_size:u32 | previous_size:u32=0 | tag previous_size:u32 | ...
//! tag     kind:u8 body_size:u24 time_ms:u24 time_ms_high:u8 stream_id:u24=0 body
//! video   0 frame:3 codec:4                               legacy; codec 7 (AVC) and 12 (HEVC):
//!           packet:u8 composition_time:i24 data             packet 0 config, 1 frame, 2 end
//! audio   format:4 rate:2 size:1 channels:1               legacy; format 10 (AAC):
//!           packet:u8 data                                  packet 0 config, 1 frame
//! video   1 frame:3 packet:4                              enhanced
//! audio   9:4 packet:4                                    enhanced
//!   packet 7, ModEx          size-1:u8 [size-1:u16] data kind:4 packet:4      (repeats)
//!   frame 5, video only      command:u8                                       (unless packet 4)
//!   packet 6 or 5, several   layout:4 packet:4 [fourcc] ([fourcc] track:u8 [size:u24] body)*
//!   any other                fourcc body
//! body    [composition_time:i24] data                     coded frames of avc1, hvc1, vvc1 only
//! script  AMF0 values
//! ```
//!
//! A [`Packet`]'s payload is the data alone. [`write_body_head`] makes the bytes in front of it, so that one payload
//! can be shared by any number of receivers, and [`read_body`] takes them off again.
//!
//! # Which form is written
//!
//! The form that the most players read: H.264, AAC and MP3 on track 0 as legacy tags, everything else enhanced, and
//! tracks other than 0 as multitrack messages of one track. What the legacy form cannot say (the end of an AAC
//! sequence, a channel layout, colour information) is written enhanced.
//!
//! # What does not survive
//!
//! - Times in the message itself have milliseconds. The nanoseconds of `pts` are kept where the enhanced form is
//!   written (as ModEx); in legacy tags they are rounded down.
//! - Only H.264, H.265 and H.266 can have a `pts` more than a millisecond from `dts`; it must be within 2^23 ms.
//! - Packets that are not frames have no composition time: they are read with `pts` equal to `dts`.
//! - Stream metadata of another name than `onMetaData` are read as any other message: what tells them apart is said to
//!   servers only.
//! - `FlvVideo` and `FlvAudio` have no FourCC, so they exist on track 0 only.

mod demux;
mod fourcc;
pub mod limits;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use demux::Demuxer;
pub use read::read_body;
pub use write::{kind_of, write_body_head, write_file_header, write_tag};

#[cfg(doc)]
use crate::Packet;

/// Tag type and RTMP message type of audio.
pub const AUDIO: u8 = 8;
/// Tag type and RTMP message type of video.
pub const VIDEO: u8 = 9;
/// Tag type and RTMP message type of data in AMF3: one format byte, then values that begin as AMF0.
pub const SCRIPT_AMF3: u8 = 15;
/// Tag type and RTMP message type of data in AMF0.
pub const SCRIPT: u8 = 18;

/// What a script begins with that takes metadata back, an AMF0 string. Metadata that are set begin with `@setDataFrame`, which
/// stands only in messages to a server.
const CLEAR_DATA_FRAME: &[u8] = b"\x02\x00\x0f@clearDataFrame";

/// Frame types of a video tag, 3 bits (E-RTMP v2, "VideoFrameType").
mod frame_type {
    pub const KEY: u8 = 1;
    pub const INTER: u8 = 2;
    pub const DISPOSABLE: u8 = 3;
    pub const GENERATED_KEY: u8 = 4;
    pub const COMMAND: u8 = 5;
}

/// Packet types of enhanced video, 4 bits (E-RTMP v2, "VideoPacketType").
mod video_packet {
    pub const SEQUENCE_START: u8 = 0;
    pub const CODED_FRAMES: u8 = 1;
    pub const SEQUENCE_END: u8 = 2;
    pub const CODED_FRAMES_X: u8 = 3;
    pub const METADATA: u8 = 4;
    pub const MPEG2_TS_SEQUENCE_START: u8 = 5;
    pub const MULTITRACK: u8 = 6;
}

/// Packet types of enhanced audio, 4 bits (E-RTMP v2, "AudioPacketType").
mod audio_packet {
    pub const SEQUENCE_START: u8 = 0;
    pub const CODED_FRAMES: u8 = 1;
    pub const SEQUENCE_END: u8 = 2;
    pub const MULTICHANNEL_CONFIG: u8 = 4;
    pub const MULTITRACK: u8 = 5;
}

/// Packet type of a ModEx header, the same for audio and video.
const MOD_EX: u8 = 7;
/// The ModEx kind that carries nanoseconds (E-RTMP v2, "TimestampOffsetNano").
const MOD_EX_NANOS: u8 = 0;
/// The first 4 bits of an audio tag in the enhanced form.
const AUDIO_ENHANCED: u8 = 9;

/// Packet types of legacy AVC and HEVC tags (and, but for the end, of AAC).
mod legacy_packet {
    pub const CONFIG: u8 = 0;
    pub const FRAME: u8 = 1;
    pub const END: u8 = 2;
}

/// Legacy video codec ids that have a [`Codec`](crate::Codec) of their own.
mod legacy_video {
    pub const AVC: u8 = 7;
    /// In no specification, but sent by encoders made before the enhanced form existed.
    pub const HEVC: u8 = 12;
}

/// Legacy sound formats that have a [`Codec`](crate::Codec) of their own.
mod legacy_audio {
    pub const MP3: u8 = 2;
    pub const AAC: u8 = 10;
    pub const MP3_8K: u8 = 14;
}
