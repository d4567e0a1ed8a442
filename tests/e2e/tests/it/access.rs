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

/// What `rushlight sign` makes of `url`.
fn sign(url: &str, valid: &str) -> String {
    let mut command = Command::new(program::rushlight());
    command.args(["sign", url, "--for", valid, "--set", "access.sign_secret=sign-with-this"]);
    process::run(&mut command).unwrap().trim().to_owned()
}

#[test]
fn signed_addresses_play_over_every_protocol_and_no_other_stream() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["access.sign_secret=sign-with-this"]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    until("the stream is there", || {
        let query = sign(&server.flv_url("cam"), "1h").split_once('?')?.1.to_owned();
        server.open_flv("cam", &format!("?{query}")).ok()
    });
    let plays = |url: &str| {
        let mut command = Command::new(&ffmpeg);
        command.args(["-v", "error", "-i", url, "-t", "1", "-c", "copy", "-f", "null", "-"]);
        process::run(&mut command)
    };
    let media = |name: &str| format!("http://{}/live/{name}", server.http);
    for url in [
        server.rtmp_url("cam"),
        server.flv_url("cam"),
        media("cam.m3u8"),
        media("cam/ts.m3u8"),
        media("cam.cmaf"),
        media("cam.ts"),
    ] {
        assert!(plays(&url).is_err(), "{url} without a signature");
        plays(&sign(&url, "1h")).unwrap_or_else(|why| panic!("{url}: {why}"));
        let of_other = sign(&url.replace("cam", "other"), "1h").replace("other", "cam");
        assert!(plays(&of_other).is_err(), "{url} with the signature of another stream");
    }
    let path = |url: &str| url.split_once("/live").map(|(_, rest)| format!("/live{rest}")).unwrap();
    let manifest = e2e::hls::fetch(server.http, &path(&sign(&media("cam.mpd"), "1h")));
    let manifest = String::from_utf8(manifest.body).unwrap();
    let init = manifest.split("initialization=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(init.contains("?expires=") && init.contains("&amp;signature="), "{init}");
    let init = init.replace("&amp;", "&");
    assert_eq!(e2e::hls::fetch(server.http, &format!("/live/{init}")).status, 200);
    assert_eq!(
        e2e::hls::fetch(server.http, &format!("/live/{}", init.replace("expires=", "expires=1"))).status,
        403
    );
}

#[test]
fn who_watches_when_an_address_ends_goes_on_and_nobody_begins() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["access.sign_secret=sign-with-this"]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    until("the stream is there", || {
        let query = sign(&server.flv_url("cam"), "1h").split_once('?')?.1.to_owned();
        server.open_flv("cam", &format!("?{query}")).ok()
    });
    // Once the stream is packaged, so that the time is not spent with waiting for that.
    let path = |valid: &str| {
        let url = sign("http://h/live/cam/video0.m3u8", valid);
        url.trim_start_matches("http://h").to_owned()
    };
    assert_eq!(e2e::hls::fetch(server.http, &path("1h")).status, 200);
    // Long enough for its first playlist, on a machine that is busy too.
    let short = path("10s");
    let query = short.split_once('?').unwrap().1;
    let mut video = e2e::hls::Follower::new(server.http, "/live/cam/", "video0.m3u8", query);
    let mut strangers = 0;
    let mut stranger = || {
        strangers += 1;
        let session = format!("stranger-{strangers}");
        let headers = [("Connection", "close"), ("X-Playback-Session-Id", session.as_str())];
        let mut answer = http::request(server.http, "GET", &short, &headers, b"").unwrap();
        let mut body = String::new();
        std::io::Read::read_to_string(&mut answer.body, &mut body).unwrap();
        (answer.status, body)
    };
    let refused = until("the address ends", || Some(stranger()).filter(|(status, _)| *status == 403));
    assert!(refused.1.contains("the time of this address is over"), "{}", refused.1);
    (0..3).for_each(|_| video.next_part());
    video.check_media();
}
