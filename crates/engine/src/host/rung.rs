//! One encoder as the server sees it: its process, what it may still do, and what came out.

use super::process::{Worker, WorkerId};
use super::{Output, Usage, lock};
use crate::encode::{Backend, Config};
use crate::ipc::Coded;
use crate::limits::{DEATHS_MAX, DEATHS_WINDOW};
use bytes::Bytes;
use media::{Flags, Packet, Role, Time, TrackId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

pub(super) struct Rung {
    pub(super) config: Config,
    /// Who may encode, best first; those that failed are taken out.
    candidates: VecDeque<Backend>,
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
    dts: Option<i64>,
    deaths: Deaths,
}

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
        ranked: &[Backend],
        outputs: mpsc::Sender<Output>,
        usage: Arc<Mutex<Usage>>,
        now: Instant,
    ) -> Self {
        let able = |backend: &&Backend| backend.codecs().contains(&config.codec);
        let mut candidates: VecDeque<_> = ranked.iter().filter(able).copied().collect();
        if let Some(chosen) = config.backend {
            candidates.retain(|backend| *backend != chosen);
            candidates.push_front(chosen);
        }
        Self {
            config,
            candidates,
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
            dts: None,
            deaths: Deaths::default(),
        }
    }

    /// Who encodes, or is to.
    pub(super) fn backend(&self) -> Option<Backend> {
        self.candidates.front().copied()
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
        self.cpu_before += std::mem::take(&mut self.cpu_now);
        self.worker = Some(worker);
    }

    /// The process is gone. Whether another one is to be tried.
    pub(super) fn lose(&mut self, why: &str, now: Instant) -> bool {
        self.worker = None;
        // One that never gave a frame cannot do it; a device that was lost may be gone for long.
        if self.frames == 0 || self.backend().is_some_and(Backend::is_hardware) {
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
        lock(&self.usage).cpu = self.cpu_before + cpu;
    }

    pub(super) fn note_picture(&self, dropped: bool) {
        let mut usage = lock(&self.usage);
        usage.pictures += 1;
        usage.dropped += u64::from(dropped);
    }

    /// What belongs to the next frame.
    pub(super) fn configure(&mut self, record: Vec<u8>) {
        self.record = Some(record);
    }

    /// Passes a frame on. False if nobody takes it.
    pub(super) fn frame(&mut self, coded: Coded) -> bool {
        // One that takes over from another may begin a little before where that one was.
        let dts = self.dts.map_or(coded.dts, |last| coded.dts.max(last.saturating_add(1)));
        if coded.payload.is_empty() || dts > coded.pts {
            return true;
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
        record.is_none_or(|record| self.give(Output::Packet(record))) && self.give(Output::Packet(frame))
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
