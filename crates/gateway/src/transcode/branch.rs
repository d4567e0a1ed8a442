//! The rungs of one stream, which is decoded once for all of them.

use super::limits::{CLOCK_STEP, DESCRIBED, MEASURE, RUNGS_MAX};
use super::rung::{End, Order, Rung, is_alike};
use super::sound::Sound;
use super::supervise::{kick, refuse, refused_lately};
use super::{Active, Report, Running, Unfit, describe, ladder_of};
use crate::Env;
use engine::encode::{Backend, Config};
use engine::host::{Inlet, Launch, Options, Transcoder, Usage};
use engine::ladder::{Source, Template};
use hub::{BatchLimits, Entry, Next, ReadOptions, Reader, Start};
use media::{Packet, Role, StreamName, TrackId};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};
use tracing::{debug, error, info};

/// One pick: what is decoded in a moment.
const BATCH: BatchLimits = BatchLimits { packets_max: 32, bytes_max: 1 << 20 };

/// Something has changed about the pictures of the stream.
struct Changed;

pub(super) struct Branch {
    env: Arc<Env>,
    base: StreamName,
    /// Told when there is something to look at.
    changed: Arc<Notify>,
    transcoder: Transcoder,
    /// Present until the stream has ended.
    inlet: Option<Inlet>,
    source: Result<Source, Unfit>,
    /// How far back the stream is joined; see [`Branch::start`].
    behind: watch::Sender<Duration>,
    /// Rungs that wait until it is known what the pictures of the stream are.
    pending: BTreeSet<StreamName>,
    /// The stream has ended: nothing begins any more, and another branch makes the rungs of the stream that follows.
    is_over: bool,
    rungs: JoinSet<(StreamName, End)>,
    began: Instant,
    /// When time zero of the stream was, in nanoseconds of Unix time, as its encoders were told.
    clock: Option<i64>,
}

impl Branch {
    pub(super) fn new(env: Arc<Env>, base: StreamName, launch: Launch, changed: Arc<Notify>) -> Self {
        let config = &env.config.transcode;
        let options = Options {
            launch,
            backends: config.backends.iter().map(|backend| backend.0).chain(Backend::PROCESSOR).collect(),
            devices: env.transcoding.devices.clone(),
            decoders: config.decoders.iter().map(|decoder| decoder.0).collect(),
            decoder_threads: 0,
            nice: config.nice,
            is_live: true,
        };
        let (transcoder, inlet) = Transcoder::start(options);
        Self {
            source: of_stream(&env, &base),
            env,
            base,
            changed,
            transcoder,
            inlet: Some(inlet),
            behind: watch::Sender::new(Duration::ZERO),
            pending: BTreeSet::new(),
            is_over: false,
            rungs: JoinSet::new(),
            began: Instant::now(),
            clock: None,
        }
    }

    /// Makes rungs while somebody watches any, until the stream is over.
    pub(super) async fn run(mut self) {
        debug!(stream = %self.base, "transcoding begins");
        let (changed, mut changes) = mpsc::channel(1);
        let Some(inlet) = self.inlet.take() else { return };
        let pump = pump(self.env.clone(), self.base.clone(), self.behind.subscribe(), inlet, changed);
        tokio::pin!(pump);
        let shutdown = self.env.shutdown.clone();
        let describe_until = tokio::time::Instant::now() + DESCRIBED;
        let mut measured = (Instant::now(), Duration::ZERO);
        let mut measure = interval_at(tokio::time::Instant::now() + MEASURE, MEASURE);
        measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let order = self.changed.clone();
        self.look_at_all();
        loop {
            if self.rungs.is_empty() && (self.pending.is_empty() || self.is_over) {
                break;
            }
            tokio::select! {
                biased;
                () = shutdown.triggered() => break,
                Some(ended) = self.rungs.join_next() => {
                    if let Ok((name, end)) = ended {
                        self.ended(&name, end);
                    }
                }
                () = order.notified() => self.look_at_all(),
                Some(Changed) = changes.recv() => self.note_change(),
                () = &mut pump, if !self.is_over => self.is_over = true,
                () = tokio::time::sleep_until(describe_until), if !self.pending.is_empty() => self.give_up(),
                _ = measure.tick() => {
                    self.measure(&mut measured);
                    self.tell_clock();
                }
            }
        }
        self.rungs.shutdown().await;
        debug!(stream = %self.base, after = ?self.began.elapsed(), "transcoding ends");
    }

    /// Makes all rungs what they should be.
    fn look_at_all(&mut self) {
        let names: BTreeSet<_> = {
            let table = self.env.transcoding.table();
            let running = table.running.iter().filter(|(_, running)| running.report.base == self.base);
            let wanted = table.demands.iter().filter(|(_, demand)| demand.base == self.base);
            running.map(|(name, _)| name).chain(wanted.map(|(name, _)| name)).cloned().collect()
        };
        names.iter().for_each(|name| self.look_at(name));
    }

    /// Makes one rung what it should be.
    fn look_at(&mut self, name: &StreamName) {
        let presence = self.env.origin.presence(name);
        let watched = presence.viewers > 0;
        let is_taken = super::is_taken(&presence);
        {
            let mut table = self.env.transcoding.table();
            if let Some(running) = table.running.get(name) {
                running.orders.send_if_modified(|order| {
                    let before = order.clone();
                    order.watched = watched;
                    if is_taken {
                        order.stop = Some("somebody publishes this name".to_owned());
                    }
                    *order != before
                });
                table.weigh(name, presence.viewers);
                return;
            }
        }
        self.pending.remove(name);
        if !watched || is_taken || self.is_over {
            return;
        }
        if refused_lately(&self.env, name) {
            return kick(&self.env, name);
        }
        match self.source {
            Ok(source) => self.start(name, &source, presence.viewers),
            Err(Unfit::Codec(_)) => self.give_up_on(name),
            Err(_) => drop(self.pending.insert(name.clone())),
        }
    }

    fn start(&mut self, name: &StreamName, source: &Source, viewers: usize) {
        let (template, config) = match self.rung_of(name, source) {
            Ok(found) => found,
            Err(why) => return self.refuse(name, &why),
        };
        self.tell_clock();
        let transcoding = &self.env.transcoding;
        let mut table = transcoding.table();
        let decoding = if self.rungs.is_empty() { engine::cost::decode_cores(source) } else { 0.0 };
        let device = || transcoding.devices.able(config.codec, Instant::now()).first().copied();
        let likely = Config { backend: config.backend.or_else(device), ..config.clone() };
        let cores = engine::cost::encode_cores(&likely, source);
        let room = match table.running.len() < RUNGS_MAX {
            true => table.budget.make_room(cores + decoding).map_err(|full| full.to_string()),
            false => Err(format!("{RUNGS_MAX} rungs are made already")),
        };
        match room {
            Ok(leaving) => {
                let why = format!("nobody watches it, and {name} needs its room");
                leaving.iter().for_each(|leaving| table.stop(leaving, &why));
            }
            Err(why) => {
                drop(table);
                return self.refuse(name, &why);
            }
        }
        if decoding > 0.0 {
            table.budget.set_source(&self.base, decoding);
        }
        let asked = Instant::now();
        let (orders, receiver) = watch::channel(Order { watched: true, config: config.clone(), stop: None });
        let report = Report {
            base: self.base.clone(),
            rung: template.name.clone(),
            config: config.clone(),
            sound: None,
            since: asked,
            is_live: false,
            fps: 0.0,
            cores,
            usage: Usage::default(),
        };
        self.env.metrics.transcode().started.inc();
        table.running.insert(name.clone(), Running { orders, report, is_late: false });
        table.refused.remove(name);
        table.weigh(name, viewers);
        drop(table);
        // Who asked for a playlist waits for a whole segment: of what has passed it is there at once.
        let in_segments = self.env.packagers.is_packaged(name);
        let segment = Duration::from_millis(self.env.config.hls.segment_ms);
        self.behind.send_replace(if in_segments { segment } else { Duration::ZERO });
        let rung = Rung {
            env: self.env.clone(),
            base: self.base.clone(),
            name: name.clone(),
            sound: Sound::new(
                name.clone(),
                template.sound,
                transcoding.launch.get().cloned(),
                self.env.config.transcode.nice,
                self.env.origin.stream(&self.base).as_ref(),
                asked,
            ),
            template,
            outlet: self.transcoder.add(config.clone()),
            config,
            transcoder: self.transcoder.clone(),
            orders: receiver,
            asked,
        };
        let (env, name) = (self.env.clone(), name.clone());
        self.rungs.spawn(async move {
            let _active = Active::new(env.clone());
            let end = net::catch_panic(rung.run()).await.unwrap_or_else(|_| {
                env.metrics.panicked();
                error!(stream = %name, "the task of a rung panicked and was ended; this is a bug, please report it");
                End::Failed("it failed inside the server".to_owned())
            });
            (name, end)
        });
    }

    /// Says when time zero of the stream was, for clocks in pictures, unless that is nearly what was said last.
    fn tell_clock(&mut self) {
        let status = self.env.origin.stream(&self.base);
        let newest = status.and_then(|status| status.last_dts.zip(status.last_arrived));
        let Some((dts, arrived)) = newest else { return };
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let came = unix.saturating_sub(arrived.elapsed());
        let zero = i64::try_from(came.as_nanos()).unwrap_or(i64::MAX).saturating_sub(dts.nanos());
        let is_news = |before: i64| u128::from(before.abs_diff(zero)) > CLOCK_STEP.as_nanos();
        if self.clock.is_none_or(is_news) {
            self.clock = Some(zero);
            self.transcoder.set_clock(zero);
        }
    }

    /// What the ladder of the stream says of a rung.
    fn rung_of(&self, name: &StreamName, source: &Source) -> Result<(Template, Config), String> {
        let ladder = ladder_of(&self.env.config.transcode, &self.env.transcoding.marked, &self.base, source);
        let rung = self.env.transcoding.rung_of(name).map_or("", |(_, rung)| rung);
        let names: Vec<_> = ladder.iter().map(|(template, _)| template.name.clone()).collect();
        ladder.into_iter().find(|(template, _)| template.name == rung).ok_or_else(|| {
            let size = format!("{}x{}", source.width, source.height);
            match names.is_empty() {
                true => format!("a stream of {size} has no rungs"),
                false => format!("a stream of {size} has no rung {rung:?}: it has {}", names.join(", ")),
            }
        })
    }

    /// Something has changed about the pictures: rungs that exceed them end, others follow.
    fn note_change(&mut self) {
        let before = std::mem::replace(&mut self.source, of_stream(&self.env, &self.base));
        let shape = |source: &Source| (source.width, source.height, source.codec);
        if let (Ok(before), Ok(source)) = (before, self.source)
            && shape(&before) != shape(&source)
        {
            let names: Vec<_> = {
                let table = self.env.transcoding.table();
                let own = table.running.iter().filter(|(_, running)| running.report.base == self.base);
                own.map(|(name, _)| name.clone()).collect()
            };
            for name in names {
                let fitting = self.rung_of(&name, &source);
                let mut table = self.env.transcoding.table();
                match fitting {
                    Err(why) => table.stop(&name, &why),
                    Ok((_, config)) => {
                        if let Some(running) = table.running.get_mut(&name)
                            && !is_alike(&running.report.config, &config)
                        {
                            running.report.config = config.clone();
                            running.orders.send_modify(|order| order.config = config);
                        }
                    }
                }
            }
        }
        for name in std::mem::take(&mut self.pending) {
            self.look_at(&name);
        }
    }

    /// Notes what decoding takes.
    fn measure(&self, before: &mut (Instant, Duration)) {
        let (now, cpu) = (Instant::now(), self.transcoder.decoder().cpu);
        let (since, worked) = (now.saturating_duration_since(before.0), cpu.saturating_sub(before.1));
        if !worked.is_zero() && !since.is_zero() {
            let cores = worked.as_secs_f64() / since.as_secs_f64();
            self.env.transcoding.table().budget.set_source(&self.base, cores);
        }
        *before = (now, cpu);
    }

    /// The stream has not said what its pictures are.
    fn give_up(&mut self) {
        for name in std::mem::take(&mut self.pending) {
            self.give_up_on(&name);
        }
    }

    fn give_up_on(&self, name: &StreamName) {
        let why = self.source.err().unwrap_or(Unfit::NoPictures).to_string();
        self.refuse(name, &why);
    }

    fn refuse(&self, name: &StreamName, why: &str) {
        refuse(&self.env, name, why);
    }

    fn ended(&mut self, name: &StreamName, end: End) {
        {
            let mut table = self.env.transcoding.table();
            table.running.remove(name);
            table.budget.remove(name);
        }
        match end {
            End::Over => debug!(stream = %name, "a rung ends with its stream"),
            End::Unwatched => info!(stream = %name, "a rung ends: nobody watches it"),
            End::TakenOver => info!(stream = %name, "a rung ends: somebody publishes this name"),
            End::Stopped(why) => info!(stream = %name, why, "a rung ends"),
            End::Failed(why) => self.refuse(name, &why),
        }
        // Somebody may have come meanwhile.
        self.look_at(name);
    }
}

fn of_stream(env: &Env, base: &StreamName) -> Result<Source, Unfit> {
    describe(&env.origin.stream(base).ok_or(Unfit::NoPictures)?)
}

/// Feeds the pictures of a stream to its decoder, until it is over.
async fn pump(
    env: Arc<Env>,
    base: StreamName,
    behind: watch::Receiver<Duration>,
    mut inlet: Inlet,
    changed: mpsc::Sender<Changed>,
) {
    let mut batch = Vec::new();
    loop {
        let start = Start::Behind(*behind.borrow());
        let Some(mut reader) = open(&env, &base, start) else { return };
        loop {
            let next = poll_fn(|cx| reader.poll_next(Instant::now(), &mut batch, BATCH, cx)).await;
            let pushed = match next {
                Next::Packets => push(&mut inlet, &mut batch, &changed).await,
                // Only what is read at a pace is held back.
                Next::Later(_) | Next::Dry => true,
                Next::Ended(_) => return,
            };
            if !pushed {
                // The decoder was lost: the next one begins at the newest keyframe.
                batch.clear();
                break;
            }
        }
    }
}

/// Joins the stream.
fn open(env: &Env, base: &StreamName, start: Start) -> Option<Reader> {
    let options = ReadOptions {
        start,
        audio: false,
        pace: None,
        passive: true,
        wait_max: Duration::ZERO,
        ..ReadOptions::default()
    };
    env.origin.read(base, options, Instant::now()).ok()
}

async fn push(inlet: &mut Inlet, batch: &mut Vec<Arc<Entry>>, changed: &mpsc::Sender<Changed>) -> bool {
    for entry in batch.drain(..) {
        let packet: &Packet = &entry.packet;
        if packet.track != TrackId::VIDEO {
            continue;
        }
        let tells = packet.role == Role::Config || packet.is_video_keyframe();
        if inlet.push(packet.clone()).await.is_err() {
            return false;
        }
        if tells {
            // One that waits to be heard is as good as two.
            let _ = changed.try_send(Changed);
        }
    }
    true
}

#[cfg(test)]
mod tests;
