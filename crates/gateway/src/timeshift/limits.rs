//! The most of everything, and why.

use std::time::Duration;

/// How long a segment stays after it has left the lists, for those who are on the way to it.
pub(super) const GRACE: Duration = Duration::from_secs(60);

/// How often the thread looks around when there is nothing to write.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// A problem that has not come again for so long is over.
pub(super) const PROBLEM_OVER: Duration = Duration::from_secs(30);

/// How often a lasting problem is told in the log.
pub(super) const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// Segments that are read at this moment. Those beyond wait, so that a disk that hangs holds few threads.
pub(super) const READS_MAX: usize = 16;

/// What is read at once, and waits for the peer: one or two of them for each player.
pub(super) const PIECE_BYTES: u64 = 256 << 10;
