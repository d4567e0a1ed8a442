//! The part of the configuration that is about other servers: where streams are sent, and from where they are fetched.

use super::{DURATION_MS_MAX, KeyDoc};
use crate::pattern::Pattern;
use crate::relay::Address;
use net::tls::Trust;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// Other servers: sending streams to them and fetching streams from them. `docs/relay.md` has recipes.
    RelayConfig {
        /// How long another server may take until it has agreed to take or to play a stream.
        connect_timeout_ms: u64 = 10_000,
        /// A target that takes no byte for so long is connected anew.
        write_timeout_ms: u64 = 20_000,
        /// A target that falls so far behind skips to the newest keyframe.
        lag_max_ms: u64 = 4_000,
        /// Most bytes that wait for one target before it counts as slow.
        queue_bytes_max: usize = 1 << 20,
        /// The longest wait between two attempts to reach a server. Servers that refuse are asked less often.
        retry_max_ms: u64 = 30_000,
        /// A source that sends no media for so long has failed, where there is another; the next one takes over.
        stall_ms: u64 = 5_000,
        /// How long a source that comes back must run well before the stream is switched back to it.
        switch_back_ms: u64 = 10_000,
        /// How long a stream is still fetched after its last viewer has left.
        idle_stop_ms: u64 = 30_000,
        /// A PEM file with the certificates that servers are trusted by, instead of those of the system.
        ca_file: Option<PathBuf> = None,
        /// Whether servers are believed to be who they say, whatever their certificates.
        insecure: bool = false,
        /// Where streams are sent.
        push: Vec<RelayPush> = Vec::new(),
        /// Where streams are fetched.
        pull: Vec<RelayPull> = Vec::new(),
    }
}

section! {
    /// A target: each stream of this name that is live here is sent there, as long as it lives.
    RelayPush {
        /// The stream: `"live/me"`, or a pattern: `"live/*"`, `"live/show-*"`, `"*/*"`.
        stream: String = String::new(),
        /// Where it goes: `"rtmp://host/app/key"`, or `rtmps://` and the others of the family. `{channel}` and `{app}`
        /// stand for the parts of the stream's name.
        url: RelayUrl = RelayUrl::default(),
        /// What it is called in status and logs.
        name: String = String::new(),
    }
}

section! {
    /// A source: streams of this name are fetched from there, unless somebody publishes them here.
    RelayPull {
        /// The stream: `"live/me"`, or a pattern: `"live/*"`.
        stream: String = String::new(),
        /// Where it is: `"rtmp://host/app/name"`. `{channel}` and `{app}` stand for the parts of the stream's name.
        url: RelayUrl = RelayUrl::default(),
        /// Where it is as well: the first that works takes over when the one before fails.
        backups: Vec<RelayUrl> = Vec::new(),
        /// `"on-demand"` fetches while somebody watches, `"always"` from start to end.
        mode: PullMode = PullMode::OnDemand,
        /// Whether backups are connected all the time, so that they take over with the next keyframe. Each costs its full rate.
        backups_connected: bool = false,
        /// Whether a source further up in the list takes the stream back when it works again.
        switch_back: bool = true,
    }
}

/// When a stream is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullMode {
    /// While somebody watches.
    #[default]
    OnDemand,
    /// From start to end.
    Always,
}

impl PullMode {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            PullMode::OnDemand => "on-demand",
            PullMode::Always => "always",
        }
    }
}

/// The URL of another server. It may hold a key, so it has no `Display`, and `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RelayUrl(pub String);

impl fmt::Debug for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayUrl(***)")
    }
}

/// More sources of one stream than stand by at once are of no use.
const BACKUPS_MAX: usize = 2;
/// Below this not even one keyframe fits; above it a target is minutes behind before anybody notices.
const QUEUE_BYTES: std::ops::RangeInclusive<usize> = 64 << 10..=64 << 20;

impl RelayConfig {
    /// Calls `wrong` with the key and the message of every problem.
    pub(super) fn validate(&self, wrong: &mut impl FnMut(&str, String)) {
        for (key, value) in [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
            ("lag_max_ms", self.lag_max_ms),
            ("retry_max_ms", self.retry_max_ms),
            ("stall_ms", self.stall_ms),
        ] {
            if !(1..=DURATION_MS_MAX).contains(&value) {
                wrong(
                    &format!("relay.{key}"),
                    format!("must lie between 1 and {DURATION_MS_MAX} (milliseconds)"),
                );
            }
        }
        for (key, value) in [("switch_back_ms", self.switch_back_ms), ("idle_stop_ms", self.idle_stop_ms)] {
            if value > DURATION_MS_MAX {
                wrong(
                    &format!("relay.{key}"),
                    format!("must lie between 0 and {DURATION_MS_MAX} (milliseconds)"),
                );
            }
        }
        if !QUEUE_BYTES.contains(&self.queue_bytes_max) {
            let (least, most) = QUEUE_BYTES.into_inner();
            wrong("relay.queue_bytes_max", format!("must lie between {least} and {most} bytes"));
        }
        if self.insecure && self.ca_file.is_some() {
            wrong("relay.insecure", "makes relay.ca_file meaningless: set one of them".to_owned());
        }
        self.validate_push(wrong);
        self.validate_pull(wrong);
    }

    fn validate_push(&self, wrong: &mut impl FnMut(&str, String)) {
        let mut seen = HashSet::new();
        for (i, push) in self.push.iter().enumerate() {
            let key = format!("relay.push.{i}");
            if let Err(message) = Pattern::parse(&push.stream) {
                wrong(&format!("{key}.stream"), message);
            }
            if let Err(message) = Address::parse(&push.url.0) {
                wrong(&format!("{key}.url"), message);
            }
            if let Err(message) = target_name(&push.name) {
                wrong(&format!("{key}.name"), message);
            } else if !seen.insert((&push.stream, &push.name)) {
                wrong(
                    &format!("{key}.name"),
                    format!("{} has a target {:?} already", push.stream, push.name),
                );
            }
        }
    }

    fn validate_pull(&self, wrong: &mut impl FnMut(&str, String)) {
        let mut seen = HashSet::new();
        for (i, pull) in self.pull.iter().enumerate() {
            let key = format!("relay.pull.{i}");
            match Pattern::parse(&pull.stream) {
                Err(message) => wrong(&format!("{key}.stream"), message),
                Ok(pattern) if pull.mode == PullMode::Always && pattern.exact().is_none() => wrong(
                    &format!("{key}.mode"),
                    format!(
                        "{:?} is a pattern, and nobody knows which streams to fetch always: name one stream, or write \"on-demand\"",
                        pull.stream
                    ),
                ),
                Ok(_) if !seen.insert(&pull.stream) => {
                    wrong(&format!("{key}.stream"), format!("{} is listed twice: use backups", pull.stream));
                }
                Ok(_) => {}
            }
            if let Err(message) = Address::parse(&pull.url.0) {
                wrong(&format!("{key}.url"), message);
            }
            if pull.backups.len() > BACKUPS_MAX {
                wrong(&format!("{key}.backups"), format!("has more than {BACKUPS_MAX} entries"));
            }
            for (j, backup) in pull.backups.iter().enumerate() {
                if let Err(message) = Address::parse(&backup.0) {
                    wrong(&format!("{key}.backups.{j}"), message);
                }
            }
        }
    }

    /// The time that a server has to agree.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// The time that a target may take to accept a byte.
    pub fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }

    /// The silence after which a source has failed.
    pub fn stall(&self) -> Duration {
        Duration::from_millis(self.stall_ms)
    }

    /// How long a source must run well before the stream is switched back to it.
    pub fn switch_back(&self) -> Duration {
        Duration::from_millis(self.switch_back_ms)
    }

    /// Which TLS servers are trusted.
    pub(crate) fn trust(&self) -> Trust {
        match &self.ca_file {
            Some(file) => Trust::File(file.clone()),
            None if self.insecure => Trust::Insecure,
            None => Trust::System,
        }
    }

    /// How long a stream is fetched after its last viewer has left.
    pub fn idle_stop(&self) -> Duration {
        Duration::from_millis(self.idle_stop_ms)
    }
}

/// Longer names fit into no table.
const NAME_CHARS_MAX: usize = 64;

/// Checks the name of a target.
pub(crate) fn target_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("is missing: give the target a name, such as \"youtube\"".to_owned());
    }
    if name.chars().count() > NAME_CHARS_MAX || name.contains(char::is_control) {
        return Err(format!("a name has at most {NAME_CHARS_MAX} characters, all of them printable"));
    }
    Ok(())
}
