//! The first request head of a connection, as far as media needs it.

use std::time::Instant;

/// The most bytes of a request head. hyper's own limit is larger; a head that long is not a player's.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The most header lines that are looked at; browsers send about 20.
const HEADERS_MAX: usize = 64;

/// How an HTTP/2 connection begins (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A GET request for media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawRequest {
    pub(crate) path: String,
    pub(crate) query: String,
    /// `Sec-WebSocket-Key`, if the request asks for a WebSocket.
    pub(crate) websocket_key: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// When the head was complete.
    pub(crate) requested: Instant,
}

/// What the bytes received so far are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sniffed {
    /// More bytes are needed to tell.
    Partial,
    /// A GET request and the length of its head.
    Get(RawRequest, usize),
    /// A request of an RTMP tunnel.
    Tunnel,
    /// Something for hyper: another method, HTTP/2, or bytes it shall refuse.
    Other,
}

pub(crate) fn sniff(bytes: &[u8], now: Instant) -> Sniffed {
    // Whole, it is hyper's; cut short, nobody's timer but ours runs.
    if bytes.len() < HTTP2_PREFACE.len() && HTTP2_PREFACE.starts_with(bytes) {
        return Sniffed::Partial;
    }
    match rtmp::tunnel::sniff(bytes) {
        Some(true) => return Sniffed::Tunnel,
        Some(false) => {}
        None => return Sniffed::Partial,
    }
    if !b"GET ".starts_with(&bytes[..bytes.len().min(4)]) {
        return Sniffed::Other;
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Sniffed::Partial,
        _ => return Sniffed::Other,
    };
    let Some(target) = request.path else { return Sniffed::Other };
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(|value| value.trim().to_owned())
    };
    // A request with a body would leave bytes behind that only hyper can skip.
    if header("content-length").is_some_and(|length| length != "0") || header("transfer-encoding").is_some() {
        return Sniffed::Other;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let upgrade = header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    if upgrade && header("sec-websocket-key").is_none() {
        return Sniffed::Other;
    }
    let raw = RawRequest {
        path: path.to_owned(),
        query: query.to_owned(),
        websocket_key: header("sec-websocket-key").filter(|_| upgrade),
        origin: header("origin"),
        host: header("host"),
        user_agent: header("user-agent"),
        requested: now,
    };
    Sniffed::Get(raw, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_get_is_complete_with_its_empty_line_and_not_before() {
        let bytes = b"GET /live/cam.flv?startPts=-1 HTTP/1.1\r\nHost: a\r\nUser-Agent: x/1\r\n\r\nrest";
        let now = Instant::now();
        for end in 0..bytes.len() - 4 {
            assert_eq!(sniff(&bytes[..end], now), Sniffed::Partial, "{end}");
        }
        let Sniffed::Get(request, length) = sniff(bytes, now) else { panic!("not complete") };
        assert_eq!((request.path.as_str(), request.query.as_str()), ("/live/cam.flv", "startPts=-1"));
        assert_eq!((request.user_agent.as_deref(), &bytes[length..]), (Some("x/1"), &b"rest"[..]));
    }

    #[test]
    fn a_tunnel_is_known_by_the_first_part_of_its_path() {
        let now = Instant::now();
        for (bytes, expected) in [
            (&b"POST /open/1 HTTP/1.1\r\n"[..], Sniffed::Tunnel),
            (b"POST /idle/", Sniffed::Tunnel),
            (b"POST /idl", Sniffed::Partial),
            (b"POST /api/v1/beacon", Sniffed::Other),
        ] {
            assert_eq!(sniff(bytes, now), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_is_not_a_plain_get_is_left_to_hyper() {
        let now = Instant::now();
        for other in [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            b"POST / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            b"GET / HTTP/9\r\n\r\n",
            b"\x16\x03\x01",
        ] {
            assert_eq!(sniff(other, now), Sniffed::Other, "{}", other.escape_ascii());
        }
        let endless = [&b"GET /"[..], &vec![b'a'; HEAD_BYTES_MAX]].concat();
        assert_eq!(sniff(&endless, now), Sniffed::Other);
    }

    proptest! {
        #[test]
        fn any_bytes_are_sniffed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let now = Instant::now();
            sniff(&bytes, now);
            sniff(&[b"GET ", &bytes[..]].concat(), now);
        }
    }
}
