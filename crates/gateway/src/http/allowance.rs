//! How many reports an address may send: a bucket of tokens for each.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Ceilings of reports.
mod limits {
    use std::time::Duration;

    /// Reports that an address may send at once: many viewers behind one address see a stream come back together, and each
    /// says so.
    pub(super) const BURST: u32 = 300;
    /// One more report after so long. A player sends two in a minute, so this is for 600 viewers behind one address.
    pub(super) const REFILL: Duration = Duration::from_millis(50);
    /// Addresses that are remembered, at about 50 bytes. An address is forgotten when its bucket is full again.
    pub(super) const ADDRESSES_MAX: usize = 16 * 1024;
    /// How often a full table is searched for addresses to forget.
    pub(super) const SWEEP: Duration = Duration::from_secs(1);
}

/// What each address may still send. An address is one of IPv4, or a /64 of IPv6, which is what one subscriber has.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// By address, the time at which its bucket is full again: one number says how many tokens are missing.
    full_at: HashMap<IpAddr, Instant>,
    swept: Option<Instant>,
}

impl Allowance {
    /// Takes a token of `address`; false if none is left, or if there is no room to remember one more address.
    pub(super) fn take(&mut self, address: IpAddr, now: Instant) -> bool {
        let subscriber = subscriber(address);
        if self.full_at.len() >= limits::ADDRESSES_MAX && !self.full_at.contains_key(&subscriber) {
            self.sweep(now);
            if self.full_at.len() >= limits::ADDRESSES_MAX {
                return false;
            }
        }
        let full_at = self.full_at.entry(subscriber).or_insert(now);
        let next = (*full_at).max(now) + limits::REFILL;
        let allowed = next.saturating_duration_since(now) <= limits::REFILL * limits::BURST;
        if allowed {
            *full_at = next;
        }
        allowed
    }

    fn sweep(&mut self, now: Instant) {
        let due = |swept: Instant| now.saturating_duration_since(swept) >= limits::SWEEP;
        if self.swept.is_none_or(due) {
            self.swept = Some(now);
            self.full_at.retain(|_, full_at| full_at.saturating_duration_since(now) > Duration::ZERO);
        }
    }
}

fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(index: u32) -> IpAddr {
        std::net::Ipv4Addr::from(index).into()
    }

    #[test]
    fn an_address_may_burst_and_then_send_at_the_rate_of_the_refill() {
        let mut allowance = Allowance::default();
        let now = Instant::now();
        let taken = (0..1000).filter(|_| allowance.take(v4(1), now)).count();
        assert_eq!(taken, limits::BURST as usize);
        assert!(allowance.take(v4(2), now), "others are not concerned");
        let later = now + 10 * limits::REFILL;
        assert_eq!((0..1000).filter(|_| allowance.take(v4(1), later)).count(), 10);
    }

    #[test]
    fn a_subscriber_of_ipv6_has_one_bucket_however_many_addresses_it_uses() {
        let of = |text: &str| subscriber(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_addresses_whose_buckets_are_full() {
        let mut allowance = Allowance::default();
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
