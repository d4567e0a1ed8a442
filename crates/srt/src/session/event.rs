//! What a session tells its program.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::Reject;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The connection is there; data may be sent.
    Established(Established),
    /// The peer sent something, and its time has come.
    Data(Received),
    /// The connection is over. Nothing follows.
    Closed(Reason),
}

/// What both ends agreed upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Established {
    /// How long what we receive waits.
    pub receive_latency: Duration,
    /// How long what we send waits at the peer.
    pub send_latency: Duration,
    /// Version of the peer: `0x010504` is 1.5.4.
    pub peer_version: u32,
    /// Whether payloads are encrypted.
    pub encrypted: bool,
    /// Bytes of the largest payload that can be sent.
    pub payload_bytes_max: usize,
}

/// A payload that was received, as one datagram brought it.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// What the peer's program gave.
    pub payload: Bytes,
    /// When the peer's program gave it, by our clock; late by the delay of the path.
    pub sent_at: Instant,
    /// Packets that were lost for good, or could not be decrypted, between the one before and this.
    pub missing_before: u64,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Our program closed it.
    Local,
    /// The peer closed it, and what it had sent before has been delivered.
    Peer,
    /// The peer did not accept it, or we do not accept what the peer answered.
    Rejected(Reject),
    /// Nothing was heard of the peer for too long.
    Timeout,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("closed here"),
            Self::Peer => f.write_str("closed by the peer"),
            Self::Rejected(reject) => write!(f, "rejected: {reject}"),
            Self::Timeout => f.write_str("nothing was heard of the peer"),
        }
    }
}
