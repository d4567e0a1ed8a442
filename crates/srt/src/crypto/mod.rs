//! Encryption of payloads (draft section 6): AES in counter mode, keys wrapped with one that is made from a passphrase.
//!
//! A listener takes the key of its caller for what it sends as well, as the protocol has it. Two streams of one key must not
//! meet in one sequence number, so our listener numbers its packets far away from its caller's.

mod key_material;
#[cfg(test)]
pub(crate) mod tests;

use aes::{Aes128, Aes192, Aes256};
use aes_kw::{KeyInit, KwAes128, KwAes192, KwAes256};
use bytes::Bytes;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;

use crate::packet::Parity;
use crate::{Error, Sequence, limits};

pub use key_material::{KeyMaterial, KeyRefusal};

/// Rounds of the derivation (draft section 6.2.1).
const ROUNDS: u32 = 2048;
const KEY_BYTES_MAX: usize = 32;

/// Length of the keys of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyLength {
    /// AES-128.
    #[default]
    Bits128,
    /// AES-192.
    Bits192,
    /// AES-256.
    Bits256,
}

impl KeyLength {
    /// Bytes of a key: 16, 24 or 32.
    pub fn bytes(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits192 => 24,
            Self::Bits256 => 32,
        }
    }

    fn from_words(words: u8) -> Option<Self> {
        [Self::Bits128, Self::Bits192, Self::Bits256]
            .into_iter()
            .find(|length| length.bytes() == usize::from(words) * 4)
    }

    /// As handshakes advertise it.
    pub(crate) fn field(self) -> u16 {
        (self.bytes() / 8) as u16
    }

    pub(crate) fn from_field(field: u16) -> Option<Self> {
        u8::try_from(field).ok().and_then(|eights| Self::from_words(eights.checked_mul(2)?))
    }
}

/// What both ends know. Its text is not shown where it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String);

impl Passphrase {
    /// # Errors
    ///
    /// `Misuse` unless it has 10 to 79 bytes, as libsrt wants it.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        if limits::PASSPHRASE_BYTES.contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(Error::Misuse("a passphrase has 10 to 79 bytes"))
        }
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// The key that wraps keys.
#[derive(Clone)]
struct Wrapper {
    salt: [u8; 16],
    length: KeyLength,
    key: [u8; KEY_BYTES_MAX],
}

impl Wrapper {
    fn derive(passphrase: &Passphrase, salt: [u8; 16], length: KeyLength) -> Self {
        let mut key = [0; KEY_BYTES_MAX];
        // Of the salt only the lower half is used here (draft section 6.2.1).
        pbkdf2::pbkdf2_hmac::<Sha1>(passphrase.0.as_bytes(), &salt[8..], ROUNDS, &mut key[..length.bytes()]);
        Self { salt, length, key }
    }

    fn wrap(&self, keys: &[u8]) -> Bytes {
        let mut out = vec![0; keys.len() + 8];
        let key = &self.key[..self.length.bytes()];
        let wrapped = match self.length {
            KeyLength::Bits128 => {
                KwAes128::new_from_slice(key).ok().and_then(|kw| kw.wrap_key(keys, &mut out).map(drop).ok())
            }
            KeyLength::Bits192 => {
                KwAes192::new_from_slice(key).ok().and_then(|kw| kw.wrap_key(keys, &mut out).map(drop).ok())
            }
            KeyLength::Bits256 => {
                KwAes256::new_from_slice(key).ok().and_then(|kw| kw.wrap_key(keys, &mut out).map(drop).ok())
            }
        };
        debug_assert!(wrapped.is_some(), "keys are whole blocks");
        out.into()
    }

    /// `None` if another key wrapped them.
    fn unwrap(&self, wrapped: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; wrapped.len().checked_sub(8)?];
        let key = &self.key[..self.length.bytes()];
        match self.length {
            KeyLength::Bits128 => {
                KwAes128::new_from_slice(key).ok()?.unwrap_key(wrapped, &mut out).map(drop).ok()?
            }
            KeyLength::Bits192 => {
                KwAes192::new_from_slice(key).ok()?.unwrap_key(wrapped, &mut out).map(drop).ok()?
            }
            KeyLength::Bits256 => {
                KwAes256::new_from_slice(key).ok()?.unwrap_key(wrapped, &mut out).map(drop).ok()?
            }
        }
        Some(out)
    }
}

/// The key of a stream.
#[derive(Clone)]
struct StreamKey {
    salt: [u8; 16],
    length: KeyLength,
    key: [u8; KEY_BYTES_MAX],
}

impl StreamKey {
    fn new(salt: [u8; 16], length: KeyLength, bytes: &[u8]) -> Self {
        let mut key = [0; KEY_BYTES_MAX];
        key[..length.bytes()].copy_from_slice(bytes);
        Self { salt, length, key }
    }

    fn bytes(&self) -> &[u8] {
        &self.key[..self.length.bytes()]
    }

    /// Encrypts or decrypts the payload of the packet with this number.
    fn apply(&self, sequence: Sequence, payload: &mut [u8]) {
        let mut counter = [0; 16];
        counter[..14].copy_from_slice(&self.salt[..14]);
        for (byte, number) in counter[10..14].iter_mut().zip(sequence.get().to_be_bytes()) {
            *byte ^= number;
        }
        match self.length {
            KeyLength::Bits128 => Ctr128BE::<Aes128>::new_from_slices(self.bytes(), &counter)
                .map(|mut cipher| cipher.apply_keystream(payload)),
            KeyLength::Bits192 => Ctr128BE::<Aes192>::new_from_slices(self.bytes(), &counter)
                .map(|mut cipher| cipher.apply_keystream(payload)),
            KeyLength::Bits256 => Ctr128BE::<Aes256>::new_from_slices(self.bytes(), &counter)
                .map(|mut cipher| cipher.apply_keystream(payload)),
        }
        .expect("the lengths are those of the cipher");
    }
}

/// Both keys of one direction.
#[derive(Clone, Default)]
struct Keys {
    even: Option<StreamKey>,
    odd: Option<StreamKey>,
}

impl Keys {
    fn get(&self, parity: Parity) -> Option<&StreamKey> {
        match parity {
            Parity::Even => self.even.as_ref(),
            Parity::Odd => self.odd.as_ref(),
        }
    }

    fn set(&mut self, parity: Parity, key: StreamKey) {
        match parity {
            Parity::Even => self.even = Some(key),
            Parity::Odd => self.odd = Some(key),
        }
    }
}

/// Bytes that nobody else knows, from a seed that nobody else knows.
pub(crate) struct Secrets {
    seed: [u8; 32],
    count: u64,
}

impl Secrets {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        self.count += 1;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.seed).expect("keys of any length");
        mac.update(b"srt secrets");
        mac.update(&self.count.to_be_bytes());
        mac.finalize().into_bytes().into()
    }

    pub(crate) fn bits(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// The encryption of a connection, both directions.
pub(crate) struct Crypto {
    passphrase: Passphrase,
    wrapper: Wrapper,
    receiving: Keys,
    sending: Keys,
    active: Parity,
    /// Packets that were encrypted with the active key.
    packets: u64,
    /// The next key, announced and not answered yet, or answered and not in use yet.
    next: Option<Next>,
    refresh: Refresh,
}

struct Next {
    announcement: Bytes,
    answered: bool,
}

/// When keys are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refresh {
    /// Packets that are sent with one key.
    pub packets: u64,
    /// How many packets before its use the next key is announced.
    pub announced_before: u64,
}

impl Default for Refresh {
    fn default() -> Self {
        Self { packets: 1 << 24, announced_before: 4000 }
    }
}

impl Refresh {
    fn within_limits(self) -> Self {
        let packets = self.packets.clamp(2, limits::KEY_PACKETS_MAX);
        Self { packets, announced_before: self.announced_before.clamp(1, packets - 1) }
    }
}

impl Crypto {
    /// The initiator's: with a new key.
    pub(crate) fn initiate(
        passphrase: Passphrase,
        length: KeyLength,
        secrets: &mut Secrets,
        refresh: Refresh,
    ) -> Self {
        let mut salt = [0; 16];
        salt.copy_from_slice(&secrets.bytes()[..16]);
        let wrapper = Wrapper::derive(&passphrase, salt, length);
        let key = StreamKey::new(salt, length, &secrets.bytes()[..length.bytes()]);
        let keys = Keys { even: Some(key), odd: None };
        Self {
            passphrase,
            wrapper,
            receiving: keys.clone(),
            sending: keys,
            active: Parity::Even,
            packets: 0,
            next: None,
            refresh: refresh.within_limits(),
        }
    }

    /// The responder's: with the keys of a handshake.
    pub(crate) fn respond(
        passphrase: Passphrase,
        request: &Bytes,
        refresh: Refresh,
    ) -> Result<Self, KeyRefusal> {
        let material = KeyMaterial::read(request).map_err(|error| match error {
            Error::Unsupported(_) => KeyRefusal::BadCipher,
            _ => KeyRefusal::BadSecret,
        })?;
        let wrapper = Wrapper::derive(&passphrase, material.salt, material.key_length);
        let mut receiving = Keys::default();
        take_keys(&mut receiving, &material, &wrapper).ok_or(KeyRefusal::BadSecret)?;
        let active = if material.even { Parity::Even } else { Parity::Odd };
        let sending = receiving.clone();
        Ok(Self {
            passphrase,
            wrapper,
            receiving,
            sending,
            active,
            packets: 0,
            next: None,
            refresh: refresh.within_limits(),
        })
    }

    /// The message with the key that is in use.
    pub(crate) fn request(&self) -> Bytes {
        self.message(&[self.active])
    }

    fn message(&self, parities: &[Parity]) -> Bytes {
        let mut keys = Vec::new();
        for parity in [Parity::Even, Parity::Odd] {
            if let Some(key) = self.sending.get(parity).filter(|_| parities.contains(&parity)) {
                keys.extend_from_slice(key.bytes());
            }
        }
        KeyMaterial {
            even: parities.contains(&Parity::Even),
            odd: parities.contains(&Parity::Odd),
            key_length: self.wrapper.length,
            salt: self.wrapper.salt,
            wrapped: self.wrapper.wrap(&keys),
        }
        .write()
    }

    pub(crate) fn key_length(&self) -> KeyLength {
        self.wrapper.length
    }

    /// Encrypts the payload of a packet that is sent for the first time, and says with which key.
    pub(crate) fn seal(&mut self, sequence: Sequence, payload: &mut [u8]) -> Parity {
        let answered = self.next.as_ref().is_some_and(|next| next.answered);
        if self.packets >= self.refresh.packets && answered {
            self.active = self.active.other();
            self.packets = 0;
            self.next = None;
        }
        self.packets += 1;
        if let Some(key) = self.sending.get(self.active) {
            key.apply(sequence, payload);
        }
        self.active
    }

    /// Decrypts a payload. False if the key is not there.
    pub(crate) fn open(&self, parity: Parity, sequence: Sequence, payload: &mut [u8]) -> bool {
        let key = self.receiving.get(parity);
        if let Some(key) = key {
            key.apply(sequence, payload);
        }
        key.is_some()
    }

    /// The announcement of the next key that still waits for its answer. Makes the key when it is time for it.
    pub(crate) fn announcement(&mut self, secrets: &mut Secrets) -> Option<Bytes> {
        if self.next.is_none() && self.packets + self.refresh.announced_before >= self.refresh.packets {
            let parity = self.active.other();
            let length = self.wrapper.length;
            let key = StreamKey::new(self.wrapper.salt, length, &secrets.bytes()[..length.bytes()]);
            self.sending.set(parity, key);
            let announcement = self.message(&[Parity::Even, Parity::Odd]);
            self.next = Some(Next { announcement, answered: false });
        }
        self.next.as_ref().filter(|next| !next.answered).map(|next| next.announcement.clone())
    }

    /// The answer to an announcement. Anything else than what was announced is ignored: a peer that refuses goes on to get the
    /// old key.
    pub(crate) fn take_answer(&mut self, body: &Bytes) {
        if let Some(next) = self.next.as_mut().filter(|next| next.announcement == *body) {
            next.answered = true;
        }
    }

    /// Whether reading this announcement derives a key, which takes a millisecond.
    pub(crate) fn derives(&self, material: &KeyMaterial) -> bool {
        material.salt != self.wrapper.salt || material.key_length != self.wrapper.length
    }

    /// Takes the announcement of a peer.
    pub(crate) fn take_announcement(&mut self, material: &KeyMaterial) -> Result<(), KeyRefusal> {
        let derived;
        let wrapper = if self.derives(material) {
            derived = Wrapper::derive(&self.passphrase, material.salt, material.key_length);
            &derived
        } else {
            &self.wrapper
        };
        take_keys(&mut self.receiving, material, wrapper).ok_or(KeyRefusal::BadSecret)
    }
}

fn take_keys(keys: &mut Keys, material: &KeyMaterial, wrapper: &Wrapper) -> Option<()> {
    let plain = wrapper.unwrap(&material.wrapped)?;
    let mut plain = plain.chunks_exact(material.key_length.bytes());
    for (parity, there) in [(Parity::Even, material.even), (Parity::Odd, material.odd)] {
        if there {
            keys.set(parity, StreamKey::new(material.salt, material.key_length, plain.next()?));
        }
    }
    Some(())
}
