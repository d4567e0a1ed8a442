//! One viewer that stops reading among others that read.

use e2e::program::{self, Repeat};
use e2e::{Server, clip, http, need, until};

#[test]
fn a_viewer_that_stops_reading_holds_nobody_up() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::heavy(&ffmpeg));
    let server = Server::start();
    let mut publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");

    // Both connect, and never read a byte.
    let stalled = http::get(server.http, "/live/cam.flv").unwrap();
    let mut healthy = server.open_flv("cam", "").unwrap();
    server.await_players(2);

    // 16 Mbit/s over 12 s of media: several times what two socket buffers can hold.
    let start = healthy.find(|tag| tag.is_keyframe()).unwrap().timestamp;
    let mut last = start;
    while last < start + 12_000 {
        let tag = healthy.find(|tag| tag.is_picture()).unwrap();
        assert!(tag.timestamp >= last, "time runs backwards");
        assert!(tag.timestamp - last < 500, "pictures of a viewer that reads are missing after {last} ms");
        last = tag.timestamp;
    }
    assert!(publisher.is_running());
    let resident_kib = || -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).ok()?;
        status.lines().find(|line| line.starts_with("VmRSS"))?.split_whitespace().nth(1)?.parse().ok()
    };
    assert!(resident_kib().unwrap() < 512 * 1024, "the server keeps what the stalled viewer does not read");
    drop(stalled);
    until("the stalled viewer is gone", || (server.sessions("play") == 1).then_some(()));
}
