//! Who starts and ends the tasks.

use super::limits::PULLS_WAITING_MAX;
use super::progress::Progress;
use super::pull::{Board, Demand, Pull};
use super::push::{Order, Push};
use super::{PullEntry, PushEntry, Relays, Table, Target};
use crate::Env;
use crate::config::PullMode;
use crate::metrics::RelayDirection;
use crate::transcode::is_taken;
use hub::{Changed, Presence};
use media::StreamName;
use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::debug;

/// The rank of somebody who publishes here; see [`hub::Origin::publish`].
const RANK_LOCAL: u8 = u8::MAX;

/// Starts and ends the tasks of all relays until the node shuts down.
pub(crate) async fn supervise(env: Arc<Env>) {
    let mut watch = env.origin.watch();
    let shutdown = env.shutdown.clone();
    loop {
        tokio::select! {
            biased;
            () = shutdown.triggered() => return,
            () = env.relays.rechecked.notified() => {
                let names: HashSet<_> = {
                    let mut names = env.relays.recheck.lock().unwrap_or_else(PoisonError::into_inner);
                    std::mem::take(&mut *names)
                };
                names.iter().for_each(|name| look_at(&env, name));
                pull_refused(&env);
            }
            changed = poll_fn(|cx| watch.poll_changed(cx)) => match changed {
                Changed::Stream(name) => look_at(&env, &name),
                Changed::Many => all_names(&env).iter().for_each(|name| look_at(&env, name)),
            },
        }
    }
}

/// Every stream that exists, is relayed, or is to be fetched always.
fn all_names(env: &Env) -> HashSet<StreamName> {
    let always = env.relays.sources.iter().filter(|sources| sources.mode == PullMode::Always);
    let mut names: HashSet<_> = always.filter_map(|sources| sources.pattern.exact()).collect();
    names.extend(env.origin.names());
    let table = env.relays.table();
    names.extend(table.pushes.keys().map(|(_, name)| name.clone()));
    names.extend(table.pulls.keys().cloned());
    names
}

/// Makes the tasks of one stream what they should be.
fn look_at(env: &Arc<Env>, name: &StreamName) {
    let presence = env.origin.presence(name);
    if env.transcoding.is_rung(name) {
        // They are made here, of streams that are fetched. One that somebody publishes is pushed as other streams are.
        push(env, name, Presence { begun: is_taken(&presence), ..presence });
        return;
    }
    push(env, name, presence);
    pull(env, name, presence);
}

fn push(env: &Arc<Env>, name: &StreamName, presence: Presence) {
    let mut table = env.relays.table();
    let targets: Vec<_> =
        table.targets.iter().filter(|target| target.pattern.matches(name)).cloned().collect();
    for target in targets {
        let entry = table.pushes.entry((target.id, name.clone()));
        match (entry, presence.begun) {
            (std::collections::hash_map::Entry::Vacant(_), false) => {}
            (entry, begun) => {
                let entry = entry.or_insert_with(|| PushEntry {
                    progress: Arc::new(Progress::new(RelayDirection::Push)),
                    orders: None,
                });
                let order = if begun { Order::Go } else { Order::Over };
                match &entry.orders {
                    Some(orders) => drop(orders.send_replace(order)),
                    None if begun => start_push(env, target, name, entry),
                    None => {}
                }
            }
        }
    }
}

fn start_push(env: &Arc<Env>, target: Arc<Target>, name: &StreamName, entry: &mut PushEntry) {
    let (sender, orders) = watch::channel(Order::Go);
    entry.orders = Some(sender);
    let task = Push {
        env: env.clone(),
        target: target.clone(),
        name: name.clone(),
        progress: entry.progress.clone(),
        orders,
    };
    let (env_after, name) = (env.clone(), name.clone());
    env.relays.spawn(async move {
        super::contain(env_after.clone(), task.run()).await;
        env_after.relays.push_ended(&target, name);
    });
}

fn pull(env: &Arc<Env>, name: &StreamName, presence: Presence) {
    let relays = &env.relays;
    let mut table = relays.table();
    let demand = match presence {
        Presence { rank: Some(RANK_LOCAL), .. } => Demand::Stop,
        Presence { viewers: 0, .. } => Demand::Unwatched,
        _ => Demand::Watched,
    };
    if let Some((running, _)) = table.pulls.get(name).and_then(|entry| entry.running.as_ref()) {
        running.send_if_modified(|before| std::mem::replace(before, demand) != demand);
        return;
    }
    table.refused.remove(name);
    let Some(sources) = relays.sources.iter().find(|sources| sources.pattern.matches(name)) else { return };
    let wanted = match demand {
        Demand::Stop => false,
        Demand::Unwatched => sources.mode == PullMode::Always,
        Demand::Watched => true,
    };
    if !wanted {
        return;
    }
    if sources.mode == PullMode::OnDemand && !table.has_room() {
        debug!(stream = %name, "a stream is not fetched: {} are", table.pulls_max);
        if table.refused.len() < PULLS_WAITING_MAX {
            table.refused.insert(name.clone());
        }
        return;
    }
    let count = sources.addresses.len();
    let entry = table.pulls.entry(name.clone()).or_insert_with(|| PullEntry {
        sources: sources.clone(),
        progress: (0..count).map(|_| Progress::new(RelayDirection::Pull)).collect(),
        running: None,
    });
    let board = Arc::new(Board::new(count, sources.rules));
    let (sender, receiver) = watch::channel(demand);
    entry.running = Some((sender, board.clone()));
    let task = Pull {
        env: env.clone(),
        sources: sources.clone(),
        name: name.clone(),
        progress: entry.progress.clone(),
        demand: receiver,
        board,
    };
    let (env, name) = (env.clone(), name.clone());
    relays.spawn({
        let env = env.clone();
        async move {
            super::contain(env.clone(), task.run()).await;
            env.relays.pull_ended(name);
        }
    });
}

/// Fetches streams that had to wait, as far as there is room now.
fn pull_refused(env: &Arc<Env>) {
    loop {
        let mut table = env.relays.table();
        let next = table.refused.iter().next().filter(|_| table.has_room()).cloned();
        let Some(name) = next else { return };
        table.refused.remove(&name);
        drop(table);
        look_at(env, &name);
    }
}

impl Table {
    /// Whether one more stream may be fetched because somebody watches it.
    fn has_room(&self) -> bool {
        let on_demand =
            |entry: &&PullEntry| entry.sources.mode == PullMode::OnDemand && entry.running.is_some();
        self.pulls.values().filter(on_demand).count() < self.pulls_max
    }
}

impl Relays {
    /// Runs a task on the thread with the fewest turns behind it.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let running = Running::new(self.active.clone());
        let task = async move {
            let _running = running;
            task.await;
        };
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if shards.is_empty() {
            shards.push(Handle::current());
        }
        shards.rotate_left(1);
        shards[0].spawn(task);
    }

    fn push_ended(&self, target: &Target, name: StreamName) {
        let mut table = self.table();
        let key = (target.id, name.clone());
        if target.pattern.exact().is_some() {
            if let Some(entry) = table.pushes.get_mut(&key) {
                entry.orders = None;
            }
        } else {
            table.pushes.remove(&key);
        }
        drop(table);
        debug!(target = target.name, stream = %name, "relay target ended");
        // The stream may have begun anew meanwhile.
        self.recheck(name);
    }

    fn pull_ended(&self, name: StreamName) {
        let mut table = self.table();
        if let Some(entry) = table.pulls.get_mut(&name) {
            entry.running = None;
            if entry.sources.pattern.exact().is_none() {
                table.pulls.remove(&name);
            }
        }
        drop(table);
        self.recheck(name);
    }
}

/// Counts a task while it exists.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
