//! The part of the configuration that is about rewinding live streams.

use super::KeyDoc;
use crate::pattern::Pattern;
use media::StreamName;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// Rewinding live streams: their last minutes, on the disk. `docs/timeshift.md` says how to play them.
    TimeshiftConfig {
        /// How many minutes viewers can go back. 0 switches it off.
        minutes: u64 = 0,
        /// Which streams: names such as `"live/me"`, or patterns: `"live/*"`, `"live/show-*"`, `"*/*"`.
        streams: Vec<String> = vec!["*/*".to_owned()],
        /// Where the minutes are kept; unset, in `<data_dir>/timeshift`. A start empties it of those of the run before.
        folder: Option<PathBuf> = None,
        /// Most bytes of all streams together. The oldest leave first.
        bytes_max: u64 = 10 << 30,
        /// What stays free on the disk, in bytes: with less, the oldest leave, and then no more are kept.
        free_bytes_min: u64 = 1 << 30,
        /// Most bytes that wait for the disk. Where it falls further behind, the minutes begin anew.
        queue_bytes_max: usize = 64 << 20,
    }
}

/// Lists of six hours have some 10,000 segments, which players read whole at their start, and a megabyte; longer ones are recordings.
const MINUTES_MAX: u64 = 6 * 60;
/// Below this a stream of one track has less than a minute.
const BYTES_MIN: u64 = 1 << 20;
/// Below this not even one segment fits; above it nobody notices that the disk is too slow before memory is short.
const QUEUE_BYTES: std::ops::RangeInclusive<usize> = 1 << 20..=1 << 30;

impl TimeshiftConfig {
    /// Calls `wrong` with the key and the message of every problem.
    pub(super) fn validate(&self, wrong: &mut impl FnMut(&str, String)) {
        if self.minutes > MINUTES_MAX {
            wrong("timeshift.minutes", format!("must lie between 0 (off) and {MINUTES_MAX}"));
        }
        for (i, stream) in self.streams.iter().enumerate() {
            if let Err(message) = Pattern::parse(stream) {
                wrong(&format!("timeshift.streams.{i}"), message);
            }
        }
        if self.folder.as_ref().is_some_and(|folder| folder.as_os_str().is_empty()) {
            wrong("timeshift.folder", "is empty: name a folder, or leave it out".to_owned());
        }
        if self.bytes_max < BYTES_MIN {
            wrong("timeshift.bytes_max", format!("must be {BYTES_MIN} (1 MiB) or more"));
        }
        if !QUEUE_BYTES.contains(&self.queue_bytes_max) {
            let (least, most) = QUEUE_BYTES.into_inner();
            wrong("timeshift.queue_bytes_max", format!("must lie between {least} and {most} bytes"));
        }
    }

    /// How far back viewers can go in any stream. Zero is not at all.
    pub fn window(&self) -> Duration {
        Duration::from_secs(self.minutes * 60)
    }

    /// Whether viewers can go back in a stream.
    pub fn is_for(&self, name: &StreamName) -> bool {
        let fits = |stream: &String| Pattern::parse(stream).is_ok_and(|pattern| pattern.matches(name));
        self.minutes > 0 && self.streams.iter().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn it_is_for_the_streams_that_are_named_once_there_are_minutes() {
        let name = |channel| StreamName::parse("live", channel).unwrap();
        let all = TimeshiftConfig { minutes: 1, ..TimeshiftConfig::default() };
        assert!(all.is_for(&name("me")) && !TimeshiftConfig::default().is_for(&name("me")));
        let some = TimeshiftConfig { streams: vec!["live/me".to_owned(), "live/show-*".to_owned()], ..all };
        assert!(some.is_for(&name("me")) && some.is_for(&name("show-1")) && !some.is_for(&name("you")));
    }

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        let timeshift = TimeshiftConfig {
            minutes: 5_000,
            streams: vec!["*/*".to_owned(), "live".to_owned()],
            folder: Some(PathBuf::new()),
            bytes_max: 1,
            free_bytes_min: 0,
            queue_bytes_max: 1,
        };
        let problems = Config { timeshift, ..Config::default() }.validate().unwrap_err();
        let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
        let expected = [
            "timeshift.minutes",
            "timeshift.streams.1",
            "timeshift.folder",
            "timeshift.bytes_max",
            "timeshift.queue_bytes_max",
        ];
        assert_eq!(keys, expected);
    }
}
