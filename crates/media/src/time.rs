//! Media time.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a stream's media clock, in nanoseconds.
///
/// One unit for all tracks makes them comparable without rational arithmetic. It loses nothing: a count of ticks of
/// any timescale up to 500 MHz survives [`Time::from_ticks`] and [`Time::to_ticks`] unchanged, because both round
/// to the nearest unit. Signed, since decoding may start before zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

const NANOS: i128 = 1_000_000_000;

impl Time {
    /// Zero.
    pub const ZERO: Time = Time(0);

    /// From nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From milliseconds, the unit of RTMP and FLV.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// From `ticks` of `1 / timescale` seconds, rounded to the nearest nanosecond. A timescale of 0 counts as 1.
    pub fn from_ticks(ticks: i64, timescale: u32) -> Self {
        Self(rescale(ticks, NANOS, i128::from(timescale.max(1))))
    }

    /// In ticks of `1 / timescale` seconds, rounded to the nearest tick.
    pub fn to_ticks(self, timescale: u32) -> i64 {
        rescale(self.0, i128::from(timescale.max(1)), NANOS)
    }

    /// In nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// In whole milliseconds, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The nanoseconds beyond [`Time::millis`], 0..=999_999.
    pub const fn nanos_of_milli(self) -> u32 {
        self.0.rem_euclid(1_000_000) as u32
    }

    /// The time from `earlier` to this one, zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

fn rescale(value: i64, multiply: i128, divide: i128) -> i64 {
    let product = i128::from(value) * multiply;
    let half = divide / 2;
    let rounded = if product >= 0 { (product + half) / divide } else { (product - half) / divide };
    rounded.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, rhs: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(rhs.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, rhs: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(rhs.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// The signed difference in nanoseconds.
impl Sub<Time> for Time {
    type Output = i64;
    fn sub(self, rhs: Time) -> i64 {
        self.0.saturating_sub(rhs.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn milliseconds_round_down_on_both_sides_of_zero() {
        assert_eq!(Time::from_nanos(1_999_999).millis(), 1);
        assert_eq!(Time::from_nanos(-1).millis(), -1);
        assert_eq!(Time::from_nanos(-1).nanos_of_milli(), 999_999);
    }

    proptest! {
        #[test]
        fn ticks_survive_the_round_trip(ticks in -(1i64 << 33)..(1i64 << 33), timescale in 1u32..=1_000_000) {
            prop_assert_eq!(Time::from_ticks(ticks, timescale).to_ticks(timescale), ticks);
        }
    }
}
