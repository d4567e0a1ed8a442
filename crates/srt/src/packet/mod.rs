//! What a datagram holds: one data packet or one control packet (draft section 3).

mod control;
mod loss;
#[cfg(test)]
pub(crate) mod tests;

use bytes::{BufMut, Bytes, BytesMut};
use wire::Reader;

use crate::{Error, Sequence};

pub use control::{Acknowledgement, Control, Measured};
pub use loss::{LossReport, Range};

/// Bytes of the header of each packet.
pub const HEADER_BYTES: usize = 16;

const CONTROL: u32 = 1 << 31;

/// The content of a datagram.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// Microseconds since the sender's start, modulo 2^32: of data packets when they were given to the sender.
    pub timestamp: u32,
    /// The socket id of the receiver; 0 is whoever takes connections.
    pub destination: u32,
    /// What it holds.
    pub content: Content,
}

/// What a packet holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A piece of the stream.
    Data(Data),
    /// Something about the connection.
    Control(Control),
}

/// A data packet (draft section 3.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// Its number.
    pub sequence: Sequence,
    /// Which part of a message it is.
    pub position: Position,
    /// Whether messages have to be delivered in order.
    pub in_order: bool,
    /// With which key the payload is encrypted.
    pub key: Option<Parity>,
    /// Whether it was sent before.
    pub retransmitted: bool,
    /// The message that it is part of: 26 bits.
    pub message: u32,
    /// What the application gave, encrypted if `key` says so.
    pub payload: Bytes,
}

/// Which part of a message a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Neither the first nor the last.
    Middle,
    /// The last of several.
    Last,
    /// The first of several.
    First,
    /// All of it.
    Only,
}

/// The two keys of which one is in use while the other is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parity {
    /// Bits `01`.
    Even,
    /// Bits `10`.
    Odd,
}

impl Parity {
    /// The other of the two.
    pub fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }
}

/// Message numbers have 26 bits.
pub(crate) const MESSAGE_MASK: u32 = 0x03ff_ffff;

/// The socket id to which a datagram goes, without reading the rest: 0 is for who takes connections. `None` if it is too short to
/// be of SRT.
pub fn destination(datagram: &[u8]) -> Option<u32> {
    datagram.get(12..HEADER_BYTES).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes)
}

impl Packet {
    /// Reads a datagram; payloads are slices of it.
    ///
    /// # Errors
    ///
    /// `Malformed` if a field is missing or has a value that means nothing.
    pub fn read(datagram: &Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(datagram);
        let (first, second) = (reader.u32()?, reader.u32()?);
        let (timestamp, destination) = (reader.u32()?, reader.u32()?);
        let body = datagram.slice(HEADER_BYTES..);
        let content = if first & CONTROL == 0 {
            Content::Data(Data {
                sequence: Sequence::new(first),
                position: match second >> 30 {
                    0 => Position::Middle,
                    1 => Position::Last,
                    2 => Position::First,
                    _ => Position::Only,
                },
                in_order: second & 1 << 29 != 0,
                key: match second >> 27 & 3 {
                    0 => None,
                    1 => Some(Parity::Even),
                    2 => Some(Parity::Odd),
                    _ => return Err(Error::Malformed("a data packet has two keys")),
                },
                retransmitted: second & 1 << 26 != 0,
                message: second & MESSAGE_MASK,
                payload: body,
            })
        } else {
            Content::Control(Control::read((first >> 16 & 0x7fff) as u16, first as u16, second, body)?)
        };
        Ok(Self { timestamp, destination, content })
    }

    /// The datagram.
    pub fn write(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_BYTES + 64);
        match &self.content {
            Content::Data(data) => {
                out.reserve(data.payload.len());
                out.put_u32(data.sequence.get());
                let position = match data.position {
                    Position::Middle => 0,
                    Position::Last => 1,
                    Position::First => 2,
                    Position::Only => 3,
                };
                let key = match data.key {
                    None => 0,
                    Some(Parity::Even) => 1,
                    Some(Parity::Odd) => 2,
                };
                out.put_u32(
                    position << 30
                        | u32::from(data.in_order) << 29
                        | key << 27
                        | u32::from(data.retransmitted) << 26
                        | data.message & MESSAGE_MASK,
                );
                out.put_u32(self.timestamp);
                out.put_u32(self.destination);
                out.put_slice(&data.payload);
            }
            Content::Control(control) => {
                let (kind, subtype, information) = control.head();
                out.put_u32(CONTROL | u32::from(kind) << 16 | u32::from(subtype));
                out.put_u32(information);
                out.put_u32(self.timestamp);
                out.put_u32(self.destination);
                control.write_body(&mut out);
            }
        }
        out.freeze()
    }
}
