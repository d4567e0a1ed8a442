//! The steps of a start-up, and when each was done.

use std::time::{Duration, Instant};

/// When the steps of one join were done; `None` for those that were not reached.
#[derive(Debug, Clone, Copy)]
pub struct Stages {
    /// The user acted: before the name is looked up.
    pub start: Instant,
    /// The TCP connection stands.
    pub connected: Option<Instant>,
    /// The request for the stream is sent. Over RTMP that is when the handshake is done, since the commands go with its end.
    pub requested: Option<Instant>,
    /// The server agreed: `NetStream.Play.Start`, or the status line.
    pub accepted: Option<Instant>,
    /// The first media byte: of an audio, video or data message, or of the FLV body.
    pub first_media: Option<Instant>,
    /// The first video keyframe is complete; in a stream without video, the first audio frame.
    pub keyframe: Option<Instant>,
}

impl Stages {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, connected: None, requested: None, accepted: None, first_media: None, keyframe: None }
    }

    /// Name and time from the start of every step, in order.
    pub fn steps(&self) -> [(&'static str, Option<Duration>); 5] {
        let since = |step: Option<Instant>| step.map(|step| step.saturating_duration_since(self.start));
        [
            ("tcp connected", since(self.connected)),
            ("request sent", since(self.requested)),
            ("accepted", since(self.accepted)),
            ("first media byte", since(self.first_media)),
            ("keyframe complete", since(self.keyframe)),
        ]
    }
}

/// The names of [`Stages::steps`] in JSON.
pub(crate) const JSON_NAMES: [&str; 5] = ["connected", "requested", "accepted", "firstMedia", "keyframe"];

/// Milliseconds with three decimals: microseconds.
pub(crate) fn ms(time: Option<Duration>) -> Option<f64> {
    time.map(|time| (time.as_nanos() as f64 / 1e3).round() / 1e3)
}
