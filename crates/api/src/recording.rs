//! Recordings of live streams.

use serde::{Deserialize, Serialize};

/// Some recordings, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recordings {
    /// The recordings.
    pub recordings: Vec<Recording>,
    /// What to ask with as `before=` for those that are older; `None` where there are no more.
    pub next: Option<String>,
}

/// A recording: one broadcast of one stream, in one file or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    /// Names the recording: when it began, and some random digits.
    pub id: String,
    /// `app/channel`.
    pub stream: String,
    /// What it is.
    #[serde(default)]
    pub kind: RecordingKind,
    /// What the operator calls it.
    #[serde(default)]
    pub title: Option<String>,
    /// What a clip was cut out of.
    #[serde(default)]
    pub source: Option<ClipSource>,
    /// How it stands.
    pub state: RecordingState,
    /// When its first packet came (RFC 3339).
    pub started_at: String,
    /// When it ended (RFC 3339).
    pub ended_at: Option<String>,
    /// Media time of all files together.
    pub duration_ms: u64,
    /// Bytes of all files together.
    pub bytes: u64,
    /// The tracks of the newest file.
    pub tracks: Vec<RecordedTrack>,
    /// The files, in order.
    pub files: Vec<RecordedFile>,
    /// What is missing. Of very many only the first ones are listed.
    pub gaps: Vec<RecordingGap>,
    /// What is wrong now, in words: since when nothing can be written, and why.
    pub problem: Option<String>,
    /// Whether it stays, however old it gets and however full the disk is.
    #[serde(default)]
    pub keep: bool,
    /// How it stands with its copy in the object storage; `None` where there is none, and before it is complete.
    #[serde(default)]
    pub upload: Option<RecordingUpload>,
}

/// The copy of a recording in the object storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordingUpload {
    /// How it stands.
    pub state: UploadState,
    /// How many of its files have arrived, from the first.
    pub files: usize,
    /// How many of their bytes have.
    pub bytes: u64,
    /// When all of it had arrived (RFC 3339).
    pub done_at: Option<String>,
    /// Whether its files are still in the local folder as well.
    pub local: bool,
    /// Why it waits.
    pub problem: Option<String>,
    /// After how many seconds it is tried again.
    pub retry_in_s: Option<u64>,
}

/// How an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UploadState {
    /// It waits for its turn, or for the storage.
    Waiting,
    /// It is on its way.
    Running,
    /// All of it has arrived.
    Done,
}

/// What is changed of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordingChange {
    /// Whether it stays, however old it gets and however full the disk is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<bool>,
    /// What it is called: 200 characters at most, and none take the title away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// What a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingKind {
    /// A broadcast.
    #[default]
    Recording,
    /// A time that was cut out of one.
    Clip,
}

/// What a clip was cut out of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClipSource {
    /// The recording; `None` for a stream that was not recorded.
    pub recording: Option<String>,
    /// Media time of the recording at which the clip begins, in milliseconds.
    pub from_ms: u64,
    /// And at which it ends.
    pub to_ms: u64,
}

/// How a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingState {
    /// The stream is written as it comes.
    Recording,
    /// Nothing can be written, and it is tried again.
    Paused,
    /// The publisher is away, and may come back in time.
    Waiting,
    /// It has ended, and its files are being brought into their final form.
    Finishing,
    /// It has ended.
    Complete,
}

/// One file of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedFile {
    /// Its name: `/recordings/ID/NAME` plays it.
    pub name: String,
    /// `mp4` or `flv`.
    pub format: String,
    /// Its bytes.
    pub bytes: u64,
    /// Media time before it, in the files that come before.
    pub start_ms: u64,
    /// Media time in it.
    pub duration_ms: u64,
    /// When its first packet came (RFC 3339).
    #[serde(default)]
    pub started_at: Option<String>,
    /// Whether it has its final form. Before, it plays as well, as far as it was written.
    pub finished: bool,
}

/// A track of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedTrack {
    /// `video0`, `audio0`, ...
    pub id: String,
    /// The codec: `h264`, `aac`, ...
    pub codec: String,
    /// The codec as RFC 6381 writes it.
    pub mime: Option<String>,
    /// Why the file has no such track although the stream has.
    pub left_out: Option<String>,
}

/// Something that the stream had and the recording does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordingGap {
    /// Media time of the recording at which it is missing.
    pub at_ms: u64,
    /// How long it lasted, on the wall clock.
    pub lasted_ms: u64,
    /// Packets that are missing; 0 where there were none.
    pub packets: u64,
    /// Why.
    pub why: GapReason,
}

/// Why something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The publisher was away.
    PublisherAway,
    /// The disk was slower than the stream.
    DiskSlow,
    /// The disk took nothing: it was full, or failed.
    DiskFailed,
    /// The recorder was slower than the stream.
    RecorderSlow,
    /// Packets that the file could not hold until its next one began, such as those of a track that came late.
    TracksChanged,
}

/// A stream to record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRecording {
    /// The stream: `app/channel`.
    pub stream: String,
}

/// A clip to cut: the last seconds of a stream, or a time of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewClip {
    /// The stream, with `last_s`: `app/channel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// How many seconds of it, up to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_s: Option<f64>,
    /// Or the recording, with `from_s` and `to_s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
    /// Where the clip begins, in seconds from the beginning of the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_s: Option<f64>,
    /// And where it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_s: Option<f64>,
    /// Whether it shows that time and no frame more. Else it begins and ends at keyframes.
    #[serde(default)]
    pub exact: bool,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}
