//! What tests and fuzz targets publish.

use crate::Env;
use crate::config::parse_channel;
use bytes::Bytes;
use media::{Codec, Flags, Packet, Role, Time, TrackId};
use std::time::Instant;

/// A publisher of `channel` that has sent one keyframe.
pub(crate) fn publish(env: &Env, channel: &str) -> hub::Publisher {
    let now = Instant::now();
    let name = parse_channel(channel).expect("a good name");
    let mut publisher = env.origin.publish(&name, now).expect("room for it");
    let packet = Packet {
        track: TrackId::VIDEO,
        codec: Codec::H264,
        role: Role::Frame,
        flags: Flags { keyframe: true, disposable: false },
        dts: Time::ZERO,
        pts: Time::ZERO,
        payload: Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x88]),
    };
    publisher.write(packet, now).expect("a good packet");
    publisher
}
