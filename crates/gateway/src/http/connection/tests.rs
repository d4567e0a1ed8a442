use super::*;
use crate::config::Config;
use crate::testing::publish;
use bytes::{Buf, BufMut};
use std::io::{Read, Write};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, timeout};

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types (RFC 9113 section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 0x5;

fn node(change: impl FnOnce(&mut Config)) -> (Arc<Env>, net::ShutdownTrigger) {
    let mut config = Config::default();
    change(&mut config);
    let policy = config.access.to_policy(Some("0123456789abcdef".into()), None);
    let (trigger, shutdown) = net::Shutdown::new();
    (Env::new(config, policy, 1, shutdown), trigger)
}

/// The peer's end of a connection that hyper serves.
fn connect(env: &Arc<Env>) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(serve_hyper(env.clone(), theirs, SocketAddr::from(([192, 0, 2, 1], 40_000)), Port("http")));
    ours
}

async fn seconds_until_closed(io: &mut DuplexStream) -> u64 {
    let begun = Instant::now();
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).await.unwrap();
    begun.elapsed().as_secs()
}

/// An HTTP/2 peer that does what it must, and nothing else.
struct Http2 {
    io: DuplexStream,
    input: BytesMut,
}

impl Http2 {
    async fn connect(env: &Arc<Env>) -> Self {
        let mut peer = Self { io: connect(env), input: BytesMut::new() };
        peer.io.write_all(HTTP2_PREFACE).await.unwrap();
        peer.send(SETTINGS, 0, 0, &[]).await;
        peer
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = BytesMut::new();
        frame.put_uint(payload.len() as u64, 3);
        frame.put_slice(&[kind, flags]);
        frame.put_u32(stream);
        frame.put_slice(payload);
        // The server may have closed.
        let _ = self.io.write_all(&frame).await;
    }

    /// Asks for a path of less than 127 bytes on stream 1.
    async fn get(&mut self, path: &str) {
        // GET and http from the static table, and two literals (RFC 7541 section 6).
        let head = [&[0x82, 0x86, 0x44, path.len() as u8], path.as_bytes(), &[0x41, 1, b'h']].concat();
        self.send(HEADERS, END_STREAM_AND_HEADERS, 1, &head).await;
    }

    /// The type of the next frame; settings and pings are acknowledged. `None` at the end of the connection.
    async fn next(&mut self) -> Option<u8> {
        loop {
            if let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = &self.input[..]
                && let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c)
                && let Some(payload) = rest.get(..length)
            {
                let (kind, flags, payload) = (*kind, *flags, payload.to_vec());
                self.input.advance(9 + length);
                match kind {
                    SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                    PING if flags & ACK == 0 => self.send(PING, ACK, 0, &payload).await,
                    _ => {}
                }
                return Some(kind);
            }
            if self.io.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Reads to the end; whether the server said that it goes away.
    async fn end(&mut self) -> bool {
        let mut told = false;
        while let Some(kind) = self.next().await {
            told |= kind == GOAWAY;
        }
        told
    }
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_on_which_nothing_goes_on_is_closed() {
    let (env, _trigger) = node(|_| {});
    let mut idle = Http2::connect(&env).await;
    let begun = Instant::now();
    assert!(idle.end().await);
    assert_eq!(begun.elapsed().as_secs(), IDLE_MAX.as_secs());

    let mut answered = Http2::connect(&env).await;
    answered.get("/healthz").await;
    let begun = Instant::now();
    assert!(answered.end().await);
    assert_eq!(begun.elapsed().as_secs(), IDLE_MAX.as_secs());
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_with_a_player_stays_until_the_player_leaves() {
    let (env, _trigger) = node(|_| {});
    let _publisher = publish(&env, "live/x");
    let mut peer = Http2::connect(&env).await;
    peer.get("/live/x.flv").await;
    let long = 10 * IDLE_MAX;
    assert!(timeout(long, peer.end()).await.is_err(), "closed under a player");
    peer.send(RST_STREAM, 0, 1, &[0, 0, 0, 8]).await;
    assert!(timeout(long, peer.end()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_http1_connection_that_is_kept_alive_has_the_deadline_of_a_request() {
    let (env, _trigger) = node(|config| config.http.request_timeout_ms = 7_000);
    for again in [&b""[..], b"GET /heal"] {
        let mut peer = connect(&env);
        peer.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        let mut answer = BytesMut::new();
        while !answer.ends_with(b"ok\n") {
            assert_ne!(peer.read_buf(&mut answer).await.unwrap(), 0);
        }
        peer.write_all(again).await.unwrap();
        assert_eq!(seconds_until_closed(&mut peer).await, 7);
    }
}

#[tokio::test]
async fn a_panic_is_counted_and_goes_no_further() {
    let (env, _trigger) = node(|_| {});
    let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
    env.clone().contain(peer, async { panic!("a bug") }).await;
    assert!(env.metrics.render(0, 0).contains("panics_total 1"));
}

/// Reads until `done`, or to the end.
fn read_until(io: &mut std::net::TcpStream, done: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while !done(&all) {
        match io.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(count) => all.extend_from_slice(&part[..count]),
        }
    }
    all
}

#[test]
fn a_websocket_that_hyper_upgraded_keeps_its_place_and_is_told_of_the_shutdown() {
    let (env, trigger) = node(|config| {
        config.rtmp.listen.clear();
        config.rtmps.listen.clear();
        config.https.listen.clear();
        config.http.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        config.limits.connections_max = 1;
        config.runtime.initial_window_segments = 0;
    });
    let _publisher = publish(&env, "live/x");
    let bound = crate::bind(&env.config, 1).unwrap();
    let (_, address) = bound.addresses().next().unwrap();
    let shards = crate::run(env.clone(), bound, 1).unwrap();

    let mut player = std::net::TcpStream::connect(address).unwrap();
    player.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let answer = read_until(&mut player, |bytes| bytes.ends_with(b"ok\n"));
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    player
        .write_all(
            b"GET /live/x.flv HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let begun = read_until(&mut player, |bytes| bytes.windows(4).any(|four| four == b"FLV\x01"));
    assert!(begun.starts_with(b"HTTP/1.1 101"), "{}", begun.escape_ascii());

    // The only place is taken.
    let mut second = std::net::TcpStream::connect(address).unwrap();
    let _ = second.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(read_until(&mut second, |_| false), b"");

    trigger.trigger();
    let end = read_until(&mut player, |_| false);
    // Going away (RFC 6455 section 7.4.1).
    assert!(end.windows(2).any(|two| two == [0x03, 0xe9]), "{}", end.escape_ascii());
    shards.join();
}

#[tokio::test]
async fn media_has_the_same_headers_whether_it_comes_through_the_router_or_not() {
    let (env, _trigger) = node(|_| {});
    let head = async |method: &str| {
        let mut io = connect(&env);
        let request = format!(
            "{method} /live/cam/none.x HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\nConnection: close\r\n\r\n"
        );
        io.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        io.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let head = answer.split("\r\n\r\n").next().unwrap().to_owned();
        let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with("date:"));
        lines.sort();
        lines
    };
    let direct = head("GET").await;
    assert!(direct.contains(&"access-control-allow-origin: *".to_owned()), "{direct:?}");
    // HEAD is what the router answers.
    assert_eq!(direct, head("HEAD").await);
}
