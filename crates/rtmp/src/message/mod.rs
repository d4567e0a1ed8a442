//! Messages: what chunks carry (`RTMP` sections 5.4, 6 and 7.1).

mod aggregate;
mod control;
mod data;

use bytes::Bytes;

pub use aggregate::{Parts, parts_of_aggregate};
pub use control::{Bandwidth, Control, UserControl};

/// Protocol control: the sender's new chunk size.
pub const SET_CHUNK_SIZE: u8 = 1;
/// Protocol control: drops an unfinished message.
pub const ABORT: u8 = 2;
/// Protocol control: bytes received so far.
pub const ACKNOWLEDGEMENT: u8 = 3;
/// User control: stream begin, buffer length, ping and others.
pub const USER_CONTROL: u8 = 4;
/// Protocol control: how many bytes to send between acknowledgements.
pub const WINDOW_ACK_SIZE: u8 = 5;
/// Protocol control: a bound on what the peer sends without acknowledgement.
pub const SET_PEER_BANDWIDTH: u8 = 6;
/// One audio packet in FLV form.
pub const AUDIO: u8 = 8;
/// One video packet in FLV form.
pub const VIDEO: u8 = 9;
/// Metadata in AMF3.
pub const DATA_AMF3: u8 = 15;
/// A shared object in AMF3.
pub const SHARED_OBJECT_AMF3: u8 = 16;
/// A command in AMF3.
pub const COMMAND_AMF3: u8 = 17;
/// Metadata in AMF0.
pub const DATA: u8 = 18;
/// A shared object in AMF0.
pub const SHARED_OBJECT: u8 = 19;
/// A command in AMF0.
pub const COMMAND: u8 = 20;
/// Several audio, video and data messages in one.
pub const AGGREGATE: u8 = 22;

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

#[cfg(test)]
mod tests;
