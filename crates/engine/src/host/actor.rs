//! The task of a transcoder. It alone knows all of its processes.

mod decoding;

use super::memory::Memory;
use super::process::{Heard, Worker, WorkerId};
use super::rung::{Deaths, Refused, Rung};
use super::slots::Slots;
use super::{InletState, Options, Output, Usage, lock};
use crate::encode::Config;
use crate::ipc::{Coded, Order, Report};
use crate::limits::{
    BEHIND_MAX, CATCH_UP, END_MAX, REGIONS_MAX, REORDER_MAX, REPORTS_QUEUED_MAX, RUNGS_MAX,
    SLOTS_PER_ENCODER_MAX, SLOTS_SLOW,
};
use crate::picture::{Layout, Picture, Region};
use decoding::{Decoder, Lost, Succession};
use media::{Kind, Packet, Role};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::{debug, warn};

/// What handles and outlets ask for.
pub(super) enum Request {
    Add { id: u64, config: Config, outputs: mpsc::Sender<Output>, usage: Arc<Mutex<Usage>> },
    Remove { id: u64 },
    Bitrate { id: u64, bps: u32 },
    FrameRate { id: u64, fps_max: Option<f64> },
    Keyframe { id: u64 },
    Clock { zero: i64 },
}

/// How often hung processes are looked for.
const LOOK: Duration = Duration::from_millis(250);

pub(super) struct Actor {
    options: Options,
    requests: mpsc::Receiver<Request>,
    input: mpsc::Receiver<(u64, Packet)>,
    inlet: Arc<Mutex<InletState>>,
    /// The inlet is gone, or the decoder given up.
    is_ending: bool,
    ending_since: Option<Instant>,
    reports: mpsc::Receiver<(WorkerId, Heard)>,
    heard: mpsc::Sender<(WorkerId, Heard)>,
    memory: Option<Memory>,
    decoder: Option<Decoder>,
    succession: Succession,
    decoder_deaths: Deaths,
    /// Processor time of decoders before this one.
    decoder_cpu: Duration,
    decoder_usage: Arc<Mutex<Usage>>,
    /// The configuration of the source, for the next decoder.
    record: Option<Packet>,
    /// Frames are left out until one at which decoding can start.
    awaits_keyframe: bool,
    /// Packets went by that nobody needed: whoever comes needs them again.
    has_missed: bool,
    /// There was an encoder; until then packets wait for it.
    has_begun: bool,
    rungs: BTreeMap<u64, Rung>,
    slots: Slots,
    /// The newest packet.
    edge: i64,
    workers: u64,
    /// When time zero of the source was, in nanoseconds of Unix time.
    clock: Option<i64>,
    /// What people look at in the pictures that come.
    regions: Vec<Region>,
}

impl Actor {
    pub(super) fn new(
        options: Options,
        requests: mpsc::Receiver<Request>,
        input: mpsc::Receiver<(u64, Packet)>,
        inlet: Arc<Mutex<InletState>>,
        decoder_usage: Arc<Mutex<Usage>>,
    ) -> Self {
        let (heard, reports) = mpsc::channel(REPORTS_QUEUED_MAX);
        Self {
            options,
            requests,
            input,
            inlet,
            is_ending: false,
            ending_since: None,
            reports,
            heard,
            memory: None,
            decoder: None,
            succession: Succession::default(),
            decoder_deaths: Deaths::default(),
            decoder_cpu: Duration::ZERO,
            decoder_usage,
            record: None,
            awaits_keyframe: true,
            has_missed: false,
            has_begun: false,
            rungs: BTreeMap::new(),
            slots: Slots::default(),
            edge: i64::MIN,
            workers: 0,
            clock: None,
            regions: Vec::new(),
        }
    }

    /// Until nobody has a handle or an outlet.
    pub(super) async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let takes = !self.is_ending
                && self.has_begun
                && self.succession.held.is_none()
                && self.decoder.as_ref().is_none_or(Decoder::has_room)
                && self.slots.has_free();
            tokio::select! {
                biased;
                // First what is rare: a process that never stops talking keeps nobody from ending it.
                _ = look.tick() => self.look(),
                request = self.requests.recv() => match request {
                    Some(request) => self.serve(request),
                    None => return,
                },
                Some((id, heard)) = self.reports.recv() => self.hear(id, heard),
                packet = self.input.recv(), if takes => match packet {
                    Some((interruptions, packet)) => self.take(interruptions, packet),
                    None => self.end(),
                },
            }
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Add { id, config, outputs, usage } => {
                let now = Instant::now();
                if self.is_ending || self.rungs.len() >= RUNGS_MAX {
                    lock(&usage).error = Some("there are too many, or the source has ended".to_owned());
                    return;
                }
                let known = (&self.options.backends[..], &self.options.devices);
                let rung = Rung::new(config, known, outputs, usage, now);
                self.rungs.insert(id, rung);
                self.has_begun = true;
                if std::mem::take(&mut self.has_missed) {
                    self.join_anew();
                } else if self.options.is_live && self.decoder.is_some() {
                    // It begins with a keyframe of the source, as those before it did, so that players can change to it from any of
                    // them. They do not get again what they had.
                    self.rejoin();
                }
                self.start_encoder(id);
            }
            Request::Remove { id } => self.remove(id),
            Request::Bitrate { id, bps } => {
                if let Some(rung) = self.rungs.get_mut(&id) {
                    rung.config.bitrate_bps = bps;
                    if let Some(worker) = &rung.worker {
                        worker.tell(&Order::Bitrate(bps));
                    }
                }
            }
            Request::FrameRate { id, fps_max } => {
                if let Some(rung) = self.rungs.get_mut(&id) {
                    rung.config.fps_max = fps_max;
                    if let Some(worker) = &rung.worker {
                        worker.tell(&Order::FrameRate(fps_max));
                    }
                }
            }
            Request::Clock { zero } => {
                self.clock = Some(zero);
                for worker in self.rungs.values().filter_map(|rung| rung.worker.as_ref()) {
                    worker.tell(&Order::Clock(zero));
                }
            }
            Request::Keyframe { id } => {
                if let Some(worker) = self.rungs.get(&id).and_then(|rung| rung.worker.as_ref()) {
                    worker.tell(&Order::Keyframe);
                }
            }
        }
    }

    /// This encoder is not needed any more.
    fn remove(&mut self, id: u64) {
        self.rungs.remove(&id);
        self.find_what_is_needed();
        for slot in self.slots.release_all(id) {
            self.free(slot);
        }
        // A decoder that nobody needs is not kept: what comes next begins at a keyframe anyway.
        if self.rungs.is_empty() && self.decoder.is_some() && !self.is_ending {
            self.has_missed |= self.succession.held.is_some();
            self.succession.clear(&self.decoder_usage);
            self.drop_decoder();
        }
    }

    fn free(&mut self, slot: u8) {
        let Some(decoder) = &mut self.decoder else { return };
        // It may have waited for this one.
        decoder.heard = Instant::now();
        if !decoder.worker.tell(&Order::Free(slot)) {
            // It would wait for this slot for ever.
            self.lose_decoder("it does not listen");
        }
    }

    fn start_encoder(&mut self, id: u64) {
        let now = Instant::now();
        while let Some(rung) = self.rungs.get_mut(&id) {
            let Some(backend) = rung.next_backend(now) else {
                let codec = rung.config.codec;
                rung.note_error(format!("there is no back end for {codec:?}"));
                self.remove(id);
                return;
            };
            let first = Order::Encode(rung.config.clone(), backend);
            let started = self.start(&first, |memory| &memory.readable);
            let Some(rung) = self.rungs.get_mut(&id) else { return };
            match started {
                Ok(worker) => {
                    debug!(%backend, pid = worker.pid, "an encoder begins");
                    if let Some(zero) = self.clock {
                        worker.tell(&Order::Clock(zero));
                    }
                    if backend.takes_regions() && rung.config.regions && !self.regions.is_empty() {
                        worker.tell(&Order::Regions(self.regions.clone()));
                    }
                    rung.begin(worker, now);
                    self.find_what_is_needed();
                    return;
                }
                Err(error) => {
                    if !rung.lose(&format!("an encoder cannot be started: {error}"), now) {
                        self.remove(id);
                        return;
                    }
                }
            }
        }
    }

    fn start(&mut self, first: &Order, memory: impl FnOnce(&Memory) -> &OwnedFd) -> io::Result<Worker> {
        let shared = match &self.memory {
            Some(shared) => shared,
            None => self.memory.insert(Memory::new()?),
        };
        self.workers += 1;
        let id = WorkerId(self.workers);
        Worker::start(&self.options.launch, self.options.nice, memory(shared), id, first, self.heard.clone())
    }

    /// The next packet of the source.
    fn take(&mut self, interruptions: u64, packet: Packet) {
        // What was pushed before the source was told to join anew.
        let is_stale = lock(&self.inlet).interruptions != interruptions;
        if is_stale || packet.track.kind != Kind::Video {
            return;
        }
        match packet.role {
            Role::Config => {
                let is_known = self
                    .record
                    .as_ref()
                    .is_some_and(|known| known.codec == packet.codec && known.payload == packet.payload);
                if self.decoder.as_ref().is_some_and(|decoder| decoder.codec != packet.codec) {
                    self.drop_decoder();
                }
                if let Some(decoder) = self.decoder.as_ref().filter(|_| !is_known) {
                    decoder.worker.tell(&Order::Configure(packet.payload.to_vec()));
                }
                if !is_known {
                    self.succession.begin_anew(&self.decoder_usage);
                }
                self.record = Some(packet);
            }
            Role::Frame if self.rungs.is_empty() => self.has_missed = true,
            Role::Frame => {
                if std::mem::take(&mut self.awaits_keyframe) && !packet.flags.keyframe {
                    self.awaits_keyframe = true;
                    return;
                }
                if packet.flags.keyframe {
                    if self.hand_over(&packet) {
                        return;
                    }
                    self.succession.keyframe = Some(packet.clone());
                }
                self.feed(&packet);
            }
            _ => {}
        }
    }

    /// Gives the decoder a frame.
    fn feed(&mut self, packet: &Packet) {
        if self.decoder.is_none() && !self.start_decoder(packet.codec) {
            return;
        }
        let coded = coded(packet);
        self.edge = self.edge.max(coded.pts);
        let Some(decoder) = &mut self.decoder else { return };
        decoder.note_packet(coded.pts, Instant::now());
        if !decoder.worker.tell(&Order::Packet(coded)) {
            self.lose_decoder("it does not listen");
        }
    }

    /// Has the decoder find what people look at while there is an encoder that is told.
    fn find_what_is_needed(&mut self) {
        let finds = self.rungs.values().any(Rung::takes_regions);
        let Some(decoder) = self.decoder.as_mut().filter(|decoder| decoder.finds != finds) else { return };
        // One that does not listen is noticed with the next packet.
        if decoder.worker.tell(&Order::Find(finds)) {
            decoder.finds = finds;
        }
        if !finds {
            self.regions.clear();
        }
    }

    /// Passes on what people look at.
    fn attend(&mut self, regions: Vec<Region>) {
        if regions.len() > REGIONS_MAX {
            return self.lose_decoder("it finds more than there can be");
        }
        for worker in
            self.rungs.values().filter(|rung| rung.takes_regions()).filter_map(|rung| rung.worker.as_ref())
        {
            worker.tell(&Order::Regions(regions.clone()));
        }
        self.regions = regions;
    }

    /// The decoder is not needed any more.
    fn drop_decoder(&mut self) {
        if let Some(decoder) = self.decoder.take() {
            self.decoder_cpu = self.decoder_cpu.saturating_add(decoder.cpu);
            // The next one may find nothing, in pictures of another size.
            self.attend(Vec::new());
        }
        self.awaits_keyframe = true;
    }

    fn lose_decoder(&mut self, why: &str) {
        let Some(lost) = self.decoder.as_ref().map(Lost::from) else { return };
        if self.finish_handover() {
            return;
        }
        self.drop_decoder();
        if self.is_ending {
            self.end_encoders();
            return;
        }
        {
            let mut usage = lock(&self.decoder_usage);
            (usage.restarts, usage.error) = (usage.restarts + 1, Some(why.to_owned()));
        }
        if self.note_lost_device(&lost, why) {
            self.join_anew();
            return;
        }
        warn!(why, "a decoder was lost, another begins");
        if self.decoder_deaths.add(Instant::now()) {
            self.give_up(why);
            return;
        }
        self.join_anew();
    }

    /// Has the source joined anew.
    fn join_anew(&mut self) {
        while self.input.try_recv().is_ok() {}
        // It comes again.
        self.succession.held = None;
        lock(&self.inlet).interruptions += 1;
        self.awaits_keyframe = true;
    }

    /// Nothing can come any more.
    fn give_up(&mut self, why: &str) {
        warn!(why, "a source cannot be decoded");
        self.is_ending = true;
        self.input.close();
        for rung in self.rungs.values() {
            rung.note_error(why.to_owned());
        }
        self.rungs.clear();
        self.succession.clear(&self.decoder_usage);
        self.drop_decoder();
    }

    /// The source has ended.
    fn end(&mut self) {
        self.is_ending = true;
        self.ending_since = Some(Instant::now());
        match &self.decoder {
            Some(decoder) => {
                if !decoder.worker.tell(&Order::End) {
                    self.lose_decoder("it does not listen");
                }
            }
            None => self.end_encoders(),
        }
    }

    fn end_encoders(&mut self) {
        let told = |rung: &Rung| rung.worker.as_ref().is_some_and(|worker| worker.tell(&Order::End));
        let gone: Vec<_> = self.rungs.iter().filter(|(_, rung)| !told(rung)).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.remove(id));
    }

    fn hear(&mut self, id: WorkerId, heard: Heard) {
        if self.decoder.as_ref().is_some_and(|decoder| decoder.worker.id == id) {
            return self.hear_decoder(heard);
        }
        if self.succession.is(id) {
            return self.hear_successor(heard);
        }
        // One that was dropped may still be heard.
        let Some((&id, rung)) = self.rungs.iter_mut().find(|(_, rung)| rung.is(id)) else { return };
        match heard {
            Heard::Report(_) if !rung.note_report() => self.lose_encoder(id, "it says more than it is asked"),
            Heard::Report(report) => self.hear_encoder(id, report),
            Heard::Used(cpu) => rung.note_cpu(cpu),
            Heard::Gone(why) => self.lose_encoder(id, &why),
        }
    }

    fn hear_decoder(&mut self, heard: Heard) {
        let Some(decoder) = &mut self.decoder else { return };
        if let Heard::Report(_) = heard {
            (decoder.heard, decoder.unanswered) = (Instant::now(), 0);
            if decoder.reports_left == 0 {
                return self.lose_decoder("it says more than it is asked");
            }
            decoder.reports_left -= 1;
        }
        match heard {
            Heard::Report(Report::Picture(picture)) => {
                decoder.pictures += 1;
                // What is of before comes again.
                let is_known = match decoder.rejoins {
                    0 => decoder.times.remove(&picture.pts),
                    _ => decoder.times.contains(&picture.pts),
                };
                self.show(picture, is_known);
            }
            Heard::Report(Report::Regions(regions)) => self.attend(regions),
            Heard::Used(cpu) => {
                decoder.cpu = cpu;
                lock(&self.decoder_usage).cpu = self.decoder_cpu.saturating_add(cpu);
            }
            Heard::Report(Report::Failed(why)) => lock(&self.decoder_usage).error = Some(why),
            Heard::Report(Report::Ready) if decoder.rejoins > 0 => decoder.rejoins -= 1,
            Heard::Report(Report::Refused) => decoder.has_refused = true,
            Heard::Report(Report::Done) => {
                if self.finish_handover() {
                    return;
                }
                self.drop_decoder();
                self.end_encoders();
            }
            Heard::Report(_) => self.lose_decoder("it says what only encoders say"),
            Heard::Gone(why) => self.lose_decoder(&why),
        }
    }

    /// Passes a picture on to all encoders that can take it.
    fn show(&mut self, picture: Picture, is_known: bool) {
        if Layout::of(picture.width, picture.height).is_none() || self.slots.is_used(picture.slot) {
            return self.lose_decoder("it shows a picture that cannot be");
        }
        lock(&self.decoder_usage).pictures += 1;
        let is_of_before = self.decoder.as_ref().is_some_and(|decoder| decoder.rejoins > 0);
        let mut readers = 0;
        let now = Instant::now();
        let behind = Duration::from_nanos(self.edge.saturating_sub(picture.pts).max(0).cast_unsigned());
        let mut lost = Vec::new();
        for (&id, rung) in &mut self.rungs {
            // Not at times that nobody pushed, and not those again that it had from the decoder before.
            if !is_known || rung.worker.is_none() || rung.shown.is_some_and(|shown| picture.pts <= shown) {
                continue;
            }
            // What is still shown before the decoder begins anew is not for who waits for that.
            if is_of_before && rung.shown.is_none() {
                continue;
            }
            rung.shown = Some(picture.pts);
            let held = self.slots.held(id);
            let is_slow = held >= SLOTS_PER_ENCODER_MAX || (held >= SLOTS_SLOW && behind > BEHIND_MAX);
            if is_slow && self.options.is_live && now.saturating_duration_since(rung.begun) > CATCH_UP {
                rung.drop_picture(&picture);
                continue;
            }
            if rung.give_picture(picture, held == 0, now) {
                self.slots.hold(picture.slot, id);
                readers += 1;
            } else {
                lost.push(id);
            }
        }
        lost.into_iter().for_each(|id| self.lose_encoder(id, "it does not listen"));
        if readers == 0 {
            self.free(picture.slot);
        }
    }

    fn hear_encoder(&mut self, id: u64, report: Report) {
        let Some(rung) = self.rungs.get_mut(&id) else { return };
        match report {
            Report::Free(slot) => {
                rung.heard = Instant::now();
                if self.slots.release(slot, id) {
                    self.free(slot);
                }
            }
            Report::Configured(record) => {
                if !rung.configure(record) {
                    self.lose_encoder(id, "it does not say what its frames are");
                }
            }
            Report::Packet(coded) => {
                rung.heard = Instant::now();
                match rung.frame(coded) {
                    Ok(()) => {}
                    Err(Refused::Nonsense) => self.lose_encoder(id, "it gives a frame that cannot be"),
                    Err(Refused::Unread) => {
                        rung.note_error("nobody reads what it makes".to_owned());
                        self.remove(id);
                    }
                }
            }
            Report::Skipped(pts) => {
                if !rung.skip(pts) {
                    self.lose_encoder(id, "it leaves out a picture that it was not given");
                }
            }
            Report::Judged { vmaf, quality } => rung.note_look(vmaf, quality),
            Report::Failed(why) => {
                debug!(why, "encoder");
                rung.note_error(why);
            }
            Report::Done => self.remove(id),
            Report::Picture(_)
            | Report::Regions(_)
            | Report::Measured { .. }
            | Report::Taken
            | Report::Ready
            | Report::Refused
            | Report::Seen { .. }
            | Report::Heard { .. } => self.lose_encoder(id, "it says what no encoder says"),
        }
    }

    fn lose_encoder(&mut self, id: u64, why: &str) {
        let now = Instant::now();
        let Some(rung) = self.rungs.get_mut(&id) else { return };
        warn!(why, height = rung.config.height, "an encoder was lost");
        let goes_on = rung.lose(why, now) && !self.is_ending;
        for slot in self.slots.release_all(id) {
            self.free(slot);
        }
        if goes_on {
            self.start_encoder(id);
        } else {
            self.remove(id);
        }
    }

    /// Ends what hangs, and what nobody wants.
    fn look(&mut self) {
        let now = Instant::now();
        let left: Vec<_> =
            self.rungs.iter().filter(|(_, rung)| rung.is_unwanted()).map(|(id, _)| *id).collect();
        left.into_iter().for_each(|id| self.remove(id));
        // What is not live may take its time, as long as it goes on.
        let last_heard = self.rungs.values().map(|rung| rung.heard);
        let last_heard = last_heard.chain(self.decoder.as_ref().map(|decoder| decoder.heard)).max();
        let goes_on = last_heard.filter(|_| !self.options.is_live);
        let ends_since = self.ending_since.map(|since| goes_on.map_or(since, |heard| heard.max(since)));
        if ends_since.is_some_and(|since| now.saturating_duration_since(since) > END_MAX) {
            self.rungs.values().for_each(|rung| rung.note_error("it does not end".to_owned()));
            self.rungs.clear();
            self.drop_decoder();
        }
        let hangs = |(id, rung): (&u64, &mut Rung)| {
            let silence = now.saturating_duration_since(rung.heard);
            let waits = rung.waits_for_processor(silence);
            let is_silent = silence > rung.silence_max() && self.slots.held(*id) > 0;
            ((is_silent && !waits) || rung.holds_too_much()).then_some(*id)
        };
        let hung: Vec<_> = self.rungs.iter_mut().filter_map(hangs).collect();
        hung.into_iter().for_each(|id| self.lose_encoder(id, "it hangs"));
        let is_leaving = self.succession.held.is_some();
        let hangs = self.decoder.as_mut().is_some_and(|decoder| decoder.hangs(is_leaving, now));
        if hangs && self.slots.has_free() {
            self.lose_decoder("it hangs");
        }
        if self.is_behind(now) {
            self.lose_decoder("it does not keep up with the stream");
        }
        self.look_for_device(now);
    }
}

/// A frame of the source, as its decoder is told it.
fn coded(packet: &Packet) -> Coded {
    let is_near = packet.pts.since(packet.dts).max(packet.dts.since(packet.pts)) <= REORDER_MAX;
    Coded {
        pts: if is_near { packet.pts.nanos() } else { packet.dts.nanos() },
        dts: packet.dts.nanos(),
        keyframe: packet.flags.keyframe,
        disposable: packet.flags.disposable,
        payload: packet.payload.to_vec(),
    }
}
