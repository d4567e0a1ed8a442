//! The source's clock, made continuous.
//!
//! A stream has one clock for its whole life. A publisher that reconnects, or an encoder that starts anew without
//! reconnecting, begins at zero again; readers must not see that. One offset is added to the times of all tracks
//! alike, so that audio and video stay together.

use media::{Packet, Role, Time};
use std::time::{Duration, Instant};

/// A step back of at most this much is jitter of the source (B-frames in a muxer without reordering, rounding): the
/// frame is raised to the time of the one before. A larger one means that the source's clock started anew.
const JITTER_MAX: Duration = Duration::from_millis(500);

/// The least time between the last frame of one epoch and the first of the next: about one frame.
const EPOCH_GAP_MIN: Duration = Duration::from_millis(20);

/// How long after a new epoch a frame of the one before may still come, from a track that was queued behind.
const STRAGGLER_MAX: Duration = Duration::from_secs(2);

/// The newest frame of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// The highest decoding time so far.
    pub(crate) dts: Time,
    /// When the last frame came.
    pub(crate) arrived: Instant,
}

impl Head {
    /// The time of a stream that goes on at `now`: as long after its newest frame as that is past.
    fn continued(&self, now: Instant) -> Time {
        self.dts + now.saturating_duration_since(self.arrived).max(EPOCH_GAP_MIN)
    }
}

/// What has to be added to the times of one publisher.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    offset: Option<i64>,
    before: Option<Epoch>,
}

/// An epoch that has ended.
#[derive(Debug, Clone, Copy)]
struct Epoch {
    offset: i64,
    ended: Instant,
}

/// What was done to a packet's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Clamped,
    Rebased,
}

impl Timeline {
    /// Moves the times of `packet` onto the stream's clock. `last` is the time of the last frame of its track.
    pub(crate) fn place(
        &mut self,
        packet: &mut Packet,
        last: Option<Time>,
        head: Option<Head>,
        now: Instant,
    ) -> Change {
        let (dts, change) = if packet.role == Role::Frame {
            self.place_frame(packet.dts, last, head, now)
        } else {
            (self.place_other(packet.dts, last, head, now), Change::None)
        };
        packet.pts = shift(dts, packet.pts - packet.dts);
        packet.dts = dts;
        change
    }

    fn place_frame(
        &mut self,
        dts: Time,
        last: Option<Time>,
        head: Option<Head>,
        now: Instant,
    ) -> (Time, Change) {
        let Some(head) = head else {
            let offset = *self.offset.get_or_insert(0);
            return (shift(dts, offset), Change::None);
        };
        let Some(offset) = self.offset else {
            return (self.rebase(dts, head, now), Change::None);
        };
        let placed = shift(dts, offset);
        if let Some(late) = self.straggler(dts, placed, head, now) {
            return (last.map_or(late, |last| late.max(last)), Change::None);
        }
        match last {
            Some(last) if last.since(placed) > JITTER_MAX => {
                self.before = Some(Epoch { offset, ended: now });
                (self.rebase(dts, head, now), Change::Rebased)
            }
            Some(last) if placed < last => (last, Change::Clamped),
            _ => (placed, Change::None),
        }
    }

    /// Lets the stream go on with a frame of time `dts`.
    fn rebase(&mut self, dts: Time, head: Head, now: Instant) -> Time {
        let placed = head.continued(now);
        self.offset = Some(placed - dts);
        placed
    }

    /// The place of a frame that belongs to the epoch before: far ahead on the present one, near the head on that.
    fn straggler(&mut self, dts: Time, placed: Time, head: Head, now: Instant) -> Option<Time> {
        let before = self.before?;
        if now.saturating_duration_since(before.ended) > STRAGGLER_MAX {
            self.before = None;
            return None;
        }
        let late = shift(dts, before.offset);
        let near = late.since(head.dts).max(head.dts.since(late)) <= STRAGGLER_MAX;
        (near && placed.since(head.dts) > STRAGGLER_MAX).then_some(late)
    }

    /// Configurations and messages follow the frames and move nothing: many senders stamp them with zero.
    fn place_other(&self, dts: Time, last: Option<Time>, head: Option<Head>, now: Instant) -> Time {
        let Some(head) = head else {
            return dts;
        };
        let Some(offset) = self.offset else {
            return head.continued(now);
        };
        let placed = shift(dts, offset);
        let far = placed.since(head.dts).max(head.dts.since(placed)) > JITTER_MAX;
        let placed = if far { head.dts } else { placed };
        last.map_or(placed, |last| placed.max(last))
    }
}

fn shift(time: Time, nanos: i64) -> Time {
    Time::from_nanos(time.nanos().saturating_add(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ms, packet};
    use media::TrackId;

    /// One video and one audio track over a timeline, in milliseconds.
    struct Source {
        timeline: Timeline,
        last: [Option<Time>; 2],
        head: Option<Head>,
        start: Instant,
    }

    impl Source {
        fn new() -> Self {
            Self { timeline: Timeline::default(), last: [None; 2], head: None, start: Instant::now() }
        }

        fn frame(&mut self, track: usize, dts: i64, wall: u64) -> (i64, Change) {
            let now = self.start + Duration::from_millis(wall);
            let mut packet = packet::audio(dts);
            packet.pts = ms(dts + 7);
            let change = self.timeline.place(&mut packet, self.last[track], self.head, now);
            assert_eq!(packet.pts - packet.dts, 7_000_000, "the distance to pts stays");
            self.last[track] = Some(packet.dts);
            let dts = self.head.map_or(packet.dts, |head| head.dts.max(packet.dts));
            self.head = Some(Head { dts, arrived: now });
            (packet.dts.millis(), change)
        }

        fn config(&mut self, dts: i64) -> i64 {
            let mut packet = packet::config(TrackId::VIDEO, b"c");
            packet.dts = ms(dts);
            packet.pts = ms(dts);
            self.timeline.place(&mut packet, self.last[0], self.head, self.start);
            packet.dts.millis()
        }
    }

    #[test]
    fn times_of_a_new_stream_stay_as_they_are() {
        let mut source = Source::new();
        assert_eq!(source.frame(0, 5_000, 0), (5_000, Change::None));
        assert_eq!(source.frame(1, 4_990, 1), (4_990, Change::None));
        assert_eq!(source.frame(0, 90_000, 2), (90_000, Change::None), "a jump forward is kept");
    }

    #[test]
    fn small_step_back_is_raised_to_the_frame_before() {
        let mut source = Source::new();
        source.frame(0, 1_000, 0);
        assert_eq!(source.frame(0, 500, 0), (1_000, Change::Clamped));
        assert_eq!(source.frame(0, 1_040, 0), (1_040, Change::None));
    }

    #[test]
    fn large_step_back_moves_all_tracks_by_the_same_offset() {
        let mut source = Source::new();
        source.frame(0, 10_000, 0);
        source.frame(1, 10_010, 5);
        assert_eq!(source.frame(0, 0, 105), (10_110, Change::Rebased));
        assert_eq!(source.frame(1, 10, 106), (10_120, Change::None));
        assert_eq!(source.frame(0, 40, 107), (10_150, Change::None));
    }

    #[test]
    fn new_epoch_begins_at_least_one_frame_later() {
        let mut source = Source::new();
        source.frame(0, 10_000, 0);
        assert_eq!(source.frame(0, 0, 0), (10_020, Change::Rebased));
    }

    #[test]
    fn straggler_of_the_old_epoch_does_not_jump_ahead() {
        let mut source = Source::new();
        source.frame(0, 100_000, 0);
        source.frame(1, 99_900, 0);
        source.frame(0, 0, 20);
        assert_eq!(source.frame(1, 99_990, 25), (99_990, Change::None));
        assert_eq!(source.frame(1, 99_980, 26), (99_990, Change::None), "not before the frame before it");
        assert_eq!(source.frame(1, 0, 30), (100_020, Change::None));
    }

    #[test]
    fn next_publisher_continues_after_the_time_that_has_passed() {
        let mut source = Source::new();
        source.frame(0, 10_000, 0);
        source.timeline = Timeline::default();
        assert_eq!(source.config(0), 10_020, "its own time says nothing yet");
        assert_eq!(source.frame(0, 777, 3_000), (13_000, Change::None));
        assert_eq!(source.frame(0, 817, 3_040), (13_040, Change::None));
    }

    #[test]
    fn configuration_stamped_zero_moves_to_the_head() {
        let mut source = Source::new();
        assert_eq!(source.config(3), 3);
        source.frame(0, 10_000, 0);
        assert_eq!(source.config(0), 10_000);
        assert_eq!(source.config(10_040), 10_040);
        assert_eq!(source.config(9_990), 10_000, "never before a frame of its track");
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let mut source = Source::new();
        for dts in [i64::MIN, i64::MAX, 0, i64::MAX, i64::MIN, -1] {
            source.frame_nanos(dts);
        }
    }

    impl Source {
        fn frame_nanos(&mut self, dts: i64) {
            let mut packet = packet::audio(0);
            (packet.dts, packet.pts) = (Time::from_nanos(dts), Time::from_nanos(-dts.saturating_add(1)));
            self.timeline.place(&mut packet, self.last[0], self.head, self.start);
            assert!(self.last[0].is_none_or(|last| packet.dts >= last));
            self.last[0] = Some(packet.dts);
            let dts = self.head.map_or(packet.dts, |head| head.dts.max(packet.dts));
            self.head = Some(Head { dts, arrived: self.start });
        }
    }
}
