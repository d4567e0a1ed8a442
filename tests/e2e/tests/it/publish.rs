//! Who can publish: every program sends the same clip, and a player receives each packet of it.

use e2e::framehash::{self, Extent};
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, flv, http, need, until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(45);

/// Starts a viewer, then `publisher`, and compares what the viewer got with `clip`.
fn every_packet_arrives(clip: &Path, player: &Path, publisher: impl FnOnce(&str) -> Process) {
    let server = Server::start();
    let hashes = server.scratch().join("played");
    let viewer = program::record_hashes(player, &server.rtmp_url("cam"), &hashes);
    server.await_players(1);
    let _publisher = publisher(&server.rtmp_url("cam"));
    viewer.finish(PLAY_MAX);
    let played = framehash::parse(&std::fs::read_to_string(&hashes).unwrap()).unwrap();
    framehash::compare(&framehash::of_file(player, clip), &played, Extent::Whole).unwrap();
}

#[test]
fn debian_ffmpeg_publishes_every_packet() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    every_packet_arrives(&clip, &ffmpeg, |url| program::publish(&ffmpeg, &clip, Repeat::Once, url));
}

#[test]
fn ffmpeg_9_publishes_every_packet() {
    let ffmpeg = need!(program::ffmpeg());
    let ffmpeg9 = need!(program::ffmpeg9());
    let clip = need!(clip::h264_aac(&ffmpeg));
    every_packet_arrives(&clip, &ffmpeg9, |url| program::publish(&ffmpeg9, &clip, Repeat::Once, url));
}

/// `rtmp2sink` is GStreamer's own implementation, `rtmpsink` is librtmp with 128-byte chunks on one chunk stream.
fn gstreamer_publishes(sink: &str, url: impl FnOnce(&Server) -> String) {
    let gst = need!(program::gst(sink));
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    // GStreamer leaves without a farewell, so its viewers are held for the time of grace.
    let server = Server::with(&["hub.grace_ms=500"]);
    let hashes = server.scratch().join("played");
    let viewer = program::record_hashes(&ffmpeg, &server.rtmp_url("cam"), &hashes);
    server.await_players(1);
    let url = url(&server);
    let pipeline = format!(
        "flvmux name=mux streamable=true ! {sink} location={url} \
         filesrc location={} ! flvdemux name=demux \
         demux.video ! queue ! h264parse ! video/x-h264,stream-format=avc ! mux.video \
         demux.audio ! queue ! aacparse ! mux.audio",
        clip.display()
    );
    let _publisher = Process::spawn(Command::new(gst).args(pipeline.split_whitespace()));
    viewer.finish(PLAY_MAX);
    let played = framehash::parse(&std::fs::read_to_string(&hashes).unwrap()).unwrap();
    // Parsers and the muxer may rewrite NAL units and times, so the coded packets are counted, not compared.
    let sent = framehash::of_file(&ffmpeg, &clip);
    for track in &sent {
        let seen = played
            .iter()
            .find(|p| p.codec == track.codec)
            .unwrap_or_else(|| panic!("no {track:?}: {played:?}"));
        let missing = track.frames.len().saturating_sub(seen.frames.len());
        assert!(missing <= 2, "{missing} of {track:?} are missing");
        assert!(
            seen.frames.windows(2).all(|pair| pair[0].dts <= pair[1].dts),
            "{track:?}: time runs backwards"
        );
    }
}

#[test]
fn gstreamer_rtmp2sink_publishes() {
    gstreamer_publishes("rtmp2sink", |server| server.rtmp_url("cam"));
}

#[test]
fn gstreamer_rtmpsink_publishes() {
    gstreamer_publishes("rtmpsink", |server| server.rtmp_url("cam"));
}

#[test]
fn gstreamer_rtmpsink_publishes_over_rtmpe() {
    gstreamer_publishes("rtmpsink", |server| server.rtmpe_url("cam"));
}

/// A server with a second-publisher rule, a first publisher, and a viewer that has seen a keyframe of it.
fn with_a_publisher(
    rule: &str,
) -> Result<(Server, Process, flv::Reader<http::Body>, PathBuf, PathBuf), String> {
    let ffmpeg = program::ffmpeg()?;
    let clip = clip::h264_aac(&ffmpeg)?;
    let server = Server::with(&[&format!("hub.second_publisher={rule}")]);
    let first = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let mut viewer = server.open_flv("cam", "").map_err(|error| error.to_string())?;
    viewer.find(|tag| tag.is_keyframe()).map_err(|error| error.to_string())?;
    Ok((server, first, viewer, ffmpeg, clip))
}

/// The viewer receives `pictures` more of them, in order and without a break.
fn goes_on(viewer: &mut flv::Reader<http::Body>, pictures: usize) {
    let mut last = viewer.find(|tag| tag.is_picture()).unwrap().timestamp;
    for _ in 0..pictures {
        let next = viewer.find(|tag| tag.is_picture()).unwrap().timestamp;
        assert!(next >= last, "{next} ms after {last} ms");
        last = next;
    }
}

#[test]
fn a_second_publisher_is_refused_and_the_first_goes_on() {
    let (server, mut first, mut viewer, ffmpeg, clip) = need!(with_a_publisher("reject"));
    let mut second = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    let status = second.wait(PLAY_MAX);
    assert!(!status.success());
    goes_on(&mut viewer, 50);
    assert!(first.is_running() && server.is_live("cam"));
}

#[test]
fn a_second_publisher_takes_over_where_configured() {
    let (server, mut first, mut viewer, ffmpeg, clip) = need!(with_a_publisher("take-over"));
    let mut second = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    first.wait(PLAY_MAX);
    goes_on(&mut viewer, 100);
    assert!(second.is_running() && server.is_live("cam"));
}

#[test]
fn a_second_publisher_stands_by_where_configured() {
    let (server, mut first, mut viewer, ffmpeg, clip) = need!(with_a_publisher("stand-by"));
    let mut second = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    until("both publish", || (server.sessions("publish") == 2).then_some(()));
    goes_on(&mut viewer, 50);
    first.kill();
    goes_on(&mut viewer, 100);
    assert!(second.is_running() && server.is_live("cam"));
}
