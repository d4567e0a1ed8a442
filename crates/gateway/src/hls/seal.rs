//! Encryption of segments and parts: `EXT-X-KEY` with `METHOD=AES-128` (RFC 8216bis section 4.4.4.4).
//!
//! A resource is encrypted as a whole, with AES-128 in CBC mode and padding of PKCS #7; a part is a resource of its own. It is done when
//! somebody asks, once for all who do, and what is large is not done on threads that carry media. A key is for so many segments, and is derived from a secret of this process: there is no
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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};
use tokio::sync::{OnceCell, Semaphore};

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
    files: VecDeque<SealedFile>,
    bytes: usize,
}

struct SealedFile {
    file: File,
    bytes: usize,
    /// All who come at once want the same: one encrypts, and the others wait.
    sealed: Arc<OnceCell<Bytes>>,
}

/// Large files that are encrypted at this moment.
static SEALS: Semaphore = Semaphore::const_new(limits::SEALS_MAX);

impl Sealed {
    /// `clear`, which are the `bytes` of `file` of `segment`, encrypted. It is only had where nobody has asked for it lately.
    ///
    /// # Errors
    ///
    /// Those of `clear`, and of a system that has no thread for it.
    pub(super) async fn seal(
        &self,
        keys: &Keys,
        file: File,
        segment: u64,
        bytes: usize,
        clear: impl Future<Output = io::Result<Vec<Bytes>>>,
    ) -> io::Result<Bytes> {
        let cell = self.recent().find(file, bytes / BLOCK * BLOCK + BLOCK);
        let encrypt = async || {
            let clear = clear.await?;
            if bytes <= limits::SEALED_AT_ONCE_MAX {
                return Ok(keys.encrypt(segment, &clear));
            }
            // It is never closed.
            let _turn = SEALS.acquire().await.map_err(io::Error::other)?;
            let keys = keys.clone();
            tokio::task::spawn_blocking(move || keys.encrypt(segment, &clear)).await.map_err(io::Error::other)
        };
        cell.get_or_try_init(encrypt).await.cloned()
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    /// The place of `file`, which is so long when it is encrypted.
    fn find(&mut self, file: File, bytes: usize) -> Arc<OnceCell<Bytes>> {
        if let Some(known) = self.files.iter().rev().find(|known| known.file == file) {
            return known.sealed.clone();
        }
        let sealed = Arc::<OnceCell<Bytes>>::default();
        self.bytes += bytes;
        self.files.push_back(SealedFile { file, bytes, sealed: sealed.clone() });
        while self.bytes > limits::SEALED_BYTES_MAX || self.files.len() > limits::SEALED_FILES_MAX {
            let Some(oldest) = self.files.pop_front() else { break };
            self.bytes -= oldest.bytes;
        }
        sealed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_channel;
    use cbc::Decryptor;
    use cbc::cipher::BlockModeDecrypt;
    use media::TrackId;
    use std::cell::Cell;
    use std::future::ready;
    use std::pin::pin;
    use std::task::{Context, Waker};

    async fn seal(sealed: &Sealed, keys: &Keys, file: File, clear: Vec<Bytes>) -> Bytes {
        let bytes = clear.iter().map(Bytes::len).sum();
        sealed.seal(keys, file, 129, bytes, ready(Ok(clear))).await.unwrap()
    }

    fn keys(name: &str) -> Keys {
        Keys::new(&[7; 32], &parse_channel(name).unwrap(), 10)
    }

    #[tokio::test]
    async fn what_is_encrypted_is_decrypted_with_what_the_tag_says() {
        let keys = keys("live/cam");
        let tag = keys.tag(keys.number_for(129), "?key=x");
        assert!(tag.starts_with("#EXT-X-KEY:METHOD=AES-128,URI=\"key-12.bin?key=x\",IV=0x"), "{tag}");
        let iv = u128::from_str_radix(tag.rsplit_once("0x").unwrap().1, 16).unwrap().to_be_bytes();
        for length in [0, 1, 15, 16, 17, 4096, 1 << 20] {
            let clear: Vec<Bytes> = vec![vec![1; length / 2].into(), vec![2; length - length / 2].into()];
            let sealed = seal(&Sealed::default(), &keys, File::TsSegment(129), clear.clone()).await;
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

    #[tokio::test]
    async fn what_was_encrypted_is_kept_for_a_while_and_no_more_than_fits() {
        let (keys, sealed) = (keys("live/cam"), Sealed::default());
        let part = |number| File::Part(TrackId::VIDEO, 1, number);
        let first = seal(&sealed, &keys, part(0), vec!["part".into()]).await;
        let again = seal(&sealed, &keys, part(0), Vec::new()).await;
        assert_eq!(again.as_ptr(), first.as_ptr(), "it was not done again");
        for number in 0..2 * limits::SEALED_FILES_MAX as u32 {
            seal(&sealed, &keys, part(number), vec!["part".into()]).await;
        }
        assert!(sealed.recent().files.len() <= limits::SEALED_FILES_MAX);
        seal(&sealed, &keys, part(u32::MAX), vec![vec![0; limits::SEALED_BYTES_MAX].into()]).await;
        assert!(sealed.recent().bytes <= limits::SEALED_BYTES_MAX);
    }

    #[tokio::test]
    async fn what_is_large_waits_for_its_turn_and_is_had_once() {
        let (keys, sealed, reads) = (keys("live/cam"), Sealed::default(), Cell::new(0));
        let large: Bytes = vec![1; limits::SEALED_AT_ONCE_MAX + 1].into();
        let ask = || {
            let clear = async {
                reads.set(reads.get() + 1);
                Ok(vec![large.clone()])
            };
            sealed.seal(&keys, File::Segment(TrackId::VIDEO, 1), 1, large.len(), clear)
        };
        let others = SEALS.acquire_many(limits::SEALS_MAX as u32).await.unwrap();
        let (mut first, mut second) = (pin!(ask()), pin!(ask()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending());
        // What is small does not wait.
        seal(&sealed, &keys, File::TsSegment(1), vec!["part".into()]).await;
        drop(others);
        let (first, second) = tokio::join!(first, second);
        assert_eq!(first.unwrap().as_ptr(), second.unwrap().as_ptr());
        assert_eq!(reads.get(), 1);
    }

    #[tokio::test]
    async fn what_could_not_be_read_is_read_by_who_asks_next() {
        let (keys, sealed) = (keys("live/cam"), Sealed::default());
        let file = File::Segment(TrackId::VIDEO, 1);
        let lost = ready(Err(io::ErrorKind::NotFound.into()));
        assert!(sealed.seal(&keys, file, 1, 4, lost).await.is_err());
        assert!(sealed.seal(&keys, file, 1, 4, ready(Ok(vec!["part".into()]))).await.is_ok());
    }
}
