//! One encoder as the server sees it: its process, what it may still do, and what came out.

use super::process::{Worker, WorkerId};
use super::{Devices, Output, Usage, lock};
use crate::encode::{Backend, Config};
use crate::ipc::{Coded, Order};
use crate::limits::{
    DEATHS_MAX, DEATHS_WINDOW, PICTURES_HELD_BACK_MAX, REORDER_MAX, REPORTS_PER_ORDER_MAX,
    REPORTS_UNASKED_MAX, SILENCE_FIRST_MAX, SILENCE_MAX,
};
use crate::picture::Picture;
use bytes::Bytes;
use media::{Flags, Packet, Role, Time, TrackId};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

pub(super) struct Rung {
    pub(super) config: Config,
    /// Who may encode, best first; those that failed are taken out.
    candidates: VecDeque<Backend>,
    devices: Devices,
    pub(super) worker: Option<Worker>,
    /// The newest picture that it was given.
    pub(super) shown: Option<i64>,
    /// Since when it may be behind.
    pub(super) begun: Instant,
    /// When the process last gave back a slot or a frame.
    pub(super) heard: Instant,
    outputs: mpsc::Sender<Output>,
    usage: Arc<Mutex<Usage>>,
    /// Processor time of processes before this one.
    cpu_before: Duration,
    cpu_now: Duration,
    /// Frames of this process.
    frames: u64,
    record: Option<Vec<u8>>,
    /// Its process has said what its frames are.
    is_configured: bool,
    dts: Option<i64>,
    /// Times of the pictures that its process has and that did not come out yet.
    given: BTreeSet<i64>,
    /// A keyframe of the source was left out: the next picture takes its place.
    owes_keyframe: bool,
    /// How many reports its process may still make.
    reports_left: u32,
    deaths: Deaths,
}

/// Why a frame is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Of a picture that was not given, or at times that cannot be.
    Nonsense,
    /// Nobody takes it.
    Unread,
}

/// Reports that a process may save up.
pub(super) const REPORTS_BURST_MAX: u32 = 4096;

/// How often something has died lately.
#[derive(Debug, Default)]
pub(super) struct Deaths(VecDeque<Instant>);

impl Deaths {
    /// One more. Whether it is to be given up.
    pub(super) fn add(&mut self, now: Instant) -> bool {
        self.0.retain(|at| now.saturating_duration_since(*at) < DEATHS_WINDOW);
        self.0.push_back(now);
        self.0.len() >= DEATHS_MAX
    }
}

impl Rung {
    pub(super) fn new(
        config: Config,
        (ranked, devices): (&[Backend], &Devices),
        outputs: mpsc::Sender<Output>,
        usage: Arc<Mutex<Usage>>,
        now: Instant,
    ) -> Self {
        let able = |backend: &Backend| backend.codecs().contains(&config.codec);
        let mut candidates: VecDeque<_> = devices.able(config.codec, now).into();
        let rest = ranked.iter().copied().filter(able);
        for backend in rest {
            if !candidates.contains(&backend) {
                candidates.push_back(backend);
            }
        }
        if config.tune.is_some() {
            // No device knows what that means.
            candidates.retain(|backend| !backend.is_hardware());
        }
        if let Some(chosen) = config.backend {
            candidates.retain(|backend| *backend != chosen);
            candidates.push_front(chosen);
        }
        Self {
            config,
            candidates,
            devices: devices.clone(),
            worker: None,
            shown: None,
            begun: now,
            heard: now,
            outputs,
            usage,
            cpu_before: Duration::ZERO,
            cpu_now: Duration::ZERO,
            frames: 0,
            record: None,
            is_configured: false,
            dts: None,
            given: BTreeSet::new(),
            owes_keyframe: false,
            reports_left: 0,
            deaths: Deaths::default(),
        }
    }

    /// Who encodes, or is to.
    pub(super) fn backend(&self) -> Option<Backend> {
        self.candidates.front().copied()
    }

    /// Who is to encode next: not a device that has failed somebody else meanwhile, unless there is nobody else.
    pub(super) fn next_backend(&mut self, now: Instant) -> Option<Backend> {
        while self.candidates.len() > 1
            && let Some(backend) = self.backend()
            && self.devices.rests_for(backend, &self.config, now)
        {
            self.candidates.pop_front();
        }
        self.backend()
    }

    /// Whether it is told what people look at.
    pub(super) fn takes_regions(&self) -> bool {
        self.config.regions && self.backend().is_some_and(Backend::takes_regions)
    }

    pub(super) fn is(&self, id: WorkerId) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.id == id)
    }

    /// A process has begun.
    pub(super) fn begin(&mut self, worker: Worker, now: Instant) {
        let mut usage = lock(&self.usage);
        (usage.backend, usage.pid) = (self.candidates.front().copied(), worker.pid);
        drop(usage);
        (self.frames, self.heard, self.begun) = (0, now, now);
        (self.owes_keyframe, self.reports_left) = (false, REPORTS_UNASKED_MAX);
        (self.record, self.is_configured) = (None, false);
        self.given.clear();
        self.cpu_before = self.cpu_before.saturating_add(std::mem::take(&mut self.cpu_now));
        self.worker = Some(worker);
    }

    /// The process is gone. Whether another one is to be tried.
    pub(super) fn lose(&mut self, why: &str, now: Instant) -> bool {
        self.worker = None;
        let device = self.backend().filter(|backend| backend.is_hardware());
        if let Some(device) = device {
            self.devices.note_failure(device, &self.config, self.frames, now);
        }
        // One that never gave a frame cannot do it; a device that was lost may be gone for long.
        if self.frames == 0 || device.is_some() {
            self.candidates.pop_front();
        }
        let is_over = self.deaths.add(now) || self.candidates.is_empty();
        let mut usage = lock(&self.usage);
        (usage.error, usage.pid) = (Some(why.to_owned()), None);
        if is_over {
            return false;
        }
        usage.restarts += 1;
        drop(usage);
        self.give(Output::Replaced { why: why.to_owned() })
    }

    pub(super) fn note_error(&self, why: String) {
        lock(&self.usage).error = Some(why);
    }

    pub(super) fn note_cpu(&mut self, cpu: Duration) {
        self.cpu_now = cpu;
        lock(&self.usage).cpu = self.cpu_before.saturating_add(cpu);
    }

    /// One more report of its process. False if it makes more than it has reason for.
    pub(super) fn note_report(&mut self) -> bool {
        let may = self.reports_left > 0;
        self.reports_left = self.reports_left.saturating_sub(1);
        may
    }

    /// Leaves a picture out, because the process is too slow.
    pub(super) fn drop_picture(&mut self, picture: &Picture) {
        self.owes_keyframe |= picture.keyframe;
        let mut usage = lock(&self.usage);
        (usage.pictures, usage.dropped) = (usage.pictures + 1, usage.dropped + 1);
    }

    /// Gives the process a picture. False if it does not listen. `is_idle` says that it has no other.
    pub(super) fn give_picture(&mut self, picture: Picture, is_idle: bool, now: Instant) -> bool {
        let keyframe = picture.keyframe || std::mem::take(&mut self.owes_keyframe);
        if is_idle {
            // It is silent from now on, not since it had something to do before.
            self.heard = now;
        }
        lock(&self.usage).pictures += 1;
        self.given.insert(picture.pts);
        self.reports_left = self.reports_left.saturating_add(REPORTS_PER_ORDER_MAX).min(REPORTS_BURST_MAX);
        self.worker
            .as_ref()
            .is_some_and(|worker| worker.tell(&Order::Picture(Picture { keyframe, ..picture })))
    }

    /// A picture was left out by the rate that was asked for. False if it was not given.
    pub(super) fn skip(&mut self, pts: i64) -> bool {
        self.given.remove(&pts)
    }

    /// Whether it takes pictures and gives nothing for them.
    pub(super) fn holds_too_much(&self) -> bool {
        self.given.len() > PICTURES_HELD_BACK_MAX
    }

    /// How long it may be silent.
    pub(super) fn silence_max(&self) -> Duration {
        if self.frames == 0 { SILENCE_FIRST_MAX } else { SILENCE_MAX }
    }

    /// Whether it is silent because it gets no processor.
    pub(super) fn waits_for_processor(&mut self, silence: Duration) -> bool {
        self.worker.as_mut().is_some_and(|worker| worker.waits_for_processor(silence))
    }

    /// What belongs to the next frame. False if it is none of pictures that were asked for: a driver may give anything.
    pub(super) fn configure(&mut self, record: Vec<u8>) -> bool {
        let summary = media::codec::summary(self.config.codec.of_packets(), &record);
        let (width, height) = (self.config.width, self.config.height);
        let size = summary.and_then(|summary| Some((summary.width?, summary.height?)));
        self.record = Some(record);
        self.is_configured = size.is_some_and(|size| size == (width, height) || size == (height, width));
        self.is_configured
    }

    /// Passes a frame on.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn frame(&mut self, coded: Coded) -> Result<(), Refused> {
        // One that takes over from another may begin a little before where that one was.
        let dts = self.dts.map_or(coded.dts, |last| coded.dts.max(last.saturating_add(1)));
        let is_near = dts <= coded.pts && Duration::from_nanos(coded.pts.abs_diff(dts)) <= REORDER_MAX;
        if coded.payload.is_empty() || !is_near || !self.is_configured || !self.given.remove(&coded.pts) {
            return Err(Refused::Nonsense);
        }
        (self.frames, self.dts) = (self.frames + 1, Some(dts));
        lock(&self.usage).frames += 1;
        let packet = |role, payload: Vec<u8>| Packet {
            track: TrackId::VIDEO,
            codec: self.config.codec.of_packets(),
            role,
            flags: Flags::default(),
            dts: Time::from_nanos(dts),
            pts: Time::from_nanos(dts),
            payload: Bytes::from(payload),
        };
        let record = self.record.take().map(|record| packet(Role::Config, record));
        let frame = Packet {
            flags: Flags { keyframe: coded.keyframe, disposable: coded.disposable },
            pts: Time::from_nanos(coded.pts),
            ..packet(Role::Frame, coded.payload)
        };
        let is_taken =
            record.is_none_or(|record| self.give(Output::Packet(record))) && self.give(Output::Packet(frame));
        if is_taken { Ok(()) } else { Err(Refused::Unread) }
    }

    /// What its pictures look like.
    pub(super) fn note_look(&self, vmaf: f32, quality: f32) {
        let mut usage = lock(&self.usage);
        (usage.vmaf, usage.quality) =
            (vmaf.is_finite().then_some(vmaf), quality.is_finite().then_some(quality));
    }

    /// The outlet was dropped.
    pub(super) fn is_unwanted(&self) -> bool {
        self.outputs.is_closed()
    }

    /// False if the reader is gone, or does not read.
    fn give(&self, output: Output) -> bool {
        self.outputs.try_send(output).is_ok()
    }
}
