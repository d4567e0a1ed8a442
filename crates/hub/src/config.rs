//! What an operator and a reader can choose.

use crate::Limits;
use media::Time;
use std::time::Duration;

/// Configuration of an [`Origin`](crate::Origin).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Limits on number and size.
    pub limits: Limits,
    /// The most payload bytes in one stream's log.
    pub log_bytes_max: usize,
    /// The most packets in one stream's log.
    pub log_packets_max: usize,
    /// How much media the log holds at least, beyond the current GOP: as far back as a reader can join.
    pub retain: Duration,
    /// How long a packet may wait for others so that readers are woken once for several. Zero wakes on every packet.
    pub batch: Duration,
    /// How far a reader may fall behind, in media time, before it skips to the newest keyframe.
    pub lag_max: Duration,
    /// How long a stream outlives the loss of its publisher, waiting for the next one.
    pub grace: Duration,
    /// What happens to a publisher of a name that has one of the same rank.
    pub second_publisher: SecondPublisher,
    /// How many threads read. A reader names its own in [`ReadOptions::shard`]; see [`Shard`](crate::Shard).
    pub shards: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            log_bytes_max: 32 << 20,
            log_packets_max: 16_384,
            retain: Duration::from_secs(3),
            batch: Duration::ZERO,
            lag_max: Duration::from_secs(8),
            grace: Duration::from_secs(15),
            second_publisher: SecondPublisher::Reject,
            shards: 1,
        }
    }
}

/// What happens to a publisher of a name that already has one of the same rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecondPublisher {
    /// It is refused.
    #[default]
    Reject,
    /// It replaces the first, whose next write fails.
    TakeOver,
    /// It is accepted and waits; when the first is lost or finishes, it continues the stream at its next keyframe.
    StandBy,
}

/// Where a reader joins a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the newest keyframe.
    #[default]
    Live,
    /// At the newest keyframe that lies at least this far behind the newest packet, or else at the oldest keyframe;
    /// where there is no video, at the first frame that lies no further behind.
    Behind(Duration),
    /// At the keyframe with this presentation time, or the nearest before it, to the millisecond; if all are later, at
    /// the newest.
    AtPts(Time),
}

/// How a reader joins and what it wants.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOptions {
    /// Where to join.
    pub start: Start,
    /// Begin with the keyframe and leave out audio that would be heard before it is seen.
    pub video_first: bool,
    /// How fast the backlog is delivered, as a multiple of the media rate (1.0 and above); `None` does not hold it back.
    pub pace: Option<f32>,
    /// How much media after the keyframe is delivered at once, before `pace` applies.
    pub burst: Duration,
    /// Whether audio tracks are wanted.
    pub audio: bool,
    /// Whether video tracks are wanted. Without them a reader starts at the newest audio.
    pub video: bool,
    /// How long to wait for a stream that nobody publishes.
    pub wait_max: Duration,
    /// How far it may fall behind before it skips; `None` is [`Config::lag_max`].
    pub lag_max: Option<Duration>,
    /// It is no viewer but passes the stream on (a relay, a recorder): it does not make the stream wanted.
    pub passive: bool,
    /// The thread that polls this reader, `0..Config::shards`; taken modulo that number.
    pub shard: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            start: Start::Live,
            video_first: true,
            pace: Some(2.0),
            burst: Duration::from_millis(500),
            audio: true,
            video: true,
            wait_max: Duration::from_secs(15),
            lag_max: None,
            passive: false,
            shard: 0,
        }
    }
}

/// How much one [`Reader::poll_next`](crate::Reader::poll_next) may return. One packet is always allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// The most packets.
    pub packets_max: usize,
    /// The most payload bytes.
    pub bytes_max: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { packets_max: 64, bytes_max: 256 << 10 }
    }
}
