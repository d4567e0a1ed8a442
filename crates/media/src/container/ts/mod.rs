//! MPEG-2 transport streams (ISO/IEC 13818-1), of one program: the segments of older HLS players, and what comes over SRT and UDP.
//!
//! ```text
//! packet    47 error:1 start:1 priority:1 pid:13 scrambled:2 adaptation:1 payload:1 counter:4 [adaptation] payload   188 bytes
//! adaptation  length:u8 discontinuity:1 random_access:1 .. pcr:1 .. [base:33 reserved:6 extension:9] ff*
//! section   pointer:u8 table:u8 1:1 0:1 3:2 length:12 id:u16 3:2 version:5 current:1 number:u8 last:u8 body crc:u32
//!   PAT     (program:u16 7:3 pid:13)*
//!   PMT     7:3 pcr_pid:13 15:4 length:12 descriptors (type:u8 7:3 pid:13 15:4 length:12 descriptors)*
//! PES       000001 stream:u8 length:u16 flags:u16 header_length:u8 [pts:33 in 5 bytes] [dts:33 in 5 bytes] payload
//! ```
//!
//! | codec | stream type | in the PES |
//! | --- | --- | --- |
//! | H.264 | 1b | Annex B, delimiters, parameter sets before each keyframe |
//! | H.265 | 24 | the same |
//! | AAC | 0f | ADTS |
//! | MP3 | 03 (04 is read as well) | frames |
//! | AC-3 | 81 and registration `AC-3` | sync frames |
//! | E-AC-3 | 87 and registration `EAC3` | sync frames |
//! | Opus | 06 and registration `Opus` | packets behind control headers (ETSI draft TS Opus 0.1.3) |
//!
//! | ID3 tags | 15 | a tag each, for HLS players; not read |
//!
//! The others have no form that players agree on: of AV1 there are drafts that contradict each other, of VP8, VP9 and FLAC nothing.
//!
//! # What does not survive
//!
//! - Times are ticks of 90 kHz modulo 2^33, unwrapped to the nearest on reading: a stream may last any number of wraps.
//! - Parameter sets leave the frames and become the configuration; delimiters and filler are dropped.
//! - An AudioSpecificConfig comes back in its shortest form: what it says of SBR and PS is left to the decoder to find.
//! - Data tracks are not written; [`Muxer::write_id3`] takes metadata in the form that HLS has for it.

mod demux;
mod entrances;
pub mod limits;
mod mux;
mod psi;
mod sound;
#[cfg(test)]
mod tests;

pub use demux::{Demuxer, Known, begins_pes};
pub use entrances::{Entrance, Entrances};
pub use mux::Muxer;

/// Bytes of a packet.
pub const PACKET_BYTES: usize = 188;
/// The first byte of each.
const SYNC: u8 = 0x47;
/// Ticks in a second of `pts`, `dts` and the base of the program clock.
const CLOCK_HZ: u32 = 90_000;
/// Times have so many bits.
const TIME_BITS: u32 = 33;
/// The packet id of the program association table.
const PAT_PID: u16 = 0;
/// Packet ids have 13 bits.
const PID_MASK: u16 = 0x1fff;

/// `stream_type` (ISO/IEC 13818-1 table 2-34, ATSC A/52 annex A).
mod stream_type {
    pub const MPEG1_AUDIO: u8 = 0x03;
    pub const MPEG2_AUDIO: u8 = 0x04;
    pub const PRIVATE: u8 = 0x06;
    pub const ADTS: u8 = 0x0f;
    pub const METADATA: u8 = 0x15;
    pub const H264: u8 = 0x1b;
    pub const H265: u8 = 0x24;
    pub const AC3: u8 = 0x81;
    pub const EAC3: u8 = 0x87;
}
