//! The handshake (`RTMP` section 5.2): plain, or with the digests that Flash players introduced.
//!
//! ```text
//! client              server
//! C0 C1       ──▶             C0, S0: version(1)             C1, S1: 1536 bytes, see `digest`
//!             ◀──    S0 S1 S2  C2, S2: 1536 bytes, plain: echo of S1, C1; with digests: random and a signature
//! C2, chunks  ──▶
//! ```
//!
//! Either end takes its bytes in any pieces. A server answers in the form and layout it finds in C1, and in the plain
//! form if there is no valid digest; then the version bytes of S1 are zero, because clients that find a version
//! there (ffmpeg) demand digests. C2 is never checked: clients that are right about everything else get it wrong.

mod digest;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::Error;
use digest::{Layout, Side};

/// Bytes of C1, C2, S1 and S2 each.
const BLOCK: usize = 1536;
/// The version of the unencrypted protocol.
const VERSION: u8 = 3;
/// Version bytes of a server that uses digests.
const SERVER_VERSION: [u8; 4] = [3, 5, 1, 1];
/// Version bytes of a client that uses digests: the player whose handshake servers know.
const CLIENT_VERSION: [u8; 4] = [10, 0, 32, 18];

/// The form of the handshake a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// The one of the specification: random bytes, echoed.
    #[default]
    Plain,
    /// With digests, as Flash players send; servers that do not know them answer in the plain form.
    Digest,
}

/// The server end.
#[derive(Debug)]
pub struct Server {
    filler: Filler,
    answered: bool,
}

impl Server {
    /// `seed` fills the random parts of the answer. They carry no secret; they only should differ.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { filler: Filler::new(seed), answered: false }
    }

    /// Takes its part of `input`, appends its answer to `out`, and returns whether the handshake is over.
    ///
    /// # Errors
    /// `Malformed` if the peer speaks something else, `Unsupported` if it wants encryption.
    pub fn handle_input(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool, Error> {
        if !self.answered {
            check_version(input)?;
            if input.len() < 1 + BLOCK {
                return Ok(false);
            }
            input.advance(1);
            self.answer(&input[..BLOCK], out);
            input.advance(BLOCK);
            self.answered = true;
        }
        if input.len() < BLOCK {
            return Ok(false);
        }
        input.advance(BLOCK);
        Ok(true)
    }

    fn answer(&mut self, c1: &[u8], out: &mut BytesMut) {
        out.reserve(1 + 2 * BLOCK);
        out.put_u8(VERSION);
        // Without version bytes there is no digest.
        let found = if c1[4..8] == [0; 4] { None } else { digest::find(c1, Side::Client) };
        let Some((layout, peer_digest)) = found else {
            out.put_slice(&[0; 8]);
            self.filler.fill(out, BLOCK - 8);
            out.put_slice(c1);
            return;
        };
        let mut s1 = digest_block(&mut self.filler, SERVER_VERSION);
        digest::seal(&mut s1, layout, Side::Server);
        out.put_slice(&s1);
        signed_block(&mut self.filler, &peer_digest, Side::Server, out);
    }
}

/// The client end.
#[derive(Debug)]
pub struct Client {
    form: Form,
    filler: Filler,
    answered: bool,
}

impl Client {
    /// Appends C0 and C1 to `out`. `seed` fills their random parts.
    pub fn new(form: Form, seed: [u8; 32], out: &mut BytesMut) -> Self {
        let mut filler = Filler::new(seed);
        out.reserve(1 + BLOCK);
        out.put_u8(VERSION);
        match form {
            Form::Plain => {
                out.put_slice(&[0; 8]);
                filler.fill(out, BLOCK - 8);
            }
            Form::Digest => {
                let mut c1 = digest_block(&mut filler, CLIENT_VERSION);
                digest::seal(&mut c1, Layout::DigestFirst, Side::Client);
                out.put_slice(&c1);
            }
        }
        Self { form, filler, answered: false }
    }

    /// Takes its part of `input`, appends C2 to `out` once S1 is there, and returns whether the handshake is over.
    ///
    /// # Errors
    /// `Malformed` if the peer speaks something else, `Unsupported` if it wants encryption.
    pub fn handle_input(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool, Error> {
        if !self.answered {
            check_version(input)?;
            if input.len() < 1 + BLOCK {
                return Ok(false);
            }
            input.advance(1);
            let s1 = &input[..BLOCK];
            let found = match self.form {
                Form::Digest if s1[4..8] != [0; 4] => digest::find(s1, Side::Server),
                _ => None,
            };
            match found {
                Some((_, peer_digest)) => signed_block(&mut self.filler, &peer_digest, Side::Client, out),
                None => out.put_slice(s1),
            }
            input.advance(BLOCK);
            self.answered = true;
        }
        if input.len() < BLOCK {
            return Ok(false);
        }
        // S2 is as little checked as C2: it proves nothing that the connection depends on.
        input.advance(BLOCK);
        Ok(true)
    }
}

/// Looks at C0 or S0 as soon as it is there, so that another protocol on the port is told apart at its first byte
/// (`RTMP` section 5.2.2).
fn check_version(input: &[u8]) -> Result<(), Error> {
    match input.first() {
        Some(6 | 8 | 9) => Err(Error::Unsupported("encrypted handshake")),
        Some(32..) => Err(Error::Malformed("not RTMP: handshake version is a printable character")),
        // A peer with an unknown version is to be answered with version 3 and may give up.
        _ => Ok(()),
    }
}

fn digest_block(filler: &mut Filler, version: [u8; 4]) -> BytesMut {
    let mut block = BytesMut::with_capacity(BLOCK);
    block.put_u32(0);
    block.put_slice(&version);
    filler.fill(&mut block, BLOCK - 8);
    block
}

fn signed_block(filler: &mut Filler, peer_digest: &[u8; 32], side: Side, out: &mut BytesMut) {
    let start = out.len();
    filler.fill(out, BLOCK - digest::BYTES);
    let signature = digest::signature(&out[start..], peer_digest, side);
    out.put_slice(&signature);
}

/// Fills the random parts. Nothing depends on them being hard to guess, so a plain mixing function does.
#[derive(Debug)]
struct Filler {
    seed: [u64; 4],
    count: u64,
}

impl Filler {
    fn new(seed: [u8; 32]) -> Self {
        let mut bytes = Bytes::copy_from_slice(&seed);
        Self { seed: std::array::from_fn(|_| bytes.get_u64()), count: 0 }
    }

    fn fill(&mut self, out: &mut BytesMut, count: usize) {
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

#[cfg(test)]
mod tests;
