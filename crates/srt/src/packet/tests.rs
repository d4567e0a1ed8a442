use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap().bytes())
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect::<Vec<_>>()
        .into()
}

/// Datagrams, and what they hold. What is read of them is written as the same bytes.
fn table() -> Vec<(Bytes, Content)> {
    let control = Content::Control;
    vec![
        (
            hex("7fffffff  # sequence
                 ec000005  # only, in order, even key, sent again; message 5
                 00000100  # timestamp
                 11223344  # destination
                 aabbcc"),
            Content::Data(Data {
                sequence: Sequence::new(0x7fff_ffff),
                position: Position::Only,
                in_order: true,
                key: Some(Parity::Even),
                retransmitted: true,
                message: 5,
                payload: Bytes::from_static(&[0xaa, 0xbb, 0xcc]),
            }),
        ),
        (
            hex("00000001 90000001 00000100 11223344 # first of several, odd key"),
            Content::Data(Data {
                sequence: Sequence::new(1),
                position: Position::First,
                in_order: false,
                key: Some(Parity::Odd),
                retransmitted: false,
                message: 1,
                payload: Bytes::new(),
            }),
        ),
        (
            hex("80010000 00000000 00000100 11223344 00000000 # with libsrt's padding"),
            control(Control::KeepAlive),
        ),
        (hex("80050000 00000000 00000100 11223344 00000000"), control(Control::Shutdown)),
        (hex("80060000 00000007 00000100 11223344 00000000"), control(Control::Answer(7))),
        (hex("80040000 00000000 00000100 11223344 00000000"), control(Control::Congestion)),
        (hex("80080000 00000fa0 00000100 11223344 00000000"), control(Control::PeerError(4000))),
        (
            hex("80020000 00000000 00000100 11223344 00000009 # light"),
            control(Control::Acknowledgement(Acknowledgement {
                number: 0,
                next: Sequence::new(9),
                measured: None,
            })),
        ),
        (
            hex("80020000 00000003 00000100 11223344
                 00000009 000186a0 0000c350 00001fff 00000064 000003e8 00020000"),
            control(Control::Acknowledgement(Acknowledgement {
                number: 3,
                next: Sequence::new(9),
                measured: Some(Measured {
                    rtt_us: 100_000,
                    rtt_variance_us: 50_000,
                    room_packets: 8191,
                    packets_per_second: 100,
                    capacity_packets_per_second: 1000,
                    bytes_per_second: 131_072,
                }),
            })),
        ),
        (
            hex("80030000 00000000 00000100 11223344
                 00000004           # one
                 fffffffe 00000002  # a range across the wrap"),
            control(Control::LossReport(LossReport(vec![
                Range { first: Sequence::new(4), last: Sequence::new(4) },
                Range { first: Sequence::new(0x7fff_fffe), last: Sequence::new(2) },
            ]))),
        ),
        (
            hex("80070000 00000005 00000100 11223344 00000001 00000003"),
            control(Control::Drop { message: 5, first: Sequence::new(1), last: Sequence::new(3) }),
        ),
        (hex("ffff0003 00000000 00000100 11223344 0102"), control(Control::KeyRequest(hex("0102")))),
        (hex("ffff0004 00000000 00000100 11223344 00000003"), control(Control::KeyResponse(hex("00000003")))),
        (
            hex("ffff0009 00000001 00000100 11223344 ff"),
            control(Control::Unknown { kind: 0x7fff, subtype: 9, information: 1, body: hex("ff") }),
        ),
    ]
}

pub(crate) fn seeds() -> Vec<Bytes> {
    table().into_iter().map(|(bytes, _)| bytes).collect()
}

#[test]
fn packets_are_read_and_written_as_the_draft_draws_them() {
    for (bytes, content) in table() {
        let packet = Packet { timestamp: 0x100, destination: 0x1122_3344, content };
        assert_eq!(Packet::read(&bytes), Ok(packet.clone()));
        assert_eq!(packet.write(), bytes, "{packet:?}");
        assert_eq!(destination(&bytes), Some(0x1122_3344));
    }
}

#[test]
fn bodies_that_the_draft_leaves_empty_may_be_empty() {
    let packet = Packet::read(&hex("80010000 00000000 00000100 11223344")).unwrap();
    assert_eq!(packet.content, Content::Control(Control::KeepAlive));
}

#[test]
fn an_acknowledgement_of_older_programs_has_less_measured() {
    let bytes = hex("80020000 00000003 00000100 11223344 00000009 000186a0 0000c350 00001fff");
    let Content::Control(Control::Acknowledgement(read)) = Packet::read(&bytes).unwrap().content else {
        panic!()
    };
    let expected =
        Measured { rtt_us: 100_000, rtt_variance_us: 50_000, room_packets: 8191, ..Measured::default() };
    assert_eq!(read.measured, Some(expected));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for text in [
        "",
        "80010000 00000000 00000100",
        "00000001 98000001 00000100 11223344 # two keys",
        "80020000 00000003 00000100 11223344",
        "80020000 00000003 00000100 11223344 00000009 000186a0",
        "80030000 00000003 00000100 11223344 # no loss",
        "80030000 00000003 00000100 11223344 80000001",
        "80030000 00000003 00000100 11223344 80000002 00000001",
        "80030000 00000003 00000100 11223344 80000002 80000003",
        "80070000 00000005 00000100 11223344 00000003 00000001",
    ] {
        assert!(Packet::read(&hex(text)).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_datagram_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(packet) = Packet::read(&Bytes::from(bytes)) {
            prop_assert_eq!(Packet::read(&packet.write()), Ok(packet));
        }
    }
}
