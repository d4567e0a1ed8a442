//! MPEG-TS over HTTP, in segments and as one endless answer: every packet arrives.

use e2e::clip::{self, Layout};
use e2e::framehash::{self, Extent};
use e2e::hls::fetch;
use e2e::program::{self, Repeat};
use e2e::{Process, Server, need, rules, until};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(60);

/// Lets `player` play `clip`, which is published once.
fn plays(player: &Path, clip: &Path, codec: &str, path: &str, extent: Extent) {
    plays_with(&[], player, clip, codec, path, extent);
}

fn plays_with(settings: &[&str], player: &Path, clip: &Path, codec: &str, path: &str, extent: Extent) {
    let ffmpeg9 = need!(program::ffmpeg9());
    let server = Server::with(&[&["hub.grace_ms=500", "hls.window_ms=30000"], settings].concat());
    let _publisher = program::publish(&ffmpeg9, clip, Repeat::Once, &server.rtmp_url("cam"));
    server.await_live("cam");
    is_played(&server, player, clip, codec, path, extent);
}

/// Plays what is published as `cam` to its end.
fn is_played(server: &Server, player: &Path, clip: &Path, codec: &str, path: &str, extent: Extent) {
    let ffmpeg9 = need!(program::ffmpeg9());
    let out = server.scratch().join("out");
    // The window holds the stream from its beginning.
    assert_eq!(fetch(server.http, "/live/cam.m3u8").status, 200);
    let url = format!("http://{}{path}", server.http);
    let mut command = Command::new(player);
    command.args(["-v", "warning", "-y"]);
    if path.ends_with(".m3u8") {
        command.args(["-live_start_index", "0"]);
    }
    let has_adts = codec != "ac3";
    let codec = if codec == "hevc" { "hevc" } else { "h264" };
    let is_ts = path.contains("ts");
    command.args(framehash::formless_arguments(&url, codec, is_ts, has_adts)).arg(&out);
    let mut player = Process::spawn(&mut command);
    player.wait(PLAY_MAX);
    let mut source = Command::new(&ffmpeg9);
    source.args(["-v", "error"]);
    source.args(framehash::formless_arguments(clip.to_str().unwrap(), codec, false, false)).arg("-");
    let source = framehash::parse(&e2e::process::run(&mut source).unwrap()).unwrap();
    let played = framehash::parse(&std::fs::read_to_string(&out).unwrap_or_default()).unwrap();
    framehash::compare(&source, &played, extent).unwrap_or_else(|why| panic!("{why}\n{}", player.output()));
}

#[test]
fn both_ffmpegs_play_every_packet_in_segments_of_transport_streams() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::h264_aac(&ffmpeg));
    for player in [&ffmpeg, &ffmpeg9] {
        plays(player, &clip, "h264", "/live/cam/ts.m3u8", Extent::Whole);
    }
}

#[test]
fn both_ffmpegs_play_every_packet_of_encrypted_transport_streams() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::h264_aac(&ffmpeg));
    let settings = ["hls.encrypt=\"aes-128\"", "hls.key_segments=1"];
    for player in [&ffmpeg, &ffmpeg9] {
        plays_with(&settings, player, &clip, "h264", "/live/cam/ts.m3u8", Extent::Whole);
    }
}

#[test]
fn both_ffmpegs_play_every_packet_of_an_endless_transport_stream() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::h264_aac(&ffmpeg));
    for player in [&ffmpeg, &ffmpeg9] {
        plays(player, &clip, "h264", "/live/cam.ts", Extent::ToTheEnd);
    }
}

/// The fields of FLV and RTMP have 24 bits of milliseconds and eight more, those of transport streams 33 bits of 90 kHz, which begin at
/// ten seconds here. (Where 32 bits of milliseconds wrap cannot be tried with ffmpeg, which writes 31 of them.)
#[test]
fn streams_whose_times_wrap_are_played_whole() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let ahead = 4_000;
    let in_segments = |start: u64, path: &str| {
        let server = Server::with(&["hub.grace_ms=500", "hls.window_ms=30000"]);
        let _publisher = program::publish_from(&ffmpeg, &clip, start, &server.rtmp_url("cam"));
        server.await_live("cam");
        is_played(&server, &ffmpeg, &clip, "h264", path, Extent::Whole);
    };
    std::thread::scope(|scope| {
        for (start, path) in [
            ((1 << 24) - ahead, "/live/cam.m3u8"),
            ((1 << 24) - ahead, "/live/cam/ts.m3u8"),
            ((1 << 33) / 90 - 10_000 - ahead, "/live/cam/ts.m3u8"),
        ] {
            scope.spawn(move || in_segments(start, path));
        }
    });
}

#[test]
fn other_codecs_are_played_from_transport_streams() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    for (layout, codec) in [(Layout::HevcAac, "hevc"), (Layout::H264Ac3, "ac3")] {
        let clip = need!(clip::enhanced(&ffmpeg, &ffmpeg9, layout));
        plays(&ffmpeg9, &clip, codec, "/live/cam/ts.m3u8", Extent::Whole);
    }
}

#[test]
fn codecs_that_transport_streams_have_no_form_for_are_refused_in_words() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::enhanced(&ffmpeg, &ffmpeg9, Layout::Av1Opus));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg9, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    for path in ["/live/cam/ts.m3u8", "/live/cam.ts"] {
        let answer = fetch(server.http, path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(String::from_utf8_lossy(&answer.body).contains("no form in MPEG-TS"));
    }
}

#[test]
fn a_playlist_of_transport_streams_waits_for_the_segment_that_is_asked_for() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let newest = |query: &str| {
        let answer = fetch(server.http, &format!("/live/cam/ts.m3u8{query}"));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(rules::of_media(&text), [""; 0], "{text}");
        let name = text.lines().rfind(|line| line.starts_with("ts-")).unwrap().to_owned();
        name.trim_start_matches("ts-").trim_end_matches(".ts").parse::<u64>().unwrap()
    };
    let first = newest("");
    assert!(newest(&format!("?_HLS_msn={}", first + 1)) > first);
    assert_eq!(fetch(server.http, &format!("/live/cam/ts.m3u8?_HLS_msn={}", first + 99)).status, 400);
    let whole = until("a segment is there", || {
        let answer = fetch(server.http, &format!("/live/cam/ts-{}.ts", newest("")));
        (answer.status == 200).then_some(answer)
    });
    assert!(
        whole.body.len().is_multiple_of(188) && whole.body[0] == 0x47 && whole.cache.contains("immutable")
    );
    assert_eq!(fetch(server.http, "/live/cam/ts-1.ts").status, 404);
}
