//! SWF verification: a server lets only players in that know a certain SWF file.
//!
//! ```text
//! server ── user control 26 ──▶ client    asks
//! client ── user control 27 ──▶ server    1 1 size(4) size(4) HMAC-SHA256(key: end of S1, data: hash)
//! ```
//!
//! The hash and the size are those of the file without compression. What proves something once proves nothing on
//! another connection, because S1 differs; but whoever has the file has the hash. There is no public text.

use std::fmt;

use bytes::BufMut;

use crate::handshake::{hmac, is_hmac};

/// Bytes of the answer.
pub(crate) const ANSWER_BYTES: usize = 42;
/// Of them, those in front of the proof.
const HEAD_BYTES: usize = 10;

/// What is known of a SWF file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Swf {
    /// HMAC-SHA256 of the file without compression, its first three bytes `FWS`, with the key `Genuine Adobe Flash Player
    /// 001`. `rtmpdump --swfVfy URL` prints it.
    pub hash: [u8; 32],
    /// Bytes of the file without compression.
    pub size: u32,
}

impl Swf {
    /// The answer on a connection whose S1 ends in `key`.
    pub(crate) fn answer(&self, key: &[u8; 32]) -> [u8; ANSWER_BYTES] {
        let mut answer = [0; ANSWER_BYTES];
        let mut rest = &mut answer[..];
        rest.put_slice(&self.head());
        rest.put_slice(&hmac(key, &[&self.hash]));
        answer
    }

    /// Whether that is the answer of somebody who knows the file. How long it takes tells nothing of the hash.
    pub(crate) fn is_answer(&self, key: &[u8; 32], answer: &[u8; ANSWER_BYTES]) -> bool {
        let (head, mac) = answer.split_at(HEAD_BYTES);
        head == self.head() && is_hmac(key, &[&self.hash], mac)
    }

    fn head(&self) -> [u8; HEAD_BYTES] {
        let [a, b, c, d] = self.size.to_be_bytes();
        [1, 1, a, b, c, d, a, b, c, d]
    }
}

/// The hash is what lets a player in.
impl fmt::Debug for Swf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swf").field("size", &self.size).finish_non_exhaustive()
    }
}
