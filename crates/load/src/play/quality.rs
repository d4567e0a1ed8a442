//! What a viewer would notice: stalls, distance to the live edge, holes in the timestamps.
//!
//! Everything here is pure: times of arrival come in as arguments.

use crate::histogram::Histogram;
use media::{Kind, Packet, Role, Time, TrackId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A forward step of a track beyond this is a hole: more than any frame lasts, less than a person overlooks.
const HOLE: Duration = Duration::from_secs(1);

/// How far the newest frame may be passed before it counts as a stall: a frame at 25 fps is shown for as long.
const FRAME_SHOWN: Duration = Duration::from_millis(40);

/// Checks that decode times advance on each track.
#[derive(Debug, Clone, Default)]
pub struct Continuity {
    last: BTreeMap<TrackId, Time>,
    /// Steps back.
    pub backward: u64,
    /// Steps forward of more than a second.
    pub holes: u64,
}

impl Continuity {
    /// Checks the next packet. Only frames count.
    pub fn check(&mut self, packet: &Packet) {
        if packet.role != Role::Frame {
            return;
        }
        if let Some(last) = self.last.insert(packet.track, packet.dts) {
            self.backward += u64::from(packet.dts < last);
            self.holes += u64::from(packet.dts.since(last) > HOLE);
        }
    }

    /// Both kinds together.
    pub fn discontinuities(&self) -> u64 {
        self.backward + self.holes
    }
}

/// Plays the frames out against a clock, as a player with a fixed buffer would.
///
/// Playout begins when `buffer` of media is there, counted from the first frame. It stalls when the clock has passed the
/// newest frame, and goes on when `buffer` of media is there again.
#[derive(Debug, Clone)]
pub struct Playout {
    buffer: Duration,
    state: State,
    /// Decode time of the newest frame.
    newest: Option<Time>,
    /// The least seen `arrival - dts`, in nanoseconds since `origin`: how frames arrive when nothing delays them.
    origin: Option<Instant>,
    soonest: i64,
    lateness: Histogram,
    /// How often the picture stood still.
    pub stalls: u64,
    /// How long in total.
    pub stalled: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Filling the buffer; since when it has been empty, `None` before the first picture.
    Filling { from: Option<Time>, since: Option<Instant> },
    /// Shows `at` at the instant.
    Playing { started: Instant, at: Time },
}

impl Playout {
    /// A player that holds `buffer` of media.
    pub fn new(buffer: Duration) -> Self {
        Self {
            buffer,
            state: State::Filling { from: None, since: None },
            newest: None,
            origin: None,
            soonest: i64::MAX,
            lateness: Histogram::default(),
            stalls: 0,
            stalled: Duration::ZERO,
        }
    }

    /// A frame arrived. Give it one kind of track only: video where there is video.
    pub fn frame(&mut self, now: Instant, dts: Time) {
        self.advance(now);
        self.note_lateness(now, dts);
        let newest = self.newest.map_or(dts, |newest| newest.max(dts));
        self.newest = Some(newest);
        if let State::Filling { from, since } = self.state {
            let from = from.unwrap_or(dts);
            if newest.since(from) >= self.buffer {
                if let Some(since) = since {
                    self.stalled += now.saturating_duration_since(since);
                }
                self.state = State::Playing { started: now, at: from };
            } else {
                self.state = State::Filling { from: Some(from), since };
            }
        }
    }

    /// Brings the picture up to `now`: at the end of watching, or when nothing arrives.
    pub fn advance(&mut self, now: Instant) {
        let (State::Playing { started, at }, Some(newest)) = (self.state, self.newest) else { return };
        let last_shown = newest + FRAME_SHOWN;
        let shown = at + now.saturating_duration_since(started);
        if shown > last_shown {
            self.stalls += 1;
            let since = started + last_shown.since(at);
            self.state = State::Filling { from: Some(newest), since: Some(since) };
        }
    }

    /// Ends watching: a stall that is going on ends too.
    pub fn finish(&mut self, now: Instant) {
        self.advance(now);
        if let State::Filling { since: Some(since), .. } = self.state {
            self.stalled += now.saturating_duration_since(since);
        }
        self.state = State::Filling { from: None, since: None };
    }

    /// How far the picture is behind the newest media that a viewer without any buffer or backlog would have by `now`. What
    /// the way from the publisher adds to that cannot be seen from here.
    pub fn behind_live(&self, now: Instant) -> Option<Duration> {
        let (State::Playing { started, at }, Some(origin)) = (self.state, self.origin) else { return None };
        let elapsed = i64::try_from(now.saturating_duration_since(origin).as_nanos()).unwrap_or(i64::MAX);
        let edge = Time::from_nanos(elapsed.saturating_sub(self.soonest));
        Some(edge.since(at + now.saturating_duration_since(started)))
    }

    /// How much later than the soonest each frame came.
    pub fn lateness(&self) -> &Histogram {
        &self.lateness
    }

    fn note_lateness(&mut self, now: Instant, dts: Time) {
        let origin = *self.origin.get_or_insert(now);
        let elapsed = i64::try_from(now.saturating_duration_since(origin).as_nanos()).unwrap_or(i64::MAX);
        let delay = elapsed.saturating_sub(dts.nanos());
        self.soonest = self.soonest.min(delay);
        // The backlog that a server sends at the start arrives at once and is late by definition.
        if elapsed > 1_000_000_000 {
            let late = delay.saturating_sub(self.soonest).max(0) as u64;
            self.lateness.record(Duration::from_nanos(late));
        }
    }
}

/// Counts what arrives, by kind.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Video frames.
    pub video: u64,
    /// Keyframes among them.
    pub keyframes: u64,
    /// Audio frames.
    pub audio: u64,
    /// Everything else: configuration, metadata, messages.
    pub other: u64,
    /// Bytes of all payloads.
    pub payload_bytes: u64,
}

impl Counts {
    /// Counts one packet.
    pub fn count(&mut self, packet: &Packet) {
        self.payload_bytes += packet.payload.len() as u64;
        match (packet.track.kind, packet.role) {
            (Kind::Video, Role::Frame) => {
                self.video += 1;
                self.keyframes += u64::from(packet.flags.keyframe);
            }
            (Kind::Audio, Role::Frame) => self.audio += 1,
            _ => self.other += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::{Codec, Flags};

    const FRAME: Duration = Duration::from_millis(40);

    fn millis(count: u32) -> Duration {
        Duration::from_millis(count.into())
    }

    fn at(frame: u32) -> Time {
        Time::ZERO + FRAME * frame
    }

    #[test]
    fn frames_in_time_never_stall() {
        let start = Instant::now();
        let mut playout = Playout::new(millis(200));
        for frame in 0..100 {
            playout.frame(start + FRAME * frame, at(frame));
        }
        playout.finish(start + FRAME * 100);
        assert_eq!((playout.stalls, playout.stalled), (0, Duration::ZERO));
    }

    #[test]
    fn a_pause_longer_than_the_buffer_is_one_stall_of_the_difference() {
        let start = Instant::now();
        let mut playout = Playout::new(millis(200));
        for frame in 0..=50 {
            playout.frame(start + FRAME * frame, at(frame));
        }
        // Frame 50 came at 2000 ms. The picture is 200 ms behind, so it is shown from 2200 to 2240 ms. Then the next comes
        // a second late, and all that was held back with it.
        let late = start + millis(3040);
        for frame in 51..=76 {
            playout.frame(late, at(frame));
        }
        playout.finish(late + millis(10));
        assert_eq!((playout.stalls, playout.stalled), (1, millis(800)));
    }

    #[test]
    fn a_pause_within_the_buffer_is_no_stall() {
        let start = Instant::now();
        let mut playout = Playout::new(millis(400));
        for frame in 0..=50 {
            playout.frame(start + FRAME * frame, at(frame));
        }
        for frame in 51..=60 {
            playout.frame(start + millis(2400), at(frame));
        }
        playout.finish(start + millis(2500));
        assert_eq!(playout.stalls, 0);
    }

    #[test]
    fn a_backlog_at_the_start_is_distance_to_the_live_edge() {
        let start = Instant::now();
        let mut playout = Playout::new(Duration::ZERO);
        // A second of frames at once, then live.
        for frame in 0..=25 {
            playout.frame(start, at(frame));
        }
        playout.frame(start + FRAME, at(26));
        assert_eq!(playout.behind_live(start + FRAME), Some(millis(1000)));
    }

    #[test]
    fn lateness_is_counted_from_the_soonest_frame_and_not_at_the_start() {
        let start = Instant::now();
        let mut playout = Playout::new(Duration::ZERO);
        for frame in 0..=100 {
            let late = if frame == 60 { millis(30) } else { Duration::ZERO };
            playout.frame(start + FRAME * frame + late, at(frame));
        }
        assert_eq!(playout.lateness().max(), Some(millis(30)));
        assert!(playout.lateness().percentile(0.5).unwrap() < millis(1));
        assert_eq!(playout.lateness().count(), 75);
    }

    fn packet(track: TrackId, ms: i64) -> Packet {
        let dts = Time::from_millis(ms);
        let flags = Flags::default();
        Packet { track, codec: Codec::H264, role: Role::Frame, flags, dts, pts: dts, payload: Bytes::new() }
    }

    #[test]
    fn steps_back_and_holes_are_counted_per_track() {
        let mut continuity = Continuity::default();
        for (track, ms) in [
            (TrackId::VIDEO, 1000),
            (TrackId::AUDIO, 500),
            (TrackId::VIDEO, 1000),
            (TrackId::VIDEO, 990),
            (TrackId::AUDIO, 1501),
        ] {
            continuity.check(&packet(track, ms));
        }
        assert_eq!((continuity.backward, continuity.holes, continuity.discontinuities()), (1, 1, 2));
    }
}
