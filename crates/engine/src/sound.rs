//! What a track of sound is made into.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A codec that sound is encoded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// AAC LC, in frames of 1024 samples.
    Aac,
    /// Opus, in frames of 20 ms.
    Opus,
}

impl Codec {
    /// As packets name it.
    pub const fn of_packets(self) -> media::Codec {
        match self {
            Codec::Aac => media::Codec::Aac,
            Codec::Opus => media::Codec::Opus,
        }
    }

    /// As the `codecs` parameter of a media type names it (RFC 6381).
    pub const fn mime(self) -> &'static str {
        match self {
            Codec::Aac => "mp4a.40.2",
            Codec::Opus => "opus",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::Aac => "AAC",
            Codec::Opus => "Opus",
        })
    }
}

/// What one track of sound is made into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The codec of its packets.
    pub codec: Codec,
    /// Bits per second.
    pub bitrate_bps: u32,
    /// Channels: 1 or 2. Sources that have more are mixed down, and others are spread.
    pub channels: u8,
}

/// What is to become of the sound of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// It stays as it is, with all of its tracks.
    #[default]
    Copy,
    /// It stays as it is. Where there is none, there is silence.
    Filled,
    /// Its first track is encoded.
    Encoded(Config),
    /// Its first track is encoded if there are players that do not play it as it is: unless it is AAC with one or two channels.
    Playable(Config),
}

impl Wanted {
    /// What a track of `codec` is encoded as; `None` leaves it as it is, also where nothing decodes it. `channels` are those that it
    /// says it has.
    pub fn of(&self, codec: media::Codec, channels: Option<u8>) -> Option<Config> {
        match *self {
            _ if !is_decodable(codec) => None,
            Self::Copy | Self::Filled => None,
            Self::Encoded(config) => Some(config),
            Self::Playable(config) => {
                let is_plain = codec == media::Codec::Aac && channels.is_none_or(|channels| channels <= 2);
                (!is_plain).then_some(config)
            }
        }
    }
}

impl Wanted {
    /// The channels of the silence that stands where a stream has no sound, if any is to.
    pub fn silence(&self) -> Option<u8> {
        match self {
            Self::Filled => Some(2),
            Self::Playable(config) => Some(config.channels),
            Self::Encoded(config) if config.codec == Codec::Aac => Some(config.channels),
            Self::Copy | Self::Encoded(_) => None,
        }
    }
}

/// Where decoders know how to begin: a codec, as they are told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Source {
    Aac,
    Opus,
    Mp3,
    Flac,
    Ac3,
    Eac3,
    /// Bytes without coding, or with little of it.
    Plain(Plain),
    Nellymoser {
        rate: u32,
    },
    Speex,
}

/// Samples, and how they are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plain {
    pub(crate) format: PlainFormat,
    pub(crate) rate: u32,
    pub(crate) channels: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PlainFormat {
    U8,
    S16,
    Adpcm,
    ALaw,
    MuLaw,
}

/// Whether sound of this codec can be decoded.
pub fn is_decodable(codec: media::Codec) -> bool {
    Source::of(codec).is_some()
}

impl Source {
    /// That of packets of `codec`; `None` where nothing decodes it.
    pub(crate) fn of(codec: media::Codec) -> Option<Self> {
        Some(match codec {
            media::Codec::Aac => Self::Aac,
            media::Codec::Opus => Self::Opus,
            media::Codec::Mp3 => Self::Mp3,
            media::Codec::Flac => Self::Flac,
            media::Codec::Ac3 => Self::Ac3,
            media::Codec::Eac3 => Self::Eac3,
            media::Codec::FlvAudio(head) => Self::of_flv(head)?,
            _ => return None,
        })
    }

    /// FLV specification, E.4.2.1: format, rate, size and channels in one byte. Some formats have a rate of their own.
    fn of_flv(head: u8) -> Option<Self> {
        let said = 44_100u32 >> (3 - ((head >> 2) & 3));
        let channels = (head & 1) + 1;
        let plain = |format, rate, channels| Some(Self::Plain(Plain { format, rate, channels }));
        let samples = if head & 2 == 0 { PlainFormat::U8 } else { PlainFormat::S16 };
        match head >> 4 {
            0 | 3 => plain(samples, said, channels),
            1 => plain(PlainFormat::Adpcm, said, channels),
            2 | 14 => Some(Self::Mp3),
            4 => Some(Self::Nellymoser { rate: 16_000 }),
            5 => Some(Self::Nellymoser { rate: 8000 }),
            6 => Some(Self::Nellymoser { rate: said }),
            7 => plain(PlainFormat::ALaw, 8000, 1),
            8 => plain(PlainFormat::MuLaw, 8000, 1),
            11 => Some(Self::Speex),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everything_plays_stays_as_it_is() {
        let config = Config { codec: Codec::Aac, bitrate_bps: 128_000, channels: 2 };
        let playable = Wanted::Playable(config);
        assert_eq!(playable.of(media::Codec::Aac, Some(2)), None);
        assert_eq!(playable.of(media::Codec::Aac, Some(8)), Some(config));
        assert_eq!(playable.of(media::Codec::Mp3, None), Some(config));
        assert_eq!(Wanted::Encoded(config).of(media::Codec::Aac, Some(2)), Some(config));
        for stays in [Wanted::Copy, Wanted::Filled] {
            assert_eq!(stays.of(media::Codec::Mp3, Some(2)), None);
        }
    }

    #[test]
    fn silence_stands_where_aac_was_to_be() {
        let mono = Config { codec: Codec::Aac, bitrate_bps: 64_000, channels: 1 };
        let opus = Config { codec: Codec::Opus, ..mono };
        assert_eq!((Wanted::Playable(mono).silence(), Wanted::Encoded(mono).silence()), (Some(1), Some(1)));
        assert_eq!((Wanted::Filled.silence(), Wanted::Copy.silence()), (Some(2), None));
        assert_eq!(Wanted::Encoded(opus).silence(), None);
    }

    #[test]
    fn what_nothing_decodes_stays_as_it_is() {
        let config = Config { codec: Codec::Aac, bitrate_bps: 128_000, channels: 2 };
        for wanted in [Wanted::Playable(config), Wanted::Encoded(config)] {
            assert_eq!(wanted.of(media::Codec::FlvAudio(0xf0), None), None);
            assert_eq!(wanted.of(media::Codec::FlvAudio(0xb2), None), Some(config));
        }
    }

    #[test]
    fn the_byte_of_flv_says_format_rate_and_channels() {
        let of = |head| Source::of(media::Codec::FlvAudio(head));
        let plain = |format, rate, channels| Some(Source::Plain(Plain { format, rate, channels }));
        assert_eq!(of(0x3f), plain(PlainFormat::S16, 44_100, 2));
        assert_eq!(of(0x34), plain(PlainFormat::U8, 11_025, 1));
        assert_eq!(of(0x82), plain(PlainFormat::MuLaw, 8000, 1));
        assert_eq!(of(0x6a), Some(Source::Nellymoser { rate: 22_050 }));
        assert_eq!(of(0xb2), Some(Source::Speex));
        assert_eq!(of(0xf0), None, "device specific sound");
        assert!(is_decodable(media::Codec::Eac3) && !is_decodable(media::Codec::H264));
    }
}
