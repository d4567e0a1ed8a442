//! Relays: streams that are sent to other servers, and streams that are fetched from them.

use serde::{Deserialize, Serialize};

/// The relays of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relays {
    /// Targets, one entry for each stream that they are for.
    pub push: Vec<PushTarget>,
    /// Streams that are fetched, or would be.
    pub pull: Vec<PullStream>,
}

/// How a relay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelayState {
    /// Its stream is not live, or nobody wants it.
    Waiting,
    /// It is on its way to the other server.
    Connecting,
    /// Media flows.
    Live,
    /// A source: it is connected and stands by.
    Ready,
    /// It has failed and will try again.
    Retrying,
    /// The other server has refused; it will be asked again after longer.
    Refused,
    /// It will not try again.
    Stopped,
}

/// One stream on its way to one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushTarget {
    /// Names the target in this API.
    pub id: String,
    /// What the target is called.
    pub name: String,
    /// `app/channel`, or the pattern of a target that has no stream to send now.
    pub stream: String,
    /// Where it goes, with `***` in place of keys.
    pub url: String,
    /// Whether it was added by this API, and not by the configuration.
    pub added: bool,
    /// How it stands and how it went.
    #[serde(flatten)]
    pub progress: RelayProgress,
}

/// One stream that is fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullStream {
    /// `app/channel`, or a pattern that no stream is fetched for now.
    pub stream: String,
    /// `on-demand` or `always`.
    pub mode: String,
    /// Whether somebody publishes the stream on this node, which makes fetching it unnecessary.
    pub published_here: bool,
    /// Which of the sources is heard: its place in the list.
    pub active: Option<u64>,
    /// The sources, by preference.
    pub sources: Vec<PullSource>,
}

/// One source of one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullSource {
    /// Where it is, with `***` in place of keys.
    pub url: String,
    /// How it stands and how it went.
    #[serde(flatten)]
    pub progress: RelayProgress,
}

/// How a relay stands and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayProgress {
    /// How it stands.
    pub state: RelayState,
    /// Since when.
    pub since_ms: u64,
    /// How long until it tries again.
    pub next_attempt_ms: Option<u64>,
    /// The last failure, also while it works again.
    pub last_failure: Option<RelayFailure>,
    /// Connections on which media flowed.
    pub connections: u64,
    /// Bytes sent or received.
    pub bytes: u64,
    /// Frames sent or received.
    pub frames: u64,
    /// Packets left out because the target was slow.
    pub dropped: u64,
}

/// Why a relay failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayFailure {
    /// In words: what happened, and what the other server said.
    pub why: String,
    /// How long ago.
    pub ago_ms: u64,
}

/// A target to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPush {
    /// The stream: `app/channel`.
    pub stream: String,
    /// Where it goes: `rtmp://host/app/name`.
    pub url: String,
    /// What it is called.
    pub name: String,
}
