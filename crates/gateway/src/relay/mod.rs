//! Relays: streams that are sent to other servers, and streams that are fetched from them.
//!
//! Everything is driven by the hub's [`Watch`](hub::Watch): when a stream begins, each target that is for it gets a task
//! (`push`); when a viewer comes for a stream that nobody publishes and that a source is for, the stream gets one (`pull`)
//! with a task for each of its sources (`source`). A task owns its connection, its retries and its status. A target is a
//! reader like any other, so it never holds up anybody; a source is a publisher of low rank, so the log does the
//! switching between sources and makes way for somebody who publishes here.

mod address;
mod choice;
pub(crate) mod limits;
mod progress;
mod pull;
mod push;
mod retry;
mod source;
mod status;
mod supervise;
#[cfg(test)]
mod tests;
mod via;

pub(crate) use address::Address;
pub(crate) use status::new_target;
pub(crate) use supervise::supervise;
pub(crate) use via::{Direction, Passage, Via};

use crate::config::{PullMode, RelayConfig};
use crate::metrics::RelayState;
use crate::pattern::Pattern;
use choice::Rules;
use link::Reach;
use media::StreamName;
use progress::Progress;
use pull::{Board, Demand};
use push::Order;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tracing::error;
use via::Ways;

/// The label of relays in metrics and among the sessions.
pub(crate) const PROTOCOL: &str = "relay";

/// Names a target, for as long as the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TargetId(u64);

impl TargetId {
    /// Of the API.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where streams are sent.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) id: TargetId,
    pub(crate) pattern: Pattern,
    pub(crate) address: Address,
    pub(crate) name: String,
    /// It was added at run time.
    pub(crate) added: bool,
    /// Which addresses its host may have.
    pub(crate) reach: Reach,
}

/// Where streams are fetched.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) pattern: Pattern,
    /// By preference.
    pub(crate) addresses: Vec<Address>,
    pub(crate) mode: PullMode,
    rules: Rules,
}

/// All relays of a node.
#[derive(Debug)]
pub(crate) struct Relays {
    /// What keeps streams from going in circles.
    pub(crate) ways: Ways,
    /// Which TLS servers are trusted.
    tls: link::Tls,
    sources: Vec<Arc<Sources>>,
    table: Mutex<Table>,
    /// Streams to look at again although the hub has nothing to tell of them.
    recheck: Mutex<HashSet<StreamName>>,
    rechecked: Notify,
    /// The threads that carry media.
    shards: Mutex<Vec<Handle>>,
    /// Tasks that run.
    active: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Table {
    targets: Vec<Arc<Target>>,
    ids: u64,
    /// How targets go: those that run, and of those for one stream only also how they went.
    pushes: HashMap<(TargetId, StreamName), PushEntry>,
    pulls: HashMap<StreamName, PullEntry>,
    /// Most streams fetched at once because somebody watches; see [`limits::PULLS_MAX`].
    pulls_max: usize,
    /// Watched streams that are not fetched because others are.
    refused: HashSet<StreamName>,
}

#[derive(Debug)]
struct PushEntry {
    progress: Arc<Progress>,
    /// Present while the task runs.
    orders: Option<watch::Sender<Order>>,
}

#[derive(Debug)]
struct PullEntry {
    sources: Arc<Sources>,
    progress: Arc<[Progress]>,
    /// Present while the task runs.
    running: Option<(watch::Sender<Demand>, Arc<Board>)>,
}

/// Why a target cannot be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AddError {
    /// A value makes no sense: which and why.
    Invalid(&'static str, String),
    /// The stream has a target of this name.
    Exists,
    /// There are too many.
    Full,
}

/// Why a target cannot be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RemoveError {
    /// There is none of this id.
    Unknown,
    /// It stands in the configuration.
    Configured,
}

impl Relays {
    /// The relays of a configuration that was found valid.
    pub(crate) fn new(config: &RelayConfig) -> Self {
        let mut table = Table { pulls_max: limits::PULLS_MAX, ..Table::default() };
        for push in &config.push {
            if let (Ok(pattern), Ok(address)) = (Pattern::parse(&push.stream), Address::parse(&push.url.0)) {
                table.add(pattern, address, push.name.clone(), None);
            }
        }
        let sources = config.pull.iter().filter_map(|pull| {
            let urls = std::iter::once(&pull.url).chain(&pull.backups);
            Some(Arc::new(Sources {
                pattern: Pattern::parse(&pull.stream).ok()?,
                addresses: urls.map(|url| Address::parse(&url.0)).collect::<Result<_, _>>().ok()?,
                mode: pull.mode,
                rules: Rules {
                    backups_connected: pull.backups_connected,
                    switch_back: pull.switch_back.then(|| config.switch_back()),
                    patience: config.stall(),
                },
            }))
        });
        Self {
            ways: Ways::default(),
            tls: config.trust().into(),
            sources: sources.collect(),
            table: Mutex::new(table),
            recheck: Mutex::default(),
            rechecked: Notify::new(),
            shards: Mutex::default(),
            active: Arc::default(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a target for one stream, until it is removed or the program ends.
    pub(crate) fn add(
        &self,
        stream: &StreamName,
        url: &str,
        name: &str,
        reach: Reach,
    ) -> Result<Arc<Target>, AddError> {
        let address = Address::parse(url).map_err(|why| AddError::Invalid("url", why))?;
        crate::config::target_name(name).map_err(|why| AddError::Invalid("name", why))?;
        let pattern = Pattern::of(stream);
        let mut table = self.table();
        if table.targets.iter().any(|target| target.pattern == pattern && target.name == name) {
            return Err(AddError::Exists);
        }
        let added = || table.targets.iter().filter(|target| target.added);
        if added().count() >= limits::ADDED_MAX
            || added().filter(|target| target.pattern == pattern).count() >= limits::ADDED_PER_STREAM_MAX
        {
            return Err(AddError::Full);
        }
        let target = table.add(pattern, address, name.to_owned(), Some(reach));
        drop(table);
        self.recheck(stream.clone());
        Ok(target)
    }

    /// One target.
    pub(crate) fn target(&self, id: TargetId) -> Option<Arc<Target>> {
        self.table().targets.iter().find(|target| target.id == id).cloned()
    }

    /// Removes a target that was added at run time; its connections end.
    pub(crate) fn remove(&self, id: TargetId) -> Result<(), RemoveError> {
        let mut table = self.table();
        let index = table.targets.iter().position(|target| target.id == id).ok_or(RemoveError::Unknown)?;
        if !table.targets[index].added {
            return Err(RemoveError::Configured);
        }
        table.targets.swap_remove(index);
        table.pushes.retain(|(of, _), entry| {
            if *of == id
                && let Some(orders) = &entry.orders
            {
                orders.send_replace(Order::Stop);
            }
            *of != id
        });
        Ok(())
    }

    /// Takes the calling thread's runtime among those that carry relays.
    pub(crate) fn attach_shard(&self) {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).push(Handle::current());
    }

    /// How many tasks run.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// How many targets and sources are in which state, direction by direction.
    pub(crate) fn states(&self) -> (Vec<RelayState>, Vec<RelayState>) {
        let table = self.table();
        let pushes = table.pushes.values().map(|entry| entry.progress.stage().state).collect();
        let pulls = table.pulls.values().flat_map(|entry| entry.progress.iter());
        (pushes, pulls.map(|progress| progress.stage().state).collect())
    }

    fn recheck(&self, name: StreamName) {
        self.recheck.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        self.rechecked.notify_one();
    }
}

impl Table {
    /// `added` is the reach of a target that is added at run time.
    fn add(&mut self, pattern: Pattern, address: Address, name: String, added: Option<Reach>) -> Arc<Target> {
        self.ids += 1;
        let (id, reach) = (TargetId(self.ids), added.unwrap_or_default());
        let target = Arc::new(Target { id, pattern, address, name, added: added.is_some(), reach });
        self.targets.push(target.clone());
        target
    }
}

/// Makes relays differ, so that they do not come back in step.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// The address of a peer that has none.
fn nowhere() -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, 0).into()
}

/// Runs one task and catches its panics.
async fn contain(env: Arc<crate::Env>, task: impl Future<Output = ()>) {
    if net::catch_panic(task).await.is_err() {
        env.metrics.panicked();
        error!("the task of a relay panicked; this is a bug, please report it");
    }
}
