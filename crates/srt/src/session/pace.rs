//! When the next data packet may leave (draft section 5.1).

use crate::config::Bandwidth;

/// Headers of each packet on the wire: IPv4, UDP and SRT.
const HEADERS_BYTES: i64 = 44;
/// How much of its time a sender may make up for at once, so that a driver that comes a little late does not slow it down.
const BURST_US: i64 = 10_000;
/// Over how long what comes in is measured.
const WINDOW_US: i64 = 1_000_000;

/// The clock of a sender.
#[derive(Debug)]
pub(super) struct Pace {
    bandwidth: Bandwidth,
    /// Smoothed size of payloads.
    payload_bytes: i64,
    pub(super) next_us: i64,
    window_start_us: i64,
    window_bytes: u64,
    /// What came in during the last whole window, once there was one.
    input_bytes_per_second: Option<u64>,
}

impl Pace {
    pub(super) fn new(bandwidth: Bandwidth, payload_bytes_max: usize) -> Self {
        Self {
            bandwidth,
            payload_bytes: payload_bytes_max as i64,
            next_us: i64::MIN / 2,
            window_start_us: 0,
            window_bytes: 0,
            input_bytes_per_second: None,
        }
    }

    /// The application gave a payload.
    pub(super) fn given(&mut self, now_us: i64, payload_bytes: usize) {
        let elapsed_us = now_us - self.window_start_us;
        if elapsed_us >= WINDOW_US {
            let rate = self.window_bytes as i64 * 1_000_000 / elapsed_us;
            // A window that began long ago is mostly silence, and says nothing.
            if elapsed_us < 2 * WINDOW_US {
                self.input_bytes_per_second = Some(rate as u64);
            }
            (self.window_start_us, self.window_bytes) = (now_us, 0);
        }
        self.window_bytes += payload_bytes as u64 + HEADERS_BYTES as u64;
    }

    /// A packet left.
    pub(super) fn sent(&mut self, now_us: i64, payload_bytes: usize) {
        self.payload_bytes = (7 * self.payload_bytes + payload_bytes as i64) / 8;
        let period_us = (self.payload_bytes + HEADERS_BYTES) * 1_000_000 / self.bytes_per_second() as i64;
        self.next_us = self.next_us.max(now_us - BURST_US) + period_us;
    }

    /// How fast packets may leave.
    pub(super) fn bytes_per_second(&self) -> u64 {
        let rate = match self.bandwidth {
            Bandwidth::Max { bytes_per_second } => bytes_per_second,
            Bandwidth::Measured { overhead_percent, bytes_per_second_min } => {
                let Bandwidth::Max { bytes_per_second: unmeasured } = Bandwidth::default() else {
                    unreachable!()
                };
                self.input_bytes_per_second.map_or(unmeasured, |rate| {
                    let with_overhead = rate.saturating_mul(100 + u64::from(overhead_percent)) / 100;
                    with_overhead.max(bytes_per_second_min)
                })
            }
        };
        rate.clamp(1, i64::MAX as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_in_a_second(pace: &mut Pace, start_us: i64) -> i64 {
        let mut count = 0;
        while pace.next_us < start_us + 1_000_000 {
            pace.sent(pace.next_us.max(start_us), 1316);
            count += 1;
        }
        count
    }

    #[test]
    fn packets_leave_at_the_rate_that_is_set() {
        let mut pace = Pace::new(Bandwidth::Max { bytes_per_second: 136_000 }, 1316);
        let count = sent_in_a_second(&mut pace, 5_000_000);
        assert!((100..=102).contains(&count), "{count}");
    }

    #[test]
    fn a_measured_rate_follows_what_comes_in_and_has_its_overhead() {
        let bandwidth = Bandwidth::Measured { overhead_percent: 25, bytes_per_second_min: 50_000 };
        let mut pace = Pace::new(bandwidth, 1316);
        assert_eq!(pace.bytes_per_second(), 125_000_000);
        for number in 0..=200 {
            pace.given(number * 10_000, 1316);
        }
        assert_eq!(pace.bytes_per_second(), 170_000);
        // A stream that pauses keeps its rate for when it goes on.
        pace.given(60_000_000, 1316);
        assert_eq!(pace.bytes_per_second(), 170_000);
        for number in 0..=100 {
            pace.given(60_000_000 + number * 100_000, 100);
        }
        assert_eq!(pace.bytes_per_second(), 50_000);
    }
}
