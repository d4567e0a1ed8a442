//! The writing side of a stream.

use crate::kept::Kept;
use crate::log::Appended;
use crate::origin::Inner;
use crate::stream::{Phase, State, Stream};
use crate::timeline::Timeline;
use crate::wake::Taken;
use crate::{EndReason, WriteError, lock};
use media::{Kind, Packet, Role};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// Packets that wait to be shown together are shown early beyond this size: a write that large costs by its bytes, so
/// waiting for more saves nothing.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// What readers and the hub tell a publisher. Each kind is told once until it is taken; there is no queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// Another publisher has the name now.
    TakenOver,
    /// This publisher stood by and is the active one now.
    Promoted,
    /// Somebody cannot begin without a new keyframe.
    KeyframeWanted,
    /// A reader fell behind and skipped.
    Starved,
}

const FEEDBACK: [Feedback; 4] =
    [Feedback::TakenOver, Feedback::Promoted, Feedback::KeyframeWanted, Feedback::Starved];

/// A publisher as the stream sees it: its rank, and the bits of its feedback.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) rank: u8,
    raised: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl Slot {
    pub(crate) fn new(rank: u8) -> Self {
        Self { rank, raised: AtomicU8::new(0), waker: Mutex::default() }
    }

    /// Tells the publisher. Not to be called under the stream's lock.
    pub(crate) fn raise(&self, feedback: Feedback) {
        let bit = 1 << feedback as u8;
        if self.raised.fetch_or(bit, Ordering::AcqRel) & bit == 0 {
            let waker = lock(&self.waker).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn take(&self) -> Option<Feedback> {
        let raised = self.raised.load(Ordering::Acquire);
        let feedback = *FEEDBACK.iter().find(|feedback| raised & (1 << **feedback as u8) != 0)?;
        self.raised.fetch_and(!(1 << feedback as u8), Ordering::AcqRel);
        Some(feedback)
    }
}

/// Writes a stream.
///
/// Dropping it means that the publisher was lost: the stream lingers for [`Config::grace`](crate::Config::grace), and
/// the next publisher continues it. [`Publisher::finish`] ends it.
pub struct Publisher {
    stream: Arc<Stream>,
    slot: Arc<Slot>,
    timeline: Timeline,
    /// Whether the log has been told of this publisher.
    begun: bool,
    /// What was written while on stand-by and must come before the first frame.
    held: Option<Held>,
    flush_at: Option<Instant>,
    finished: bool,
    taken: Taken,
}

/// What a publisher on stand-by has to say once it is active.
#[derive(Debug, Default)]
struct Held {
    kept: Arc<Kept>,
    video_seen: bool,
}

impl Publisher {
    pub(crate) fn new(stream: Arc<Stream>, slot: Arc<Slot>, standby: bool) -> Self {
        Self {
            stream,
            slot,
            timeline: Timeline::default(),
            begun: false,
            held: standby.then(Held::default),
            flush_at: None,
            finished: false,
            taken: Vec::new(),
        }
    }

    /// Appends `packet` to the log and wakes those who wait for it.
    ///
    /// Its times may be moved onto the stream's continuous clock. Video before the first keyframe of its track is dropped
    /// and counted; so is everything that a publisher on stand-by writes, except that its configurations are remembered.
    ///
    /// # Errors
    ///
    /// Only [`WriteError::TakenOver`] is final.
    pub fn write(&mut self, packet: Packet, now: Instant) -> Result<(), WriteError> {
        if packet.payload.len() > self.stream.config.limits.packet_bytes_max {
            return Err(WriteError::TooLarge);
        }
        let stream = self.stream.clone();
        let mut state = stream.state_mut();
        state.told = state.told.max(Some(now));
        let is_active = state.is_active(&self.slot);
        if !is_active && !state.is_standby(&self.slot) {
            return Err(WriteError::TakenOver);
        }
        let may_begin = is_active || state.outranks_active(&self.slot);
        if !may_begin || self.held.as_ref().is_some_and(|held| !held.opens_with(&packet)) {
            self.hold(&packet);
            return Ok(());
        }
        let supplanted = if is_active { None } else { state.supplant(&self.slot) };
        let appended = self.append(&mut state, packet, now);
        let show = matches!(appended, Ok(Appended::Logged)) && self.is_batch_complete(&state, now);
        if show {
            state.log.show();
        }
        drop(state);
        if show {
            self.flush_at = None;
            stream.wake(&mut self.taken);
        }
        if let Some(supplanted) = supplanted {
            self.slot.raise(Feedback::Promoted);
            supplanted.raise(Feedback::TakenOver);
            stream.note_change();
        }
        if appended? == Appended::NotOpen {
            self.slot.raise(Feedback::KeyframeWanted);
        }
        Ok(())
    }

    fn append(&mut self, state: &mut State, packet: Packet, now: Instant) -> Result<Appended, WriteError> {
        if !self.begun {
            self.begin(state, &packet, now)?;
        }
        state.log.append(packet, &mut self.timeline, now, &self.stream.config)
    }

    /// Tells the log of a new publisher. One that was on stand-by says first what it has held.
    fn begin(&mut self, state: &mut State, first: &Packet, now: Instant) -> Result<(), WriteError> {
        self.begun = true;
        state.log.begin_session(self.slot.rank, now);
        state.started.get_or_insert(now);
        let Some(held) = self.held.take() else {
            return Ok(());
        };
        for kept in held.kept.packets() {
            let kept = Packet { dts: first.dts, pts: first.dts, ..kept.clone() };
            state.log.append(kept, &mut self.timeline, now, &self.stream.config)?;
        }
        Ok(())
    }

    /// Remembers what `packet` says, if it is of the kept kind, to be said once this publisher begins.
    fn hold(&mut self, packet: &Packet) {
        let Some(held) = &mut self.held else {
            return;
        };
        held.video_seen |= packet.track.kind == Kind::Video;
        if packet.role.is_kept() {
            Kept::put(&mut held.kept, packet, self.stream.config.limits.kept_bytes_max);
        } else if packet.role == Role::ClearStreamMetadata {
            Kept::clear(&mut held.kept, packet);
        }
    }

    fn is_batch_complete(&mut self, state: &State, now: Instant) -> bool {
        let batch = self.stream.config.batch;
        if batch.is_zero() || state.log.hidden_bytes() >= BATCH_BYTES_MAX {
            return true;
        }
        let due = self.flush_at.or_else(|| now.checked_add(batch));
        self.flush_at = due;
        due.is_none_or(|due| due <= now)
    }

    /// When to call [`Publisher::flush`]; `None` if nothing waits for it. Only with
    /// [`Config::batch`](crate::Config::batch).
    pub fn flush_at(&self) -> Option<Instant> {
        self.flush_at
    }

    /// Shows readers everything that has been written.
    pub fn flush(&mut self) {
        if self.flush_at.take().is_some() {
            self.stream.state_mut().log.show();
            self.stream.wake(&mut self.taken);
        }
    }

    /// What the readers or the hub have to say. `Pending` means that the waker is registered.
    pub fn poll_feedback(&mut self, cx: &mut Context<'_>) -> Poll<Feedback> {
        if let Some(feedback) = self.slot.take() {
            return Poll::Ready(feedback);
        }
        *lock(&self.slot.waker) = Some(cx.waker().clone());
        // Raised between the two: the waker may have come too late.
        self.slot.take().map_or(Poll::Pending, Poll::Ready)
    }

    /// Whether this publisher stands by while another is active.
    pub fn is_standby(&self) -> bool {
        self.stream.state().is_standby(&self.slot)
    }

    /// Ends the stream: readers get [`EndReason::Finished`] after what is in the log, unless a publisher on stand-by
    /// continues it.
    pub fn finish(mut self) {
        self.finished = true;
    }
}

impl Held {
    /// Whether a publisher that was on stand-by may begin with `packet`: with a keyframe, or if it has no video with
    /// any frame.
    fn opens_with(&self, packet: &Packet) -> bool {
        packet.is_video_keyframe()
            || (!self.video_seen && packet.track.kind == Kind::Audio && packet.role == Role::Frame)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let mut state = self.stream.state_mut();
        state.standby.retain(|standby| !Arc::ptr_eq(standby, &self.slot));
        if !state.is_active(&self.slot) {
            return;
        }
        state.log.show();
        let promoted = state.succeed(match self.finished {
            true => Phase::Ended(EndReason::Finished),
            false => Phase::Lost(None),
        });
        let (phase, told) = (state.phase, state.told);
        drop(state);
        if let Some(promoted) = promoted {
            promoted.raise(Feedback::Promoted);
            promoted.raise(Feedback::KeyframeWanted);
        }
        if phase == Phase::Lost(None)
            && let Some(told) = told
        {
            self.stream.call_at(told);
        }
        match phase {
            Phase::Ended(_) => self.stream.wake_with_paused(&mut self.taken),
            _ => self.stream.wake(&mut self.taken),
        }
        self.stream.note_change();
        if let Some(origin) = self.stream.origin.upgrade() {
            Inner::release(&origin, &self.stream);
        }
    }
}
