//! What recording does.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use api::GapReason;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

const REASONS: [(GapReason, &str); 5] = [
    (GapReason::PublisherAway, "publisher-away"),
    (GapReason::DiskSlow, "disk-slow"),
    (GapReason::DiskFailed, "disk-failed"),
    (GapReason::RecorderSlow, "recorder-slow"),
    (GapReason::TracksChanged, "tracks-changed"),
];

/// Metrics of recordings.
#[derive(Debug)]
pub struct RecordMetrics {
    /// Streams that are recorded now.
    pub active: Gauge,
    /// Those of them that cannot be written now.
    pub paused: Gauge,
    /// Bytes that wait for the disk.
    pub queued_bytes: Gauge,
    /// Bytes written.
    pub bytes: Counter,
    /// Times that something could not be written.
    pub write_errors: Counter,
    /// Files that were brought into their final form.
    pub finished: Counter,
    /// Times that this did not work.
    pub finish_errors: Counter,
    /// Recordings that were deleted because they were too old or too many.
    pub retired: Counter,
    /// Recordings on their way to the object storage, and in line.
    pub uploads_waiting: Gauge,
    /// Recordings that have arrived there.
    pub uploaded: Counter,
    /// Bytes that have.
    pub upload_bytes: Counter,
    /// Times that the object storage did not take something.
    pub upload_errors: Counter,
    /// Recordings whose local files went because they are there.
    pub spool_removed: Counter,
    gaps: Vec<Counter>,
    lost: Vec<Counter>,
}

impl RecordMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let [gaps, lost] = [(); 2].map(|()| Family::<ByReason, Counter>::default());
        let of_all = |family: &Family<ByReason, Counter>| {
            let labels = REASONS.iter().map(|(_, reason)| ByReason { reason });
            labels.map(|labels| family.get_or_create_owned(&labels)).collect()
        };
        let metrics = Self {
            active: Gauge::default(),
            paused: Gauge::default(),
            queued_bytes: Gauge::default(),
            bytes: Counter::default(),
            write_errors: Counter::default(),
            finished: Counter::default(),
            finish_errors: Counter::default(),
            retired: Counter::default(),
            uploads_waiting: Gauge::default(),
            uploaded: Counter::default(),
            upload_bytes: Counter::default(),
            upload_errors: Counter::default(),
            spool_removed: Counter::default(),
            gaps: of_all(&gaps),
            lost: of_all(&lost),
        };
        registry.register("active", "Streams that are recorded now", metrics.active.clone());
        registry.register("paused", "Recordings that cannot be written now", metrics.paused.clone());
        registry.register("queued_bytes", "Bytes that wait for the disk", metrics.queued_bytes.clone());
        registry.register("bytes", "Bytes written", metrics.bytes.clone());
        registry.register(
            "write_errors",
            "Times that something could not be written",
            metrics.write_errors.clone(),
        );
        registry.register("files_finished", "Files brought into their final form", metrics.finished.clone());
        registry.register("finish_errors", "Times that a file could not be", metrics.finish_errors.clone());
        let retired = "Recordings deleted because they were too old or too many";
        registry.register("retired", retired, metrics.retired.clone());
        let waiting = "Recordings on their way to the object storage, and in line";
        registry.register("uploads_waiting", waiting, metrics.uploads_waiting.clone());
        registry.register("uploaded", "Recordings that are in the object storage", metrics.uploaded.clone());
        registry.register("upload_bytes", "Bytes that arrived there", metrics.upload_bytes.clone());
        registry.register(
            "upload_errors",
            "Times that it did not take something",
            metrics.upload_errors.clone(),
        );
        let removed = "Recordings whose local files went because they are there";
        registry.register("spool_removed", removed, metrics.spool_removed.clone());
        registry.register("gaps", "Gaps in recordings, by why", gaps);
        registry.register("lost_packets", "Packets that are not recorded, by why", lost);
        metrics
    }

    /// Counts a gap that has ended.
    pub fn gap(&self, why: GapReason) {
        self.gaps[index(why)].inc();
    }

    /// Counts packets that are missing.
    pub fn lost(&self, why: GapReason, packets: u64) {
        self.lost[index(why)].inc_by(packets);
    }
}

fn index(why: GapReason) -> usize {
    REASONS.iter().position(|(reason, _)| *reason == why).unwrap_or(0)
}
