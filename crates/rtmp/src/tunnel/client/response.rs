//! Replies as the client reads them.

use bytes::{Buf, BytesMut};

use crate::tunnel::PIPELINE_HEADER;
use crate::{Error, limits};

/// What the head of a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) body_bytes: usize,
    pub(super) keep_alive: bool,
    /// How many requests may be under way at once, if the server says; else 1.
    pub(super) pipeline: usize,
}

/// Takes the head of a reply off the front of `input`; `Ok(None)` when it is not complete yet.
pub(super) fn read_head(input: &mut BytesMut) -> Result<Option<Head>, Error> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; limits::TUNNEL_HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut headers);
        let head_bytes = match parsed.parse(input) {
            Ok(httparse::Status::Complete(length)) if length <= limits::TUNNEL_HEAD_BYTES_MAX => length,
            Ok(httparse::Status::Partial) if input.len() <= limits::TUNNEL_HEAD_BYTES_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return Err(Error::Violation("head of an HTTP response is too large"));
            }
            Err(_) => return Err(Error::Malformed("this is no HTTP response")),
        };
        let status = parsed.code.unwrap_or(0);
        // Interim responses have no body and are followed by the real one (RFC 9110 section 15.2).
        if (100..200).contains(&status) && status != 101 {
            input.advance(head_bytes);
            continue;
        }
        let mut head = Head { status, body_bytes: 0, keep_alive: parsed.version == Some(1), pipeline: 1 };
        let mut length = None;
        for header in parsed.headers.iter() {
            let value = header.value.trim_ascii();
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                length = Some(read_number(value).ok_or(Error::Malformed("Content-Length is no number"))?);
            } else if is("transfer-encoding") {
                return Err(Error::Unsupported("a transfer coding in a tunnel"));
            } else if is("connection") {
                if value.eq_ignore_ascii_case(b"close") {
                    head.keep_alive = false;
                } else if value.eq_ignore_ascii_case(b"keep-alive") {
                    head.keep_alive = true;
                }
            } else if is(PIPELINE_HEADER) {
                head.pipeline = read_number(value).unwrap_or(1);
            }
        }
        head.body_bytes = length.ok_or(Error::Unsupported("an HTTP response without Content-Length"))?;
        if head.body_bytes > limits::TUNNEL_REPLY_BYTES_MAX {
            return Err(Error::Violation("an HTTP response is too large"));
        }
        input.advance(head_bytes);
        return Ok(Some(head));
    }
}

fn read_number(value: &[u8]) -> Option<usize> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}
