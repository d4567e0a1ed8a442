//! Writing chunks.

use bytes::{BufMut, BytesMut};

use super::EXTENDED;
use crate::limits;

const FMT_3: u8 = 0xc0;

/// Appends one message: one chunk with a full header (fmt 0), then as many of fmt 3 as it takes.
///
/// `csid` is 2 ..= 65,599, `timestamp` in milliseconds modulo 2^32. The parts of `payload` are joined, so a header
/// and a shared body need not be copied together first. Full headers cost eight bytes more than relative ones and
/// make the bytes the same for every receiver. An extended timestamp is repeated in every chunk (Errata 5.1).
///
/// A message over [`limits::MESSAGE_BYTES_MAX`] has no wire form; nothing is written for it.
pub fn write_message(
    out: &mut BytesMut,
    chunk_size: u32,
    csid: u32,
    stream_id: u32,
    kind: u8,
    timestamp: u32,
    payload: &[&[u8]],
) {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    if length > limits::MESSAGE_BYTES_MAX as usize {
        return;
    }
    let chunk_size = chunk_size.max(1) as usize;
    let extended = (timestamp >= EXTENDED).then_some(timestamp);
    let header_bytes = 3 + if extended.is_some() { 4 } else { 0 };
    out.reserve(11 + length + (1 + length / chunk_size) * header_bytes);

    write_basic_header(out, 0, csid);
    put_u24(out, timestamp.min(EXTENDED));
    put_u24(out, length as u32);
    out.put_u8(kind);
    out.put_u32_le(stream_id);
    if let Some(timestamp) = extended {
        out.put_u32(timestamp);
    }
    let mut room = chunk_size;
    for part in payload {
        let mut part = *part;
        while !part.is_empty() {
            if room == 0 {
                write_basic_header(out, FMT_3, csid);
                if let Some(timestamp) = extended {
                    out.put_u32(timestamp);
                }
                room = chunk_size;
            }
            let (now, later) = part.split_at(part.len().min(room));
            out.put_slice(now);
            room -= now.len();
            part = later;
        }
    }
}

pub(super) fn write_basic_header(out: &mut BytesMut, fmt: u8, csid: u32) {
    debug_assert!((2..=65_599).contains(&csid), "chunk stream id {csid}");
    match csid {
        0..64 => out.put_u8(fmt | csid as u8),
        64..320 => out.put_slice(&[fmt, (csid - 64) as u8]),
        _ => {
            out.put_u8(fmt | 1);
            out.put_u16_le((csid - 64) as u16);
        }
    }
}

pub(super) fn put_u24(out: &mut BytesMut, number: u32) {
    out.put_slice(&number.to_be_bytes()[1..]);
}
