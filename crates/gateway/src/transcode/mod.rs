//! Rungs: smaller versions of live streams, made while somebody watches them.
//!
//! `live/cam~480p` is a stream of the hub like any other, so that every protocol plays it. Everything is driven by the hub's
//! [`Watch`](hub::Watch), on a thread of its own (`supervise`): when a viewer comes for the name of a rung, its stream gets a task
//! (`branch`) that decodes it once for all its rungs, and a task for each rung (`rung`), which feeds it. Encoding happens in
//! processes of their own (`engine::host`). Pictures come from the encoder; sound and data are those of the stream, held until the
//! pictures have come to their time (`interleave`), and encoded anew where a template asks for it (`sound`), or silence where there is none (`silence`). All times are those of the stream, and each keyframe of it is one of its rungs, so
//! that players change from one to the other without a gap.
//!
//! What rungs cost is measured, and bounded (`budget`): where there is no room those of least value go.

mod branch;
mod budget;
mod faults;
mod interleave;
mod judge;
mod limits;
mod metadata;
mod name;
mod offer;
mod rung;
mod silence;
mod sound;
mod source;
mod supervise;

pub use name::Rungs;
pub(crate) use offer::{Offer, offers};
pub(crate) use silence::{AAC_48K, silent_aac};
pub(crate) use supervise::start;

use crate::config::TranscodeConfig;
use budget::{Budget, Weight};
use engine::encode;
use engine::host::{Devices, Launch, Usage};
use hub::{Presence, Reader};
use limits::SIDEWAYS_MAX;
use media::StreamName;
use name::rung_name;
use rung::Order;
use source::{Marked, Unfit, describe, ladder_of};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// The rank of a rung among the publishers of its name: below those that relays fetch and those who publish here.
const RANK: u8 = 0;

/// Whether somebody else publishes the name of a rung, or has done so and may come back.
pub(crate) fn is_taken(presence: &Presence) -> bool {
    presence.rank.map_or(presence.begun, |rank| rank > RANK)
}

/// All rungs of a node.
#[derive(Debug)]
pub(crate) struct Transcoding {
    rungs: Rungs,
    /// What is put over the pictures of rungs.
    marked: Marked,
    /// How worker processes are started, where there are any.
    launch: OnceLock<Launch>,
    table: Mutex<Table>,
    /// What is known of graphics cards.
    pub(crate) devices: Devices,
    /// What is wrong with streams that are watched.
    pub(crate) alerts: faults::Alerts,
    /// Tasks that run.
    active: AtomicUsize,
}

struct Table {
    budget: Budget,
    running: BTreeMap<StreamName, Running>,
    /// Rungs that somebody watches or waits for: readers that say to the stream that it is wanted.
    demands: HashMap<StreamName, Demand>,
    /// Streams whose pictures are turned on their side before they are shown, as their decoder has found.
    sideways: HashSet<StreamName>,
    /// Rungs that were refused lately.
    refused: HashMap<StreamName, (Instant, String)>,
}

/// Somebody watches a rung.
struct Demand {
    base: StreamName,
    /// Never read: it counts as a viewer of the stream, so that a relay goes on to fetch it.
    _presence: Reader,
}

/// A rung that runs.
#[derive(Debug)]
struct Running {
    orders: watch::Sender<Order>,
    report: Report,
    /// Its encoder left out many frames lately.
    is_late: bool,
}

/// How a rung goes.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// Its stream.
    pub(crate) base: StreamName,
    /// What it is called.
    pub(crate) rung: String,
    /// What the encoder was asked for.
    pub(crate) config: encode::Config,
    /// Sound that is encoded for it.
    pub(crate) sound: Option<engine::sound::Config>,
    /// When somebody asked for it.
    pub(crate) since: Instant,
    /// Whether there is a picture of it.
    pub(crate) is_live: bool,
    /// Frames per second that come out.
    pub(crate) fps: f64,
    /// Processor cores that it takes, estimated until they are measured.
    pub(crate) cores: f64,
    pub(crate) usage: Usage,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("budget", &self.budget)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

impl Report {
    /// What it is, as playlists and the API say it.
    pub(crate) fn offer(&self, name: StreamName) -> Offer {
        let fps = Some(self.fps).filter(|fps| *fps > 0.0);
        offer::offer(name, self.rung.clone(), &self.config, fps, self.sound)
    }
}

impl Transcoding {
    /// The rungs of a configuration that was found valid.
    pub(crate) fn new(config: &TranscodeConfig) -> Self {
        Self {
            rungs: Rungs::new(config),
            marked: Marked::load(config),
            launch: OnceLock::new(),
            table: Mutex::new(Table {
                budget: Budget::new(config.cores()),
                running: BTreeMap::new(),
                demands: HashMap::new(),
                sideways: HashSet::new(),
                refused: HashMap::new(),
            }),
            devices: Devices::default(),
            alerts: faults::Alerts::default(),
            active: AtomicUsize::new(0),
        }
    }

    /// Says how worker processes are started. Without that there are no rungs.
    pub(crate) fn set_launch(&self, launch: Launch) {
        let _ = self.launch.set(launch);
    }

    /// How worker processes are started, where there are any.
    pub(crate) fn launch(&self) -> Option<&Launch> {
        self.launch.get()
    }

    /// Whether rungs can be made at all.
    pub(crate) fn is_able(&self) -> bool {
        self.launch.get().is_some()
    }

    /// The stream that `name` is a rung of, and what the rung is called.
    pub(crate) fn rung_of<'a>(&self, name: &'a StreamName) -> Option<(StreamName, &'a str)> {
        self.rungs.of(name)
    }

    /// Whether `name` is that of a rung, whoever publishes it; see [`Env::is_rung`](crate::Env::is_rung).
    pub(crate) fn is_rung(&self, name: &StreamName) -> bool {
        self.rungs.has(name)
    }

    /// How many tasks run.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// The rungs of a stream that somebody watches or waits for. Each counts as one viewer of the stream.
    pub(crate) fn demanded(&self, base: &StreamName) -> Vec<StreamName> {
        let table = self.table();
        table
            .demands
            .iter()
            .filter(|(_, demand)| demand.base == *base)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The rungs that run, by name.
    pub(crate) fn reports(&self) -> Vec<(StreamName, Report)> {
        let table = self.table();
        let report = |running: &Running| {
            let report = running.report.clone();
            let config = table.upright(&report.base, report.config);
            Report { config, ..report }
        };
        table.running.iter().map(|(name, running)| (name.clone(), report(running))).collect()
    }

    /// What an encoder of a rung of `base` makes where it is asked for `config`.
    pub(crate) fn upright(&self, base: &StreamName, config: encode::Config) -> encode::Config {
        self.table().upright(base, config)
    }

    /// Processor cores that rungs take, and that they may take.
    pub(crate) fn load(&self) -> (f64, f64) {
        let table = self.table();
        (table.budget.used(), table.budget.cores())
    }

    /// Why a rung was refused lately.
    pub(crate) fn refusals(&self) -> Vec<(StreamName, String)> {
        let mut refused: Vec<_> =
            self.table().refused.iter().map(|(name, (_, why))| (name.clone(), why.clone())).collect();
        refused.sort_by(|a, b| a.0.cmp(&b.0));
        refused
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Tells a rung to end.
    fn stop(&mut self, name: &StreamName, why: &str) {
        if let Some(running) = self.running.get(name) {
            running.orders.send_modify(|order| order.stop = Some(why.to_owned()));
        }
    }

    /// See [`Transcoding::upright`]. A rung is called after its short side, so that only which one that is changes.
    fn upright(&self, base: &StreamName, config: encode::Config) -> encode::Config {
        let (width, height) = (config.width, config.height);
        if self.sideways.contains(base) { config.standing_like(height, width) } else { config }
    }

    /// Notes what the encoder of a rung of `base` has made of `config`.
    fn note_size(&mut self, base: &StreamName, config: &encode::Config, made: (u32, u32)) {
        let is_turned = made != (config.width, config.height) && made == (config.height, config.width);
        if !is_turned {
            self.sideways.remove(base);
        } else if self.sideways.len() < SIDEWAYS_MAX {
            self.sideways.insert(base.clone());
        }
    }

    /// A stream has no rungs any more.
    fn forget(&mut self, base: &StreamName) {
        let Self { running, budget, .. } = self;
        running.retain(|name, running| {
            let stays = running.report.base != *base;
            if !stays {
                budget.remove(name);
            }
            stays
        });
        budget.remove_source(base);
    }

    /// Notes what a rung takes, and who watches it.
    fn weigh(&mut self, name: &StreamName, viewers: usize) {
        let Some(running) = self.running.get(name) else { return };
        let is_join = running.report.rung == engine::ladder::JOIN;
        self.budget.set(name, Weight { cores: running.report.cores, viewers, is_join });
    }
}

/// Counts a task while it exists.
struct Active(Arc<crate::Env>);

impl Active {
    fn new(env: Arc<crate::Env>) -> Self {
        env.transcoding.active.fetch_add(1, Ordering::AcqRel);
        Self(env)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.transcoding.active.fetch_sub(1, Ordering::AcqRel);
    }
}
