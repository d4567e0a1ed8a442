//! Codecs: what they are called, and the header fields that delivery needs.

pub mod aac;
pub mod ac3;
pub mod adts;
pub mod annex_b;
pub mod av1;
mod bits;
pub mod flac;
pub mod h264;
pub mod h265;
pub mod h266;
pub mod limits;
pub mod mp3;
pub mod nal;
pub mod opus;
mod sps;
mod summary;
#[cfg(test)]
mod tests;
pub mod vpx;

pub use summary::{Summary, has_b_frames, summary, summary_of_frame};

/// Bytes of a NAL unit's length prefix where the configuration record is not at hand. Every known live encoder uses 4;
/// with another size the units do not add up and nothing is concluded from them.
pub const NAL_LENGTH_SIZE_DEFAULT: u8 = 4;

/// Whether decoding can start at the frame in `payload`. `nal_length_size` is used by H.264, H.265 and H.266. False for
/// sound, and for codecs that are not looked into.
pub fn is_keyframe(codec: Codec, payload: &[u8], nal_length_size: u8) -> bool {
    match codec {
        Codec::H264 => h264::is_keyframe(payload, nal_length_size),
        Codec::H265 => h265::is_keyframe(payload, nal_length_size),
        Codec::H266 => h266::is_keyframe(payload, nal_length_size),
        Codec::Av1 => av1::is_keyframe(payload),
        Codec::Vp8 => vpx::vp8_is_keyframe(payload),
        Codec::Vp9 => vpx::vp9_is_keyframe(payload),
        _ => false,
    }
}

/// Whether no other frame depends on the one in `payload`, as far as its first slice tells: the cost does not grow with
/// the payload. False where it does not tell.
pub fn is_disposable(codec: Codec, payload: &[u8], nal_length_size: u8) -> bool {
    match codec {
        Codec::H264 => h264::is_disposable(payload, nal_length_size),
        Codec::H265 => h265::is_disposable(payload, nal_length_size),
        Codec::H266 => h266::is_disposable(payload, nal_length_size),
        _ => false,
    }
}

/// How sample values become light, in the code points of ISO/IEC 23091-2 (which are those of H.264 tables E-3 to E-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    /// `ColourPrimaries`: 1 is BT.709, 9 is BT.2020.
    pub primaries: u8,
    /// `TransferCharacteristics`: 1 is BT.709, 16 is PQ, 18 is HLG.
    pub transfer: u8,
    /// `MatrixCoefficients`: 1 is BT.709, 9 is BT.2020.
    pub matrix: u8,
    /// Whether luma uses all values and not 16 to 235.
    pub full_range: bool,
}

/// A codec, as far as packets need to tell codecs apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// H.264 / AVC.
    H264,
    /// H.265 / HEVC.
    H265,
    /// H.266 / VVC.
    H266,
    /// AV1.
    Av1,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// AAC.
    Aac,
    /// Opus.
    Opus,
    /// MP3.
    Mp3,
    /// FLAC.
    Flac,
    /// AC-3.
    Ac3,
    /// E-AC-3.
    Eac3,
    /// A video codec that only FLV numbers (2 = H.263, 4 = VP6, ...): the codec id, 4 bits.
    FlvVideo(u8),
    /// An audio codec that only FLV numbers (G.711, Speex, ...): the whole first byte of the tag, which also holds
    /// rate, size and channels.
    FlvAudio(u8),
    /// Data: AMF0 values.
    Amf,
}
