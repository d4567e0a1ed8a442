//! Control packets (draft section 3.2).

use bytes::{BufMut, Bytes, BytesMut};
use wire::Reader;

use super::LossReport;
use crate::{Error, Sequence};

const HANDSHAKE: u16 = 0;
const KEEP_ALIVE: u16 = 1;
const ACKNOWLEDGEMENT: u16 = 2;
const LOSS_REPORT: u16 = 3;
const CONGESTION: u16 = 4;
const SHUTDOWN: u16 = 5;
const ANSWER: u16 = 6;
const DROP: u16 = 7;
const PEER_ERROR: u16 = 8;
const USER: u16 = 0x7fff;
const KEY_REQUEST: u16 = 3;
const KEY_RESPONSE: u16 = 4;

/// A control packet.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// A handshake; [`crate::Handshake`] reads it.
    Handshake(Bytes),
    /// A sign of life.
    KeepAlive,
    /// What arrived.
    Acknowledgement(Acknowledgement),
    /// What did not arrive.
    LossReport(LossReport),
    /// A warning that nobody sends and that has no defined answer.
    Congestion,
    /// The end of the connection.
    Shutdown,
    /// The answer to an acknowledgement with this number.
    Answer(u32),
    /// Packets that will not be sent again.
    Drop {
        /// The message that they are, 0 if it is not known any more.
        message: u32,
        /// The first packet.
        first: Sequence,
        /// The last packet.
        last: Sequence,
    },
    /// A failure at the receiver; 4000 is its file system.
    PeerError(u32),
    /// New keys, on a connection that is established; [`crate::crypto::KeyMaterial`] reads it.
    KeyRequest(Bytes),
    /// The answer to new keys: the same bytes, or four that say what is wrong.
    KeyResponse(Bytes),
    /// Something of a kind that is unknown here.
    Unknown {
        /// Its type.
        kind: u16,
        /// Its subtype.
        subtype: u16,
        /// The field that types use as they like.
        information: u32,
        /// The rest.
        body: Bytes,
    },
}

/// An acknowledgement (draft section 3.2.4). Light ones have only `next`, and number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Its own number, which the answer repeats; 0 asks for no answer.
    pub number: u32,
    /// The first packet that did not arrive yet.
    pub next: Sequence,
    /// What the receiver measured.
    pub measured: Option<Measured>,
}

/// What a receiver measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// Round trip, in microseconds.
    pub rtt_us: u32,
    /// How much it varies, in microseconds.
    pub rtt_variance_us: u32,
    /// Packets for which the receiver has room.
    pub room_packets: u32,
    /// Packets that arrive each second; 0 if unknown.
    pub packets_per_second: u32,
    /// Packets each second that the path could carry; 0 if unknown.
    pub capacity_packets_per_second: u32,
    /// Bytes that arrive each second; 0 if unknown.
    pub bytes_per_second: u32,
}

impl Acknowledgement {
    fn read(number: u32, body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let next = Sequence::new(reader.u32()?);
        if reader.is_empty() {
            return Ok(Self { number, next, measured: None });
        }
        let (rtt_us, rtt_variance_us, room_packets) = (reader.u32()?, reader.u32()?, reader.u32()?);
        // Older receivers leave out what follows, so what is missing is unknown.
        let mut optional = || reader.u32().unwrap_or(0);
        let measured = Measured {
            rtt_us,
            rtt_variance_us,
            room_packets,
            packets_per_second: optional(),
            capacity_packets_per_second: optional(),
            bytes_per_second: optional(),
        };
        Ok(Self { number, next, measured: Some(measured) })
    }
}

impl Control {
    pub(super) fn read(kind: u16, subtype: u16, information: u32, body: Bytes) -> Result<Self, Error> {
        Ok(match (kind, subtype) {
            (HANDSHAKE, _) => Self::Handshake(body),
            // Some of these have no body by the draft and four bytes of padding by libsrt: nobody looks at it.
            (KEEP_ALIVE, _) => Self::KeepAlive,
            (SHUTDOWN, _) => Self::Shutdown,
            (ANSWER, _) => Self::Answer(information),
            (CONGESTION, _) => Self::Congestion,
            (PEER_ERROR, _) => Self::PeerError(information),
            (ACKNOWLEDGEMENT, _) => Self::Acknowledgement(Acknowledgement::read(information, &body)?),
            (LOSS_REPORT, _) => Self::LossReport(LossReport::read(&body)?),
            (DROP, _) => {
                let mut reader = Reader::new(&body);
                let (first, last) = (Sequence::new(reader.u32()?), Sequence::new(reader.u32()?));
                if last.distance_from(first) < 0 {
                    return Err(Error::Malformed("a drop request ends before it begins"));
                }
                Self::Drop { message: information, first, last }
            }
            (USER, KEY_REQUEST) => Self::KeyRequest(body),
            (USER, KEY_RESPONSE) => Self::KeyResponse(body),
            _ => Self::Unknown { kind, subtype, information, body },
        })
    }

    /// Type, subtype and the field that types use as they like.
    pub(super) fn head(&self) -> (u16, u16, u32) {
        match self {
            Self::Handshake(_) => (HANDSHAKE, 0, 0),
            Self::KeepAlive => (KEEP_ALIVE, 0, 0),
            Self::Acknowledgement(acknowledgement) => (ACKNOWLEDGEMENT, 0, acknowledgement.number),
            Self::LossReport(_) => (LOSS_REPORT, 0, 0),
            Self::Congestion => (CONGESTION, 0, 0),
            Self::Shutdown => (SHUTDOWN, 0, 0),
            Self::Answer(number) => (ANSWER, 0, *number),
            Self::Drop { message, .. } => (DROP, 0, *message),
            Self::PeerError(code) => (PEER_ERROR, 0, *code),
            Self::KeyRequest(_) => (USER, KEY_REQUEST, 0),
            Self::KeyResponse(_) => (USER, KEY_RESPONSE, 0),
            Self::Unknown { kind, subtype, information, .. } => (*kind & 0x7fff, *subtype, *information),
        }
    }

    pub(super) fn write_body(&self, out: &mut BytesMut) {
        match self {
            Self::Handshake(body)
            | Self::KeyRequest(body)
            | Self::KeyResponse(body)
            | Self::Unknown { body, .. } => {
                out.put_slice(body);
            }
            // libsrt sends these with four bytes of padding and, in some versions, does not take them without.
            Self::KeepAlive | Self::Shutdown | Self::Answer(_) | Self::Congestion | Self::PeerError(_) => {
                out.put_u32(0);
            }
            Self::Acknowledgement(acknowledgement) => {
                out.put_u32(acknowledgement.next.get());
                if let Some(measured) = &acknowledgement.measured {
                    out.put_u32(measured.rtt_us);
                    out.put_u32(measured.rtt_variance_us);
                    out.put_u32(measured.room_packets);
                    out.put_u32(measured.packets_per_second);
                    out.put_u32(measured.capacity_packets_per_second);
                    out.put_u32(measured.bytes_per_second);
                }
            }
            Self::LossReport(report) => report.write(out),
            Self::Drop { first, last, .. } => {
                out.put_u32(first.get());
                out.put_u32(last.get());
            }
        }
    }
}
