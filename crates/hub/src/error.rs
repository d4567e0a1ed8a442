//! What can go wrong, and how a stream can end.

use media::Time;
use std::fmt;

/// Why a stream cannot be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishError {
    /// The name has a publisher, and no place for another.
    Busy,
    /// The origin is full.
    TooManyStreams,
}

/// Why a stream cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// The stream is full.
    TooManyReaders,
    /// The origin is full.
    TooManyStreams,
}

/// Why a packet was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// Another publisher has taken over; no later write succeeds.
    TakenOver,
    /// The packet is larger than [`Limits::packet_bytes_max`](crate::Limits::packet_bytes_max). Later ones may succeed.
    TooLarge,
    /// The packet opens more tracks than [`Limits::tracks_max`](crate::Limits::tracks_max). Those of other tracks succeed.
    TooManyTracks,
}

/// Why a reader cannot go to a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekError {
    /// It lies outside of what the log holds.
    Outside {
        /// The earliest time that can be gone to.
        first: Time,
        /// The time of the newest packet.
        last: Time,
        /// Which of the two is nearer to the wanted one.
        nearest: Time,
    },
    /// There is nothing that can be gone to: no keyframe yet, or the stream has ended.
    Nothing,
}

/// Why a reader has come to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The publisher said so.
    Finished,
    /// The publisher was lost, and no other came in time.
    PublisherLost,
    /// Nobody published while the reader waited.
    NoPublisher,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PublishError::Busy => "the stream already has a publisher",
            PublishError::TooManyStreams => "too many streams",
        })
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReadError::TooManyReaders => "the stream has too many readers",
            ReadError::TooManyStreams => "too many streams",
        })
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WriteError::TakenOver => "another publisher has taken over",
            WriteError::TooLarge => "the packet is too large",
            WriteError::TooManyTracks => "too many tracks",
        })
    }
}

impl SeekError {
    /// The time nearest to the wanted one that can be gone to.
    pub fn nearest(&self) -> Option<Time> {
        match self {
            SeekError::Outside { nearest, .. } => Some(*nearest),
            SeekError::Nothing => None,
        }
    }
}

impl fmt::Display for SeekError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SeekError::Outside { first, last, .. } => {
                write!(f, "the server holds {} to {} ms of the stream", first.millis(), last.millis())
            }
            SeekError::Nothing => f.write_str("the stream has nothing to go to"),
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EndReason::Finished => "the publisher finished",
            EndReason::PublisherLost => "the publisher was lost",
            EndReason::NoPublisher => "nobody publishes the stream",
        })
    }
}

impl std::error::Error for PublishError {}
impl std::error::Error for ReadError {}
impl std::error::Error for WriteError {}
impl std::error::Error for SeekError {}
