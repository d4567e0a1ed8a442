//! Who can play: every program joins the same running stream and receives each packet from its keyframe on.

use e2e::framehash::{self, Extent};
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need, until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(45);

/// Publishes the clip once, lets `player` join when about two seconds are past, and compares the FLV file that it
/// writes (or the packet hashes, for a file named so) with the clip.
pub(crate) fn joins_late(player: impl FnOnce(&Server, &Path) -> Result<Process, String>) {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    // rtmpsrc asks a second time after the end, and would wait for another publisher.
    let server = Server::with(&["hub.wait_ms=500"]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Once, &server.rtmp_url("cam"));
    server.await_live("cam");
    until("two seconds are published", || {
        (server.channel("cam")?["uptimeMs"].as_u64()? > 2_000).then_some(())
    });
    let out = server.scratch().join("out.flv");
    let mut player = need!(player(&server, &out));
    until("the player is seen", || (server.sessions("play") == 1 || !player.is_running()).then_some(()));
    until("the publisher is gone", || (!server.is_live("cam")).then_some(()));
    player.wait(PLAY_MAX);
    let played = framehash::of_file(&ffmpeg, &out);
    let least = 25 * 4;
    framehash::compare(&framehash::of_file(&ffmpeg, &clip), &played, Extent::AtLeast(least))
        .unwrap_or_else(|why| panic!("{why}\n{}", player.output()));
}

/// Remuxes what ffmpeg plays into FLV.
fn ffmpeg_to_flv(ffmpeg: &Path, url: &str, out: &Path) -> Process {
    Process::spawn(
        Command::new(ffmpeg)
            .args([
                "-v",
                "warning",
                "-y",
                "-copyts",
                "-i",
                url,
                "-map",
                "0",
                "-c",
                "copy",
                "-copyinkf",
                "-f",
                "flv",
            ])
            .arg(out),
    )
}

#[test]
fn debian_ffmpeg_plays_rtmp() {
    joins_late(|server, out| Ok(ffmpeg_to_flv(&program::ffmpeg()?, &server.rtmp_url("cam"), out)));
}

#[test]
fn ffmpeg_9_plays_rtmp() {
    joins_late(|server, out| Ok(ffmpeg_to_flv(&program::ffmpeg9()?, &server.rtmp_url("cam"), out)));
}

#[test]
fn debian_ffmpeg_plays_http_flv() {
    joins_late(|server, out| Ok(ffmpeg_to_flv(&program::ffmpeg()?, &server.flv_url("cam"), out)));
}

#[test]
fn ffmpeg_9_plays_http_flv() {
    joins_late(|server, out| Ok(ffmpeg_to_flv(&program::ffmpeg9()?, &server.flv_url("cam"), out)));
}

#[test]
fn rtmpdump_plays() {
    joins_late(|server, out| {
        let rtmpdump = program::find("rtmpdump")?;
        let url = server.rtmp_url("cam");
        Ok(Process::spawn(Command::new(rtmpdump).args(["--live", "-r", &url, "-o"]).arg(out)))
    });
}

fn gstreamer_plays(source: &str) {
    joins_late(|server, out| {
        let gst: PathBuf = program::gst(source)?;
        let pipeline =
            format!("{source} location={} ! filesink location={}", server.rtmp_url("cam"), out.display());
        Ok(Process::spawn(Command::new(gst).args(pipeline.split_whitespace())))
    });
}

#[test]
fn gstreamer_rtmp2src_plays() {
    gstreamer_plays("rtmp2src");
}

#[test]
fn gstreamer_rtmpsrc_plays() {
    gstreamer_plays("rtmpsrc");
}

#[test]
fn a_viewer_that_joins_late_starts_with_configuration_and_a_keyframe() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    for _ in 0..5 {
        let mut flv = server.open_flv("cam", "").unwrap();
        let mut configured = false;
        let first = flv
            .find(|tag| {
                configured |= tag.kind == 9 && tag.is_config();
                tag.is_picture()
            })
            .unwrap();
        assert!(configured, "a picture came before the configuration");
        assert!(first.is_keyframe(), "the first picture is no keyframe");
    }
}

#[test]
fn a_viewer_may_choose_how_far_behind_live_to_join() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["hub.retain_ms=10000"]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    until("five seconds are published", || {
        (server.channel("cam")?["uptimeMs"].as_u64()? > 5_000).then_some(())
    });
    let first =
        |query: &str| server.open_flv("cam", query).unwrap().find(|tag| tag.is_keyframe()).unwrap().timestamp;
    let (live, behind) = (first(""), first("?startPts=-3000"));
    assert!(behind + 1_000 <= live, "joined at {behind} ms, the default at {live} ms");
}
