//! Every maximum of relays, with its reason.

use std::time::Duration;

/// Tags of nodes in a note, the newest: circles of so many nodes are seen. Real trees are two or three deep, and some servers
/// read no more of a program's name than a few hundred bytes.
pub(crate) const TAGS_MAX: usize = 16;

/// Times that a stream may come through this node under other names. One or two have a purpose, such as a copy with another
/// key. Four fit into a note beside those of three other nodes.
pub(crate) const PASSES_MAX: usize = 4;

/// Targets added at run time, in all and for one stream: each is a connection that carries the whole stream, opened
/// for somebody who holds no more than a publish key.
pub(crate) const ADDED_MAX: usize = 1_000;
/// See [`ADDED_MAX`]. Services that stream to many platforms offer about thirty.
pub(crate) const ADDED_PER_STREAM_MAX: usize = 32;

/// Streams fetched at once because somebody watches: viewers choose the names, and each is a connection out. Those that the
/// configuration has fetched always come on top.
pub(crate) const PULLS_MAX: usize = 500;

/// Watched streams that are known to wait for others to be fetched no more. The hub lets fewer names wait for a publisher.
pub(crate) const PULLS_WAITING_MAX: usize = 2_000;

/// The first wait before a server is tried again that was not reached.
pub(crate) const RETRY_FIRST: Duration = Duration::from_millis(500);

/// The first and the longest wait before a server is asked again that refused: nobody changes a key within a second, and
/// services lock out those who knock too often. A session of our own that it has not given up yet ends within the first.
pub(crate) const REFUSED_FIRST: Duration = Duration::from_secs(5);
/// See [`REFUSED_FIRST`].
pub(crate) const REFUSED_MAX: Duration = Duration::from_secs(300);

/// The longest wait before a source is asked again for a stream that it does not have: it may begin any time.
pub(crate) const ABSENT_MAX: Duration = Duration::from_secs(5);

/// A connection that has lasted this long was a success: the next failure is a new one.
pub(crate) const STABLE: Duration = Duration::from_secs(20);

/// How long the only source of a stream may send nothing. A connection that is broken is noticed earlier, by TCP.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The least time between two moves to where a server sends us.
pub(crate) const MOVE_PAUSE: Duration = Duration::from_secs(1);

/// Bytes that the system may hold for a target beyond what is on its way: what waits there is not seen to wait.
pub(crate) const UNSENT_BYTES_MAX: u32 = 128 << 10;
