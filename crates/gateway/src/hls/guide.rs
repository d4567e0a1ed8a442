//! What a rung has from the stream that it is of: where segments begin, what time of day that was, and how many interruptions came
//! before.
//!
//! Players change from one to the other, and take what both say of a moment for the same (RFC 8216bis section 6.2.4). Keyframes of
//! the stream are keyframes of its rungs, at the same times; what is decided beyond that is decided once.

use super::channel::Channel;
use media::{Time, TrackId};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Keyframes of a stream that its rungs may still come to: more than a minute at one a second.
pub(super) const KEYFRAMES_MAX: usize = 64;

/// Times of a stream and of its rungs are the same; this is less than any frame lasts.
const SAME: Duration = Duration::from_millis(2);

/// A keyframe of a stream, and whether a segment begins with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keyframe {
    pub(super) pts: Time,
    pub(super) begins: bool,
}

/// A moment of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// The time of day.
    pub(super) date: SystemTime,
    /// Interruptions before it.
    pub(super) discontinuities: u64,
}

/// The stream that a rung is of.
#[derive(Clone)]
pub(super) struct Guide(Arc<Channel>);

impl Guide {
    pub(super) fn new(channel: Arc<Channel>) -> Self {
        Self(channel)
    }

    /// What is added to the times of packets there.
    pub(super) fn shift(&self) -> Duration {
        self.0.shift()
    }

    /// The target duration there.
    pub(super) fn target(&self) -> Duration {
        self.0.target()
    }

    /// Whether a segment began with the keyframe that is shown at `pts`. None if that is not known.
    pub(super) fn begins(&self, pts: Time) -> Option<bool> {
        self.0.keyframe(|keyframe| is_same(keyframe.pts, pts)).map(|keyframe| keyframe.begins)
    }

    /// What is known of the moment `pts`: from the segment that it is in, or from the nearest.
    pub(super) fn moment(&self, pts: Time) -> Option<Moment> {
        self.0.look(TrackId::VIDEO, |rendition, _| {
            let begun = |start: Time| start <= pts || is_same(start, pts);
            let segments = &rendition.segments;
            let segment = segments.iter().rev().find(|segment| begun(segment.start)).or(segments.front())?;
            let date = match segment.start <= pts {
                true => segment.date + pts.since(segment.start),
                false => segment.date.checked_sub(segment.start.since(pts))?,
            };
            Some(Moment { date, discontinuities: segment.discontinuities })
        })?
    }
}

/// Whether a moment of a stream is one of its rung.
pub(super) fn is_same(a: Time, b: Time) -> bool {
    a.since(b).max(b.since(a)) < SAME
}
