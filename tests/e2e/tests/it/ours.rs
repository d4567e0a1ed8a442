//! Our own client programs, held to the same standard as others'.

use e2e::framehash::{self, Extent};
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need, process, until};
use std::collections::BTreeMap;
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
    let secure_websocket = format!("wss://{}/live/cam.flv", server.https);
    let urls = [
        server.rtmp_url("cam"),
        server.flv_url("cam"),
        server.https_flv_url("cam"),
        server.websocket_url("cam"),
        secure_websocket,
    ];
    let certificate = server.certificate();
    let file = |at: usize| server.scratch().join(format!("{at}.flv"));
    let viewers: Vec<_> = urls
        .iter()
        .enumerate()
        .map(|(at, url)| {
            let mut command = Command::new(program::rushlight());
            command.args(["play", "--timeout", "20", "--ca"]).arg(&certificate);
            Process::spawn(command.arg("--output").arg(file(at)).arg(url))
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

#[test]
fn rushlight_play_speaks_version_8_of_the_encrypted_handshake() {
    let rtmpsrv = need!(program::find("rtmpsrv"));
    let unshare = need!(program::find("unshare"));
    let isolated = ["--net", "--pid", "--fork", "--kill-child"];
    // rtmpsrv has one port, and takes the end of its input for commands.
    let script = "ip link set lo up; mkfifo hold; \"$1\" -z <>hold & \
         until (exec 3<>/dev/tcp/127.0.0.1/1935); do :; done 2>/dev/null; \
         \"$2\" play rtmpe://127.0.0.1/live/cam; wait";
    let scratch = process::Scratch::new();
    let allowed = Command::new(&unshare).args(isolated).arg("true").status();
    if !allowed.is_ok_and(|status| status.success()) {
        return e2e::skip("network namespaces are not allowed here");
    }
    let mut command = Command::new(unshare);
    command.args(isolated).args(["bash", "-c", script, "bash"]).arg(rtmpsrv).arg(program::rushlight());
    let server = Process::spawn(command.current_dir(scratch.path()));
    // rtmpsrv answers 8 to clients that know it, checks the signature in C2, and decrypts what comes after it.
    for line in ["Genuine Adobe Flash Player", "client invoking <connect>", "client invoking <play>"] {
        until(line, || server.output().contains(line).then_some(()));
    }
}

/// The keys and values of `rushlight config`, as `section.key` → value; a list of tables is a key without one.
fn defaults() -> BTreeMap<String, String> {
    let printed = process::run(Command::new(program::rushlight()).args(["config", "--defaults"])).unwrap();
    let mut section = String::new();
    let mut found = BTreeMap::new();
    for line in printed.lines() {
        let line = line.trim_start_matches("# ");
        if let Some(name) = line.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]")) {
            section = format!("{name}.");
            found.insert(name.to_owned(), String::new());
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((key, value)) = line.split_once(" = ") {
            found.insert(format!("{section}{key}"), value.to_owned());
        }
    }
    found
}

#[test]
fn the_settings_in_the_readme_are_those_of_the_program() {
    let defaults = defaults();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let table = readme.split_once("| setting | default |").expect("the README has a table of settings").1;
    let mut rows = 0;
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        for key in cells[1].split(", ").map(|key| key.trim_matches('`')) {
            let Some(default) = defaults.get(key) else { panic!("{key} is no setting: {defaults:#?}") };
            if let Some(stated) = cells[2].strip_prefix('`') {
                assert_eq!(stated.trim_end_matches('`'), default, "{key}");
            }
        }
        rows += 1;
    }
    assert!(rows > 5);
}

#[test]
fn rushlight_play_and_publish_follow_an_application_that_has_moved() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let new = server.rtmp_url("cam");
    let to = new.strip_suffix("/cam").unwrap();
    let old = Server::with(&[&format!("rtmp.redirect=[{{app=\"live\", to=\"{to}\"}}]")]);
    let played = server.scratch().join("played.flv");
    let mut command = Command::new(program::rushlight());
    let command = command.args(["play", "--timeout", "20", "--output"]).arg(&played).arg(old.rtmp_url("cam"));
    let viewer = Process::spawn(command);
    server.await_players(1);
    let mut command = Command::new(program::rushlight());
    let publisher = Process::spawn(command.args(["publish", "-q"]).arg(&clip).arg(old.rtmp_url("cam")));
    publisher.finish(PLAY_MAX);
    viewer.finish(PLAY_MAX);
    let (sent, seen) = (framehash::of_file(&ffmpeg, &clip), framehash::of_file(&ffmpeg, &played));
    framehash::compare(&sent, &seen, Extent::Whole).unwrap();
}
