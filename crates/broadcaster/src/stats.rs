//! How a publication goes, readable while it runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counters that [`crate::push`] keeps up to date.
#[derive(Debug, Default)]
pub struct Stats {
    pub(crate) connected: AtomicBool,
    pub(crate) bytes: AtomicU64,
    pub(crate) video_frames: AtomicU64,
    pub(crate) audio_frames: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) media_ms: AtomicU64,
    pub(crate) queued: AtomicU64,
    pub(crate) lag_us: AtomicU64,
    pub(crate) connections: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Whether the server takes media right now.
    pub connected: bool,
    /// Bytes written to sockets.
    pub bytes: u64,
    /// Video frames sent.
    pub video_frames: u64,
    /// Audio frames sent.
    pub audio_frames: u64,
    /// Packets left out because they were too late, or because there was no connection.
    pub dropped: u64,
    /// Decode time of the newest packet sent.
    pub media: Duration,
    /// Bytes that wait for the socket.
    pub queued: u64,
    /// How far behind its time the newest packet was sent.
    pub lag: Duration,
    /// Connections that reached the publishing state.
    pub connections: u64,
}

impl Stats {
    /// Reads all counters.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            connected: self.connected.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            video_frames: self.video_frames.load(Relaxed),
            audio_frames: self.audio_frames.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            media: Duration::from_millis(self.media_ms.load(Relaxed)),
            queued: self.queued.load(Relaxed),
            lag: Duration::from_micros(self.lag_us.load(Relaxed)),
            connections: self.connections.load(Relaxed),
        }
    }
}
