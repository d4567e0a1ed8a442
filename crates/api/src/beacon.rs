//! What players report about their viewers' experience.

use serde::{Deserialize, Serialize};

/// A report of a web player, sent with `navigator.sendBeacon`.
///
/// The times of a start come with the first report that has them; counts (`stalls`, `stallMs`, `watchedMs`, frames) are
/// those since the previous report of the session, so that the server need not remember sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Beacon {
    /// A random text that the player chose for this playback.
    pub session: String,
    /// `app/channel`.
    pub stream: String,
    /// How media came.
    pub protocol: BeaconProtocol,
    /// How it was drawn.
    pub renderer: BeaconRenderer,
    /// When in the life of the playback this report was made.
    pub event: BeaconEvent,
    /// The times of the start.
    #[serde(default)]
    pub t: BeaconTimes,
    /// Times the picture stood still.
    #[serde(default)]
    pub stalls: u64,
    /// How long it stood still, in milliseconds.
    #[serde(default)]
    pub stall_ms: f64,
    /// Frames that came too late to be shown.
    #[serde(default)]
    pub dropped_frames: u64,
    /// Frames that were decoded.
    #[serde(default)]
    pub decoded_frames: u64,
    /// Delay behind live at this moment, in milliseconds.
    #[serde(default)]
    pub latency_ms: Option<f64>,
    /// How long the viewer watched, in milliseconds.
    #[serde(default)]
    pub watched_ms: f64,
}

/// The points of a start, in milliseconds after the viewer's action (t0). Points that were not reached are absent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct BeaconTimes {
    /// The connection is usable.
    #[serde(default)]
    pub t1: Option<f64>,
    /// The request is sent.
    #[serde(default)]
    pub t2: Option<f64>,
    /// The first byte of media is there.
    #[serde(default)]
    pub t3: Option<f64>,
    /// The first keyframe is complete.
    #[serde(default)]
    pub t4: Option<f64>,
    /// The first picture is on the screen.
    #[serde(default)]
    pub t5: Option<f64>,
}

/// How media came to a web player.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BeaconProtocol {
    /// HTTP-FLV.
    HttpFlv,
    /// FLV over a WebSocket.
    WsFlv,
    /// HLS: live, its past, or a recording.
    Hls,
}

/// How a web player drew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BeaconRenderer {
    /// Media Source Extensions.
    Mse,
    /// WebCodecs.
    Webcodecs,
    /// The browser itself, from a playlist.
    Native,
}

/// When a report was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BeaconEvent {
    /// The first picture is there, or the start has failed.
    Start,
    /// From time to time.
    Interval,
    /// The viewer left, or the stream ended.
    End,
}
