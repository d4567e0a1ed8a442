//! Signatures of the origin, publisher and reader.
#![allow(dead_code)]

use crate::*;
use media::{Packet, StreamName};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// All streams of a process.
#[derive(Clone)]
pub struct Origin {
    config: Arc<Config>,
}

impl Origin {
    /// An origin without streams.
    pub fn new(config: Config) -> Self {
        Self { config: Arc::new(config) }
    }

    /// Begins to publish `name`.
    pub fn publish(&self, _name: &StreamName, _now: Instant) -> Result<Publisher, PublishError> {
        Ok(Publisher {})
    }

    /// Begins to read `name`, waiting for a publisher if there is none.
    pub fn read(&self, _name: &StreamName, _options: ReadOptions, _now: Instant) -> Result<Reader, ReadError> {
        Ok(Reader {})
    }

    /// All streams.
    pub fn streams(&self) -> Vec<StreamStatus> {
        Vec::new()
    }

    /// One stream.
    pub fn stream(&self, _name: &StreamName) -> Option<StreamStatus> {
        None
    }

    /// When [`Origin::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Ends what has waited long enough.
    pub fn handle_timeout(&self, _now: Instant) {}

    /// The waker of thread `index` (optional: without it, the publisher's thread wakes each reader itself). `None` if
    /// it is taken already or `index` is not below [`Config::shards`].
    pub fn shard(&self, _index: usize) -> Option<Shard> {
        None
    }
}

/// Wakes the readers of one thread, on that thread. A driver spawns one per reading thread; it never completes.
pub struct Shard {}

impl Future for Shard {
    type Output = Infallible;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Infallible> {
        Poll::Pending
    }
}

/// Writes a stream.
pub struct Publisher {}

impl Publisher {
    /// Appends a packet.
    pub fn write(&mut self, _packet: Packet, _now: Instant) -> Result<(), WriteError> {
        Ok(())
    }

    /// When to call [`Publisher::flush`].
    pub fn flush_at(&self) -> Option<Instant> {
        None
    }

    /// Shows readers what has been written.
    pub fn flush(&mut self) {}

    /// What the readers have to say.
    pub fn poll_feedback(&mut self, _cx: &mut Context<'_>) -> Poll<Feedback> {
        Poll::Pending
    }

    /// Whether this publisher only stands by.
    pub fn is_standby(&self) -> bool {
        false
    }

    /// Ends the stream.
    pub fn finish(self) {}
}

/// What readers and the hub tell a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// Another publisher has the name now.
    TakenOver,
    /// This publisher stood by and is the active one now.
    Promoted,
    /// A reader cannot start without a new keyframe.
    KeyframeWanted,
    /// A reader fell behind and skipped.
    Starved,
}

/// Reads a stream.
pub struct Reader {}

/// What a reader got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The batch holds packets. Call again after they are written.
    Packets,
    /// Nothing before this time. The log does not wake the reader earlier.
    Later(Instant),
    /// There will be no more.
    Ended(EndReason),
}

impl Reader {
    /// Appends to `batch` what comes next. `Pending` means the waker is registered.
    pub fn poll_next(
        &mut self,
        _now: Instant,
        _batch: &mut Vec<Arc<Entry>>,
        _limits: BatchLimits,
        _cx: &mut Context<'_>,
    ) -> Poll<Next> {
        Poll::Pending
    }

    /// What this reader has had.
    pub fn stats(&self) -> ReaderStats {
        ReaderStats::default()
    }
}
