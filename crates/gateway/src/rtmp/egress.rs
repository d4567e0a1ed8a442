//! Packets as RTMP chunks.

use crate::egress::{Form, form_space, tag_time};
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
        // Chunk sizes are at most 2^24 and players use the first few message streams.
        FormKey(form_space::RTMP | u64::from(self.chunk_size) << 16 | u64::from(self.stream_id & 0xffff))
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
