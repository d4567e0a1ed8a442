//! Messages: what chunks carry.

use bytes::Bytes;

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The message stream: 0 is the connection, others come from `createStream`.
    pub stream_id: u32,
    /// The type: 8 audio, 9 video, 15 data in AMF3, 18 data in AMF0. Sessions keep all other types to themselves.
    pub kind: u8,
    /// Milliseconds on the sender's clock, modulo 2^32.
    pub timestamp: u32,
    /// The body.
    pub payload: Bytes,
}
