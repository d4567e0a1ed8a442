//! The encrypted handshake, with ourselves and with peers that choose otherwise.

use proptest::prelude::*;

use super::random::Seed;
use super::*;
use crate::Error;

/// A seed per number.
fn seed(number: u16) -> [u8; 32] {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    seed
}

/// A C1 or S1 with a public key, and the key pair.
fn keyed_block(seed: [u8; 32], layout: Layout, side: Side) -> (BytesMut, dh::KeyPair) {
    let seed = Seed::new(seed);
    let pair = dh::KeyPair::new(seed.exponent(0));
    let mut block = block(&mut seed.filler(), [128, 0, 3, 2]);
    layout.put_key(&mut block, pair.public());
    digest::seal(&mut block, layout, side);
    (block, pair)
}

fn with_version(version: u8, blocks: &[&[u8]]) -> BytesMut {
    [&[version], &blocks.concat()[..]].concat()[..].into()
}

/// Whether each end reads what the other writes.
fn assert_connected(one: &mut Ciphers, two: &mut Ciphers) {
    let text = *b"behind the handshake";
    for _ in 0..3 {
        let mut bytes = text;
        one.seal(&mut bytes);
        assert_ne!(bytes, text);
        two.open(&mut bytes);
        assert_eq!(bytes, text);
        two.seal(&mut bytes);
        one.open(&mut bytes);
        assert_eq!(bytes, text);
    }
}

/// The ciphers of a server after a client whose blocks are in `layout`, and those of that client.
fn server_against_other_client(number: u16, layout: Layout) -> (Box<Ciphers>, Ciphers) {
    let mut server = Server::new(seed(number));
    let (c1, pair) = keyed_block(seed(!number), layout, Side::Client);
    let mut answer = BytesMut::new();
    assert!(server.handle_input(&mut with_version(6, &[&c1]), &mut answer).unwrap().is_none());
    assert_eq!(answer[0], 6);
    let (s1, s2) = answer[1..].split_at(BLOCK);
    // ffmpeg takes the key from here without looking for the digest.
    let public = Layout::DigestFirst.key(s1);
    assert_eq!(digest::find(s1, Side::Server).unwrap().0, Layout::DigestFirst);
    let (_, c1_digest) = digest::find(&c1, Side::Client).unwrap();
    let signature = signature::sign(&s2[..BLOCK - 32], &c1_digest, Side::Server, Scheme::Bare);
    assert_eq!(s2[BLOCK - 32..], signature);
    let secret = pair.secret(&dh::PublicKey::parse(&public).unwrap());
    assert_ne!(secret[0], 0, "ffmpeg would not pad it");
    // It also sends S1 back.
    let finished = server.handle_input(&mut s1.into(), &mut BytesMut::new()).unwrap().unwrap();
    assert_eq!(finished.swf_key.as_ref(), s1.last_chunk());
    (finished.ciphers.unwrap(), Ciphers::new(&secret, pair.public(), &public))
}

/// The ciphers of a client after a server that answers with `version` in `layout`, and those of that server.
fn client_against_other_server(number: u16, layout: Layout, version: u8) -> (Box<Ciphers>, Ciphers) {
    let mut hello = BytesMut::new();
    let mut client = Client::new(Form::Encrypted, seed(number), &mut hello);
    assert_eq!((hello[0], hello.len()), (6, 1 + BLOCK));
    let (c1_layout, _) = digest::find(&hello[1..], Side::Client).unwrap();
    let public = c1_layout.key(&hello[1..]);
    let (s1, pair) = keyed_block(seed(!number), layout, Side::Server);
    let mut c2 = BytesMut::new();
    let mut answer = with_version(version, &[&s1, &[0; BLOCK]]);
    let finished = client.handle_input(&mut answer, &mut c2).unwrap().unwrap();
    let (_, s1_digest) = digest::find(&s1, Side::Server).unwrap();
    let scheme = Scheme::of_version(version);
    assert_eq!(c2[BLOCK - 32..], signature::sign(&c2[..BLOCK - 32], &s1_digest, Side::Client, scheme));
    let secret = pair.secret(&dh::PublicKey::parse(&public).unwrap());
    (finished.ciphers.unwrap(), Ciphers::new(&secret, pair.public(), &public))
}

/// Public keys and secrets with leading zeros come up several times in so many.
const MANY: u16 = 500;

#[test]
fn no_handshake_of_many_fails_between_our_own_ends() {
    for number in 0..MANY {
        let mut to_server = BytesMut::new();
        let mut client = Client::new(Form::Encrypted, seed(number), &mut to_server);
        let mut server = Server::new(seed(!number));
        let mut to_client = BytesMut::new();
        assert!(server.handle_input(&mut to_server, &mut to_client).unwrap().is_none());
        let client = client.handle_input(&mut to_client, &mut to_server).unwrap().unwrap();
        to_server.put_slice(b"chunks");
        let server = server.handle_input(&mut to_server, &mut to_client).unwrap().unwrap();
        assert_eq!(&to_server[..], b"chunks", "what is behind C2 is left");
        assert_eq!(client.swf_key, server.swf_key);
        assert_connected(&mut client.ciphers.unwrap(), &mut server.ciphers.unwrap());
    }
}

#[test]
fn no_handshake_of_many_fails_with_a_client_of_either_layout() {
    for number in 0..MANY {
        let layout = [Layout::DigestFirst, Layout::KeyFirst][usize::from(number % 2)];
        let (mut server, mut client) = server_against_other_client(number, layout);
        assert_connected(&mut server, &mut client);
    }
}

#[test]
fn no_handshake_of_many_fails_with_a_server_of_any_layout_and_version() {
    for number in 0..MANY {
        let layout = [Layout::DigestFirst, Layout::KeyFirst][usize::from(number % 2)];
        let (mut client, mut server) =
            client_against_other_server(number, layout, [6, 8, 9][usize::from(number % 3)]);
        assert_connected(&mut client, &mut server);
    }
}

#[test]
fn encryption_without_a_digest_is_refused() {
    let mut hello = with_version(6, &[&[1; BLOCK]]);
    let error = Server::new(seed(0)).handle_input(&mut hello, &mut BytesMut::new()).unwrap_err();
    assert!(matches!(error, Error::Malformed(_)));
    let mut client = Client::new(Form::Encrypted, seed(0), &mut BytesMut::new());
    let mut answer = with_version(6, &[&[1; BLOCK]]);
    assert!(matches!(client.handle_input(&mut answer, &mut BytesMut::new()), Err(Error::Malformed(_))));
}

#[test]
fn weak_keys_end_the_handshake() {
    for side in [Side::Client, Side::Server] {
        let mut weak = block(&mut Seed::new(seed(0)).filler(), [128, 0, 3, 2]);
        Layout::KeyFirst.put_key(&mut weak, &[0; dh::BYTES]);
        digest::seal(&mut weak, Layout::KeyFirst, side);
        let (mut input, mut out) = (with_version(6, &[&weak]), BytesMut::new());
        let error = match side {
            Side::Client => Server::new(seed(0)).handle_input(&mut input, &mut out).unwrap_err(),
            Side::Server => {
                let mut client = Client::new(Form::Encrypted, seed(0), &mut BytesMut::new());
                client.handle_input(&mut input, &mut out).unwrap_err()
            }
        };
        assert_eq!(error, Error::Violation("weak Diffie-Hellman key"));
        assert!(out.is_empty());
    }
}

#[test]
fn client_and_server_have_to_agree_on_encryption() {
    let answer = |form, version: u8| {
        let mut client = Client::new(form, seed(0), &mut BytesMut::new());
        client.handle_input(&mut [version][..].into(), &mut BytesMut::new()).map(|_| ())
    };
    for version in [6, 8, 9] {
        assert!(matches!(answer(Form::Plain, version), Err(Error::Unsupported(_))));
        assert!(matches!(answer(Form::Digest, version), Err(Error::Unsupported(_))));
        assert_eq!(answer(Form::Encrypted, version), Ok(()));
    }
    assert_eq!(answer(Form::Plain, 3), Ok(()));
    assert!(matches!(answer(Form::Encrypted, 3), Err(Error::Unsupported(_))));
}

#[test]
fn bytes_sent_in_the_clear_do_not_tell_the_exponent() {
    let seed = Seed::new(seed(0));
    let mut sent = BytesMut::new();
    seed.filler().fill(&mut sent, 32);
    assert_ne!(sent[..], seed.exponent(0));
    assert_ne!(seed.exponent(0), seed.exponent(1));
    let shown = format!("{:?}{:?}", dh::KeyPair::new(seed.exponent(0)), Ciphers::new(&[1], &[2], &[3]));
    assert_eq!(shown, "KeyPair { .. }Ciphers { .. }");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_encrypted_handshake_connects_in_any_pieces(
        client_seed in any::<[u8; 32]>(),
        server_seed in any::<[u8; 32]>(),
        step in 1_usize..4000,
    ) {
        let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
        let mut client = Client::new(Form::Encrypted, client_seed, &mut to_server);
        let mut server = Server::new(server_seed);
        let (mut server_input, mut client_input) = (BytesMut::new(), BytesMut::new());
        let (mut of_server, mut of_client) = (None, None);
        while of_server.is_none() || of_client.is_none() {
            let count = step.min(to_server.len());
            server_input.put_slice(&to_server.split_to(count));
            of_server = of_server.or(server.handle_input(&mut server_input, &mut to_client).unwrap());
            let count = step.min(to_client.len());
            client_input.put_slice(&to_client.split_to(count));
            of_client = of_client.or(client.handle_input(&mut client_input, &mut to_server).unwrap());
        }
        let (server, client): (Finished, Finished) = (of_server.unwrap(), of_client.unwrap());
        assert_connected(&mut server.ciphers.unwrap(), &mut client.ciphers.unwrap());
    }

    #[test]
    fn damaged_blocks_never_connect(at in 0_usize..BLOCK, bit in 0_u8..8, key_first in any::<bool>()) {
        let layout = if key_first { Layout::KeyFirst } else { Layout::DigestFirst };
        let (mut c1, _) = keyed_block(seed(1), layout, Side::Client);
        c1[at] ^= 1 << bit;
        let result = Server::new(seed(2)).handle_input(&mut with_version(6, &[&c1]), &mut BytesMut::new());
        prop_assert!(result.is_err());
    }
}
