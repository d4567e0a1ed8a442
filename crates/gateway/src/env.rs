//! What every session needs from its node.

use crate::config::{Config, SwfFile};
use crate::log_quota::LogQuota;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::relay::Relays;
use crate::rtmp::Tunnels;
use crate::sessions::Sessions;
use crate::shared_objects::SharedObjects;
use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tracing::error;

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
    /// Streams that are sent to other servers and fetched from them.
    pub(crate) relays: Relays,
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
        Arc::new(Self {
            origin: hub::Origin::new(config.to_hub(shards)),
            policy,
            swf: config.rtmp.swf.iter().filter_map(SwfFile::parse).collect(),
            log_quota: LogQuota::default(),
            metrics: Metrics::new(),
            sessions: Sessions::new(config.limits.connections_max),
            shared_objects: SharedObjects::default(),
            tunnels: Tunnels::new(&config),
            relays: Relays::new(&config.relay),
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

    /// How a player that asks for `start` reads.
    pub(crate) fn read_options(&self, start: hub::Start) -> hub::ReadOptions {
        hub::ReadOptions { start, shard: self.shard(), ..self.config.hub.read_options() }
    }
}
