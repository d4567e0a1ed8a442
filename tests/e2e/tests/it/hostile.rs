//! Peers that break the rules: each loses its own connection, and a viewer beside them notices nothing.

use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, http, process};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

/// A server with one publisher and one viewer that nothing here may disturb.
struct Bystander {
    server: Server,
    publisher: Process,
    viewer: e2e::flv::Reader<http::Body>,
}

impl Bystander {
    fn new() -> Result<Self, String> {
        let ffmpeg = program::ffmpeg()?;
        let clip = clip::h264_aac(&ffmpeg)?;
        let server = Server::with(&[
            "rtmp.handshake_timeout_ms=3000",
            "http.request_timeout_ms=3000",
            "tls.handshake_timeout_ms=3000",
        ]);
        let publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
        server.await_live("cam");
        let viewer = server.open_flv("cam", "").map_err(|error| error.to_string())?;
        Ok(Self { server, publisher, viewer })
    }

    /// The viewer still gets pictures in order, and new viewers can join.
    fn stays_undisturbed(mut self) {
        let resident = resident_kib(&self.server);
        assert!(resident < 400 * 1024, "the server grew to {resident} KiB");
        let mut last = self.viewer.find(|tag| tag.is_picture()).unwrap().timestamp;
        for _ in 0..50 {
            let next = self.viewer.find(|tag| tag.is_picture()).unwrap().timestamp;
            assert!(next >= last && next - last < 500, "{last} ms, then {next} ms");
            last = next;
        }
        self.server.open_flv("cam", "").unwrap().find(|tag| tag.is_keyframe()).unwrap();
        assert!(self.publisher.is_running() && self.server.process.is_running());
    }
}

fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Reads until the server closes. Fails the test if it does not within the read timeout.
#[track_caller]
fn is_closed(stream: &mut TcpStream) {
    let mut sink = [0; 4096];
    loop {
        match stream.read(&mut sink) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the server keeps the connection")
            }
            Err(_) => return,
        }
    }
}

/// Writes as much as the server takes; it may close at any point.
fn pour(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// Bytes without any pattern that a parser could take for its own, the same in each run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// All the ports of a server.
fn doors(server: &Server) -> [SocketAddr; 4] {
    [server.rtmp, server.rtmps, server.http, server.https]
}

/// A record of a TLS handshake (RFC 8446 section 5.1) that says that it is `length` bytes long.
fn tls_record(length: u16, bytes: &[u8]) -> Vec<u8> {
    [&[22, 3, 1], &length.to_be_bytes()[..], bytes].concat()
}

/// The plain handshake, after which chunks follow.
fn rtmp(server: &Server) -> TcpStream {
    let mut stream = http::connect(server.rtmp).unwrap();
    let mut hello = vec![0; 1537];
    hello[0] = 3;
    stream.write_all(&hello).unwrap();
    let mut answer = vec![0; 1 + 1536 + 1536];
    stream.read_exact(&mut answer).unwrap();
    stream.write_all(&answer[1..1537]).unwrap();
    stream
}

/// A chunk with a full header (format 0) on chunk stream `csid`.
fn chunk(csid: u8, kind: u8, length: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![csid & 0x3f, 0, 0, 0];
    bytes.extend_from_slice(&length.to_be_bytes()[1..]);
    bytes.push(kind);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// Tells the server that chunks of `size` bytes follow.
fn set_chunk_size(size: u32) -> Vec<u8> {
    chunk(2, 1, 4, &size.to_be_bytes())
}

#[test]
fn noise_instead_of_a_protocol_is_cut_off() {
    let bystander = e2e::need!(Bystander::new());
    for address in doors(&bystander.server) {
        for seed in 0..8 {
            let mut stream = http::connect(address).unwrap();
            pour(&mut stream, &noise(64 * 1024)[seed * 7..]);
            is_closed(&mut stream);
        }
    }
    let mut stream = rtmp(&bystander.server);
    pour(&mut stream, &noise(256 * 1024));
    is_closed(&mut stream);
    bystander.stays_undisturbed();
}

#[test]
fn a_peer_that_never_finishes_its_handshake_is_cut_off() {
    let bystander = e2e::need!(Bystander::new());
    let mut silent = http::connect(bystander.server.rtmp).unwrap();
    let mut begun = http::connect(bystander.server.rtmp).unwrap();
    begun.write_all(&[3; 700]).unwrap();
    let mut head = http::connect(bystander.server.http).unwrap();
    head.write_all(b"GET /live/cam.flv HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    // Silent behind a port with TLS, in the middle of a hello, and behind the TLS handshake.
    let mut tls_silent = http::connect(bystander.server.https).unwrap();
    let mut tls_begun = http::connect(bystander.server.rtmps).unwrap();
    tls_begun.write_all(&tls_record(300, &[1, 0, 1, 40, 3, 3])).unwrap();
    for stream in [&mut silent, &mut begun, &mut head, &mut tls_silent, &mut tls_begun] {
        is_closed(stream);
    }
    // The server counts when it has closed.
    e2e::until("both are counted", || {
        let timeouts = bystander.server.metric("rushlight_tls_handshakes_failed_total", &["timeout"]);
        (timeouts >= 2.0).then_some(())
    });
    bystander.stays_undisturbed();
}

#[test]
fn tls_that_breaks_the_rules_is_cut_off_on_every_port() {
    let bystander = e2e::need!(Bystander::new());
    // A hello that never ends, in records of the largest size, then in records that are larger than may be.
    let hello = [&[1, 0xff, 0xff, 0xff, 3, 3][..], &noise(16_378)].concat();
    let endless = tls_record(16_384, &hello).repeat(40);
    let oversized = tls_record(u16::MAX, &noise(65_535));
    let alert = b"\x15\x03\x01\x00\x02\x02\x28".repeat(100);
    let early = [&b"\x17\x03\x03\x40\x00"[..], &noise(16_384)].concat();
    for address in doors(&bystander.server) {
        for bytes in [&endless, &oversized, &alert, &early] {
            let mut stream = http::connect(address).unwrap();
            pour(&mut stream, bytes);
            is_closed(&mut stream);
        }
    }
    bystander.stays_undisturbed();
}

#[test]
fn plain_protocols_on_ports_with_tls_are_cut_off_and_counted() {
    let bystander = e2e::need!(Bystander::new());
    let request = b"GET /live/cam.flv HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for address in [bystander.server.rtmps, bystander.server.https] {
        for bytes in [&[3; 1537][..], request] {
            let mut stream = http::connect(address).unwrap();
            pour(&mut stream, bytes);
            is_closed(&mut stream);
        }
    }
    for protocol in ["rtmps", "https"] {
        let failed = bystander.server.metric("rushlight_tls_handshakes_failed_total", &[protocol, "not_tls"]);
        assert!((failed - 2.0).abs() < 0.5, "{protocol}: {failed}");
    }
    bystander.stays_undisturbed();
}

#[test]
fn half_sent_messages_cost_no_memory() {
    let bystander = e2e::need!(Bystander::new());
    // 62 messages of 16 MB each are announced on one connection, and begun: about 1 GB, were it reserved.
    let mut hoarders: Vec<_> = (0..4).map(|_| rtmp(&bystander.server)).collect();
    for stream in &mut hoarders {
        pour(stream, &set_chunk_size(128));
        for csid in 3..=63 {
            pour(stream, &chunk(csid, 9, 0xff_ffff, &[0; 128]));
        }
    }
    bystander.stays_undisturbed();
}

#[test]
fn impossible_chunk_sizes_and_lengths_are_cut_off() {
    let bystander = e2e::need!(Bystander::new());
    for size in [0, 0x8000_0000, 0xffff_ffff] {
        let mut stream = rtmp(&bystander.server);
        pour(&mut stream, &set_chunk_size(size));
        pour(&mut stream, &noise(256 * 1024));
        is_closed(&mut stream);
    }
    // A message whose length changes between its chunks (the class of CVE-2016-10191).
    let mut stream = rtmp(&bystander.server);
    pour(&mut stream, &chunk(4, 9, 1_000, &[0; 128]));
    pour(&mut stream, &chunk(4, 9, 10, &[0; 10]));
    pour(&mut stream, &noise(256 * 1024));
    is_closed(&mut stream);
    bystander.stays_undisturbed();
}

#[test]
fn deep_and_wide_commands_are_cut_off() {
    let bystander = e2e::need!(Bystander::new());
    let mut command = b"\x02\x00\x07connect\x00\x3f\xf0\x00\x00\x00\x00\x00\x00".to_vec();
    for _ in 0..10_000 {
        command.extend_from_slice(b"\x03\x00\x01a");
    }
    let mut array = b"\x02\x00\x07connect\x00\x3f\xf0\x00\x00\x00\x00\x00\x00\x0a\xff\xff\xff\xff".to_vec();
    array.extend(std::iter::repeat_n(5, 1_000));
    for payload in [command, array] {
        let mut stream = rtmp(&bystander.server);
        pour(&mut stream, &set_chunk_size(65_536));
        pour(&mut stream, &chunk(3, 20, payload.len() as u32, &payload));
        is_closed(&mut stream);
    }
    bystander.stays_undisturbed();
}

#[test]
fn names_that_leave_their_folder_are_refused() {
    let bystander = e2e::need!(Bystander::new());
    let ffmpeg = program::ffmpeg().unwrap();
    let clip = clip::h264_aac(&ffmpeg).unwrap();
    for name in ["..", "../../x", "..%2f..%2fx", ".hidden", "a%00b", "a\\b", "%2e%2e"] {
        let url = bystander.server.rtmp_url(name);
        let mut command = Command::new(&ffmpeg);
        command
            .args(["-v", "error", "-re", "-i"])
            .arg(&clip)
            .args(["-t", "1", "-c", "copy", "-f", "flv", &url]);
        assert!(process::run(&mut command).is_err(), "published as {name}");
    }
    for path in
        ["/live/../../etc/passwd", "/live/..%2f..%2fx.flv", "/watch/../../x", "/assets/..%2f..%2fCargo.toml"]
    {
        let status = http::get(bystander.server.http, path).unwrap().status;
        assert!((300..500).contains(&status), "{path}: {status}");
    }
    let listed = bystander.server.api("channels").unwrap();
    assert_eq!(listed["channels"].as_array().unwrap().len(), 1, "{listed}");
    bystander.stays_undisturbed();
}

#[test]
fn oversized_http_heads_and_bodies_are_refused() {
    let bystander = e2e::need!(Bystander::new());
    let address = bystander.server.http;
    let long = "x".repeat(512 * 1024);
    for head in [
        format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(20_000)),
    ] {
        let mut stream = http::connect(address).unwrap();
        pour(&mut stream, head.as_bytes());
        match http::read_head(stream.try_clone().unwrap(), false) {
            Ok(response) => assert!((400..500).contains(&response.status), "{}", response.status),
            Err(_) => is_closed(&mut stream),
        }
    }
    let body = vec![b' '; 1024 * 1024];
    let headers = [("Content-Type", "application/json"), ("Connection", "close")];
    match http::request(address, "POST", "/api/v1/beacon", &headers, &body) {
        Ok(response) => assert!((400..500).contains(&response.status), "{}", response.status),
        // It may close while the body still arrives.
        Err(error) => assert!(error.kind() != io::ErrorKind::TimedOut, "{error}"),
    }
    bystander.stays_undisturbed();
}

#[test]
fn websocket_frames_that_break_the_rules_close_the_socket() {
    let bystander = e2e::need!(Bystander::new());
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let frames: [&[u8]; 4] = [
        b"\x82\x05hello",                                    // not masked
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", // 2^63 bytes announced
        b"\xf3\x80\0\0\0\0",                                 // reserved bits and a reserved opcode
        b"\x89\xfe\x01\x00\0\0\0\0",                         // a ping longer than a control frame may be
    ];
    for frame in frames {
        let response = http::request(bystander.server.http, "GET", "/live/cam.flv", &upgrade, b"").unwrap();
        assert_eq!(response.status, 101);
        let mut stream = response.body.into_inner().into_inner();
        pour(&mut stream, frame);
        pour(&mut stream, &noise(64 * 1024));
        is_closed(&mut stream);
    }
    bystander.stays_undisturbed();
}

/// The bytes of a request of a tunnel that announces a body of `length` bytes.
fn tunnel_request(path: &str, length: usize, body: &[u8]) -> Vec<u8> {
    [format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").as_bytes(), body].concat()
}

/// Reads one response: its status and body.
fn read_response(stream: &TcpStream) -> (u16, String) {
    let mut response = http::read_head(stream.try_clone().unwrap(), false).unwrap();
    let length = response.header("content-length").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    response.body.read_exact(&mut body).unwrap();
    (response.status, String::from_utf8_lossy(&body).into_owned())
}

/// Opens a tunnel on `stream`.
fn open_tunnel(stream: &mut TcpStream) -> String {
    stream.write_all(&tunnel_request("/open/1", 1, b"\0")).unwrap();
    let (status, body) = read_response(stream);
    assert_eq!(status, 200);
    body.trim_end().to_owned()
}

#[test]
fn floods_of_tunnels_and_guesses_end_in_answers_and_are_forgotten() {
    let bystander = e2e::need!(Bystander::new());
    // One connection opens a few that carry nothing, and many open more.
    let mut ids = Vec::new();
    let mut streams: Vec<_> = (0..100).map(|_| http::connect(bystander.server.http).unwrap()).collect();
    for stream in &mut streams {
        ids.extend((0..16).map(|_| open_tunnel(stream)));
        stream.write_all(&tunnel_request("/open/1", 1, b"\0")).unwrap();
        assert_eq!(read_response(stream).0, 503);
    }
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    let stream = &mut streams[0];
    // Guesses next to names that exist, as fast as they can be sent.
    for id in ids.iter().take(500) {
        let last = if id.ends_with('0') { '1' } else { '0' };
        let guess = format!("/send/{}{last}/0", &id[..31]);
        stream.write_all(&tunnel_request(&guess, 4, b"\x03abc")).unwrap();
        assert_eq!(read_response(stream).0, 404);
    }
    // None of them ever spoke RTMP.
    e2e::until("they are forgotten", || {
        let request = tunnel_request(&format!("/close/{}/0", ids[0]), 1, b"\0");
        let mut stream = http::connect(bystander.server.http).unwrap();
        stream.write_all(&request).unwrap();
        (read_response(&stream).0 == 404).then_some(())
    });
    bystander.stays_undisturbed();
}

#[test]
fn half_sent_bodies_of_tunnels_cost_little_and_end() {
    let bystander = e2e::need!(Bystander::new());
    let mut hoarders = Vec::new();
    for _ in 0..200 {
        let mut stream = http::connect(bystander.server.http).unwrap();
        let id = open_tunnel(&mut stream);
        stream.write_all(&tunnel_request(&format!("/send/{id}/0"), 8_000_000, &noise(1_000))).unwrap();
        hoarders.push(stream);
    }
    assert!(resident_kib(&bystander.server) < 200 * 1024);
    for stream in &mut hoarders {
        is_closed(stream);
    }
    let mut stream = http::connect(bystander.server.http).unwrap();
    let id = open_tunnel(&mut stream);
    stream.write_all(&tunnel_request(&format!("/send/{id}/0"), 9_000_000, &noise(1_000))).unwrap();
    assert_eq!(read_response(&stream).0, 413);
    bystander.stays_undisturbed();
}

#[test]
fn noise_in_a_tunnel_ends_that_tunnel_alone() {
    let bystander = e2e::need!(Bystander::new());
    let mut stream = http::connect(bystander.server.http).unwrap();
    for seed in 0..20 {
        let id = open_tunnel(&mut stream);
        let mut number = 0;
        let mut send = |bytes: &[u8]| {
            let request = tunnel_request(&format!("/send/{id}/{number}"), bytes.len(), bytes);
            stream.write_all(&request).unwrap();
            number += 1;
            read_response(&stream)
        };
        // Behind a handshake, so that it reaches the chunks.
        assert_eq!(send(&[&[3][..], &[0; 2 * 1536]].concat()).0, 200);
        let mut last = send(&noise(100_000)[seed * 3..]);
        for _ in 0..3 {
            last = send(&noise(1_000));
        }
        assert_eq!(last.0, 404, "it goes on");
    }
    bystander.stays_undisturbed();
}
