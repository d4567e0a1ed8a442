//! The part of the configuration that is about recording.

use super::{DURATION_MS_MAX, KeyDoc};
use crate::Secret;
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
        /// A recording that ended so many days ago is deleted; 0 keeps it. A rule may say otherwise.
        keep_days: u64 = 0,
        /// While all recordings together have more bytes than this, the oldest ones that are complete are deleted; 0 keeps them.
        keep_bytes_max: u64 = 0,
        /// An object storage that recordings go to when they are complete: `"s3://BUCKET/PREFIX"`, or `"file:///FOLDER"`.
        store: Option<String> = None,
        /// Where the S3 server is, if it is none of Amazon: `"https://HOST:PORT"`. What is unset here and in the three that
        /// follow comes from the environment (`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, ...).
        store_endpoint: Option<String> = None,
        /// Its region.
        store_region: Option<String> = None,
        /// The name of the key that opens it.
        store_access_key_id: Option<String> = None,
        /// The key.
        store_secret_access_key: Option<Secret> = None,
        /// Whether it may be asked over plain HTTP: for servers on this machine.
        store_allow_http: bool = false,
        /// How long files stay in the folder when they are in the object storage as well. They go earlier when space is short.
        spool_keep_minutes: u64 = 60,
        /// Whether the API lists complete recordings to everybody who may play them.
        listed: bool = true,
        /// The program that makes JPEG pictures of keyframes; empty for none.
        ffmpeg: String = "ffmpeg".to_owned(),
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
        /// `"mp4"`, `"flv"`, or `"ts"`: segments with a playlist for HLS.
        format: RecordFormat = RecordFormat::Mp4,
        /// Recordings of these streams are deleted after so many days, instead of `record.keep_days`.
        keep_days: Option<u64> = None,
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
    /// MPEG-TS in segments of some seconds, with an HLS playlist that grows.
    Ts,
}

/// Shorter files are all head, longer ones than a week nobody opens.
const SEGMENT_MINUTES: std::ops::RangeInclusive<u64> = 1..=7 * 24 * 60;
/// Below this a file may have no more than a keyframe.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// Below this not even one keyframe fits; above it many streams fill the memory before anybody notices.
const QUEUE_BYTES: std::ops::RangeInclusive<usize> = 1 << 20..=1 << 30;

/// A hundred years.
const KEEP_DAYS_MAX: u64 = 36_500;
/// A year: who keeps them longer needs no object storage.
const SPOOL_KEEP_MINUTES_MAX: u64 = 366 * 24 * 60;

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
        if self.keep_days > KEEP_DAYS_MAX {
            wrong("record.keep_days", format!("must lie between 0 and {KEEP_DAYS_MAX}"));
        }
        if self.spool_keep_minutes > SPOOL_KEEP_MINUTES_MAX {
            wrong("record.spool_keep_minutes", format!("must lie between 0 and {SPOOL_KEEP_MINUTES_MAX}"));
        }
        if let Some(Err(error)) = self.to_store().map(|settings| settings.check()) {
            wrong("record.store", error.to_string());
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
            if rule.keep_days.is_some_and(|days| days > KEEP_DAYS_MAX) {
                wrong(
                    &format!("record.rule.{i}.keep_days"),
                    format!("must lie between 0 and {KEEP_DAYS_MAX}"),
                );
            }
        }
    }

    /// The rule for a stream.
    pub fn rule_of(&self, name: &StreamName) -> Option<&RecordRule> {
        let fits =
            |rule: &&RecordRule| Pattern::parse(&rule.stream).is_ok_and(|pattern| pattern.matches(name));
        self.rule.iter().find(fits)
    }

    /// How many days recordings of a stream are kept; 0 for ever.
    pub fn keep_days_of(&self, name: &StreamName) -> u64 {
        self.rule_of(name).and_then(|rule| rule.keep_days).unwrap_or(self.keep_days)
    }

    /// The object storage, if there shall be one.
    pub fn to_store(&self) -> Option<store::Settings> {
        Some(store::Settings {
            url: self.store.clone()?,
            endpoint: self.store_endpoint.clone(),
            region: self.store_region.clone(),
            access_key_id: self.store_access_key_id.clone(),
            secret_access_key: self.store_secret_access_key.as_ref().map(|key| key.expose().to_owned()),
            allow_http: self.store_allow_http,
        })
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
            keep_days: 40_000,
            store: Some("gs://bucket".to_owned()),
            spool_keep_minutes: 1 << 40,
            rule: vec![
                rule("live/..", RecordPolicy::Always),
                rule("a/*", RecordPolicy::Always),
                RecordRule { keep_days: Some(40_000), ..rule("a/*", RecordPolicy::Always) },
            ],
            ..RecordConfig::default()
        };
        let problems = Config { record, ..Config::default() }.validate().unwrap_err();
        let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
        let expected = [
            "record.folder",
            "record.segment_minutes_max",
            "record.segment_bytes_max",
            "record.merge_s",
            "record.queue_bytes_max",
            "record.keep_days",
            "record.spool_keep_minutes",
            "record.store",
            "record.rule.0.stream",
            "record.rule.2.stream",
            "record.rule.2.keep_days",
        ];
        assert_eq!(keys, expected);
    }
}
