//! The reading side of a stream.

use crate::cursor::{Cursor, Picked, View};
use crate::origin::Inner;
use crate::stream::{Phase, Stream};
use crate::wake::Ticket;
use crate::{BatchLimits, EndReason, Entry, Feedback, ReadOptions, ReaderStats, SeekError};
use media::Time;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll};
use std::time::Instant;

/// What a reader got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The batch holds packets. Call again after they are written.
    Packets,
    /// Nothing before this time: the backlog is delivered at its pace. The log does not wake the reader earlier.
    Later(Instant),
    /// The publisher was lost, and everything that it wrote was picked. Told once; packets follow if another comes.
    Dry,
    /// There will be no more.
    Ended(EndReason),
}

/// Reads a stream: a cursor with a policy.
///
/// It starts with what a decoder must know, goes on with a keyframe and the backlog, and then follows the publisher. A
/// reader that falls too far behind skips to the newest keyframe; it never holds anyone up.
pub struct Reader {
    stream: Arc<Stream>,
    cursor: Cursor,
    ticket: Ticket,
    shard: u16,
    passive: bool,
    /// How far it may fall behind, in milliseconds.
    lag_ms_max: u32,
    /// The stream's version when this reader had read everything and more may come.
    drained_at: Option<NonZeroU64>,
    ended: Option<EndReason>,
    /// Whether [`Next::Dry`] was told.
    dry: bool,
    /// When to give up waiting for a publisher.
    deadline: Option<Instant>,
}

impl Reader {
    pub(crate) fn new(stream: Arc<Stream>, options: ReadOptions, now: Instant) -> Self {
        let lag_max = options.lag_max.unwrap_or(stream.config.lag_max);
        Self {
            shard: (options.shard % stream.shards()) as u16,
            passive: options.passive,
            lag_ms_max: u32::try_from(lag_max.as_millis()).unwrap_or(u32::MAX),
            deadline: now.checked_add(options.wait_max),
            cursor: Cursor::new(&options),
            ticket: Ticket::default(),
            drained_at: None,
            ended: None,
            dry: false,
            stream,
        }
    }

    /// Appends to `batch` what comes next, within `limits`. `Pending` means that the waker of `cx` is registered.
    pub fn poll_next(
        &mut self,
        now: Instant,
        batch: &mut Vec<Arc<Entry>>,
        limits: BatchLimits,
        cx: &mut Context<'_>,
    ) -> Poll<Next> {
        if let Some(reason) = self.ended {
            return Poll::Ready(Next::Ended(reason));
        }
        if self.drained_at.is_some_and(|version| self.register_at(version, cx)) {
            return Poll::Pending;
        }
        if self.cursor.is_paused() {
            return self.poll_paused(now, cx);
        }
        let state = self.stream.state();
        // Read under the lock: what changes later changes the version after that.
        let version = self.stream.version();
        let view = View::new(&state.log, now, self.lag_ms_max, &self.stream.config);
        let (picked, news) = self.cursor.pick(view, batch, limits);
        self.dry &= picked != Picked::Packets;
        // There is the end to tell of, or the loss of the publisher.
        let has_news = match state.phase {
            Phase::Ended(_) => true,
            Phase::Lost(_) => !self.dry,
            Phase::Waiting | Phase::Live => false,
        };
        self.drained_at = Some(version).filter(|_| self.cursor.is_drained() && !has_news);
        let publisher = if news.is_any() { state.active.clone() } else { None };
        let mut call_at = None;
        let next = match picked {
            Picked::Packets => Poll::Ready(Next::Packets),
            Picked::Later(at) => Poll::Ready(Next::Later(at)),
            Picked::Nothing(until) => match (state.phase, self.deadline) {
                (Phase::Ended(reason), _) => Poll::Ready(Next::Ended(reason)),
                (Phase::Waiting, Some(at)) if at <= now => Poll::Ready(Next::Ended(EndReason::NoPublisher)),
                (Phase::Lost(_), _) if !self.dry => {
                    self.dry = true;
                    Poll::Ready(Next::Dry)
                }
                (phase, deadline) => {
                    call_at = if phase == Phase::Waiting { deadline } else { until };
                    self.stream.wait_list(self.shard.into()).register(&mut self.ticket, cx.waker());
                    Poll::Pending
                }
            },
        };
        drop(state);
        if let Poll::Ready(Next::Ended(reason)) = next {
            self.ended = Some(reason);
        }
        if let Some(at) = call_at {
            self.stream.call_at(at);
        }
        if news.skips > 0 {
            self.stream.skips.fetch_add(news.skips, Ordering::Relaxed);
            self.stream.packets_skipped.fetch_add(news.packets_skipped, Ordering::Relaxed);
        }
        if let Some(publisher) = publisher {
            if news.keyframe_wanted {
                publisher.raise(Feedback::KeyframeWanted);
            }
            if news.starved {
                publisher.raise(Feedback::Starved);
            }
        }
        next
    }

    /// Registers the waker if the stream still is at `version`, at which there was nothing more to read. Most polls end
    /// here: the one after each batch. It takes no lock that other threads take, except to wake.
    fn register_at(&mut self, version: NonZeroU64, cx: &mut Context<'_>) -> bool {
        if self.stream.version() != version {
            return false;
        }
        self.stream.wait_list(self.shard.into()).register(&mut self.ticket, cx.waker());
        // Pairs with the fence of the publisher: either it finds the waker, or its version is seen here.
        fence(Ordering::SeqCst);
        self.stream.version() == version
    }

    /// While paused nothing comes but the end of the stream, at once: what is left of the log would be held in memory for
    /// as long as the pause lasts.
    fn poll_paused(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Next> {
        let state = self.stream.state();
        let end = match (state.phase, self.deadline) {
            (Phase::Ended(reason), _) => Some(reason),
            (Phase::Waiting, Some(at)) if at <= now => Some(EndReason::NoPublisher),
            _ => None,
        };
        if let Some(reason) = end {
            self.ended = Some(reason);
            return Poll::Ready(Next::Ended(reason));
        }
        // Under the lock, under which the stream ends.
        self.stream.paused.register(&mut self.ticket, cx.waker());
        let call_at = self.deadline.filter(|_| state.phase == Phase::Waiting);
        drop(state);
        if let Some(at) = call_at {
            self.stream.call_at(at);
        }
        Poll::Pending
    }

    /// Stops after what was picked. The position is remembered; nothing of the log is held for it.
    ///
    /// Until [`Reader::resume`] there is nothing to pick but the end of the stream. The waker of the last poll is forgotten:
    /// poll once to be told of the end.
    pub fn pause(&mut self) {
        if !self.cursor.is_paused() {
            self.deregister();
            self.cursor.pause();
            self.drained_at = None;
        }
    }

    /// Goes on where it was paused, paced like a join, if that is still in the log. If not, it goes on at the oldest keyframe,
    /// and what lies between counts as skipped.
    pub fn resume(&mut self, now: Instant) {
        if self.cursor.is_paused() {
            self.deregister();
            let state = self.stream.state();
            let view = View::new(&state.log, now, self.lag_ms_max, &self.stream.config);
            self.cursor.resume(view);
        }
    }

    /// Goes to the keyframe at or before `dts`, or without video to the first frame that is not earlier. What comes next is
    /// as after a join: configurations, the keyframe, the paced backlog. Returns the time of that frame. A paused reader
    /// stays paused.
    ///
    /// # Errors
    ///
    /// [`SeekError::Outside`] if `dts` lies before what the log holds, or in the future; [`SeekError::Nothing`] if there is
    /// nothing to go to. The position stays as it is.
    pub fn seek(&mut self, dts: Time, now: Instant) -> Result<Time, SeekError> {
        if self.ended.is_some() {
            return Err(SeekError::Nothing);
        }
        let state = self.stream.state();
        let view = View::new(&state.log, now, self.lag_ms_max, &self.stream.config);
        let found = self.cursor.seek(dts, view)?;
        self.drained_at = None;
        Ok(found)
    }

    /// The times that [`Reader::seek`] accepts now, the first and the last.
    pub fn reach(&self, now: Instant) -> Option<(Time, Time)> {
        self.cursor.reach(&self.stream.state().log, now)
    }

    fn deregister(&mut self) {
        let list = match self.cursor.is_paused() {
            true => &self.stream.paused,
            false => self.stream.wait_list(self.shard.into()),
        };
        list.deregister(&mut self.ticket);
    }

    /// What this reader has had, as of the last poll. Costs nothing: it takes no lock.
    pub fn stats(&self) -> ReaderStats {
        self.cursor.stats()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.deregister();
        if !self.passive && self.stream.viewers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.stream.note_change();
        }
        if self.stream.readers.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(origin) = self.stream.origin.upgrade()
        {
            Inner::release(&origin, &self.stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_is_small() {
        assert!(size_of::<Reader>() <= 216, "{}", size_of::<Reader>());
    }
}
