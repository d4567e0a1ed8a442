//! What every session needs from its node.

use crate::config::{Config, SwfFile};
use crate::hls::Packagers;
use crate::log_quota::LogQuota;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::record::Recordings;
use crate::relay::Relays;
use crate::rtmp::Tunnels;
use crate::sessions::Sessions;
use crate::shared_objects::SharedObjects;
use crate::slate::Slates;
use crate::timeshift::Timeshift;
use crate::transcode::{Rungs, Transcoding};
use crate::vod::Vod;
use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tracing::error;

/// How long a part of the server stays away after a panic: one that panics at every start shall not fill the log.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The node, as its sessions see it. Shared as `Arc<Env>`.
pub struct Env {
    /// The configuration it was started with.
    pub config: Config,
    /// All streams.
    pub origin: hub::Origin,
    /// Who may do what.
    pub policy: Policy,
    /// The SWF files that may play over RTMP.
    pub(crate) swf: Arc<[rtmp::Swf]>,
    /// What may be logged about strangers.
    pub(crate) log_quota: LogQuota,
    /// Counters and histograms.
    pub metrics: Metrics,
    /// Live sessions.
    pub sessions: Sessions,
    /// Values that clients of an application share.
    pub(crate) shared_objects: SharedObjects,
    /// RTMP connections inside HTTP requests.
    pub(crate) tunnels: Tunnels,
    /// Streams that are cut into segments.
    pub(crate) packagers: Packagers,
    /// Streams that are sent to other servers and fetched from them.
    pub(crate) relays: Relays,
    /// Streams that are written to files, and what was recorded.
    pub(crate) recordings: Recordings,
    /// Recordings that are played.
    pub(crate) vod: Vod,
    /// The last minutes of streams.
    pub(crate) timeshift: Arc<Timeshift>,
    /// What viewers see while a publisher is away.
    pub(crate) slates: Slates,
    /// Rungs of streams, and which streams are rungs.
    pub(crate) transcoding: Transcoding,
    /// Listeners are up and the node does not shut down.
    pub ready: AtomicBool,
    /// When the node started.
    pub started: Instant,
    /// Triggered when the node shuts down.
    pub shutdown: net::Shutdown,
    /// The routes of the HTTP port. They hold the `Env` in turn: a node lives as long as its process.
    pub(crate) router: OnceLock<axum::Router>,
}

impl Env {
    /// A node of this configuration. `policy` is made from `config.access` and the keys on disk.
    pub fn new(config: Config, policy: Policy, shards: usize, shutdown: net::Shutdown) -> Arc<Self> {
        let metrics = Metrics::new();
        Arc::new(Self {
            origin: hub::Origin::new(config.to_hub(shards)),
            policy: Policy { rungs: Rungs::new(&config.transcode), ..policy },
            swf: config.rtmp.swf.iter().filter_map(SwfFile::parse).collect(),
            log_quota: LogQuota::default(),
            timeshift: Arc::new(Timeshift::new(&config, metrics.clone())),
            metrics,
            sessions: Sessions::new(config.limits.connections_max),
            shared_objects: SharedObjects::default(),
            tunnels: Tunnels::new(&config),
            packagers: Packagers::default(),
            relays: Relays::new(&config.relay),
            recordings: Recordings::new(&config),
            vod: Vod::default(),
            slates: Slates::new(&config.slate),
            transcoding: Transcoding::new(&config.transcode),
            ready: AtomicBool::new(false),
            started: Instant::now(),
            shutdown,
            router: OnceLock::new(),
            config,
        })
    }

    /// Runs `session` to its end. A panic in it is counted and told, and ends this session alone.
    pub(crate) async fn contain(self: Arc<Self>, peer: SocketAddr, session: impl Future<Output = ()>) {
        if net::catch_panic(session).await.is_err() {
            self.metrics.panicked();
            error!(%peer, "a session panicked and was closed; this is a bug, please report it");
        }
    }

    /// Runs a task that the node depends on, called `task` in logs, until it ends. After a panic, which is counted and told, it is
    /// started again, unless the node shuts down.
    pub async fn keep_running<F>(self: Arc<Self>, task: &'static str, start: impl Fn() -> F)
    where
        F: Future<Output = ()>,
    {
        while net::catch_panic(start()).await.is_err() {
            self.metrics.panicked();
            error!(
                task,
                "a part of the server panicked and is started again; this is a bug, please report it"
            );
            tokio::select! {
                () = tokio::time::sleep(RESTART_PAUSE) => {}
                () = self.shutdown.triggered() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn env() -> (Arc<Env>, net::ShutdownTrigger) {
        let config = Config::default();
        let policy = config.access.to_policy(None, None);
        let (trigger, shutdown) = net::Shutdown::new();
        (Env::new(config, policy, 1, shutdown), trigger)
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_counted_and_started_again() {
        let (env, _trigger) = env();
        let starts = AtomicU32::new(0);
        let start = || async {
            assert!(starts.fetch_add(1, Ordering::Relaxed) >= 2, "a bug");
        };
        env.clone().keep_running("test", start).await;
        assert_eq!(starts.into_inner(), 3);
        assert!(env.metrics.render(0, 0).contains("rushlight_panics_total 2\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_at_shutdown_stays_away() {
        let (env, trigger) = env();
        trigger.trigger();
        env.keep_running("test", || async { panic!("a bug") }).await;
    }
}

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(0) };
}

impl Env {
    /// The number of the shard that the calling task runs on.
    pub(crate) fn shard(&self) -> usize {
        SHARD.get()
    }

    /// Names the shard of the calling thread.
    pub(crate) fn enter_shard(index: usize) {
        SHARD.set(index);
    }

    /// Says how worker processes of the media engine are started. Without that no rungs are made.
    pub fn set_engine(&self, launch: engine::host::Launch) {
        self.transcoding.set_launch(launch);
    }

    /// Whether `name` is that of a rung which is made here, as it is unless somebody publishes it.
    pub(crate) fn is_rung(&self, name: &media::StreamName) -> bool {
        self.transcoding.is_rung(name) && !crate::transcode::is_taken(&self.origin.presence(name))
    }

    /// Whether viewers can go back in a stream. In a rung they cannot: they change to the stream for that.
    pub(crate) fn keeps_past(&self, name: &media::StreamName) -> bool {
        self.config.timeshift.is_for(name) && !self.is_rung(name)
    }

    /// How a player that asks for `start` reads.
    pub(crate) fn read_options(&self, start: hub::Start) -> hub::ReadOptions {
        hub::ReadOptions { start, shard: self.shard(), ..self.config.hub.read_options() }
    }
}
