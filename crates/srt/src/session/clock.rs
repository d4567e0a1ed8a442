//! When data that arrives is delivered (draft sections 4.5 and 4.7).
//!
//! Timestamps have 32 bits of microseconds and wrap after 71 minutes. What a timestamp should be is known from our own clock, so
//! each is taken as the nearest to that; there is no state of wrapping that loss or a pause could confuse.

/// Samples of which each correction is made: 10 s of a stream that is acknowledged every 10 ms.
const SAMPLES: u32 = 1000;
/// The most that is corrected at once. A pair of bad clocks drifts by 200 ppm, 2 ms in that time.
const CORRECTION_US_MAX: i64 = 5_000;

/// The peer's clock, as ours sees it.
#[derive(Debug)]
pub(super) struct PeerClock {
    /// Our time when the peer's was 0, with the delay of its first datagram.
    base_us: i64,
    latency_us: i64,
    first_rtt_us: Option<i64>,
    samples: u32,
    sum_us: i64,
}

impl PeerClock {
    /// A peer whose handshake with this timestamp arrived at `arrived_us`.
    pub(super) fn new(arrived_us: i64, timestamp: u32, latency_us: i64) -> Self {
        let base_us = arrived_us - i64::from(timestamp);
        Self { base_us, latency_us, first_rtt_us: None, samples: 0, sum_us: 0 }
    }

    /// When something with this timestamp arrives if its path is like the first one's.
    pub(super) fn arrival_us(&self, now_us: i64, timestamp: u32) -> i64 {
        let expected = now_us - self.base_us;
        now_us + i64::from(timestamp.wrapping_sub(expected as u32) as i32)
    }

    /// When something with this timestamp is delivered.
    pub(super) fn delivery_us(&self, now_us: i64, timestamp: u32) -> i64 {
        self.arrival_us(now_us, timestamp) + self.latency_us
    }

    /// Takes a measurement: something that was sent at once has arrived, and the round trip at that time.
    pub(super) fn sample(&mut self, now_us: i64, timestamp: u32, rtt_us: i64) {
        let first_rtt_us = *self.first_rtt_us.get_or_insert(rtt_us);
        // A path that has become longer is not a clock that runs otherwise.
        let drift_us = now_us - self.arrival_us(now_us, timestamp) - (rtt_us - first_rtt_us) / 2;
        self.sum_us += drift_us;
        self.samples += 1;
        if self.samples == SAMPLES {
            let mean_us = self.sum_us / i64::from(SAMPLES);
            self.base_us += mean_us.clamp(-CORRECTION_US_MAX, CORRECTION_US_MAX);
            (self.samples, self.sum_us) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_that_wrap_go_on() {
        let mut clock = PeerClock::new(1_000, u32::MAX - 500, 120_000);
        for passed in [0_i64, 400, 600, 1 << 20, 3 << 31, (3 << 31) + 7] {
            let timestamp = (u32::MAX - 500).wrapping_add(passed as u32);
            let now = 1_000 + passed;
            assert_eq!(clock.arrival_us(now + 300, timestamp), now, "{passed}");
            assert_eq!(clock.delivery_us(now, timestamp), now + 120_000);
        }
        clock.sample(1_000, u32::MAX - 500, 1);
    }

    #[test]
    fn a_clock_that_runs_faster_is_followed_and_a_longer_path_is_not() {
        let mut clock = PeerClock::new(0, 0, 0);
        // 200 ppm for half an hour.
        for step in 1..=180_000_i64 {
            let now = step * 10_000;
            clock.sample(now, (now + now / 5_000) as u32, 50_000);
        }
        let now = 1_800_000_000_i64;
        let error = clock.arrival_us(now, (now + now / 5_000) as u32) - now;
        assert!(error.abs() < 5_000, "{error}");
        let mut clock = PeerClock::new(0, 0, 0);
        for step in 1..=10_000_i64 {
            let longer = if step > 100 { 40_000 } else { 0 };
            clock.sample(step * 10_000 + longer, (step * 10_000) as u32, 50_000 + 2 * longer);
        }
        assert_eq!(clock.arrival_us(200_000_000, 200_000_000), 200_000_000);
    }
}
