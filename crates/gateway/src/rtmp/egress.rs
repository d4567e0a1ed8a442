//! Packets as RTMP chunks.

use crate::egress::{Form, container, tag_time};
use bytes::{Bytes, BytesMut};
use hub::FormKey;
use media::Packet;
use media::container::flv;

/// Chunk streams of media. The session itself uses 2 and 3; a chunk stream of its own per kind lets audio pass between
/// the chunks of a large picture.
const CHUNK_STREAM_AUDIO: u32 = 4;
const CHUNK_STREAM_VIDEO: u32 = 6;
const CHUNK_STREAM_DATA: u32 = 5;

/// The chunked form of a packet: the same bytes for every player with the same chunk size and message stream, because each
/// message starts with a full (type 0) header and carries the stream's own clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkForm {
    pub(super) chunk_size: u32,
    pub(super) stream_id: u32,
}

impl Form for ChunkForm {
    fn key(&self) -> FormKey {
        FormKey { container: container::RTMP, parameters: [self.chunk_size, self.stream_id] }
    }

    fn build(&self, packet: &Packet) -> Bytes {
        let kind = flv::kind_of(packet);
        let chunk_stream = match kind {
            flv::AUDIO => CHUNK_STREAM_AUDIO,
            flv::VIDEO => CHUNK_STREAM_VIDEO,
            _ => CHUNK_STREAM_DATA,
        };
        let mut head = BytesMut::with_capacity(32);
        flv::write_body_head(packet, &mut head);
        let chunks = packet.payload.len() / self.chunk_size.max(1) as usize;
        let mut out = BytesMut::with_capacity(head.len() + packet.payload.len() + 18 + 8 * chunks);
        rtmp::chunk::write_message(
            &mut out,
            self.chunk_size,
            chunk_stream,
            self.stream_id,
            kind,
            tag_time(packet).millis() as u32,
            &[&head, &packet.payload],
        );
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{Codec, Flags, Role, Time, TrackId};
    use proptest::prelude::*;

    fn packet() -> Packet {
        Packet {
            track: TrackId::VIDEO,
            codec: Codec::H264,
            role: Role::Frame,
            flags: Flags { keyframe: true, disposable: false },
            dts: Time::ZERO,
            pts: Time::ZERO,
            payload: Bytes::from_static(&[7; 300]),
        }
    }

    proptest! {
        #[test]
        fn forms_have_one_key_if_they_are_alike_to_the_last_bit(
            chunk_size in 2..=rtmp::chunk::CHUNK_SIZE_MAX / 2,
            stream_id: u32,
            flipped in prop::option::of(0_u32..62),
        ) {
            let one = ChunkForm { chunk_size, stream_id };
            let other = match flipped {
                None => one,
                Some(bit @ 0..32) => ChunkForm { stream_id: stream_id ^ 1 << bit, ..one },
                Some(bit) => ChunkForm { chunk_size: (chunk_size ^ 1 << (bit - 32)).max(1), ..one },
            };
            prop_assert_eq!(one.key() == other.key(), flipped.is_none());
            prop_assert!(flipped.is_some() || one.build(&packet()) == other.build(&packet()));
        }
    }

    #[test]
    fn a_message_stream_is_not_taken_for_another_that_is_alike_in_the_low_bits() {
        let [one, other] = [1, 0x1_0001].map(|stream_id| ChunkForm { chunk_size: 65_536, stream_id });
        assert_ne!(one.build(&packet()), other.build(&packet()));
        assert_ne!(one.key(), other.key());
    }
}
