//! What is known of a stream, and the rungs that follow from it. Pure.

use crate::config::{Ladder, TranscodeConfig};
use crate::http::codec_name;
use engine::encode::{self, Config};
use engine::ladder::{self, Source, Template};
use engine::mark::Marks;
use hub::StreamStatus;
use media::{Codec, StreamName, TrackId, codec};
use std::collections::HashMap;
use std::fmt;
use tracing::warn;

/// Why a stream has no rungs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It has no pictures, or none have come yet.
    NoPictures,
    /// What it says of them does not tell their size, or has not come yet.
    NoSize,
    /// They are not decoded.
    Codec(Codec),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPictures => f.write_str("the stream has no pictures"),
            Self::NoSize => f.write_str("the stream does not say how large its pictures are"),
            Self::Codec(codec) => {
                write!(
                    f,
                    "pictures of codec {} are not transcoded: publish H.264, H.265 or AV1",
                    codec_name(*codec)
                )
            }
        }
    }
}

/// What is known of the first video track of a stream.
///
/// # Errors
///
/// There are no rungs of it, at least not yet.
pub(crate) fn describe(status: &StreamStatus) -> Result<Source, Unfit> {
    let track = status.tracks.iter().find(|track| track.id == TrackId::VIDEO).ok_or(Unfit::NoPictures)?;
    let codec = match track.codec {
        Codec::H264 => encode::Codec::H264,
        Codec::H265 => encode::Codec::H265,
        Codec::Av1 => encode::Codec::Av1,
        other => return Err(Unfit::Codec(other)),
    };
    let summary = track.config.as_deref().and_then(|config| codec::summary(track.codec, config));
    let summary = summary.ok_or(Unfit::NoSize)?;
    let (Some(width), Some(height)) = (summary.width, summary.height) else { return Err(Unfit::NoSize) };
    let measured = f64::from(status.frames_per_second);
    Ok(Source {
        width,
        height,
        codec: Some(codec),
        fps: fps_of(summary.fps, Some(measured).filter(|fps| *fps > 0.0)),
        bitrate_bps: u32::try_from(status.bits_per_second).ok().filter(|bps| *bps > 0),
    })
}

/// The frame rate of a stream that says one, and shows one: what it says is exact, and often not true.
fn fps_of(said: Option<f64>, measured: Option<f64>) -> Option<f64> {
    let (Some(said), Some(measured)) = (said, measured) else { return measured.or(said) };
    // A rate of fields, or of a clock, is twice as high or more.
    let agrees = said <= measured * 1.5 && measured <= said * 1.5;
    Some(if agrees { said } else { measured })
}

/// The marks of templates, with the bytes of their files, which are read when the server starts.
#[derive(Debug, Default)]
pub(crate) struct Marked(HashMap<String, Result<Marks, String>>);

impl Marked {
    /// Reads those of a configuration that was found valid.
    pub(super) fn load(config: &TranscodeConfig) -> Self {
        let marked = config.template.iter().filter(|template| !template.watermark.0.is_empty());
        Self(marked.map(|template| (template.name.clone(), template.watermark.load())).collect())
    }

    /// A template with its marks. One whose marks are gone is not made without them.
    fn mark(&self, template: Template) -> Option<Template> {
        match self.0.get(&template.name) {
            None => Some(template),
            Some(Ok(marks)) => Some(Template { marks: marks.clone(), ..template }),
            Some(Err(why)) => {
                warn!(rung = template.name, why, "a rung is left out: its watermark cannot be read");
                None
            }
        }
    }
}

/// The rungs of a stream, largest first, with what the encoder of each is asked for.
pub(crate) fn ladder_of(
    config: &TranscodeConfig,
    marked: &Marked,
    name: &StreamName,
    source: &Source,
) -> Vec<(Template, Config)> {
    let templates = match config.ladder_of(name) {
        None => return Vec::new(),
        Some(Ladder::Auto) => {
            let own = |template: Template| {
                // A template of the operator has the place of the known one, and what is known adapts to the stream.
                let is_own = config.template.iter().any(|own| own.name == template.name);
                if is_own { config.template(&template.name).unwrap_or(template) } else { template }
            };
            ladder::automatic(source).into_iter().map(own).collect::<Vec<_>>()
        }
        Some(Ladder::Named(rungs)) => rungs.iter().filter_map(|rung| config.template(rung)).collect(),
    };
    let templates: Vec<_> = templates.into_iter().filter_map(|template| marked.mark(template)).collect();
    ladder::choose(&templates, source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{TranscodeRule, TranscodeTemplate, parse_channel};

    const SOURCE: Source = Source {
        width: 1280,
        height: 720,
        codec: Some(encode::Codec::H264),
        fps: Some(30.0),
        bitrate_bps: Some(4_000_000),
    };

    fn names(config: &TranscodeConfig) -> Vec<String> {
        let rungs = ladder_of(config, &Marked::default(), &parse_channel("live/cam").unwrap(), &SOURCE);
        rungs.into_iter().map(|(template, _)| template.name).collect()
    }

    #[test]
    fn the_frame_rate_is_what_a_stream_says_unless_it_shows_another() {
        assert_eq!(fps_of(Some(29.97), Some(31.25)), Some(29.97), "a few frames, in whole milliseconds");
        assert_eq!(fps_of(Some(60.0), Some(30.1)), Some(30.1), "of fields");
        assert_eq!((fps_of(None, Some(25.1)), fps_of(Some(25.0), None)), (Some(25.1), Some(25.0)));
        assert_eq!(fps_of(None, None), None);
    }

    #[test]
    fn rungs_are_those_of_the_rule_as_far_as_they_suit_the_stream() {
        let mut config = TranscodeConfig::default();
        assert_eq!(names(&config), ["480p", "360p", "240p", "join"]);
        let rungs = ["1080p", "360p", "tiny"].map(str::to_owned).to_vec();
        config.rule = vec![TranscodeRule { stream: "live/*".to_owned(), ladder: Ladder::Named(rungs) }];
        let template = |name: &str, height| TranscodeTemplate {
            name: name.to_owned(),
            height,
            bitrate_bps: 99_000,
            ..TranscodeTemplate::default()
        };
        config.template = vec![template("tiny", 160)];
        assert_eq!(names(&config), ["360p", "tiny"]);
        config.rule.clear();
        config.template = vec![template("480p", 400)];
        let rungs = ladder_of(&config, &Marked::default(), &parse_channel("live/cam").unwrap(), &SOURCE);
        assert_eq!(
            (rungs[0].0.name.as_str(), rungs[0].1.height, rungs[0].1.bitrate_bps),
            ("480p", 400, 99_000)
        );
    }
}
