//! Our clients and other people's servers.

use e2e::foreign::Foreign;
use e2e::framehash::{self, Extent};
use e2e::{Process, clip, need, program, until};
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(60);

/// Publishes a clip to `url` and plays it from there, with `options` for both. Every packet from the first picture that the
/// player was sent has to come.
fn published_and_played(server: &Foreign, url: &str, options: &[&str]) {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let out = server.scratch().join("played.flv");
    let ours = |command: &str| {
        let mut ours = Command::new(program::rushlight());
        ours.arg(command).args(options);
        ours
    };
    let player = Process::spawn(ours("play").args(["--timeout", "30", "--output"]).arg(&out).arg(url));
    Process::spawn(ours("publish").arg(&clip).arg(url)).finish(PLAY_MAX);
    let source = framehash::of_file(&ffmpeg, &clip);
    // These servers say nothing to players when a publisher leaves.
    until("every packet is there", || {
        let played = framehash::read_file(&ffmpeg, &out).ok()?;
        framehash::compare(&source, &played, Extent::ToTheEnd).ok()
    });
    player.signal("INT");
    player.finish(PLAY_MAX);
}

#[test]
fn nginx_rtmp_is_published_to_and_played() {
    let server = need!(Foreign::nginx());
    published_and_played(&server, &server.rtmp_url("cam"), &[]);
}

#[test]
fn node_media_server_is_published_to_and_played() {
    let server = need!(Foreign::node_media_server());
    published_and_played(&server, &server.rtmp_url("cam"), &[]);
}

#[test]
fn node_media_server_is_published_to_and_played_over_tls() {
    let server = need!(Foreign::node_media_server());
    let certificate = server.certificate().display().to_string();
    published_and_played(&server, &server.rtmps_url("cam"), &["--ca", &certificate]);
}
