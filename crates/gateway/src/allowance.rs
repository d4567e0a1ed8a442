//! How often an address may do what costs something: a bucket of tokens for each.

use crate::subscriber::subscriber;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

mod limits {
    use std::time::Duration;

    /// Addresses that are remembered, at about 50 bytes. An address is forgotten when its bucket is full again.
    pub(super) const ADDRESSES_MAX: usize = 16 * 1024;
    /// How often a full table is searched for addresses to forget.
    pub(super) const SWEEP: Duration = Duration::from_secs(1);
}

/// How fast a bucket of tokens fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Tokens of a full one.
    pub(crate) burst: u32,
    /// One more token after so long.
    pub(crate) refill: Duration,
}

impl Rate {
    /// Takes a token of the bucket that is full again at `full_at`: one number says how many tokens are missing. False if
    /// none is left.
    pub(crate) fn take(self, full_at: &mut Instant, now: Instant) -> bool {
        let next = (*full_at).max(now) + self.refill;
        let allowed = next.saturating_duration_since(now) <= self.refill * self.burst;
        if allowed {
            *full_at = next;
        }
        allowed
    }
}

/// What each subscriber may still do.
#[derive(Debug)]
pub(crate) struct Allowance {
    rate: Rate,
    /// By subscriber, the time at which its bucket is full again.
    full_at: HashMap<IpAddr, Instant>,
    swept: Option<Instant>,
}

impl Allowance {
    /// Full buckets for all.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, full_at: HashMap::new(), swept: None }
    }

    /// Takes a token of `address`; false if none is left, or if there is no room to remember one more address.
    pub(crate) fn take(&mut self, address: IpAddr, now: Instant) -> bool {
        let subscriber = subscriber(address);
        if self.full_at.len() >= limits::ADDRESSES_MAX && !self.full_at.contains_key(&subscriber) {
            self.sweep(now);
            if self.full_at.len() >= limits::ADDRESSES_MAX {
                return false;
            }
        }
        self.rate.take(self.full_at.entry(subscriber).or_insert(now), now)
    }

    fn sweep(&mut self, now: Instant) {
        let due = |swept: Instant| now.saturating_duration_since(swept) >= limits::SWEEP;
        if self.swept.is_none_or(due) {
            self.swept = Some(now);
            self.full_at.retain(|_, full_at| full_at.saturating_duration_since(now) > Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 300, refill: Duration::from_millis(50) };

    fn v4(index: u32) -> IpAddr {
        std::net::Ipv4Addr::from(index).into()
    }

    #[test]
    fn an_address_may_burst_and_then_send_at_the_rate_of_the_refill() {
        let mut allowance = Allowance::new(RATE);
        let now = Instant::now();
        let taken = (0..1000).filter(|_| allowance.take(v4(1), now)).count();
        assert_eq!(taken, 300);
        assert!(allowance.take(v4(2), now), "others are not concerned");
        let later = now + 10 * RATE.refill;
        assert_eq!((0..1000).filter(|_| allowance.take(v4(1), later)).count(), 10);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_addresses_whose_buckets_are_full() {
        let mut allowance = Allowance::new(RATE);
        let now = Instant::now();
        let addresses = 2 * limits::ADDRESSES_MAX as u32;
        assert_eq!(
            (0..addresses).filter(|index| allowance.take(v4(*index), now)).count(),
            limits::ADDRESSES_MAX
        );
        assert!(allowance.take(v4(0), now), "who is remembered goes on");
        let later = now + limits::SWEEP;
        assert!(allowance.take(v4(addresses), later));
        assert_eq!(allowance.full_at.len(), 1);
    }
}
