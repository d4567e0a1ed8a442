//! The server end.

use bytes::{Buf, BufMut, BytesMut};

use super::random::Seed;
use super::{BLOCK, Ciphers, Finished, Layout, Scheme, Side, VERSION, VERSION_BYTES, VERSION_ENCRYPTED};
use super::{block, dh, digest, put_signed_block};
use crate::Error;

/// Version bytes of a server that uses digests.
const SERVER_VERSION: [u8; 4] = [3, 5, 1, 1];

/// Key pairs tried for one secret. Each is discarded with a chance of 1 in 256.
const KEY_PAIRS_MAX: u8 = 8;

/// The server end of a handshake.
///
/// It answers in the form and layout that it finds in C1, and in the plain form if there is no valid digest; then the
/// version bytes of S1 are zero, because clients that find a version there (ffmpeg) demand digests. To a client that
/// wants encryption it answers in the layout with the digest first: ffmpeg, when it publishes, takes the key from
/// there whatever its own layout was.
#[derive(Debug)]
pub struct Server {
    seed: Seed,
    /// What is left when C2 has come; `None` before C1.
    finished: Option<Finished>,
}

impl Server {
    /// `seed` has to be secret, random, and another one for each connection: the keys of an encrypted one come from it.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed: Seed::new(seed), finished: None }
    }

    /// Takes its part of `input`, appends its answer to `out`, and says when the handshake is over. What then is left
    /// of `input` is for the ciphers, if there are any.
    ///
    /// # Errors
    /// `Malformed` if the peer speaks something else or asks for encryption without a digest, `Violation` if its public
    /// key is weak.
    pub fn handle_input(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<Option<Finished>, Error> {
        if self.finished.is_none() {
            // Looked at as soon as it is there, so that another protocol on the port is told apart at its first byte
            // (`RTMP` section 5.2.2). A peer with an unknown version is to be answered with version 3 and may give up.
            let encrypted = match input.first() {
                Some(6 | 8 | 9) => true,
                Some(32..) => {
                    return Err(Error::Malformed("not RTMP: handshake version is a printable character"));
                }
                _ => false,
            };
            if input.len() < 1 + BLOCK {
                return Ok(None);
            }
            let c1 = &input[1..1 + BLOCK];
            self.finished = Some(self.answer(encrypted, c1, out)?);
            input.advance(1 + BLOCK);
        }
        if input.len() < BLOCK {
            return Ok(None);
        }
        input.advance(BLOCK);
        Ok(self.finished.take())
    }

    fn answer(&self, encrypted: bool, c1: &[u8], out: &mut BytesMut) -> Result<Finished, Error> {
        let mut filler = self.seed.filler();
        out.reserve(1 + 2 * BLOCK);
        // Without version bytes there is no digest.
        let found = if c1[VERSION_BYTES] == [0; 4] { None } else { digest::find(c1, Side::Client) };
        match found {
            Some((layout, peer_digest)) if encrypted => {
                let peer = layout.key(c1);
                let (pair, secret) = self.exchange(&peer)?;
                let mut s1 = block(&mut filler, SERVER_VERSION);
                Layout::DigestFirst.put_key(&mut s1, pair.public());
                digest::seal(&mut s1, Layout::DigestFirst, Side::Server);
                out.put_u8(VERSION_ENCRYPTED);
                out.put_slice(&s1);
                put_signed_block(out, &mut filler, &peer_digest, Side::Server, Scheme::Bare);
                let ciphers = Ciphers::new(&secret, pair.public(), &peer);
                Ok(Finished::with_digests(&s1, Some(ciphers)))
            }
            None if encrypted => Err(Error::Malformed("encrypted handshake without a valid digest")),
            Some((layout, peer_digest)) => {
                let mut s1 = block(&mut filler, SERVER_VERSION);
                digest::seal(&mut s1, layout, Side::Server);
                out.put_u8(VERSION);
                out.put_slice(&s1);
                put_signed_block(out, &mut filler, &peer_digest, Side::Server, Scheme::Bare);
                Ok(Finished::with_digests(&s1, None))
            }
            None => {
                out.put_u8(VERSION);
                out.put_slice(&block(&mut filler, [0; 4]));
                out.put_slice(c1);
                Ok(Finished::plain())
            }
        }
    }

    /// A key pair, and the secret that it shares with the peer's key. The secret has no leading zero: programs that do
    /// not pad a shorter one (ffmpeg, librtmp with OpenSSL) would arrive at other keys.
    fn exchange(&self, peer: &[u8; dh::BYTES]) -> Result<(dh::KeyPair, [u8; dh::BYTES]), Error> {
        let peer = dh::PublicKey::parse(peer)?;
        let mut attempts = (0..KEY_PAIRS_MAX).map(|attempt| {
            let pair = dh::KeyPair::new(self.seed.exponent(attempt));
            let secret = pair.secret(&peer);
            (pair, secret)
        });
        attempts.find(|(_, secret)| secret[0] != 0).ok_or(Error::Violation("weak Diffie-Hellman key"))
    }
}
