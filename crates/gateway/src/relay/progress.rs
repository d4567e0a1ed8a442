//! How one relay goes: what its task writes and everybody may read.

use super::retry::Failure;
use crate::metrics::{RelayDirection, RelayMetrics, RelayState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How one target of one stream, or one source of one stream, goes.
#[derive(Debug)]
pub(crate) struct Progress {
    direction: RelayDirection,
    stage: Mutex<Stage>,
    /// Bytes on the wire, over all connections.
    pub(crate) bytes: AtomicU64,
    /// Frames sent or received.
    pub(crate) frames: AtomicU64,
    /// Packets left out because the target was slow.
    pub(crate) dropped: AtomicU64,
    /// Connections on which media flowed.
    pub(crate) connections: AtomicU64,
}

/// Where a relay stands.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) state: RelayState,
    /// Since when.
    pub(crate) since: Instant,
    /// When it will try again.
    pub(crate) next_attempt: Option<Instant>,
    /// The last failure: when, and why in words that hold no key.
    pub(crate) last_failure: Option<(Instant, String)>,
}

impl Progress {
    /// One that waits.
    pub(crate) fn new(direction: RelayDirection) -> Self {
        let stage = Stage {
            state: RelayState::Waiting,
            since: Instant::now(),
            next_attempt: None,
            last_failure: None,
        };
        Self {
            direction,
            stage: Mutex::new(stage),
            bytes: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        }
    }

    /// Where it stands now.
    pub(crate) fn stage(&self) -> Stage {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes to another state.
    pub(crate) fn enter(&self, state: RelayState) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if stage.state != state {
            (stage.state, stage.since) = (state, Instant::now());
        }
        stage.next_attempt = None;
    }

    /// Media flows, on a new connection.
    pub(crate) fn connected(&self, metrics: &RelayMetrics) {
        self.connections.fetch_add(1, Relaxed);
        metrics.connected(self.direction);
    }

    /// It has failed, and will try again at `next_attempt`, or never.
    pub(crate) fn fail(
        &self,
        failure: Failure,
        why: String,
        next_attempt: Option<Instant>,
        metrics: &RelayMetrics,
    ) {
        metrics.failed(self.direction);
        let now = Instant::now();
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        stage.state = match (next_attempt, failure) {
            (None, _) => RelayState::Stopped,
            (_, Failure::Refused) => RelayState::Refused,
            (_, Failure::Broken | Failure::Absent) => RelayState::Retrying,
        };
        stage.since = now;
        stage.next_attempt = next_attempt;
        stage.last_failure = Some((now, why));
    }

    /// Counts bytes on the wire.
    pub(crate) fn add_bytes(&self, count: u64, metrics: &RelayMetrics) {
        self.bytes.fetch_add(count, Relaxed);
        metrics.add_bytes(self.direction, count);
    }
}
