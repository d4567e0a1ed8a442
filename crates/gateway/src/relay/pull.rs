//! One stream that is fetched: its sources, for as long as it is wanted.

use super::Sources;
use super::choice::{Choice, Rules, Want};
use super::progress::Progress;
use super::source::Source;
use crate::Env;
use crate::config::PullMode;
use crate::metrics::RelayState;
use media::StreamName;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, error};

/// Whether the stream is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Somebody watches.
    Watched,
    /// Nobody does.
    Unwatched,
    /// It is not to be fetched: somebody publishes it here.
    Stop,
}

/// Fetches one stream from the sources of one entry of the configuration.
pub(crate) struct Pull {
    pub(crate) env: Arc<Env>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) name: StreamName,
    pub(crate) progress: Arc<[Progress]>,
    pub(crate) demand: watch::Receiver<Demand>,
    pub(crate) board: Arc<Board>,
}

impl Pull {
    /// Runs the sources until the stream is not wanted any more.
    pub(crate) async fn run(mut self) {
        debug!(stream = %self.name, "relay fetches a stream");
        let mut tasks = JoinSet::new();
        for index in 0..self.sources.addresses.len() {
            let source = Source {
                env: self.env.clone(),
                address: self.sources.addresses[index].clone(),
                name: self.name.clone(),
                progress: self.progress.clone(),
                board: self.board.clone(),
                index,
            };
            tasks.spawn(source.run());
        }
        self.wanted().await;
        self.board.close();
        while let Some(ended) = tasks.join_next().await {
            if ended.is_err() {
                self.env.metrics.panicked();
                error!(stream = %self.name, "the task of a relay source panicked; this is a bug, please report it");
            }
        }
        debug!(stream = %self.name, "relay fetches a stream no more");
        self.progress.iter().for_each(|progress| progress.enter(RelayState::Waiting));
    }

    /// Completes when the stream is not wanted any more.
    async fn wanted(&mut self) {
        let idle_stop = self.env.config.relay.idle_stop();
        let mut idle_since = None;
        let shutdown = self.env.shutdown.clone();
        loop {
            match *self.demand.borrow_and_update() {
                Demand::Stop => return,
                // Viewers may come back, but not for a stream that has never come: anybody can ask for any name.
                Demand::Unwatched
                    if self.sources.mode == PullMode::OnDemand && self.board.active().is_none() =>
                {
                    return;
                }
                Demand::Unwatched if self.sources.mode == PullMode::OnDemand => {
                    idle_since.get_or_insert_with(Instant::now);
                }
                Demand::Watched | Demand::Unwatched => idle_since = None,
            }
            let stop_at = idle_since.map(|since| since + idle_stop);
            tokio::select! {
                changed = self.demand.changed() => if changed.is_err() { return },
                () = shutdown.triggered() => return,
                () = tokio::time::sleep_until(stop_at.unwrap_or_else(Instant::now).into()), if stop_at.is_some() => return,
            }
        }
    }
}

/// What the sources of one stream tell each other.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    choice: Choice,
    /// The source that was heard last.
    heard: Option<usize>,
    closed: bool,
}

impl Board {
    pub(crate) fn new(count: usize, rules: Rules) -> Self {
        let choice = Choice::new(count, rules, Instant::now());
        let state = State { choice, heard: None, closed: false };
        Self { state: Mutex::new(state), changed: watch::Sender::new(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks every later change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Changes something that others may want to know.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Choice)) {
        change(&mut self.state().choice);
        self.changed.send_replace(());
    }

    /// What source `index` is to do now, and when that may change although nothing happens.
    pub(crate) fn want(&self, index: usize) -> (Want, Option<Instant>) {
        let state = self.state();
        if state.closed { (Want::Rest, None) } else { state.choice.want(index, Instant::now()) }
    }

    /// Lets source `index` feed the stream if it is to, and says with which rank.
    pub(crate) fn begin_to_feed(&self, index: usize) -> Option<u8> {
        let mut state = self.state();
        let now = Instant::now();
        let rank = match state.choice.want(index, now).0 {
            Want::Feed(rank) if !state.closed => rank,
            _ => return None,
        };
        state.choice.feeds(index, rank, now);
        drop(state);
        self.changed.send_replace(());
        Some(rank)
    }

    /// Notes that source `index` is heard. True if it was another before.
    pub(crate) fn heard(&self, index: usize) -> bool {
        self.state().heard.replace(index).is_some_and(|before| before != index)
    }

    /// Which source is heard.
    pub(crate) fn active(&self) -> Option<usize> {
        self.state().choice.active()
    }

    /// Whether all is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn close(&self) {
        self.state().closed = true;
        self.changed.send_replace(());
    }
}
