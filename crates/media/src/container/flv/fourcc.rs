//! FourCC values of E-RTMP v2, "Enhanced Audio" and "Enhanced Video".

use crate::Codec;

const VIDEO: [(Codec, [u8; 4]); 6] = [
    (Codec::H264, *b"avc1"),
    (Codec::H265, *b"hvc1"),
    (Codec::H266, *b"vvc1"),
    (Codec::Av1, *b"av01"),
    (Codec::Vp8, *b"vp08"),
    (Codec::Vp9, *b"vp09"),
];

const AUDIO: [(Codec, [u8; 4]); 6] = [
    (Codec::Aac, *b"mp4a"),
    (Codec::Opus, *b"Opus"),
    (Codec::Mp3, *b".mp3"),
    (Codec::Flac, *b"fLaC"),
    (Codec::Ac3, *b"ac-3"),
    (Codec::Eac3, *b"ec-3"),
];

/// The video codec that `fourcc` names.
pub(super) fn video_codec(fourcc: [u8; 4]) -> Option<Codec> {
    VIDEO.iter().find(|(_, value)| *value == fourcc).map(|(codec, _)| *codec)
}

/// The audio codec that `fourcc` names.
pub(super) fn audio_codec(fourcc: [u8; 4]) -> Option<Codec> {
    AUDIO.iter().find(|(_, value)| *value == fourcc).map(|(codec, _)| *codec)
}

/// The FourCC of `codec`; `None` for codecs that exist only in the legacy form.
pub(super) fn of(codec: Codec) -> Option<[u8; 4]> {
    VIDEO.iter().chain(&AUDIO).find(|(value, _)| *value == codec).map(|(_, fourcc)| *fourcc)
}

/// Whether coded frames of `codec` carry a composition time (E-RTMP v2, "ExVideoTagBody").
pub(super) fn has_composition_time(codec: Codec) -> bool {
    matches!(codec, Codec::H264 | Codec::H265 | Codec::H266)
}
