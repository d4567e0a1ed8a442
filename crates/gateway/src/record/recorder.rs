//! The recorder of one stream: what it does from the begin of the stream to its end.
//!
//! It reads what there is several times a second instead of being woken for each packet: nobody waits for a recording, and
//! the threads that carry media have nothing to do with it.

use super::Control;
use super::limits::LOOK;
use super::recording::Recording;
use crate::Env;
use crate::config::{RecordPolicy, RecordRule};
use crate::slate::is_of_slate;
use api::GapReason;
use hub::{BatchLimits, Entry, Next, ReadOptions, Reader, Start};
use media::StreamName;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;
use tracing::warn;

/// One pick.
const BATCH: BatchLimits = BatchLimits { packets_max: 256, bytes_max: 4 << 20 };

/// Longer than any log holds, and than any recorder is behind.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Records one stream.
pub(super) struct Recorder {
    env: Arc<Env>,
    name: StreamName,
    rule: RecordRule,
    control: Arc<Control>,
    reader: Option<Reader>,
    /// It has just joined, and goes back to where the stream begins.
    rewinds: bool,
    /// What the reader has skipped so far.
    skipped: u64,
    /// Since when there is no publisher.
    away: Option<Instant>,
    recording: Option<Recording>,
    batch: Vec<Arc<Entry>>,
}

impl Recorder {
    pub(super) fn new(env: Arc<Env>, name: StreamName, rule: RecordRule, control: Arc<Control>) -> Self {
        Self {
            env,
            name,
            rule,
            control,
            reader: None,
            rewinds: false,
            skipped: 0,
            away: None,
            recording: None,
            batch: Vec::new(),
        }
    }

    /// Records until the stream is over, or the operator or the node ends it.
    pub(super) async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = written(&mut self.recording) => {}
                _ = look.tick() => {}
            }
            let now = Instant::now();
            let is_ordered = self.env.shutdown.is_triggered() || self.control.stop.load(Ordering::Acquire);
            if !is_ordered {
                self.read(now);
            }
            let is_over = is_ordered || self.is_over(now);
            if is_over && let Some(recording) = self.recording.take() {
                *self.control.recording() = None;
                recording.end(self.away).await;
            } else if let Some(recording) = &mut self.recording {
                recording.step(now, self.away.is_some());
            }
            // A stream that was asked for is recorded once.
            if is_ordered
                || (is_over && (self.reader.is_none() || self.rule.policy == RecordPolicy::OnDemand))
            {
                return;
            }
        }
    }

    /// Whether the recording ends here.
    fn is_over(&self, now: Instant) -> bool {
        let merge = self.env.config.record.merge();
        let is_gone = self.away.is_some_and(|since| now.saturating_duration_since(since) >= merge);
        is_gone || self.recording.as_ref().is_some_and(Recording::is_full)
    }

    /// Takes what there is.
    fn read(&mut self, now: Instant) {
        if self.reader.is_none() && !self.open(now) {
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        let mut batch = std::mem::take(&mut self.batch);
        while let Some(reader) = &mut self.reader {
            match reader.poll_next(now, &mut batch, BATCH, &mut cx) {
                Poll::Ready(Next::Packets) => {
                    // A reader of sound alone joins at the newest, and that is after the wait for pictures.
                    if std::mem::take(&mut self.rewinds)
                        && reader.reach(now).is_some_and(|(first, _)| reader.seek(first, now).is_ok())
                    {
                        batch.clear();
                    } else {
                        self.take(now, &mut batch);
                    }
                }
                Poll::Ready(Next::Dry) => self.gone(now),
                Poll::Ready(Next::Ended(_)) => {
                    self.reader = None;
                    self.gone(now);
                }
                Poll::Ready(Next::Later(_)) | Poll::Pending => break,
            }
        }
        self.batch = batch;
    }

    /// Opens the stream, if somebody publishes it.
    fn open(&mut self, now: Instant) -> bool {
        if self.env.origin.presence(&self.name).rank.is_none() || self.env.shows_slate(&self.name) {
            self.away.get_or_insert(now);
            return false;
        }
        // Who was asked begins now, who records always begins with the first packet.
        self.rewinds = self.rule.policy == RecordPolicy::Always || self.recording.is_some();
        let options = ReadOptions {
            start: if self.rewinds { Start::Behind(LONG) } else { Start::Live },
            pace: None,
            lag_max: Some(LONG),
            passive: true,
            wait_max: Duration::ZERO,
            ..ReadOptions::default()
        };
        match self.env.origin.read(&self.name, options, now) {
            Ok(reader) => {
                (self.reader, self.skipped) = (Some(reader), 0);
                if let Some(recording) = &mut self.recording {
                    // Another stream of the same name, with a clock of its own.
                    recording.begin_anew();
                }
                true
            }
            Err(error) => {
                warn!(stream = %self.name, %error, "not recorded");
                self.away.get_or_insert(now);
                false
            }
        }
    }

    fn gone(&mut self, now: Instant) {
        self.away.get_or_insert(now);
        if let Some(recording) = &mut self.recording {
            recording.flush(now);
        }
    }

    fn take(&mut self, now: Instant, batch: &mut Vec<Arc<Entry>>) {
        // Who plays the recording waits for nobody.
        batch.retain(|entry| !is_of_slate(entry));
        if batch.is_empty() {
            return self.gone(now);
        }
        let recording = self.recording.get_or_insert_with(|| {
            let recording = Recording::begin(self.env.clone(), &self.name, &self.rule, now);
            *self.control.recording() = Some(recording.id().clone());
            // Whoever was away before was so between two recordings.
            self.away = None;
            recording
        });
        if let Some(since) = self.away.take() {
            recording.note_absence(since, now);
        }
        let skipped = self.reader.as_ref().map_or(0, |reader| reader.stats().packets_skipped);
        if skipped > self.skipped {
            recording.lose(now, GapReason::RecorderSlow, skipped - self.skipped);
            self.skipped = skipped;
        }
        for entry in batch.drain(..) {
            recording.push(now, &entry.packet);
        }
    }
}

/// Completes when the disk has taken what it was given; never, if nothing was given.
async fn written(recording: &mut Option<Recording>) {
    match recording {
        Some(recording) => recording.written().await,
        None => std::future::pending().await,
    }
}
