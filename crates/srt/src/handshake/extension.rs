//! What handshakes carry behind their fixed fields.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use wire::Reader;

use crate::{Error, limits};

/// One extension of a handshake.
#[derive(Debug, Clone, PartialEq)]
pub enum Extension {
    /// What the initiator can do and wants.
    HelloRequest(Hello),
    /// What the responder can do, and what they agree upon.
    HelloResponse(Hello),
    /// The keys of the initiator; [`crate::crypto::KeyMaterial`] reads them.
    KeyRequest(Bytes),
    /// The same bytes, or four that say what is wrong.
    KeyResponse(Bytes),
    /// The stream id.
    StreamId(String),
    /// The name of the congestion control: `live` or `file`.
    Congestion(String),
    /// The configuration of a packet filter.
    Filter(String),
    /// The group that the connection is part of.
    Group(Group),
    /// Something of a kind that is unknown here.
    Unknown(u16, Bytes),
}

/// What an end can do (draft section 3.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// `0x010504` is 1.5.4.
    pub version: u32,
    /// Constants of this type.
    pub flags: u32,
    /// How long data waits at the end that says this, in milliseconds.
    pub receive_ms: u16,
    /// How long data should wait at the other end, in milliseconds.
    pub send_ms: u16,
}

impl Hello {
    /// Data is sent with the time at which it was given.
    pub const TIMED_SEND: u32 = 1;
    /// Data is delivered by that time.
    pub const TIMED_RECEIVE: u32 = 1 << 1;
    /// Encryption is understood.
    pub const CRYPT: u32 = 1 << 2;
    /// What is too late is dropped.
    pub const TOO_LATE_DROP: u32 = 1 << 3;
    /// Losses are reported again and again.
    pub const PERIODIC_NAK: u32 = 1 << 4;
    /// Packets say whether they were sent before.
    pub const REXMIT_FLAG: u32 = 1 << 5;
    /// A stream of bytes instead of messages.
    pub const STREAM: u32 = 1 << 6;
    /// Packet filters are understood.
    pub const FILTER: u32 = 1 << 7;

    /// Our own: packets may come in several copies at once. Other programs ignore flags that they do not know, and some of them
    /// refuse extensions that they do not know, so a flag is what says it.
    pub const ESCALATION: u32 = 1 << 24;

    /// What this crate can do, and every peer understands.
    pub const OURS: u32 = Self::TIMED_SEND
        | Self::TIMED_RECEIVE
        | Self::CRYPT
        | Self::TOO_LATE_DROP
        | Self::PERIODIC_NAK
        | Self::REXMIT_FLAG;

    /// The version that this crate says it is: with the behaviour of libsrt 1.5.4.
    pub const VERSION: u32 = 0x0001_0504;

    /// Our flags.
    pub(crate) fn flags(escalation: bool) -> u32 {
        Self::OURS | if escalation { Self::ESCALATION } else { 0 }
    }

    /// Milliseconds of a latency.
    pub(crate) fn ms(latency: Duration) -> u16 {
        u16::try_from(latency.as_millis()).unwrap_or(u16::MAX)
    }
}

/// How the connections of a group share data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// All carry everything.
    Broadcast,
    /// One carries everything, another takes over.
    Backup,
    /// A kind that is not offered.
    Other(u8),
}

/// The group that a connection is part of (draft section 3.2.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The socket id of the group.
    pub id: u32,
    /// Its kind.
    pub kind: GroupKind,
    /// Flags; none is in use.
    pub flags: u8,
    /// Rank of the connection in a backup group; the highest carries data.
    pub weight: u16,
}

const HELLO_REQUEST: u16 = 1;
const HELLO_RESPONSE: u16 = 2;
const KEY_REQUEST: u16 = 3;
const KEY_RESPONSE: u16 = 4;
const STREAM_ID: u16 = 5;
const CONGESTION: u16 = 6;
const FILTER: u16 = 7;
const GROUP: u16 = 8;

pub(super) fn read_all(bytes: Bytes) -> Result<Vec<Extension>, Error> {
    let mut reader = Reader::new(&bytes);
    let mut extensions: Vec<Extension> = Vec::new();
    while !reader.is_empty() {
        let kind = reader.u16()?;
        let length = usize::from(reader.u16()?) * 4;
        let start = reader.position();
        reader.take(length)?;
        let extension = read(kind, bytes.slice(start..start + length))?;
        if extensions.len() >= limits::EXTENSIONS_MAX {
            return Err(Error::Violation("a handshake has too many extensions"));
        }
        if extensions.iter().any(|other| other.kind() == kind) {
            return Err(Error::Violation("a handshake has the same extension twice"));
        }
        extensions.push(extension);
    }
    Ok(extensions)
}

fn read(kind: u16, body: Bytes) -> Result<Extension, Error> {
    let mut reader = Reader::new(&body);
    let mut hello = || -> Result<Hello, Error> {
        Ok(Hello {
            version: reader.u32()?,
            flags: reader.u32()?,
            receive_ms: reader.u16()?,
            send_ms: reader.u16()?,
        })
    };
    Ok(match kind {
        HELLO_REQUEST => Extension::HelloRequest(hello()?),
        HELLO_RESPONSE => Extension::HelloResponse(hello()?),
        KEY_REQUEST => Extension::KeyRequest(body),
        KEY_RESPONSE => Extension::KeyResponse(body),
        STREAM_ID => Extension::StreamId(read_text(&body, limits::STREAM_ID_BYTES_MAX)?),
        CONGESTION => Extension::Congestion(read_text(&body, limits::STREAM_ID_BYTES_MAX)?),
        FILTER => Extension::Filter(read_text(&body, limits::STREAM_ID_BYTES_MAX)?),
        GROUP => {
            let mut reader = Reader::new(&body);
            Extension::Group(Group {
                id: reader.u32()?,
                kind: match reader.u8()? {
                    1 => GroupKind::Broadcast,
                    2 => GroupKind::Backup,
                    other => GroupKind::Other(other),
                },
                flags: reader.u8()?,
                weight: reader.u16()?,
            })
        }
        _ => Extension::Unknown(kind, body),
    })
}

/// Text is stored in words that begin with their last byte, filled up with zeros.
fn read_text(body: &[u8], bytes_max: usize) -> Result<String, Error> {
    if body.len() > bytes_max {
        return Err(Error::Violation("a text of a handshake is too long"));
    }
    let mut text = body.to_vec();
    text.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    while text.last() == Some(&0) {
        text.pop();
    }
    String::from_utf8(text).map_err(|_| Error::Malformed("a text of a handshake is not UTF-8"))
}

fn put_text(out: &mut BytesMut, text: &str) {
    for word in text.as_bytes().chunks(4) {
        let mut bytes = [0; 4];
        bytes[..word.len()].copy_from_slice(word);
        bytes.reverse();
        out.put_slice(&bytes);
    }
}

impl Extension {
    fn kind(&self) -> u16 {
        match self {
            Self::HelloRequest(_) => HELLO_REQUEST,
            Self::HelloResponse(_) => HELLO_RESPONSE,
            Self::KeyRequest(_) => KEY_REQUEST,
            Self::KeyResponse(_) => KEY_RESPONSE,
            Self::StreamId(_) => STREAM_ID,
            Self::Congestion(_) => CONGESTION,
            Self::Filter(_) => FILTER,
            Self::Group(_) => GROUP,
            Self::Unknown(kind, _) => *kind,
        }
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        let mut body = BytesMut::new();
        match self {
            Self::HelloRequest(hello) | Self::HelloResponse(hello) => {
                body.put_u32(hello.version);
                body.put_u32(hello.flags);
                body.put_u16(hello.receive_ms);
                body.put_u16(hello.send_ms);
            }
            Self::KeyRequest(bytes) | Self::KeyResponse(bytes) | Self::Unknown(_, bytes) => {
                body.put_slice(bytes)
            }
            Self::StreamId(text) | Self::Congestion(text) | Self::Filter(text) => put_text(&mut body, text),
            Self::Group(group) => {
                body.put_u32(group.id);
                body.put_u8(match group.kind {
                    GroupKind::Broadcast => 1,
                    GroupKind::Backup => 2,
                    GroupKind::Other(other) => other,
                });
                body.put_u8(group.flags);
                body.put_u16(group.weight);
            }
        }
        out.put_u16(self.kind());
        out.put_u16((body.len() / 4) as u16);
        out.put_slice(&body);
    }
}
