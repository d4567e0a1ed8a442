//! Sizes and times of requests.

use std::time::Duration;

/// Bytes of a part of a file, at least. S3 takes no smaller ones (5 MiB, but for the last), and what a failure costs is one of
/// them. Files of more than [`PARTS_MAX`] parts have larger ones.
pub const PART_BYTES_MIN: u64 = 8 << 20;

/// Parts of a file: as many as S3 takes.
pub const PARTS_MAX: u64 = 10_000;

/// How long a connection may take to be made.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may take: a part at half a megabit per second.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// How often a request is sent again at once: a connection that was kept may have been closed by then.
pub(crate) const RETRIES_MAX: usize = 1;

/// Characters of what a server says, in a message for people.
pub(crate) const MESSAGE_CHARS_MAX: usize = 200;
