//! Streams that are looked at for black and frozen pictures and for silence.

use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need, until};
use std::process::Command;

const SETTINGS: &[&str] = &["transcode.watch=[\"live/*\"]", "transcode.watch_after_ms=2000"];

fn faults(server: &Server, channel: &str) -> Vec<String> {
    let alerts = server.channel(channel).map(|channel| channel["alerts"].clone()).unwrap_or_default();
    let alerts = alerts.as_array().cloned().unwrap_or_default();
    let mut faults: Vec<_> =
        alerts.iter().filter_map(|alert| Some(alert["fault"].as_str()?.to_owned())).collect();
    faults.sort();
    faults
}

#[test]
fn black_and_frozen_pictures_and_silence_are_told_and_their_end_too() {
    let ffmpeg = need!(program::ffmpeg());
    let good = need!(clip::h264_aac(&ffmpeg));
    let dark =
        need!(clip::of(&ffmpeg, "dark.flv", "color=black:size=640x360:rate=25", "anullsrc=r=44100:cl=mono"));
    let tone = "sine=frequency=440:sample_rate=44100";
    let still = need!(clip::of(&ffmpeg, "still.flv", "smptehdbars=size=640x360:rate=25", tone));
    let server = Server::with(SETTINGS);
    let publish = |channel: &str, clip| -> Process {
        let publisher = program::publish(&ffmpeg, clip, Repeat::Forever, &server.rtmp_url(channel));
        server.await_live(channel);
        publisher
    };
    let mut first = publish("dark", &dark);
    let _second = publish("still", &still);
    let _third = publish("good", &good);
    until("the dark one is told", || (faults(&server, "dark") == ["black", "silent"]).then_some(()));
    until("the one that stands is told", || (faults(&server, "still") == ["frozen"]).then_some(()));
    assert_eq!(faults(&server, "good"), [""; 0]);
    let now = |fault: &str| server.metric("rushlight_transcode_alerts", &[&format!("fault=\"{fault}\"")]);
    assert_eq!((now("black"), now("frozen"), now("silent")), (1.0, 1.0, 1.0));
    assert_eq!(server.metric("rushlight_transcode_alerts_raised_total", &[]), 3.0);
    // What looks is a process like any other.
    let watchers = server.process.children();
    assert_eq!(watchers.len(), 3);
    e2e::process::run(Command::new("kill").args(["-9", &watchers[0].to_string()])).unwrap();
    first.kill();
    until("the publisher is missed", || (!server.is_live("dark")).then_some(()));
    let _again = publish("dark", &good);
    until("all is well again", || (now("black") == 0.0 && now("silent") == 0.0).then_some(()));
    assert_eq!(faults(&server, "dark"), [""; 0]);
}
