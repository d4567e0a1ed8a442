//! Round trips (draft section 4.10).

/// An estimate of the round trip, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rtt {
    pub(super) mean_us: i64,
    pub(super) variance_us: i64,
    measured: bool,
}

/// Longer ones are not believed: no path is so long, and sums of them must not overflow.
const MAX_US: i64 = 60_000_000;

impl Rtt {
    /// What is assumed before the first measurement.
    pub(super) fn new() -> Self {
        Self { mean_us: 100_000, variance_us: 50_000, measured: false }
    }

    /// Takes a measurement.
    pub(super) fn add(&mut self, sample_us: i64) {
        let sample = sample_us.clamp(1, MAX_US);
        if self.measured {
            self.variance_us = (3 * self.variance_us + (self.mean_us - sample).abs()) / 4;
            self.mean_us = (7 * self.mean_us + sample) / 8;
        } else {
            (self.mean_us, self.variance_us, self.measured) = (sample, sample / 2, true);
        }
    }

    /// Nearly every answer is there after this time.
    pub(super) fn bound_us(&self) -> i64 {
        self.mean_us + 4 * self.variance_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_counts_whole_and_later_ones_little_by_little() {
        let mut rtt = Rtt::new();
        rtt.add(40_000);
        assert_eq!((rtt.mean_us, rtt.variance_us, rtt.bound_us()), (40_000, 20_000, 120_000));
        rtt.add(80_000);
        assert_eq!((rtt.mean_us, rtt.variance_us), (45_000, 25_000));
        for _ in 0..100 {
            rtt.add(i64::MAX);
        }
        assert!(rtt.bound_us() < 10 * MAX_US);
    }
}
