//! The watch page plays the rungs of a stream: by choice, and as the network allows.

use e2e::program::{self, Repeat};
use e2e::{Server, browser, clip, need};

/// A busy machine makes rungs all the same.
const SETTINGS: &[&str] = &["transcode.cores_max=16"];

#[test]
fn the_watch_page_changes_between_rungs_without_a_gap() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::large(&ffmpeg));
    let server = Server::with(SETTINGS);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let url = format!("http://{}/watch/cam", server.http);
    let seen = need!(browser::run("rungs.mjs", &[&url, "21", "360p=360", "source=720", "240p=240"]));
    assert_eq!(seen["errors"], serde_json::json!([]), "{seen}");
    assert_eq!((&seen["switches"], &seen["stalls"]), (&21.into(), &0.into()), "{seen}");
    assert_eq!((&seen["buffers"], &seen["ranges"]), (&2.into(), &1.into()), "nothing is missing: {seen}");
    assert_eq!(seen["backwards"], 0, "nothing is shown again: {seen}");
    assert!(seen["skewMs"].as_f64().is_some_and(|ms| ms < 400.0), "sound and picture go together: {seen}");
    assert!(seen["changedPixels"].as_f64().is_some_and(|share| share > 0.01), "the picture moves: {seen}");
    assert!(seen["audioBytes"].as_u64().is_some_and(|bytes| bytes > 1_000), "sound is decoded: {seen}");
}
