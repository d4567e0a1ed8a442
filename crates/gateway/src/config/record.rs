//! The part of the configuration that is about recording.

use super::{DURATION_MS_MAX, KeyDoc};
use crate::pattern::Pattern;
use media::StreamName;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// Recording live streams to files. `docs/recording.md` has recipes.
    RecordConfig {
        /// Where recordings are kept; unset, in `<data_dir>/recordings`.
        folder: Option<PathBuf> = None,
        /// A file that has so many minutes is followed by another, at the next keyframe.
        segment_minutes_max: u64 = 240,
        /// A file that has so many bytes is followed by another, at the next keyframe.
        segment_bytes_max: u64 = 16 << 30,
        /// A publisher that returns within so many seconds goes on in the same recording.
        merge_s: u64 = 30,
        /// Most bytes of one stream that wait for the disk. What comes on top of them is not recorded.
        queue_bytes_max: usize = 32 << 20,
        /// While the disk has fewer free bytes than this, recordings pause and files stay as they are; 0 fills it to the brim.
        free_bytes_min: u64 = 1 << 30,
        /// Which streams are recorded.
        rule: Vec<RecordRule> = Vec::new(),
    }
}

section! {
    /// A rule: how streams of this name are recorded. The first rule that fits a stream counts.
    RecordRule {
        /// The stream: `"live/me"`, or a pattern: `"live/*"`, `"live/show-*"`, `"*/*"`.
        stream: String = String::new(),
        /// `"always"` records whatever is published, `"on-demand"` when the operator says so over the API.
        policy: RecordPolicy = RecordPolicy::Always,
        /// `"mp4"` or `"flv"`.
        format: RecordFormat = RecordFormat::Mp4,
    }
}

/// When a stream is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordPolicy {
    /// Whenever it is published.
    #[default]
    Always,
    /// When the operator says so.
    #[serde(alias = "on_demand")]
    OnDemand,
}

/// What a recording is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordFormat {
    /// MP4: in fragments while it is written, then finished with its description in front.
    #[default]
    Mp4,
    /// FLV, which holds every codec, change and message of a stream.
    Flv,
}

/// Shorter files are all head, longer ones than a week nobody opens.
const SEGMENT_MINUTES: std::ops::RangeInclusive<u64> = 1..=7 * 24 * 60;
/// Below this a file may have no more than a keyframe.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// Below this not even one keyframe fits; above it many streams fill the memory before anybody notices.
const QUEUE_BYTES: std::ops::RangeInclusive<usize> = 1 << 20..=1 << 30;

impl RecordConfig {
    /// Calls `wrong` with the key and the message of every problem.
    pub(super) fn validate(&self, wrong: &mut impl FnMut(&str, String)) {
        if self.folder.as_ref().is_some_and(|folder| folder.as_os_str().is_empty()) {
            wrong("record.folder", "is empty: name a folder, or leave it out".to_owned());
        }
        if !SEGMENT_MINUTES.contains(&self.segment_minutes_max) {
            let (least, most) = SEGMENT_MINUTES.into_inner();
            wrong("record.segment_minutes_max", format!("must lie between {least} and {most}"));
        }
        if self.segment_bytes_max < SEGMENT_BYTES_MIN {
            wrong("record.segment_bytes_max", format!("must be {SEGMENT_BYTES_MIN} (1 MiB) or more"));
        }
        if self.merge_s > DURATION_MS_MAX / 1000 {
            wrong("record.merge_s", format!("must lie between 0 and {} (seconds)", DURATION_MS_MAX / 1000));
        }
        if !QUEUE_BYTES.contains(&self.queue_bytes_max) {
            let (least, most) = QUEUE_BYTES.into_inner();
            wrong("record.queue_bytes_max", format!("must lie between {least} and {most} bytes"));
        }
        let mut seen = HashSet::new();
        for (i, rule) in self.rule.iter().enumerate() {
            let key = format!("record.rule.{i}.stream");
            match Pattern::parse(&rule.stream) {
                Err(message) => wrong(&key, message),
                Ok(_) if !seen.insert(&rule.stream) => {
                    wrong(&key, format!("{} is listed twice, and the first rule counts", rule.stream));
                }
                Ok(_) => {}
            }
        }
    }

    /// The rule for a stream.
    pub fn rule_of(&self, name: &StreamName) -> Option<&RecordRule> {
        let fits =
            |rule: &&RecordRule| Pattern::parse(&rule.stream).is_ok_and(|pattern| pattern.matches(name));
        self.rule.iter().find(fits)
    }

    /// The media time that a file has at most, but for the rest of its last group of pictures.
    pub fn segment_max(&self) -> Duration {
        Duration::from_secs(self.segment_minutes_max * 60)
    }

    /// How long a publisher may be away.
    pub fn merge(&self) -> Duration {
        Duration::from_secs(self.merge_s)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn rule(stream: &str, policy: RecordPolicy) -> RecordRule {
        RecordRule { stream: stream.to_owned(), policy, ..RecordRule::default() }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules = vec![rule("live/quiet", RecordPolicy::OnDemand), rule("live/*", RecordPolicy::Always)];
        let config = RecordConfig { rule: rules, ..RecordConfig::default() };
        let policy =
            |app, channel| config.rule_of(&StreamName::parse(app, channel).unwrap()).map(|rule| rule.policy);
        assert_eq!(policy("live", "quiet"), Some(RecordPolicy::OnDemand));
        assert_eq!(policy("live", "loud"), Some(RecordPolicy::Always));
        assert_eq!(policy("vod", "loud"), None);
    }

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        let record = RecordConfig {
            folder: Some(PathBuf::new()),
            segment_minutes_max: 0,
            segment_bytes_max: 1,
            merge_s: 100_000,
            queue_bytes_max: 1,
            free_bytes_min: 0,
            rule: vec![
                rule("live/..", RecordPolicy::Always),
                rule("a/*", RecordPolicy::Always),
                rule("a/*", RecordPolicy::Always),
            ],
        };
        let problems = Config { record, ..Config::default() }.validate().unwrap_err();
        let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
        let expected = [
            "record.folder",
            "record.segment_minutes_max",
            "record.segment_bytes_max",
            "record.merge_s",
            "record.queue_bytes_max",
            "record.rule.0.stream",
            "record.rule.2.stream",
        ];
        assert_eq!(keys, expected);
    }
}
