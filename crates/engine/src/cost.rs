//! What decoding and encoding cost, before it is measured. Pure.
//!
//! Figures are milliseconds of one core for a million pixels of a hard picture (games, sensor noise), on a server core of 2022.
//! Screens and faces cost half; what a rung really costs is measured once it runs.

use crate::encode::{Codec, Config, Preset};
use crate::ladder::Source;

/// Where nothing is known of a source's frame rate.
const FPS_UNKNOWN: f64 = 30.0;
/// Scaling, for each million pixels of the source.
const SCALE_MS: f64 = 0.8;

fn pixels(width: u32, height: u32) -> f64 {
    f64::from(width) * f64::from(height) / 1e6
}

fn fps_of(source: &Source) -> f64 {
    source.fps.filter(|fps| fps.is_finite() && *fps > 0.0).unwrap_or(FPS_UNKNOWN)
}

/// Cores that decoding a source takes.
pub fn decode_cores(source: &Source) -> f64 {
    let ms = match source.codec {
        Some(Codec::H265) => 4.0,
        Some(Codec::Av1) => 2.0,
        Some(Codec::H264) | None => 3.3,
    };
    pixels(source.width, source.height) * ms * fps_of(source) / 1e3
}

/// Cores that scaling and encoding a rung takes.
pub fn encode_cores(config: &Config, source: &Source) -> f64 {
    let ms = match config.preset {
        Preset::Ultrafast => 5.8,
        Preset::Superfast => 12.8,
        Preset::Veryfast => 16.5,
        Preset::Faster => 37.0,
        Preset::Fast => 50.0,
        Preset::Medium => 65.0,
    };
    // Each at its preset of that name.
    let factor = match (config.backend, config.codec) {
        (Some(backend), _) if backend.is_hardware() => 0.05,
        (_, Codec::H264) => 1.0,
        (_, Codec::H265) => 5.0,
        (_, Codec::Av1) => 1.5,
    };
    let fps = config.fps_max.map_or(fps_of(source), |max| max.min(fps_of(source)));
    let work =
        pixels(config.width, config.height) * ms * factor + pixels(source.width, source.height) * SCALE_MS;
    work * fps / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ladder::{fit, standard};

    #[test]
    fn two_rungs_below_1080p_take_about_a_core() {
        let source = Source {
            width: 1920,
            height: 1080,
            codec: Some(Codec::H264),
            fps: Some(30.0),
            bitrate_bps: None,
        };
        let rung = |name| encode_cores(&fit(&standard(name).unwrap(), &source).unwrap(), &source);
        let cores = decode_cores(&source) + rung("720p") + rung("480p");
        assert!((0.7..1.2).contains(&cores), "{cores}");
        assert!(rung("720p") > rung("480p"));
    }

    #[test]
    fn frames_that_are_left_out_cost_nothing() {
        let slow = Source { width: 1280, height: 720, codec: None, fps: None, bitrate_bps: None };
        let fast = Source { fps: Some(60.0), ..slow };
        let rung = |source| encode_cores(&fit(&standard("480p").unwrap(), source).unwrap(), source);
        assert!((rung(&slow) - rung(&fast)).abs() < 1e-9);
        assert!(decode_cores(&fast) > 1.9 * decode_cores(&slow));
    }
}
