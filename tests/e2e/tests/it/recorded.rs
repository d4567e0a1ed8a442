//! Recordings played over RTMP: every packet that the same recording has as an FLV file, whole, in part, and from another place.

use e2e::framehash::{self, Extent, Track};
use e2e::hls::fetch;
use e2e::process::run;
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need, until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(60);
const MP4: &str = r#"record.rule=[{stream="live/*"}]"#;
const FLV: &str = r#"record.rule=[{stream="live/*", format="flv"}]"#;
const TS: &str = r#"record.rule=[{stream="live/*", format="ts"}]"#;
/// A buffer for all of it, in milliseconds: so that it comes as fast as it can.
const ALL: &str = "100000";

/// The name of the newest recording, when it stands like this.
#[track_caller]
fn await_state(server: &Server, state: &str) -> String {
    until(&format!("the recording is {state}"), || {
        let listed = server.api("recordings?stream=live/cam&limit=1")?;
        let found = listed["recordings"].as_array()?.first()?;
        (found["state"] == state).then(|| found["id"].as_str().unwrap_or_default().to_owned())
    })
}

/// A server with a complete recording, and its name.
fn recorded(rule: &str, more: &[&str]) -> Result<(Server, String), String> {
    let ffmpeg = program::ffmpeg()?;
    let clip = clip::h264_aac(&ffmpeg)?;
    let settings: Vec<_> = [rule, "record.merge_s=0"].iter().chain(more).copied().collect();
    let server = Server::with(&settings);
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "warning", "-readrate", "6", "-i"]).arg(clip);
    let _publisher =
        Process::spawn(command.args(["-map", "0", "-c", "copy", "-f", "flv", &server.rtmp_url("cam")]));
    let id = await_state(&server, "complete");
    Ok((server, id))
}

/// The same recording as a file over HTTP.
fn as_file(server: &Server, path: &str) -> PathBuf {
    let out = server.scratch().join("expected.flv");
    let answer = fetch(server.http, &format!("/recordings/{path}"));
    assert_eq!(answer.status, 200);
    std::fs::write(&out, answer.body).unwrap();
    out
}

/// Runs rtmpdump to its end, which it has to call a success.
fn dump(server: &Server, url: &str, more: &[&str]) -> Result<Vec<Track>, String> {
    let out = server.scratch().join("dumped.flv");
    run(Command::new(program::find("rtmpdump")?).args(["-r", url, "-o"]).arg(&out).args(more))?;
    Ok(framehash::of_file(&program::ffmpeg()?, &out))
}

fn rtmpdump_plays_all(rule: &str, url: impl Fn(&Server) -> String) {
    let ffmpeg = need!(program::ffmpeg());
    need!(program::find("rtmpdump"));
    let (server, id) = need!(recorded(rule, &[]));
    let expected = framehash::of_file(&ffmpeg, &as_file(&server, &format!("{id}.flv")));
    let dumped = dump(&server, &format!("{}/{id}", url(&server)), &[]).unwrap();
    framehash::compare(&expected, &dumped, Extent::Whole).unwrap();
    for (expected, dumped) in expected.iter().zip(&dumped) {
        assert_eq!(expected.frames, dumped.frames, "times too");
    }
}

fn app(scheme: &str, address: std::net::SocketAddr) -> String {
    format!("{scheme}://{address}/recordings")
}

#[test]
fn rtmpdump_plays_all_of_a_recording() {
    rtmpdump_plays_all(MP4, |server| app("rtmp", server.rtmp));
}

#[test]
fn rtmpdump_plays_all_of_a_recording_in_flv_over_rtmpt() {
    rtmpdump_plays_all(FLV, |server| app("rtmpt", server.http));
}

#[test]
fn rtmpdump_plays_all_of_a_recording_over_rtmpe() {
    rtmpdump_plays_all(MP4, |server| app("rtmpe", server.rtmp));
}

#[test]
fn rtmpdump_plays_a_part_and_is_told_how_long_the_recording_is() {
    let ffmpeg = need!(program::ffmpeg());
    let ffprobe = need!(program::find("ffprobe"));
    need!(program::find("rtmpdump"));
    let (server, id) = need!(recorded(MP4, &[]));
    let all = framehash::of_file(&ffmpeg, &as_file(&server, &format!("{id}.flv")));
    // It calls a part a failure, because the recording is longer.
    let part = ["-y", &format!("mp4:{id}.mp4"), "--start", "3.2", "--stop", "6"];
    let refused = dump(&server, &app("rtmp", server.rtmp), &part).map(drop).unwrap_err();
    assert!(refused.contains("exit status: 2"), "{refused}");
    let dumped = server.scratch().join("dumped.flv");
    let part = framehash::of_file(&ffmpeg, &dumped);
    let video = |tracks: &[Track]| tracks.iter().find(|track| track.is_video).unwrap().frames.clone();
    let (all, part) = (video(&all), video(&part));
    let begin = all.iter().position(|frame| frame.hash == part[0].hash).unwrap();
    assert!((2000..=3200).contains(&all[begin].dts), "from the keyframe before: {:?}", all[begin]);
    assert_eq!(part[0].dts, 3200, "which it takes for what it asked for");
    let end = all.iter().position(|frame| frame.dts >= 6000).unwrap();
    let hashes =
        |frames: &[framehash::Frame]| -> Vec<_> { frames.iter().map(|it| it.hash.clone()).collect() };
    assert_eq!(hashes(&part), hashes(&all[begin..end]));
    let shown = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"];
    let seconds = run(Command::new(ffprobe).args(shown).arg(dumped)).unwrap();
    assert!((7.9..8.2).contains(&seconds.trim().parse().unwrap()), "the recording has eight: {seconds}");
}

#[test]
fn rtmpdump_goes_on_where_it_was_cut_off() {
    let ffmpeg = need!(program::ffmpeg());
    let (server, id) = need!(recorded(FLV, &[]));
    need!(program::find("rtmpdump"));
    let url = format!("{}/{id}", app("rtmp", server.rtmp));
    let all = dump(&server, &url, &[]).unwrap();
    let dumped = server.scratch().join("dumped.flv");
    let file = std::fs::read(&dumped).unwrap();
    // Whole tags, and somewhat less than half of them.
    let (mut cut, mut next) = (13, 13);
    while next < file.len() / 2 {
        let body_bytes = u32::from_be_bytes([0, file[next + 1], file[next + 2], file[next + 3]]) as usize;
        (cut, next) = (next, next + 11 + body_bytes + 4);
    }
    std::fs::write(&dumped, &file[..cut]).unwrap();
    let resumed = dump(&server, &url, &["--resume"]).unwrap();
    framehash::compare(&all, &resumed, Extent::Whole).unwrap();
    assert_eq!(framehash::of_file(&ffmpeg, &dumped).len(), 2);
}

#[test]
fn rtmpdump_plays_all_of_a_recording_in_segments_of_mpeg_ts() {
    rtmpdump_plays_all(TS, |server| app("rtmp", server.rtmp));
}

/// The packets that ffmpeg plays, with these arguments before the address.
fn hashes(ffmpeg: &Path, server: &Server, more: &[&str], url: &str) -> Result<Vec<Track>, String> {
    let out = server.scratch().join("played.hash");
    let mut command = Command::new(ffmpeg);
    command
        .args(["-v", "warning", "-y", "-copyts"])
        .args(more)
        .args(["-i", url, "-map", "0:v", "-map", "0:a"]);
    let mut player = Process::spawn(
        command.args(["-c", "copy", "-copyinkf", "-f", "framehash", "-hash", "md5"]).arg(&out),
    );
    player.wait(PLAY_MAX);
    framehash::parse(&std::fs::read_to_string(&out).map_err(|error| error.to_string())?)
}

#[test]
fn ffmpeg_plays_all_of_a_recording_and_goes_to_another_place() {
    let players = [need!(program::ffmpeg()), need!(program::ffmpeg9())];
    let (server, id) = need!(recorded(MP4, &[]));
    let url = format!("{}/{id}", app("rtmp", server.rtmp));
    let expected = framehash::of_file(&players[0], &as_file(&server, &format!("{id}.flv")));
    for player in players {
        let played = hashes(&player, &server, &["-rtmp_buffer", ALL], &url).unwrap();
        framehash::compare(&expected, &played, Extent::Whole).unwrap();
        // It has a buffer of three seconds, and seeks before the rest is on its way.
        let played = hashes(&player, &server, &["-ss", "5.5"], &url).unwrap();
        framehash::compare(&expected, &played, Extent::ToTheEnd).unwrap();
        let first = played.iter().find(|track| track.is_video).unwrap().frames[0].clone();
        assert!((4000..=5500).contains(&first.pts), "from the keyframe before: {first:?}");
        let asked = hashes(
            &player,
            &server,
            &["-rtmp_buffer", ALL, "-rtmp_playpath", &format!("flv:{id}")],
            &app("rtmp", server.rtmp),
        )
        .unwrap();
        framehash::compare(&expected, &asked, Extent::Whole).unwrap();
    }
}

#[test]
fn gstreamer_plays_all_of_a_recording() {
    let (ffmpeg, gst) = (need!(program::ffmpeg()), need!(program::gst("rtmp2src")));
    let (server, id) = need!(recorded(MP4, &[]));
    let expected = framehash::of_file(&ffmpeg, &as_file(&server, &format!("{id}.flv")));
    let out = server.scratch().join("played.flv");
    let url = format!("{}/{id}", app("rtmp", server.rtmp));
    let pipeline = format!("-q rtmp2src location={url} ! filesink location={}", out.display());
    let mut player = Process::spawn(Command::new(gst).args(pipeline.split_whitespace()));
    player.wait(PLAY_MAX);
    framehash::compare(&expected, &framehash::of_file(&ffmpeg, &out), Extent::Whole).unwrap();
}

#[test]
fn recording_that_is_being_made_plays_to_its_end() {
    let ffmpeg = need!(program::ffmpeg());
    need!(program::find("rtmpdump"));
    let clip = need!(clip::h264_aac(&ffmpeg));
    for rule in [MP4, FLV, TS] {
        let server = Server::with(&[rule, "record.merge_s=0"]);
        let _publisher = program::publish(&ffmpeg, &clip, Repeat::Once, &server.rtmp_url("cam"));
        let id = await_state(&server, "recording");
        // It may call this a failure: more comes than it was told at first.
        let _ = dump(&server, &format!("{}/{id}", app("rtmp", server.rtmp)), &[]);
        await_state(&server, "complete");
        let expected = framehash::of_file(&ffmpeg, &as_file(&server, &format!("{id}.flv")));
        let dumped = framehash::of_file(&ffmpeg, &server.scratch().join("dumped.flv"));
        framehash::compare(&expected, &dumped, Extent::Whole).unwrap();
    }
}

#[test]
fn recording_of_a_wrong_name_or_key_is_refused() {
    need!(program::find("rtmpdump"));
    let (server, id) = need!(recorded(MP4, &["access.play_key=let-me-see"]));
    let url = app("rtmp", server.rtmp);
    for name in ["nothing", "20201123T043000Z-1a2b3c4d?key=let-me-see", &id, &format!("{id}?key=wrong")] {
        let refused = dump(&server, &url, &["-y", name]).unwrap_err();
        assert!(refused.contains("NetStream.Play.StreamNotFound"), "{name}: {refused}");
    }
    dump(&server, &url, &["-y", &format!("{id}?key=let-me-see")]).unwrap();
    let counted = |labels: &[&str]| server.metric("rushlight_sessions_total", labels);
    until("the session is counted", || {
        (counted(&[r#"protocol="rtmp""#, r#"role="play""#]) == 1.0).then_some(())
    });
}
