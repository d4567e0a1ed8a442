//! What a player would have in its buffer: whether its picture stands still. Pure.

use std::time::{Duration, Instant};

/// A player at normal speed. It begins as soon as it has media of every track, and after a stall again.
#[derive(Debug, Clone)]
pub(super) struct Buffer {
    /// Media of each track from the wanted position on, in nanoseconds; below zero for what is only needed to decode that.
    received: Vec<i64>,
    played: i64,
    state: State,
    /// How often it ran empty.
    pub(super) stalls: u64,
    /// For how long in all, except for the stall at hand.
    pub(super) stalled: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Waiting,
    Playing(Instant),
    Stalled(Instant),
}

impl Buffer {
    /// A player of so many tracks.
    pub(super) fn new(tracks: usize) -> Self {
        Self {
            received: vec![0; tracks],
            played: 0,
            state: State::Waiting,
            stalls: 0,
            stalled: Duration::ZERO,
        }
    }

    /// So much of what a track brings is before the wanted position.
    pub(super) fn lead_in(&mut self, track: usize, duration: Duration) {
        if let Some(received) = self.received.get_mut(track) {
            *received = -nanos(duration);
        }
    }

    /// Media has come.
    pub(super) fn receive(&mut self, track: usize, duration: Duration, now: Instant) {
        self.advance(now);
        if let Some(received) = self.received.get_mut(track) {
            *received += nanos(duration);
        }
        if self.end() > self.played {
            match self.state {
                State::Playing(_) => return,
                State::Stalled(since) => self.stalled += now.saturating_duration_since(since),
                State::Waiting => {}
            }
            self.state = State::Playing(now);
        }
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, now: Instant) {
        let State::Playing(since) = self.state else { return };
        let left = self.end() - self.played;
        let passed = nanos(now.saturating_duration_since(since));
        if passed <= left {
            self.played += passed;
            self.state = State::Playing(now);
        } else {
            self.played += left;
            self.stalls += 1;
            self.state = State::Stalled(since + Duration::from_nanos(left.max(0) as u64));
        }
    }

    fn end(&self) -> i64 {
        self.received.iter().copied().min().unwrap_or(i64::MAX)
    }
}

/// Whole ones: the parts of a lead-in add up to nothing, not to almost nothing.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_the_wanted_position_is_not_played() {
        let now = Instant::now();
        let part = Duration::from_secs_f64(0.325);
        let mut buffer = Buffer::new(1);
        buffer.lead_in(0, [part; 6].iter().sum());
        for _ in 0..6 {
            buffer.receive(0, part, now);
        }
        buffer.advance(now + part);
        assert_eq!(buffer.stalls, 0, "it has not begun");
        buffer.receive(0, part, now + part);
        buffer.advance(now + 3 * part);
        assert_eq!(buffer.stalls, 1);
    }

    #[test]
    fn a_player_that_runs_empty_stalls_until_media_of_all_tracks_has_come() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let second = Duration::from_secs(1);
        let mut buffer = Buffer::new(2);
        buffer.lead_in(0, second);
        buffer.receive(0, 2 * second, at(0));
        buffer.receive(1, second, at(100));
        // From here on it plays, and has a second of both.
        buffer.receive(0, second, at(900));
        buffer.advance(at(1_500));
        assert_eq!(buffer.stalls, 1);
        buffer.receive(0, second, at(1_600));
        assert_eq!(buffer.stalled, Duration::ZERO, "there is no sound yet");
        buffer.receive(1, 2 * second, at(1_700));
        assert!(buffer.stalled.abs_diff(Duration::from_millis(600)) < Duration::from_millis(1));
        buffer.receive(1, second, at(3_600));
        assert_eq!(buffer.stalls, 1);
    }
}
