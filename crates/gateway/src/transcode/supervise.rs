//! The thread of all rungs, and who starts and ends them.

use super::branch::Branch;
use super::faults::watch;
use super::limits::{MEASURE, REFUSALS_MAX, REFUSED, WAITING_MAX, WATCHED_MAX};
use super::{Active, Demand, RANK};
use crate::Env;
use crate::http::codec_name;
use engine::host::{Launch, decoders_here, devices_here, probe_decoders, probe_devices};
use hub::{Changed, Start};
use media::StreamName;
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, error, info, warn};

/// Starts the thread of rungs, if there may be any.
pub(crate) fn start(env: Arc<Env>) -> io::Result<()> {
    if !env.config.transcode.enabled && env.config.transcode.watch.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("transcode".to_owned()).spawn(move || {
        runtime.block_on(env.clone().keep_running("rungs", move || run(env.clone())));
        // A process that hangs keeps nobody from ending.
        runtime.shutdown_background();
    })?;
    Ok(())
}

/// Looks for graphics cards that encode and decode, once, while everything else begins. A machine without their drivers starts no process
/// for that.
async fn look_for_devices(env: Arc<Env>) {
    let config = &env.config.transcode;
    let Some(launch) = env.transcoding.launch().filter(|_| config.enabled) else { return };
    if config.backends.is_empty() {
        look_for_encoders(&env, launch).await;
    }
    if config.decoders.is_empty() {
        look_for_decoders(&env, launch).await;
    }
}

async fn look_for_encoders(env: &Env, launch: &Launch) {
    let config = &env.config.transcode;
    let here = devices_here();
    if here.is_empty() {
        return;
    }
    let probed = match probe_devices(launch, config.nice, &here).await {
        Ok(probed) => probed,
        Err(error) => return warn!(%error, "graphics cards are not looked for: a process cannot be started"),
    };
    for probed in &probed {
        let (backend, codec) = (probed.backend, codec_name(probed.codec.of_packets()));
        match &probed.speed {
            Ok(speed) if probed.is_fast_device() => {
                info!(%backend, codec, fps = speed.fps.round(), "rungs are encoded by a graphics card");
            }
            Ok(speed) => {
                debug!(%backend, codec, fps = speed.fps.round(), "a graphics card is too slow for rungs")
            }
            Err(why) => debug!(%backend, codec, why, "a graphics card does not encode"),
        }
    }
    env.transcoding.devices.note_probed(probed);
}

async fn look_for_decoders(env: &Env, launch: &Launch) {
    let config = &env.config.transcode;
    let here = decoders_here();
    if here.is_empty() {
        return;
    }
    let probed = match probe_decoders(launch, config.nice, &here).await {
        Ok(probed) => probed,
        Err(error) => return warn!(%error, "graphics cards are not looked for: a process cannot be started"),
    };
    for probed in probed.iter().filter(|probed| probed.backend.is_hardware()) {
        let (backend, codec) = (probed.backend, codec_name(probed.codec.of_packets()));
        match &probed.speed {
            Ok(speed) if probed.is_better_device() => {
                info!(%backend, codec, fps = speed.fps.round(), "streams with rungs are decoded by a graphics card");
            }
            Ok(speed) => {
                debug!(%backend, codec, fps = speed.fps.round(), "a graphics card decodes no better than the processor")
            }
            Err(why) => debug!(%backend, codec, why, "a graphics card does not decode"),
        }
    }
    env.transcoding.devices.note_probed_decoders(probed);
}

/// The tasks of all streams that have rungs now.
struct Supervisor {
    env: Arc<Env>,
    branches: HashMap<StreamName, Arc<Notify>>,
    tasks: JoinSet<StreamName>,
    /// Streams that are looked at for faults.
    watched: HashSet<StreamName>,
    watches: JoinSet<(StreamName, bool)>,
}

/// Makes rungs until the node shuts down.
async fn run(env: Arc<Env>) {
    let mut changes = env.origin.watch();
    let shutdown = env.shutdown.clone();
    let looking = look_for_devices(env.clone());
    tokio::pin!(looking);
    let mut has_looked = false;
    let mut supervisor = Supervisor {
        env,
        branches: HashMap::new(),
        tasks: JoinSet::new(),
        watched: HashSet::new(),
        watches: JoinSet::new(),
    };
    let mut measure = interval(MEASURE);
    measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.triggered() => break,
            Some(ended) = supervisor.tasks.join_next() => {
                if let Ok(base) = ended {
                    supervisor.branches.remove(&base);
                    // Whoever came while it ended.
                    supervisor.look_at(&base);
                }
            }
            Some(ended) = supervisor.watches.join_next() => {
                if let Ok((name, has_ended)) = ended {
                    supervisor.watched.remove(&name);
                    if has_ended {
                        // One that began anew while it ended.
                        supervisor.watch(&name);
                    }
                }
            }
            changed = poll_fn(|cx| changes.poll_changed(cx)) => match changed {
                Changed::Stream(name) => supervisor.look_at(&name),
                Changed::Many => {
                    let names = supervisor.env.origin.names();
                    names.iter().for_each(|name| supervisor.look_at(name));
                }
            },
            () = &mut looking, if !has_looked => has_looked = true,
            _ = measure.tick() => supervisor.measure(),
        }
    }
    // They see the shutdown themselves.
    while supervisor.tasks.join_next().await.is_some() {}
    while supervisor.watches.join_next().await.is_some() {}
    supervisor.env.transcoding.table().demands.clear();
}

impl Supervisor {
    fn look_at(&mut self, name: &StreamName) {
        match self.env.transcoding.rung_of(name) {
            Some((base, _)) => self.look_at_rung(name, base),
            None => {
                let waiting: Vec<_> = {
                    let table = self.env.transcoding.table();
                    let own = table.demands.iter().filter(|(_, demand)| demand.base == *name);
                    own.map(|(rung, _)| rung.clone()).collect()
                };
                waiting.iter().for_each(|rung| self.look_at_rung(rung, name.clone()));
                self.watch(name);
            }
        }
    }

    /// Looks at a stream for faults, if that is asked for.
    fn watch(&mut self, name: &StreamName) {
        let Some(launch) = self.env.transcoding.launch.get().cloned() else { return };
        let is_wanted = self.env.config.transcode.watches(name) && !self.env.is_rung(name);
        let is_full = self.watched.len() >= WATCHED_MAX;
        if !is_wanted
            || is_full
            || self.watched.contains(name)
            || self.env.origin.presence(name).rank.is_none()
        {
            return;
        }
        self.watched.insert(name.clone());
        let (env, name) = (self.env.clone(), name.clone());
        self.watches.spawn(async move {
            let _active = Active::new(env.clone());
            let has_ended = net::catch_panic(watch(&env, &name, &launch)).await.unwrap_or_else(|_| {
                env.metrics.panicked();
                error!(stream = %name, "the task that watches a stream panicked and was ended; this is a bug, please report it");
                false
            });
            (name, has_ended)
        });
    }

    fn look_at_rung(&mut self, name: &StreamName, base: StreamName) {
        let presence = self.env.origin.presence(name);
        let wanted = presence.viewers > 0 && !super::is_taken(&presence);
        self.demand(name, &base, wanted);
        if let Some(branch) = self.branches.get(&base) {
            // One that is ending leaves it to whoever takes note of its end.
            branch.notify_one();
            return;
        }
        if !wanted || !self.env.origin.presence(&base).begun {
            return;
        }
        if refused_lately(&self.env, name) {
            return kick(&self.env, name);
        }
        let Some(launch) = self.env.transcoding.launch.get().cloned() else {
            return refuse(
                &self.env,
                name,
                "this program was built without the media engine (feature \"engine\")",
            );
        };
        let changed = Arc::new(Notify::new());
        changed.notify_one();
        self.branches.insert(base.clone(), changed.clone());
        let env = self.env.clone();
        self.tasks.spawn(async move {
            let _active = Active::new(env.clone());
            let branch = Branch::new(env.clone(), base.clone(), launch, changed);
            if net::catch_panic(branch.run()).await.is_err() {
                env.metrics.panicked();
                error!(stream = %base, "the rungs of a stream panicked and were ended; this is a bug, please report it");
            }
            env.transcoding.table().forget(&base);
            base
        });
    }

    /// Says to the stream of a rung whether it is wanted, so that a relay fetches it.
    fn demand(&self, name: &StreamName, base: &StreamName, wanted: bool) {
        let origin = &self.env.origin;
        let mut table = self.env.transcoding.table();
        // A reader of a stream that has ended is none of the one that begins anew.
        let is_told = table.demands.contains_key(name) && origin.presence(base).viewers > 0;
        let before = match wanted {
            true if is_told || table.demands.len() >= WAITING_MAX => None,
            _ => table.demands.remove(name),
        };
        drop(table);
        drop(before);
        if !wanted || is_told {
            return;
        }
        let options = self.env.read_options(Start::Live);
        if let Ok(mut presence) = origin.read(base, options, Instant::now()) {
            presence.pause();
            let demand = Demand { base: base.clone(), _presence: presence };
            let mut table = self.env.transcoding.table();
            if table.demands.len() < WAITING_MAX {
                table.demands.insert(name.clone(), demand);
            }
        }
    }

    /// Looks at what all rungs take.
    fn measure(&self) {
        let mut table = self.env.transcoding.table();
        table.refused.retain(|_, (at, _)| at.elapsed() < 12 * REFUSED);
        table.sideways.retain(|base| self.env.origin.presence(base).rank.is_some());
        let late = table.running.iter().filter(|(_, running)| running.is_late);
        let late: Vec<_> = late.map(|(name, _)| name.clone()).collect();
        let Some(name) = table.budget.note_round(&late) else { return };
        let (used, cores) = (table.budget.used(), table.budget.cores());
        let why = match used <= cores {
            true => {
                "its encoder does not keep up with the stream: choose a faster preset or a smaller picture"
                    .to_owned()
            }
            false => format!("the machine is full: rungs take {used:.2} of {cores:.2} processor cores"),
        };
        table.stop(&name, &why);
        table.refused.insert(name.clone(), (Instant::now(), why.clone()));
        drop(table);
        self.env.metrics.transcode().stopped.inc();
        warn!(stream = %name, why, "a rung is stopped");
    }
}

/// Whether a rung could not be made a moment ago.
pub(super) fn refused_lately(env: &Env, name: &StreamName) -> bool {
    let table = env.transcoding.table();
    table.refused.get(name).is_some_and(|(at, _)| at.elapsed() < REFUSED)
}

/// Tells those who wait for a rung that it does not come, and everybody why.
pub(super) fn refuse(env: &Env, name: &StreamName, why: &str) {
    let mut table = env.transcoding.table();
    if table.refused.len() >= REFUSALS_MAX {
        table.refused.clear();
    }
    let is_news = table
        .refused
        .insert(name.clone(), (Instant::now(), why.to_owned()))
        .is_none_or(|(at, before)| before != why || at.elapsed() >= REFUSED);
    drop(table);
    if is_news {
        env.metrics.transcode().refused.inc();
        warn!(stream = %name, why, "a rung is refused");
    }
    kick(env, name);
}

/// Ends the wait for a rung: its stream begins and ends.
pub(super) fn kick(env: &Env, name: &StreamName) {
    if let Ok(publisher) = env.origin.publish_ranked(name, RANK, Instant::now()) {
        publisher.finish();
    }
}
