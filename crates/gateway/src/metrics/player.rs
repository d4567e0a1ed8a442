//! What players report about their viewers' experience.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::MetricConstructor;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{PlayerStage, Renderer, Seconds, Timings, timings};

/// Seconds with fractions, as a counter.
type SecondsCounter = Counter<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStage {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRenderer {
    protocol: &'static str,
    renderer: &'static str,
}

/// What web players report about their viewers' experience. Values are checked before they come here.
#[derive(Debug)]
pub struct PlayerMetrics {
    first_frame: Timings<ByRenderer>,
    stages: Timings<ByStage>,
    /// Reports that were accepted.
    pub beacons: Counter,
    /// Reports that made no sense, or were too many from one address.
    pub beacons_rejected: Counter,
    /// Times a picture stood still.
    pub stalls: Counter,
    /// How long pictures stood still, in seconds.
    pub stall_seconds: SecondsCounter,
    /// How long viewers watched, in seconds: what stalls are a share of.
    pub watched_seconds: SecondsCounter,
    /// Frames that were decoded.
    pub decoded_frames: Counter,
    /// Frames that came too late to be shown.
    pub dropped_frames: Counter,
    latency: Histogram,
}

impl PlayerMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            first_frame: timings(),
            stages: timings(),
            beacons: Counter::default(),
            beacons_rejected: Counter::default(),
            stalls: Counter::default(),
            stall_seconds: SecondsCounter::default(),
            watched_seconds: SecondsCounter::default(),
            decoded_frames: Counter::default(),
            dropped_frames: Counter::default(),
            latency: Seconds.new_metric(),
        };
        metrics.register(registry);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "first_frame_seconds",
            "From the viewer's action to the first picture",
            self.first_frame.clone(),
        );
        registry.register(
            "stage_seconds",
            "Points of a start, seconds since the viewer's action",
            self.stages.clone(),
        );
        registry.register("beacons", "Reports of players", self.beacons.clone());
        registry.register(
            "beacons_rejected",
            "Reports that made no sense, or were too many from one address",
            self.beacons_rejected.clone(),
        );
        registry.register("stalls", "Times a picture stood still", self.stalls.clone());
        registry.register("stall_seconds", "How long pictures stood still", self.stall_seconds.clone());
        registry.register("watched_seconds", "How long viewers watched", self.watched_seconds.clone());
        registry.register("decoded_frames", "Frames decoded by players", self.decoded_frames.clone());
        registry.register(
            "dropped_frames",
            "Frames that came too late to be shown",
            self.dropped_frames.clone(),
        );
        registry.register("latency_seconds", "Delay behind live that players see", self.latency.clone());
    }

    /// Notes a point of a start.
    pub fn stage(&self, stage: PlayerStage, since_action: Duration) {
        self.stages.get_or_create(&ByStage { stage: stage.as_str() }).observe(since_action.as_secs_f64());
    }

    /// Notes the first picture. `protocol` must come from a closed set.
    pub fn first_frame(&self, protocol: &'static str, renderer: Renderer, since_action: Duration) {
        let labels = ByRenderer { protocol, renderer: renderer.as_str() };
        self.first_frame.get_or_create(&labels).observe(since_action.as_secs_f64());
    }

    /// Notes how far behind live a player is.
    pub fn latency(&self, latency: Duration) {
        self.latency.observe(latency.as_secs_f64());
    }
}
