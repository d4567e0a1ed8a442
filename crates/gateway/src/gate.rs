//! How many may be here at once.

use crate::config::Config;
use crate::subscriber::subscriber;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections, in all and by address, and keeps to the ceilings.
#[derive(Debug)]
pub(crate) struct Gate {
    connections_max: usize,
    per_address_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    open: usize,
    /// By subscriber; kept only where a ceiling per address is set.
    by_address: HashMap<IpAddr, usize>,
}

impl Gate {
    /// A gate with the ceilings of the configuration.
    pub(crate) fn new(config: &Config) -> Self {
        Self::with(config.limits.connections_max, config.limits.connections_per_address_max)
    }

    /// A gate with these ceilings; 0 for an address is none.
    pub(crate) fn with(connections_max: usize, per_address_max: usize) -> Self {
        Self { connections_max, per_address_max, counts: Mutex::default() }
    }

    /// How many are inside.
    pub(crate) fn open(&self) -> usize {
        self.counts().open
    }

    /// Lets one more in, unless that would be one too many.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Pass> {
        let address = subscriber(address);
        let mut counts = self.counts();
        if counts.open >= self.connections_max {
            return None;
        }
        if self.per_address_max > 0 {
            let count = counts.by_address.entry(address).or_default();
            if *count >= self.per_address_max {
                return None;
            }
            *count += 1;
        }
        counts.open += 1;
        Some(Pass { gate: self.clone(), address })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is inside; leaving the gate is dropping it.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        counts.open -= 1;
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_keeps_both_ceilings_and_forgets_those_who_left() {
        let mut config = Config::default();
        config.limits.connections_max = 3;
        config.limits.connections_per_address_max = 2;
        let gate = Arc::new(Gate::new(&config));
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = gate.enter(a);
        let _second = gate.enter(a).unwrap();
        assert!(first.is_some() && gate.enter(a).is_none());
        let third = gate.enter(b);
        assert!(third.is_some() && gate.enter(b).is_none());
        drop((first, third));
        assert_eq!(gate.open(), 1);
        assert!(gate.enter(a).is_some());
        assert_eq!(gate.counts().by_address.len(), 1);
    }

    #[test]
    fn a_subscriber_does_not_get_more_by_using_more_of_its_addresses() {
        let mut config = Config::default();
        config.limits.connections_per_address_max = 1;
        let gate = Arc::new(Gate::new(&config));
        for (first, second) in [("2001:db8::1", "2001:db8::ffff:0:1"), ("192.0.2.1", "::ffff:192.0.2.1")] {
            let pass = gate.enter(first.parse().unwrap());
            assert!(pass.is_some() && gate.enter(second.parse().unwrap()).is_none(), "{first} {second}");
        }
        assert!(gate.enter("2001:db8:0:1::1".parse().unwrap()).is_some());
        assert!(gate.counts().by_address.is_empty());
    }
}
