//! A recording that is being made: what waits for the disk, what was written, and what is missing.

use super::catalog::Entry;
use super::id::RecordingId;
use super::limits::{DESCRIBED, FILES_MAX, GAPS_MAX, RETRY, SEGMENTS_MAX, TOLD_AGAIN};
use super::muxer::{Block, FileLimits, Muxer};
use super::writer::{Turn, Writer, Written};
use crate::Env;
use crate::config::RecordRule;
use crate::disk::LowSpace;
use crate::http::{date_time, rfc3339};
use api::{GapReason, RecordedFile, RecordingGap, RecordingState};
use media::{Packet, StreamName};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::task::{JoinError, JoinHandle};
use tracing::{info, warn};

/// One recording.
pub(super) struct Recording {
    env: Arc<Env>,
    entry: Arc<Entry>,
    muxer: Muxer,
    /// What waits for the disk.
    queue: VecDeque<Block>,
    /// With what the disk has been given and not taken yet.
    queued_bytes: usize,
    /// Those that the disk has been given.
    given_bytes: usize,
    /// It is here, or in `turn`.
    writer: Option<Writer>,
    turn: Option<JoinHandle<Done>>,
    /// The description is on its way to the disk.
    saving: Option<JoinHandle<io::Result<()>>>,
    /// Nothing can be written.
    paused: Option<Pause>,
    gap: Option<Gap>,
    /// Media time of the file that is written, and of those before.
    end: Duration,
    before: Duration,
    /// The description on the disk is older than what it describes.
    undescribed: bool,
    described: Instant,
    /// Not to be tried before.
    describe_after: Instant,
}

struct Done {
    writer: Writer,
    turn: Turn,
}

/// Completes when the task does; never, if there is none.
async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

struct Pause {
    since: SystemTime,
    retry_at: Instant,
    /// When the log was told last.
    told: Option<Instant>,
    /// It is tried again now.
    retrying: bool,
}

struct Gap {
    why: GapReason,
    since: Instant,
    at_ms: u64,
    packets: u64,
}

impl Recording {
    pub(super) fn begin(env: Arc<Env>, name: &StreamName, rule: &RecordRule, now: Instant) -> Self {
        let begun = SystemTime::now();
        let catalog = &env.recordings.catalog;
        let entry = catalog.add(catalog.new_id(begun), name, rfc3339(begun));
        info!(stream = %name, recording = %entry.id, "recording");
        let config = &env.config.record;
        let limits = FileLimits { media_max: config.segment_max(), bytes_max: config.segment_bytes_max };
        env.metrics.record().active.inc();
        Self {
            muxer: Muxer::new(rule.format, limits),
            writer: Some(Writer::new(entry.clone(), config.free_bytes_min)),
            turn: None,
            saving: None,
            given_bytes: 0,
            env,
            entry,
            queue: VecDeque::new(),
            queued_bytes: 0,
            paused: None,
            gap: None,
            end: Duration::ZERO,
            before: Duration::ZERO,
            undescribed: false,
            described: now,
            describe_after: now,
        }
    }

    pub(super) fn id(&self) -> &RecordingId {
        &self.entry.id
    }

    /// Whether it has as many files as it may.
    pub(super) fn is_full(&self) -> bool {
        self.entry.description().files.len() >= FILES_MAX || self.muxer.files() >= SEGMENTS_MAX
    }

    /// Takes a packet.
    pub(super) fn push(&mut self, now: Instant, packet: &Packet) {
        if let Some(rest) = self.muxer.push(now, packet) {
            self.enqueue(now, rest);
        }
    }

    /// What is pending need not wait for more.
    pub(super) fn flush(&mut self, now: Instant) {
        if let Some(block) = self.muxer.poll(now, true) {
            self.enqueue(now, block);
        }
    }

    /// What comes is from another stream of the same name.
    pub(super) fn begin_anew(&mut self) {
        let rest = self.muxer.begin_anew();
        if let Some(rest) = rest {
            self.enqueue(Instant::now(), rest);
        }
    }

    /// The publisher was away.
    pub(super) fn note_absence(&mut self, since: Instant, now: Instant) {
        self.end_gap(now);
        self.gap = Some(self.new_gap(GapReason::PublisherAway, since));
        self.end_gap(now);
    }

    /// Packets are missing.
    pub(super) fn lose(&mut self, now: Instant, why: GapReason, packets: u64) {
        self.env.metrics.record().lost(why, packets);
        if self.gap.as_ref().is_some_and(|gap| gap.why != why) {
            self.end_gap(now);
        }
        let new = self.new_gap(why, now);
        self.gap.get_or_insert(new).packets += packets;
    }

    fn new_gap(&self, why: GapReason, since: Instant) -> Gap {
        Gap { why, since, at_ms: self.entry.description().duration_ms, packets: 0 }
    }

    fn end_gap(&mut self, now: Instant) {
        let Some(gap) = self.gap.take() else { return };
        self.env.metrics.record().gap(gap.why);
        let lasted = now.saturating_duration_since(gap.since);
        let mut description = self.entry.description();
        if description.gaps.len() < GAPS_MAX {
            description.gaps.push(RecordingGap {
                at_ms: gap.at_ms,
                lasted_ms: millis(lasted),
                packets: gap.packets,
                why: gap.why,
            });
        }
        drop(description);
        self.undescribed = true;
        if gap.packets > 0 {
            let id = &self.entry.id;
            warn!(stream = %self.entry.name, recording = %id, packets = gap.packets, why = ?gap.why, "a recording has a gap");
        }
    }

    /// Moves on whatever can be moved on.
    pub(super) fn step(&mut self, now: Instant, is_away: bool) {
        if let Some(block) = self.muxer.poll(now, false) {
            self.enqueue(now, block);
        }
        if let Some(pause) = &mut self.paused
            && !pause.retrying
            && pause.retry_at <= now
        {
            pause.retrying = true;
            self.muxer.resume();
        }
        self.count_lost(now);
        self.set_state(match (&self.paused, is_away) {
            (Some(_), _) => RecordingState::Paused,
            (None, true) => RecordingState::Waiting,
            (None, false) => RecordingState::Recording,
        });
        self.give(now);
    }

    fn count_lost(&mut self, now: Instant) {
        let lost = self.muxer.take_lost();
        let why = match (&self.paused, &self.gap) {
            (Some(_), _) => GapReason::DiskFailed,
            (None, Some(gap)) if self.muxer.is_waiting() => gap.why,
            (None, _) => GapReason::TracksChanged,
        };
        if lost > 0 {
            self.lose(now, why, lost);
        } else if !self.muxer.is_waiting() && self.paused.is_none() {
            self.end_gap(now);
        }
    }

    fn set_state(&mut self, state: RecordingState) {
        let mut description = self.entry.description();
        if description.state != state {
            description.state = state;
            self.undescribed = true;
        }
    }

    fn enqueue(&mut self, now: Instant, block: Block) {
        if self.queued_bytes + block.bytes > self.env.config.record.queue_bytes_max {
            self.lose(now, GapReason::DiskSlow, block.packets);
            self.muxer.resync();
            if block.begins.is_some() {
                self.muxer.abandon_file();
            }
            return;
        }
        self.add_queued(block.bytes as i64);
        self.queue.push_back(block);
    }

    fn add_queued(&mut self, bytes: i64) {
        self.queued_bytes = self.queued_bytes.saturating_add_signed(bytes as isize);
        self.env.metrics.record().queued_bytes.inc_by(bytes);
    }

    /// Gives the disk what waits for it.
    fn give(&mut self, now: Instant) {
        self.save_if_due(now);
        if self.turn.is_some() || self.queue.is_empty() {
            return;
        }
        let free_bytes_min = self.env.config.record.free_bytes_min;
        let mut writer =
            self.writer.take().unwrap_or_else(|| Writer::new(self.entry.clone(), free_bytes_min));
        let blocks: Vec<_> = self.queue.drain(..).collect();
        self.given_bytes = blocks.iter().map(|block| block.bytes).sum();
        self.turn = Some(tokio::task::spawn_blocking(move || {
            let turn = writer.write(blocks);
            Done { writer, turn }
        }));
    }

    /// Writes the description beside the media: a disk that takes long to keep it holds up nothing else.
    fn save_if_due(&mut self, now: Instant) {
        let is_due = !self.entry.description().files.is_empty()
            && now >= self.describe_after
            && (self.undescribed || now.saturating_duration_since(self.described) >= DESCRIBED);
        if self.saving.is_some() || !is_due {
            return;
        }
        (self.undescribed, self.described) = (false, now);
        let entry = self.entry.clone();
        self.saving = Some(tokio::task::spawn_blocking(move || entry.save()));
    }

    /// Completes when the disk has taken something that it was given; never, if nothing was given.
    pub(super) async fn written(&mut self) {
        tokio::select! {
            done = ended(&mut self.turn) => self.wrote(done),
            saved = ended(&mut self.saving) => {
                self.saving = None;
                let now = Instant::now();
                if let Err(error) = saved.map_err(io::Error::other).and_then(|saved| saved) {
                    self.env.metrics.record().write_errors.inc();
                    tracing::debug!(%error, "a description cannot be written");
                    (self.undescribed, self.describe_after) = (true, now + RETRY);
                }
            }
        }
    }

    fn wrote(&mut self, done: Result<Done, JoinError>) {
        self.turn = None;
        let given = std::mem::take(&mut self.given_bytes);
        self.add_queued(-(given as i64));
        let now = Instant::now();
        match done {
            Ok(Done { writer, turn }) => {
                self.writer = Some(writer);
                self.took(now, turn);
            }
            Err(_) => {
                self.env.metrics.panicked();
                self.fail(now, &io::Error::other("a bug, please report it"), 0);
            }
        }
    }

    fn took(&mut self, now: Instant, turn: Turn) {
        if !turn.written.is_empty() {
            self.note(turn.written);
            if turn.error.is_none() && self.paused.take().is_some() {
                self.env.metrics.record().paused.dec();
                self.entry.description().problem = None;
                self.undescribed = true;
                info!(stream = %self.entry.name, recording = %self.entry.id, "recording goes on");
            }
        }
        if let Some(error) = turn.error {
            self.fail(now, &error, turn.lost);
        }
    }

    /// Describes what was written.
    fn note(&mut self, written: Vec<Written>) {
        let mut description = self.entry.description();
        for Written { file, begins, bytes, end, is_discontinuity } in written {
            if file.is_segment() {
                self.entry.note_segment(&file, is_discontinuity, bytes as u64);
            }
            if let Some(tracks) = begins {
                let start_ms = description.files.iter().map(|file| file.duration_ms).sum();
                description.tracks = tracks;
                self.before = std::mem::take(&mut self.end) + self.before;
                let listed = file.listed();
                if !description.files.iter().any(|file| file.name == listed.as_str()) {
                    description.files.push(RecordedFile {
                        name: listed.as_str().to_owned(),
                        format: file.format().to_owned(),
                        bytes: 0,
                        start_ms,
                        duration_ms: 0,
                        // What was written now lasted until it came.
                        started_at: Some(date_time(SystemTime::now() - end)),
                        finished: false,
                    });
                    self.undescribed = true;
                }
            }
            self.end = end;
            if let Some(last) = description.files.last_mut() {
                last.bytes += bytes as u64;
                last.duration_ms = millis(if file.is_segment() { self.before + end } else { end });
            }
            self.env.metrics.record().bytes.inc_by(bytes as u64);
        }
        sum_up(&mut description);
    }

    /// Nothing can be written: waits, and tries again.
    fn fail(&mut self, now: Instant, error: &io::Error, lost: u64) {
        let metrics = self.env.metrics.record();
        metrics.write_errors.inc();
        let why = reason(error);
        let waiting: usize = self.queue.iter().map(|block| block.bytes).sum();
        let lost = lost + self.queue.drain(..).map(|block| block.packets).sum::<u64>();
        self.add_queued(-(waiting as i64));
        self.muxer.suspend();
        let lost = lost + self.muxer.take_lost();
        self.lose(now, GapReason::DiskFailed, lost);
        let metrics = self.env.metrics.record();
        let pause = self.paused.get_or_insert_with(|| {
            metrics.paused.inc();
            Pause { since: SystemTime::now(), retry_at: now, told: None, retrying: false }
        });
        (pause.retrying, pause.retry_at) = (false, now + RETRY);
        let problem =
            format!("{why}: recording of {} paused since {}", self.entry.name, rfc3339(pause.since));
        if pause.told.is_none_or(|told| now.saturating_duration_since(told) >= TOLD_AGAIN) {
            pause.told = Some(now);
            warn!(recording = %self.entry.id, "{problem}");
        }
        self.entry.description().problem = Some(problem);
        self.undescribed = true;
    }

    /// Writes what is left, and has the files brought into their final form. `away` is since when nothing came.
    pub(super) async fn end(mut self, away: Option<Instant>) {
        let now = Instant::now();
        if let Some(rest) = self.muxer.end_file() {
            self.enqueue(now, rest);
        }
        loop {
            self.give(now);
            if self.turn.is_none() && self.saving.is_none() {
                break;
            }
            self.written().await;
        }
        self.count_lost(now);
        self.end_gap(now);
        let absent = away.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let is_empty = {
            let mut description = self.entry.description();
            description.ended_at = Some(rfc3339(SystemTime::now() - absent));
            description.problem = None;
            // Of one without a file there is nothing to finish, and nothing to keep.
            description.state = RecordingState::Finishing;
            description.files.is_empty()
        };
        let (env, entry, mut writer) = (self.env.clone(), self.entry.clone(), self.writer.take());
        let ended = tokio::task::spawn_blocking(move || {
            let closed = writer.as_mut().map_or(Ok(()), Writer::close);
            match is_empty {
                true => env.recordings.catalog.delete(&entry),
                false => closed.and_then(|()| entry.save()),
            }
        });
        if let Ok(Err(error)) = ended.await {
            self.env.metrics.record().write_errors.inc();
            warn!(stream = %self.entry.name, recording = %self.entry.id, %error, "a recording is not described on the disk");
        }
        if is_empty {
            return;
        }
        let description = self.entry.describe();
        info!(
            stream = description.stream,
            recording = description.id,
            duration_ms = description.duration_ms,
            bytes = description.bytes,
            "recorded"
        );
        self.env.recordings.finish(&self.entry);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let metrics = self.env.metrics.record();
        metrics.active.dec();
        metrics.queued_bytes.dec_by(self.queued_bytes as i64);
        if self.paused.is_some() {
            metrics.paused.dec();
        }
    }
}

/// Brings what a description says of all files up to date with what it says of each.
pub(super) fn sum_up(description: &mut api::Recording) {
    let mut start_ms = 0;
    for file in &mut description.files {
        file.start_ms = start_ms;
        start_ms += file.duration_ms;
    }
    description.duration_ms = start_ms;
    description.bytes = description.files.iter().map(|file| file.bytes).sum();
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What went wrong, for people.
fn reason(error: &io::Error) -> String {
    if let Some(low) = LowSpace::of(error) {
        return format!("{low}, see record.free_bytes_min");
    }
    match error.kind() {
        io::ErrorKind::StorageFull => "disk full".to_owned(),
        io::ErrorKind::QuotaExceeded => "disk quota exceeded".to_owned(),
        _ => format!("disk error ({error})"),
    }
}

#[cfg(test)]
mod tests;
