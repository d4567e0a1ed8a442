//! Clients of tunnels, honest and others, on connections of bytes.

use super::*;
use crate::config::Config;
use crate::metrics::ProtocolMetrics;
use crate::testing::publish;
use crate::{Env, http};
use bytes::{Bytes, BytesMut};
use net::{Pipe, Stream};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 40_000);

fn node(change: impl FnOnce(&mut Config)) -> (Arc<Env>, net::ShutdownTrigger) {
    let mut config = Config::default();
    // RTMP looks at a clock that does not stop with that of the tests.
    config.rtmp.handshake_timeout_ms = 3_600_000;
    change(&mut config);
    let policy = config.access.to_policy(Some("0123456789abcdef".into()), None);
    let (trigger, shutdown) = net::Shutdown::new();
    (Env::new(config, policy, 1, shutdown), trigger)
}

/// A connection to the HTTP port.
struct Client {
    pipe: Pipe,
    input: BytesMut,
    server: JoinHandle<()>,
}

impl Client {
    fn connect(env: &Arc<Env>) -> Self {
        Self::connect_from(env, PEER)
    }

    fn connect_from(env: &Arc<Env>, peer: SocketAddr) -> Self {
        let (ours, theirs) = net::pipe(64 << 10);
        let metrics = env.metrics.protocol("http");
        let server = tokio::spawn(http::serve(env.clone(), metrics, Stream::Pipe(theirs), peer));
        Self { pipe: ours, input: BytesMut::new(), server }
    }

    async fn write(&self, bytes: impl Into<Bytes>) {
        let mut bytes: Bytes = bytes.into();
        while !bytes.is_empty() {
            poll_fn(|cx| self.pipe.poll_write_ready(cx)).await.unwrap();
            // The server may have closed.
            match self.pipe.try_write_vectored(&[std::io::IoSlice::new(&bytes)]) {
                Ok(count) => drop(bytes.split_to(count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    async fn post(&self, path: &str, body: &[u8]) {
        let head = format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
        self.write([head.as_bytes(), body].concat()).await;
    }

    /// The next response: its status and body. 0 at the end of the connection.
    async fn response(&mut self) -> (u16, Bytes) {
        loop {
            let text = String::from_utf8_lossy(&self.input);
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok()).flatten()
                });
                let (start, length) = (head.len() + 4, length.unwrap());
                if self.input.len() >= start + length {
                    let mut response = self.input.split_to(start + length);
                    return (status, response.split_off(start).freeze());
                }
            }
            self.input.reserve(4096);
            if poll_fn(|cx| self.pipe.poll_read_buf(cx, &mut self.input)).await.unwrap() == 0 {
                return (0, Bytes::new());
            }
        }
    }

    async fn ask(&mut self, path: &str, body: &[u8]) -> (u16, Bytes) {
        self.post(path, body).await;
        self.response().await
    }

    /// Opens a tunnel and returns its name.
    async fn open(&mut self) -> String {
        let (status, body) = self.ask("/open/1", &[0]).await;
        assert_eq!(status, 200);
        String::from_utf8(body.to_vec()).unwrap().trim_end().to_owned()
    }

    /// Opens a tunnel through which RTMP has shaken hands.
    async fn shake_hands(&mut self) -> String {
        let id = self.open().await;
        let (status, reply) = self.ask(&format!("/send/{id}/0"), &hello()).await;
        assert_eq!((status, reply.len(), reply[0], reply[1]), (200, 1 + 1 + 2 * 1536, 1, 3));
        let (status, reply) = self.ask(&format!("/send/{id}/1"), &reply[2..2 + 1536]).await;
        assert_eq!((status, &reply[..]), (200, &[1][..]));
        id
    }
}

/// C0 and C1 of the plain handshake.
fn hello() -> Vec<u8> {
    [&[3][..], &[0; 1536]].concat()
}

/// A player that has asked for `name`, up to its first reply with pictures. Its next request has number 3.
async fn play(client: &mut Client, name: &str) -> (String, Bytes) {
    begin(client, rtmp::client::Config::play, name).await
}

/// A client that has sent all its commands at once, with the reply to them.
async fn begin(
    client: &mut Client,
    role: fn(&rtmp::url::Url) -> rtmp::client::Config,
    name: &str,
) -> (String, Bytes) {
    let id = client.shake_hands().await;
    let url = rtmp::url::Url::parse(&format!("rtmpt://h/live/{name}")).unwrap();
    let config = rtmp::client::Config { pipelined: true, ..role(&url) };
    let mut session = rtmp::client::Session::new(config, [7; 32], Instant::now());
    // Its handshake is not the one above, but the commands that follow it are what they would be.
    while session.poll_output().is_some() {}
    let mut answer = BytesMut::from(&[&[3][..], &[0; 2 * 1536]].concat()[..]);
    session.handle_input(Instant::now(), &mut answer).unwrap();
    let mut commands = BytesMut::new();
    while let Some(bytes) = session.poll_output() {
        commands.extend_from_slice(&bytes);
    }
    let (status, reply) = client.ask(&format!("/send/{id}/2"), &commands[1536..]).await;
    assert_eq!(status, 200);
    (id, reply)
}

/// Publishes one more picture.
fn write_picture(publisher: &mut hub::Publisher, ms: i64, bytes: usize) {
    let time = media::Time::from_millis(ms);
    let packet = media::Packet {
        track: media::TrackId::VIDEO,
        codec: media::Codec::H264,
        role: media::Role::Frame,
        flags: media::Flags::default(),
        dts: time,
        pts: time,
        payload: vec![1; bytes].into(),
    };
    publisher.write(packet, Instant::now()).unwrap();
}

/// Whether `bytes` hold `text` somewhere.
fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

fn metrics(env: &Arc<Env>) -> ProtocolMetrics {
    env.metrics.protocol("rtmpt")
}

#[tokio::test(start_paused = true)]
async fn a_player_starts_with_the_reply_to_its_play_command() {
    let (env, _trigger) = node(|_| {});
    let _publisher = publish(&env, "live/cam");
    let mut client = Client::connect(&env);
    let (id, reply) = play(&mut client, "cam").await;
    assert!(holds(&reply, "NetStream.Play.Start"), "commands are answered in the reply that they came with");
    assert!(holds(&reply, "\0\0\0\x02\x65"), "and the keyframe comes with it");
    assert!(metrics(&env).bytes_out.get() > 0, "it counts as what it is");
    assert_eq!(client.ask(&format!("/close/{id}/3"), &[0]).await, (200, Bytes::from_static(&[0])));
    assert_eq!(env.tunnels.find(rtmp::tunnel::SessionId::parse(&id).unwrap()).map(|_| ()), None);
}

#[tokio::test(start_paused = true)]
async fn nobody_publishes_without_a_key_for_coming_from_this_machine() {
    let (env, _trigger) = node(|_| {});
    let near = "127.0.0.1:40000".parse().unwrap();
    // As nginx on this machine passes requests on: without a header that would say so.
    for (name, denied) in [("cam", true), ("cam?key=0123456789abcdef", false)] {
        let mut client = Client::connect_from(&env, near);
        let (_, reply) = begin(&mut client, rtmp::client::Config::publish, name).await;
        assert!(holds(&reply, "onStatus"), "{name}");
        assert_eq!(holds(&reply, "NetStream.Publish.Denied"), denied, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_held_until_there_is_something_to_say() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let (id, reply) = play(&mut client, "later").await;
    assert!(!holds(&reply, "NetStream.Play.Start"), "nobody publishes yet");
    let begun = tokio::time::Instant::now();
    assert_eq!(client.ask(&format!("/idle/{id}/3"), &[0]).await, (200, Bytes::from_static(&[1])));
    let held = begun.elapsed();
    assert!((Duration::from_millis(30)..Duration::from_millis(60)).contains(&held), "{held:?}");
    client.post(&format!("/idle/{id}/4"), &[0]).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let begun = tokio::time::Instant::now();
    let _publisher = publish(&env, "live/later");
    let (_, reply) = client.response().await;
    assert!(holds(&reply, "NetStream.Play.Start"));
    assert!(begun.elapsed() < Duration::from_millis(20), "data ends the wait");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_polls_without_a_pause_is_slowed_down() {
    let (env, _trigger) = node(|_| {});
    let mut publisher = publish(&env, "live/cam");
    let mut client = Client::connect(&env);
    let (id, _) = play(&mut client, "cam").await;
    let begun = tokio::time::Instant::now();
    for number in 3..13 {
        write_picture(&mut publisher, number as i64 * 40, 100);
        assert!(client.ask(&format!("/idle/{id}/{number}"), &[0]).await.1.len() > 100);
    }
    assert!(begun.elapsed() >= REPLY_INTERVAL * 9, "{:?}", begun.elapsed());
    let begun = tokio::time::Instant::now();
    write_picture(&mut publisher, 1_000, REPLY_BYTES);
    assert!(client.ask(&format!("/idle/{id}/13"), &[0]).await.1.len() > REPLY_BYTES);
    assert_eq!(begun.elapsed(), Duration::ZERO, "a large picture does not wait");
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_answered_when_the_client_goes_on() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let id = client.shake_hands().await;
    let begun = tokio::time::Instant::now();
    client.post(&format!("/idle/{id}/2"), &[0]).await;
    client.post(&format!("/send/{id}/3"), &[]).await;
    assert_eq!((client.response().await.0, client.response().await.0), (200, 200));
    assert_eq!(begun.elapsed(), Duration::ZERO, "on the same connection");
    client.post(&format!("/idle/{id}/4"), &[0]).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut other = Client::connect(&env);
    assert_eq!(other.ask(&format!("/send/{id}/5"), &[]).await.0, 200);
    assert_eq!(client.response().await.0, 200);
    assert!(begun.elapsed() < Duration::from_millis(20), "on another one");
}

#[tokio::test(start_paused = true)]
async fn requests_that_overtake_each_other_are_served_in_order() {
    let (env, _trigger) = node(|_| {});
    let (mut first, mut second) = (Client::connect(&env), Client::connect(&env));
    let id = first.open().await;
    let hello = hello();
    second.post(&format!("/send/{id}/1"), &hello[700..]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (status, reply) = first.ask(&format!("/send/{id}/0"), &hello[..700]).await;
    assert_eq!((status, &reply[..]), (200, &[1][..]));
    let (status, reply) = second.response().await;
    assert_eq!((status, reply.len()), (200, 2 + 2 * 1536));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_gets_the_same_reply_and_is_not_served_again() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let id = client.open().await;
    let first = client.ask(&format!("/send/{id}/0"), &hello()).await;
    let mut other = Client::connect(&env);
    assert_eq!(other.ask(&format!("/send/{id}/0"), &hello()).await, first);
    // If it had been served twice, this would not end the handshake.
    let (status, reply) = other.ask(&format!("/send/{id}/1"), &[0; 1536]).await;
    assert_eq!((status, &reply[..]), (200, &[1][..]));
    assert_eq!(client.ask(&format!("/send/{id}/0"), &hello()).await.0, 409, "only the last one is kept");
    assert_eq!(client.ask(&format!("/idle/{id}/2"), &[0]).await.0, 200, "and the connection goes on");
}

#[tokio::test(start_paused = true)]
async fn two_copies_of_a_request_at_once_are_served_once() {
    let (env, _trigger) = node(|_| {});
    let mut clients = [Client::connect(&env), Client::connect(&env), Client::connect(&env)];
    let id = clients[0].shake_hands().await;
    for client in &clients {
        client.post(&format!("/idle/{id}/2"), &[0]).await;
    }
    for client in &mut clients {
        assert_eq!(client.response().await, (200, Bytes::from_static(&[1])));
    }
    assert_eq!(clients[0].ask(&format!("/idle/{id}/3"), &[0]).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn numbers_that_are_far_ahead_or_follow_a_gap_are_refused() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let id = client.shake_hands().await;
    let begun = tokio::time::Instant::now();
    assert_eq!(client.ask(&format!("/idle/{id}/1000"), &[0]).await.0, 409);
    assert_eq!(begun.elapsed(), Duration::ZERO, "at once");
    assert_eq!(client.ask(&format!("/idle/{id}/3"), &[0]).await.0, 409);
    assert_eq!(begun.elapsed(), ORDER_WAIT, "the one before may still come");
    assert_eq!(client.ask(&format!("/idle/{id}/2"), &[0]).await.0, 200, "the tunnel is none the worse");
}

#[tokio::test(start_paused = true)]
async fn names_that_nobody_was_given_are_not_found() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let id = client.open().await;
    for path in [
        format!("/idle/{}/0", "0".repeat(32)),
        format!("/send/{}/0", id.to_uppercase()),
        format!("/send/{id}0/0"),
        format!("/send/{id}"),
        "/idle/1/2".to_owned(),
        "/fcs/ident2".to_owned(),
    ] {
        assert_eq!(client.ask(&path, &[0]).await.0, 404, "{path}");
    }
    assert_eq!(client.ask(&format!("/idle/{id}/0"), &[0]).await.0, 200, "on the same connection");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_is_closed_once() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let id = client.shake_hands().await;
    assert_eq!(client.ask(&format!("/close/{id}/2"), &[0]).await, (200, Bytes::from_static(&[0])));
    for path in ["close", "idle", "send"] {
        assert_eq!(client.ask(&format!("/{path}/{id}/3"), &[0]).await.0, 404, "{path}");
    }
    while env.tunnels.open() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_connection_has_ended_is_told_and_then_forgotten() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let id = client.open().await;
    // No version of RTMP.
    assert_eq!(client.ask(&format!("/send/{id}/0"), b"\x20nonsense").await, (200, Bytes::from_static(&[0])));
    while env.tunnels.open() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.ask(&format!("/idle/{id}/1"), &[0]).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_ask_is_gone() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let id = client.open().await;
    let limit = env.config.rtmp.write_timeout();
    for number in 0..5 {
        tokio::time::sleep(limit / 2).await;
        assert_eq!(client.ask(&format!("/idle/{id}/{number}"), &[0]).await.0, 200);
    }
    tokio::time::sleep(limit * 9 / 10).await;
    assert_eq!(env.tunnels.open(), 1);
    tokio::time::sleep(limit / 5).await;
    assert_eq!(env.tunnels.open(), 0);
    assert_eq!(client.response().await.0, 0, "its connection was silent for as long");
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_too_long_are_refused_at_once() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let id = client.open().await;
    client.write(format!("POST /send/{id}/0 HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")).await;
    assert_eq!(client.response().await.0, 413);
    assert_eq!(client.response().await.0, 0, "where the next request begins is not known");
    // A long body for nobody is not read either.
    let mut client = Client::connect(&env);
    let unknown = "0".repeat(32);
    client.write(format!("POST /send/{unknown}/0 HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n")).await;
    assert_eq!(client.response().await.0, 404);
    assert_eq!(client.response().await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn heads_and_bodies_that_do_not_come_are_given_up() {
    let (env, _trigger) = node(|_| {});
    let begun = tokio::time::Instant::now();
    let mut head = Client::connect(&env);
    head.write("POST /open/1 HTTP/1.1\r\n").await;
    let mut body = Client::connect(&env);
    let id = body.open().await;
    body.write(format!("POST /send/{id}/0 HTTP/1.1\r\nContent-Length: 100000\r\n\r\n")).await;
    // A byte now and then does not help.
    let drip = async {
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            head.write("a").await;
            body.write("a").await;
        }
    };
    let _ = timeout(env.config.http.request_timeout() * 3 / 2, drip).await;
    assert_eq!((head.response().await.0, body.response().await.0), (408, 408));
    assert_eq!((head.response().await.0, body.response().await.0), (0, 0));
    assert!(begun.elapsed() < env.config.http.request_timeout() * 2);
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_tunnels_than_connections_may_be() {
    let (env, _trigger) = node(|config| config.limits.connections_max = 3);
    let mut client = Client::connect(&env);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(client.open().await);
    }
    assert_eq!(client.ask("/open/1", &[0]).await.0, 503);
    assert_eq!(client.ask(&format!("/close/{}/0", ids[0]), &[0]).await.0, 200);
    while env.tunnels.open() == 3 {
        tokio::task::yield_now().await;
    }
    client.open().await;
    assert_eq!(client.ask("/open/1", &[0]).await.0, 503);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_breaks_off_loses_nothing() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let (id, _) = play(&mut client, "later").await;
    client.post(&format!("/idle/{id}/3"), &[0]).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let Client { server, pipe, .. } = client;
    drop(pipe);
    server.await.unwrap();
    let _publisher = publish(&env, "live/later");
    let mut client = Client::connect(&env);
    let (_, reply) = client.ask(&format!("/idle/{id}/3"), &[0]).await;
    assert_eq!(&reply[..], [1], "the poll that was broken off has taken nothing");
    let (_, reply) = client.ask(&format!("/idle/{id}/4"), &[0]).await;
    assert!(holds(&reply, "NetStream.Play.Start"));
}

#[tokio::test(start_paused = true)]
async fn players_hear_of_a_shutdown() {
    let (env, trigger) = node(|_| {});
    let _publisher = publish(&env, "live/cam");
    let mut client = Client::connect(&env);
    let (id, _) = play(&mut client, "cam").await;
    client.post(&format!("/idle/{id}/3"), &[0]).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    trigger.trigger();
    let (status, reply) = client.response().await;
    assert!(status == 200 && holds(&reply, "NetStream.Play.UnpublishNotify"));
    assert_eq!(client.ask(&format!("/idle/{id}/4"), &[0]).await, (200, Bytes::from_static(&[0])));
    while env.tunnels.open() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.ask("/open/1", &[0]).await.0, 503);
    assert_eq!(client.response().await.0, 0);
    client.server.await.unwrap();
}

#[tokio::test]
async fn other_requests_of_the_connection_are_answered_as_well() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let id = client.open().await;
    client.write("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.response().await, (200, Bytes::from_static(b"ok\n")));
    // From here on by way of hyper.
    let head = format!("POST /send/{id}/0 HTTP/1.1\r\nHost: h\r\nContent-Length: 1537\r\n\r\n");
    client.write([head.as_bytes(), &hello()].concat()).await;
    let (status, reply) = client.response().await;
    assert_eq!((status, reply.len()), (200, 2 + 2 * 1536));
    let post = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n\0");
    for (path, status) in [
        (format!("/idle/{id}/1"), 200),
        ("/open/1".to_owned(), 200),
        (format!("/close/{id}/2"), 200),
        (format!("/close/{id}/3"), 404),
        ("/fcs/ident2".to_owned(), 404),
        ("/live/cam".to_owned(), 405),
        ("/a/b/c".to_owned(), 405),
        ("/send/x/y".to_owned(), 404),
    ] {
        client.write(post(&path)).await;
        assert_eq!(client.response().await.0, status, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_fills_the_table_with_tunnels_that_carry_nothing() {
    let (env, _trigger) = node(|config| config.limits.connections_max = 10 * YOUNG_PER_ADDRESS_MIN);
    let _publisher = publish(&env, "live/cam");
    let mut client = Client::connect(&env);
    for _ in 0..2 * YOUNG_PER_CONNECTION_MAX {
        play(&mut client, "cam").await;
    }
    for _ in 0..YOUNG_PER_CONNECTION_MAX {
        client.open().await;
    }
    assert_eq!(client.ask("/open/1", &[0]).await.0, 503, "on one connection");
    let mut second = Client::connect(&env);
    for _ in YOUNG_PER_CONNECTION_MAX..2 * YOUNG_PER_ADDRESS_MIN {
        second.post("/open/1", &[0]).await;
        assert!([200, 503].contains(&second.response().await.0));
    }
    let mut third = Client::connect(&env);
    assert_eq!(third.ask("/open/1", &[0]).await.0, 503, "from one address");
    Client::connect_from(&env, "192.0.2.2:40000".parse().unwrap()).open().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_body_for_nobody_is_refused_at_once_also_by_way_of_hyper() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    client.write("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.response().await.0, 200);
    let begun = tokio::time::Instant::now();
    let unknown = "0".repeat(32);
    client
        .write(format!("POST /send/{unknown}/0 HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n"))
        .await;
    assert_eq!(client.response().await.0, 404);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn streams_of_one_connection_share_the_room_for_bodies() {
    let (env, _trigger) = node(|_| {});
    let mut client = Client::connect(&env);
    let carrier = Carrier::default();
    let mut read = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..3 {
        let id = client.open().await;
        let polled = Arc::new(AtomicBool::new(false));
        let mut request = axum::extract::Request::post(format!("/send/{id}/0"))
            .header("content-length", ::rtmp::limits::TUNNEL_BODY_BYTES_MAX / 2)
            .body(axum::body::Body::new(Never(polled.clone())))
            .unwrap();
        request.extensions_mut().insert(http::Peer(PEER));
        request.extensions_mut().insert(http::Port("http"));
        request.extensions_mut().insert(carrier.clone());
        read.push(polled);
        answers.push(tokio::spawn(answer(axum::extract::State(env.clone()), request)));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let read: Vec<_> = read.iter().map(|polled| polled.load(Ordering::Relaxed)).collect();
    assert_eq!(read, [true, true, false]);
    for answer in answers {
        assert_eq!(answer.await.unwrap().status(), 408);
    }
}

/// A body of which nothing ever comes; it knows whether somebody waits for it.
struct Never(Arc<AtomicBool>);

impl http_body::Body for Never {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0.store(true, Ordering::Relaxed);
        std::task::Poll::Pending
    }
}
