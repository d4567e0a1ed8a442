//! Handshakes (draft section 3.2.1).

mod extension;
#[cfg(test)]
pub(crate) mod tests;

use std::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};
use wire::Reader;

use crate::{Error, Reject, Sequence};

pub use extension::{Extension, Group, GroupKind, Hello};

/// Bytes of a handshake without extensions.
pub const BYTES: usize = 48;

/// What a listener puts into the extension field of its first answer, so that a caller knows SRT from UDT.
pub(crate) const MAGIC: u16 = 0x4a17;

/// The version of a first request, for the sake of UDT.
pub(crate) const VERSION_FIRST: u32 = 4;
/// The version of everything else.
pub(crate) const VERSION: u32 = 5;

/// The extension field of a first request: UDT's word for datagrams.
pub(crate) const INDUCTION_FIELD: u16 = 2;

const HAS_HELLO: u16 = 1;
const HAS_KEYS: u16 = 2;
const HAS_CONFIG: u16 = 4;

/// Steps of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first of a caller, and its answer with a cookie.
    Induction,
    /// The first of both ends of a rendezvous.
    Wave,
    /// The second of a caller with all it wants, and its answer.
    Conclusion,
    /// The last of a rendezvous.
    Agreement,
    /// Defined, and never sent.
    Done,
    /// A refusal.
    Rejection(Reject),
}

/// A handshake packet.
#[derive(Debug, Clone, PartialEq)]
pub struct Handshake {
    /// 4 in the first request of a caller, 5 otherwise.
    pub version: u32,
    /// Length of the key in 8 bytes, 0 if none is advertised.
    pub encryption: u16,
    /// Which extensions follow, or a magic number; set by [`Handshake::write`] where there are extensions.
    pub field: u16,
    /// The number of the first data packet that the sender of this handshake will send.
    pub initial: Sequence,
    /// Bytes of the largest IP packet.
    pub mtu: u32,
    /// Packets on their way at most.
    pub flow_window: u32,
    /// The step.
    pub kind: Kind,
    /// The socket id of the sender of this handshake.
    pub socket_id: u32,
    /// The cookie of a listener, or of the sender in a rendezvous.
    pub cookie: u32,
    /// The address to which it is sent, in the order of bytes that libsrt gives it. Nobody looks at it.
    pub peer_address: [u8; 16],
    /// What else it says; only conclusions have some.
    pub extensions: Vec<Extension>,
}

impl Handshake {
    /// Reads what a handshake packet holds.
    ///
    /// # Errors
    ///
    /// `Malformed` if a field is missing or means nothing; `Violation` for more extensions than there are kinds, or the same
    /// twice.
    pub fn read(body: &Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let version = reader.u32()?;
        let (encryption, field) = (reader.u16()?, reader.u16()?);
        let initial = reader.u32()?;
        if initial > 0x7fff_ffff {
            return Err(Error::Malformed("the first sequence number of a handshake has 32 bits"));
        }
        let (mtu, flow_window) = (reader.u32()?, reader.u32()?);
        let kind = match reader.u32()? {
            0 => Kind::Wave,
            1 => Kind::Induction,
            0xffff_ffff => Kind::Conclusion,
            0xffff_fffe => Kind::Agreement,
            0xffff_fffd => Kind::Done,
            other => match Reject::from_handshake_type(other) {
                Some(reject) => Kind::Rejection(reject),
                None => return Err(Error::Malformed("the step of a handshake is unknown")),
            },
        };
        let (socket_id, cookie) = (reader.u32()?, reader.u32()?);
        let peer_address = reader.array()?;
        let mut extensions = Vec::new();
        if kind == Kind::Conclusion && version >= VERSION && field & (HAS_HELLO | HAS_KEYS | HAS_CONFIG) != 0
        {
            extensions = extension::read_all(body.slice(reader.position()..))?;
        }
        Ok(Self {
            version,
            encryption,
            field,
            initial: Sequence::new(initial),
            mtu,
            flow_window,
            kind,
            socket_id,
            cookie,
            peer_address,
            extensions,
        })
    }

    /// What a handshake packet holds.
    pub fn write(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(BYTES + 128);
        let mut field = self.field;
        for extension in &self.extensions {
            field |= match extension {
                Extension::HelloRequest(_) | Extension::HelloResponse(_) => HAS_HELLO,
                Extension::KeyRequest(_) | Extension::KeyResponse(_) => HAS_KEYS,
                _ => HAS_CONFIG,
            };
        }
        out.put_u32(self.version);
        out.put_u16(self.encryption);
        out.put_u16(field);
        out.put_u32(self.initial.get());
        out.put_u32(self.mtu);
        out.put_u32(self.flow_window);
        out.put_u32(match self.kind {
            Kind::Wave => 0,
            Kind::Induction => 1,
            Kind::Conclusion => 0xffff_ffff,
            Kind::Agreement => 0xffff_fffe,
            Kind::Done => 0xffff_fffd,
            Kind::Rejection(reject) => reject.handshake_type(),
        });
        out.put_u32(self.socket_id);
        out.put_u32(self.cookie);
        out.put_slice(&self.peer_address);
        self.extensions.iter().for_each(|extension| extension.write(&mut out));
        out.freeze()
    }

    /// The bytes of `address` in the field for it.
    pub(crate) fn address(address: IpAddr) -> [u8; 16] {
        let mut out = [0; 16];
        match address {
            IpAddr::V4(address) => out[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => out.copy_from_slice(&address.octets()),
        }
        // Words are written from their last byte.
        out.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        out
    }

    pub(crate) fn hello_request(&self) -> Option<Hello> {
        self.extensions.iter().find_map(|extension| match extension {
            Extension::HelloRequest(hello) => Some(*hello),
            _ => None,
        })
    }

    pub(crate) fn hello_response(&self) -> Option<Hello> {
        self.extensions.iter().find_map(|extension| match extension {
            Extension::HelloResponse(hello) => Some(*hello),
            _ => None,
        })
    }

    pub(crate) fn key_request(&self) -> Option<&Bytes> {
        self.extensions.iter().find_map(|extension| match extension {
            Extension::KeyRequest(body) => Some(body),
            _ => None,
        })
    }

    pub(crate) fn key_response(&self) -> Option<&Bytes> {
        self.extensions.iter().find_map(|extension| match extension {
            Extension::KeyResponse(body) => Some(body),
            _ => None,
        })
    }
}
