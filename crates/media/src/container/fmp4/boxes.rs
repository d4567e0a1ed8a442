//! Boxes: a size, a type, and a body that is fields or more boxes (ISO/IEC 14496-12 section 4.2).

use crate::Malformed;
use bytes::{BufMut, BytesMut};
use wire::Reader;

/// The type of a box.
pub(super) type Kind = [u8; 4];

/// Writes a box whose body is what `body` writes.
pub(super) fn write_box<T>(out: &mut BytesMut, kind: &Kind, body: impl FnOnce(&mut BytesMut) -> T) -> T {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    let result = body(out);
    // What is written here is far below 4 GiB: media is not among it.
    let size = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    result
}

/// Writes a box that begins with a version and 24 bits of flags (section 4.2.2, `FullBox`).
pub(super) fn write_full_box<T>(
    out: &mut BytesMut,
    kind: &Kind,
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut BytesMut) -> T,
) -> T {
    write_box(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags & 0x00ff_ffff);
        body(out)
    })
}

/// Bytes of the head of an `mdat` box for so many bytes of media.
pub(super) fn media_head_bytes(payload_bytes: u64) -> u64 {
    if payload_bytes + 8 > u64::from(u32::MAX) { 16 } else { 8 }
}

/// Writes the head of an `mdat` box, with a size of 64 bits where it needs one.
pub(super) fn write_media_head(payload_bytes: u64, out: &mut BytesMut) {
    match u32::try_from(payload_bytes + 8) {
        Ok(size) => {
            out.put_u32(size);
            out.put_slice(b"mdat");
        }
        Err(_) => {
            out.put_u32(1);
            out.put_slice(b"mdat");
            out.put_u64(payload_bytes + 16);
        }
    }
}

/// The most bytes that the head of a box has: size, type, and a size of 64 bits.
pub(super) const HEAD_BYTES_MAX: usize = 16;

/// The head of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// Bytes of this head.
    pub(super) head_bytes: u64,
    /// Bytes of the body; `None` where it goes on to the end of what it is in.
    pub(super) body_bytes: Option<u64>,
}

/// Reads the head of a box. What a `uuid` box is named stays in its body: such boxes are passed over.
pub(super) fn read_head(reader: &mut Reader<'_>) -> Result<Head, Malformed> {
    const LARGE: u32 = 1;
    const TO_THE_END: u32 = 0;
    let size = reader.u32()?;
    let kind = reader.array()?;
    let (head_bytes, size) = match size {
        TO_THE_END => return Ok(Head { kind, head_bytes: 8, body_bytes: None }),
        LARGE => (16, reader.u64()?),
        size => (8, u64::from(size)),
    };
    let body_bytes = size.checked_sub(head_bytes).ok_or(Malformed("a box is smaller than its head"))?;
    Ok(Head { kind, head_bytes, body_bytes: Some(body_bytes) })
}

/// The boxes that `container` consists of, to its end or to padding that has no room for a head.
pub(super) fn children(container: &[u8]) -> impl Iterator<Item = Result<(Kind, &[u8]), Malformed>> {
    let mut reader = Reader::new(container);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || reader.remaining() < 8 {
            return None;
        }
        let mut next = || {
            let head = read_head(&mut reader)?;
            let left = reader.remaining();
            let size = head.body_bytes.map_or(left, |size| usize::try_from(size).unwrap_or(usize::MAX));
            let body = reader.take(size).map_err(|_| Malformed("a box is longer than what it is in"))?;
            Ok((head.kind, body))
        };
        let child = next();
        failed = child.is_err();
        Some(child)
    })
}

/// The boxes of one type in `container`.
pub(super) fn children_of<'a>(
    container: &'a [u8],
    kind: &'static Kind,
) -> impl Iterator<Item = Result<&'a [u8], Malformed>> {
    children(container).filter_map(move |child| match child {
        Ok((found, body)) => (found == *kind).then_some(Ok(body)),
        Err(error) => Some(Err(error)),
    })
}

/// The first box of one type in `container`.
pub(super) fn find<'a>(container: &'a [u8], kind: &Kind) -> Result<Option<&'a [u8]>, Malformed> {
    for child in children(container) {
        let (found, body) = child?;
        if found == *kind {
            return Ok(Some(body));
        }
    }
    Ok(None)
}

/// Starts reading a full box: its version, its flags, and the reader behind them.
pub(super) fn read_full(body: &[u8]) -> Result<(u8, u32, Reader<'_>), Malformed> {
    let mut reader = Reader::new(body);
    let version = reader.u8()?;
    let flags = reader.u24()?;
    Ok((version, flags, reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_end_at_padding_and_fail_where_they_do_not_fit() {
        let mut out = BytesMut::new();
        write_box(&mut out, b"free", |out| out.put_u8(7));
        write_full_box(&mut out, b"test", 1, 2, |_| ());
        out.put_slice(&[0; 5]);
        let found: Vec<_> = children(&out).map(|child| child.unwrap()).collect();
        assert_eq!(found, [(*b"free", &[7][..]), (*b"test", &[1, 0, 0, 2])]);
        assert_eq!(find(&out, b"test"), Ok(Some(&[1, 0, 0, 2][..])));
        assert!(find(&out[..19], b"test").is_err());
        assert!(children(b"\0\0\0\x04free").any(|child| child.is_err()));
        let large = b"\0\0\0\x01free\0\0\0\0\0\0\0\x11x";
        assert_eq!(find(large, b"free"), Ok(Some(&b"x"[..])));
    }

    #[test]
    fn large_media_has_a_large_head() {
        for (bytes, head) in [(5, 8), (u64::from(u32::MAX) - 8, 8), (u64::from(u32::MAX), 16)] {
            let mut out = BytesMut::new();
            write_media_head(bytes, &mut out);
            assert_eq!((out.len() as u64, media_head_bytes(bytes)), (head, head));
            let head = read_head(&mut Reader::new(&out)).unwrap();
            assert_eq!((head.kind, head.body_bytes), (*b"mdat", Some(bytes)));
        }
    }
}
