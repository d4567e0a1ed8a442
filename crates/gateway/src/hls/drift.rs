//! How far the clock of the media has moved from the time of day. Pure.
//!
//! Clocks of encoders are off by some seconds a day, and dates that only add up durations would be too. What a frame is late by is
//! mostly the network; of many frames the one that is late by least tells the clock.

use super::limits;
use media::Time;

/// Watches one stream.
#[derive(Debug, Default)]
pub(super) struct Drift {
    /// When the look at hand began, and the least that a frame was late by, in nanoseconds.
    look: Option<(Time, i64)>,
}

impl Drift {
    /// Notes that a frame of media time `dts` came `late` nanoseconds after its date, or before it if negative. Returns by how much
    /// dates from here on are to be later.
    pub(super) fn note(&mut self, dts: Time, late: i64) -> Option<i64> {
        let (begun, least) = match self.look {
            Some((begun, least)) => (begun, least.min(late)),
            None => (dts, late),
        };
        self.look = Some((begun, least));
        if dts.since(begun) < limits::DRIFT_LOOK {
            return None;
        }
        self.look = None;
        let step = limits::DRIFT_STEP.as_nanos() as i64;
        (least.unsigned_abs() > limits::DRIFT_MIN.as_nanos() as u64).then(|| least.clamp(-step, step))
    }

    /// Dates begin anew.
    pub(super) fn reset(&mut self) {
        self.look = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// How far dates are from the time of day after `seconds` of a clock that gains `gain` nanoseconds each second, where every frame
    /// but one in ten is late by up to two seconds.
    fn error_after(seconds: i64, gain: i64) -> i64 {
        let (mut drift, mut corrected) = (Drift::default(), 0);
        for at in 0..seconds * 25 {
            let ahead = -gain * at / 25;
            let of_network = if at % 10 == 0 { 0 } else { at * 7_919 % 100 * SECOND / 50 };
            let late = ahead + of_network - corrected;
            corrected += drift.note(Time::from_millis(at * 40), late).unwrap_or_default();
        }
        (-gain * seconds - corrected).abs()
    }

    #[test]
    fn dates_follow_a_clock_that_is_wrong_and_no_network_that_is_slow() {
        let hours = 6 * 3600;
        let allowed = 2 * limits::DRIFT_MIN.as_nanos() as i64;
        for gain in [0, 200_000, -200_000, 2_000_000] {
            assert!(error_after(hours, gain) < allowed, "{gain}");
        }
    }

    #[test]
    fn a_small_difference_is_left_alone_and_a_large_one_is_made_good_in_steps() {
        let step = limits::DRIFT_STEP.as_nanos() as i64;
        let look = |late| {
            let mut drift = Drift::default();
            (0..100).find_map(|at| drift.note(Time::from_millis(at * 100), late))
        };
        assert_eq!(look(SECOND / 20), None);
        assert_eq!((look(60 * SECOND), look(-60 * SECOND)), (Some(step), Some(-step)));
    }
}
