//! Times of RTMP that outgrow their fields: 24 bits after 4 h 39 min, and 32 bits after 49 days.

use e2e::framehash::{self, Extent};
use e2e::program;
use e2e::{Process, Server, clip, hls, need, sender, until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(60);
/// The time that outgrows its field comes so long after the beginning.
const BEFORE_MS: u32 = 3000;

/// What ffmpeg plays of an address, as hashes in a file.
fn play(ffmpeg: &Path, server: &Server, path: &str) -> (Process, PathBuf) {
    let out = server.scratch().join(path.replace('/', "-"));
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "warning", "-y", "-copyts"]);
    if path.ends_with(".m3u8") {
        command.args(["-live_start_index", "0"]);
    }
    command.arg("-i").arg(format!("http://{}/{path}", server.http));
    command.args(["-map", "0", "-c", "copy", "-copyinkf", "-f", "framehash", "-hash", "md5"]).arg(&out);
    (Process::spawn(&mut command), out)
}

fn outgrown(field_ms: u64) {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::h264_aac(&ffmpeg));
    let rule = |format: &str| format!(r#"{{stream="live/{format}", format="{format}"}}"#);
    let rules = format!("record.rule=[{}]", ["mp4", "flv", "ts"].map(rule).join(","));
    let server = Server::with(&[
        &rules,
        "record.merge_s=0",
        "hub.grace_ms=500",
        "hls.window_ms=30000",
        "hls.always=[\"live/*\"]",
    ]);
    let offset = (field_ms as u32).wrapping_sub(BEFORE_MS);
    let names = ["mp4", "flv", "ts"];
    let live = program::record_hashes(&ffmpeg, &server.flv_url("mp4"), &server.scratch().join("live"));
    let over_rtmp = program::record_hashes(&ffmpeg, &server.rtmp_url("flv"), &server.scratch().join("rtmp"));
    server.await_players(2);
    let publishers = names.map(|name| {
        let key = server.publish_key();
        sender::publish(&clip, offset, server.rtmp, &format!("{name}?key={key}"))
    });
    until("all are live", || names.iter().all(|name| server.is_live(name)).then_some(()));
    until("there are playlists", || (hls::fetch(server.http, "/live/mp4.m3u8").status == 200).then_some(()));
    let segments = [play(&ffmpeg9, &server, "live/mp4.m3u8"), play(&ffmpeg9, &server, "live/flv.mpd")];
    for publisher in publishers {
        publisher.join().unwrap();
    }
    let sent = framehash::of_file(&ffmpeg9, &clip);
    let check = |out: &Path, extent: Extent| {
        let played = framehash::parse(&std::fs::read_to_string(out).unwrap_or_default()).unwrap();
        framehash::compare(&sent, &played, extent).unwrap_or_else(|why| panic!("{}: {why}", out.display()));
    };
    for (name, mut player) in [("live", live), ("rtmp", over_rtmp)] {
        player.wait(PLAY_MAX);
        check(&server.scratch().join(name), Extent::Whole);
    }
    for ((mut player, out), extent) in segments.into_iter().zip([Extent::Whole, Extent::AtLeast(150)]) {
        player.wait(PLAY_MAX);
        check(&out, extent);
    }
    for name in names {
        let id = until("the recording is complete", || {
            let listed = server.api(&format!("recordings?stream=live/{name}&limit=1"))?;
            let found = listed["recordings"].as_array()?.first()?;
            (found["state"] == "complete").then(|| found["id"].as_str().unwrap_or_default().to_owned())
        });
        for form in ["mp4", "flv"] {
            let (mut player, out) = play_file(&ffmpeg9, &server, &format!("recordings/{id}.{form}"));
            player.wait(PLAY_MAX);
            check(&out, Extent::Whole);
        }
    }
}

/// What ffmpeg plays of one file.
fn play_file(ffmpeg: &Path, server: &Server, path: &str) -> (Process, PathBuf) {
    let out = server.scratch().join(path.replace('/', "-"));
    (program::record_hashes(ffmpeg, &format!("http://{}/{path}", server.http), &out), out)
}

#[test]
fn times_go_on_behind_32_bits() {
    outgrown(1 << 32);
}

#[test]
fn times_go_on_behind_24_bits() {
    outgrown(1 << 24);
}
