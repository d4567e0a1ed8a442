use super::*;
use crate::{Flags, Packet, Time};
use bytes::{Bytes, BytesMut};

fn read(kind: u8, body: &[u8]) -> Vec<Packet> {
    let mut out = Vec::new();
    read_body(kind, Time::from_millis(1000), &Bytes::copy_from_slice(body), &mut out).unwrap();
    out
}

fn body_of(packet: &Packet) -> Bytes {
    let mut out = BytesMut::new();
    write_body_head(packet, &mut out);
    out.extend_from_slice(&packet.payload);
    out.freeze()
}

#[test]
fn legacy_avc_frame_has_its_composition_time_and_payload() {
    let [packet] = &read(VIDEO, &[0x27, 1, 0xff, 0xff, 0xfe, 0, 0, 0, 1, 0x01])[..] else { panic!() };
    assert_eq!(packet.pts, Time::from_millis(998));
    assert_eq!(packet.payload[..], [0, 0, 0, 1, 0x01]);
    assert_eq!(packet.flags, Flags { keyframe: false, disposable: true });
    assert_eq!(body_of(packet)[..], [0x27, 1, 0xff, 0xff, 0xfe, 0, 0, 0, 1, 0x01]);
}
