//! As much of WebSocket (RFC 6455) as one-way media needs: the accept key, the head of a server frame, and reading the
//! few frames that players send.

use base64::Engine;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use sha1::{Digest, Sha1};

/// Players send nothing but close, ping and pong, which carry at most 125 bytes (RFC 6455 section 5.5); a small
/// text frame is read and ignored.
pub(crate) const FRAME_BYTES_MAX: u64 = 4096;

const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FINAL: u8 = 0x80;

/// The value of `Sec-WebSocket-Accept` (RFC 6455 section 4.2.2).
pub(super) fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64::engine::general_purpose::STANDARD.encode(hash.finalize())
}

/// Writes the head of a binary frame of `length` bytes. A server's frames are not masked (section 5.1).
pub(super) fn write_binary_head(length: usize, out: &mut BytesMut) {
    write_head(BINARY, length, out);
}

/// A close frame with a status code and a reason of at most 123 bytes.
pub(super) fn close_frame(code: u16, reason: &str) -> Bytes {
    let reason = &reason.as_bytes()[..reason.len().min(123)];
    let mut out = BytesMut::with_capacity(4 + reason.len());
    write_head(CLOSE, 2 + reason.len(), &mut out);
    out.put_u16(code);
    out.put_slice(reason);
    out.freeze()
}

fn write_head(opcode: u8, length: usize, out: &mut BytesMut) {
    out.put_u8(FINAL | opcode);
    match length {
        0..=125 => out.put_u8(length as u8),
        126..=0xffff => {
            out.put_u8(126);
            out.put_u16(length as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

/// What a frame of the player asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nothing.
    Nothing,
    /// Send this frame (a pong).
    Answer(Bytes),
    /// The player closes.
    Close,
}

/// The player broke the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) &'static str);

/// Takes one frame off `input`; `None` if it is not complete yet.
pub(crate) fn read_frame(input: &mut BytesMut) -> Result<Option<Asked>, Violation> {
    let mut reader = wire::Reader::new(input);
    let (Ok(first), Ok(second)) = (reader.u8(), reader.u8()) else { return Ok(None) };
    if second & 0x80 == 0 {
        return Err(Violation("a frame of a client is not masked"));
    }
    let length = match second & 0x7f {
        126 => reader.u16().map(u64::from),
        127 => reader.u64(),
        short => Ok(u64::from(short)),
    };
    let Ok(length) = length else { return Ok(None) };
    if length > FRAME_BYTES_MAX {
        return Err(Violation("a frame is larger than a player has reason to send"));
    }
    let (Ok(mask), Ok(masked)) = (reader.array::<4>(), reader.take(length as usize)) else { return Ok(None) };
    let opcode = first & 0xf;
    if opcode & 0x8 != 0 && (length > 125 || first & FINAL == 0) {
        return Err(Violation("a control frame is too long or fragmented"));
    }
    let asked = match opcode {
        CLOSE => Asked::Close,
        PING => {
            let mut out = BytesMut::with_capacity(2 + masked.len());
            write_head(PONG, masked.len(), &mut out);
            out.extend(masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
            Asked::Answer(out.freeze())
        }
        0..=2 | PONG => Asked::Nothing,
        _ => return Err(Violation("a frame has a reserved type")),
    };
    let consumed = reader.position();
    input.advance(consumed);
    Ok(Some(asked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accept_key_of_the_specification() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn ping_is_answered_with_its_own_bytes() {
        let mut input = BytesMut::from(&[0x89, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2, 0x88][..]);
        assert_eq!(
            read_frame(&mut input),
            Ok(Some(Asked::Answer(Bytes::from_static(&[0x8a, 2, b'h', b'i']))))
        );
        assert_eq!(read_frame(&mut input), Ok(None));
        assert_eq!(input[..], [0x88]);
    }

    #[test]
    fn frames_that_no_player_sends_end_the_connection() {
        for bad in [
            &[0x82, 0x01, 0][..],
            &[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0],
            &[0x83, 0x80, 0, 0, 0, 0],
            &[0x09, 0x80, 0, 0, 0, 0],
        ] {
            assert!(read_frame(&mut BytesMut::from(bad)).is_err(), "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = read_frame(&mut input) {}
        }

        #[test]
        fn length_of_a_head_can_be_read_back(length in 0usize..1 << 24) {
            let mut out = BytesMut::new();
            write_binary_head(length, &mut out);
            let mut reader = wire::Reader::new(&out);
            prop_assert_eq!(reader.u8(), Ok(0x82));
            let read = match reader.u8().unwrap() {
                126 => reader.u16().unwrap() as usize,
                127 => reader.u64().unwrap() as usize,
                short => short as usize,
            };
            prop_assert_eq!(read, length);
            prop_assert!(reader.is_empty());
        }
    }
}
