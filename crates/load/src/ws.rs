//! The client half of WebSocket (RFC 6455).
//!
//! ```text
//! frame    fin:1 rsv:3=0 opcode:4 | mask:1 length:7 [length:16 or 64] [mask:32] payload
//! opcode   0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong
//! ```

use crate::limits::FRAME_BYTES_MAX;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf, BytesMut};
use media::Malformed;
use sha1::{Digest, Sha1};
use wire::Reader;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const CONTROL_BYTES_MAX: u64 = 125;

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Header lines that ask for the change to WebSocket, for [`crate::http::request`].
pub fn upgrade(key: &[u8; 16]) -> String {
    format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
        BASE64_STANDARD.encode(key)
    )
}

/// The `Sec-WebSocket-Accept` that proves that the server read the key (RFC 6455 section 4.2.2).
pub fn accept(key: &[u8; 16]) -> String {
    let mut hash = Sha1::new();
    hash.update(BASE64_STANDARD.encode(key));
    hash.update(GUID);
    BASE64_STANDARD.encode(hash.finalize())
}

/// Takes the frames of a server apart as they arrive. Payloads pass through; nothing is collected.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Payload bytes of the current data frame that are still to come.
    left: u64,
    /// Within a message of several frames.
    fragmented: bool,
    closed: bool,
}

impl Decoder {
    /// Whether the server has said goodbye.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Moves the payloads of binary messages from `input` to the end of `out`, and appends to `reply` what the server
    /// must be answered: `mask` keys it.
    ///
    /// # Errors
    ///
    /// Masked frames, reserved bits or opcodes, text, control frames that are long or fragmented, frames above
    /// [`FRAME_BYTES_MAX`].
    pub fn decode(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        reply: &mut BytesMut,
        mask: [u8; 4],
    ) -> Result<(), Malformed> {
        while !self.closed {
            if self.left > 0 {
                let count = input.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                out.extend_from_slice(&input[..count]);
                input.advance(count);
                self.left -= count as u64;
                if self.left > 0 {
                    return Ok(());
                }
            }
            let Some(frame) = FrameHead::read(input)? else { return Ok(()) };
            if frame.opcode >= CLOSE {
                let end = frame.bytes + frame.length as usize;
                let Some(payload) = input.get(frame.bytes..end) else { return Ok(()) };
                match frame.opcode {
                    PING => write_masked(PONG, payload, mask, reply),
                    CLOSE => {
                        // The status code goes back, the reason does not.
                        write_masked(CLOSE, &payload[..payload.len().min(2)], mask, reply);
                        self.closed = true;
                    }
                    _ => {}
                }
                input.advance(end);
            } else {
                if self.fragmented != (frame.opcode == CONTINUATION) {
                    return Err(Malformed("WebSocket messages interleaved"));
                }
                self.fragmented = !frame.fin;
                self.left = frame.length;
                input.advance(frame.bytes);
            }
        }
        Ok(())
    }
}

struct FrameHead {
    fin: bool,
    opcode: u8,
    length: u64,
    /// Of the head itself.
    bytes: usize,
}

impl FrameHead {
    /// Checks the head at the front of `input` without removing it; `None` when it is not complete yet.
    fn read(input: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader::new(input);
        let (Ok(first), Ok(second)) = (reader.u8(), reader.u8()) else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Malformed("WebSocket extension that was not agreed on"));
        }
        if second & 0x80 != 0 {
            return Err(Malformed("masked WebSocket frame from a server"));
        }
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        let length = match second {
            126 => reader.u16().map(u64::from),
            127 => reader.u64(),
            short => Ok(u64::from(short)),
        };
        let Ok(length) = length else { return Ok(None) };
        match opcode {
            CONTINUATION | BINARY if length > FRAME_BYTES_MAX => {
                Err(Malformed("WebSocket frame above the size limit"))
            }
            CLOSE | PING | PONG if !fin || length > CONTROL_BYTES_MAX => {
                Err(Malformed("WebSocket control frame long or fragmented"))
            }
            CONTINUATION | BINARY | CLOSE | PING | PONG => {
                Ok(Some(Self { fin, opcode, length, bytes: reader.position() }))
            }
            1 => Err(Malformed("WebSocket text where FLV is expected")),
            _ => Err(Malformed("unknown WebSocket opcode")),
        }
    }
}

/// Appends a whole control frame; all that a client sends is masked (RFC 6455 section 5.3).
fn write_masked(opcode: u8, payload: &[u8], mask: [u8; 4], out: &mut BytesMut) {
    debug_assert!(payload.len() as u64 <= CONTROL_BYTES_MAX);
    out.extend_from_slice(&[0x80 | opcode, 0x80 | payload.len() as u8]);
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, bool), Malformed> {
        let mut decoder = Decoder::default();
        let (mut input, mut out, mut reply) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            decoder.decode(&mut input, &mut out, &mut reply, MASK)?;
        }
        Ok((out.to_vec(), reply.to_vec(), decoder.is_closed()))
    }

    #[test]
    fn the_accept_value_is_that_of_the_specification() {
        // RFC 6455 section 1.3.
        let key = *b"the sample nonce";
        assert!(upgrade(&key).contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
        assert_eq!(accept(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn payloads_of_whole_and_fragmented_messages_are_joined() {
        let frames: &[u8] = b"\x82\x03FLV\x02\x01a\x89\x02hi\x00\x00\x80\x01b\x82\x7e\x00\x02cd";
        let expected = (b"FLVabcd".to_vec(), vec![0x8a, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2], false);
        assert_eq!(decode(&[frames]), Ok(expected.clone()));
        let bytewise: Vec<&[u8]> = frames.chunks(1).collect();
        assert_eq!(decode(&bytewise), Ok(expected));
    }

    #[test]
    fn a_close_is_answered_and_ends_the_stream() {
        let (out, reply, closed) = decode(&[b"\x88\x05\x03\xe8bye\x82\x01x"]).unwrap();
        assert_eq!((out.as_slice(), closed), (&b""[..], true));
        assert_eq!(reply, [0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xe8 ^ 2]);
    }

    #[test]
    fn frames_that_break_the_rules_are_refused() {
        for bad in [
            &b"\xc2\x00"[..],
            b"\x82\x80\0\0\0\0",
            b"\x81\x02hi",
            b"\x83\x00",
            b"\x09\x00",
            b"\x89\x7e\x00\x80",
            b"\x80\x01x",
            b"\x02\x01a\x82\x01b",
            b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(decode(&[bad]).is_err(), "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail(bytes: Vec<u8>) {
            crate::fuzz::websocket(&bytes);
        }

        #[test]
        fn messages_survive_any_cut(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5), cut in 1_usize..40) {
            let mut coded = Vec::new();
            for message in &messages {
                coded.extend_from_slice(&[0x82, 126]);
                coded.extend_from_slice(&(message.len() as u16).to_be_bytes());
                coded.extend_from_slice(message);
            }
            let pieces: Vec<&[u8]> = coded.chunks(cut).collect();
            prop_assert_eq!(decode(&pieces), Ok((messages.concat(), vec![], false)));
        }
    }
}
