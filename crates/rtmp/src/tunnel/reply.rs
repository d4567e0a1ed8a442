//! Replies as the server writes them.

use std::fmt::{self, Write};

use bytes::{BufMut, Bytes, BytesMut};

use super::{CONTENT_TYPE, PIPELINE_HEADER, SessionId};
use crate::limits;

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The request makes no sense.
    Malformed(&'static str),
    /// There is no such session, or nothing of a tunnel at this path.
    NotFound,
    /// Tunnels are POST only.
    Method,
    /// The head or the body took too long to arrive.
    Slow,
    /// The request's number is one that was answered before, and not the last one.
    Stale,
    /// The request's number is too far ahead, or the requests before it did not come.
    Ahead,
    /// There is no Content-Length.
    LengthRequired,
    /// The body is longer than [`limits::TUNNEL_BODY_BYTES_MAX`].
    BodyTooLarge,
    /// The head is longer than [`limits::TUNNEL_HEAD_BYTES_MAX`], or has too many lines.
    HeadTooLarge,
    /// Chunked bodies, which no client of a tunnel sends.
    TransferCoding,
    /// Another version of HTTP.
    Version,
    /// There are as many sessions as there may be.
    Full,
}

impl Refusal {
    /// The status code and its phrase.
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Self::Malformed(_) => (400, "Bad Request"),
            Self::NotFound => (404, "Not Found"),
            Self::Method => (405, "Method Not Allowed"),
            Self::Slow => (408, "Request Timeout"),
            Self::Stale | Self::Ahead => (409, "Conflict"),
            Self::LengthRequired => (411, "Length Required"),
            Self::BodyTooLarge => (413, "Content Too Large"),
            Self::HeadTooLarge => (431, "Request Header Fields Too Large"),
            Self::TransferCoding => (501, "Not Implemented"),
            Self::Full => (503, "Service Unavailable"),
            Self::Version => (505, "HTTP Version Not Supported"),
        }
    }

    /// The whole response, which closes the connection unless `keep_alive`.
    pub fn to_response(self, keep_alive: bool) -> Bytes {
        let (status, phrase) = self.status();
        let allow = if self == Self::Method { "Allow: POST\r\n" } else { "" };
        let connection = if keep_alive { "" } else { "Connection: close\r\n" };
        let body = format!("{self}\n");
        format!(
            "HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{allow}{connection}\
             Cache-Control: no-store\r\n\r\n{body}",
            body.len()
        )
        .into()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(what) => what,
            Self::NotFound => "there is no such session",
            Self::Method => "a tunnel takes POST only",
            Self::Slow => "the request took too long to arrive",
            Self::Stale => "a request of this number was answered before",
            Self::Ahead => "the requests before this one are missing",
            Self::LengthRequired => "the request needs a Content-Length",
            Self::BodyTooLarge => "the body is too large",
            Self::HeadTooLarge => "the head of the request is too large",
            Self::TransferCoding => "transfer codings are not supported: send a Content-Length",
            Self::Full => "there are too many sessions",
            Self::Version => "this version of HTTP is not supported",
        })
    }
}

/// Writes the head of a reply with `body_bytes` of body, the interval byte included. librtmp wants the status line to
/// begin with exactly `HTTP/1.1 200 `, a capital C in `Content-Length`, and no transfer coding.
pub fn write_reply_head(out: &mut BytesMut, body_bytes: usize, keep_alive: bool, http_1_0: bool) {
    let connection = match (keep_alive, http_1_0) {
        (true, false) => "",
        (true, true) => "Connection: Keep-Alive\r\n",
        (false, _) => "Connection: close\r\n",
    };
    write_head(out, body_bytes, connection);
}

/// Writes the whole reply to `/open`. librtmp drops exactly the last byte of the body.
pub fn write_open_reply(out: &mut BytesMut, id: SessionId, keep_alive: bool, http_1_0: bool) {
    let body = format!("{id}\n");
    let connection = match (keep_alive, http_1_0) {
        (true, false) => format!("{PIPELINE_HEADER}: {}\r\n", limits::TUNNEL_PIPELINE_MAX),
        (true, true) => "Connection: Keep-Alive\r\n".to_owned(),
        (false, _) => "Connection: close\r\n".to_owned(),
    };
    write_head(out, body.len(), &connection);
    out.put_slice(body.as_bytes());
}

fn write_head(out: &mut BytesMut, body_bytes: usize, lines: &str) {
    // Writing to a `BytesMut` fails only past 2^64 bytes.
    let _ = write!(
        out,
        "HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {body_bytes}\r\n\
         Cache-Control: no-cache\r\n{lines}\r\n"
    );
}
