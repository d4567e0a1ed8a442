//! Where a reader begins: one rule for all protocols.

use crate::kept::Preamble;
use crate::log::{Key, Log, VIDEO_AWAITED};
use crate::timeline::Head;
use crate::{Entry, Start};
use media::{Kind, Role, Time};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// How far before a keyframe, in entries, frames of other tracks are looked for that belong after it. Senders
/// interleave within a fraction of a second; this is about that, at the highest packet rates in use.
const LOOK_BACK_MAX: u64 = 256;

/// A place to begin at.
#[derive(Debug)]
pub(crate) struct Place {
    /// What comes before anything from the log.
    pub(crate) preamble: Arc<Preamble>,
    /// The keyframe; `None` where there is no video.
    pub(crate) key: Option<Arc<Entry>>,
    /// Where in the log frames of other tracks may stand that belong after the keyframe.
    pub(crate) back: Range<u64>,
    /// Where the log goes on from.
    pub(crate) next: u64,
    /// The time of the first frame.
    pub(crate) dts: Time,
    /// The group of pictures that begins here.
    pub(crate) gop: u64,
    /// The generation of what is kept, as the preamble has it.
    pub(crate) kept_generation: u64,
}

impl Place {
    /// The number of the first entry: the keyframe, or where the log goes on from.
    pub(crate) fn first(&self) -> u64 {
        self.key.as_ref().map_or(self.next, |key| key.seq)
    }
}

/// Where to look for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// As [`Start`] says.
    Start(Start),
    /// The keyframe at or before this decoding time, or else the oldest; where there is no video, the first frame that is
    /// not earlier.
    Dts(Time),
}

/// What has to come before a reader can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// A keyframe.
    Keyframe,
    /// Any frame.
    Frame,
    /// A sign of video, or the time at which its absence is one.
    Video(Option<Instant>),
}

impl Log {
    /// Where a reader begins that asks for `from`, and for `video` or not.
    pub(crate) fn find(&self, from: From, video: bool, now: Instant) -> Result<Place, Missing> {
        let at_keyframe = match video {
            true => self.starts_at_keyframe(now),
            false => Some(false),
        };
        match at_keyframe {
            Some(true) => self.find_key(from).and_then(|key| self.at_keyframe(key)).ok_or(Missing::Keyframe),
            Some(false) => match from {
                From::Start(Start::Behind(distance)) => self
                    .at_sound(self.head().ok_or(Missing::Frame)?.dts - distance)
                    .or_else(|| self.at_edge()),
                From::Start(_) => self.at_edge(),
                From::Dts(dts) => self.at_sound(dts).or_else(|| self.at_edge()),
            }
            .ok_or(Missing::Frame),
            None => {
                let until = self.session.started.map(|started| started + VIDEO_AWAITED);
                Err(Missing::Video(until.filter(|until| *until > now)))
            }
        }
    }

    fn find_key(&self, from: From) -> Option<&Key> {
        let keys = self.keys();
        let newest = keys.back();
        let before = |until: Time| keys.get(keys.partition_point(|key| key.dts <= until).saturating_sub(1));
        match from {
            From::Start(Start::Live) => newest,
            From::Start(Start::Behind(distance)) => before(self.head()?.dts - distance),
            From::Dts(dts) => before(dts),
            // Players name keyframes by the milliseconds that their container showed them.
            From::Start(Start::AtPts(pts)) => {
                keys.iter().rev().find(|key| key.pts.millis() <= pts.millis()).or(newest)
            }
        }
    }

    fn at_keyframe(&self, key: &Key) -> Option<Place> {
        Some(Place {
            preamble: key.preamble.clone(),
            key: Some(self.get(key.seq)?.clone()),
            back: key.seq.saturating_sub(LOOK_BACK_MAX).max(self.first())..key.seq,
            next: key.seq + 1,
            dts: key.dts,
            gop: key.gop,
            kept_generation: key.kept_generation,
        })
    }

    /// The newest audio frame, if it goes with what is kept now; or else the end of the log.
    fn at_edge(&self) -> Option<Place> {
        let head = self.head()?;
        let mut next = self.end();
        for entry in self.range(next.saturating_sub(LOOK_BACK_MAX), next).rev() {
            if entry.kept_generation != self.kept_generation() {
                break;
            }
            if entry.packet.track.kind == Kind::Audio && entry.packet.role == Role::Frame {
                next = entry.seq;
                break;
            }
        }
        Some(self.at_entry(next, head))
    }

    /// The first audio frame of this time or later that goes with what is kept now.
    fn at_sound(&self, dts: Time) -> Option<Place> {
        let fits = |entry: &&Arc<Entry>| {
            entry.packet.track.kind == Kind::Audio
                && entry.packet.role == Role::Frame
                && entry.packet.dts >= dts
                && entry.kept_generation == self.kept_generation()
        };
        let entry = self.range(self.first_of(dts), self.end()).find(fits)?;
        Some(self.at_entry(entry.seq, self.head()?))
    }

    /// The times that a reader can go to, for `video` or without: the first and the last.
    pub(crate) fn reach(&self, video: bool, now: Instant) -> Option<(Time, Time)> {
        let first = match !video || self.starts_at_keyframe(now) == Some(false) {
            true => self.at_sound(Time::from_nanos(i64::MIN))?.dts,
            false => self.keys().front()?.dts,
        };
        Some((first, self.head()?.dts))
    }

    fn at_entry(&self, next: u64, head: Head) -> Place {
        let dts = self.get(next).map_or(head.dts, |entry| entry.packet.dts);
        Place {
            preamble: Arc::new(Preamble::new(
                self.kept().clone(),
                self.session.rank,
                next,
                dts,
                head.arrived,
            )),
            key: None,
            back: next..next,
            next,
            dts,
            gop: self.get(next).or(self.range(0, next).next_back()).map_or(0, |entry| entry.gop),
            kept_generation: self.kept_generation(),
        }
    }
}
