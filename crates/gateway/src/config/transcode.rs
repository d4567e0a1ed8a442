//! The part of the configuration that is about rungs: smaller versions of live streams, made while somebody watches them.

use super::{DURATION_MS_MAX, KeyDoc, Watermarks};
use crate::pattern::Pattern;
use engine::decode;
use engine::encode::{Backend, Codec, Preset, Profile, Tune};
use engine::ladder::{self, Template};
use engine::mark::Marks;
use engine::sound::{self, Wanted};
use media::StreamName;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::time::Duration;

section! {
    /// Rungs: smaller versions of live streams, for viewers whose network is slow. `live/cam~480p` is one of `live/cam`. They are
    /// made while somebody watches them. `docs/transcoding.md` has recipes.
    TranscodeConfig {
        /// Whether there are any.
        enabled: bool = true,
        /// Whether HLS and DASH offer the rungs beside the stream itself, so that players change between them on their own.
        listed: bool = true,
        /// How long a rung is still made after its last viewer has left.
        idle_stop_ms: u64 = 10_000,
        /// How many processor cores all rungs together may take. 0 is all but a quarter of them.
        cores_max: f64 = 0.0,
        /// Who encodes where a template does not say, best first, such as `["nvenc"]`: `rushlight engine probe` shows what works here. What
        /// fails is passed over, and encoders on the processor come after them. If there are none, graphics cards are tried at the start, and
        /// those that are fast enough come first.
        backends: Vec<BackendName> = Vec::new(),
        /// Who decodes streams that have rungs: `["software"]` is always the processor, `["nvdec"]` NVIDIA's graphics cards where they can, of
        /// `"nvdec"`, `"qsv"`, `"vaapi"`, `"videotoolbox"` and `"v4l2"`. If there are none, graphics cards are tried at the start, and those that
        /// do it better than the processor decode. The processor begins every stream, and goes on where a card fails.
        decoders: Vec<DecoderName> = Vec::new(),
        /// How much rungs make way for everything else on the machine: 0 not at all, 19 as far as can be.
        nice: u8 = 5,
        /// Streams that are looked at for black and frozen pictures and for silence: `"live/me"`, or patterns such as `"live/*"`.
        watch: Vec<String> = Vec::new(),
        /// How long a fault lasts before it is told.
        watch_after_ms: u64 = 10_000,
        /// Which streams have rungs. Without rules, all have those that suit their size.
        rule: Vec<TranscodeRule> = Vec::new(),
        /// Rungs of your own, to be named in rules.
        template: Vec<TranscodeTemplate> = Vec::new(),
    }
}

section! {
    /// A rule: which rungs streams of this name have. The first rule that fits a stream counts.
    TranscodeRule {
        /// The stream: `"live/me"`, or a pattern: `"live/*"`, `"live/show-*"`, `"*/*"`.
        stream: String = String::new(),
        /// `"auto"` for those that suit the stream, or a list: `["720p", "480p", "join"]`, of 1440p, 1080p, 720p, 480p, 360p, 240p,
        /// `join` (small, with close keyframes) and templates of your own. An empty list is none. No rung exceeds its stream.
        ladder: Ladder = Ladder::Auto,
    }
}

section! {
    /// A rung of your own.
    TranscodeTemplate {
        /// What it is called: letters, digits, `-`, `_` and `.`. It may be one of the known names, and takes its place.
        name: String = String::new(),
        /// The short side of the picture in pixels: 720 is 1280x720, or 720x1280 of a tall picture.
        height: u32 = 720,
        /// `"h264"`, `"h265"`, or `"av1"`.
        codec: CodecName = CodecName::H264,
        /// Who encodes: `"x264"`, `"x265"`, `"svt-av1"`, `"openh264"`, `"nvenc"`, `"vaapi"`, `"qsv"`, `"v4l2"` or `"videotoolbox"`.
        /// Unset, the best that works.
        backend: Option<BackendName> = None,
        /// The most frames per second; 0 is as many as the stream has.
        fps_max: f64 = 0.0,
        /// The most bits per second.
        bitrate_bps: u32 = 2_500_000,
        /// How good pictures look at most, as a number of the codec: for H.264 18 is hard to tell from the stream, 28 is coarse. Simple
        /// pictures then take less than `bitrate_bps`. 0 fills it always.
        quality: f32 = 24.0,
        /// How good pictures are to look, on the scale of VMAF, 0 to 100: `quality` is only where it begins then, and becomes worse for simple
        /// scenes and better for hard ones. 0 stays with `quality`. Unset it is 93 where there is a `quality`.
        vmaf: Option<f32> = None,
        /// Keyframes at most so many milliseconds apart, beside those of the stream; 0 is only there.
        gop_ms: u64 = 0,
        /// Frames that refer to later ones between two that do not: they make a rung smaller, and later.
        b_frames: u8 = 0,
        /// How much work goes into a picture: `"ultrafast"`, `"superfast"`, `"veryfast"`, `"faster"`, `"fast"` or `"medium"`.
        preset: PresetName = PresetName(Preset::Superfast),
        /// What players must be able to decode of H.264: `"baseline"`, `"main"` or `"high"`. Unset, what the encoder makes, which is `"high"` for most.
        profile: Option<ProfileName> = None,
        /// What pictures are like: `"film"`, `"animation"`, `"grain"`, `"stillimage"` or `"fastdecode"`, for x264; the second, the third and the last for
        /// x265, too. Unset, they are encoded for the least bits at the same judgement of VMAF.
        tune: Option<TuneName> = None,
        /// Noise of cameras is taken out where there is much of it and nothing moves, such as in a dark room: it takes bits and is nothing to look at.
        /// Unset, so it is, but not with `tune = "grain"` or `"film"`.
        denoise: Option<bool> = None,
        /// Faces and small text, which people look at, are kept sharper than the rest of the picture, by x264, x265, VA-API and Quick Sync.
        regions: bool = true,
        /// The sound: `"copy"` is that of the stream, with all its tracks; `"aac"` and `"opus"` encode its first track; `"auto"` makes AAC of
        /// it, unless it is AAC with one or two channels already, which everything plays; `"silence"` is `"copy"`. With `"auto"`, `"aac"` and
        /// `"silence"` a stream without sound gets silence.
        audio: AudioName = AudioName::Copy,
        /// Bits per second of sound that is encoded; 0 is what suits its codec and channels.
        audio_bitrate_bps: u32 = 0,
        /// Channels of sound that is encoded: 2, or 1. Surround sound is mixed down.
        audio_channels: u8 = 2,
        /// What is put over the pictures, such as `{ image = "logo.png", place = "top-right" }` or `{ time = "%F %T" }`, or a list of such.
        /// `docs/transcoding.md` has all there is. A rung that has it may be as large as its stream.
        watermark: Watermarks = Watermarks::default(),
    }
}

/// The rungs of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(untagged, expecting = "write \"auto\", or a list of rungs such as [\"720p\", \"480p\"]")]
pub enum Ladder {
    /// Those that suit the stream.
    #[default]
    #[serde(with = "auto")]
    Auto,
    /// These, as far as they suit it.
    Named(Vec<String>),
}

/// The word `"auto"`.
mod auto {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("auto")
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<(), D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "auto" => Ok(()),
            other => Err(D::Error::custom(format!("{other:?} is neither \"auto\" nor a list of rungs"))),
        }
    }
}

/// A codec as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecName {
    /// H.264, which everything plays.
    #[default]
    H264,
    /// H.265.
    H265,
    /// AV1.
    Av1,
}

/// What becomes of sound, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioName {
    /// It stays as it is.
    #[default]
    Copy,
    /// AAC, where it is not playable everywhere as it is.
    Auto,
    /// AAC.
    Aac,
    /// Opus.
    Opus,
    /// It stays as it is, and silence is where there is none.
    Silence,
}

/// A preset as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PresetName(pub Preset);

impl TryFrom<String> for PresetName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = || Preset::ALL.map(Preset::name).join(", ");
        Preset::parse(&name)
            .map(Self)
            .ok_or_else(|| format!("{name:?} is no preset: write one of {}", known()))
    }
}

impl From<PresetName> for String {
    fn from(preset: PresetName) -> Self {
        preset.0.name().to_owned()
    }
}

/// A profile as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(pub Profile);

impl TryFrom<String> for ProfileName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = || Profile::ALL.map(Profile::name).join(", ");
        Profile::parse(&name)
            .map(Self)
            .ok_or_else(|| format!("{name:?} is no profile: write one of {}", known()))
    }
}

impl From<ProfileName> for String {
    fn from(profile: ProfileName) -> Self {
        profile.0.name().to_owned()
    }
}

/// What pictures are like, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TuneName(pub Tune);

impl TryFrom<String> for TuneName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = || Tune::ALL.map(Tune::name).join(", ");
        Tune::parse(&name).map(Self).ok_or_else(|| format!("{name:?} is no tune: write one of {}", known()))
    }
}

impl From<TuneName> for String {
    fn from(tune: TuneName) -> Self {
        tune.0.name().to_owned()
    }
}

/// A back end as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackendName(pub Backend);

impl TryFrom<String> for BackendName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = || Backend::ALL.map(Backend::name).join(", ");
        Backend::parse(&name)
            .map(Self)
            .ok_or_else(|| format!("{name:?} is no encoder: write one of {}", known()))
    }
}

impl From<BackendName> for String {
    fn from(backend: BackendName) -> Self {
        backend.0.name().to_owned()
    }
}

/// A decoder by its name in configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DecoderName(pub decode::Backend);

impl TryFrom<String> for DecoderName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = || decode::Backend::ALL.map(decode::Backend::name).join(", ");
        decode::Backend::parse(&name)
            .map(Self)
            .ok_or_else(|| format!("{name:?} is no decoder: write one of {}", known()))
    }
}

impl From<DecoderName> for String {
    fn from(decoder: DecoderName) -> Self {
        decoder.0.name().to_owned()
    }
}

/// Taller pictures no encoder in use takes in real time.
const HEIGHTS: std::ops::RangeInclusive<u32> = 64..=4320;
/// Below this nobody sees anything; above it is a unit mistaken.
const BITRATES: std::ops::RangeInclusive<u32> = 50_000..=200_000_000;
/// Below the least nobody cares how it looks, and above the most nobody tells it from the stream.
const VMAFS: std::ops::RangeInclusive<f32> = 50.0..=99.0;
/// Of sound. Below this no codec has words that are understood; above it nothing is gained.
const AUDIO_BITRATES: std::ops::RangeInclusive<u32> = 16_000..=512_000;
/// More rungs of one stream than viewers tell apart.
const RUNGS_MAX: usize = 16;
/// More is delay without gain.
const B_FRAMES_MAX: u8 = 8;
/// Where the scale of a codec ends: that of H.264 and H.265 (`QP`), or that of AV1 as its encoders take it.
const fn quality_max(codec: Codec) -> f32 {
    match codec {
        Codec::H264 | Codec::H265 => 51.0,
        Codec::Av1 => 63.0,
    }
}
/// At which music is hard to tell from its source.
const AAC_BPS_PER_CHANNEL: u32 = 64_000;
const OPUS_BPS_PER_CHANNEL: u32 = 48_000;
/// More than any machine has.
const CORES_MAX: f64 = 4096.0;
/// Of the kernel.
const NICE_MAX: u8 = 19;

impl TranscodeConfig {
    /// Calls `wrong` with the key and the message of every problem.
    pub(super) fn validate(&self, wrong: &mut impl FnMut(&str, String)) {
        if self.idle_stop_ms > DURATION_MS_MAX {
            wrong(
                "transcode.idle_stop_ms",
                format!("must lie between 0 and {DURATION_MS_MAX} (milliseconds)"),
            );
        }
        if !(0.0..=CORES_MAX).contains(&self.cores_max) {
            wrong("transcode.cores_max", "must be 0 (all but a quarter) or a number of cores".to_owned());
        }
        if self.nice > NICE_MAX {
            wrong("transcode.nice", format!("must lie between 0 and {NICE_MAX}"));
        }
        if self.watch_after_ms > DURATION_MS_MAX {
            wrong(
                "transcode.watch_after_ms",
                format!("must lie between 0 and {DURATION_MS_MAX} (milliseconds)"),
            );
        }
        for (i, stream) in self.watch.iter().enumerate() {
            if let Err(message) = Pattern::parse(stream) {
                wrong(&format!("transcode.watch.{i}"), message);
            }
        }
        let mut names = HashSet::new();
        for (i, template) in self.template.iter().enumerate() {
            template.validate(&mut |key, message| wrong(&format!("transcode.template.{i}.{key}"), message));
            if !names.insert(&template.name) {
                wrong(
                    &format!("transcode.template.{i}.name"),
                    format!("{:?} is listed twice", template.name),
                );
            }
        }
        let mut streams = HashSet::new();
        for (i, rule) in self.rule.iter().enumerate() {
            let key = format!("transcode.rule.{i}");
            match Pattern::parse(&rule.stream) {
                Err(message) => wrong(&format!("{key}.stream"), message),
                Ok(_) if !streams.insert(&rule.stream) => {
                    let message = format!("{} is listed twice, and the first rule counts", rule.stream);
                    wrong(&format!("{key}.stream"), message);
                }
                Ok(_) => {}
            }
            let Ladder::Named(rungs) = &rule.ladder else { continue };
            if rungs.len() > RUNGS_MAX {
                wrong(&format!("{key}.ladder"), format!("has more than {RUNGS_MAX} rungs"));
            }
            for (j, rung) in rungs.iter().enumerate() {
                let key = format!("{key}.ladder.{j}");
                if self.template(rung).is_none() {
                    let message = "is no rung: write 1440p, 1080p, 720p, 480p, 360p, 240p, join, or the name of a template";
                    wrong(&key, format!("{rung:?} {message}"));
                } else if rungs[..j].contains(rung) {
                    wrong(&key, format!("{rung:?} is listed twice"));
                }
            }
        }
    }

    /// How long a rung is made after its last viewer has left.
    pub fn idle_stop(&self) -> Duration {
        Duration::from_millis(self.idle_stop_ms)
    }

    /// How long a fault lasts before it is told.
    pub fn watch_after(&self) -> Duration {
        Duration::from_millis(self.watch_after_ms)
    }

    /// Whether a stream is looked at for faults.
    pub(crate) fn watches(&self, name: &StreamName) -> bool {
        self.watch.iter().any(|stream| Pattern::parse(stream).is_ok_and(|pattern| pattern.matches(name)))
    }

    /// How many cores rungs may take.
    pub fn cores(&self) -> f64 {
        if self.cores_max > 0.0 {
            return self.cores_max;
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        cores as f64 * 0.75
    }

    /// Which rungs a stream has, if it has any.
    pub(crate) fn ladder_of(&self, name: &StreamName) -> Option<&Ladder> {
        const AUTO: &Ladder = &Ladder::Auto;
        if !self.enabled {
            return None;
        }
        if self.rule.is_empty() {
            return Some(AUTO);
        }
        let fits =
            |rule: &&TranscodeRule| Pattern::parse(&rule.stream).is_ok_and(|pattern| pattern.matches(name));
        self.rule.iter().find(fits).map(|rule| &rule.ladder)
    }

    /// The template of that name, but for its marks: one of the configuration, or one that is known.
    pub(crate) fn template(&self, name: &str) -> Option<Template> {
        let own = self.template.iter().find(|template| template.name == name);
        own.map(TranscodeTemplate::to_template).or_else(|| ladder::standard(name))
    }
}

impl TranscodeTemplate {
    fn validate(&self, wrong: &mut impl FnMut(&str, String)) {
        if !ladder::is_name(&self.name) {
            wrong("name", "a rung has a short name of letters, digits, '-', '_' and '.'".to_owned());
        }
        if !HEIGHTS.contains(&self.height) {
            wrong("height", format!("must lie between {} and {}", HEIGHTS.start(), HEIGHTS.end()));
        }
        if !BITRATES.contains(&self.bitrate_bps) {
            wrong("bitrate_bps", format!("must lie between {} and {}", BITRATES.start(), BITRATES.end()));
        }
        if !(self.fps_max == 0.0 || (1.0..=1000.0).contains(&self.fps_max)) {
            wrong("fps_max", "must be 0 (as the stream) or lie between 1 and 1000".to_owned());
        }
        let quality_max = quality_max(self.to_codec());
        if !(0.0..=quality_max).contains(&self.quality) {
            wrong("quality", format!("must lie between 0 (fill the bit rate) and {quality_max}"));
        }
        match self.vmaf {
            Some(vmaf) if vmaf != 0.0 && !VMAFS.contains(&vmaf) => {
                let (least, most) = (VMAFS.start(), VMAFS.end());
                wrong("vmaf", format!("must be 0 (stay with quality) or lie between {least} and {most}"));
            }
            Some(vmaf) if vmaf != 0.0 && self.quality == 0.0 => {
                wrong(
                    "vmaf",
                    "needs a quality to begin with: leave it out, or set quality above 0".to_owned(),
                );
            }
            _ => {}
        }
        if self.gop_ms != 0 && !(100..=60_000).contains(&self.gop_ms) {
            wrong(
                "gop_ms",
                "must be 0 (as the stream) or lie between 100 and 60000 (milliseconds)".to_owned(),
            );
        }
        if self.b_frames > B_FRAMES_MAX {
            wrong("b_frames", format!("must lie between 0 and {B_FRAMES_MAX}"));
        }
        if self.audio_bitrate_bps != 0 && !AUDIO_BITRATES.contains(&self.audio_bitrate_bps) {
            let (least, most) = (AUDIO_BITRATES.start(), AUDIO_BITRATES.end());
            wrong("audio_bitrate_bps", format!("must be 0 (what suits) or lie between {least} and {most}"));
        }
        if !(1..=2).contains(&self.audio_channels) {
            wrong("audio_channels", "must be 1 or 2".to_owned());
        }
        if self.profile.is_some() && self.codec != CodecName::H264 {
            wrong("profile", "is for H.264 alone: leave it out".to_owned());
        }
        if let Some(TuneName(tune)) = self.tune
            && !tune.suits(self.to_codec())
        {
            wrong("tune", format!("{:?} is not for this codec", tune.name()));
        }
        if self.profile == Some(ProfileName(Profile::Baseline)) && self.b_frames > 0 {
            wrong("b_frames", "must be 0 with the profile \"baseline\", which has none".to_owned());
        }
        self.watermark.validate(&mut |key, message| wrong(&format!("watermark{key}"), message));
        if let Some(BackendName(backend)) = self.backend
            && !backend.codecs().contains(&self.to_codec())
        {
            wrong("backend", format!("{backend} does not make the codec that is asked for"));
        }
    }

    fn to_codec(&self) -> Codec {
        match self.codec {
            CodecName::H264 => Codec::H264,
            CodecName::H265 => Codec::H265,
            CodecName::Av1 => Codec::Av1,
        }
    }

    fn to_template(&self) -> Template {
        Template {
            name: self.name.clone(),
            height: self.height,
            codec: self.to_codec(),
            backend: self.backend.map(|backend| backend.0),
            fps_max: (self.fps_max > 0.0).then_some(self.fps_max),
            bitrate_bps: self.bitrate_bps,
            quality: (self.quality > 0.0).then_some(self.quality),
            vmaf: match self.vmaf {
                _ if self.quality <= 0.0 => None,
                None => Template::default().vmaf,
                Some(vmaf) => (vmaf > 0.0).then_some(vmaf),
            },
            gop: (self.gop_ms > 0).then(|| Duration::from_millis(self.gop_ms)),
            b_frames: self.b_frames,
            preset: self.preset.0,
            profile: self.profile.map(|profile| profile.0),
            tune: self.tune.map(|tune| tune.0),
            denoise: self.denoise.unwrap_or(!keeps_noise(self.tune)),
            regions: self.regions,
            threads: 0,
            sound: self.to_sound(),
            marks: Marks::default(),
        }
    }

    fn to_sound(&self) -> Wanted {
        let encoded = |codec, per_channel: u32| sound::Config {
            codec,
            bitrate_bps: match self.audio_bitrate_bps {
                0 => per_channel * u32::from(self.audio_channels),
                bps => bps,
            },
            channels: self.audio_channels,
        };
        let aac = encoded(sound::Codec::Aac, AAC_BPS_PER_CHANNEL);
        match self.audio {
            AudioName::Copy => Wanted::Copy,
            AudioName::Silence => Wanted::Filled,
            AudioName::Auto => Wanted::Playable(aac),
            AudioName::Aac => Wanted::Encoded(aac),
            AudioName::Opus => Wanted::Encoded(encoded(sound::Codec::Opus, OPUS_BPS_PER_CHANNEL)),
        }
    }
}

/// Whether pictures are encoded so that their noise stays: then it is worth its bits.
fn keeps_noise(tune: Option<TuneName>) -> bool {
    matches!(tune, Some(TuneName(Tune::Grain | Tune::Film)))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn rule(stream: &str, rungs: &[&str]) -> TranscodeRule {
        let ladder = Ladder::Named(rungs.iter().map(|rung| (*rung).to_owned()).collect());
        TranscodeRule { stream: stream.to_owned(), ladder }
    }

    fn name(app: &str, channel: &str) -> StreamName {
        StreamName::parse(app, channel).unwrap()
    }

    #[test]
    fn without_rules_every_stream_has_what_suits_it() {
        let config = TranscodeConfig::default();
        assert_eq!(config.ladder_of(&name("live", "cam")), Some(&Ladder::Auto));
        let off = TranscodeConfig { enabled: false, ..config };
        assert_eq!(off.ladder_of(&name("live", "cam")), None);
    }

    #[test]
    fn the_first_rule_that_fits_counts_and_others_have_no_rungs() {
        let rules = vec![rule("live/quiet", &[]), rule("live/*", &["480p"])];
        let config = TranscodeConfig { rule: rules, ..TranscodeConfig::default() };
        let rungs = |app, channel| match config.ladder_of(&name(app, channel)) {
            Some(Ladder::Named(rungs)) => Some(rungs.len()),
            _ => None,
        };
        assert_eq!(
            (rungs("live", "quiet"), rungs("live", "cam"), rungs("tv", "cam")),
            (Some(0), Some(1), None)
        );
    }

    #[test]
    fn a_template_takes_the_place_of_a_known_one() {
        let own = TranscodeTemplate {
            name: "480p".to_owned(),
            height: 480,
            bitrate_bps: 600_000,
            gop_ms: 1000,
            ..TranscodeTemplate::default()
        };
        let config = TranscodeConfig { template: vec![own], ..TranscodeConfig::default() };
        let template = config.template("480p").unwrap();
        assert_eq!((template.bitrate_bps, template.gop), (600_000, Some(Duration::from_secs(1))));
        assert_eq!(config.template("720p"), ladder::standard("720p"));
        assert_eq!(config.template("own"), None);
    }

    #[test]
    fn sound_has_the_rate_that_suits_its_codec_unless_a_template_says_another() {
        let of = |audio, audio_bitrate_bps, audio_channels| {
            let template = TranscodeTemplate {
                audio,
                audio_bitrate_bps,
                audio_channels,
                ..TranscodeTemplate::default()
            };
            match template.to_template().sound {
                Wanted::Encoded(config) | Wanted::Playable(config) => Some(config.bitrate_bps),
                Wanted::Copy | Wanted::Filled => None,
            }
        };
        assert_eq!(of(AudioName::Aac, 0, 2), Some(128_000));
        assert_eq!(of(AudioName::Auto, 0, 1), Some(64_000));
        assert_eq!(of(AudioName::Opus, 32_000, 2), Some(32_000));
        assert_eq!((of(AudioName::Copy, 32_000, 2), of(AudioName::Silence, 32_000, 2)), (None, None));
    }

    #[test]
    fn a_rung_is_as_good_to_look_at_as_others_where_it_has_a_quality() {
        let of = |quality, vmaf| {
            let template =
                TranscodeTemplate { name: "own".to_owned(), quality, vmaf, ..TranscodeTemplate::default() };
            let mut problems = Vec::new();
            template.validate(&mut |key, message| problems.push(format!("{key} {message}")));
            let made = template.to_template();
            problems.is_empty().then_some((made.quality, made.vmaf)).ok_or(problems)
        };
        assert_eq!(of(24.0, None), Ok((Some(24.0), Some(93.0))));
        assert_eq!(of(24.0, Some(0.0)), Ok((Some(24.0), None)));
        assert_eq!(of(24.0, Some(80.0)), Ok((Some(24.0), Some(80.0))));
        assert_eq!((of(0.0, None), of(0.0, Some(0.0))), (Ok((None, None)), Ok((None, None))));
        let why = "vmaf needs a quality to begin with: leave it out, or set quality above 0";
        assert_eq!(of(0.0, Some(93.0)), Err(vec![why.to_owned()]));
        let why = "vmaf must be 0 (stay with quality) or lie between 50 and 99";
        assert_eq!(of(24.0, Some(12.0)), Err(vec![why.to_owned()]));
    }

    #[test]
    fn noise_stays_where_a_tune_keeps_it() {
        let of = |tune: Option<Tune>, denoise| {
            let tune = tune.map(TuneName);
            TranscodeTemplate { tune, denoise, ..TranscodeTemplate::default() }.to_template().denoise
        };
        assert!(of(None, None) && of(Some(Tune::Animation), None));
        assert!(!of(Some(Tune::Grain), None) && !of(Some(Tune::Film), None) && !of(None, Some(false)));
        assert!(of(Some(Tune::Grain), Some(true)), "unless it says otherwise");
    }

    #[test]
    fn a_template_asks_for_what_its_codec_and_its_encoder_can_do() {
        let wrong_keys = |codec, quality, backend: Option<Backend>| {
            let template = TranscodeTemplate {
                name: "own".to_owned(),
                codec,
                quality,
                backend: backend.map(BackendName),
                ..TranscodeTemplate::default()
            };
            let mut keys = Vec::new();
            template.validate(&mut |key, _| keys.push(key.to_owned()));
            keys
        };
        assert_eq!(wrong_keys(CodecName::H264, 51.0, None), Vec::<String>::new());
        assert_eq!(wrong_keys(CodecName::H264, 52.0, None), ["quality"]);
        assert_eq!(wrong_keys(CodecName::H265, 52.0, None), ["quality"]);
        assert_eq!(wrong_keys(CodecName::Av1, 63.0, Some(Backend::Nvenc)), Vec::<String>::new());
        assert_eq!(wrong_keys(CodecName::Av1, 63.5, Some(Backend::V4l2)), ["quality", "backend"]);
        assert_eq!(wrong_keys(CodecName::Av1, 30.0, Some(Backend::VideoToolbox)), ["backend"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let bad = TranscodeTemplate {
            name: "a~b".to_owned(),
            height: 1,
            bitrate_bps: 1,
            fps_max: 0.5,
            quality: -1.0,
            gop_ms: 1,
            b_frames: 9,
            backend: Some(BackendName(Backend::SvtAv1)),
            audio_bitrate_bps: 1,
            audio_channels: 6,
            ..TranscodeTemplate::default()
        };
        let twice = TranscodeTemplate { name: "own".to_owned(), ..TranscodeTemplate::default() };
        let transcode = TranscodeConfig {
            idle_stop_ms: 1 << 40,
            cores_max: -1.0,
            nice: 20,
            watch: vec!["live/*".to_owned(), "live".to_owned()],
            watch_after_ms: 1 << 40,
            rule: vec![rule("live", &["own", "own", "777p"]), rule("a/*", &[]), rule("a/*", &[])],
            template: vec![bad, twice.clone(), twice],
            ..TranscodeConfig::default()
        };
        let problems = Config { transcode, ..Config::default() }.validate().unwrap_err();
        let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
        let expected = [
            "transcode.idle_stop_ms",
            "transcode.cores_max",
            "transcode.nice",
            "transcode.watch_after_ms",
            "transcode.watch.1",
            "transcode.template.0.name",
            "transcode.template.0.height",
            "transcode.template.0.bitrate_bps",
            "transcode.template.0.fps_max",
            "transcode.template.0.quality",
            "transcode.template.0.gop_ms",
            "transcode.template.0.b_frames",
            "transcode.template.0.audio_bitrate_bps",
            "transcode.template.0.audio_channels",
            "transcode.template.0.backend",
            "transcode.template.2.name",
            "transcode.rule.0.stream",
            "transcode.rule.0.ladder.1",
            "transcode.rule.0.ladder.2",
            "transcode.rule.2.stream",
        ];
        assert_eq!(keys, expected);
    }
}
