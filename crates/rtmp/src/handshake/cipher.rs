//! RC4, which encrypts everything after an encrypted handshake.
//!
//! Its keystream is biased, nobody proves who they are, and nothing would notice changed bytes: it keeps a stream from
//! being read in passing and is no substitute for TLS.

use std::fmt;

use super::BLOCK;
use super::digest::hmac;

/// The keystreams of both directions of one connection.
///
/// They go on from call to call, so bytes must be passed in the order in which they are on the wire, and once.
pub struct Ciphers {
    incoming: Rc4,
    outgoing: Rc4,
}

impl Ciphers {
    /// Each direction has the first half of an HMAC as its key, over the public key of its receiver. The part of the
    /// keystreams that would cover a handshake block is thrown away.
    pub(super) fn new(secret: &[u8], own_public: &[u8], peer_public: &[u8]) -> Self {
        let direction = |receiver: &[u8]| {
            let mut cipher = Rc4::new(&hmac(secret, &[receiver])[..16]);
            cipher.apply(&mut [0; BLOCK]);
            cipher
        };
        Self { incoming: direction(own_public), outgoing: direction(peer_public) }
    }

    /// Decrypts what the peer sent.
    pub fn open(&mut self, bytes: &mut [u8]) {
        self.incoming.apply(bytes);
    }

    /// Encrypts what is about to be sent.
    pub fn seal(&mut self, bytes: &mut [u8]) {
        self.outgoing.apply(bytes);
    }
}

impl fmt::Debug for Ciphers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ciphers").finish_non_exhaustive()
    }
}

/// One direction. Each player has a keystream of its own, so this bounds how many encrypted ones a core can serve. Words
/// instead of bytes in the table, and eight bytes of keystream at once, make it half as fast again as the usual form.
struct Rc4 {
    table: [u32; 256],
    i: u8,
    /// Below 256.
    j: u32,
}

impl Rc4 {
    /// `key` holds 1 to 256 bytes.
    fn new(key: &[u8]) -> Self {
        let mut table: [u32; 256] = std::array::from_fn(|i| i as u32);
        let mut j = 0_u8;
        for (i, byte) in (0..table.len()).zip(key.iter().cycle()) {
            j = j.wrapping_add(table[i] as u8).wrapping_add(*byte);
            table.swap(i, usize::from(j));
        }
        Self { table, i: 0, j: 0 }
    }

    fn apply(&mut self, bytes: &mut [u8]) {
        let table = &mut self.table;
        let (mut i, mut j) = (self.i, self.j);
        let mut next = || {
            i = i.wrapping_add(1);
            let first = table[usize::from(i)];
            j = (j + first) & 0xff;
            let second = table[j as usize];
            table[usize::from(i)] = second;
            table[j as usize] = first;
            table[((first + second) & 0xff) as usize] as u8
        };
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for word in words {
            let mut stream = [0; 8];
            stream.fill_with(&mut next);
            *word = (u64::from_ne_bytes(*word) ^ u64::from_ne_bytes(stream)).to_ne_bytes();
        }
        rest.iter_mut().for_each(|byte| *byte ^= next());
        (self.i, self.j) = (i, j);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The keystream of a key at an offset.
    fn keystream(key: &[u8], offset: usize) -> [u8; 16] {
        let mut bytes = vec![0; offset + 16];
        Rc4::new(key).apply(&mut bytes);
        bytes[offset..].try_into().unwrap()
    }

    #[test]
    fn keystreams_are_those_of_rfc_6229() {
        let key: Vec<u8> = (1..=16).collect();
        for (key, offset, expected) in [
            (&key[..5], 0, 0xb2396305_f03dc027_ccc3524a_0a1118a8_u128),
            (&key[..5], 4096, 0xff25b589_95996707_e51fbdf0_8b34d875),
            (&key[..16], 0, 0x9ac7cc9a_609d1ef7_b2932899_cde41b97),
            (&key[..16], 16, 0x5248c495_9014126a_6e8a84f1_1d1a9e1c),
            (&key[..16], 1536, 0xffa0b514_647ec04f_6306b892_ae661181),
            (&key[..16], 4096, 0xa36a4c30_1ae8ac13_610ccbc1_2256cacc),
        ] {
            let found = keystream(key, offset);
            assert_eq!(found, expected.to_be_bytes(), "{} byte key at {offset}", key.len());
        }
    }

    #[test]
    fn directions_mirror_each_other() {
        let mut one = Ciphers::new(b"secret", b"one", b"two");
        let mut two = Ciphers::new(b"secret", b"two", b"one");
        let mut bytes = *b"from one";
        one.seal(&mut bytes);
        assert_ne!(&bytes, b"from one");
        two.open(&mut bytes);
        assert_eq!(&bytes, b"from one");
        let mut bytes = *b"from two";
        two.seal(&mut bytes);
        one.open(&mut bytes);
        assert_eq!(&bytes, b"from two");
    }

    proptest! {
        #[test]
        fn keystream_does_not_depend_on_how_the_bytes_are_split(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            step in 1_usize..40,
        ) {
            let (mut whole, mut parts) = (bytes.clone(), bytes);
            Rc4::new(b"key").apply(&mut whole);
            let mut cipher = Rc4::new(b"key");
            parts.chunks_mut(step).for_each(|part| cipher.apply(part));
            prop_assert_eq!(whole, parts);
        }
    }
}
