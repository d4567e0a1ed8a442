//! Control messages: types 1 to 6. They travel on chunk stream 2, message stream 0.

use bytes::{BufMut, BytesMut};
use wire::Reader;

use super::{ABORT, ACKNOWLEDGEMENT, SET_CHUNK_SIZE, SET_PEER_BANDWIDTH, USER_CONTROL, WINDOW_ACK_SIZE};
use crate::{Error, chunk, swf};

/// The chunk stream of control messages.
const CSID: u32 = 2;

/// The longest body that is written: user control 27.
const BODY_BYTES_MAX: usize = 2 + swf::ANSWER_BYTES;

/// A control message.
///
/// | type | body |
/// |---|---|
/// | 1 set chunk size | size(4), top bit zero |
/// | 2 abort | chunk stream id(4) |
/// | 3 acknowledgement | bytes received(4), modulo 2^32 |
/// | 4 user control | event(2), data |
/// | 5 window acknowledgement size | bytes(4) |
/// | 6 set peer bandwidth | bytes(4), 0 hard, 1 soft, 2 dynamic |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// The sender's chunks get this size.
    SetChunkSize(u32),
    /// The unfinished message of this chunk stream will not be finished.
    Abort(u32),
    /// Bytes received since the handshake, modulo 2^32.
    Acknowledgement(u32),
    /// An acknowledgement is wanted whenever so many bytes more have been received.
    WindowAckSize(u32),
    /// The peer is to send at most so many bytes without acknowledgement.
    SetPeerBandwidth(u32, Bandwidth),
    /// Type 4.
    User(UserControl),
}

/// What kind of bound a SetPeerBandwidth is (`RTMP` section 5.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bandwidth {
    /// This window.
    Hard,
    /// This window, or the one in force if that is smaller.
    Soft,
    /// Hard if the one before was hard, otherwise to be ignored.
    Dynamic,
}

/// A user control event (`RTMP` section 7.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserControl {
    /// 0: the stream can be used now.
    StreamBegin(u32),
    /// 1: the playback of the stream is over.
    StreamEof(u32),
    /// 2: no data for a while.
    StreamDry(u32),
    /// 3: how much the player buffers.
    SetBufferLength {
        /// The message stream.
        stream_id: u32,
        /// Milliseconds.
        ms: u32,
    },
    /// 4: the stream is a recording.
    StreamIsRecorded(u32),
    /// 6: asks for 7 with the same time.
    PingRequest(u32),
    /// 7: answers 6.
    PingResponse(u32),
    /// 26: asks a player for 27.
    SwfVerifyRequest,
    /// 27: proves that the player knows its SWF file.
    SwfVerifyResponse([u8; swf::ANSWER_BYTES]),
    /// Every other event; nothing needs to be done for them.
    Other(u16),
}

impl Control {
    /// Reads a message of type 1 to 6; `None` for other types. More bytes than needed are ignored.
    ///
    /// # Errors
    /// `Malformed` if the body is too short.
    pub fn read(kind: u8, payload: &[u8]) -> Result<Option<Self>, Error> {
        let mut reader = Reader::new(payload);
        Ok(Some(match kind {
            SET_CHUNK_SIZE => Self::SetChunkSize(reader.u32()?),
            ABORT => Self::Abort(reader.u32()?),
            ACKNOWLEDGEMENT => Self::Acknowledgement(reader.u32()?),
            WINDOW_ACK_SIZE => Self::WindowAckSize(reader.u32()?),
            SET_PEER_BANDWIDTH => {
                let bytes = reader.u32()?;
                // Some senders leave the last byte out.
                let bandwidth = match reader.u8().unwrap_or(2) {
                    0 => Bandwidth::Hard,
                    1 => Bandwidth::Soft,
                    _ => Bandwidth::Dynamic,
                };
                Self::SetPeerBandwidth(bytes, bandwidth)
            }
            USER_CONTROL => Self::User(match reader.u16()? {
                0 => UserControl::StreamBegin(reader.u32()?),
                1 => UserControl::StreamEof(reader.u32()?),
                2 => UserControl::StreamDry(reader.u32()?),
                3 => UserControl::SetBufferLength { stream_id: reader.u32()?, ms: reader.u32()? },
                4 => UserControl::StreamIsRecorded(reader.u32()?),
                6 => UserControl::PingRequest(reader.u32()?),
                7 => UserControl::PingResponse(reader.u32()?),
                // The type of verification, where there is one; nobody knows how to answer others.
                26 if reader.rest().first().is_none_or(|kind| *kind <= 1) => UserControl::SwfVerifyRequest,
                27 => UserControl::SwfVerifyResponse(reader.array()?),
                other => UserControl::Other(other),
            }),
            _ => return Ok(None),
        }))
    }

    /// Appends the message in chunks of at most `chunk_size`.
    pub fn write(&self, out: &mut BytesMut, chunk_size: u32) {
        let mut body = [0; BODY_BYTES_MAX];
        let mut rest = &mut body[..];
        let kind = match *self {
            Self::SetChunkSize(size) => {
                rest.put_u32(size);
                SET_CHUNK_SIZE
            }
            Self::Abort(csid) => {
                rest.put_u32(csid);
                ABORT
            }
            Self::Acknowledgement(bytes) => {
                rest.put_u32(bytes);
                ACKNOWLEDGEMENT
            }
            Self::WindowAckSize(bytes) => {
                rest.put_u32(bytes);
                WINDOW_ACK_SIZE
            }
            Self::SetPeerBandwidth(bytes, bandwidth) => {
                rest.put_u32(bytes);
                rest.put_u8(match bandwidth {
                    Bandwidth::Hard => 0,
                    Bandwidth::Soft => 1,
                    Bandwidth::Dynamic => 2,
                });
                SET_PEER_BANDWIDTH
            }
            Self::User(event) => {
                event.put(&mut rest);
                USER_CONTROL
            }
        };
        let length = BODY_BYTES_MAX - rest.len();
        chunk::write_message(out, chunk_size, CSID, 0, kind, 0, &[&body[..length]]);
    }
}

impl UserControl {
    fn put(self, out: &mut &mut [u8]) {
        let (event, number) = match self {
            Self::StreamBegin(id) => (0, Some(id)),
            Self::StreamEof(id) => (1, Some(id)),
            Self::StreamDry(id) => (2, Some(id)),
            Self::SetBufferLength { stream_id, .. } => (3, Some(stream_id)),
            Self::StreamIsRecorded(id) => (4, Some(id)),
            Self::PingRequest(time) => (6, Some(time)),
            Self::PingResponse(time) => (7, Some(time)),
            Self::SwfVerifyRequest => (26, None),
            Self::SwfVerifyResponse(_) => (27, None),
            Self::Other(event) => (event, None),
        };
        out.put_u16(event);
        if let Some(number) = number {
            out.put_u32(number);
        }
        if let Self::SetBufferLength { ms, .. } = self {
            out.put_u32(ms);
        }
        if let Self::SwfVerifyResponse(answer) = self {
            out.put_slice(&answer);
        }
    }
}
