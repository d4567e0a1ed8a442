use proptest::prelude::*;

use super::*;

fn conclusion() -> Handshake {
    Handshake {
        version: VERSION,
        encryption: 2,
        field: 0,
        initial: Sequence::new(0x1234_5678),
        mtu: 1500,
        flow_window: 8192,
        kind: Kind::Conclusion,
        socket_id: 0x0a0b_0c0d,
        cookie: 0xdead_beef,
        peer_address: Handshake::address(IpAddr::from([192, 0, 2, 1])),
        extensions: vec![
            Extension::HelloRequest(Hello {
                version: Hello::VERSION,
                flags: 0xbf,
                receive_ms: 120,
                send_ms: 0,
            }),
            Extension::KeyRequest(Bytes::from_static(&[1, 2, 3, 4])),
            Extension::StreamId("#!::r=cam1".to_owned()),
            Extension::Congestion("live".to_owned()),
            Extension::Group(Group { id: 7, kind: GroupKind::Backup, flags: 0, weight: 3 }),
        ],
    }
}

/// A conclusion as libsrt writes it.
const BYTES_OF_CONCLUSION: &[u8] = &[
    0, 0, 0, 5, // version
    0, 2, 0, 7, // AES-128; hello, keys and configuration follow
    0x12, 0x34, 0x56, 0x78, // first sequence number
    0, 0, 5, 0xdc, // 1500 bytes
    0, 0, 0x20, 0, // 8192 packets
    0xff, 0xff, 0xff, 0xff, // conclusion
    0x0a, 0x0b, 0x0c, 0x0d, // socket id
    0xde, 0xad, 0xbe, 0xef, // cookie
    1, 2, 0, 192, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // address
    0, 1, 0, 3, 0, 1, 5, 4, 0, 0, 0, 0xbf, 0, 120, 0, 0, // hello
    0, 3, 0, 1, 1, 2, 3, 4, // keys
    0, 5, 0, 3, b':', b':', b'!', b'#', b'a', b'c', b'=', b'r', 0, 0, b'1', b'm', // stream id
    0, 6, 0, 1, b'e', b'v', b'i', b'l', // congestion control
    0, 8, 0, 2, 0, 0, 0, 7, 2, 0, 0, 3, // group
];

pub(crate) fn seed() -> Bytes {
    Bytes::from_static(BYTES_OF_CONCLUSION)
}

#[test]
fn a_conclusion_is_read_and_written_as_libsrt_does() {
    let read = Handshake::read(&seed()).unwrap();
    assert_eq!(read, Handshake { field: 7, ..conclusion() });
    assert_eq!(conclusion().write(), seed());
    assert_eq!((read.hello_request().unwrap().receive_ms, read.hello_response()), (120, None));
    assert_eq!((read.key_request().unwrap().len(), read.key_response()), (4, None));
}

#[test]
fn a_handshake_that_makes_no_sense_is_refused() {
    for length in 0..BYTES_OF_CONCLUSION.len() {
        let whole_extensions = [48, 64, 72, 88, 96];
        let read = Handshake::read(&seed().slice(..length));
        assert_eq!(read.is_ok(), whole_extensions.contains(&length), "{length}");
    }
    let with = |position: usize, byte: u8| {
        let mut bytes = BYTES_OF_CONCLUSION.to_vec();
        bytes[position] = byte;
        Handshake::read(&bytes.into())
    };
    assert!(with(8, 0x80).is_err(), "a sequence number of 32 bits");
    assert!(with(20, 0x7f).is_err(), "an unknown step");
    assert!(with(76, 0xff).is_err(), "a stream id that is not UTF-8");
    assert!(with(89, 5).is_err(), "two stream ids");
}

#[test]
fn a_text_at_its_longest_is_read_and_a_longer_one_is_refused() {
    for (bytes, fits) in [(512, true), (513, false)] {
        let text = "x".repeat(bytes);
        let handshake = Handshake { extensions: vec![Extension::StreamId(text.clone())], ..conclusion() };
        let read = Handshake::read(&handshake.write());
        assert_eq!(read.is_ok(), fits);
        assert!(!fits || read.unwrap().extensions == [Extension::StreamId(text)]);
    }
}

proptest! {
    #[test]
    fn any_handshake_is_read_or_refused(tail in proptest::collection::vec(any::<u8>(), 0..60), kind in 0_usize..4) {
        let mut bytes = BYTES_OF_CONCLUSION[..48].to_vec();
        bytes.extend([[0, 1], [0, 5], [0, 8], [1, 1]][kind]);
        bytes.extend(tail);
        if let Ok(read) = Handshake::read(&bytes.into()) {
            let written = read.write();
            prop_assert_eq!(Handshake::read(&written).map(|again| again.write()), Ok(written));
        }
    }
}
