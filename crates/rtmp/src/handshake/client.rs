//! The client end.

use bytes::{Buf, BufMut, BytesMut};

use super::random::{Filler, Seed};
use super::{BLOCK, Ciphers, Finished, Layout, Scheme, Side, VERSION, VERSION_BYTES, VERSION_ENCRYPTED};
use super::{block, dh, digest, put_signed_block};
use crate::Error;

/// Version bytes of a client that uses digests: the player whose handshake servers know.
const CLIENT_VERSION: [u8; 4] = [10, 0, 32, 18];
/// Version bytes of a client that wants encryption. The 128 tells servers that it knows versions 8 and 9.
const CLIENT_VERSION_ENCRYPTED: [u8; 4] = [128, 0, 3, 2];

/// The form of the handshake a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// The one of the specification: random bytes, echoed.
    #[default]
    Plain,
    /// With digests, as Flash players send; servers that do not know them answer in the plain form.
    Digest,
    /// With digests and encryption of everything after it (RTMPE). A server that does not encrypt is left.
    Encrypted,
}

/// The client end of a handshake.
#[derive(Debug)]
pub struct Client {
    form: Form,
    filler: Filler,
    /// Of the encrypted form.
    pair: Option<dh::KeyPair>,
    /// What is left when S2 has come; `None` before S1.
    finished: Option<Finished>,
}

impl Client {
    /// Appends C0 and C1 to `out`. `seed` has to be secret, random, and another one for each connection: the keys of
    /// an encrypted one come from it.
    pub fn new(form: Form, seed: [u8; 32], out: &mut BytesMut) -> Self {
        let seed = Seed::new(seed);
        let mut filler = seed.filler();
        out.reserve(1 + BLOCK);
        out.put_u8(if form == Form::Encrypted { VERSION_ENCRYPTED } else { VERSION });
        let mut pair = None;
        match form {
            Form::Plain => out.put_slice(&block(&mut filler, [0; 4])),
            Form::Digest => {
                let mut c1 = block(&mut filler, CLIENT_VERSION);
                digest::seal(&mut c1, Layout::DigestFirst, Side::Client);
                out.put_slice(&c1);
            }
            Form::Encrypted => {
                // The layout that all clients use with encryption.
                let mut c1 = block(&mut filler, CLIENT_VERSION_ENCRYPTED);
                let pair = pair.insert(dh::KeyPair::new(seed.exponent(0)));
                Layout::KeyFirst.put_key(&mut c1, pair.public());
                digest::seal(&mut c1, Layout::KeyFirst, Side::Client);
                out.put_slice(&c1);
            }
        }
        Self { form, filler, pair, finished: None }
    }

    /// Takes its part of `input`, appends C2 to `out` once S1 is there, and says when the handshake is over. What then
    /// is left of `input` is for the ciphers, if there are any.
    ///
    /// # Errors
    /// `Malformed` if the peer speaks something else, `Unsupported` if it encrypts unasked or not although asked,
    /// `Violation` if its public key is weak.
    pub fn handle_input(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<Option<Finished>, Error> {
        if self.finished.is_none() {
            match (input.first(), self.form) {
                (None, _) | (Some(6 | 8 | 9), Form::Encrypted) => {}
                (Some(32..), _) => {
                    return Err(Error::Malformed("not RTMP: handshake version is a printable character"));
                }
                (_, Form::Encrypted) => return Err(Error::Unsupported("the server does not encrypt")),
                (Some(6 | 8 | 9), _) => return Err(Error::Unsupported("the server encrypts unasked")),
                _ => {}
            }
            if input.len() < 1 + BLOCK {
                return Ok(None);
            }
            let (version, s1) = (input[0], &input[1..1 + BLOCK]);
            self.finished = Some(self.answer(Scheme::of_version(version), s1, out)?);
            input.advance(1 + BLOCK);
        }
        if input.len() < BLOCK {
            return Ok(None);
        }
        input.advance(BLOCK);
        Ok(self.finished.take())
    }

    fn answer(&mut self, scheme: Scheme, s1: &[u8], out: &mut BytesMut) -> Result<Finished, Error> {
        let found = match self.form {
            Form::Digest if s1[VERSION_BYTES] == [0; 4] => None,
            Form::Digest | Form::Encrypted => digest::find(s1, Side::Server),
            Form::Plain => None,
        };
        let ciphers = match (&self.pair, found) {
            (None, _) => None,
            (Some(_), None) => return Err(Error::Malformed("encrypted handshake without a valid digest")),
            (Some(pair), Some((layout, _))) => {
                let peer = layout.key(s1);
                let secret = pair.secret(&dh::PublicKey::parse(&peer)?);
                Some(Ciphers::new(&secret, pair.public(), &peer))
            }
        };
        match found {
            None => {
                out.put_slice(s1);
                Ok(Finished::plain())
            }
            Some((_, peer_digest)) => {
                put_signed_block(out, &mut self.filler, &peer_digest, Side::Client, scheme);
                Ok(Finished::with_digests(s1, ciphers))
            }
        }
    }
}
