//! Bodies of the fuzz targets. Each panics where an invariant breaks; ordinary tests run them on seeds.

use crate::http::beacon::{self, limits::BODY_BYTES_MAX};
use crate::http::{
    HEAD_BYTES_MAX, Parsed, Peer, Sequel, Sniffed, channel_title, check_range, parse, router, sniff,
};
use crate::http_flv::websocket::{Asked, FRAME_BYTES_MAX, Violation, read_frame};
use crate::metrics::Metrics;
use crate::pattern::Pattern;
use crate::target::Target;
use crate::testing::publish;
use crate::{Config, Env, config::parse_channel, hls, record, relay, timeshift, vod};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use http_body_util::BodyExt;
use media::StreamName;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::time::Instant;
use tokio::runtime::Runtime;
use tower_service::Service;

/// The first bytes of a connection: what is decided once stays so when more bytes come.
pub fn http_head(data: &[u8]) {
    let now = Instant::now();
    let data = &data[..data.len().min(HEAD_BYTES_MAX - 1)];
    let mut decided = None;
    let mut is_media = None;
    // A stride keeps long inputs affordable.
    for end in (0..=data.len()).step_by(1 + data.len() / 64) {
        let sniffed = sniff(&data[..end], now);
        match &decided {
            Some(before) => assert_eq!(*before, sniffed),
            None if sniffed != Sniffed::Partial => decided = Some(sniffed),
            None => {}
        }
        let mut input = BytesMut::from(&data[..end]);
        let found = match parse(&mut input) {
            Parsed::Media(request, ..) => {
                assert!(request.uri().path().starts_with('/') && data[..end].ends_with(&input));
                Some(true)
            }
            Parsed::Other => Some(false),
            Parsed::Partial => None,
        };
        assert!(found == Some(true) || input == data[..end], "what is left to others is left whole");
        assert!(is_media.is_none() || is_media == found);
        is_media = found;
    }
    if let Some(Sniffed::Get(request, length)) = decided {
        assert!(data.starts_with(b"GET ") && data[..length].ends_with(b"\n"));
        if let Some(Ok(target)) = Target::from_http(&request.path, &request.query, "flv") {
            check_target(&target);
        }
    }
}

/// A request with its body, as hyper hands it to the routes.
pub fn http_request(data: &[u8]) {
    let Some(request) = read_request(data) else { return };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let authorization = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec());
    NODE.with_borrow_mut(|node| {
        let (status, response) = node.answer(request);
        assert!(
            !status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE,
            "{method} {path}: {status}"
        );
        assert!(response.headers().contains_key(header::X_CONTENT_TYPE_OPTIONS), "{method} {path}");
        let told = path == "/api/v1/sessions" && status.is_success();
        let known = authorization.is_some_and(|value| value.trim_ascii_end().ends_with(TOKEN.as_bytes()));
        assert!(!told || known, "addresses of viewers are told to strangers");
    });
}

/// Frames of a player: the same is understood whether they arrive at once or byte by byte.
pub fn websocket(data: &[u8]) {
    let read_all = |pieces: &mut dyn Iterator<Item = &[u8]>| -> (Vec<Asked>, Option<Violation>) {
        let (mut input, mut asked) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match read_frame(&mut input) {
                    Ok(Some(frame)) => asked.push(frame),
                    Ok(None) => break,
                    Err(violation) => return (asked, Some(violation)),
                }
            }
            // What waits for the rest of its frame is bounded by the frame, however little comes at a time.
            assert!(piece.len() > 1 || input.len() <= FRAME_BYTES_MAX as usize + 14);
        }
        (asked, None)
    };
    let at_once = read_all(&mut std::iter::once(data));
    let bytewise = read_all(&mut data.chunks(1));
    assert_eq!(at_once.0, bytewise.0);
    assert_eq!(at_once.1.is_some(), bytewise.1.is_some());
    for asked in at_once.0 {
        assert!(!matches!(asked, Asked::Answer(pong) if pong.len() > 127));
    }
}

/// A report of a player: what is accepted is what it says, within the ceilings.
pub fn beacon(data: &[u8]) {
    static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);
    let data = &data[..data.len().min(BODY_BYTES_MAX)];
    let Ok(report) = serde_json::from_slice::<api::Beacon>(data) else { return };
    if beacon::record(&report, METRICS.player()).is_ok() {
        assert!(parse_channel(&report.stream).is_ok());
        assert!(report.watched_ms.is_finite() && report.stall_ms.is_finite());
        let text = serde_json::to_vec(&report).unwrap_or_default();
        assert_eq!(serde_json::from_slice::<api::Beacon>(&text).ok(), Some(report));
    }
}

/// What a session says of itself: names with queries, in lines, its program and the metadata of its stream; and what an
/// operator says of a relay.
pub fn names(data: &[u8]) {
    let _ = channel_title(data);
    let text = String::from_utf8_lossy(data);
    let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
    let from_http = Target::from_http(first, second, "flv").and_then(Result::ok);
    for target in [Target::from_rtmp(first, second).ok(), from_http].into_iter().flatten() {
        check_target(&target);
    }
    let via = relay::Via::parse(first);
    assert_eq!(relay::Via::parse(&format!("x ({})", via.note())), via);
    if let Ok(pattern) = Pattern::parse(first) {
        assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
    }
    if let Ok(name) = parse_channel(first) {
        assert_eq!(name.as_str(), first);
        if let Ok(address) = relay::Address::parse(second) {
            let _ = (address.of(&name), address.shown(Some(&name)));
        }
    }
}

/// A request for segments: the name of a file, a query and a range, in lines; then the query of one that begins in the past.
pub fn hls(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(4, '\n');
    let mut next = || lines.next().unwrap_or_default();
    hls::check_request(next(), next(), next());
    let _ = timeshift::asked(next(), std::time::UNIX_EPOCH);
}

/// A request for a recording, and a file of one: the name of a file and a query in lines, then the bytes of FLV.
pub fn vod(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (path, query) = (String::from_utf8_lossy(next()), String::from_utf8_lossy(next()));
    vod::check_request(&path, &query);
    vod::check_file(next());
}

/// What a request names of a recording: its name, a file and a range, in lines; and the playlist that a disk gives back.
pub fn recordings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    record::check_request(next(), next());
    check_range(next());
    record::check_playlist(&text);
}

/// A name that was accepted is safe in a path and means itself.
fn check_target(target: &Target) {
    let name = target.name.as_str();
    assert!(!name.split('/').any(|part| part.is_empty() || part.starts_with('.')));
    assert!(name.len() <= 2 * StreamName::PART_BYTES_MAX + 1);
    assert_eq!(parse_channel(name).as_ref(), Ok(&target.name));
    let _ = (target.key(), target.start());
}

fn read_request(data: &[u8]) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = head.parse(data) else { return None };
    let mut request = http::Request::builder().method(head.method?).uri(head.path?);
    for header in head.headers.iter() {
        request = request.header(header.name, header.value);
    }
    let mut request = request.body(Body::from(Bytes::copy_from_slice(&data[length..]))).ok()?;
    let address = if length.is_multiple_of(2) { [127, 0, 0, 1] } else { [192, 0, 2, 1] };
    let peer = SocketAddr::new(IpAddr::from(address), 40_000);
    request.extensions_mut().insert(Peer(peer));
    request.extensions_mut().insert(Sequel::default());
    Some(request)
}

/// The token of the operator of the node.
const TOKEN: &str = "0123-operator";

thread_local! {
    static NODE: RefCell<Node> = RefCell::new(Node::new());
}

/// A node with the channel `live/x`, which has sent one keyframe.
struct Node {
    runtime: Runtime,
    router: axum::Router,
    _publisher: hub::Publisher,
    _trigger: net::ShutdownTrigger,
}

impl Node {
    fn new() -> Self {
        let mut config = Config::default();
        // A stream that does not exist is not waited for.
        config.hub.wait_ms = 0;
        // Nor is the rest of one that has only begun.
        config.http.request_timeout_ms = 5;
        let policy = config.access.to_policy(Some("0123456789abcdef".into()), Some(TOKEN.into()));
        let (trigger, shutdown) = net::Shutdown::new();
        let env = Env::new(config, policy, 1, shutdown);
        let publisher = publish(&env, "live/x");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, router: router(env), _publisher: publisher, _trigger: trigger }
    }

    /// The answer, with the first part of its body read.
    fn answer(&mut self, request: Request) -> (StatusCode, Response) {
        let answering = self.router.call(request);
        self.runtime.block_on(async {
            let mut response = answering.await.unwrap_or_else(|never| match never {});
            let _ = response.frame().await;
            (response.status(), response)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    const TARGETS: [fn(&[u8]); 8] = [
        super::http_head,
        super::http_request,
        super::websocket,
        super::beacon,
        super::names,
        super::hls,
        super::vod,
        super::recordings,
    ];

    /// Inputs that reach deep, and those that once broke something.
    const SEEDS: [&[u8]; 29] = [
        b"",
        b"video0-1.0-2000-180000-540000.m4s\nfrom=12.5&to=2026-11-23T04:30:00.5%2B01:00\n",
        b"poster.mp4\nat=1\nFLV\x01\x04\0\0\0\x09\0\0\0\0\x08\0\0\x04\0\0\0\0\0\0\0\xaf\0\x12\x10\0\0\0\x0f\
          \x08\0\0\x03\0\0\0\0\0\0\0\xaf\x01\x21\0\0\0\x0e\x08\0\0\x03\0\0\x17\0\0\0\0\xaf\x01\x21\0\0\0\x0e",
        b"GET /live/x.flv?startPts=-1&key=a%20b HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\nUser-Agent: u\r\n\r\n",
        b"GET /live/x.flv HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x88\x80\0\0\0\0",
        b"GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br;q=0.5, gzip\r\nIf-None-Match: W/\"a\", *\r\n\r\n",
        b"GET /api/v1/channels?key=%30 HTTP/1.1\r\nHost: localhost:8080\r\nX-Forwarded-For: ::1\r\n\r\n",
        b"GET /api/v1/channels/live/x HTTP/1.1\r\nHost: [::1]:80\r\nOrigin: http://[::1]:80\r\n\r\n",
        b"GET /api/v1/sessions HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: bearer 0123-operator\r\n\r\n",
        b"GET /watch/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        b"HEAD /metrics HTTP/1.1\r\n\r\n",
        b"OPTIONS /api/v1/beacon HTTP/1.1\r\nOrigin: null\r\nAccess-Control-Request-Method: POST\r\n\r\n",
        b"POST /api/v1/beacon HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        br#"{"session":"k3j9","stream":"live/x","protocol":"ws-flv","renderer":"mse","event":"end","t":{"t1":1.5,"t5":1e2},"stalls":1,"stallMs":25e1,"droppedFrames":2,"decodedFrames":298,"latencyMs":480,"watchedMs":10000}"#,
        b"\x89\x82\x01\x02\x03\x04ab\x82\xfe\x01\x00\0\0\0\0\x88\x80\0\0\0\0",
        b"GET /live/x.m3u8 HTTP/1.1\r\n\r\n",
        b"GET /live/x/video0.m3u8?_HLS_msn=1 HTTP/1.1\r\nRange: bytes=1-\r\n\r\n",
        b"audio12-70.3.m4s\n_HLS_msn=7&_HLS_part=2&_HLS_skip=YES\nbytes=1-2",
        b"20261123T043000Z-1a2b3c4d\n0001.mp4\nbytes=1-",
        b"20261123T043000Z-1a2b3c4d/../..\n../0001.flv\nbytes=-18446744073709551616",
        b"..%2f..%2fpublish.key\n000001.ts\0\nbytes=18446744073709551615-0",
        b"GET /recordings/20261123T043000Z-1a2b3c4d/..%2findex.m3u8 HTTP/1.1\r\nRange: bytes=0-\r\n\r\n",
        b"#EXTM3U\n#EXT-X-DISCONTINUITY\n#EXTINF:1e308,\n000001.ts\n#EXTINF:6.04,\n../2.ts\n",
        b"video0-rewind.m3u8\n\n\nkey=x&from=2026-11-23T04:30:00.5+02:00",
        b"live/show-*\nrtmp://host/{app}/{channel}",
        b"FMLE/3.0 (compatible; Rushlight/0.1.0) (via 5f3a91c20b6677ad,08d1b7e4c4d1f0a9)",
        b"live/x?key=1\n?key=%31&startPts=-9223372036854775808",
        b"\x02\0\x0aonMetaData\x03\0\x05title\x02\0\x03a\x01b\0\0\x09",
    ];

    #[test]
    fn seeds_break_no_promise_at_any_length() {
        for seed in SEEDS {
            for length in 0..=seed.len() {
                TARGETS.iter().for_each(|target| target(&seed[..length]));
            }
        }
    }

    #[test]
    fn seeds_with_one_byte_changed_break_no_promise() {
        for seed in SEEDS {
            for at in 0..seed.len() {
                for byte in [0, b'\n', b'%', 0x80, 0xff, seed[at] ^ 1] {
                    let mut changed = seed.to_vec();
                    changed[at] = byte;
                    TARGETS.iter().for_each(|target| target(&changed));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_break_no_promise(data in prop::collection::vec(any::<u8>(), 0..200)) {
            TARGETS.iter().for_each(|target| target(&data));
        }
    }
}
