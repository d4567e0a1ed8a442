//! Settings of a server session.

use std::sync::Arc;
use std::time::Duration;

use crate::{Swf, limits};

/// Settings of a server session; the default suits the public internet.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes of payload per chunk that we send. ffmpeg mirrors it for its own sending, so a large one also makes
    /// its publishing cheaper. 1 ..= 0x7fff_ffff.
    pub out_chunk_size: u32,
    /// The window for acknowledgements that we announce to the peer, in bytes. Missing acknowledgements are never
    /// held against the peer.
    pub window_ack_size: u32,
    /// How long a peer may take to finish the handshake and send `connect`.
    pub handshake_timeout: Duration,
    /// A peer that was silent for this long gets a ping; players say nothing after `play` otherwise.
    pub ping_interval: Duration,
    /// The largest message accepted from a publisher, in bytes.
    pub message_bytes_max: u32,
    /// The SWF files that may play; empty lets everybody. Players are asked before the driver hears of their first
    /// playback; those who do not know one of the files are refused it.
    pub swf: Arc<[Swf]>,
    /// Whether messages of shared objects become events; otherwise they are passed over.
    pub shared_objects: bool,
    /// Streams (createStream) that may exist on one connection at once.
    pub streams_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            out_chunk_size: limits::OUT_CHUNK_SIZE_DEFAULT,
            window_ack_size: limits::WINDOW_ACK_SIZE_DEFAULT,
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            ping_interval: limits::PING_INTERVAL,
            message_bytes_max: limits::MESSAGE_BYTES_MAX,
            swf: Arc::default(),
            shared_objects: false,
            streams_max: limits::STREAMS_MAX,
        }
    }
}
