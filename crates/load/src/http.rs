//! The client half of HTTP/1.1 that a stream needs: a request, a response head, and a body that never ends
//! (RFC 9112).

use crate::limits::{CHUNK_LINE_BYTES_MAX, FRAME_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, TRAILER_BYTES_MAX};
use bytes::{Buf, BytesMut};
use media::Malformed;

/// What a response head says, as far as a player cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// How the body ends.
    pub framing: Framing,
    /// Where a redirect points.
    pub location: Option<String>,
    /// `Sec-WebSocket-Accept`, if the server changes to WebSocket.
    pub websocket_accept: Option<String>,
}

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// In chunks.
    Chunked,
    /// After this many bytes.
    Length(u64),
    /// With the connection.
    UntilClose,
}

/// The request for a stream. `extra` holds further header lines, each ended by CR LF.
pub fn request(authority: &str, path: &str, extra: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: rushlight/{}\r\nAccept: */*\r\n{extra}\r\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Takes a response head off the front of `input`; `None` when it is not complete yet.
///
/// # Errors
///
/// Bytes that are no HTTP/1 response, or a head above [`HEAD_BYTES_MAX`].
pub fn read_head(input: &mut BytesMut) -> Result<Option<Head>, Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(input) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if input.len() > HEAD_BYTES_MAX => {
            return Err(Malformed("HTTP response head above the size limit"));
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed("too many HTTP header fields")),
        Err(_) => return Err(Malformed("no HTTP response")),
    };
    let mut head = Head {
        status: response.code.unwrap_or(0),
        reason: response.reason.unwrap_or_default().to_owned(),
        framing: Framing::UntilClose,
        location: None,
        websocket_accept: None,
    };
    for header in response.headers.iter() {
        let Ok(value) = std::str::from_utf8(header.value) else { continue };
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("transfer-encoding") {
            let last = value.rsplit(',').next().unwrap_or_default().trim();
            if last.eq_ignore_ascii_case("chunked") {
                head.framing = Framing::Chunked;
            }
        } else if is("content-length") && head.framing != Framing::Chunked {
            let length = value.trim().parse().map_err(|_| Malformed("Content-Length is no number"))?;
            head.framing = Framing::Length(length);
        } else if is("location") {
            head.location = Some(value.to_owned());
        } else if is("sec-websocket-accept") {
            head.websocket_accept = Some(value.trim().to_owned());
        }
    }
    input.advance(length);
    Ok(Some(head))
}

/// Takes the framing off a body as it arrives.
#[derive(Debug)]
pub struct Body(State);

#[derive(Debug)]
enum State {
    UntilClose,
    Length(u64),
    ChunkSize,
    Chunk(u64),
    /// The CR LF after a chunk's data.
    ChunkEnd,
    /// After the last chunk; bytes of trailer lines so far.
    Trailers(usize),
    Ended,
}

impl Body {
    /// A body with this framing.
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::UntilClose => State::UntilClose,
            Framing::Length(0) => State::Ended,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
        })
    }

    /// Whether the body has ended. One that ends with the connection never says so.
    pub fn is_ended(&self) -> bool {
        matches!(self.0, State::Ended)
    }

    /// Moves what is there from `input` to the end of `out`.
    pub fn decode(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<(), Malformed> {
        loop {
            match &mut self.0 {
                State::Ended => return Ok(()),
                State::UntilClose => {
                    pass(input, out, u64::MAX);
                    return Ok(());
                }
                State::Length(left) => {
                    *left -= pass(input, out, *left);
                    if *left > 0 {
                        return Ok(());
                    }
                    self.0 = State::Ended;
                }
                State::ChunkSize => {
                    let Some(line) = take_line(input)? else { return Ok(()) };
                    self.0 = match chunk_size(&line)? {
                        0 => State::Trailers(0),
                        size => State::Chunk(size),
                    };
                }
                State::Chunk(left) => {
                    *left -= pass(input, out, *left);
                    if *left > 0 {
                        return Ok(());
                    }
                    self.0 = State::ChunkEnd;
                }
                State::ChunkEnd => {
                    if input.len() < 2 {
                        return Ok(());
                    }
                    if !input.starts_with(b"\r\n") {
                        return Err(Malformed("HTTP chunk longer than it says"));
                    }
                    input.advance(2);
                    self.0 = State::ChunkSize;
                }
                State::Trailers(bytes) => {
                    let Some(line) = take_line(input)? else { return Ok(()) };
                    *bytes += line.len() + 2;
                    if *bytes > TRAILER_BYTES_MAX {
                        return Err(Malformed("HTTP trailers above the size limit"));
                    }
                    if line.is_empty() {
                        self.0 = State::Ended;
                    }
                }
            }
        }
    }
}

fn pass(input: &mut BytesMut, out: &mut BytesMut, most: u64) -> u64 {
    let count = input.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    out.extend_from_slice(&input[..count]);
    input.advance(count);
    count as u64
}

/// A line without its CR LF; `None` when it is not complete yet.
fn take_line(input: &mut BytesMut) -> Result<Option<BytesMut>, Malformed> {
    let searched = &input[..input.len().min(CHUNK_LINE_BYTES_MAX)];
    let Some(end) = searched.iter().position(|byte| *byte == b'\n') else {
        return if searched.len() == CHUNK_LINE_BYTES_MAX {
            Err(Malformed("HTTP chunk line above the size limit"))
        } else {
            Ok(None)
        };
    };
    let mut line = input.split_to(end + 1);
    line.truncate(end);
    if line.last() != Some(&b'\r') {
        return Err(Malformed("HTTP chunk line without CR"));
    }
    line.truncate(end - 1);
    Ok(Some(line))
}

/// The size in front of a chunk: hexadecimal digits, then maybe extensions after a semicolon.
fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Malformed("HTTP chunk size is no number"));
    }
    let digit = |byte: &u8| u64::from(char::from(*byte).to_digit(16).unwrap_or(0));
    let size = digits.iter().fold(0_u64, |size, byte| size << 4 | digit(byte));
    if size > FRAME_BYTES_MAX { Err(Malformed("HTTP chunk above the size limit")) } else { Ok(size) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(text: &str) -> Result<Option<Head>, Malformed> {
        read_head(&mut BytesMut::from(text))
    }

    #[test]
    fn a_head_says_how_the_body_ends() {
        let framing = |text: &str| head(text).unwrap().unwrap().framing;
        assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n"), Framing::UntilClose);
        assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), Framing::Length(7));
        assert_eq!(framing("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n"), Framing::Chunked);
        let both = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n";
        assert_eq!(framing(both), Framing::Chunked);
    }

    #[test]
    fn what_follows_the_head_stays_in_the_input() {
        let mut input = BytesMut::from("HTTP/1.1 404 Not Found\r\nLocation: /x\r\n\r\nFLV");
        let head = read_head(&mut input).unwrap().unwrap();
        assert_eq!(
            (head.status, head.reason.as_str(), head.location.as_deref()),
            (404, "Not Found", Some("/x"))
        );
        assert_eq!(&input[..], b"FLV");
    }

    #[test]
    fn heads_without_end_or_sense_are_refused() {
        assert_eq!(head("HTTP/1.1 200 OK\r\nA: b\r\n"), Ok(None));
        assert!(head("FLV\x01").is_err());
        assert!(head("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").is_err());
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(HEAD_BYTES_MAX));
        assert!(head(&endless).is_err());
        assert!(head(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(HEADERS_MAX + 1))).is_err());
    }

    fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Malformed> {
        let (mut body, mut input, mut out) = (Body::new(framing), BytesMut::new(), BytesMut::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            body.decode(&mut input, &mut out)?;
        }
        Ok((out.to_vec(), body.is_ended()))
    }

    #[test]
    fn chunks_are_joined_and_the_last_one_ends_the_body() {
        let chunks: &[u8] = b"3\r\nFLV\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n";
        assert_eq!(decode(Framing::Chunked, &[chunks]), Ok((b"FLV0123456789".to_vec(), true)));
        let bytewise: Vec<&[u8]> = chunks.chunks(1).collect();
        assert_eq!(decode(Framing::Chunked, &bytewise), Ok((b"FLV0123456789".to_vec(), true)));
    }

    #[test]
    fn broken_chunks_are_refused() {
        let long = [b'1'; CHUNK_LINE_BYTES_MAX];
        for bad in
            [&b"x\r\n"[..], b"\r\n", b"3\nFLV", b"3\r\nFLVxx", b"ffffffffffffffff\r\n", b"-1\r\n", &long]
        {
            assert!(decode(Framing::Chunked, &[bad]).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
        let mut endless = b"0\r\n".to_vec();
        for _ in 0..1000 {
            endless.extend_from_slice(b"Trailer: 1\r\n");
        }
        assert!(decode(Framing::Chunked, &[&endless]).is_err());
    }

    #[test]
    fn a_body_of_known_length_ends_there() {
        assert_eq!(decode(Framing::Length(3), &[b"FL", b"Vxx"]), Ok((b"FLV".to_vec(), true)));
        assert_eq!(decode(Framing::UntilClose, &[b"FL", b"Vxx"]), Ok((b"FLVxx".to_vec(), false)));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail(bytes: Vec<u8>) {
            crate::fuzz::http(&bytes);
        }

        #[test]
        fn chunks_of_any_size_survive_any_cut(body in prop::collection::vec(any::<u8>(), 1..400), chunk in 1_usize..50, cut in 1_usize..50) {
            let mut coded = Vec::new();
            for piece in body.chunks(chunk) {
                coded.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                coded.extend_from_slice(piece);
                coded.extend_from_slice(b"\r\n");
            }
            coded.extend_from_slice(b"0\r\n\r\n");
            let pieces: Vec<&[u8]> = coded.chunks(cut).collect();
            prop_assert_eq!(decode(Framing::Chunked, &pieces), Ok((body, true)));
        }
    }
}
