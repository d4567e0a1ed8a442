//! The message that carries keys (draft section 3.2.2).

use bytes::{BufMut, Bytes, BytesMut};
use wire::Reader;

use super::KeyLength;
use crate::Error;

/// Version 1, type "keying material", and a signature that spells a vendor.
const HEAD: [u8; 3] = [0x12, 0x20, 0x29];
const CIPHER_CTR: u8 = 2;
const ENCAPSULATION_SRT: u8 = 2;
const SALT_BYTES: usize = 16;
/// What the wrapping of keys adds to them (RFC 3394).
const WRAP_BYTES: usize = 8;

/// Keys, wrapped with one that is made from the passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMaterial {
    /// Whether the even key is there.
    pub even: bool,
    /// Whether the odd key is there.
    pub odd: bool,
    /// Length of each key.
    pub key_length: KeyLength,
    /// Both for the key that wraps and for the counters of the cipher.
    pub salt: [u8; SALT_BYTES],
    /// The even key if it is there, then the odd one, wrapped.
    pub wrapped: Bytes,
}

/// What is wrong with keys, as an answer says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// One end wants encryption and the other has no passphrase.
    NoSecret,
    /// The passphrases differ.
    BadSecret,
    /// The cipher is not offered.
    BadCipher,
}

impl KeyRefusal {
    /// Reads an answer of four bytes.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        match *body {
            [0, 0, 0, 0 | 3] => Some(Self::NoSecret),
            [0, 0, 0, 4] => Some(Self::BadSecret),
            [0, 0, 0, 5] => Some(Self::BadCipher),
            _ => None,
        }
    }

    pub(crate) fn write(self) -> Bytes {
        Bytes::from_static(match self {
            Self::NoSecret => &[0, 0, 0, 3],
            Self::BadSecret => &[0, 0, 0, 4],
            Self::BadCipher => &[0, 0, 0, 5],
        })
    }
}

impl KeyMaterial {
    /// Reads the message. Its length has to be exactly what its fields say.
    ///
    /// # Errors
    ///
    /// `Malformed` where it makes no sense, `Unsupported` for another cipher than AES in counter mode.
    pub fn read(body: &Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        if reader.array()? != HEAD {
            return Err(Error::Malformed("a message of keys begins otherwise"));
        }
        let flags = reader.u8()?;
        let (even, odd) = (flags & 1 != 0, flags & 2 != 0);
        if !(even || odd) {
            return Err(Error::Malformed("a message of keys has none"));
        }
        let index = reader.u32()?;
        let [cipher, authentication, encapsulation] = reader.array()?;
        if index != 0 || cipher != CIPHER_CTR || authentication != 0 || encapsulation != ENCAPSULATION_SRT {
            return Err(Error::Unsupported("the cipher is not AES in counter mode"));
        }
        reader.take(3)?;
        let [salt_words, key_words] = reader.array()?;
        let key_length =
            KeyLength::from_words(key_words).ok_or(Error::Malformed("a key has an unknown length"))?;
        if usize::from(salt_words) * 4 != SALT_BYTES {
            return Err(Error::Malformed("a salt has an unknown length"));
        }
        let salt = reader.array()?;
        let keys = usize::from(even) + usize::from(odd);
        if reader.remaining() != keys * key_length.bytes() + WRAP_BYTES {
            return Err(Error::Malformed("wrapped keys have another length"));
        }
        let wrapped = body.slice(reader.position()..);
        Ok(Self { even, odd, key_length, salt, wrapped })
    }

    /// The message.
    pub fn write(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(32 + self.wrapped.len());
        out.put_slice(&HEAD);
        out.put_u8(u8::from(self.even) | u8::from(self.odd) << 1);
        out.put_u32(0);
        out.put_slice(&[CIPHER_CTR, 0, ENCAPSULATION_SRT, 0, 0, 0]);
        out.put_u8((SALT_BYTES / 4) as u8);
        out.put_u8((self.key_length.bytes() / 4) as u8);
        out.put_slice(&self.salt);
        out.put_slice(&self.wrapped);
        out.freeze()
    }
}
