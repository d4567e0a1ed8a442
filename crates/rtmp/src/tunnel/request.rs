//! Requests as the server reads them.

use bytes::{Buf, BytesMut};

use super::{Refusal, SessionId};
use crate::limits;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `/open/1`: a new session.
    Open,
    /// `/send/ID/SEQ`: bytes for the server.
    Send(SessionId, u64),
    /// `/idle/ID/SEQ`: what waits for the client.
    Idle(SessionId, u64),
    /// `/close/ID/SEQ`: the end of the session.
    Close(SessionId, u64),
    /// `/fcs/ident2`, which asks for the address of the node behind a load balancer, and everything else that looks
    /// like a tunnel. The answer is 404, which clients expect from most servers.
    Unknown,
}

impl Call {
    /// Reads the path of a request; `None` if it has nothing to do with a tunnel.
    pub fn parse(path: &str) -> Option<Self> {
        let path = path.split(['?', '#']).next()?;
        let mut parts = path.strip_prefix('/')?.split('/');
        let (command, id, number) = (parts.next()?, parts.next()?, parts.next());
        if !COMMANDS.contains(&command) {
            return None;
        }
        let call = match (SessionId::parse(id), number.and_then(read_number), parts.next()) {
            (Some(id), Some(number), None) => match command {
                "send" => Self::Send(id, number),
                "idle" => Self::Idle(id, number),
                "close" => Self::Close(id, number),
                _ => Self::Unknown,
            },
            _ if command == "open" && number.is_none() => Self::Open,
            _ => Self::Unknown,
        };
        Some(call)
    }
}

const COMMANDS: [&str; 5] = ["open", "send", "idle", "close", "fcs"];

/// Digits only: `parse` alone would take a sign.
fn read_number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A request whose head has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What it asks for.
    pub call: Call,
    /// Bytes of body that follow, at most [`limits::TUNNEL_BODY_BYTES_MAX`].
    pub body_bytes: usize,
    /// Whether the connection stays open after the reply.
    pub keep_alive: bool,
    /// Whether the client speaks HTTP/1.0 and has to be told that the connection stays open.
    pub http_1_0: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Whether a connection that begins with `bytes` begins with a request of a tunnel; `None` when more bytes are needed to
/// tell.
pub fn sniff(bytes: &[u8]) -> Option<bool> {
    const STARTS: [&[u8]; COMMANDS.len()] =
        [b"POST /open/", b"POST /send/", b"POST /idle/", b"POST /close/", b"POST /fcs/"];
    if STARTS.iter().any(|start| bytes.starts_with(start)) {
        return Some(true);
    }
    if STARTS.iter().any(|start| start.starts_with(bytes)) { None } else { Some(false) }
}

/// Takes the head of a request off the front of `input`; `Ok(None)` when it is not complete yet. Its body follows in
/// `input`.
///
/// # Errors
/// The answer to a request that cannot be served. Where its end is, is not known then: the connection has to close.
pub fn read_request(input: &mut BytesMut) -> Result<Option<Request>, Refusal> {
    // Empty lines before a request are skipped (RFC 9112 section 2.2).
    let blank = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    input.advance(blank);
    if input.is_empty() {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; limits::TUNNEL_HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let head_bytes = match parsed.parse(input) {
        Ok(httparse::Status::Complete(length)) if length <= limits::TUNNEL_HEAD_BYTES_MAX => length,
        Ok(httparse::Status::Partial) if input.len() <= limits::TUNNEL_HEAD_BYTES_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(Refusal::Version),
        Err(_) => return Err(Refusal::Malformed("this is no HTTP request")),
    };
    if parsed.method != Some("POST") {
        return Err(Refusal::Method);
    }
    let target = parsed.path.unwrap_or_default();
    let mut request = Request {
        call: Call::parse(origin_form(target)).unwrap_or(Call::Unknown),
        body_bytes: 0,
        keep_alive: parsed.version == Some(1),
        http_1_0: parsed.version == Some(0),
        expects_continue: false,
    };
    let mut length = None;
    for header in parsed.headers.iter() {
        let value = header.value.trim_ascii();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let bytes = read_length(value)?;
            if length.is_some_and(|before| before != bytes) {
                return Err(Refusal::Malformed("two lengths of one body"));
            }
            length = Some(bytes);
        } else if is("transfer-encoding") {
            return Err(Refusal::TransferCoding);
        } else if is("connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if option.eq_ignore_ascii_case(b"close") {
                    request.keep_alive = false;
                } else if option.eq_ignore_ascii_case(b"keep-alive") && request.http_1_0 {
                    request.keep_alive = true;
                }
            }
        } else if is("expect") {
            request.expects_continue = value.eq_ignore_ascii_case(b"100-continue") && !request.http_1_0;
        }
    }
    request.body_bytes = length.ok_or(Refusal::LengthRequired)?;
    input.advance(head_bytes);
    Ok(Some(request))
}

/// A server takes whole URLs, too (RFC 9112 section 3.2.2).
fn origin_form(target: &str) -> &str {
    let Some((scheme, rest)) = target.split_once("://") else { return target };
    if scheme.contains('/') {
        return target;
    }
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

fn read_length(value: &[u8]) -> Result<usize, Refusal> {
    const BAD: Refusal = Refusal::Malformed("Content-Length is no number");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    let text = std::str::from_utf8(value).map_err(|_| BAD)?;
    // What does not fit a number is too large, too.
    match text.parse() {
        Ok(bytes) if bytes <= limits::TUNNEL_BODY_BYTES_MAX => Ok(bytes),
        _ => Err(Refusal::BodyTooLarge),
    }
}
