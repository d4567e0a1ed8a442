//! Digests and public keys in C1 and S1. There is no public text; implementations agree on this.
//!
//! ```text
//! C1, S1, 1536 bytes:    time(4) version(4), then two halves of 764 bytes
//!   digest first         offset(4) digest half(760)   key half(760) offset(4)
//!   key first            key half(760) offset(4)      offset(4) digest half(760)
//! C2, S2:                random(1504) signature(32)
//! ```
//!
//! The digest (32 bytes) lies in its half at the sum of the offset bytes modulo 728, the public key (128 bytes) at the
//! sum modulo 632; the rest is random. The digest is an HMAC-SHA256 over the 1504 bytes around it, so the public key is
//! there before it; its key is the readable start of the sender's genuine key. The signature is one over the 1504
//! bytes before it; its key is an HMAC-SHA256 over the digest that is answered, with the sender's whole genuine key.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{BLOCK, dh};

/// Bytes of a digest and of a signature.
pub(super) const BYTES: usize = 32;

/// Both genuine keys end in these bytes.
const SUFFIX: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57, 0x6e,
    0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];

/// Who sends a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Client => b"Genuine Adobe Flash Player 001",
            Self::Server => b"Genuine Adobe Flash Media Server 001",
        }
    }

    pub(super) fn genuine_key(self) -> Vec<u8> {
        [self.name(), &SUFFIX].concat()
    }
}

/// What lies where, named by what comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    DigestFirst,
    KeyFirst,
}

impl Layout {
    /// Where the digest of a block starts; at most `BLOCK - BYTES`.
    fn digest_start(self, block: &[u8]) -> usize {
        match self {
            Self::DigestFirst => 12 + sum(block, 8) % 728,
            Self::KeyFirst => 776 + sum(block, 772) % 728,
        }
    }

    /// Where the public key of a block starts; at most `BLOCK - dh::BYTES`, and never over the digest or one of the
    /// offsets.
    fn key_start(self, block: &[u8]) -> usize {
        match self {
            Self::DigestFirst => 772 + sum(block, 1532) % 632,
            Self::KeyFirst => 8 + sum(block, 768) % 632,
        }
    }

    /// The public key of a block of `BLOCK` bytes.
    pub(super) fn key(self, block: &[u8]) -> [u8; dh::BYTES] {
        let start = self.key_start(block);
        std::array::from_fn(|index| block[start + index])
    }

    /// Puts a public key into a block of `BLOCK` bytes.
    pub(super) fn put_key(self, block: &mut [u8], key: &[u8; dh::BYTES]) {
        let start = self.key_start(block);
        block[start..start + dh::BYTES].copy_from_slice(key);
    }
}

/// The sum of the four offset bytes at `at`.
fn sum(block: &[u8], at: usize) -> usize {
    block[at..at + 4].iter().map(|byte| usize::from(*byte)).sum()
}

/// The layout and digest of a block of `BLOCK` bytes, if a valid one lies in either layout.
pub(super) fn find(block: &[u8], side: Side) -> Option<(Layout, [u8; BYTES])> {
    [Layout::DigestFirst, Layout::KeyFirst].into_iter().find_map(|layout| {
        let start = layout.digest_start(block);
        let digest = digest_around(block, start, side);
        (block[start..start + BYTES] == digest).then_some((layout, digest))
    })
}

/// Puts the digest into a block of `BLOCK` bytes.
pub(super) fn seal(block: &mut [u8], layout: Layout, side: Side) {
    let start = layout.digest_start(block);
    let digest = digest_around(block, start, side);
    block[start..start + BYTES].copy_from_slice(&digest);
}

fn digest_around(block: &[u8], start: usize, side: Side) -> [u8; BYTES] {
    debug_assert_eq!(block.len(), BLOCK);
    hmac(side.name(), &[&block[..start], &block[start + BYTES..]])
}

/// HMAC-SHA256 of the joined parts.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    hmac_of(key, parts).finalize().into_bytes().into()
}

/// Whether that is the HMAC-SHA256 of the joined parts. How long it takes does not depend on how much of it is right.
pub(crate) fn is_hmac(key: &[u8], parts: &[&[u8]], mac: &[u8]) -> bool {
    hmac_of(key, parts).verify_slice(mac).is_ok()
}

fn hmac_of(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}
