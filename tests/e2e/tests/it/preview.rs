//! The last seconds of a live stream as a small animation.

use e2e::hls::fetch;
use e2e::program::{self, Repeat};
use e2e::{Server, browser, clip, need, until};

/// How many pictures an animated WebP file has (RFC 9649 section 2.7.1.2).
fn pictures(webp: &[u8]) -> usize {
    assert!(webp.starts_with(b"RIFF") && webp.get(8..12) == Some(b"WEBP"), "it is WebP");
    webp.windows(4).filter(|chunk| chunk == b"ANMF").count()
}

#[test]
fn a_live_stream_has_a_preview_of_its_last_keyframes() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["access.play_key=let-me-see"]);
    assert_eq!(fetch(server.http, "/live/cam/preview.webp?key=let-me-see").status, 404, "nobody publishes");
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    // There is a keyframe each second; what was made is the same for some seconds.
    until("there are several keyframes", || {
        let preview = fetch(server.http, "/live/cam/preview.webp?key=let-me-see");
        assert_eq!((preview.status, preview.cache.as_str()), (200, "public, max-age=2"));
        assert!(preview.body.len() < 300_000);
        (pictures(&preview.body) >= 4).then_some(())
    });
    assert_eq!(
        fetch(server.http, "/live/cam/preview.webp").status,
        404,
        "who may not play it does not see it"
    );
}

#[test]
fn a_card_of_the_home_page_moves_while_the_pointer_rests_on_it() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let seen = need!(browser::run("preview.mjs", &[&format!("http://{}", server.http)]));
    assert_eq!(seen["errors"], serde_json::json!([]), "{seen}");
    assert_eq!((&seen["width"], &seen["askedWithLessMotion"]), (&320.into(), &0.into()), "{seen}");
}
