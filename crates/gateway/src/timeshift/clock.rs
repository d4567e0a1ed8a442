//! When packets of the past are due, so that a player stays as far behind live as it began. Pure.

use media::Time;
use std::time::{Duration, Instant, SystemTime};

/// An interruption is played as long as it was, but not longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Maps the clock of the media to that of the player.
#[derive(Debug)]
pub(super) struct Clock {
    begun: Instant,
    /// What is sent ahead of its time.
    burst: Duration,
    /// How far into the playing the newest packet is, and what it was.
    newest: Option<(Duration, Stamp)>,
}

/// What a packet says of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// On the clock of the media, for decoding.
    pub(super) dts: Time,
    /// As the time of day.
    pub(super) date: SystemTime,
    /// Interruptions before it.
    pub(super) discontinuities: u64,
}

impl Clock {
    /// Begins at `begun`, with `burst` of media at once.
    pub(super) fn new(begun: Instant, burst: Duration) -> Self {
        Self { begun, burst, newest: None }
    }

    /// When a packet is due. They come in the order of their decoding times.
    pub(super) fn due(&mut self, stamp: Stamp) -> Instant {
        let at = match self.newest {
            None => Duration::ZERO,
            Some((at, last)) if last.discontinuities == stamp.discontinuities => {
                at + stamp.dts.since(last.dts)
            }
            // Between two publishers the clock of the media says nothing about how long nobody was there.
            Some((at, last)) => at + stamp.date.duration_since(last.date).unwrap_or_default().min(PAUSE_MAX),
        };
        // Packets of two tracks at an interruption may come in turns.
        if self.newest.is_none_or(|(_, last)| stamp.discontinuities >= last.discontinuities) {
            self.newest = Some((at, stamp));
        }
        self.begun + at.saturating_sub(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_due_at_the_rate_of_media_and_interruptions_last_as_long_as_they_did() {
        let begun = Instant::now();
        let mut clock = Clock::new(begun, Duration::from_millis(500));
        let mut due = |dts, date, discontinuities| {
            let date = SystemTime::UNIX_EPOCH + Duration::from_millis(date);
            let stamp = Stamp { dts: Time::from_millis(dts), date, discontinuities };
            (clock.due(stamp) - begun).as_millis()
        };
        assert_eq!((due(7_000, 1_000, 0), due(7_400, 1_400, 0), due(8_000, 2_000, 0)), (0, 0, 500));
        // Five seconds without a publisher, of which the clock of the media knows nothing.
        assert_eq!((due(8_040, 7_000, 1), due(9_040, 8_000, 1)), (5_500, 6_500));
        // An hour.
        assert_eq!(due(9_080, 3_608_000, 2), 66_500);
        // The clock of the media jumps.
        assert_eq!(due(9_000_000, 3_608_040, 3), 66_540);
        // The time of day goes back.
        assert_eq!(due(9_000_040, 0, 4), 66_540);
    }
}
