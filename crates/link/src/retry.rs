//! How long to wait before connecting again.

use crate::limits::{RETRY_WAIT_FIRST, RETRY_WAIT_MAX};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that double up to a maximum, each cut by a random half, so that many publishers do not return in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
    state: u64,
}

impl Default for Backoff {
    /// Out of step with every other one.
    fn default() -> Self {
        Self::new(RandomState::new().hash_one(()))
    }
}

impl Backoff {
    /// Waits from 250 ms to 10 s. `seed` makes publishers differ.
    pub fn new(seed: u64) -> Self {
        Self::between(RETRY_WAIT_FIRST, RETRY_WAIT_MAX, seed)
    }

    /// Waits from `first` to `longest`.
    pub fn between(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest, failures: 0, state: seed | 1 }
    }

    /// The next wait: between half of and the whole of the first, twice the first, ... the longest.
    pub fn wait(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        // xorshift64: enough to be out of step with others.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let share = (self.state >> 40) as f64 / (1_u64 << 24) as f64;
        full.mul_f64(0.5 + share / 2.0)
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How often in a row it was asked for a wait.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_maximum_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<_> = (0..40).map(|_| backoff.wait()).collect();
        for (index, wait) in waits.iter().enumerate() {
            let full = RETRY_WAIT_FIRST.saturating_mul(1 << index.min(16)).min(RETRY_WAIT_MAX);
            assert!(*wait >= full / 2 && *wait <= full, "{index}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= RETRY_WAIT_FIRST);
    }

    #[test]
    fn waits_keep_to_a_range_of_their_own() {
        let mut backoff = Backoff::between(Duration::from_secs(5), Duration::from_secs(60), 3);
        let waits: Vec<_> = (0..10).map(|_| backoff.wait().as_secs_f64()).collect();
        assert!((2.5..=5.0).contains(&waits[0]) && (5.0..=10.0).contains(&waits[1]));
        assert!((30.0..=60.0).contains(&waits[9]) && waits.iter().all(|wait| *wait <= 60.0));
    }

    #[test]
    fn two_publishers_do_not_return_in_step() {
        let (mut a, mut b) = (Backoff::new(1), Backoff::new(1 << 40));
        assert!((0..8).any(|_| a.wait() != b.wait()));
    }
}
