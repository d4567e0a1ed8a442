//! A publisher that dies and comes back: its viewers keep their connections.

use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need, until};
use std::process::Command;

#[test]
fn viewers_stay_connected_while_the_publisher_is_killed_and_returns() {
    let ffmpeg = need!(program::ffmpeg());
    let rtmpdump = need!(program::find("rtmpdump"));
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let mut first = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");

    let mut over_http = server.open_flv("cam", "").unwrap();
    let dumped = server.scratch().join("dump.flv");
    let mut over_rtmp = Process::spawn(
        Command::new(rtmpdump).args(["--live", "-r", &server.rtmp_url("cam"), "-o"]).arg(&dumped),
    );
    let dumped_bytes = || std::fs::metadata(&dumped).map_or(0, |file| file.len());
    until("the RTMP viewer receives", || (dumped_bytes() > 10_000).then_some(()));
    let before = over_http.find(|tag| tag.is_keyframe()).unwrap().timestamp;

    first.kill();
    until("the server sees the publisher gone", || (server.sessions("publish") == 0).then_some(()));
    let bytes_before = dumped_bytes();
    let _second = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");

    // Everything still to come on the same connection: time never runs backwards, and pictures go on.
    let mut last = (before, 0);
    let mut keyframes = 0;
    while keyframes < 4 {
        let tag = over_http.tag().unwrap();
        let slot = if tag.kind == 9 { &mut last.0 } else { &mut last.1 };
        if tag.kind != 18 && !tag.is_config() {
            assert!(tag.timestamp >= *slot, "{} ms after {} ms", tag.timestamp, *slot);
            *slot = tag.timestamp;
        }
        keyframes += u32::from(tag.is_keyframe());
    }
    until("the RTMP viewer receives again", || (dumped_bytes() > bytes_before + 50_000).then_some(()));
    assert!(over_rtmp.is_running());
}

#[test]
fn a_viewer_of_a_finished_stream_is_told_so() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let mut publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let mut viewer = server.open_flv("cam", "").unwrap();
    viewer.find(|tag| tag.is_keyframe()).unwrap();
    publisher.signal("INT");
    let error = viewer.find(|_| false).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
    publisher.wait(e2e::wait::DEADLINE);
    until("the channel is no longer live", || (!server.is_live("cam")).then_some(()));
}
