use proptest::prelude::*;

use super::random::Seed;
use super::*;
use crate::Error;

/// Version bytes that say that there is a digest.
const VERSION: [u8; 4] = [128, 0, 3, 2];

/// Feeds `bytes` to a server in pieces of `step`; returns its answer, what it left over, and whether it is done.
fn serve(bytes: &[u8], step: usize) -> (BytesMut, BytesMut, bool) {
    let mut server = Server::new([7; 32]);
    let (mut input, mut out, mut done) = (BytesMut::new(), BytesMut::new(), false);
    for part in bytes.chunks(step) {
        input.put_slice(part);
        if !done {
            done = server.handle_input(&mut input, &mut out).unwrap().is_some();
        }
    }
    (out, input, done)
}

fn random_block(seed: u8) -> BytesMut {
    block(&mut Seed::new([seed; 32]).filler(), VERSION)
}

fn sealed_c1(layout: Layout) -> BytesMut {
    let mut c1 = random_block(9);
    digest::seal(&mut c1, layout, Side::Client);
    c1
}

#[test]
fn plain_handshake_is_echoed_with_version_zero() {
    let mut c0c1 = BytesMut::new();
    Client::new(Form::Plain, [1; 32], &mut c0c1);
    let (answer, left, done) = serve(&c0c1, 2000);
    assert_eq!((answer.len(), left.len(), done), (1 + 2 * BLOCK, 0, false));
    assert_eq!(answer[0], 3);
    assert_eq!(answer[5..9], [0; 4], "a version here makes ffmpeg demand digests");
    assert_eq!(answer[1 + BLOCK..], c0c1[1..]);
}

#[test]
fn digest_handshake_is_answered_in_the_layout_of_the_client() {
    for layout in [Layout::DigestFirst, Layout::KeyFirst] {
        let c1 = sealed_c1(layout);
        let (answer, _, _) = serve(&[&[3], &c1[..]].concat(), 2000);
        let (s1, s2) = answer[1..].split_at(BLOCK);
        assert_eq!(s1[4..8], [3, 5, 1, 1]);
        assert_eq!(digest::find(s1, Side::Server).unwrap().0, layout);
        let (_, c1_digest) = digest::find(&c1, Side::Client).unwrap();
        assert_eq!(
            s2[BLOCK - 32..],
            signature::sign(&s2[..BLOCK - 32], &c1_digest, Side::Server, Scheme::Bare)
        );
    }
}

#[test]
fn digest_of_a_known_block_does_not_change() {
    // Offset bytes are all 1, so the digest lies at 12 + 4 or 776 + 4. The digests come from another HMAC implementation.
    let mut block = vec![1; BLOCK];
    digest::seal(&mut block, Layout::DigestFirst, Side::Client);
    assert_eq!(block[16..24], [0xf3, 0x84, 0xf8, 0xf9, 0xaf, 0x5f, 0x37, 0xa7]);
    let mut block = vec![1; BLOCK];
    digest::seal(&mut block, Layout::KeyFirst, Side::Server);
    assert_eq!(block[780..788], [0x3b, 0x2f, 0x38, 0xdc, 0x51, 0x6e, 0x16, 0x57]);
    assert_eq!(
        signature::sign(&[1; BLOCK - 32], &[2; 32], Side::Server, Scheme::Bare)[..8],
        [0xc2, 0xdd, 0xf6, 0xd5, 0xfd, 0x09, 0xfe, 0x8b]
    );
    assert_eq!(
        signature::sign(&[1; BLOCK - 32], &[2; 32], Side::Client, Scheme::Bare)[..8],
        [0xe0, 0xc7, 0x6f, 0x7b, 0x67, 0x0e, 0x7b, 0xb3]
    );
}

#[test]
fn damaged_digest_falls_back_to_the_plain_form() {
    let mut c1 = sealed_c1(Layout::KeyFirst);
    c1[100] ^= 1;
    let (answer, _, _) = serve(&[&[3], &c1[..]].concat(), 2000);
    assert_eq!(answer[5..9], [0; 4]);
    assert_eq!(answer[1 + BLOCK..], c1[..]);
}

#[test]
fn commands_behind_c2_are_left_for_the_chunk_stream() {
    let bytes = [vec![3], vec![0; 2 * BLOCK], b"chunks".to_vec()].concat();
    for step in [1, 5, 1536, 1537, bytes.len()] {
        let (answer, left, done) = serve(&bytes, step);
        assert_eq!((answer.len(), &left[..], done), (1 + 2 * BLOCK, &b"chunks"[..], true));
    }
}

#[test]
fn client_and_server_finish_in_every_form_and_split() {
    for form in [Form::Plain, Form::Digest, Form::Encrypted] {
        for step in [1, 7, 1536, 5000] {
            let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
            let mut client = Client::new(form, [1; 32], &mut to_server);
            let mut server = Server::new([2; 32]);
            let (mut server_input, mut client_input) = (BytesMut::new(), BytesMut::new());
            let (mut server_done, mut client_done) = (false, false);
            for _ in 0..20_000 {
                let count = step.min(to_server.len());
                server_input.put_slice(&to_server.split_to(count));
                server_done |= server.handle_input(&mut server_input, &mut to_client).unwrap().is_some();
                let count = step.min(to_client.len());
                client_input.put_slice(&to_client.split_to(count));
                client_done |= client.handle_input(&mut client_input, &mut to_server).unwrap().is_some();
                if server_done && client_done {
                    break;
                }
            }
            assert!(server_done && client_done, "{form:?} in pieces of {step}");
        }
    }
}

#[test]
fn client_signs_c2_for_a_server_with_digests() {
    let mut out = BytesMut::new();
    let mut client = Client::new(Form::Digest, [1; 32], &mut out);
    let (mut answer, _, _) = serve(&out, 2000);
    let (_, s1_digest) = digest::find(&answer[1..1 + BLOCK], Side::Server).unwrap();
    let mut c2 = BytesMut::new();
    assert!(client.handle_input(&mut answer, &mut c2).unwrap().is_some());
    assert_eq!(c2[BLOCK - 32..], signature::sign(&c2[..BLOCK - 32], &s1_digest, Side::Client, Scheme::Bare));
}

#[test]
fn other_protocols_are_refused_at_their_first_byte() {
    for first in [b'G', b'P', 0x16 + 0x20, 0xff] {
        let mut input = BytesMut::from(&[first][..]);
        let error = Server::new([0; 32]).handle_input(&mut input, &mut BytesMut::new()).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)));
    }
}

#[test]
fn random_parts_differ_by_seed() {
    let mut blocks: Vec<_> = (0..4)
        .map(|seed| {
            let mut out = BytesMut::new();
            Client::new(Form::Plain, [seed; 32], &mut out);
            out
        })
        .collect();
    blocks.dedup();
    assert_eq!(blocks.len(), 4);
    assert!(blocks[0][9..].windows(16).all(|window| window != [0; 16]));
}

proptest! {
    #[test]
    fn any_bytes_finish_or_wait_or_fail(
        first in 0_u8..12,
        bytes in prop::collection::vec(any::<u8>(), 0..4000),
        step in 1_usize..2000,
    ) {
        let mut server = Server::new([3; 32]);
        let mut client = Client::new(Form::Digest, [3; 32], &mut BytesMut::new());
        let (mut server_input, mut client_input) = (BytesMut::new(), BytesMut::new());
        for part in [&[first], &bytes[..]].concat().chunks(step) {
            server_input.put_slice(part);
            client_input.put_slice(part);
            let _ = server.handle_input(&mut server_input, &mut BytesMut::new());
            let _ = client.handle_input(&mut client_input, &mut BytesMut::new());
        }
    }

    #[test]
    fn digest_is_found_in_every_random_block(seed in any::<[u8; 32]>(), key_first in any::<bool>()) {
        let layout = if key_first { Layout::KeyFirst } else { Layout::DigestFirst };
        let mut block = block(&mut Seed::new(seed).filler(), VERSION);
        digest::seal(&mut block, layout, Side::Client);
        prop_assert_eq!(digest::find(&block, Side::Client).unwrap().0, layout);
        prop_assert_eq!(digest::find(&block, Side::Server), None);
    }
}
