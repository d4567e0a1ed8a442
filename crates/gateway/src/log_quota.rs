//! How much of the log strangers may write.
//!
//! A refusal is worth a line, because it is how somebody finds out why an encoder does not get through. But anybody can cause
//! refusals, so lines about them are few, and say how many there would have been.

use crate::allowance::{Allowance, Rate};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines about one address: enough for somebody who tries out settings by hand.
const PER_ADDRESS: Rate = Rate { burst: 5, refill: Duration::from_secs(10) };
/// Lines in all, some 350 kB an hour at most.
const IN_ALL: Rate = Rate { burst: 30, refill: Duration::from_secs(2) };

/// Decides which lines about strangers are written.
#[derive(Debug)]
pub(crate) struct LogQuota(Mutex<State>);

#[derive(Debug)]
struct State {
    by_address: Allowance,
    /// When the bucket of all is full again.
    full_at: Option<Instant>,
    /// Lines that were not written since the last one that was.
    suppressed: u64,
}

impl Default for LogQuota {
    fn default() -> Self {
        let by_address = Allowance::new(PER_ADDRESS);
        Self(Mutex::new(State { by_address, full_at: None, suppressed: 0 }))
    }
}

impl LogQuota {
    /// Whether a line about `address` may be written: then the number of those that were not before it.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        // The address first: one that is loud takes nothing from the others.
        if state.by_address.take(address, now) && IN_ALL.take(state.full_at.get_or_insert(now), now) {
            return Some(std::mem::take(&mut state.suppressed));
        }
        state.suppressed += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_writes_a_few_lines_and_leaves_room_for_others() {
        let quota = LogQuota::default();
        let now = Instant::now();
        let [loud, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        assert_eq!((0..1000).filter(|_| quota.take(loud, now).is_some()).count(), PER_ADDRESS.burst as usize);
        assert_eq!(
            quota.take(other, now),
            Some(1000 - u64::from(PER_ADDRESS.burst)),
            "and it says what is missing"
        );
        assert_eq!(quota.take(other, now), Some(0));
        assert_eq!(quota.take(loud, now + PER_ADDRESS.refill), Some(0));
    }

    #[test]
    fn many_addresses_write_no_more_than_the_log_takes() {
        let quota = LogQuota::default();
        let start = Instant::now();
        let mut lines = 0;
        for index in 0..100_000_u32 {
            let address = IpAddr::from(index.to_be_bytes());
            lines += u32::from(quota.take(address, start + Duration::from_millis(index.into())).is_some());
        }
        assert!((50..=80).contains(&lines), "{lines} lines in 100 seconds");
    }
}
