//! Many viewers in the same moment.

use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need, until};
use std::process::Command;
use std::time::Duration;

const VIEWERS: usize = 200;

#[test]
fn two_hundred_viewers_join_at_once() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    std::thread::scope(|scope| {
        let viewers: Vec<_> = (0..VIEWERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut flv = server.open_flv("cam", "")?;
                    let mut configured = false;
                    let first = flv.find(|tag| {
                        configured |= tag.kind == 9 && tag.is_config();
                        tag.is_picture()
                    })?;
                    // Two keyframes more: it goes on after the burst.
                    flv.find(|tag| tag.is_keyframe())?;
                    flv.find(|tag| tag.is_keyframe())?;
                    std::io::Result::Ok(configured && first.is_keyframe())
                })
            })
            .collect();
        for viewer in viewers {
            assert!(
                viewer.join().unwrap().unwrap(),
                "the first picture was no keyframe, or came unconfigured"
            );
        }
    });
    until("all of them are gone", || (server.sessions("play") == 0).then_some(()));
    assert!(server.is_live("cam"));
}

#[test]
fn viewers_of_every_protocol_join_within_a_second() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let mut command = Command::new(program::rushlight());
    command.args([
        "load",
        "--join-storm",
        "1",
        "--duration",
        "4",
        "--json",
        "-",
        "--insecure",
        "--viewers",
        &VIEWERS.to_string(),
    ]);
    let urls = [
        server.rtmp_url("cam"),
        server.rtmps_url("cam"),
        server.rtmpt_url("cam"),
        server.rtmpts_url("cam"),
        server.rtmpe_url("cam"),
        server.rtmpte_url("cam"),
        server.flv_url("cam"),
        server.https_flv_url("cam"),
        server.websocket_url("cam"),
    ];
    for url in urls {
        command.args(["--play", &url]);
    }
    let report = report(&mut command);
    let of = |name: &str| report["server"][name].as_u64();
    assert_eq!(
        (of("started"), of("failed"), of("disconnected")),
        (Some(VIEWERS as u64), Some(0), Some(0)),
        "{report}"
    );
    let measured = &report["server"]["measured"];
    let clean = ["failed", "lost", "discontinuities"].iter().all(|name| measured[*name] == 0);
    assert!(clean && measured["frames"].as_u64() > Some(1_000), "{report}");
}

#[test]
fn viewers_of_hls_take_parts_as_they_come_without_a_refusal() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let url = server.flv_url("cam").replace(".flv", ".m3u8");
    let mut command = Command::new(program::rushlight());
    command.args(["load", "--viewers", "20", "--duration", "3", "--json", "-", "--play", &url]);
    let report = report(&mut command);
    let of = |name: &str| report["server"][name].as_u64();
    assert_eq!((of("started"), of("failed"), of("disconnected")), (Some(20), Some(0), Some(0)), "{report}");
    let hls = &report["server"]["hls"];
    // At least two parts of two tracks in a second, each with its playlist.
    assert!(hls["refused"] == 0 && hls["requests"].as_u64() > Some(20 * 3 * 8), "{report}");
}

/// The report of a run of `rushlight load`.
fn report(command: &mut Command) -> serde_json::Value {
    let printed = Process::spawn(command).finish(Duration::from_secs(60));
    let json = printed.find('{').zip(printed.rfind('}')).map(|(first, last)| &printed[first..=last]);
    serde_json::from_str(json.unwrap_or_default()).unwrap_or_else(|_| panic!("{printed}"))
}
