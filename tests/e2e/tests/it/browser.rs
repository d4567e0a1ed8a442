//! The watch page in headless Chromium: the picture moves and the sound is decoded.

use e2e::program::{self, Repeat};
use e2e::{Process, Server, browser, clip, need};
use serde_json::Value;
use std::process::Command;

/// Runs `browser/watch.mjs` on a page of the server at `base`.
fn watch(base: &str, path: &str, arguments: &[&str]) -> Result<Value, String> {
    browser::run("watch.mjs", &[&[format!("{base}{path}").as_str()], arguments].concat())
}

fn plain(server: &Server) -> String {
    format!("http://{}", server.http)
}

#[test]
fn the_watch_page_plays_picture_and_sound() {
    plays_picture_and_sound(plain);
}

#[test]
fn the_watch_page_plays_over_https() {
    plays_picture_and_sound(|server| format!("https://{}", server.https));
}

fn plays_picture_and_sound(base: impl Fn(&Server) -> String) {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let seen = need!(watch(&base(&server), "/watch/cam", &[]));
    browser::assert_plays(&seen);
    assert!(seen["playedSeconds"].as_f64().is_some_and(|s| s > 2.0), "{seen}");
    let stages: Vec<_> =
        ["t1", "t2", "t3", "t4", "t5"].iter().map(|name| seen["player"]["stages"][name].as_f64()).collect();
    assert!(stages.iter().all(Option::is_some) && stages.is_sorted(), "the stages of the start: {seen}");
    // With a burst that is short by chance, WebCodecs shows the first picture instead of MSE.
    let reported = || {
        let name = "rushlight_player_first_frame_seconds_count{";
        server.metrics().lines().any(|line| line.starts_with(name) && !line.ends_with(" 0"))
    };
    e2e::until("the page reports its start", || reported().then_some(()));
}

#[test]
fn the_watch_page_plays_hls_where_it_is_asked_to() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let seen = need!(watch(&plain(&server), "/watch/cam?protocol=hls", &[]));
    browser::assert_plays(&seen);
    assert_eq!(
        (&seen["player"]["protocol"], &seen["player"]["state"]),
        (&"hls".into(), &"live".into()),
        "{seen}"
    );
    let reported = || {
        let name = r#"rushlight_player_first_frame_seconds_count{protocol="hls",renderer="mse"} 1"#;
        server.metrics().contains(name)
    };
    e2e::until("the page reports its start", || reported().then_some(()));
    assert_eq!(server.sessions("play"), 1, "nothing but HLS is asked for");
}

#[test]
fn the_watch_page_goes_on_when_the_publisher_returns() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let mut publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    std::thread::scope(|scope| {
        let page = scope.spawn(|| watch(&plain(&server), "/watch/cam", &["--until-seconds", "12"]));
        e2e::until("the page plays", || (page.is_finished() || server.sessions("play") > 0).then_some(()));
        publisher.kill();
        e2e::until("the server sees the publisher gone", || (server.sessions("publish") == 0).then_some(()));
        publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
        let seen = need!(page.join().unwrap());
        assert!(seen["playedSeconds"].as_f64().is_some_and(|s| s >= 12.0), "{seen}");
        assert!(seen["changedPixels"].as_f64().is_some_and(|share| share > 0.01), "{seen}");
    });
}

#[test]
fn the_home_page_lists_what_is_live() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let seen = need!(watch(&plain(&server), "/", &["--text", "cam"]));
    assert_eq!(seen["errors"], serde_json::json!([]), "{seen}");
    assert_eq!(seen["textFound"], true, "{seen}");
    assert!(seen["foreignRequests"].as_array().is_some_and(Vec::is_empty), "requests to other hosts: {seen}");
}

#[test]
fn the_watch_page_plays_hls_where_there_are_no_media_sources() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let seen = need!(watch(&plain(&server), "/watch/cam", &["--without-media-sources"]));
    browser::assert_plays(&seen);
    assert_eq!(
        (&seen["player"]["protocol"], &seen["player"]["renderer"]),
        (&"hls".into(), &"native".into()),
        "{seen}"
    );
}

#[test]
fn the_watch_page_goes_back_and_to_live_again_by_keyboard() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["timeshift.minutes=2"]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    // What comes while the page is open, the player has itself.
    let has_past = || {
        let depth_s = server.api("channels/live/cam")?["rewindS"].as_f64()?;
        (depth_s >= 14.0).then_some(())
    };
    e2e::until("there is a past", has_past);
    let url = format!("{}/watch/cam", plain(&server));
    let seen = need!(browser::run("rewind.mjs", &[&url, "14"]));
    let steps = seen.as_array().expect("a list");
    steps.iter().for_each(browser::assert_plays);
    let names: Vec<_> = steps.iter().map(|step| step["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["live", "rewound", "after a pause", "live again"], "{seen}");
    let protocols: Vec<_> = steps.iter().map(|step| &step["player"]["protocol"]).collect();
    assert_eq!(protocols, ["http-flv", "hls", "hls", "http-flv"], "{seen}");
    let behind: Vec<_> =
        steps.iter().map(|step| step["player"]["latencyMs"].as_f64().unwrap_or(0.0)).collect();
    assert!(behind[1] > 9_000.0, "back: {seen}");
    assert!(behind[0] + 4_000.0 < behind[1] && behind[3] + 4_000.0 < behind[1], "at the edge: {seen}");
    assert!(behind[2] > behind[1] + 500.0, "a pause keeps its place: {seen}");
}

#[test]
fn a_viewer_whose_machine_stood_is_brought_back_to_live() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let url = format!("{}/watch/cam?protocol=hls", plain(&server));
    let seen = need!(browser::run("behind.mjs", &[&url, "13"]));
    browser::assert_plays(&seen);
    assert_eq!(seen["player"]["protocol"], "hls", "{seen}");
    assert!(seen["player"]["latencyMs"].as_f64().is_some_and(|behind| behind < 8_000.0), "{seen}");
}

#[test]
fn the_pages_of_recordings_list_and_play_by_keyboard() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&[r#"record.rule=[{stream="live/*"}]"#, "record.merge_s=0"]);
    // 40 s, in a few.
    let mut publisher = Command::new(&ffmpeg);
    publisher.args(["-v", "error", "-stream_loop", "4", "-readrate", "8", "-i"]).arg(&clip);
    let _publisher = Process::spawn(publisher.args(["-c", "copy", "-f", "flv", &server.rtmp_url("cam")]));
    let recorded = || {
        let listed = server.api("recordings?stream=live/cam&limit=1")?;
        listed["recordings"].as_array()?.first().filter(|found| found["state"] == "complete").map(|_| ())
    };
    e2e::until("the recording is complete", recorded);
    let seen = need!(browser::run("recordings.mjs", &[&plain(&server)]));
    browser::assert_plays(&seen);
    assert_eq!((&seen["cards"], &seen["title"]), (&1.into(), &"cam".into()), "{seen}");
    assert_eq!(seen["player"]["protocol"], "hls", "{seen}");
    assert_eq!(seen["violations"], serde_json::json!([]), "axe-core: {seen}");
}
