//! The Diffie-Hellman exchange of the encrypted handshake: the second Oakley group (RFC 2409 section 6.2), a safe
//! prime of 1024 bits, with generator 2.
//!
//! Public keys and secrets are 128 bytes, big-endian. What is shorter is padded on the left.

use std::fmt;

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{U256, U1024, const_monty_params};

use crate::Error;

/// Bytes of a public key and of a secret.
pub(super) const BYTES: usize = 128;

const_monty_params!(
    Group,
    U1024,
    concat!(
        "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74",
        "020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437",
        "4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed",
        "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff",
    ),
    "The prime."
);

type Element = ConstMontyForm<Group, { U1024::LIMBS }>;

/// Keys this close to either end of the range are refused, as are those with fewer ones or zeros than
/// [`BITS_MIN`]: nobody finds one by chance, and some give the secret away (RFC 7425 section 4.6.2).
const MARGIN: U1024 = U1024::from_u32(1 << 24);

/// See [`MARGIN`].
const BITS_MIN: u32 = 16;

/// One end of an exchange.
pub(super) struct KeyPair {
    /// Twice and more the strength of the group, so that nothing is gained by guessing it, at a quarter of the cost of
    /// a full one.
    exponent: U256,
    public: [u8; BYTES],
}

impl KeyPair {
    /// `exponent` has to be secret and random.
    pub(super) fn new(exponent: [u8; 32]) -> Self {
        let exponent = U256::from_be_slice(&exponent);
        let public = Element::new(&U1024::from_u8(2)).pow(&exponent);
        Self { exponent, public: to_bytes(&public) }
    }

    pub(super) fn public(&self) -> &[u8; BYTES] {
        &self.public
    }

    pub(super) fn secret(&self, peer: &PublicKey) -> [u8; BYTES] {
        to_bytes(&peer.0.pow(&self.exponent))
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").finish_non_exhaustive()
    }
}

/// The public key of a peer, checked.
#[derive(Debug)]
pub(super) struct PublicKey(Element);

impl PublicKey {
    /// # Errors
    /// `Violation` for a key that is out of range or weak.
    pub(super) fn parse(bytes: &[u8; BYTES]) -> Result<Self, Error> {
        let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        let zeros = 8 * BYTES as u32 - ones;
        let key = U1024::from_be_slice(bytes);
        let largest = Group::PARAMS.modulus().as_ref().wrapping_sub(&MARGIN);
        if ones < BITS_MIN || zeros < BITS_MIN || key < MARGIN || key > largest {
            return Err(Error::Violation("weak Diffie-Hellman key"));
        }
        Ok(Self(Element::new(&key)))
    }
}

fn to_bytes(element: &Element) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes.copy_from_slice(element.retrieve().to_be_bytes().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prime() -> U1024 {
        *Group::PARAMS.modulus().as_ref()
    }

    fn parse(key: &U1024) -> Result<PublicKey, Error> {
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(key.to_be_bytes().as_ref());
        PublicKey::parse(&bytes)
    }

    #[test]
    fn secret_of_known_exponents_does_not_change() {
        // Computed with another implementation: pow(2, a, p), pow(pow(2, b, p), a, p).
        let (one, two) = (KeyPair::new([0x11; 32]), KeyPair::new([0xab; 32]));
        assert_eq!(one.public()[..8], [0xa3, 0x61, 0x61, 0x41, 0xac, 0xe2, 0x8d, 0xf1]);
        let secret = one.secret(&PublicKey::parse(two.public()).unwrap());
        assert_eq!(secret[..8], [0x7a, 0x28, 0x19, 0x38, 0xc8, 0x1d, 0xc6, 0x36]);
        assert_eq!(secret, two.secret(&PublicKey::parse(one.public()).unwrap()));
    }

    #[test]
    fn short_numbers_are_padded_on_the_left() {
        // 2^5 needs no reduction.
        let mut exponent = [0; 32];
        exponent[31] = 5;
        let pair = KeyPair::new(exponent);
        assert_eq!(pair.public()[..BYTES - 1], [0; BYTES - 1]);
        assert_eq!(pair.public()[BYTES - 1], 32);
    }

    #[test]
    fn weak_keys_are_refused() {
        let (one, p) = (U1024::ONE, prime());
        let few_ones = (0..14).fold(U1024::ZERO, |key, bit| key.wrapping_add(&one.shl(1000 - bit)));
        let few_zeros = U1024::MAX.wrapping_sub(&few_ones).wrapping_sub(&one.shl(1023));
        let weak = [
            U1024::ZERO,
            one,
            U1024::from_u32(2),
            MARGIN.wrapping_sub(&one),
            few_ones,
            few_zeros,
            p.wrapping_sub(&MARGIN).wrapping_add(&one),
            p.wrapping_sub(&one),
            p,
            p.wrapping_add(&U1024::from_u32(2)),
            U1024::MAX,
        ];
        for key in weak {
            assert!(matches!(parse(&key), Err(Error::Violation(_))), "{key}");
        }
    }

    #[test]
    fn keys_at_the_margins_are_taken() {
        // With enough ones, or zeros, to pass the other check.
        let pattern = U1024::from_u64(0x5555_5555_5555);
        assert!(parse(&MARGIN.wrapping_add(&pattern)).is_ok());
        assert!(parse(&prime().wrapping_sub(&pattern)).is_ok());
    }
}
