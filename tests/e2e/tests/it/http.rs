//! How HTTP behaves: what players, browsers, proxies and monitors rely on.

use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, flv, http, need, until};
use std::io::{BufRead, Read, Write};
use std::process::Command;

fn live() -> Result<(Server, Process), String> {
    let ffmpeg = program::ffmpeg()?;
    let clip = clip::h264_aac(&ffmpeg)?;
    let server = Server::start();
    let publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    Ok((server, publisher))
}

#[test]
fn a_live_response_says_what_it_is_and_that_any_page_may_read_it() {
    let (server, _publisher) = need!(live());
    for method in ["GET", "HEAD"] {
        let headers = [("Origin", "https://example.org"), ("Connection", "close")];
        let response = http::request(server.http, method, "/live/cam.flv", &headers, b"").unwrap();
        assert_eq!(response.status, 200, "{method}");
        assert_eq!(response.header("content-type"), Some("video/x-flv"), "{method}");
        assert_eq!(response.header("access-control-allow-origin"), Some("*"), "{method}");
        assert!(response.header("cache-control").is_some_and(|value| value.contains("no-store")), "{method}");
        if method == "GET" {
            let mut flv = flv::Reader::new(response.body).unwrap();
            flv.find(|tag| tag.is_keyframe()).unwrap();
        }
    }
}

#[test]
fn a_preflight_request_is_answered() {
    let server = Server::start();
    let headers = [
        ("Origin", "https://example.org"),
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "range"),
        ("Connection", "close"),
    ];
    let response = http::request(server.http, "OPTIONS", "/live/cam.flv", &headers, b"").unwrap();
    assert!((200..300).contains(&response.status), "{}", response.status);
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn what_does_not_exist_is_a_problem_document() {
    let server = Server::start();
    for path in ["/api/v1/channels/live/nobody", "/api/v1/nothing"] {
        let response = http::get(server.http, path).unwrap();
        assert_eq!(response.status, 404, "{path}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{path}");
        let problem: serde_json::Value = serde_json::from_str(&response.text().unwrap()).unwrap();
        assert_eq!(problem["status"], 404, "{path}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{path}");
    }
}

#[test]
fn a_channel_without_a_publisher_is_not_found_after_a_wait() {
    let server = Server::with(&["hub.wait_ms=200"]);
    let response = http::get(server.http, "/live/nobody.flv").unwrap();
    assert_eq!(response.status, 404);
}

#[test]
fn monitors_find_health_readiness_and_metrics() {
    let (server, _publisher) = need!(live());
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/channels"] {
        assert_eq!(http::get(server.http, path).unwrap().status, 200, "{path}");
    }
    let metrics = server.metrics();
    let samples: Vec<_> = metrics.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(
        samples.iter().all(|line| ["rushlight_", "process_"].iter().any(|name| line.starts_with(name))),
        "{metrics}"
    );
    assert!(metrics.trim_end().ends_with("# EOF"), "OpenMetrics ends with its marker");
}

#[test]
fn the_status_describes_the_stream() {
    let (server, _publisher) = need!(live());
    let status = server.channel("cam").unwrap();
    assert_eq!(status["name"], "live/cam");
    assert_eq!((&status["video"]["width"], &status["video"]["height"]), (&640.into(), &360.into()));
    assert_eq!(status["video"]["codec"], "h264");
    assert!(status["video"]["mime"].as_str().is_some_and(|mime| mime.starts_with("avc1.")));
    assert_eq!(status["audio"]["mime"], "mp4a.40.2");
    assert_eq!(status["audio"]["sampleRate"], 44_100);
    until("the bit rate is measured", || {
        (server.channel("cam")?["bitrateBps"].as_u64()? > 100_000).then_some(())
    });
    until("the GOP is measured", || (server.channel("cam")?["gopMs"].as_u64()? == 1_000).then_some(()));
}

#[test]
fn one_connection_serves_several_requests() {
    let server = Server::start();
    let mut stream = http::connect(server.http).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let response = http::read_head(stream.try_clone().unwrap(), false).unwrap();
        assert_eq!(response.status, 200);
        response.text().unwrap();
    }
}

#[test]
fn http_2_carries_a_live_stream() {
    let curl = need!(program::find("curl"));
    let (server, _publisher) = need!(live());
    let out = server.scratch().join("out.flv");
    let url = server.flv_url("cam");
    let mut command = Command::new(curl);
    command.args([
        "--silent",
        "--http2-prior-knowledge",
        "--max-time",
        "4",
        "--write-out",
        "%{http_version} %{http_code}",
    ]);
    let mut curl = Process::spawn(command.arg("--output").arg(&out).arg(url));
    curl.wait(e2e::wait::DEADLINE);
    assert_eq!(curl.output().trim(), "2 200");
    let mut flv = flv::Reader::new(std::fs::File::open(&out).unwrap()).unwrap();
    flv.find(|tag| tag.is_keyframe()).unwrap();
    flv.find(|tag| tag.is_keyframe()).unwrap();
}

#[test]
fn a_websocket_carries_a_live_stream() {
    let (server, _publisher) = need!(live());
    // The key and the answer of RFC 6455 section 1.3.
    let upgrade = [
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let response = http::request(server.http, "GET", "/live/cam.flv", &upgrade, b"").unwrap();
    assert_eq!(response.status, 101);
    assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let mut flv = flv::Reader::new(Messages { input: response.body.into_inner(), left: 0 }).unwrap();
    flv.find(|tag| tag.is_keyframe()).unwrap();
    flv.find(|tag| tag.is_keyframe()).unwrap();
}

/// The payloads of a server's binary WebSocket frames, one after another.
struct Messages<R> {
    input: R,
    left: u64,
}

impl<R: BufRead> Read for Messages<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.left == 0 {
            let mut head = [0; 2];
            self.input.read_exact(&mut head)?;
            self.left = match head[1] {
                126 => {
                    let mut length = [0; 2];
                    self.input.read_exact(&mut length)?;
                    u16::from_be_bytes(length).into()
                }
                127 => {
                    let mut length = [0; 8];
                    self.input.read_exact(&mut length)?;
                    u64::from_be_bytes(length)
                }
                short => u64::from(short),
            };
            assert!(head[1] & 0x80 == 0, "a server must not mask");
            if head[0] & 0x0f > 2 {
                // A control frame: nothing for the reader of the stream.
                std::io::copy(&mut (&mut self.input).take(self.left), &mut std::io::sink())?;
                self.left = 0;
            }
        }
        let n = (&mut self.input).take(self.left).read(out)?;
        self.left -= n as u64;
        Ok(n)
    }
}

#[test]
fn a_beacon_becomes_metrics() {
    let server = Server::start();
    let beacon =
        br#"{"session":"e2e","stream":"live/cam","protocol":"http-flv","renderer":"mse","event":"start",
        "t":{"t1":1,"t2":2,"t3":3,"t4":4,"t5":123},"stalls":0,"stallMs":0,"droppedFrames":0,"decodedFrames":1,
        "latencyMs":300,"watchedMs":1000}"#;
    for kind in ["text/plain", "application/json"] {
        let headers = [("Content-Type", kind), ("Connection", "close")];
        let response = http::request(server.http, "POST", "/api/v1/beacon", &headers, beacon).unwrap();
        assert_eq!(response.status, 204, "{kind}");
    }
    let headers = [("Content-Type", "application/json"), ("Connection", "close")];
    for wrong in [&b"{"[..], b"[]", b"{\"session\":1}"] {
        let response = http::request(server.http, "POST", "/api/v1/beacon", &headers, wrong).unwrap();
        assert_eq!(response.status, 400);
    }
    assert!(server.metrics().contains("mse"), "{}", server.metrics());
}
