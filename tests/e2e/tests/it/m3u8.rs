//! Playlists as a library reads them that other people wrote: m3u8, from PyPI.

use e2e::hls::{Follower, fetch};
use e2e::program::{self, Repeat};
use e2e::{Server, clip, need, process, until};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What the library finds in the playlist at `path`.
pub(crate) fn read(python: &Path, server: &Server, path: &str) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/describe-playlist.py");
    let url = format!("http://{}{path}", server.http);
    let printed = process::run(Command::new(python).args([script, &url])).unwrap();
    serde_json::from_str(&printed).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_library_finds_in_playlists_what_they_say() {
    let (ffmpeg, python) = (need!(program::ffmpeg()), need!(program::python("m3u8")));
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["hls.window_ms=16000"]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");

    let main = read(&python, &server, "/live/cam.m3u8");
    let [variant] = &main["variants"].as_array().unwrap()[..] else { panic!("{main}") };
    assert_eq!(
        (&variant["uri"], &variant["resolution"]),
        (&"cam/video0.m3u8".into(), &[640, 360][..].into())
    );
    let codecs = variant["codecs"].as_str().unwrap();
    assert!(codecs.starts_with("avc1.") && codecs.ends_with("mp4a.40.2"), "{codecs}");
    assert!(number(&variant["rate"]) == 25.0 && number(&variant["bandwidth"]) >= number(&variant["average"]));
    let [sound] = &main["media"].as_array().unwrap()[..] else { panic!("{main}") };
    assert_eq!((&sound["uri"], &sound["group_id"]), (&"cam/audio0.m3u8".into(), &variant["audio"]));
    assert!(main["independent"] == true && main["version"] == 9);

    // Long enough to be skipped from: six target durations and more.
    let media = until("old segments could be left out", || {
        let media = read(&python, &server, "/live/cam/video0.m3u8");
        (!media["control"]["can_skip_until"].is_null()).then_some(media)
    });
    let (target, part_target) = (number(&media["target"]), number(&media["part_target"]));
    let control = &media["control"];
    assert_eq!(control["can_block_reload"], "YES");
    assert!(
        number(&control["part_hold_back"]) >= 2.99 * part_target
            && number(&control["hold_back"]) >= 3.0 * target
    );
    assert!(number(&control["can_skip_until"]) >= 6.0 * target && media["ended"] == false);
    assert_eq!(media["hint"]["hint_type"], "PART");
    let segments = media["segments"].as_array().unwrap();
    let whole: Vec<&Value> = segments.iter().filter(|segment| !segment["uri"].is_null()).collect();
    for (segment, sequence) in whole.iter().zip(number(&media["sequence"]) as u64..) {
        assert_eq!(segment["uri"], format!("video0-{sequence}.m4s"));
        assert!(segment["map"].as_str().unwrap().starts_with("video0-init-") && segment["key"].is_null());
        assert!(number(&segment["duration"]).round() <= target);
        let parts: f64 =
            segment["parts"].as_array().unwrap().iter().map(|part| number(&part["duration"])).sum();
        assert!(parts == 0.0 || (parts - number(&segment["duration"])).abs() < 0.001, "{segment}");
    }
    for pair in whole.windows(2) {
        let apart = number(&pair[1]["date"]) - number(&pair[0]["date"]);
        assert!((apart - number(&pair[0]["duration"])).abs() < 0.1, "{pair:?}");
    }
    let parts = |segment: &Value| segment["parts"].as_array().unwrap().clone();
    let newest = segments.iter().flat_map(parts).next_back().unwrap();
    assert!(number(&newest["duration"]) <= part_target + 0.001);

    let [report] = &media["reports"].as_array().unwrap()[..] else { panic!("{media}") };
    let sound = Follower::new(server.http, "/live/cam/", "audio0.m3u8", "");
    assert_eq!(report["uri"], "audio0.m3u8");
    assert!(number(&report["last_msn"]) as u64 <= sound.playlist.edge().0);

    until("old segments are left out", || {
        let delta = read(&python, &server, "/live/cam/video0.m3u8?_HLS_skip=YES");
        (delta["skipped"].is_number() && number(&delta["skipped"]) >= 1.0).then_some(())
    });
}

#[test]
fn a_library_finds_keys_and_maps_of_encrypted_playlists() {
    let (ffmpeg, python) = (need!(program::ffmpeg()), need!(program::python("m3u8")));
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["hls.encrypt=\"aes-128\"", "hls.key_segments=2"]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    assert_eq!(fetch(server.http, "/live/cam.m3u8").status, 200);
    for path in ["/live/cam/video0.m3u8", "/live/cam/audio0.m3u8", "/live/cam/ts.m3u8"] {
        let media = until("there are segments", || {
            let media = read(&python, &server, path);
            (media["segments"].as_array()?.len() >= 2).then_some(media)
        });
        // The growing one is no segment to the library.
        let whole = media["segments"].as_array().unwrap().iter().filter(|segment| !segment["uri"].is_null());
        for (segment, sequence) in whole.zip(number(&media["sequence"]) as u64..) {
            let key = &segment["key"];
            assert_eq!(
                (&key["method"], &key["uri"]),
                (&"AES-128".into(), &format!("key-{}.bin", sequence / 2).into())
            );
            assert_eq!(key["iv"].as_str().unwrap().len(), 34);
        }
    }
}
