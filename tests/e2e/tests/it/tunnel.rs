//! RTMP in HTTP requests with other people's programs: publishing and playing.

use crate::play::joins_late;
use e2e::framehash::{self, Extent};
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need, until};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(45);

/// Publishes the clip through one tunnel and plays it through another, and compares the packets.
fn every_packet_arrives(
    program: impl FnOnce() -> Result<PathBuf, String>,
    url: impl Fn(&Server, &str) -> String,
    protocol: &str,
) {
    let program = need!(program());
    let clip = need!(program::ffmpeg().and_then(|ffmpeg| clip::h264_aac(&ffmpeg)));
    let server = Server::start();
    let hashes = server.scratch().join("played");
    let viewer = program::record_hashes(&program, &url(&server, "cam"), &hashes);
    server.await_players(1);
    let keyed = format!("cam?key={}", server.publish_key());
    let publisher = program::publish(&program, &clip, Repeat::Once, &url(&server, &keyed));
    server.await_live("cam");
    let listed = server.api("sessions").unwrap();
    let sessions = listed["sessions"].as_array().unwrap();
    assert!(sessions.iter().all(|session| session["protocol"] == protocol), "{listed}");
    publisher.finish(PLAY_MAX);
    // ffmpeg leaves without a farewell of RTMP, but closes the tunnel: the viewer is not held for the time of grace.
    viewer.finish(PLAY_MAX);
    let played = framehash::parse(&std::fs::read_to_string(&hashes).unwrap()).unwrap();
    framehash::compare(&framehash::of_file(&program, &clip), &played, Extent::Whole).unwrap();
    until("the tunnels are gone", || (server.sessions("play") == 0).then_some(()));
}

#[test]
fn debian_ffmpeg_publishes_and_plays_every_packet_over_rtmpt() {
    every_packet_arrives(program::ffmpeg, Server::rtmpt_url, "rtmpt");
}

#[test]
fn ffmpeg_9_publishes_and_plays_every_packet_over_rtmpt() {
    every_packet_arrives(program::ffmpeg9, Server::rtmpt_url, "rtmpt");
}

#[test]
fn debian_ffmpeg_publishes_and_plays_every_packet_over_rtmpts() {
    every_packet_arrives(program::ffmpeg, Server::rtmpts_url, "rtmpts");
}

#[test]
fn ffmpeg_9_publishes_and_plays_every_packet_over_rtmpte() {
    every_packet_arrives(program::ffmpeg9, Server::rtmpte_url, "rtmpte");
}

fn rtmpdump_plays(url: impl FnOnce(&Server) -> String) {
    joins_late(|server, out| {
        let rtmpdump = program::find("rtmpdump")?;
        Ok(Process::spawn(Command::new(rtmpdump).args(["--live", "-r", &url(server), "-o"]).arg(out)))
    });
}

#[test]
fn rtmpdump_plays_rtmpt() {
    rtmpdump_plays(|server| server.rtmpt_url("cam"));
}

#[test]
fn rtmpdump_plays_rtmpte() {
    rtmpdump_plays(|server| server.rtmpte_url("cam"));
}

#[test]
fn gstreamer_rtmpsrc_plays_rtmpt() {
    joins_late(|server, out| {
        let gst = program::gst("rtmpsrc")?;
        let url = server.rtmpt_url("cam");
        let pipeline = format!("rtmpsrc location={url} ! filesink location={}", out.display());
        Ok(Process::spawn(Command::new(gst).args(pipeline.split_whitespace())))
    });
}
