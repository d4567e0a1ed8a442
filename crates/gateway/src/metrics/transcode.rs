//! What rungs take.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFault {
    fault: &'static str,
}

/// Metrics of rungs, and of streams that are watched.
#[derive(Debug, Default)]
pub struct TranscodeMetrics {
    /// Rungs that are made now.
    pub rungs: Gauge,
    /// Processor cores that they take, with decoding.
    pub cores: Gauge<f64, AtomicU64>,
    /// Processor cores that they may take.
    pub cores_max: Gauge<f64, AtomicU64>,
    /// Rungs that were begun.
    pub started: Counter,
    /// Rungs that somebody asked for and that could not be made.
    pub refused: Counter,
    /// Rungs that were stopped because the machine was full.
    pub stopped: Counter,
    /// Encoders that failed and were replaced.
    pub restarts: Counter,
    /// Frames that encoders have made.
    pub frames: Counter,
    /// Frames that were left out because encoders did not keep up.
    pub dropped_frames: Counter,
    /// Faults of streams that were told.
    pub alerts_raised: Counter,
    alerts: Family<ByFault, Gauge>,
}

impl TranscodeMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("rungs", "Rungs that are made now", metrics.rungs.clone());
        registry.register("cores", "Processor cores that rungs take", metrics.cores.clone());
        registry.register("cores_max", "Processor cores that rungs may take", metrics.cores_max.clone());
        registry.register("started", "Rungs that were begun", metrics.started.clone());
        registry.register("refused", "Rungs that could not be made", metrics.refused.clone());
        registry.register("stopped", "Rungs that made room on a full machine", metrics.stopped.clone());
        registry.register("restarts", "Encoders that failed and were replaced", metrics.restarts.clone());
        registry.register("frames", "Frames that encoders have made", metrics.frames.clone());
        registry.register(
            "dropped_frames",
            "Frames that were left out because encoders did not keep up",
            metrics.dropped_frames.clone(),
        );
        registry.register("alerts_raised", "Faults of streams that were told", metrics.alerts_raised.clone());
        registry.register("alerts", "Streams that have this fault now", metrics.alerts.clone());
        metrics
    }

    /// Streams that have a fault now: `black`, `frozen` or `silent`.
    pub fn alert(&self, fault: &'static str) -> Gauge {
        self.alerts.get_or_create_owned(&ByFault { fault })
    }
}
