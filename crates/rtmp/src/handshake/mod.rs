//! The handshake (`RTMP` section 5.2): plain, with the digests that Flash players introduced, or encrypted (RTMPE).
//!
//! ```text
//! client              server
//! C0 C1       ──▶             C0, S0: version(1)             C1, S1: 1536 bytes, see `digest`
//!             ◀──    S0 S1 S2  C2, S2: 1536 bytes, plain: echo of S1, C1; with digests: random and a signature
//! C2, chunks  ──▶
//! ```
//!
//! Version 3 is not encrypted; 6, 8 and 9 are, and differ only in what happens to the signatures (`signature`). An
//! encrypted handshake is one with digests whose blocks also carry a public key each (`dh`); from the shared secret
//! come the keys of everything that follows (`cipher`).
//!
//! Either end takes its bytes in any pieces. C2 is never checked: clients that are right about everything else get it
//! wrong. S2 is not either, because it proves nothing: the keys of the signatures are known to everybody.

mod cipher;
mod client;
mod dh;
mod digest;
pub(crate) mod fuzz;
mod random;
mod server;
mod signature;

use bytes::{BufMut, BytesMut};

pub use cipher::Ciphers;
pub use client::{Client, Form};
use digest::{Layout, Side};
pub(crate) use digest::{hmac, is_hmac};
use random::Filler;
pub use server::Server;
use signature::Scheme;

/// Bytes of C1, C2, S1 and S2 each.
const BLOCK: usize = 1536;
/// The version of the unencrypted protocol.
const VERSION: u8 = 3;
/// The version of the encrypted protocol, with bare signatures.
const VERSION_ENCRYPTED: u8 = 6;
/// Where the version bytes of C1 and S1 are. Zeros say that there is no digest.
const VERSION_BYTES: std::ops::Range<usize> = 4..8;

/// What a handshake leaves behind.
#[derive(Debug)]
pub struct Finished {
    /// Keystreams for everything after the handshake, if it was an encrypted one. Boxed, because most are not.
    pub ciphers: Option<Box<Ciphers>>,
    /// The end of S1, if both ends used digests: the key of SWF verification.
    pub swf_key: Option<[u8; 32]>,
}

impl Finished {
    /// What both ends have in common after the plain form.
    fn plain() -> Self {
        Self { ciphers: None, swf_key: None }
    }

    fn with_digests(s1: &[u8], ciphers: Option<Ciphers>) -> Self {
        let swf_key = s1.last_chunk().copied();
        Self { ciphers: ciphers.map(Box::new), swf_key }
    }
}

/// A C1 or S1 without its digest.
fn block(filler: &mut Filler, version: [u8; 4]) -> BytesMut {
    let mut block = BytesMut::with_capacity(BLOCK);
    block.put_u32(0);
    block.put_slice(&version);
    filler.fill(&mut block, BLOCK - 8);
    block
}

/// Appends a C2 or S2 that answers a block with `peer_digest`.
fn put_signed_block(
    out: &mut BytesMut,
    filler: &mut Filler,
    peer_digest: &[u8; digest::BYTES],
    side: Side,
    scheme: Scheme,
) {
    let start = out.len();
    filler.fill(out, BLOCK - digest::BYTES);
    let signature = signature::sign(&out[start..], peer_digest, side, scheme);
    out.put_slice(&signature);
}

#[cfg(test)]
mod encrypted_tests;
#[cfg(test)]
mod tests;
