//! Rungs whose sound is encoded anew.

use e2e::clip::Layout;
use e2e::hls::{attribute, fetch};
use e2e::program::{self, Repeat};
use e2e::{Server, clip, need, until};
use std::path::Path;
use std::process::Command;

const SETTINGS: &[&str] = &[
    "transcode.idle_stop_ms=1000",
    "transcode.cores_max=16",
    "transcode.template=[{ name = \"plain\", height = 180, audio = \"aac\" }, \
     { name = \"opus\", height = 240, audio = \"opus\" }, { name = \"auto\", height = 240, audio = \"auto\" }, \
     { name = \"filled\", height = 360, audio = \"silence\" }]",
    "transcode.rule=[{ stream = \"live/*\", ladder = [\"filled\", \"plain\", \"opus\", \"auto\"] }]",
];

/// What `ffprobe` says of the first sound behind a URL: codec, profile, rate and channels.
fn sound(url: &str) -> String {
    let mut command = Command::new(program::find("ffprobe").unwrap());
    command.args(["-v", "error", "-select_streams", "a:0", "-show_entries"]);
    command.args(["stream=codec_name,profile,sample_rate,channels", "-of", "csv=p=0", url]);
    let told = e2e::process::run(&mut command).unwrap();
    told.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_rung_has_sound_that_everything_plays_whatever_its_stream_has() {
    let ffmpeg = need!(program::ffmpeg());
    need!(program::find("ffprobe"));
    let server = Server::with(SETTINGS);
    for (channel, encoder, of_auto) in [
        ("surround", "-c:@ aac -ac:@ 8 -b:@ 256k", "aac,LC,44100,2"),
        ("mp3", "-c:@ libmp3lame -ac:@ 2", "aac,LC,44100,2"),
        ("speech", "-c:@ libspeex -ar:@ 16000 -ac:@ 1", "aac,LC,48000,2"),
        ("mono", "-c:@ aac -ac:@ 1", "aac,LC,44100,1"),
    ] {
        let clip = need!(clip::large_with_sound(&ffmpeg, &format!("large-{channel}.flv"), encoder));
        let mut publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url(channel));
        server.await_live(channel);
        let rung = |rung: &str| server.flv_url(&format!("{channel}~{rung}"));
        assert!(sound(&rung("plain")).starts_with("aac,LC,") && sound(&rung("plain")).ends_with(",2"));
        assert_eq!(sound(&rung("auto")), of_auto, "{channel}");
        publisher.kill();
    }
}

#[test]
fn an_hls_player_gets_aac_of_a_stream_with_opus_and_opus_of_one_with_aac() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    need!(program::find("ffprobe"));
    let server = Server::with(SETTINGS);
    let clip = need!(clip::enhanced(&ffmpeg, &ffmpeg9, Layout::Av1Opus));
    let _first = program::publish(&ffmpeg9, &clip, Repeat::Forever, &server.rtmp_url("modern"));
    let clip = need!(clip::large(&ffmpeg));
    let _second = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("usual"));
    for (channel, rung, codec, told) in [
        ("modern", "plain", "mp4a.40.2", "aac,LC,48000,2"),
        ("usual", "opus", "opus", "opus,unknown,48000,2"),
    ] {
        server.await_live(channel);
        let answer = fetch(server.http, &format!("/live/{channel}.m3u8"));
        let playlist = String::from_utf8(answer.body).unwrap();
        let lines: Vec<_> = playlist.lines().collect();
        let uri = format!("{channel}~{rung}/video0.m3u8");
        let at = lines.iter().position(|line| *line == uri).unwrap_or_else(|| panic!("{playlist}"));
        let codecs = attribute(lines[at - 1], "CODECS").unwrap();
        assert!(codecs.ends_with(&format!(",{codec}")), "{playlist}");
        assert!(playlist.contains(&format!("URI=\"{channel}~{rung}/audio0.m3u8\"")), "{playlist}");
        assert_eq!(sound(&format!("http://{}/live/{channel}~{rung}.m3u8", server.http)), told);
    }
}

/// When flashes and beeps begin, in seconds: what ffmpeg finds in six seconds behind a URL.
fn flashes_and_beeps(ffmpeg: &Path, url: &str) -> (Vec<f64>, Vec<f64>) {
    let output = Command::new(ffmpeg)
        .args(["-v", "info", "-nostats", "-i", url, "-t", "6"])
        .args(["-vf", "blackdetect=d=0.2:pic_th=0.9", "-af", "silencedetect=n=-20dB:d=0.2"])
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let times = |name: &str| -> Vec<f64> {
        let after = told.split(name).skip(1);
        let mut times: Vec<_> =
            after.filter_map(|rest| rest.split_whitespace().next()?.parse().ok()).collect();
        // Where it stops to look is no flash.
        times.pop();
        times
    };
    (times("black_end:"), times("silence_end: "))
}

#[test]
fn sound_that_is_encoded_stays_with_the_pictures() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::beep_and_flash(&ffmpeg));
    let server = Server::with(SETTINGS);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    for rung in ["plain", "opus"] {
        // ffmpeg 5 does not know of Opus in FLV.
        let url = match rung {
            "opus" => format!("http://{}/live/cam~opus.m3u8", server.http),
            _ => server.flv_url(&format!("cam~{rung}")),
        };
        let (flashes, beeps) = flashes_and_beeps(&ffmpeg, &url);
        let pairs = beeps.iter().filter_map(|beep| {
            let nearest = flashes.iter().min_by(|a, b| (*a - beep).abs().total_cmp(&(*b - beep).abs()))?;
            Some(beep - nearest)
        });
        // The first and the last may be cut off.
        let pairs: Vec<_> = pairs.filter(|off| off.abs() < 0.5).collect();
        assert!(pairs.len() >= 2, "{rung}: {flashes:?} {beeps:?}");
        assert!(pairs.iter().all(|off| off.abs() <= 0.04), "{rung}: {flashes:?} {beeps:?}");
    }
}

#[test]
fn an_encoder_of_sound_that_is_killed_costs_nothing_but_a_moment_of_sound() {
    let ffmpeg = need!(program::ffmpeg());
    let server = Server::with(SETTINGS);
    let clip = need!(clip::large(&ffmpeg));
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let mut rung = server.open_flv("cam~plain", "").unwrap();
    let is_sound = |tag: &e2e::flv::Tag| tag.kind == 8 && !tag.is_config();
    let before = rung.find(is_sound).unwrap();
    // Its decoder and its encoder were there first, or are there by now: of three processes one has no shared memory.
    let of_sound = until("there is a process for sound", || {
        server.process.children().into_iter().find(|child| {
            let output = std::fs::read_link(format!("/proc/{child}/fd/1"));
            output.is_ok_and(|path| path == Path::new("/dev/null"))
        })
    });
    e2e::process::run(Command::new("kill").args(["-9", &of_sound.to_string()])).unwrap();
    let mut times = vec![before.timestamp];
    while times.last().unwrap() - times[0] < 5000 {
        times.push(rung.find(is_sound).unwrap().timestamp);
    }
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap < 2000), "{gaps:?}");
    assert!(gaps.iter().filter(|gap| **gap > 30).count() <= 1, "one hole: {gaps:?}");
    let restarts = || server.api("transcoding")?["rungs"][0]["restarts"].as_u64();
    until("it is told", || restarts().filter(|restarts| *restarts == 1));
}

/// The loudest sample of sound in three seconds behind a URL, as ffmpeg says it, and when each packet of sound begins, in seconds.
fn loudness_and_times(ffmpeg: &Path, url: &str) -> (String, Vec<f64>) {
    let output = Command::new(ffmpeg)
        .args([
            "-v",
            "info",
            "-nostats",
            "-i",
            url,
            "-t",
            "3",
            "-map",
            "0:a",
            "-af",
            "volumedetect",
            "-f",
            "null",
            "-",
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let loudest = told.split("max_volume: ").nth(1).unwrap_or_else(|| panic!("{told}"));
    let mut command = Command::new(program::find("ffprobe").unwrap());
    command.args(["-v", "error", "-select_streams", "a:0", "-read_intervals", "%+3"]);
    let told =
        e2e::process::run(command.args(["-show_entries", "packet=pts_time", "-of", "csv=p=0", url])).unwrap();
    let times = told.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    (loudest.split(" dB").next().unwrap_or_default().to_owned(), times)
}

#[test]
fn a_stream_without_sound_has_rungs_with_silence() {
    let ffmpeg = need!(program::ffmpeg());
    need!(program::find("ffprobe"));
    let server = Server::with(SETTINGS);
    let clip = need!(clip::large(&ffmpeg));
    let url = server.rtmp_url("mute");
    let mut command = Command::new(&ffmpeg);
    command.args(["-v", "error", "-re", "-stream_loop", "-1", "-i"]).arg(&clip);
    let _publisher = e2e::Process::spawn(command.args(["-an", "-c", "copy", "-f", "flv", &url]));
    server.await_live("mute");
    for (rung, told) in [("filled", "aac,LC,48000,2"), ("auto", "aac,LC,48000,2")] {
        let urls = [
            server.flv_url(&format!("mute~{rung}")),
            format!("http://{}/live/mute~{rung}.m3u8", server.http),
        ];
        for url in urls {
            assert_eq!(sound(&url), told, "{url}");
            let (loudest, times) = loudness_and_times(&ffmpeg, &url);
            assert_eq!(loudest, "-91.0", "{url}: nothing but zeros");
            assert!(times.len() > 100, "{url}: {times:?}");
            // In milliseconds, as FLV has them, frames are 21 or 22 apart.
            assert!(
                times.windows(2).all(|pair| (0.020..0.0231).contains(&(pair[1] - pair[0]))),
                "{url}: {times:?}"
            );
        }
    }
    let playlist = String::from_utf8(fetch(server.http, "/live/mute.m3u8").body).unwrap();
    assert!(playlist.contains("URI=\"mute~auto/audio0.m3u8\""), "{playlist}");
}

#[test]
fn silence_gives_way_to_the_sound_of_a_stream() {
    let ffmpeg = need!(program::ffmpeg());
    let server = Server::with(SETTINGS);
    let clip = need!(clip::large(&ffmpeg));
    let url = server.rtmp_url("cam");
    let mut command = Command::new(&ffmpeg);
    command.args(["-v", "error", "-re", "-i"]).arg(&clip);
    let mut publisher = e2e::Process::spawn(command.args(["-an", "-c", "copy", "-f", "flv", &url]));
    server.await_live("cam");
    let mut rung = server.open_flv("cam~filled", "").unwrap();
    let is_sound = |tag: &e2e::flv::Tag| tag.kind == 8 && !tag.is_config();
    let silence = rung.find(is_sound).unwrap();
    publisher.kill();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &url);
    let (mut last, mut sounds) = (silence.timestamp, 0);
    while sounds < 50 {
        let tag = rung.find(is_sound).unwrap();
        assert!(tag.timestamp >= last, "time goes on");
        last = tag.timestamp;
        // A frame of silence has a few bytes.
        sounds += usize::from(tag.body.len() > 20);
    }
}
