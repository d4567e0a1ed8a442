use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::{Error, chunk};

const SWF_RESPONSE: &[u8] = &{
    let mut body = [7; 44];
    (body[0], body[1]) = (0, 27);
    body
};

fn control_table() -> Vec<(u8, &'static [u8], Control)> {
    vec![
        (1, b"\0\0\x10\0", Control::SetChunkSize(4096)),
        (2, b"\0\0\0\x06", Control::Abort(6)),
        (3, b"\xff\xff\xff\xff", Control::Acknowledgement(u32::MAX)),
        (4, b"\0\0\0\0\0\x01", Control::User(UserControl::StreamBegin(1))),
        (4, b"\0\x01\0\0\0\x01", Control::User(UserControl::StreamEof(1))),
        (4, b"\0\x02\0\0\0\x01", Control::User(UserControl::StreamDry(1))),
        (
            4,
            b"\0\x03\0\0\0\x01\0\0\x0b\xb8",
            Control::User(UserControl::SetBufferLength { stream_id: 1, ms: 3000 }),
        ),
        (4, b"\0\x04\0\0\0\x01", Control::User(UserControl::StreamIsRecorded(1))),
        (4, b"\0\x06\0\0\0\x07", Control::User(UserControl::PingRequest(7))),
        (4, b"\0\x07\0\0\0\x07", Control::User(UserControl::PingResponse(7))),
        (4, b"\0\x1a", Control::User(UserControl::SwfVerifyRequest)),
        (4, SWF_RESPONSE, Control::User(UserControl::SwfVerifyResponse([7; 42]))),
        (4, b"\0\x1f", Control::User(UserControl::Other(31))),
        (5, b"\0\x26\x25\xa0", Control::WindowAckSize(2_500_000)),
        (6, b"\0\x26\x25\xa0\x02", Control::SetPeerBandwidth(2_500_000, Bandwidth::Dynamic)),
    ]
}

#[test]
fn control_messages_match_their_bytes_both_ways() {
    for (kind, body, control) in control_table() {
        assert_eq!(Control::read(kind, body), Ok(Some(control)));
        let mut out = BytesMut::new();
        control.write(&mut out, 128);
        let message = chunk::Decoder::new().next_message(&mut out).unwrap().unwrap();
        assert_eq!((message.stream_id, message.kind, &message.payload[..]), (0, kind, body));
        for end in 0..body.len() {
            // Only the type of a bandwidth may be missing.
            let read = Control::read(kind, &body[..end]);
            assert!(read.is_err() || (kind == 6 && end == 4), "{control:?} {end}");
        }
    }
    assert_eq!(Control::read(8, b""), Ok(None));
}

fn aggregate(timestamp: u32, payload: &'static [u8]) -> Vec<Result<Message, Error>> {
    let payload = Bytes::from_static(payload);
    parts_of_aggregate(Message { stream_id: 5, kind: AGGREGATE, timestamp, payload }).collect()
}

#[test]
fn aggregate_parts_take_its_stream_and_move_to_its_time() {
    let parts = aggregate(
        1000,
        b"\x08\0\0\x01\0\0\x64\0\0\0\x09a\0\0\0\x0c\x16\0\0\0\0\0\x65\0\0\0\0\0\0\0\x0b\x09\0\0\x02\0\0\x6e\x01\0\0\x09bc\0\0\0\x0d",
    );
    let [Ok(audio), Ok(video)] = &parts[..] else { panic!("{parts:?}") };
    assert_eq!((audio.stream_id, audio.kind, audio.timestamp, &audio.payload[..]), (5, 8, 1000, &b"a"[..]));
    assert_eq!((video.stream_id, video.kind, video.timestamp), (5, 9, 1010 + (1 << 24)));
}

#[test]
fn truncated_aggregate_gives_what_is_whole_and_then_an_error() {
    let parts = aggregate(0, b"\x08\0\0\x01\0\0\0\0\0\0\0a\0\0\0\x0c\x08\0\0\xff\0\0\0\0\0\0\0a");
    assert!(matches!(&parts[..], [Ok(_), Err(Error::Malformed(_))]));
    assert_eq!(aggregate(0, b"\x08\0\0\x01\0\0\0\0\0\0\0a").len(), 1, "the last back pointer may be missing");
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(kind in 0_u8..23, bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = Control::read(kind, &bytes);
        let _ = crate::Command::read(kind, &bytes);
        let aggregate = Message { stream_id: 1, kind, timestamp: 0, payload: bytes.into() };
        prop_assert!(parts_of_aggregate(aggregate).count() < 10);
    }
}
