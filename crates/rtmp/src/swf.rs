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

use crate::handshake::hmac;

/// Bytes of the answer.
pub(crate) const ANSWER_BYTES: usize = 42;

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
        let mut answer = [1; ANSWER_BYTES];
        let mut rest = &mut answer[2..];
        rest.put_u32(self.size);
        rest.put_u32(self.size);
        rest.put_slice(&hmac(key, &[&self.hash]));
        answer
    }
}

/// The hash is what lets a player in.
impl fmt::Debug for Swf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swf").field("size", &self.size).finish_non_exhaustive()
    }
}
