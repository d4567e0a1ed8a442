//! What can be seen of a stream from outside.

use bytes::Bytes;
use media::{Codec, StreamName, Time, TrackId};
use std::time::{Duration, Instant};

/// A stream at one moment.
#[derive(Debug, Clone)]
pub struct StreamStatus {
    /// Its name.
    pub name: StreamName,
    /// Whether a publisher is connected now.
    pub live: bool,
    /// When its first publisher came; `None` while readers still wait for one.
    pub started: Option<Instant>,
    /// Publishers: the active one and those on stand-by.
    pub publishers: usize,
    /// Publishers on stand-by.
    pub standby: usize,
    /// Readers attached.
    pub readers: usize,
    /// Those of them that are viewers; see [`ReadOptions::passive`](crate::ReadOptions::passive).
    pub viewers: usize,
    /// The tracks of the present publisher, video before audio before data.
    pub tracks: Vec<TrackStatus>,
    /// Payload of the newest stream metadata.
    pub metadata: Option<Bytes>,
    /// Incoming payload rate over the last few seconds before the newest packet.
    pub bits_per_second: u64,
    /// Frames per second of the primary video track over the same time.
    pub frames_per_second: f32,
    /// Time between the two newest keyframes.
    pub gop: Option<Duration>,
    /// The newest decoding time.
    pub last_dts: Option<Time>,
    /// When the newest packet came.
    pub last_arrived: Option<Instant>,
    /// What the log holds.
    pub log: LogStatus,
    /// What has happened since the stream began.
    pub counters: Counters,
}

/// A track at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackStatus {
    /// Its number.
    pub id: TrackId,
    /// The codec of its newest packet.
    pub codec: Codec,
    /// Payload of its newest [`Role::Config`](media::Role::Config).
    pub config: Option<Bytes>,
}

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogStatus {
    /// Packets.
    pub packets: usize,
    /// Payload bytes.
    pub bytes: usize,
    /// Keyframes at which a reader can join.
    pub keyframes: usize,
    /// Media time from the oldest to the newest packet.
    pub duration: Duration,
}

/// Totals of one stream since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets that entered the log.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Video packets dropped because no keyframe of their track had come yet.
    pub before_keyframe: u64,
    /// Frames whose decoding time stepped back a little and was raised.
    pub clamped: u64,
    /// Times the source's clock jumped back and the stream was shifted to go on.
    pub rebased: u64,
    /// Configurations and metadata that were too large to be kept for late joiners.
    pub unkept: u64,
    /// Publishers that have fed the stream, one after the other.
    pub sessions: u64,
    /// Readers that have joined.
    pub joins: u64,
    /// Times a reader was behind and skipped.
    pub skips: u64,
    /// Packets passed over in those skips, summed over readers.
    pub packets_skipped: u64,
}

/// What one reader has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReaderStats {
    /// Packets delivered.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Packets passed over because the reader was behind.
    pub packets_skipped: u64,
    /// Groups of pictures cut short or passed over because the reader was behind.
    pub gops_skipped: u64,
    /// Media time between the reader and the newest packet, after the last poll.
    pub lag: Duration,
    /// Whether the reader has caught up with the newest packet since it joined.
    pub live: bool,
    /// Whether the reader waits for a place to begin or to go on at: mostly a keyframe.
    pub waiting: bool,
}
