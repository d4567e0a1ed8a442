//! The most of everything, and why.

/// Limits of one [`Origin`](crate::Origin).
///
/// The defaults fit a machine with a few gigabytes of memory; an edge or a small device sets its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Streams in total, with or without a publisher. Each costs a few kilobytes plus its log.
    pub streams_max: usize,
    /// Streams that exist only because readers wait for a publisher. Smaller than `streams_max`, so that requests for
    /// names that nobody publishes cannot keep publishers out.
    pub waiting_streams_max: usize,
    /// Readers of one stream.
    pub readers_max: usize,
    /// Tracks of one stream; at most [`TRACKS_MAX`].
    pub tracks_max: usize,
    /// Stand-by publishers of one stream, of each rank. Each sends at full rate, so a third one buys little.
    pub standby_max: usize,
    /// Bytes of one packet. A raw 4K intra frame at the highest rates in use stays below 8 MiB.
    pub packet_bytes_max: usize,
    /// Bytes kept for late joiners (configurations and metadata) over all tracks of a stream. A configuration is tens
    /// to hundreds of bytes; stream metadata rarely passes 2 KiB, and every joiner is sent all of it.
    pub kept_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams_max: 10_000,
            waiting_streams_max: 1_000,
            readers_max: 100_000,
            tracks_max: 16,
            standby_max: 2,
            packet_bytes_max: 8 << 20,
            kept_bytes_max: 256 << 10,
        }
    }
}

/// Names of stream metadata that are kept for late joiners. `onMetaData` is one; programs that set more use a handful.
pub(crate) const METADATA_NAMES_MAX: usize = 16;

/// The upper bound of [`Limits::tracks_max`]: a reader remembers the tracks that it has begun in one 64-bit word.
pub const TRACKS_MAX: usize = 64;
