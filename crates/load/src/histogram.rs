//! Percentiles of any number of durations in a fixed amount of memory.

use std::fmt;
use std::time::Duration;

/// Buckets per doubling: the error of a percentile is below 1 / 64.
const STEPS: usize = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Doublings above the first `STEPS` microseconds: up to 2^40 us, which is 12 days.
const DOUBLINGS: usize = 34;

/// Counts durations in buckets whose width grows with the duration. One microsecond is the unit.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: Duration,
    min: Duration,
    total_us: u128,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Vec::new(), count: 0, max: Duration::ZERO, min: Duration::MAX, total_us: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, value: Duration) {
        // Allocated on first use: thousands of viewers never record anything.
        if self.counts.is_empty() {
            self.counts = vec![0; STEPS * (DOUBLINGS + 1)];
        }
        let us = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(us)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
        self.min = self.min.min(value);
        self.total_us += u128::from(us);
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Histogram) {
        if other.count == 0 {
            return;
        }
        if self.counts.is_empty() {
            self.counts = vec![0; STEPS * (DOUBLINGS + 1)];
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
        self.min = self.min.min(other.min);
        self.total_us += other.total_us;
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest one.
    pub fn max(&self) -> Option<Duration> {
        (self.count > 0).then_some(self.max)
    }

    /// The mean.
    pub fn mean(&self) -> Option<Duration> {
        let mean = self.total_us.checked_div(u128::from(self.count))?;
        Some(Duration::from_micros(u64::try_from(mean).unwrap_or(u64::MAX)))
    }

    /// The duration that `share` (0 to 1) of all do not exceed; `None` if there are none.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let rank = ((share.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                let value = Duration::from_micros(middle(index));
                return Some(value.clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }

    /// p50, p95, p99 and the maximum in milliseconds, as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        let ms = |value: Option<Duration>| value.map(|value| (value.as_secs_f64() * 1e6).round() / 1e3);
        serde_json::json!({
            "count": self.count,
            "p50Ms": ms(self.percentile(0.5)),
            "p95Ms": ms(self.percentile(0.95)),
            "p99Ms": ms(self.percentile(0.99)),
            "maxMs": ms(self.max()),
            "meanMs": ms(self.mean()),
        })
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Histogram({self})")
    }
}

/// `p50 1.2  p95 3.4  p99 5.6  max 7.8 ms (n=100)`.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(p50), Some(p95), Some(p99), Some(max)) =
            (self.percentile(0.5), self.percentile(0.95), self.percentile(0.99), self.max())
        else {
            return f.write_str("none measured");
        };
        let ms = |value: Duration| value.as_secs_f64() * 1e3;
        write!(
            f,
            "p50 {:.3}  p95 {:.3}  p99 {:.3}  max {:.3} ms (n={})",
            ms(p50),
            ms(p95),
            ms(p99),
            ms(max),
            self.count
        )
    }
}

fn bucket(us: u64) -> usize {
    if us < STEPS as u64 {
        return us as usize;
    }
    // At least STEP_BITS, since `us` is not below STEPS.
    let doubling = us.ilog2() - STEP_BITS;
    let step = (us >> doubling) as usize - STEPS;
    let index = STEPS * (doubling as usize + 1) + step;
    index.min(STEPS * (DOUBLINGS + 1) - 1)
}

fn middle(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let doubling = index / STEPS - 1;
    let low = ((index % STEPS + STEPS) as u64) << doubling;
    low + ((1_u64 << doubling) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_of_a_known_set() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(0.5), None);
        for us in 1..=100 {
            histogram.record(Duration::from_micros(us * 100));
        }
        let p50 = histogram.percentile(0.5).unwrap().as_micros() as i64;
        assert!((p50 - 5000).abs() < 80, "{p50}");
        assert_eq!(histogram.percentile(1.0), histogram.max());
        assert_eq!(histogram.max(), Some(Duration::from_millis(10)));
        assert_eq!(histogram.mean(), Some(Duration::from_micros(5050)));
    }

    proptest! {
        #[test]
        fn a_bucket_is_within_its_error(us in 0_u64..1 << 40) {
            let middle = middle(bucket(us));
            prop_assert!(middle.abs_diff(us) <= us / 64 + 1, "{} for {}", middle, us);
        }

        #[test]
        fn merging_equals_recording_all_in_one(a in prop::collection::vec(0_u64..1 << 50, 0..20), b in prop::collection::vec(0_u64..1 << 50, 0..20)) {
            let of = |values: &[u64]| {
                let mut histogram = Histogram::default();
                values.iter().for_each(|us| histogram.record(Duration::from_micros(*us)));
                histogram
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let both = of(&[a, b].concat());
            for share in [0.0, 0.5, 0.95, 1.0] {
                prop_assert_eq!(merged.percentile(share), both.percentile(share));
            }
            prop_assert_eq!((merged.max(), merged.mean()), (both.max(), both.mean()));
        }
    }
}
