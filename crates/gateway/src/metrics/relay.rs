//! What relays do: streams sent to other servers and fetched from them.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{RelayDirection, RelayState};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDirection {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    direction: &'static str,
    state: &'static str,
}

/// Metrics of relays.
#[derive(Debug)]
pub struct RelayMetrics {
    states: Vec<Vec<Gauge>>,
    connections: Vec<Counter>,
    failures: Vec<Counter>,
    bytes: Vec<Counter>,
    /// Packets that slow targets lost.
    pub dropped: Counter,
    /// Times a stream that is fetched went on from another source.
    pub switches: Counter,
}

impl RelayMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let states = Family::<ByState, Gauge>::default();
        let [connections, failures, bytes] = [(); 3].map(|()| Family::<ByDirection, Counter>::default());
        let (dropped, switches) = (Counter::default(), Counter::default());
        registry.register("state", "Targets and sources, by state", states.clone());
        registry.register("connections", "Connections on which media flowed", connections.clone());
        registry.register("retries", "Attempts and connections that failed", failures.clone());
        registry.register("bytes", "Bytes sent to targets and received from sources", bytes.clone());
        registry.register("dropped_packets", "Packets that slow targets lost", dropped.clone());
        registry.register("switches", "Times a stream went on from another source", switches.clone());
        let by_direction = |family: &Family<ByDirection, Counter>| {
            let labels = RelayDirection::ALL.iter().map(|d| ByDirection { direction: d.as_str() });
            labels.map(|labels| family.get_or_create_owned(&labels)).collect()
        };
        let by_state = |direction: &RelayDirection| {
            let labels = RelayState::ALL
                .iter()
                .map(|state| ByState { direction: direction.as_str(), state: state.as_str() });
            labels.map(|labels| states.get_or_create_owned(&labels)).collect()
        };
        Self {
            states: RelayDirection::ALL.iter().map(by_state).collect(),
            connections: by_direction(&connections),
            failures: by_direction(&failures),
            bytes: by_direction(&bytes),
            dropped,
            switches,
        }
    }

    /// Counts a connection on which media flows.
    pub fn connected(&self, direction: RelayDirection) {
        self.connections[direction as usize].inc();
    }

    /// Counts an attempt or a connection that failed.
    pub fn failed(&self, direction: RelayDirection) {
        self.failures[direction as usize].inc();
    }

    /// Counts bytes on the wire.
    pub fn add_bytes(&self, direction: RelayDirection, count: u64) {
        self.bytes[direction as usize].inc_by(count);
    }

    /// Says how many relays of a direction are in each state; those in no state of `states` are none.
    pub fn set_states(&self, direction: RelayDirection, states: impl Iterator<Item = RelayState>) {
        let mut counts = [0; RelayState::ALL.len()];
        for state in states {
            counts[state as usize] += 1;
        }
        for (gauge, count) in self.states[direction as usize].iter().zip(counts) {
            gauge.set(count);
        }
    }
}
