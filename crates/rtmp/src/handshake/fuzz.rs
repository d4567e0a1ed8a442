//! The body of the fuzz target of handshakes.

use bytes::{BufMut, BytesMut};

use super::{BLOCK, Client, Form, Layout, Server, Side, digest};

/// Both ends of every form against any bytes, and the encrypted ones also against blocks whose digest is right.
pub(crate) fn handshake(data: &[u8]) {
    let [options, data @ ..] = data else { return };
    feed(data, 1 + 13 * usize::from(*options));
    let mut block = BytesMut::zeroed(BLOCK);
    for (byte, of_data) in block.iter_mut().zip(data.iter().cycle()) {
        *byte = *of_data;
    }
    let layout = if options & 1 == 0 { Layout::DigestFirst } else { Layout::KeyFirst };
    let side = if options & 2 == 0 { Side::Client } else { Side::Server };
    digest::seal(&mut block, layout, side);
    assert!(digest::find(&block, side).is_some(), "a digest is found where it was put");
    let version = [3, 6, 8, 9][usize::from(options >> 2 & 3)];
    feed(&[&[version], &block[..], &[0; BLOCK]].concat(), 5000);
}

fn feed(data: &[u8], step: usize) {
    let mut out = BytesMut::new();
    let mut server = Server::new([1; 32]);
    let mut clients = [Form::Plain, Form::Digest, Form::Encrypted]
        .map(|form| (Client::new(form, [2; 32], &mut out), BytesMut::new()));
    let mut input = BytesMut::new();
    let mut serving = true;
    for part in data.chunks(step) {
        input.put_slice(part);
        serving = serving && matches!(server.handle_input(&mut input, &mut out), Ok(None));
        for (client, input) in &mut clients {
            input.put_slice(part);
            let _ = client.handle_input(input, &mut out);
        }
    }
    assert!(!serving || input.len() <= BLOCK, "a block that is whole is taken");
}
