//! Channels: the live streams of a node.

use serde::{Deserialize, Serialize};

/// All channels that the asker may play.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channels {
    /// The channels, ordered by name.
    pub channels: Vec<Channel>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// `app/channel`.
    pub name: String,
    /// The part before the slash.
    pub app: String,
    /// The part after the slash.
    pub channel: String,
    /// Whether a publisher is connected. `false` while players are held for one that was lost.
    pub live: bool,
    /// Its publisher is away, and viewers see a slate; absent where they do not. `live` is `true` meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slate: bool,
    /// When the stream began.
    pub started_at: String,
    /// How long ago that is.
    pub uptime_ms: u64,
    /// Players attached now.
    pub viewers: u64,
    /// The main video track, once its configuration is known.
    pub video: Option<Video>,
    /// The main audio track, once its configuration is known.
    pub audio: Option<Audio>,
    /// What arrives, over the last seconds, in bits per second.
    pub bitrate_bps: u64,
    /// The time between the two newest keyframes.
    pub gop_ms: Option<u64>,
    /// How many seconds viewers can go back now; absent where they cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewind_s: Option<u64>,
    /// Smaller versions of it that can be played, largest first; absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<crate::Rung>,
    /// What is wrong with its picture or its sound, where it is watched; absent if nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
    /// The title that the publisher gave.
    pub title: Option<String>,
}

/// Something that is wrong with a channel, and that no protocol notices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// `black`, `frozen` or `silent`.
    pub fault: String,
    /// For how long that has been known.
    pub for_ms: u64,
}

/// A video track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Video {
    /// `h264`, `h265`, `h266`, `av1`, `vp8`, `vp9`, ...
    pub codec: String,
    /// The codec as in a MIME type (RFC 6381): `avc1.64001f`.
    pub mime: Option<String>,
    /// Width of the picture in pixels.
    pub width: Option<u32>,
    /// Height of the picture in pixels.
    pub height: Option<u32>,
    /// Frames per second, measured.
    pub fps: Option<f64>,
    /// Whether frames are reordered, which delays the first picture; absent where the configuration does not tell.
    pub b_frames: Option<bool>,
}

/// An audio track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audio {
    /// `aac`, `opus`, `mp3`, `flac`, `ac3`, `eac3`, ...
    pub codec: String,
    /// The codec as in a MIME type (RFC 6381): `mp4a.40.2`.
    pub mime: Option<String>,
    /// Samples per second.
    pub sample_rate: Option<u32>,
    /// Number of channels.
    pub channels: Option<u32>,
}

/// One channel with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelDetail {
    /// What the list shows as well.
    #[serde(flatten)]
    pub channel: Channel,
    /// All tracks, video before audio before data.
    pub tracks: Vec<Track>,
    /// Who publishes, while somebody does.
    pub publisher: Option<Publisher>,
    /// Publishers that stand by.
    pub standby: u64,
    /// What is kept in memory.
    pub log: Log,
    /// Why viewers cannot go back as far as they should, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewind_problem: Option<String>,
    /// Totals since the stream began.
    pub counters: Counters,
}

/// A track of a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Track {
    /// `video0`, `audio0`, `audio1`, `data0`, ...
    pub id: String,
    /// The codec.
    pub codec: String,
    /// The codec as in a MIME type, once its configuration is known.
    pub mime: Option<String>,
}

/// Who publishes a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Publisher {
    /// The session, as in logs.
    pub session: String,
    /// `rtmp`, ...
    pub protocol: String,
    /// The program, as it names itself.
    pub user_agent: Option<String>,
    /// Where from; told to askers on the same machine only.
    pub address: Option<String>,
    /// Since when.
    pub connected_ms: u64,
    /// Bytes received from it.
    pub bytes_in: u64,
}

/// What the log of a channel holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// Packets.
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Keyframes at which a player can join.
    pub keyframes: u64,
    /// Media time from the oldest to the newest packet.
    pub duration_ms: u64,
    /// How long ago the newest packet came.
    pub idle_ms: Option<u64>,
}

/// Totals of a channel since the stream began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Packets received.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Players that have joined.
    pub joins: u64,
    /// Publishers, one after the other.
    pub publishers: u64,
    /// Times a slow player skipped ahead.
    pub skips: u64,
    /// Packets that slow players lost, summed over players.
    pub packets_skipped: u64,
    /// Times the source's clock jumped and was put right.
    pub clock_jumps: u64,
}
