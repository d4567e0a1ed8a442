//! Silence in the form of the sound that was lost, so that decoders go on. Pure.

use crate::transcode::{AAC_48K, silent_aac};
use bytes::Bytes;
use media::codec::{aac, opus};
use media::{Codec, Time};

/// A track of silence: the same frame over and over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) codec: Codec,
    pub(super) config: Bytes,
    pub(super) frame: Bytes,
    /// Samples in a frame, and per second.
    samples: u32,
    rate: u32,
}

/// Samples in a frame of AAC (ISO/IEC 14496-3 section 4.5.1.1, `frameLengthFlag` 0).
const AAC_SAMPLES: u32 = 1024;

/// 20 ms of CELT, one channel or two, of which nothing is coded (RFC 6716 section 3.1).
const OPUS_FRAMES: [&[u8]; 2] = [&[0xf8, 0xff, 0xfe], &[0xfc, 0xff, 0xfe]];
const OPUS_SAMPLES: u32 = 960;

impl Silence {
    /// Silence for a track of this codec, with this configuration.
    pub(super) fn like(codec: Codec, config: &Bytes) -> Self {
        let same = match codec {
            Codec::Aac => Self::plain_aac(config),
            Codec::Opus => Self::plain_opus(config),
            _ => None,
        };
        same.unwrap_or_else(|| Self {
            codec: Codec::Aac,
            config: Bytes::from_static(AAC_48K),
            frame: Bytes::from_static(silent_aac(true)),
            samples: AAC_SAMPLES,
            rate: 48_000,
        })
    }

    /// AAC LC with one channel or two has frames of nothing at every rate.
    fn plain_aac(config: &Bytes) -> Option<Self> {
        const LC: u8 = 2;
        const RATE_ESCAPE: u8 = 15;
        // Section 1.6.2.1: five bits of object type, four each of rate and channels, and then `frameLengthFlag`, `dependsOnCoreCoder` and
        // `extensionFlag`.
        let [first, second, ..] = config[..] else { return None };
        let is_rate_short = (first & 0b111) << 1 | second >> 7 != RATE_ESCAPE;
        let read = aac::read_config(config).ok()?;
        let is_plain = (read.object_type, read.core_type) == (LC, LC)
            && is_rate_short
            && second & 0b111 == 0
            && read.sample_rate == read.core_sample_rate
            && read.channels == Some(read.channel_configuration);
        let is_stereo = match read.channel_configuration {
            1 => false,
            2 => true,
            _ => return None,
        };
        is_plain.then(|| Self {
            codec: Codec::Aac,
            config: config.clone(),
            frame: Bytes::from_static(silent_aac(is_stereo)),
            samples: AAC_SAMPLES,
            rate: read.sample_rate,
        })
    }

    fn plain_opus(config: &Bytes) -> Option<Self> {
        let channels = opus::read_config(config).ok()?.channels.unwrap_or(2);
        let frame = OPUS_FRAMES.get(usize::from(channels.checked_sub(1)?))?;
        Some(Self {
            codec: Codec::Opus,
            config: config.clone(),
            frame: Bytes::from_static(frame),
            samples: OPUS_SAMPLES,
            rate: opus::SAMPLE_RATE,
        })
    }

    /// When frame `index` begins.
    pub(super) fn time(&self, index: u64) -> Time {
        let ticks = i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(i64::from(self.samples));
        Time::from_ticks(ticks, self.rate.max(1))
    }

    /// The number of the first frame that begins at `to` or later.
    pub(super) fn first_at(&self, to: Time) -> u64 {
        let ticks = to.to_ticks(self.rate.max(1)).max(0).unsigned_abs();
        let first = ticks / u64::from(self.samples);
        // Times are rounded to nanoseconds.
        (first..).find(|index| self.time(*index) >= to).unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(codec: Codec, config: &'static [u8]) -> Silence {
        Silence::like(codec, &Bytes::from_static(config))
    }

    #[test]
    fn plain_sound_keeps_its_codec_and_what_it_says_of_itself() {
        // AAC LC, 44.1 kHz, two channels.
        let stereo = like(Codec::Aac, &[0x12, 0x10]);
        assert_eq!((stereo.codec, &stereo.config[..], stereo.rate), (Codec::Aac, &[0x12, 0x10][..], 44_100));
        assert_eq!(stereo.time(44_100).millis(), 1_024_000);
        // 16 kHz, one channel.
        let mono = like(Codec::Aac, &[0x14, 0x08]);
        assert_eq!((&mono.config[..], mono.rate), (&[0x14, 0x08][..], 16_000));
        assert!(mono.frame.len() < stereo.frame.len());
        // As ffmpeg writes it: with the word that there is no spectral band replication.
        let said = like(Codec::Aac, &[0x12, 0x08, 0x56, 0xe5, 0x00]);
        assert_eq!((said.config.len(), said.rate, &said.frame), (5, 44_100, &mono.frame));
        let opus = like(Codec::Opus, b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0");
        assert_eq!((opus.codec, opus.frame[0], opus.time(50).millis()), (Codec::Opus, 0xfc, 1000));
    }

    #[test]
    fn other_sound_is_followed_by_aac() {
        let plain = like(Codec::Mp3, b"");
        assert_eq!((plain.codec, &plain.config[..], plain.rate), (Codec::Aac, AAC_48K, 48_000));
        let six_channels = like(Codec::Aac, &[0x11, 0xb0]);
        let frames_of_960 = like(Codec::Aac, &[0x11, 0x94]);
        let broken = like(Codec::Aac, &[0x11]);
        let spectral_band_replication = like(Codec::Aac, &[0x2b, 0x92, 0x08, 0x00]);
        let implied = like(Codec::Aac, &[0x13, 0x90, 0x56, 0xe5, 0x9d, 0x48, 0x80]);
        let surround = like(Codec::Opus, b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01");
        for other in [six_channels, frames_of_960, broken, spectral_band_replication, implied, surround] {
            assert_eq!(other, plain);
        }
    }
}
