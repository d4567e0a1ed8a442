//! Who may publish: with the loopback exemption switched off, as for a publisher from another machine.

use e2e::program::{self, Repeat};
use e2e::{Server, clip, need, process};
use std::process::Command;

#[test]
fn publishing_needs_the_key_that_the_server_printed() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["access.publish_loopback_without_key=false"]);
    let attempt = |query: &str| {
        let url = server.rtmp_url(&format!("cam{query}"));
        let mut command = Command::new(&ffmpeg);
        command
            .args(["-v", "error", "-re", "-i"])
            .arg(&clip)
            .args(["-t", "1", "-c", "copy", "-f", "flv", &url]);
        process::run(&mut command)
    };
    for query in ["", "?key=", "?key=wrong", "?other=1"] {
        assert!(attempt(query).is_err(), "published with {query:?}");
        assert!(!server.is_live("cam"));
    }
    let key = std::fs::read_to_string(server.data().join("publish.key")).unwrap().trim().to_owned();
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
