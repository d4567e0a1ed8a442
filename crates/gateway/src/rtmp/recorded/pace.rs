//! When what is recorded is sent: as far ahead of the clock as the player buffers. Pure.

use media::Time;
use std::time::{Duration, Instant};

/// How far ahead a player is sent media that announces a smaller buffer, or none: it begins at once, and the next second of
/// network trouble goes unseen. What a player with a large buffer holds ahead is its own choice.
const AHEAD_MIN: Duration = Duration::from_secs(2);

/// The pace of one playback.
#[derive(Debug)]
pub(super) struct Pace {
    /// What was sent first, and when.
    begun: Option<(Instant, Time)>,
    ahead: Duration,
    paused: Option<Instant>,
}

impl Pace {
    /// For a player that has said so much of its buffer.
    pub(super) fn new(buffer_ms: Option<u32>) -> Self {
        Self { begun: None, ahead: ahead(buffer_ms.unwrap_or(0)), paused: None }
    }

    /// The player has another buffer now (`RTMP` section 7.1.7, SetBufferLength).
    pub(super) fn set_buffer(&mut self, ms: u32) {
        self.ahead = ahead(ms);
    }

    /// What comes next is at another place, and the buffer of the player is empty.
    pub(super) fn restart(&mut self) {
        self.begun = None;
    }

    /// When to send what is decoded at `time`: now, if that is not in the future.
    pub(super) fn due(&mut self, now: Instant, time: Time) -> Instant {
        let (begun, first) = *self.begun.get_or_insert((now, time));
        begun + time.since(first).saturating_sub(self.ahead)
    }

    /// The clock of the player stands still, or goes on.
    pub(super) fn pause(&mut self, paused: bool, now: Instant) {
        match (paused, self.paused) {
            (true, None) => self.paused = Some(now),
            (false, Some(since)) => {
                self.paused = None;
                if let Some((begun, _)) = &mut self.begun {
                    *begun += now.saturating_duration_since(since);
                }
            }
            _ => {}
        }
    }

    /// Since when it stands still.
    pub(super) fn paused(&self) -> Option<Instant> {
        self.paused
    }
}

fn ahead(buffer_ms: u32) -> Duration {
    Duration::from_millis(buffer_ms.into()).max(AHEAD_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: i64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn media_is_sent_as_far_ahead_as_the_player_buffers() {
        let (now, mut pace) = (Instant::now(), Pace::new(Some(5000)));
        assert_eq!(
            [100, 105, 106, 116].map(|time| pace.due(now, at(time)) - now),
            [0, 0, 1, 11].map(|n| SECOND * n)
        );
        pace.set_buffer(0);
        assert_eq!(pace.due(now, at(106)), now + SECOND * 4, "some of it always");
        pace.set_buffer(u32::MAX);
        assert_eq!(pace.due(now, at(100_000)), now, "as fast as it can");
    }

    #[test]
    fn what_a_slow_player_has_missed_comes_at_once() {
        let (now, mut pace) = (Instant::now(), Pace::new(None));
        pace.due(now, at(0));
        assert!(pace.due(now + SECOND * 60, at(59)) <= now + SECOND * 60);
    }

    #[test]
    fn the_clock_stands_still_in_a_pause_and_begins_anew_elsewhere() {
        let (now, mut pace) = (Instant::now(), Pace::new(None));
        pace.due(now, at(0));
        pace.pause(true, now + SECOND);
        pace.pause(true, now + SECOND * 2);
        assert_eq!(pace.paused(), Some(now + SECOND));
        pace.pause(false, now + SECOND * 31);
        assert_eq!((pace.paused(), pace.due(now, at(10))), (None, now + SECOND * 38));
        pace.restart();
        assert_eq!(pace.due(now + SECOND * 50, at(1000)), now + SECOND * 50);
    }
}
