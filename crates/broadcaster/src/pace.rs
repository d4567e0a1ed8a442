//! When a packet is due: media time turned into the clock of the wall.

use crate::limits::STEP_MAX;
use media::Time;
use std::time::{Duration, Instant};

/// Maps decode times to instants: the first packet is due at once, every later one as far behind it as its decode time says.
///
/// A packet that is late does not move the later ones, so the stream catches up after a hiccup.
#[derive(Debug)]
pub struct Pace {
    speed: f64,
    anchor: Option<(Instant, Time)>,
    last: Time,
}

impl Pace {
    /// `speed` 1 is real time, 2 is twice as fast; 0 or less means that every packet is due at once.
    pub fn new(speed: f64) -> Self {
        Self { speed, anchor: None, last: Time::ZERO }
    }

    /// Makes the next packet the first one: it is due at once.
    pub fn restart(&mut self) {
        self.anchor = None;
    }

    /// When the packet with decode time `dts` is to be sent.
    pub fn due(&mut self, now: Instant, dts: Time) -> Instant {
        let stepped = |from: Time, to: Time| to.since(from) > STEP_MAX;
        let (start, first) = match self.anchor {
            Some(anchor) if !stepped(self.last, dts) && !stepped(dts, self.last) => anchor,
            _ => *self.anchor.insert((now, dts)),
        };
        self.last = dts;
        if self.speed > 0.0 {
            start
                + Duration::try_from_secs_f64(dts.since(first).as_secs_f64() / self.speed).unwrap_or_default()
        } else {
            now
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_due_at_their_distance_from_the_first() {
        let now = Instant::now();
        let mut pace = Pace::new(1.0);
        assert_eq!(pace.due(now, Time::from_millis(500)), now);
        let late = now + Duration::from_millis(300);
        assert_eq!(pace.due(late, Time::from_millis(540)), now + Duration::from_millis(40));
        assert_eq!(pace.due(late, Time::from_millis(530)), now + Duration::from_millis(30));
    }

    #[test]
    fn double_speed_halves_the_distance_and_zero_does_not_wait() {
        let now = Instant::now();
        let mut double = Pace::new(2.0);
        double.due(now, Time::ZERO);
        assert_eq!(double.due(now, Time::from_millis(40)), now + Duration::from_millis(20));
        let mut at_once = Pace::new(0.0);
        at_once.due(now, Time::ZERO);
        assert_eq!(at_once.due(now, Time::from_millis(4000)), now);
    }

    #[test]
    fn a_cut_in_the_source_starts_the_clock_anew() {
        let now = Instant::now();
        let mut pace = Pace::new(1.0);
        pace.due(now, Time::ZERO);
        let later = now + Duration::from_secs(1);
        assert_eq!(pace.due(later, Time::from_millis(3_600_000)), later);
        assert_eq!(pace.due(later, Time::from_millis(3_600_020)), later + Duration::from_millis(20));
        assert_eq!(pace.due(later, Time::ZERO), later);
    }
}
