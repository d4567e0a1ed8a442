//! hls.js and shaka-player in headless Chromium, each on a page with nothing else: the picture moves and the sound is decoded.

use e2e::program::{self, Repeat};
use e2e::{Server, browser, clip, need};

/// Plays each `PLAYER=PATH`, all in one browser.
pub(crate) fn play(server: &Server, wanted: &[&str]) -> Result<(), String> {
    let base = format!("http://{}", server.http);
    let seen = browser::run("players.mjs", &[&[base.as_str()], wanted].concat())?;
    let seen = seen.as_array().expect("a list");
    assert_eq!(seen.len(), wanted.len(), "{seen:?}");
    for seen in seen {
        browser::assert_plays(seen);
    }
    Ok(())
}

#[test]
fn players_of_others_play_live_hls_and_dash() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    need!(play(
        &server,
        &["hls.js=/live/cam.m3u8", "hls.js=/live/cam/ts.m3u8", "shaka=/live/cam.m3u8", "shaka=/live/cam.mpd"]
    ));
}
