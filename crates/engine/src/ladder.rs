//! Which rungs a stream has: sizes and rates that never exceed those of its source. Pure.
//!
//! A rung is named by its short side, as people do: `720p` is 1280x720 for a wide picture and 720x1280 for a tall one.

use crate::encode::{Backend, Codec, Config, LOOKAHEAD_LIVE, Preset, Profile, Tune};
use crate::mark::Marks;
use crate::sound::Wanted;
use std::time::Duration;

/// What a rung is made like, whatever the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// What it is called: [`is_name`] holds for it.
    pub name: String,
    /// The short side of the picture, in pixels.
    pub height: u32,
    /// The codec of its packets.
    pub codec: Codec,
    /// Who encodes; `None` is the best that is at hand.
    pub backend: Option<Backend>,
    /// The most frames per second; of faster sources every second, third, ... frame is taken. `None` takes all.
    pub fps_max: Option<f64>,
    /// The most bits per second.
    pub bitrate_bps: u32,
    /// Constant quality, as in [`Config::quality`].
    pub quality: Option<f32>,
    /// As in [`Config::vmaf`].
    pub vmaf: Option<f32>,
    /// Keyframes at most this far apart, beside those of the source.
    pub gop: Option<Duration>,
    /// As in [`Config::b_frames`].
    pub b_frames: u8,
    /// How much work is put into a picture.
    pub preset: Preset,
    /// As in [`Config::profile`].
    pub profile: Option<Profile>,
    /// As in [`Config::tune`].
    pub tune: Option<Tune>,
    /// As in [`Config::denoise`].
    pub denoise: bool,
    /// As in [`Config::regions`].
    pub regions: bool,
    /// Threads; 0 leaves it to the back end.
    pub threads: u8,
    /// What becomes of the sound.
    pub sound: Wanted,
    /// What is put over the pictures. A rung with marks may be as large as its source.
    pub marks: Marks,
}

/// What is known of a source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Source {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Its codec, if it is one that rungs may have.
    pub codec: Option<Codec>,
    /// Frames per second.
    pub fps: Option<f64>,
    /// Bits per second of its pictures.
    pub bitrate_bps: Option<u32>,
}

impl Source {
    fn short_side(&self) -> u32 {
        self.width.min(self.height)
    }

    fn pixels(&self) -> f64 {
        f64::from(self.width) * f64::from(self.height)
    }
}

/// The rung that players begin with on a network they do not know yet.
pub const JOIN: &str = "join";

/// Rungs below the source: short side and bits per second at 30 frames per second. Steps are far enough apart that each is worth a
/// switch: about half the rate of the one above.
const STEPS: [(u32, u32); 6] = [
    (1440, 9_000_000),
    (1080, 4_800_000),
    (720, 2_500_000),
    (480, 1_200_000),
    (360, 700_000),
    (240, 350_000),
];

/// A source of a shorter side is small already: nobody who cannot have it is helped by a smaller one.
const SOURCE_MIN: u32 = 480;

/// Up to this short side motion of more than [`FPS_SMALL`] is not seen, and a better preset costs little.
const SMALL: u32 = 480;
const FPS_SMALL: f64 = 30.0;
/// The rates of [`STEPS`] are for so many frames per second.
const FPS_STEPS: f64 = 30.0;
/// Rate grows by this power of the frame rate: frames that are closer differ less.
const FPS_POWER: f64 = 0.6;
/// Rate shrinks by this power of the pixels for the same look: small pictures have more detail in each pixel.
const PIXELS_POWER: f64 = 0.75;
/// A rung has at most this part of the pixels of its source, or else of its rate: with more nobody gains by a switch.
const PIXELS_PART_MAX: f64 = 0.7;
const RATE_PART_MAX: f64 = 0.7;
/// x264's scale. A little above the default of 23: what it saves goes unseen at the sizes of rungs.
const QUALITY: f32 = 24.0;
/// What differs less from the source than this is not told from it by most people.
const VMAF: f32 = 93.0;
/// No rung is smaller than what hardware encoders take.
const SIDE_MIN: u32 = 64;
/// Below this no codec makes a picture that people watch.
const BITRATE_BPS_MIN: u32 = 50_000;
/// A frame rate is measured over few frames at first, whose times are whole milliseconds: half of the frames are not left out for so
/// little above the most.
const FPS_SPARE: f64 = 0.25;
/// Names are parts of stream names, which have a ceiling of their own.
const NAME_BYTES_MAX: usize = 24;

impl Default for Template {
    fn default() -> Self {
        Self {
            name: String::new(),
            height: 0,
            codec: Codec::H264,
            backend: None,
            fps_max: None,
            bitrate_bps: 0,
            quality: Some(QUALITY),
            vmaf: Some(VMAF),
            gop: None,
            b_frames: 0,
            preset: Preset::Superfast,
            profile: None,
            tune: None,
            denoise: true,
            regions: true,
            threads: 0,
            sound: Wanted::Copy,
            marks: Marks::default(),
        }
    }
}

/// Whether a rung may be called so: letters, digits, `-`, `_` and `.`, so that it can stand in a stream name behind a `~`.
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// The template that is known by its name: `1440p`, `1080p`, `720p`, `480p`, `360p`, `240p`, and `join`.
pub fn standard(name: &str) -> Option<Template> {
    if name == JOIN {
        return Some(join(360));
    }
    let side: u32 = name.strip_suffix('p')?.parse().ok()?;
    let (side, bitrate_bps) = *STEPS.iter().find(|(step, _)| *step == side)?;
    (name == format!("{side}p")).then(|| step(side, bitrate_bps))
}

fn step(side: u32, bitrate_bps: u32) -> Template {
    let is_small = side <= SMALL;
    Template {
        name: format!("{side}p"),
        height: side,
        fps_max: is_small.then_some(FPS_SMALL),
        bitrate_bps,
        preset: if is_small { Preset::Veryfast } else { Preset::Superfast },
        ..Template::default()
    }
}

/// A small rung whose keyframes are close, so that a player is at the live edge at once.
fn join(side: u32) -> Template {
    Template {
        name: JOIN.to_owned(),
        height: side,
        fps_max: Some(FPS_SMALL),
        bitrate_bps: if side >= 360 { 500_000 } else { 300_000 },
        gop: Some(Duration::from_millis(500)),
        preset: Preset::Superfast,
        ..Template::default()
    }
}

/// The rungs that suit a source, largest first, the one to join at the end. None exceeds the source or is nearly like it. Which
/// they are does not depend on the rate of the source, which changes from scene to scene.
pub fn automatic(source: &Source) -> Vec<Template> {
    if source.short_side() < SOURCE_MIN {
        return Vec::new();
    }
    let fps = source.fps.unwrap_or(FPS_STEPS);
    let size = Source { bitrate_bps: None, ..*source };
    let fits = |template: &Template| fit(template, &size).is_some();
    let mut rungs: Vec<_> = STEPS
        .iter()
        .map(|&(side, bitrate_bps)| {
            let template = step(side, bitrate_bps);
            let fps = template.fps_max.map_or(fps, |max| fps.min(max));
            let factor = (fps / FPS_STEPS).max(1.0).powf(FPS_POWER);
            Template { bitrate_bps: (f64::from(bitrate_bps) * factor) as u32, ..template }
        })
        .filter(fits)
        .collect();
    // Half the side of the source or less, so that it begins sooner than that would.
    rungs.extend([360, 240].into_iter().find(|side| side * 2 <= source.short_side()).map(join).filter(fits));
    rungs
}

/// The bits per second that ladders give pictures of this size and rate, whatever they show.
pub fn usual_bps(width: u32, height: u32, fps: f64) -> u32 {
    let side = width.min(height);
    let apart = |step: &(u32, u32)| step.0.abs_diff(side);
    let (step, bps) = STEPS.into_iter().min_by_key(apart).unwrap_or((side, BITRATE_BPS_MIN));
    let pixels = f64::from(width) * f64::from(height) / (f64::from(step) * f64::from(step) * 16.0 / 9.0);
    (f64::from(bps) * pixels.powf(PIXELS_POWER) * (fps / FPS_STEPS).powf(FPS_POWER)) as u32
}

/// What an encoder is asked for to make `template` of `source`; `None` if it would exceed the source, or be nearly like it.
pub fn fit(template: &Template, source: &Source) -> Option<Config> {
    let short = source.short_side();
    if template.height < SIDE_MIN || short < SIDE_MIN || template.height > short {
        return None;
    }
    let scale = f64::from(template.height) / f64::from(short);
    // The nearest even number that is not above the source.
    let side = |of: u32| (((f64::from(of) * scale / 2.0).round() as u32) * 2).min(of & !1);
    let (width, height) = (side(source.width), side(source.height));
    let part = f64::from(width) * f64::from(height) / source.pixels();
    let is_smaller = part <= PIXELS_PART_MAX;
    // What the source spends on as many pixels.
    let worth = source.bitrate_bps.map(|bps| f64::from(bps) * part.min(1.0).powf(PIXELS_POWER));
    let bitrate_bps = worth.map_or(template.bitrate_bps, |worth| template.bitrate_bps.min(worth as u32));
    let is_lighter = source
        .bitrate_bps
        .is_some_and(|bps| f64::from(template.bitrate_bps) <= f64::from(bps) * RATE_PART_MAX);
    let is_another_codec = source.codec.is_some_and(|codec| codec != template.codec);
    let has_own_sound = matches!(template.sound, Wanted::Encoded(_));
    let has_marks = !template.marks.is_empty();
    if !(is_smaller || is_lighter || is_another_codec || has_own_sound || has_marks)
        || template.bitrate_bps < BITRATE_BPS_MIN
    {
        return None;
    }
    Some(Config {
        codec: template.codec,
        backend: template.backend,
        width,
        height,
        fps_max: template.fps_max.and_then(|max| fps_of(max, source.fps)),
        // A source that shows a black picture now will not for ever.
        bitrate_bps: bitrate_bps.max(BITRATE_BPS_MIN),
        quality: template.quality,
        vmaf: template.vmaf,
        gop: template.gop,
        b_frames: template.b_frames,
        lookahead: LOOKAHEAD_LIVE,
        preset: template.preset,
        profile: template.profile,
        tune: template.tune,
        denoise: template.denoise,
        regions: template.regions,
        threads: template.threads,
        marks: template.marks.clone(),
    })
}

/// The frame rate of about `max` or less that takes every n-th frame of a source; `None` is all of them.
fn fps_of(max: f64, source: Option<f64>) -> Option<f64> {
    let Some(fps) = source.filter(|fps| fps.is_finite() && *fps > 0.0) else { return Some(max) };
    let every = (fps / max - FPS_SPARE).ceil();
    (every > 1.0).then(|| fps / every)
}

/// The rungs of `templates` that suit a source and differ enough from each other, in their order.
pub fn choose(templates: &[Template], source: &Source) -> Vec<(Template, Config)> {
    let mut chosen: Vec<(Template, Config)> = Vec::new();
    for template in templates {
        let Some(config) = fit(template, source) else { continue };
        let is_like = |(like, other): &(Template, Config)| {
            let nearly = |a: f64, b: f64, part: f64| a.min(b) > a.max(b) * part;
            let pixels = |config: &Config| f64::from(config.width) * f64::from(config.height);
            template.sound == like.sound
                && template.marks == like.marks
                && config.codec == other.codec
                && config.gop == other.gop
                && (config.profile, config.tune) == (other.profile, other.tune)
                && (config.denoise, config.regions) == (other.denoise, other.regions)
                && nearly(pixels(&config), pixels(other), PIXELS_PART_MAX)
                && nearly(config.bitrate_bps.into(), other.bitrate_bps.into(), RATE_PART_MAX)
        };
        if !chosen.iter().any(is_like) {
            chosen.push((template.clone(), config));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::{Align, Drawing, File, Mark, Place};
    use proptest::prelude::*;

    fn source(width: u32, height: u32) -> Source {
        Source { width, height, codec: Some(Codec::H264), fps: Some(30.0), bitrate_bps: Some(6_000_000) }
    }

    fn sizes(source: &Source) -> Vec<(String, u32, u32)> {
        let rungs = choose(&automatic(source), source);
        rungs.into_iter().map(|(template, config)| (template.name, config.width, config.height)).collect()
    }

    fn expected<const N: usize>(rungs: [(&str, u32, u32); N]) -> Vec<(String, u32, u32)> {
        rungs.into_iter().map(|(name, width, height)| (name.to_owned(), width, height)).collect()
    }

    #[test]
    fn a_source_has_the_rungs_below_it_and_one_to_join() {
        assert_eq!(
            sizes(&source(1920, 1080)),
            expected([
                ("720p", 1280, 720),
                ("480p", 854, 480),
                ("360p", 640, 360),
                ("240p", 426, 240),
                ("join", 640, 360)
            ])
        );
        assert_eq!(
            sizes(&source(1280, 720)),
            expected([("480p", 854, 480), ("360p", 640, 360), ("240p", 426, 240), ("join", 640, 360)])
        );
        assert_eq!(
            sizes(&source(854, 480)),
            expected([("360p", 640, 360), ("240p", 428, 240), ("join", 428, 240)])
        );
        assert_eq!(sizes(&source(640, 360)), [], "it is small already");
    }

    #[test]
    fn the_short_side_counts_whichever_way_the_picture_stands() {
        assert_eq!(
            sizes(&source(720, 1280)),
            expected([("480p", 480, 854), ("360p", 360, 640), ("240p", 240, 426), ("join", 360, 640)])
        );
        assert_eq!(sizes(&source(600, 600))[0], ("480p".to_owned(), 480, 480));
    }

    #[test]
    fn a_rung_that_is_nearly_the_source_is_left_out() {
        assert_eq!(sizes(&source(1422, 800))[0].0, "480p", "720p has 81 % of the pixels");
        assert_eq!(sizes(&source(1600, 900))[0].0, "720p");
        let same = standard("720p").unwrap();
        assert!(fit(&same, &Source { bitrate_bps: Some(3_000_000), ..source(1280, 720) }).is_none());
        assert!(fit(&same, &Source { bitrate_bps: None, ..source(1280, 720) }).is_none());
        let heavy = fit(&same, &source(1280, 720)).unwrap();
        assert_eq!((heavy.width, heavy.height, heavy.bitrate_bps), (1280, 720, 2_500_000));
    }

    #[test]
    fn a_rung_with_marks_may_be_as_large_as_its_source() {
        let plain = standard("720p").unwrap();
        let light = Source { bitrate_bps: Some(1_000_000), ..source(1280, 720) };
        assert_eq!(fit(&plain, &light), None);
        let text = Drawing::Image(File(bytes::Bytes::new()));
        let place = Place { across: Align::Start, down: Align::End };
        let mark = Mark { drawing: text, place, margin: 0.1, height: 0.1, opacity: 1.0 };
        let marked = Template { marks: Marks::new(vec![mark]), name: "marked".to_owned(), ..plain.clone() };
        let config = fit(&marked, &light).unwrap();
        assert_eq!((config.width, config.height, config.bitrate_bps), (1280, 720, 1_000_000));
        assert_eq!(config.marks, marked.marks);
        assert_eq!(
            choose(&[plain, marked], &source(1920, 1080)).len(),
            2,
            "one with marks is not like one without"
        );
    }

    #[test]
    fn a_source_of_another_codec_has_a_rung_of_its_own_size() {
        let hevc = Source { codec: Some(Codec::H265), bitrate_bps: Some(2_000_000), ..source(1280, 720) };
        let rungs = choose(&automatic(&hevc), &hevc);
        assert_eq!((rungs[0].0.name.as_str(), rungs[0].1.codec), ("720p", Codec::H264));
        assert_eq!(rungs[0].1.bitrate_bps, 2_000_000, "never more than the source");
    }

    #[test]
    fn rates_follow_what_the_source_spends_on_its_pixels() {
        let light = Source { bitrate_bps: Some(1_000_000), ..source(1920, 1080) };
        let config = fit(&standard("720p").unwrap(), &light).unwrap();
        assert!((500_000..600_000).contains(&config.bitrate_bps), "{}", config.bitrate_bps);
    }

    #[test]
    fn frames_are_left_out_evenly() {
        for (max, fps, expected) in [
            (30.0, 60.0, Some(30.0)),
            (30.0, 50.0, Some(25.0)),
            (30.0, 59.94, Some(29.97)),
            (30.0, 30.3, None),
            (30.0, 33.3, None),
            (30.0, 48.0, Some(24.0)),
            (30.0, 25.0, None),
            (30.0, 144.0, Some(28.8)),
        ] {
            assert_eq!(fps_of(max, Some(fps)), expected, "{fps}");
        }
        assert_eq!(fps_of(30.0, None), Some(30.0));
        let fast = Source { fps: Some(60.0), ..source(1920, 1080) };
        let rungs = automatic(&fast);
        assert_eq!((rungs[0].name.as_str(), rungs[0].fps_max), ("720p", None));
        assert!(rungs[0].bitrate_bps > 3_500_000, "more motion takes more");
        assert_eq!(rungs[1].bitrate_bps, 1_200_000, "of which 480p has no more than 30");
    }

    #[test]
    fn known_names_have_one_spelling() {
        for name in ["1440p", "720p", "240p", JOIN] {
            assert_eq!(standard(name).unwrap().name, name);
        }
        for name in ["", "p", "0720p", "+720p", "721p", "720", "720P", "Join"] {
            assert_eq!(standard(name), None, "{name}");
        }
        assert!(is_name("720p") && is_name("av1-480.2_x"));
        assert!(!is_name("") && !is_name("a~b") && !is_name("a/b") && !is_name(&"a".repeat(25)));
    }

    #[test]
    fn templates_that_come_to_the_same_are_made_once() {
        let small = Template { name: "small".to_owned(), height: 470, ..standard("480p").unwrap() };
        let light = Template { name: "light".to_owned(), bitrate_bps: 500_000, ..small.clone() };
        let chosen = choose(&[standard("480p").unwrap(), small, light], &source(1280, 720));
        let names: Vec<_> = chosen.iter().map(|(template, _)| template.name.as_str()).collect();
        assert_eq!(names, ["480p", "light"]);
    }

    #[test]
    fn what_other_players_need_is_not_the_same() {
        let plain = standard("480p").unwrap();
        let named = |name: &str| Template { name: name.to_owned(), ..plain.clone() };
        let templates = [
            plain.clone(),
            Template { profile: Some(Profile::Baseline), ..named("old") },
            Template { tune: Some(Tune::Animation), ..named("drawn") },
            Template { denoise: false, ..named("noisy") },
            Template { regions: false, ..named("even") },
            Template { quality: Some(QUALITY + 1.0), vmaf: None, ..named("again") },
        ];
        let chosen = choose(&templates, &source(1280, 720));
        let names: Vec<_> = chosen.iter().map(|(template, _)| template.name.as_str()).collect();
        assert_eq!(names, ["480p", "old", "drawn", "noisy", "even"]);
    }

    proptest! {
        #[test]
        fn no_rung_exceeds_its_source(
            width in 0u32..9000,
            height in 0u32..9000,
            fps in proptest::option::of(0.0f64..300.0),
            bitrate_bps in proptest::option::of(any::<u32>()),
            side in 0u32..9000,
            fps_max in proptest::option::of(1.0f64..300.0),
            codec in proptest::sample::select(vec![None, Some(Codec::H264), Some(Codec::H265)]),
        ) {
            let source = Source { width, height, codec, fps, bitrate_bps };
            let own = Template { name: "own".to_owned(), height: side, fps_max, bitrate_bps: 3_000_000, ..Template::default() };
            let mut templates = automatic(&source);
            templates.push(own);
            for (template, config) in choose(&templates, &source) {
                prop_assert!(config.width <= width && config.height <= height);
                prop_assert!(config.width % 2 == 0 && config.height % 2 == 0 && config.width > 0 && config.height > 0);
                prop_assert!(config.bitrate_bps <= template.bitrate_bps.max(BITRATE_BPS_MIN));
                if let Some(bps) = bitrate_bps {
                    prop_assert!(config.bitrate_bps <= bps.max(BITRATE_BPS_MIN));
                }
                if let (Some(max), Some(fps)) = (config.fps_max, fps) {
                    prop_assert!(fps <= 0.0 || max <= fps);
                }
                // The shape is that of the source, to the two pixels that evenness costs.
                let exact = f64::from(config.width.min(config.height)) * f64::from(width.max(height));
                let kept = f64::from(config.width.max(config.height)) * f64::from(width.min(height));
                prop_assert!((exact - kept).abs() <= 2.0 * f64::from(width.max(height)) + 2.0 * f64::from(width.min(height)));
            }
        }

        #[test]
        fn an_automatic_ladder_goes_down_by_steps_that_are_worth_it(short in 64u32..4400, wide in 1.0f64..2.5) {
            let long = (f64::from(short) * wide) as u32;
            let source = Source { width: long, height: short, ..source(0, 0) };
            let rungs = choose(&automatic(&source), &source);
            let steps: Vec<_> = rungs.iter().filter(|(template, _)| template.name != JOIN).collect();
            for pair in steps.windows(2) {
                let pixels = |config: &Config| f64::from(config.width) * f64::from(config.height);
                prop_assert!(pixels(&pair[1].1) < pixels(&pair[0].1) * PIXELS_PART_MAX);
                prop_assert!(pair[1].1.bitrate_bps < pair[0].1.bitrate_bps);
            }
            prop_assert_eq!(rungs.len() - steps.len(), usize::from(short >= 480));
        }
    }
}
