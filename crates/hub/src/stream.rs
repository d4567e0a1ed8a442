//! One stream: its log, who publishes it, and how it ends.

use crate::log::Log;
use crate::origin::Inner;
use crate::publisher::Slot;
use crate::wake::{ShardQueue, Taken, WaitList, wake_all};
use crate::{Config, EndReason, LogStatus, Presence, StreamStatus, TrackStatus, lock};
use media::{Role, StreamName};
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::{Duration, Instant};

/// The least time between two timeouts of a stream: those who wait for different deadlines are woken together.
const TIMEOUT_GAP_MIN: Duration = Duration::from_millis(250);

/// A stream. Shared by its publishers and readers and, until it has ended or nobody is left, by the origin.
///
/// Locks are taken in the order: the origin's map, `state`, a wait list or `due`, the origin's timers. Nothing is
/// woken under any of them.
pub(crate) struct Stream {
    pub(crate) name: StreamName,
    pub(crate) config: Arc<Config>,
    pub(crate) origin: Weak<Inner>,
    /// Boxed, so that the lock's word, which every reader writes, does not share a cache line with what they all read.
    state: RwLock<Box<State>>,
    version: Version,
    waits: Box<[WaitList]>,
    /// Readers that are paused: packets do not wake them.
    pub(crate) paused: WaitList,
    shards: Arc<[ShardQueue]>,
    due: Mutex<Due>,
    pub(crate) readers: AtomicUsize,
    /// Those of the readers that are viewers.
    pub(crate) viewers: AtomicUsize,
    pub(crate) joins: AtomicU64,
    pub(crate) skips: AtomicU64,
    pub(crate) packets_skipped: AtomicU64,
}

/// Counts wakes. On its own cache line, since readers look at it where they need not take the lock.
#[derive(Default)]
#[repr(align(128))]
struct Version(AtomicU64);

/// The timeout that is set, and when the last one was.
#[derive(Default)]
struct Due {
    at: Option<Instant>,
    last: Option<Instant>,
}

/// What is behind the lock.
pub(crate) struct State {
    pub(crate) log: Log,
    pub(crate) phase: Phase,
    pub(crate) active: Option<Arc<Slot>>,
    pub(crate) standby: VecDeque<Arc<Slot>>,
    /// When the first publisher came.
    pub(crate) started: Option<Instant>,
    /// The latest time that a publisher has told: the hub has no clock, and a publisher that is dropped tells none.
    pub(crate) told: Option<Instant>,
}

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Readers wait for the first publisher.
    Waiting,
    /// It has a publisher.
    Live,
    /// It has lost its publisher, and waits for another until the time given; without one, until the grace is over that
    /// begins with the next timeout.
    Lost(Option<Instant>),
    /// Nothing more will come.
    Ended(EndReason),
}

impl Stream {
    pub(crate) fn new(
        name: StreamName,
        config: Arc<Config>,
        shards: Arc<[ShardQueue]>,
        origin: Weak<Inner>,
    ) -> Self {
        Self {
            name,
            state: RwLock::new(Box::new(State {
                log: Log::new(&config),
                phase: Phase::Waiting,
                active: None,
                standby: VecDeque::new(),
                started: None,
                told: None,
            })),
            version: Version::default(),
            waits: shards.iter().map(|_| WaitList::default()).collect(),
            paused: WaitList::default(),
            shards,
            config,
            origin,
            due: Mutex::default(),
            readers: AtomicUsize::new(0),
            viewers: AtomicUsize::new(0),
            joins: AtomicU64::new(0),
            skips: AtomicU64::new(0),
            packets_skipped: AtomicU64::new(0),
        }
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, Box<State>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, Box<State>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait_list(&self, shard: usize) -> &WaitList {
        &self.waits[shard]
    }

    /// The number of wait lists.
    pub(crate) fn shards(&self) -> usize {
        self.waits.len()
    }

    /// A number that changes after each change of the state that a waiting reader has to see.
    pub(crate) fn version(&self) -> NonZeroU64 {
        NonZeroU64::MIN.saturating_add(self.version.0.load(Ordering::Acquire))
    }

    /// Wakes all readers that wait. Not to be called under the lock.
    pub(crate) fn wake(self: &Arc<Self>, taken: &mut Taken) {
        self.version.0.fetch_add(1, Ordering::AcqRel);
        // Pairs with the fence of a reader that registers without the lock: it sees the new version, or is seen.
        fence(Ordering::SeqCst);
        wake_all(self, &self.waits, &self.shards, taken);
    }

    /// Wakes paused readers as well: the stream may have ended. Not to be called under the lock.
    pub(crate) fn wake_with_paused(self: &Arc<Self>, taken: &mut Taken) {
        self.wake(taken);
        self.paused.wake(taken);
    }

    /// Sees to it that [`Stream::handle_timeout`] is called at `at`, or soon after.
    pub(crate) fn call_at(self: &Arc<Self>, at: Instant) {
        let mut due = lock(&self.due);
        let at = due.last.map_or(at, |last| at.max(last + TIMEOUT_GAP_MIN));
        if due.at.is_some_and(|set| set <= at) {
            return;
        }
        due.at = Some(at);
        drop(due);
        if let Some(origin) = self.origin.upgrade() {
            origin.timers.push(at, self);
        }
    }

    /// Ends the stream if its grace is over, and lets waiting readers look at their own deadlines.
    pub(crate) fn handle_timeout(self: &Arc<Self>, now: Instant) {
        {
            let mut due = lock(&self.due);
            if due.at.is_none_or(|at| at > now) {
                return;
            }
            *due = Due { at: None, last: Some(now) };
        }
        let mut state = self.state_mut();
        let mut over = false;
        let again = match state.phase {
            Phase::Lost(None) => {
                let until = now.checked_add(self.config.grace);
                state.phase = Phase::Lost(Some(until.unwrap_or(now)));
                until
            }
            Phase::Lost(Some(until)) if now < until => Some(until),
            Phase::Lost(Some(_)) => {
                state.phase = Phase::Ended(EndReason::PublisherLost);
                over = true;
                None
            }
            Phase::Waiting | Phase::Live | Phase::Ended(_) => None,
        };
        drop(state);
        if let Some(at) = again {
            self.call_at(at);
        }
        self.wake_with_paused(&mut Vec::new());
        if over {
            self.note_change();
        }
    }

    /// How it stands.
    pub(crate) fn presence(&self) -> Presence {
        let state = self.state();
        let over = matches!(state.phase, Phase::Ended(_));
        Presence {
            begun: !over && state.phase != Phase::Waiting,
            rank: state.active.as_ref().map(|active| active.rank),
            viewers: if over { 0 } else { self.viewers.load(Ordering::Relaxed) },
        }
    }

    /// Tells those who watch the origin. Not to be called under the lock.
    pub(crate) fn note_change(&self) {
        if let Some(origin) = self.origin.upgrade() {
            origin.watchers.note(&self.name);
        }
    }

    pub(crate) fn status(&self) -> StreamStatus {
        let state = self.state();
        let log = &state.log;
        let mut tracks: Vec<_> = log
            .tracks
            .present()
            .map(|track| TrackStatus {
                id: track.id,
                codec: track.codec,
                config: log.kept().find(track.id, Role::Config).map(|config| config.payload.clone()),
            })
            .collect();
        tracks.sort_unstable_by_key(|track| track.id);
        let mut newest = log.keys().iter().rev();
        let gop = newest.next().zip(newest.next()).map(|(last, before)| last.dts.since(before.dts));
        let mut counters = log.counters;
        counters.joins = self.joins.load(Ordering::Relaxed);
        counters.skips = self.skips.load(Ordering::Relaxed);
        counters.packets_skipped = self.packets_skipped.load(Ordering::Relaxed);
        StreamStatus {
            name: self.name.clone(),
            live: state.active.is_some(),
            started: state.started,
            publishers: usize::from(state.active.is_some()) + state.standby.len(),
            standby: state.standby.len(),
            readers: self.readers.load(Ordering::Relaxed),
            viewers: self.viewers.load(Ordering::Relaxed),
            tracks,
            metadata: log.kept().metadata().map(|packet| packet.payload.clone()),
            bits_per_second: log.meter.bits_per_second(),
            frames_per_second: log.meter.frames_per_second(),
            gop,
            last_dts: log.head().map(|head| head.dts),
            last_arrived: log.meter.last(),
            log: LogStatus {
                packets: log.len(),
                bytes: log.bytes(),
                keyframes: log.keys().len(),
                duration: log.lag(log.first()),
            },
            counters,
        }
    }
}

impl State {
    /// Whether `slot` is that of the active publisher.
    pub(crate) fn is_active(&self, slot: &Arc<Slot>) -> bool {
        self.active.as_ref().is_some_and(|active| Arc::ptr_eq(active, slot))
    }

    /// Whether `slot` is that of a publisher on stand-by.
    pub(crate) fn is_standby(&self, slot: &Arc<Slot>) -> bool {
        self.standby.iter().any(|standby| Arc::ptr_eq(standby, slot))
    }

    /// The publisher of the highest rank, and of those the first: the active one, or one on stand-by that waits for its
    /// keyframe to take over.
    pub(crate) fn foremost(&self) -> Option<&Arc<Slot>> {
        self.active.iter().chain(&self.standby).rev().max_by_key(|slot| slot.rank)
    }

    /// Whether `slot`, which stands by, is above the active publisher.
    pub(crate) fn outranks_active(&self, slot: &Slot) -> bool {
        self.active.as_ref().is_none_or(|active| slot.rank > active.rank)
    }

    /// Puts `slot`, which stands by, in the place of the active publisher. That one is returned, to be told.
    pub(crate) fn supplant(&mut self, slot: &Arc<Slot>) -> Option<Arc<Slot>> {
        self.log.show();
        self.standby.retain(|standby| !Arc::ptr_eq(standby, slot));
        self.active.replace(slot.clone())
    }

    /// The active publisher is gone. The foremost on stand-by takes its place and is returned, to be told; without one the
    /// stream is in `without`.
    pub(crate) fn succeed(&mut self, without: Phase) -> Option<Arc<Slot>> {
        self.active = None;
        self.active = self.foremost().cloned();
        if let Some(active) = &self.active {
            self.standby.retain(|standby| !Arc::ptr_eq(standby, active));
        }
        self.phase = if self.active.is_some() { Phase::Live } else { without };
        self.active.clone()
    }
}
