//! HE-AAC, however it is signalled: it comes out with its whole rate, at the right pitch and speed, packet by packet where it is copied.

use super::record::{await_state, file};
use e2e::framehash::{self, Extent};
use e2e::he_aac::{self, Heard, Kind, TONE_HZ};
use e2e::program::{self, Repeat};
use e2e::{Server, need};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(60);

/// What `ffprobe` says of the first sound behind `input`: codec, profile, rate and channels.
fn sound(input: &str) -> String {
    let mut command = Command::new(program::find("ffprobe").unwrap());
    command.args(["-v", "error", "-select_streams", "a:0", "-show_entries"]);
    command.args(["stream=codec_name,profile,sample_rate,channels", "-of", "csv=p=0", input]);
    let told = e2e::process::run(&mut command).unwrap();
    told.lines().next().unwrap_or_default().trim_end_matches(',').to_owned()
}

/// That the tone is what it was where `input` is played.
#[track_caller]
fn sounds_right(ffmpeg: &Path, input: &str, what: &str) {
    let Heard { hz, speed } = he_aac::listen(ffmpeg, input, 3).unwrap_or_else(|why| panic!("{what}: {why}"));
    assert!((hz - TONE_HZ).abs() < 3.0, "{what}: {hz} Hz");
    assert!((speed - 1.0).abs() < 0.07, "{what}: {speed} of what it should last");
}

/// Runs `test` for all kinds at once.
fn each(test: impl Fn(Kind) + Sync) {
    thread::scope(|scope| {
        let test = &test;
        let tests: Vec<_> = Kind::all().map(|kind| scope.spawn(move || test(kind))).collect();
        tests.into_iter().for_each(|test| test.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
    });
}

#[test]
fn he_aac_is_played_and_recorded_packet_by_packet() {
    let ffmpeg = need!(program::ffmpeg());
    need!(program::find("ffprobe"));
    let rules = r#"record.rule=[{stream="live/ts-*", format="ts"}, {stream="live/*"}]"#;
    let server = Server::with(&[rules, "record.merge_s=0"]);
    each(|kind| {
        let clip = he_aac::clip(&ffmpeg, kind).unwrap();
        let source = framehash::of_file(&ffmpeg, &clip);
        let expected = format!("aac,{},44100,2", kind.profile());
        assert_eq!(sound(clip.to_str().unwrap()), expected, "{kind:?}: the clip is what it says");
        let channels = ["mp4", "ts"].map(|format| format!("{format}-{}", kind.name()));
        let out = server.scratch().join(kind.name());
        let player = program::record_hashes(&ffmpeg, &server.rtmp_url(&channels[0]), &out);
        let publishers = channels
            .each_ref()
            .map(|channel| program::publish(&ffmpeg, &clip, Repeat::Once, &server.rtmp_url(channel)));
        let printed = player.finish(PLAY_MAX);
        let played = framehash::parse(&std::fs::read_to_string(&out).unwrap()).unwrap();
        framehash::compare(&source, &played, Extent::Whole)
            .unwrap_or_else(|why| panic!("{kind:?}: {why}\n{printed}"));
        for channel in &channels {
            let recording = await_state(&server, channel, "complete");
            let file = file(&server, &recording, 0);
            let path = file.to_str().unwrap();
            assert_eq!(sound(path), expected, "{channel}");
            sounds_right(&ffmpeg, path, channel);
            if channel.starts_with("mp4") {
                framehash::compare(&source, &framehash::of_file(&ffmpeg, &file), Extent::Whole)
                    .unwrap_or_else(|why| panic!("{channel}: {why}"));
            }
        }
        drop(publishers);
    });
}

#[test]
fn he_aac_sounds_right_over_http_and_through_rungs() {
    let ffmpeg = need!(program::ffmpeg());
    need!(program::find("ffprobe"));
    let server = Server::with(&[
        "transcode.cores_max=64",
        "transcode.template=[{ name = \"aac\", height = 90, audio = \"aac\" }, \
         { name = \"opus\", height = 90, audio = \"opus\" }, { name = \"copied\", height = 90 }]",
        "transcode.rule=[{ stream = \"live/*\", ladder = [\"aac\", \"opus\", \"copied\"] }]",
    ]);
    each(|kind| {
        let clip = he_aac::clip(&ffmpeg, kind).unwrap();
        let channel = kind.name();
        let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url(&channel));
        server.await_live(&channel);
        // Who joins where version 2 does not say again that it is that takes it for version 1 at first.
        let copied = ["HE-AAC", "HE-AACv2"].map(|profile| format!("aac,{profile},44100,2"));
        let copied: Vec<_> = copied.iter().map(String::as_str).collect();
        let of = |path: &str| format!("http://{}/live/{channel}{path}", server.http);
        for (url, expected) in [
            (of(".flv"), &copied[..]),
            (of(".m3u8"), &copied[..]),
            (of("/ts.m3u8"), &copied[..]),
            (of(".ts"), &copied[..]),
            (of("~copied.flv"), &copied[..]),
            (of("~aac.flv"), &["aac,LC,44100,2"]),
            (of("~opus.m3u8"), &["opus,unknown,48000,2"]),
        ] {
            let found = sound(&url);
            assert!(expected.contains(&&*found), "{url}: {found}");
            sounds_right(&ffmpeg, &url, &url);
        }
    });
}
