//! The part of the configuration that is about pictures for viewers whose publisher is away.

use super::watermark::{Wrong, read};
use super::{DURATION_MS_MAX, KeyDoc, PlaceName, Watermark};
use crate::pattern::Pattern;
use engine::limits::MARKS_BYTES_MAX;
use engine::mark::{Align, Drawing, File, Mark, Marks, Place, check_picture};
use media::StreamName;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// A picture for viewers while the publisher of their stream is away. `docs/slate.md` says what they see of it.
    SlateConfig {
        /// Which streams have it: names such as `"live/me"`, or patterns: `"live/*"`, `"live/show-*"`, `"*/*"`.
        streams: Vec<String> = Vec::new(),
        /// The picture: a PNG, JPEG or WebP file. It keeps its shape, in the middle of a dark gray. Unset, there is `text` alone.
        image: Option<PathBuf> = None,
        /// A line over it. Unset, `"Back in a moment"` where there is no image.
        text: Option<String> = None,
        /// The font of `text`: a .ttf, .otf or .ttc file. Unset, one that systems have.
        font: Option<PathBuf> = None,
        /// How long a publisher is away before viewers see it. Who is back sooner goes on without.
        after_ms: u64 = 500,
        /// How long it is shown; then the stream ends.
        max_ms: u64 = 60_000,
        /// Whether it is shown for publishers that end their stream on purpose, too.
        after_end: bool = false,
    }
}

/// What is said where nothing else is.
const TEXT: &str = "Back in a moment";
/// As parts of the short side.
const TEXT_HEIGHT: f64 = 0.1;
const CAPTION_HEIGHT: f64 = 0.07;
/// Higher than any picture: an image becomes as large as it can be.
const WHOLE: f32 = 100.0;

impl SlateConfig {
    /// Calls `wrong` with the key and the message of every problem. `grace` is how long a stream waits for its publisher.
    pub(super) fn validate(&self, grace: Duration, wrong: &mut impl FnMut(&str, String)) {
        for (i, stream) in self.streams.iter().enumerate() {
            if let Err(message) = Pattern::parse(stream) {
                wrong(&format!("slate.streams.{i}"), message);
            }
        }
        if let Err((key, message)) = self.load() {
            wrong(&format!("slate.{key}"), message);
        }
        if !self.streams.is_empty() && Duration::from_millis(self.after_ms) >= grace {
            wrong(
                "slate.after_ms",
                "must be below hub.grace_ms, when a stream without publisher ends".to_owned(),
            );
        }
        if !(1_000..=DURATION_MS_MAX).contains(&self.max_ms) {
            wrong("slate.max_ms", format!("must lie between 1000 and {DURATION_MS_MAX} (milliseconds)"));
        }
    }

    /// Whether viewers of a stream see it.
    pub fn is_for(&self, name: &StreamName) -> bool {
        let fits = |stream: &String| Pattern::parse(stream).is_ok_and(|pattern| pattern.matches(name));
        self.streams.iter().any(fits)
    }

    /// Whether viewers of a stream see it when its publisher has ended it.
    pub fn is_for_end_of(&self, name: &StreamName) -> bool {
        self.after_end && self.is_for(name)
    }

    /// The time that a publisher is away before it is shown.
    pub(crate) fn after(&self) -> Duration {
        Duration::from_millis(self.after_ms)
    }

    /// The time that it is shown at most.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_millis(self.max_ms)
    }

    /// Reads what is to be seen.
    ///
    /// # Errors
    ///
    /// The key that is wrong, and what is wrong with it.
    pub(crate) fn load(&self) -> Result<Marks, Wrong> {
        let mut marks = Vec::new();
        let mut bytes = 0;
        if let Some(path) = &self.image {
            let wrong = |message| ("image", message);
            let file = read(path).map_err(wrong)?;
            check_picture(&file).map_err(|why| wrong(format!("{} {why}", path.display())))?;
            bytes += file.len();
            marks.push(Mark {
                drawing: Drawing::Image(File(file.into())),
                place: Place { across: Align::Middle, down: Align::Middle },
                margin: 0.0,
                height: WHOLE,
                opacity: 1.0,
            });
        }
        let (place, height) = match self.image {
            Some(_) => (PlaceName::Bottom, CAPTION_HEIGHT),
            None => (PlaceName::Center, TEXT_HEIGHT),
        };
        let line = |text: &str| {
            let font = self.font.clone();
            Watermark { text: Some(text.to_owned()), font, place, height, ..Watermark::default() }
                .load_checked()
        };
        match &self.text {
            Some(text) if text.is_empty() => {}
            Some(text) => marks.push(line(text)?),
            // Where there is no font it goes without.
            None if self.image.is_none() => match line(TEXT) {
                Err(error) if self.font.is_some() => return Err(error),
                line => marks.extend(line.ok()),
            },
            None => {}
        }
        if let Some(Mark { drawing: Drawing::Text { font, .. }, .. }) = marks.last() {
            bytes += font.0.len();
        }
        match bytes > MARKS_BYTES_MAX {
            true => Err((
                "image",
                format!("and the font have more than {MARKS_BYTES_MAX} bytes: use smaller ones"),
            )),
            false => Ok(Marks::new(marks)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn it_is_for_the_streams_that_are_named() {
        let name = |channel| StreamName::parse("live", channel).unwrap();
        assert!(!SlateConfig::default().is_for(&name("me")), "nothing is shown unless it is asked for");
        let slate = SlateConfig { streams: vec!["live/show-*".to_owned()], ..SlateConfig::default() };
        assert!(slate.is_for(&name("show-1")) && !slate.is_for(&name("me")));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let problems = |slate| {
            let problems = Config { slate, ..Config::default() }.validate().err().unwrap_or_default();
            problems.into_iter().map(|problem| problem.key).collect::<Vec<_>>()
        };
        assert_eq!(problems(SlateConfig::default()), [""; 0]);
        let wrong = SlateConfig {
            streams: vec!["live/*".to_owned(), "live".to_owned()],
            image: Some("no-such-file.png".into()),
            after_ms: 15_000,
            max_ms: 10,
            ..SlateConfig::default()
        };
        assert_eq!(problems(wrong), ["slate.streams.1", "slate.image", "slate.after_ms", "slate.max_ms"]);
        let no_image = SlateConfig { image: Some("Cargo.toml".into()), ..SlateConfig::default() };
        assert_eq!(problems(no_image), ["slate.image"]);
        let no_line = SlateConfig { text: Some("two\nlines".to_owned()), ..SlateConfig::default() };
        assert_eq!(problems(no_line), ["slate.text"]);
        let no_font = SlateConfig { font: Some("Cargo.toml".into()), ..SlateConfig::default() };
        assert_eq!(problems(no_font), ["slate.font"]);
    }

    #[test]
    fn a_text_of_nothing_is_none() {
        let slate = SlateConfig { text: Some(String::new()), ..SlateConfig::default() };
        assert!(slate.load().unwrap().is_empty());
    }
}
