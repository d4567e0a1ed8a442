//! Random numbers that repeat: like time, chance is given to a machine from outside.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood 2014). The sequence of a seed never changes between releases, so that a seed that was
/// printed repeats a run for ever. Not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least 0, below 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with `probability`. Always draws, so that one knob does not shift the decisions of another.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Below `count`; 0 if that is 0.
    pub fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f64) as usize
    }

    /// Shorter than `longest`.
    pub fn duration(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.unit())
    }

    /// The wait for the next of events that come `rate` times a second on average, independently of each other.
    pub fn exponential(&mut self, rate: f64) -> Duration {
        let wait = -(1.0 - self.unit()).ln() / rate;
        Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_numbers_of_the_reference() {
        let mut random = Random::new(1_234_567);
        // The reference implementation (prng.di.unimi.it/splitmix64.c).
        let numbers = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(numbers.map(|_| random.bits()), numbers);
    }

    #[test]
    fn numbers_stay_in_their_range_and_are_spread_out() {
        let mut random = Random::new(1);
        let mut sum = 0.0;
        for _ in 0..10_000 {
            assert!((0.0..1.0).contains(&random.unit()));
            assert!(random.below(3) < 3);
            assert!(random.duration(Duration::from_secs(1)) < Duration::from_secs(1));
            sum += random.exponential(10.0).as_secs_f64();
        }
        assert!((sum / 10_000.0 - 0.1).abs() < 0.005, "{sum}");
        assert_eq!(random.below(0), 0);
        assert!(random.chance(1.0) && !random.chance(0.0));
    }
}
