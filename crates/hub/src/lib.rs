//! The stream log: one publisher, any number of readers.
//!
//! A live stream is an append-only log of coded packets, bounded in bytes, packets and time. A [`Publisher`] writes it; a
//! [`Reader`] is a cursor with a policy: where to join, how fast to take the backlog, what to do when it falls behind.
//! Each packet stands in the log as an [`Entry`], which also holds the wire forms made of it, so that a form is
//! made once and its bytes are shared by all readers that need it. [`Origin`] finds streams by name.
//!
//! Nothing here knows a socket, a runtime or a clock: `now` is an argument, and waiting is a
//! [`Waker`](std::task::Waker). Locks are held for the time it takes to append to a queue or to copy a few pointers
//! from it; the publisher never waits for a reader.
//!
//! # Life of a packet
//!
//! [`Publisher::write`] moves its times onto the stream's continuous clock, refuses video before the first keyframe,
//! remembers configurations for late joiners, appends, drops what is too old, and wakes the readers
//! that wait: by way of the [`Shard`] of their thread, where one runs. [`Reader::poll_next`] then picks whatever is there,
//! up to its batch limits.
//!
//! A reader can pause, and go to any keyframe that the log holds. A paused reader is a number: it keeps nothing of the log
//! and is woken only by the end of the stream.
//!
//! # Life of a stream
//!
//! It begins with its first reader or publisher. When the publisher is lost, it lingers for
//! [`Config::grace`], and the next publisher continues the same log and clock. It ends when that time is over, or
//! at once by [`Publisher::finish`]; readers get what is left, and with the last of them the stream is gone.
//! [`Origin::handle_timeout`] drives all that depends on time.

mod config;
mod cursor;
mod entry;
mod error;
mod join;
mod kept;
mod limits;
mod log;
mod meter;
mod origin;
mod publisher;
mod reader;
mod status;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timeline;
mod track;
mod wake;
mod watch;

pub use config::{BatchLimits, Config, ReadOptions, SecondPublisher, Start};
pub use entry::{Entry, FORMS_MAX, FormKey};
pub use error::{EndReason, PublishError, ReadError, SeekError, WriteError};
pub use limits::{Limits, TRACKS_MAX};
pub use origin::Origin;
pub use publisher::{Feedback, Publisher};
pub use reader::{Next, Reader};
pub use status::{Counters, LogStatus, ReaderStats, StreamStatus, TrackStatus};
pub use wake::Shard;
pub use watch::{Changed, Presence, Watch};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic elsewhere: what the mutexes guard is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
