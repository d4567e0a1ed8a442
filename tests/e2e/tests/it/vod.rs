//! Recordings played: what was published comes out of every address, whole, in part, and while it is recorded.

use e2e::clip::{self, Layout};
use e2e::framehash::{self, Extent, Track};
use e2e::hls::fetch;
use e2e::program;
use e2e::{Process, Server, need, until};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const MP4: &str = r#"record.rule=[{stream="live/*"}]"#;
const FLV: &str = r#"record.rule=[{stream="live/*", format="flv"}]"#;
const PLAY_MAX: Duration = Duration::from_secs(60);

/// Publishes `clip` once, several times as fast as it plays.
fn publish(ffmpeg: &Path, clip: &Path, url: &str) -> Process {
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "warning", "-readrate", "6", "-i"]).arg(clip);
    Process::spawn(command.args(["-map", "0", "-c", "copy", "-f", "flv", url]))
}

/// The newest recording of the channel `cam`, when it stands like this.
#[track_caller]
fn await_state(server: &Server, state: &str) -> Value {
    until(&format!("the recording is {state}"), || {
        let listed = server.api("recordings?stream=live/cam&limit=1")?;
        listed["recordings"].as_array()?.first().filter(|found| found["state"] == state).cloned()
    })
}

fn id(recording: &Value) -> String {
    recording["id"].as_str().unwrap().to_owned()
}

/// A server with a complete recording of `clip`, and its name.
fn recorded(player: &Path, clip: &Path, rule: &str) -> (Server, String) {
    let server = Server::with(&[rule, "record.merge_s=0"]);
    let _publisher = publish(player, clip, &server.rtmp_url("cam"));
    let complete = await_state(&server, "complete");
    (server, id(&complete))
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}/recordings/{path}", server.http)
}

#[track_caller]
fn text(server: &Server, path: &str) -> String {
    let answer = fetch(server.http, &format!("/recordings/{path}"));
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(answer.status, 200, "{path}: {text}");
    text
}

/// The packets of an address, as ffmpeg plays it to its end.
#[track_caller]
fn hashes(ffmpeg: &Path, server: &Server, path: &str) -> Vec<Track> {
    let out = server.scratch().join(format!("{}.hash", path.replace(['/', '?', '&'], "-")));
    let mut player = program::record_hashes(ffmpeg, &url(server, path), &out);
    player.wait(PLAY_MAX);
    let text = std::fs::read_to_string(&out).unwrap_or_default();
    framehash::parse(&text).unwrap_or_else(|why| panic!("{why}\n{}", player.output()))
}

/// Compares what comes out of the addresses of a recording with what was published.
fn plays_everywhere(clip: &Path, ffmpeg: &Path, rule: &str, forms: &[&str]) {
    let (server, id) = recorded(ffmpeg, clip, rule);
    let source = framehash::of_file(ffmpeg, clip);
    for form in forms {
        let played = hashes(ffmpeg, &server, &format!("{id}.{form}"));
        // ffmpeg 5.1 leaves out the last frame of sound of any manifest.
        let extent = if *form == "mpd" { Extent::AtLeast(195) } else { Extent::Whole };
        framehash::compare(&source, &played, extent).unwrap_or_else(|why| panic!("{form} of {rule}: {why}"));
    }
}

const ALL: &[&str] = &["m3u8", "mpd", "mp4", "flv"];

#[test]
fn h264_with_b_frames_and_aac_come_out_of_every_address() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::h264_aac(&ffmpeg));
    for rule in [MP4, FLV] {
        plays_everywhere(&clip, &ffmpeg9, rule, ALL);
        plays_everywhere(&clip, &ffmpeg, rule, ALL);
    }
}

fn enhanced(layout: Layout) {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::enhanced(&ffmpeg, &ffmpeg9, layout));
    for rule in [MP4, FLV] {
        plays_everywhere(&clip, &ffmpeg9, rule, ALL);
    }
}

#[test]
fn hevc_and_aac_come_out_of_every_address() {
    enhanced(Layout::HevcAac);
}

#[test]
fn av1_and_opus_come_out_of_every_address() {
    enhanced(Layout::Av1Opus);
}

#[test]
fn sound_alone_comes_out_of_every_address() {
    let ffmpeg = need!(program::ffmpeg());
    let both = need!(clip::h264_aac(&ffmpeg));
    let scratch = e2e::process::Scratch::new();
    let clip = scratch.file("sound.flv");
    let mut command = Command::new(&ffmpeg);
    command.args(["-v", "error", "-y", "-i"]).arg(&both).args(["-map", "0:a", "-c", "copy"]).arg(&clip);
    need!(e2e::process::run(&mut command));
    for rule in [MP4, FLV] {
        plays_everywhere(&clip, &ffmpeg, rule, ALL);
    }
}

#[test]
fn addresses_of_nothing_are_404_and_times_that_are_none_are_400() {
    let ffmpeg = need!(program::ffmpeg());
    let (server, id) = recorded(&ffmpeg, &need!(clip::h264_aac(&ffmpeg)), MP4);
    let main = text(&server, &format!("{id}.m3u8"));
    assert!(main.contains("RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO="), "{main}");
    let other = id.replace("2026", "2025");
    for path in [
        "..m3u8",
        "%2e%2e.m3u8",
        "x.m3u8",
        &format!("{other}.m3u8"),
        &format!("{id}.json"),
        &format!("{id}/recording.json"),
        &format!("{id}/..%2frecording.json"),
        &format!("{id}/video1.m3u8"),
        &format!("{id}/video0-1.1-init.mp4"),
        &format!("{id}/video0-2.0-init.mp4"),
        &format!("{id}/video0-1.0-0-90000.m4s"),
        &format!("{id}/video0-1.0-0-2305843009213693951.m4s"),
        &format!("{id}.mp4?from=1000"),
    ] {
        assert_eq!(fetch(server.http, &format!("/recordings/{path}")).status, 404, "{path}");
    }
    for query in ["from=x", "to=-1", "from=2&to=1", "from=2026-13-01T00:00:00Z"] {
        assert_eq!(fetch(server.http, &format!("/recordings/{id}.m3u8?{query}")).status, 400, "{query}");
    }
}
