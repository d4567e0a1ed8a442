//! What playlists say of rungs before there are any. Pure.

use super::silence::Fill;
use super::{describe, ladder_of, rung_name};
use crate::Env;
use engine::encode::{Codec, Config};
use engine::ladder::JOIN;
use engine::sound;
use hub::StreamStatus;
use media::{StreamName, TrackId, codec};

/// A rung that can be had.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Offer {
    /// What it is played as.
    pub(crate) name: StreamName,
    /// What it is called.
    pub(crate) rung: String,
    pub(crate) codec: Codec,
    /// In pixels.
    pub(crate) width: u32,
    /// In pixels.
    pub(crate) height: u32,
    /// Frames per second.
    pub(crate) fps: Option<f64>,
    /// Of its pictures, at most.
    pub(crate) bits_per_second: u64,
    /// The codec as the `codecs` parameter of a media type (RFC 6381): the profile that the encoder uses, and a level that is enough.
    pub(crate) mime: String,
    /// Sound of its own, if it has that.
    pub(crate) sound: Option<sound::Config>,
}

impl Offer {
    /// Whether playlists list it. The one to join they do not: players that choose by rate gain nothing by it.
    pub(crate) fn is_listed(&self) -> bool {
        self.rung != JOIN
    }
}

/// The rungs of a stream that can be had, largest first.
pub(crate) fn offers(env: &Env, status: &StreamStatus) -> Vec<Offer> {
    let base = &status.name;
    if !env.transcoding.is_able() || env.transcoding.is_rung(base) {
        return Vec::new();
    }
    let Ok(source) = describe(status) else { return Vec::new() };
    let ladder = ladder_of(&env.config.transcode, &env.transcoding.marked, base, &source).into_iter();
    let track = status.tracks.iter().find(|track| track.id == TrackId::AUDIO);
    let track = track.map(|track| {
        let summary = track.config.as_deref().and_then(|config| codec::summary(track.codec, config));
        (track.codec, summary.and_then(|summary| summary.channels))
    });
    let named = ladder.filter_map(|(template, config)| {
        let sound = match track {
            Some((codec, channels)) => template.sound.of(codec, channels),
            None => template.sound.silence().map(Fill::of),
        };
        let config = env.transcoding.upright(base, config);
        Some(offer(rung_name(base, &template.name)?, template.name, &config, source.fps, sound))
    });
    named.collect()
}

/// `fps` is that of the stream.
pub(super) fn offer(
    name: StreamName,
    rung: String,
    config: &Config,
    fps: Option<f64>,
    sound: Option<sound::Config>,
) -> Offer {
    let fps = match (config.fps_max, fps) {
        (Some(max), Some(fps)) => Some(max.min(fps)),
        (max, fps) => max.or(fps),
    };
    Offer {
        name,
        rung,
        codec: config.codec,
        width: config.width,
        height: config.height,
        fps,
        bits_per_second: config.bitrate_bps.into(),
        mime: mime(config.codec, config.width, config.height, fps.unwrap_or(30.0)),
        sound,
    }
}

/// H.264 table A-1: `level_idc`, macroblocks per second, macroblocks per picture.
const H264_LEVELS: [(u8, u64, u64); 8] = [
    (30, 40_500, 1_620),
    (31, 108_000, 3_600),
    (32, 216_000, 5_120),
    (40, 245_760, 8_192),
    (42, 522_240, 8_704),
    (50, 589_824, 22_080),
    (51, 983_040, 36_864),
    (52, 2_073_600, 36_864),
];

/// H.265 tables A.8 and A.9: `general_level_idc`, luma samples per second, luma samples per picture.
const H265_LEVELS: [(u8, u64, u64); 7] = [
    (90, 16_588_800, 552_960),
    (93, 33_177_600, 983_040),
    (120, 66_846_720, 2_228_224),
    (123, 133_693_440, 2_228_224),
    (150, 267_386_880, 8_912_896),
    (153, 534_773_760, 8_912_896),
    (156, 1_069_547_520, 8_912_896),
];

/// AV1 annex A.3: `seq_level_idx`, samples shown per second, samples per picture.
const AV1_LEVELS: [(u8, u64, u64); 7] = [
    (4, 19_975_680, 665_856),
    (5, 31_950_720, 1_065_024),
    (8, 70_778_880, 2_359_296),
    (9, 141_557_760, 2_359_296),
    (12, 267_386_880, 8_912_896),
    (13, 534_773_760, 8_912_896),
    (14, 1_069_547_520, 8_912_896),
];

fn mime(codec: Codec, width: u32, height: u32, fps: f64) -> String {
    let blocks = u64::from(width.div_ceil(16)) * u64::from(height.div_ceil(16));
    let samples = u64::from(width) * u64::from(height);
    let level = |levels: &[(u8, u64, u64)], size: u64| {
        let rate = (size as f64 * fps) as u64;
        let enough =
            levels.iter().find(|(_, per_second, per_picture)| rate <= *per_second && size <= *per_picture);
        enough.or(levels.last()).map_or(0, |(level, ..)| *level)
    };
    match codec {
        Codec::H264 => format!("avc1.6400{:02x}", level(&H264_LEVELS, blocks)),
        Codec::H265 => format!("hvc1.1.6.L{}.B0", level(&H265_LEVELS, samples)),
        Codec::Av1 => format!("av01.0.{:02}M.08", level(&AV1_LEVELS, samples)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_enough_for_size_and_rate() {
        for (codec, width, height, fps, expected) in [
            (Codec::H264, 854, 480, 30.0, "avc1.64001f"),
            (Codec::H264, 640, 360, 30.0, "avc1.64001e"),
            (Codec::H264, 1280, 720, 30.0, "avc1.64001f"),
            (Codec::H264, 1280, 720, 60.0, "avc1.640020"),
            (Codec::H264, 1920, 1080, 60.0, "avc1.64002a"),
            (Codec::H265, 1280, 720, 30.0, "hvc1.1.6.L93.B0"),
            (Codec::Av1, 854, 480, 30.0, "av01.0.04M.08"),
            (Codec::Av1, 1920, 1080, 60.0, "av01.0.09M.08"),
        ] {
            assert_eq!(mime(codec, width, height, fps), expected, "{width}x{height} at {fps}");
        }
    }
}
