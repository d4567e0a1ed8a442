//! Our own client programs, held to the same standard as others'.

use e2e::framehash::{self, Extent};
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need};
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(45);

#[test]
fn rushlight_publish_sends_every_packet() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let hashes = server.scratch().join("played");
    let viewer = program::record_hashes(&ffmpeg, &server.rtmp_url("cam"), &hashes);
    server.await_players(1);
    let mut command = Command::new(program::rushlight());
    let publisher = Process::spawn(command.args(["publish", "-q"]).arg(&clip).arg(server.rtmp_url("cam")));
    publisher.finish(PLAY_MAX);
    viewer.finish(PLAY_MAX);
    let played = framehash::parse(&std::fs::read_to_string(&hashes).unwrap()).unwrap();
    framehash::compare(&framehash::of_file(&ffmpeg, &clip), &played, Extent::Whole).unwrap();
}

#[test]
fn rushlight_play_receives_every_packet_over_each_protocol() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let urls = [server.rtmp_url("cam"), server.flv_url("cam"), server.websocket_url("cam")];
    let file = |at: usize| server.scratch().join(format!("{at}.flv"));
    let viewers: Vec<_> = urls
        .iter()
        .enumerate()
        .map(|(at, url)| {
            let mut command = Command::new(program::rushlight());
            Process::spawn(command.args(["play", "--timeout", "20", "--output"]).arg(file(at)).arg(url))
        })
        .collect();
    server.await_players(urls.len());
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Once, &server.rtmp_url("cam"));
    let source = framehash::of_file(&ffmpeg, &clip);
    for (at, viewer) in viewers.into_iter().enumerate() {
        let report = viewer.finish(PLAY_MAX);
        let played = framehash::of_file(&ffmpeg, &file(at));
        framehash::compare(&source, &played, Extent::Whole)
            .unwrap_or_else(|why| panic!("{}: {why}\n{report}", urls[at]));
    }
}
