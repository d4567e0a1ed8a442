//! What rewinding keeps on the disk.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Metrics of the last minutes of streams.
#[derive(Debug, Default)]
pub struct TimeshiftMetrics {
    /// Bytes on the disk.
    pub bytes: Gauge,
    /// Segments on the disk.
    pub segments: Gauge,
    /// Bytes that wait for the disk.
    pub queued_bytes: Gauge,
    /// Bytes written.
    pub written_bytes: Counter,
    /// Times that something could not be written.
    pub write_errors: Counter,
    /// Segments that are not kept.
    pub lost_segments: Counter,
    /// Segments that made room for newer ones before their time.
    pub evicted_segments: Counter,
}

impl TimeshiftMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("bytes", "Bytes of segments on the disk", metrics.bytes.clone());
        registry.register("segments", "Segments on the disk", metrics.segments.clone());
        registry.register("queued_bytes", "Bytes that wait for the disk", metrics.queued_bytes.clone());
        registry.register("written_bytes", "Bytes written", metrics.written_bytes.clone());
        registry.register(
            "write_errors",
            "Times that something could not be written",
            metrics.write_errors.clone(),
        );
        registry.register("lost_segments", "Segments that are not kept", metrics.lost_segments.clone());
        registry.register(
            "evicted_segments",
            "Segments that made room for newer ones before their time",
            metrics.evicted_segments.clone(),
        );
        metrics
    }
}
