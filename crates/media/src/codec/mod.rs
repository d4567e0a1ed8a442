//! Codecs: what they are called, and the header fields that delivery needs.

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
