//! What a handshake makes of its random seed.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::digest::hmac;

/// The secret that everything random in one handshake comes from. Each use has a key of its own, so the random bytes
/// that are sent in the clear tell nothing about the others.
pub(super) struct Seed([u8; 32]);

impl Seed {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self(seed)
    }

    /// What the blocks are filled with.
    pub(super) fn filler(&self) -> Filler {
        Filler::new(hmac(&self.0, &[b"filler"]))
    }

    /// A private exponent; each attempt gets another one.
    pub(super) fn exponent(&self, attempt: u8) -> [u8; 32] {
        hmac(&self.0, &[b"exponent", &[attempt]])
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").finish_non_exhaustive()
    }
}

/// Fills the random parts of blocks. Nothing depends on them being hard to guess, so a plain mixing function does.
#[derive(Debug)]
pub(super) struct Filler {
    seed: [u64; 4],
    count: u64,
}

impl Filler {
    fn new(seed: [u8; 32]) -> Self {
        let mut bytes = Bytes::copy_from_slice(&seed);
        Self { seed: std::array::from_fn(|_| bytes.get_u64()), count: 0 }
    }

    pub(super) fn fill(&mut self, out: &mut BytesMut, count: usize) {
        let end = out.len() + count;
        while out.len() < end {
            let word = self.word().to_be_bytes();
            out.put_slice(&word[..word.len().min(end - out.len())]);
        }
    }

    /// SplitMix64 over the four words of the seed in turn.
    fn word(&mut self) -> u64 {
        self.count += 1;
        let gamma = self.count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut word = self.seed[(self.count % 4) as usize].wrapping_add(gamma);
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }
}
