//! Encryption of segments and parts: `EXT-X-KEY` with `METHOD=AES-128` (RFC 8216bis section 4.4.4.4).
//!
//! A resource is encrypted as a whole, with AES-128 in CBC mode and padding of PKCS #7; a part is a resource of its own. It is done when
//! somebody asks, once for all who do. A key is for so many segments, and is derived from a secret of this process: there is no
//! list of keys to keep.

use super::limits;
use super::name::File;
use aes::Aes128;
use bytes::Bytes;
use cbc::Encryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use media::StreamName;
use sha2::Sha256;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

const BLOCK: usize = 16;

/// The keys of one stream.
#[derive(Clone)]
pub(super) struct Keys {
    /// Of this stream in this process.
    secret: [u8; 32],
    /// How many segments a key is for.
    segments: u64,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

impl Keys {
    /// The keys of `name`, derived from the `secret` of the process. Each is for `segments`, at least one.
    pub(super) fn new(secret: &[u8; 32], name: &StreamName, segments: u64) -> Self {
        Self { secret: derive(secret, name.as_str().as_bytes()), segments: segments.max(1) }
    }

    /// The number of the key of a segment.
    pub(super) fn number_for(&self, segment: u64) -> u64 {
        segment / self.segments
    }

    /// The key of that number.
    pub(super) fn key(&self, number: u64) -> [u8; BLOCK] {
        self.pair(number).0
    }

    /// The tag for the segments of that key; `query` is what the key is asked for with.
    pub(super) fn tag(&self, number: u64, query: &str) -> String {
        let iv: String = self.pair(number).1.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{}{query}\",IV=0x{iv}", File::Key(number))
    }

    /// A key and its initialization vector.
    fn pair(&self, number: u64) -> ([u8; BLOCK], [u8; BLOCK]) {
        let derived = derive(&self.secret, &number.to_be_bytes());
        let (mut key, mut iv) = ([0; BLOCK], [0; BLOCK]);
        key.copy_from_slice(&derived[..BLOCK]);
        iv.copy_from_slice(&derived[BLOCK..]);
        (key, iv)
    }

    fn encrypt(&self, segment: u64, clear: &[Bytes]) -> Bytes {
        let (key, iv) = self.pair(self.number_for(segment));
        let clear = clear.concat();
        Encryptor::<Aes128>::new(&key.into(), &iv.into()).encrypt_padded_vec::<Pkcs7>(&clear).into()
    }
}

fn derive(secret: &[u8; 32], what: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(what);
    mac.finalize().into_bytes().into()
}

/// What was encrypted lately, for those who ask next.
#[derive(Default)]
pub(super) struct Sealed(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    /// The newest last.
    files: VecDeque<(File, Bytes)>,
    bytes: usize,
}

impl Sealed {
    /// `clear`, which is `file` of `segment`, encrypted.
    pub(super) fn seal(&self, keys: &Keys, file: File, segment: u64, clear: &[Bytes]) -> Bytes {
        // The lock is held meanwhile: all who come at once want the same.
        let mut recent = self.recent();
        if let Some((_, sealed)) = recent.files.iter().rev().find(|(known, _)| *known == file) {
            return sealed.clone();
        }
        let sealed = keys.encrypt(segment, clear);
        recent.bytes += sealed.len();
        recent.files.push_back((file, sealed.clone()));
        while recent.bytes > limits::SEALED_BYTES_MAX || recent.files.len() > limits::SEALED_FILES_MAX {
            let Some((_, oldest)) = recent.files.pop_front() else { break };
            recent.bytes -= oldest.len();
        }
        sealed
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_channel;
    use cbc::Decryptor;
    use cbc::cipher::BlockModeDecrypt;
    use media::TrackId;

    fn keys(name: &str) -> Keys {
        Keys::new(&[7; 32], &parse_channel(name).unwrap(), 10)
    }

    #[test]
    fn what_is_encrypted_is_decrypted_with_what_the_tag_says() {
        let keys = keys("live/cam");
        let tag = keys.tag(keys.number_for(129), "?key=x");
        assert!(tag.starts_with("#EXT-X-KEY:METHOD=AES-128,URI=\"key-12.bin?key=x\",IV=0x"), "{tag}");
        let iv = u128::from_str_radix(tag.rsplit_once("0x").unwrap().1, 16).unwrap().to_be_bytes();
        for length in [0, 1, 15, 16, 17, 4096] {
            let clear: Vec<Bytes> = vec![vec![1; length / 2].into(), vec![2; length - length / 2].into()];
            let sealed = Sealed::default().seal(&keys, File::TsSegment(129), 129, &clear);
            assert_eq!(sealed.len(), length / BLOCK * BLOCK + BLOCK);
            let cipher = Decryptor::<Aes128>::new(&keys.key(12).into(), &iv.into());
            assert_eq!(cipher.decrypt_padded_vec::<Pkcs7>(&sealed).unwrap(), clear.concat());
        }
    }

    #[test]
    fn streams_and_times_have_keys_of_their_own() {
        let (one, other) = (keys("live/cam"), keys("live/other"));
        assert_eq!(one.key(1), keys("live/cam").key(1));
        assert!(one.key(1) != one.key(2) && one.key(1) != other.key(1));
        assert_eq!((one.number_for(19), one.number_for(20)), (1, 2));
        assert!(!format!("{one:?}").contains('7'));
    }

    #[test]
    fn what_was_encrypted_is_kept_for_a_while_and_no_more_than_fits() {
        let (keys, sealed) = (keys("live/cam"), Sealed::default());
        let part = |number| File::Part(TrackId::VIDEO, 1, number);
        let first = sealed.seal(&keys, part(0), 1, &["part".into()]);
        assert_eq!(sealed.seal(&keys, part(0), 1, &[]).as_ptr(), first.as_ptr(), "it was not done again");
        for number in 0..2 * limits::SEALED_FILES_MAX as u32 {
            sealed.seal(&keys, part(number), 1, &["part".into()]);
        }
        assert!(sealed.recent().files.len() <= limits::SEALED_FILES_MAX);
        sealed.seal(&keys, part(u32::MAX), 1, &[vec![0; limits::SEALED_BYTES_MAX].into()]);
        assert!(sealed.recent().bytes <= limits::SEALED_BYTES_MAX);
    }
}
