//! Chunks.

use bytes::BytesMut;

/// Appends one message in chunks.
pub fn write_message(
    _out: &mut BytesMut,
    _chunk_size: u32,
    _csid: u32,
    _stream_id: u32,
    _kind: u8,
    _timestamp: u32,
    _payload: &[&[u8]],
) {
}
