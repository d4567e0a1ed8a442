//! Who may publish: with the loopback exemption switched off, as for a publisher from another machine.

use e2e::program::{self, Repeat};
use e2e::{Server, clip, http, need, process, until};
use std::path::Path;
use std::process::Command;

/// Publishes with ffmpeg; what it says if it is refused.
fn publish_for_a_second(ffmpeg: &Path, clip: &Path, url: &str) -> Result<String, String> {
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-re", "-i"]).arg(clip).args(["-t", "1", "-c", "copy", "-f", "flv", url]);
    process::run(&mut command)
}

#[test]
fn publishing_needs_the_key_that_the_server_printed() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["access.publish_loopback_without_key=false"]);
    let attempt =
        |query: &str| publish_for_a_second(&ffmpeg, &clip, &server.rtmp_url(&format!("cam{query}")));
    for query in ["", "?key=", "?key=wrong", "?other=1"] {
        assert!(attempt(query).is_err(), "published with {query:?}");
        assert!(!server.is_live("cam"));
    }
    let key = server.publish_key();
    assert!(server.process.output().contains(&key), "the first start does not print the key");
    attempt(&format!("?key={key}")).unwrap();
    let url = server.rtmp_url(&format!("cam?key={key}"));
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &url);
    server.await_live("cam");
    let sessions = server.api("sessions").unwrap();
    let shown = format!("{} {sessions} {}", server.channel("cam").unwrap(), server.metrics());
    assert!(!shown.contains(&key), "the key leaks");
}

#[test]
fn playing_needs_a_key_where_one_is_set() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["access.play_key=let-me-see"]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    for query in ["", "?key=", "?key=let-me-se"] {
        assert!(server.open_flv("cam", query).is_err(), "played over HTTP with {query:?}");
        let url = server.rtmp_url(&format!("cam{query}"));
        let mut command = Command::new(&ffmpeg);
        command.args(["-v", "error", "-i", &url, "-t", "1", "-c", "copy", "-f", "null", "-"]);
        assert!(process::run(&mut command).is_err(), "played over RTMP with {query:?}");
    }
    server.open_flv("cam", "?key=let-me-see").unwrap().find(|tag| tag.is_keyframe()).unwrap();
    let url = server.rtmp_url("cam?key=let-me-see");
    let mut command = Command::new(&ffmpeg);
    command.args(["-v", "error", "-i", &url, "-t", "1", "-c", "copy", "-f", "null", "-"]);
    process::run(&mut command).unwrap();
}

#[test]
fn the_operator_is_who_has_the_token_and_nobody_for_being_near() {
    let server = Server::start();
    let token = server.operator_token();
    for (headers, status) in [
        (vec![("Connection", "close".to_owned())], 401),
        // As a reverse proxy on the same machine passes the requests of everybody on.
        (vec![("Host", "127.0.0.1:8080".to_owned()), ("Connection", "close".to_owned())], 401),
        (vec![("Authorization", "Bearer guess".to_owned()), ("Connection", "close".to_owned())], 401),
        (vec![("Authorization", format!("Bearer {token}")), ("Connection", "close".to_owned())], 200),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for path in ["/api/v1/sessions", "/api/v1/relays"] {
            let response = http::request(server.http, "GET", path, &headers, b"").unwrap();
            assert_eq!(response.status, status, "{path} {headers:?}");
            assert_eq!(response.header("www-authenticate").is_some(), status == 401);
        }
    }
    assert!(!server.process.output().contains(&token), "the token is in the log");
}

#[test]
fn nobody_publishes_in_http_requests_without_the_key() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let attempt =
        |query: &str| publish_for_a_second(&ffmpeg, &clip, &server.rtmpt_url(&format!("cam{query}")));
    assert!(attempt("").is_err(), "published without a key");
    attempt(&format!("?key={}", server.publish_key())).unwrap();
}

#[test]
fn a_key_in_the_place_of_the_name_is_refused_and_not_logged() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let key = "a-key-for-publishing";
    let server = Server::with(&[&format!("access.publish_key={key}")]);
    for name in [key, "a-name"] {
        // From here the name of a stream is enough, so that only a wrong key is refused.
        let url =
            server.rtmp_url(&if name == key { key.to_owned() } else { format!("{name}?key=no-key-at-all") });
        assert!(publish_for_a_second(&ffmpeg, &clip, &url).is_err(), "{name}");
    }
    let log = until("refusals are logged", || {
        let log = server.process.output();
        log.contains("live/a-name").then_some(log)
    });
    assert!(log.contains("publish refused") && !log.contains(key) && !log.contains("no-key-at-all"), "{log}");
}
