//! Recordings in other people's players: VLC, GStreamer, Chromium with hls.js and shaka-player, and the playlists against the rules.

use crate::vod::{FLV, MP4, TS, recorded, url};
use crate::{m3u8, players, vlc};
use e2e::hls::{self, Playlist, fetch};
use e2e::program;
use e2e::{Process, Server, clip, need, rules, until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(60);

/// Of the eight seconds of the clip, what comes out of every address of a recording in either form.
const PICTURES: usize = 200;
const SOUND_FRAMES: usize = 345;

const EVERY: [&str; 4] = ["m3u8", "mpd", "mp4", "flv"];

#[test]
fn vlc_plays_recordings() {
    let vlc = need!(program::find("vlc"));
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    for rule in [MP4, FLV] {
        let (server, id) = recorded(&ffmpeg, &clip, rule);
        let playing =
            EVERY.map(|form| (form, vlc::Vlc::start(&vlc, &url(&server, &format!("{id}.{form}")), None)));
        for (form, playing) in playing {
            let seen = playing.finish(&ffmpeg);
            // The last fifth of a second stays in the transport stream that it writes.
            let has = (seen.count("h264"), seen.count("aac"));
            assert!(has.0 + 5 >= PICTURES && has.1 + 12 >= SOUND_FRAMES, "{form} of {rule}: {seen}");
        }
    }
}

/// Plays `url` to its end, and writes the pictures (64x36, gray) and the sound into files called `name`, as they come out of the
/// decoders.
pub(crate) fn gstreamer(gst: &Path, server: &Server, url: &str, name: &str) -> (Process, [PathBuf; 2]) {
    let out = ["gray", "pcm"].map(|kind| server.scratch().join(format!("{name}.{kind}")));
    let mut command = Command::new(gst);
    command.args([
        "playbin3",
        &format!("uri={url}"),
        &format!(
            "video-sink=videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=64,height=36 ! filesink location={}",
            out[0].display()
        ),
        &format!(
            "audio-sink=audioconvert ! audio/x-raw,format=S16LE,channels=1 ! filesink location={}",
            out[1].display()
        ),
    ]);
    (Process::spawn(&mut command), out)
}

#[test]
fn gstreamer_plays_recordings_to_their_end() {
    let gst = need!(
        ["hlsdemux2", "dashdemux2", "qtdemux", "flvdemux", "souphttpsrc", "avdec_h264", "avdec_aac"]
            .into_iter()
            .try_fold(PathBuf::new(), |_, element| program::gst(element))
    );
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    for rule in [MP4, FLV] {
        let (server, id) = recorded(&ffmpeg, &clip, rule);
        let playing =
            EVERY.map(|form| (form, gstreamer(&gst, &server, &url(&server, &format!("{id}.{form}")), form)));
        for (form, (player, out)) in playing {
            let printed = player.finish(PLAY_MAX);
            let [pictures, samples] = [(0, 64 * 36), (1, 2)].map(|(at, bytes): (usize, u64)| {
                std::fs::metadata(&out[at]).map_or(0, |file| file.len()) / bytes
            });
            assert_eq!(pictures, PICTURES as u64, "{form} of {rule}: {printed}");
            // Decoders may leave out what the encoder put in front.
            let frames = samples.div_ceil(1024);
            assert!(frames + 2 >= SOUND_FRAMES as u64, "{form} of {rule}: {samples} samples: {printed}");
        }
    }
}

#[test]
fn players_of_pages_play_recordings() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let (server, id) = recorded(&ffmpeg, &clip, MP4);
    let wanted = [("hls.js", "m3u8"), ("shaka", "m3u8"), ("shaka", "mpd")]
        .map(|(player, form)| format!("{player}=/recordings/{id}.{form}"));
    need!(players::play(&server, &wanted.each_ref().map(String::as_str)));
}

#[test]
fn playlists_and_media_of_recordings_keep_the_rules() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    for (rule, container) in [(MP4, ""), (FLV, ""), (TS, "container=mp4&")] {
        let (server, id) = recorded(&ffmpeg, &clip, rule);
        for query in ["", "from=2.5", "from=2.5&to=4.5"] {
            let text = |path: &str| {
                let answer = fetch(server.http, &format!("/recordings/{path}?{container}{query}"));
                assert_eq!(answer.status, 200, "{path}{query}");
                String::from_utf8(answer.body).unwrap()
            };
            let main = text(&format!("{id}.m3u8"));
            assert_eq!(rules::of_multivariant(&main), [""; 0], "{main}");
            for (name, least) in [("video0", 50), ("audio0", 80)] {
                let media = text(&format!("{id}/{name}.m3u8"));
                assert_eq!(rules::of_media(&media), [""; 0], "{media}");
                let playlist = Playlist::parse(&media);
                assert!(playlist.ended && playlist.tags["PLAYLIST-TYPE"] == "VOD", "{media}");
                // As one stream: players remark where numbers of fragments jump.
                let numbers = playlist.segments.iter().map(|segment| {
                    let uri = segment.uri.as_ref().unwrap();
                    let bytes = fetch(server.http, &format!("/recordings/{id}/{uri}")).body;
                    let at = bytes.windows(4).position(|four| four == b"mfhd").unwrap() + 8;
                    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
                });
                assert_eq!(
                    numbers.collect::<Vec<_>>(),
                    (1..=playlist.segments.len() as u32).collect::<Vec<_>>()
                );
                let samples = hls::check_media(server.http, &format!("/recordings/{id}/"), &playlist);
                assert!(samples >= least, "{name}{query}: {samples}");
            }
        }
    }
}

#[test]
fn the_playlist_of_a_recording_that_still_runs_keeps_the_rules_as_it_grows() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&[MP4, "record.merge_s=0"]);
    let mut command = Command::new(&ffmpeg);
    command.args(["-v", "warning", "-readrate", "6", "-stream_loop", "-1", "-i"]).arg(&clip);
    let publisher = Process::spawn(command.args(["-c", "copy", "-f", "flv", &server.rtmp_url("cam")]));
    let id = crate::vod::id(&crate::vod::await_state(&server, "recording"));
    let list = || {
        let answer = fetch(server.http, &format!("/recordings/{id}/video0.m3u8"));
        (answer.status == 200).then(|| String::from_utf8(answer.body).unwrap())
    };
    let mut before = until("there is a list", list);
    let mut grew = 0;
    until("it has grown three times, and ended", || {
        if grew == 3 {
            publisher.signal("INT");
        }
        let now = list()?;
        assert_eq!(rules::of_media(&now), [""; 0], "{now}");
        assert_eq!(rules::of_change(&before, &now), [""; 0], "{before}\nbecame\n{now}");
        grew += u32::from(now.len() > before.len());
        before.clone_from(&now);
        now.contains("#EXT-X-ENDLIST").then_some(())
    });
    assert!(grew >= 3, "{before}");
}

#[test]
fn a_library_finds_in_playlists_of_recordings_what_they_say() {
    let (ffmpeg, python) = (need!(program::ffmpeg()), need!(program::python("m3u8")));
    let clip = need!(clip::h264_aac(&ffmpeg));
    let (server, id) = recorded(&ffmpeg, &clip, MP4);
    let main = m3u8::read(&python, &server, &format!("/recordings/{id}.m3u8"));
    let [variant] = &main["variants"].as_array().unwrap()[..] else { panic!("{main}") };
    assert_eq!(
        (&variant["uri"], &variant["resolution"]),
        (&format!("{id}/video0.m3u8").into(), &[640, 360][..].into())
    );
    assert_eq!((&variant["audio"], variant["rate"].as_f64()), (&main["media"][0]["group_id"], Some(25.0)));
    let media = m3u8::read(&python, &server, &format!("/recordings/{id}/video0.m3u8"));
    assert_eq!(
        (&media["ended"], &media["sequence"], &media["independent"]),
        (&true.into(), &0.into(), &true.into())
    );
    let segments = media["segments"].as_array().unwrap();
    let seconds = |segment: &serde_json::Value| segment["duration"].as_f64().unwrap();
    assert!((segments.iter().map(seconds).sum::<f64>() - 8.0).abs() < 0.01, "{media}");
    for segment in segments {
        assert!(segment["map"].as_str().unwrap().ends_with("-init.mp4") && segment["date"].is_number());
        assert!(seconds(segment).round() <= media["target"].as_f64().unwrap());
    }
}
