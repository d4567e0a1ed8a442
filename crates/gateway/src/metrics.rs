//! The metrics of a node, as Prometheus reads them at `/metrics`.
//!
//! A session takes the [`ProtocolMetrics`] of its protocol once and then counts with plain atomic additions: nothing
//! on the path of a frame looks anything up. Every label comes from a closed set, so the number of series is fixed
//! however many streams and peers there are; per-stream numbers are in the API.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::registry::PROTOCOLS;

mod labels;
mod player;
mod process;
mod record;
mod relay;
mod timeshift;
mod transcode;

pub use labels::{
    FeedbackKind, HandshakeFailure, JoinStage, Outcome, PlayerStage, RejectReason, RelayDirection,
    RelayState, Renderer, Role,
};
pub use player::PlayerMetrics;
pub use record::RecordMetrics;
pub use relay::RelayMetrics;
pub use timeshift::TimeshiftMetrics;
pub use transcode::TranscodeMetrics;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From one packed write to a player that waits for a stream: 50 us to 30 s, with 0.3 s and 1 s as exact bounds
/// because those are the shares that people ask for.
const SECONDS_BUCKETS: [f64; 20] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5,
    1.0, 2.0, 5.0, 10.0, 30.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByProtocol {
    protocol: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRole {
    protocol: &'static str,
    role: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    protocol: &'static str,
    role: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByJoinStage {
    protocol: &'static str,
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    protocol: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

/// Histograms of seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SECONDS_BUCKETS)
    }
}

type Timings<L> = Family<L, Histogram, Seconds>;

fn timings<L: Clone + Hash + Eq>() -> Timings<L> {
    Family::new_with_constructor(Seconds)
}

/// All metrics of a node. Cheap to clone: clones count into the same numbers.
#[derive(Debug, Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    families: Families,
    /// Of the protocols of the registry. They are made when they are first asked for: what is not used has no samples.
    registered: Vec<(&'static str, OnceLock<ProtocolMetrics>)>,
    /// Of what else has sessions: relays, the demo channel.
    others: Mutex<BTreeMap<&'static str, ProtocolMetrics>>,
    feedback: Vec<Counter>,
    panics: Counter,
    streams: Gauge,
    readers: Gauge,
    certificate_expires: Gauge,
    player: PlayerMetrics,
    relay: RelayMetrics,
    record: RecordMetrics,
    timeshift: TimeshiftMetrics,
    transcode: TranscodeMetrics,
}

#[derive(Debug)]
struct Families {
    sessions: Family<ByRole, Gauge>,
    closed: Family<ByOutcome, Counter>,
    bytes_in: Family<ByProtocol, Counter>,
    bytes_out: Family<ByProtocol, Counter>,
    packets_in: Family<ByProtocol, Counter>,
    malformed_messages: Family<ByProtocol, Counter>,
    writes: Family<ByProtocol, Counter>,
    skipped_packets: Family<ByProtocol, Counter>,
    skipped_gops: Family<ByProtocol, Counter>,
    join: Timings<ByJoinStage>,
    publish_rejected: Family<ByReason, Counter>,
    play_rejected: Family<ByReason, Counter>,
    handshakes: Family<ByProtocol, Counter>,
    handshakes_failed: Family<ByReason, Counter>,
}

impl Families {
    fn register(registry: &mut Registry) -> Self {
        let f = Self {
            sessions: Family::default(),
            closed: Family::default(),
            bytes_in: Family::default(),
            bytes_out: Family::default(),
            packets_in: Family::default(),
            malformed_messages: Family::default(),
            writes: Family::default(),
            skipped_packets: Family::default(),
            skipped_gops: Family::default(),
            join: timings(),
            publish_rejected: Family::default(),
            play_rejected: Family::default(),
            handshakes: Family::default(),
            handshakes_failed: Family::default(),
        };
        registry.register("sessions_open", "Open sessions", f.sessions.clone());
        registry.register("sessions", "Sessions that have ended, by how", f.closed.clone());
        registry.register("bytes_in", "Bytes received from peers", f.bytes_in.clone());
        registry.register("bytes_out", "Bytes sent to peers", f.bytes_out.clone());
        registry.register("packets_in", "Media packets received from publishers", f.packets_in.clone());
        let malformed = f.malformed_messages.clone();
        registry.register(
            "malformed_messages",
            "Messages of publishers left out: they make no sense",
            malformed,
        );
        registry.register("writes", "System calls that sent media", f.writes.clone());
        registry.register("skipped_packets", "Packets that slow players lost", f.skipped_packets.clone());
        registry.register("skipped_gops", "Times a slow player jumped ahead", f.skipped_gops.clone());
        registry.register("join_seconds", "Stages of a join, seconds since accept", f.join.clone());
        registry.register("publish_rejected", "Publish requests refused", f.publish_rejected.clone());
        registry.register("play_rejected", "Play requests refused", f.play_rejected.clone());
        registry.register("tls_handshakes", "TLS handshakes done", f.handshakes.clone());
        registry.register(
            "tls_handshakes_failed",
            "TLS handshakes that came to nothing, by why",
            f.handshakes_failed.clone(),
        );
        f
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics with all numbers at zero.
    pub fn new() -> Self {
        let mut root = Registry::default();
        root.register_collector(Box::new(process::Process::new()));
        let registry = root.sub_registry_with_prefix("rushlight");

        let families = Families::register(registry);
        let feedback_family = Family::<ByKind, Counter>::default();
        registry.register("feedback", "What readers told publishers", feedback_family.clone());
        let feedback = FeedbackKind::ALL.iter();
        let feedback = feedback
            .map(|kind| feedback_family.get_or_create_owned(&ByKind { kind: kind.as_str() }))
            .collect();
        let panics = Counter::default();
        registry.register("panics", "Panics that were caught: each is a bug", panics.clone());
        let (streams, readers) = (Gauge::default(), Gauge::default());
        registry.register("hub_streams", "Live streams", streams.clone());
        registry.register("hub_readers", "Readers of live streams", readers.clone());

        let certificate_expires = Gauge::default();
        registry.register(
            "tls_certificate_expires_timestamp_seconds",
            "When the TLS certificate expires, in seconds since 1970; 0 if there is none",
            certificate_expires.clone(),
        );

        let player = PlayerMetrics::new(registry.sub_registry_with_prefix("player"));
        let relay = RelayMetrics::new(registry.sub_registry_with_prefix("relay"));
        let record = RecordMetrics::new(registry.sub_registry_with_prefix("record"));
        let timeshift = TimeshiftMetrics::new(registry.sub_registry_with_prefix("timeshift"));
        let transcode = TranscodeMetrics::new(registry.sub_registry_with_prefix("transcode"));

        let registered = PROTOCOLS.iter().map(|protocol| (protocol.name, OnceLock::new())).collect();
        Self {
            inner: Arc::new(Inner {
                registry: root,
                families,
                registered,
                others: Mutex::default(),
                feedback,
                panics,
                streams,
                readers,
                certificate_expires,
                player,
                relay,
                record,
                timeshift,
                transcode,
            }),
        }
    }

    /// The handles of `protocol` (`rtmp`, `http-flv`, ...). Every media request asks, on any thread, so those of the registry
    /// take no lock.
    pub fn protocol(&self, protocol: &'static str) -> ProtocolMetrics {
        let new = || ProtocolMetrics::new(&self.inner.families, protocol);
        match self.inner.registered.iter().find(|(name, _)| *name == protocol) {
            Some((_, handles)) => handles.get_or_init(new).clone(),
            None => {
                let mut others = self.inner.others.lock().unwrap_or_else(PoisonError::into_inner);
                others.entry(protocol).or_insert_with(new).clone()
            }
        }
    }

    /// Counts feedback that reached a publisher.
    pub fn feedback(&self, kind: FeedbackKind) {
        self.inner.feedback[kind as usize].inc();
    }

    /// Counts a panic that was caught.
    pub fn panicked(&self) {
        self.inner.panics.inc();
    }

    /// Notes when the TLS certificate expires.
    pub fn certificate_expires(&self, at: Option<SystemTime>) {
        let since_1970 = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        self.inner.certificate_expires.set(since_1970.map_or(0, |time| time.as_secs() as i64));
    }

    /// What web players reported.
    pub fn player(&self) -> &PlayerMetrics {
        &self.inner.player
    }

    /// What relays do.
    pub fn relay(&self) -> &RelayMetrics {
        &self.inner.relay
    }

    /// What rewinding keeps.
    pub fn timeshift(&self) -> &TimeshiftMetrics {
        &self.inner.timeshift
    }

    /// What rungs take.
    pub fn transcode(&self) -> &TranscodeMetrics {
        &self.inner.transcode
    }

    /// What recording does.
    pub fn record(&self) -> &RecordMetrics {
        &self.inner.record
    }

    /// The text that Prometheus reads, in the OpenMetrics form. `streams` and `readers` are the state of the hub.
    pub fn render(&self, streams: usize, readers: usize) -> String {
        self.inner.streams.set(streams as i64);
        self.inner.readers.set(readers as i64);
        let mut out = String::with_capacity(16 * 1024);
        // Writing into a `String` fails only if a metric cannot be encoded at all, which a test rules out.
        match text::encode(&mut out, &self.inner.registry) {
            Ok(()) => out,
            Err(error) => format!("# metrics cannot be encoded: {error}\n# EOF\n"),
        }
    }
}

/// The handles of one protocol. Cheap enough to clone per session: one `Arc`.
#[derive(Debug, Clone)]
pub struct ProtocolMetrics {
    handles: Arc<Handles>,
}

/// Counters of a protocol that sessions add to directly.
#[derive(Debug)]
pub struct Handles {
    protocol: &'static str,
    /// Bytes received.
    pub bytes_in: Counter,
    /// Bytes sent.
    pub bytes_out: Counter,
    /// Media packets received from publishers.
    pub packets_in: Counter,
    /// Messages of publishers that were left out because they make no sense.
    pub malformed_messages: Counter,
    /// System calls that sent media.
    pub writes: Counter,
    /// Packets that slow players lost.
    pub skipped_packets: Counter,
    /// Times a slow player jumped ahead.
    pub skipped_gops: Counter,
    open: Vec<Gauge>,
    closed: Vec<Vec<Counter>>,
    join_family: Timings<ByJoinStage>,
    join: [OnceLock<Histogram>; JoinStage::ALL.len()],
    publish_rejected: Vec<Counter>,
    play_rejected: Vec<Counter>,
    handshake_families: (Family<ByProtocol, Counter>, Family<ByReason, Counter>),
}

impl std::ops::Deref for ProtocolMetrics {
    type Target = Handles;
    fn deref(&self) -> &Handles {
        &self.handles
    }
}

impl ProtocolMetrics {
    fn new(f: &Families, protocol: &'static str) -> Self {
        let plain = ByProtocol { protocol };
        let rejected = |family: &Family<ByReason, Counter>| {
            let reasons = RejectReason::ALL.iter();
            reasons.map(|r| family.get_or_create_owned(&ByReason { protocol, reason: r.as_str() })).collect()
        };
        let closed = |role: &Role| {
            let outcomes =
                Outcome::ALL.iter().map(|o| ByOutcome { protocol, role: role.as_str(), outcome: o.as_str() });
            outcomes.map(|labels| f.closed.get_or_create_owned(&labels)).collect()
        };
        let open = |role: &Role| f.sessions.get_or_create_owned(&ByRole { protocol, role: role.as_str() });
        Self {
            handles: Arc::new(Handles {
                protocol,
                bytes_in: f.bytes_in.get_or_create_owned(&plain),
                bytes_out: f.bytes_out.get_or_create_owned(&plain),
                packets_in: f.packets_in.get_or_create_owned(&plain),
                malformed_messages: f.malformed_messages.get_or_create_owned(&plain),
                writes: f.writes.get_or_create_owned(&plain),
                skipped_packets: f.skipped_packets.get_or_create_owned(&plain),
                skipped_gops: f.skipped_gops.get_or_create_owned(&plain),
                open: Role::ALL.iter().map(open).collect(),
                closed: Role::ALL.iter().map(closed).collect(),
                join_family: f.join.clone(),
                join: Default::default(),
                publish_rejected: rejected(&f.publish_rejected),
                play_rejected: rejected(&f.play_rejected),
                handshake_families: (f.handshakes.clone(), f.handshakes_failed.clone()),
            }),
        }
    }
}

impl Handles {
    /// The name of the protocol, which is its label.
    pub fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// Notes how long a join took to reach `stage`.
    pub fn join(&self, stage: JoinStage, time: Duration) {
        // Protocols without joins have no empty histograms of two dozen lines each.
        let labels = || ByJoinStage { protocol: self.protocol, stage: stage.as_str() };
        let histogram =
            self.join[stage as usize].get_or_init(|| self.join_family.get_or_create_owned(&labels()));
        histogram.observe(time.as_secs_f64());
    }

    /// Counts a request that was not let in.
    pub fn rejected(&self, role: Role, reason: RejectReason) {
        match role {
            Role::Publish => self.publish_rejected[reason as usize].inc(),
            Role::Play => self.play_rejected[reason as usize].inc(),
        };
    }

    /// Counts a TLS handshake that was done. Looks the counter up: protocols without TLS have none.
    pub fn handshake_done(&self) {
        self.handshake_families.0.get_or_create(&ByProtocol { protocol: self.protocol }).inc();
    }

    /// Counts a TLS handshake that came to nothing.
    pub fn handshake_failed(&self, why: HandshakeFailure) {
        let labels = ByReason { protocol: self.protocol, reason: why.as_str() };
        self.handshake_families.1.get_or_create(&labels).inc();
    }

    /// Sessions of this protocol call this through [`crate::sessions::Sessions::open`].
    pub(crate) fn session_opened(&self, role: Role) {
        self.open[role as usize].inc();
    }

    /// The counterpart of `session_opened`, called by the guard.
    pub(crate) fn session_closed(&self, role: Role, outcome: Outcome) {
        self.open[role as usize].dec();
        self.closed[role as usize][outcome as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_encodes_and_follows_the_naming_rule() {
        let metrics = Metrics::new();
        let rtmp = metrics.protocol("rtmp");
        rtmp.join(JoinStage::KeyframeWritten, Duration::from_micros(300));
        rtmp.rejected(Role::Play, RejectReason::Limit);
        metrics.protocol("rtmps").handshake_done();
        metrics.protocol("rtmps").handshake_failed(HandshakeFailure::NotTls);
        metrics.feedback(FeedbackKind::KeyframeWanted);
        metrics.player().first_frame("ws-flv", Renderer::Mse, Duration::from_millis(140));
        metrics.player().stage(PlayerStage::Keyframe, Duration::from_millis(90));
        metrics.player().stall_seconds.inc_by(0.25);
        metrics.relay().failed(RelayDirection::Push);
        metrics.relay().set_states(RelayDirection::Pull, [RelayState::Live; 3].into_iter());
        let text = metrics.render(2, 7);
        for line in [
            "rushlight_sessions_open{protocol=\"rtmp\",role=\"play\"} 0",
            "rushlight_play_rejected_total{protocol=\"rtmp\",reason=\"limit\"} 1",
            "rushlight_join_seconds_bucket{le=\"0.0005\",protocol=\"rtmp\",stage=\"keyframe_written\"} 1",
            "rushlight_feedback_total{kind=\"keyframe_wanted\"} 1",
            "rushlight_tls_handshakes_total{protocol=\"rtmps\"} 1",
            "rushlight_tls_handshakes_failed_total{protocol=\"rtmps\",reason=\"not_tls\"} 1",
            "rushlight_hub_streams 2",
            "rushlight_hub_readers 7",
            "rushlight_player_first_frame_seconds_count{protocol=\"ws-flv\",renderer=\"mse\"} 1",
            "rushlight_player_stall_seconds_total 0.25",
            "rushlight_relay_retries_total{direction=\"push\"} 1",
            "rushlight_relay_state{direction=\"pull\",state=\"live\"} 3",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        let foreign =
            |l: &&str| !l.starts_with('#') && !l.starts_with("rushlight_") && !l.starts_with("process_");
        assert_eq!(text.lines().find(foreign), None);
    }

    #[test]
    fn no_family_is_declared_twice() {
        let text = Metrics::new().render(0, 0);
        let families = text.lines().filter_map(|l| l.strip_prefix("# TYPE "));
        let mut names: Vec<_> = families.filter_map(|l| l.split(' ').next()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{text}");
    }

    #[test]
    fn handles_of_one_protocol_count_together() {
        let metrics = Metrics::new();
        metrics.protocol("rtmp").bytes_in.inc_by(3);
        metrics.protocol("rtmp").bytes_in.inc_by(4);
        assert_eq!(metrics.protocol("rtmp").bytes_in.get(), 7);
    }

    #[test]
    fn media_requests_share_handles_without_a_lock() {
        let metrics = Metrics::new();
        let _held = metrics.inner.others.lock().unwrap();
        for protocol in PROTOCOLS {
            metrics.protocol(protocol.name).bytes_in.inc();
            assert_eq!(metrics.protocol(protocol.name).bytes_in.get(), 1, "{}", protocol.name);
        }
    }
}
