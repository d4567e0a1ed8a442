//! Streams that are sent to other servers, and streams that are fetched from them.

use e2e::framehash::{self, Extent, Track};
use e2e::program::{self, Repeat};
use e2e::{Nginx, Process, Server, clip, flv, http, need, nginx, until};
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(60);

/// The setting that sends streams to targets, each a stream, a URL and a name.
fn push(targets: &[(&str, &str, &str)]) -> String {
    let entries = targets
        .iter()
        .map(|(stream, url, name)| format!("{{ stream = {stream:?}, url = {url:?}, name = {name:?} }}"));
    format!("relay.push=[{}]", entries.collect::<Vec<_>>().join(", "))
}

/// The state of the target called `name`, once it is `state`.
fn await_target(server: &Server, name: &str, state: &str) -> Value {
    until(&format!("the target {name} is {state}"), || {
        let relays = server.api("relays").expect("relays are always listed");
        let mut targets = relays["push"].as_array()?.clone().into_iter();
        targets.find(|target| target["name"] == name && target["state"] == state)
    })
}

fn why(target: &Value) -> &str {
    target["lastFailure"]["why"].as_str().unwrap_or_default()
}

/// Records what a player gets of `url`, from before the stream begins.
fn record(player: &Path, server: &Server, url: &str, name: &str) -> (Process, PathBuf) {
    let hashes = server.scratch().join(name);
    (program::record_hashes(player, url, &hashes), hashes)
}

fn recorded(hashes: &Path) -> Vec<Track> {
    framehash::parse(&std::fs::read_to_string(hashes).unwrap()).unwrap()
}

#[test]
fn every_packet_reaches_nginx_ffmpeg_and_another_node_while_others_fail() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let nginx = need!(Nginx::start(""));
    let there = Server::with(&["access.publish_key=a-key-for-publishing"]);
    let listening = nginx::free_address();
    // One that accepts and never says a word, one where nobody listens, one that refuses.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("rtmp://{}/live/cam", silent.local_addr().unwrap());
    let down_url = format!("rtmp://{}/live/secret-name", nginx::free_address());
    let ffmpeg_url = format!("rtmp://{listening}/live/cam");
    let here = Server::with(&[
        &push(&[
            ("live/*", &nginx.rtmp_url("{channel}"), "nginx"),
            ("live/cam", &there.rtmp_url("copy?key=a-key-for-publishing"), "node"),
            ("live/cam", &ffmpeg_url, "ffmpeg"),
            ("live/cam", &silent_url, "silent"),
            ("live/cam", &down_url, "down"),
            ("live/cam", &there.rtmp_url("copy2?key=wrong-secret"), "refuses"),
            ("live/other", &down_url, "of another stream"),
        ]),
        "relay.connect_timeout_ms=1000",
        "relay.retry_max_ms=1000",
    ]);
    let at_ffmpeg = here.scratch().join("ffmpeg");
    let mut command = Command::new(&ffmpeg);
    command.args(["-v", "warning", "-y", "-listen", "1", "-copyts", "-i", &ffmpeg_url, "-map", "0"]);
    command.args(["-c", "copy", "-copyinkf", "-f", "framehash", "-hash", "md5"]).arg(&at_ffmpeg);
    let listener = Process::spawn(&mut command);
    let (local, at_home) = record(&ffmpeg, &here, &here.rtmp_url("cam"), "home");
    let (remote, at_node) = record(&ffmpeg, &here, &there.rtmp_url("copy"), "node");
    let (other, at_nginx) = record(&ffmpeg, &here, &nginx.rtmp_url("cam"), "nginx");
    here.await_players(1);
    there.await_players(1);

    let publisher = program::publish(&ffmpeg, &clip, Repeat::Once, &here.rtmp_url("cam"));
    for name in ["nginx", "node"] {
        await_target(&here, name, "live");
    }
    let refused = await_target(&here, "refuses", "refused");
    assert!(why(&refused).contains("the key is not valid"), "{refused}");
    let down = await_target(&here, "down", "retrying");
    assert!(why(&down).contains("Connection refused"), "{down}");
    let silent = await_target(&here, "silent", "retrying");
    assert!(why(&silent).contains("did not answer in time"), "{silent}");
    await_target(&here, "of another stream", "waiting");
    let told = here.api("relays").unwrap().to_string();
    assert!(!told.contains("secret") && !told.contains("a-key-for"), "{told}");
    assert!(here.metric("rushlight_relay_state", &["direction=\"push\"", "state=\"live\""]) >= 2.0);

    publisher.finish(PLAY_MAX);
    for viewer in [local, remote, other, listener] {
        viewer.finish(PLAY_MAX);
    }
    let sent = framehash::of_file(&ffmpeg, &clip);
    framehash::compare(&sent, &recorded(&at_home), Extent::Whole).unwrap();
    // Connecting takes a moment; what is sent begins with the newest keyframe by then.
    for target in [at_node, at_nginx, at_ffmpeg] {
        framehash::compare(&sent, &recorded(&target), Extent::ToTheEnd)
            .unwrap_or_else(|why| panic!("{}: {why}", target.display()));
    }
    for name in ["nginx", "node", "down", "refuses"] {
        await_target(&here, name, "waiting");
    }
    let log = here.process.output();
    assert!(!log.contains("secret") && !log.contains("a-key-for"), "keys are in the log");
    until("nothing is published there any more", || (there.sessions("publish") == 0).then_some(()));
}

#[test]
fn twenty_targets_over_every_carrier_get_the_same_packets() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let there = Server::with(&["access.publish_key=a-key-for-publishing"]);
    let schemes = [
        ("rtmp", there.rtmp),
        ("rtmpe", there.rtmp),
        ("rtmps", there.rtmps),
        ("rtmpt", there.http),
        ("rtmpts", there.https),
        ("rtmpte", there.http),
    ];
    let urls: Vec<_> = (0..20)
        .map(|index| {
            let (scheme, address) = schemes[index % schemes.len()];
            format!("{scheme}://{address}/copy/{index}?key=a-key-for-publishing")
        })
        .collect();
    let targets: Vec<_> =
        urls.iter().map(|url| ("live/cam", url.as_str(), url.split('?').next().unwrap_or(url))).collect();
    let trust = format!("relay.ca_file={}", there.certificate().display());
    let here = Server::with(&[&push(&targets), &trust]);
    let watched = [0, 1, 2, 3, 4, 5, 19];
    let viewers: Vec<_> = watched
        .iter()
        .map(|index| {
            let url = format!("rtmp://{}/copy/{index}", there.rtmp);
            record(&ffmpeg, &here, &url, &index.to_string())
        })
        .collect();
    there.await_players(watched.len());
    let publisher = program::publish(&ffmpeg, &clip, Repeat::Once, &here.rtmp_url("cam"));
    until("all targets are live", || (there.sessions("publish") == 20).then_some(()));
    publisher.finish(PLAY_MAX);
    let sent = framehash::of_file(&ffmpeg, &clip);
    for ((viewer, hashes), index) in viewers.into_iter().zip(watched) {
        viewer.finish(PLAY_MAX);
        framehash::compare(&sent, &recorded(&hashes), Extent::ToTheEnd)
            .unwrap_or_else(|why| panic!("{}: {why}", urls[index]));
    }
    until("all targets are unpublished", || (there.sessions("publish") == 0).then_some(()));
}

#[test]
fn a_target_that_stops_reading_loses_groups_of_pictures_and_holds_nobody_up() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::heavy(&ffmpeg));
    let (stuck, healthy) = (Server::start(), Server::start());
    let here = Server::with(&[
        &push(&[
            ("live/cam", &stuck.rtmp_url("cam"), "stuck"),
            ("live/cam", &healthy.rtmp_url("cam"), "healthy"),
        ]),
        "relay.lag_max_ms=1000",
        "relay.write_timeout_ms=5000",
        "relay.retry_max_ms=500",
    ]);
    let mut publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &here.rtmp_url("cam"));
    await_target(&here, "stuck", "live");
    healthy.await_live("cam");
    stuck.process.signal("STOP");

    let mut viewer = healthy.open_flv("cam", "").unwrap();
    let start = viewer.find(|tag| tag.is_keyframe()).unwrap().timestamp;
    let mut last = start;
    while last < start + 12_000 {
        let tag = viewer.find(|tag| tag.is_picture()).unwrap();
        assert!(tag.timestamp >= last && tag.timestamp - last < 500, "{} ms after {last} ms", tag.timestamp);
        last = tag.timestamp;
    }
    let given_up = until("the stuck target is given up", || {
        let relays = here.api("relays")?;
        let target = relays["push"].as_array()?.iter().find(|target| target["name"] == "stuck")?.clone();
        (!target["lastFailure"].is_null()).then_some(target)
    });
    assert!(why(&given_up).contains("takes no data"), "{given_up}");
    assert!(await_target(&here, "healthy", "live")["dropped"] == 0);
    stuck.process.signal("CONT");
    let again = await_target(&here, "stuck", "live");
    assert!(again["connections"].as_u64() > Some(1), "{again}");
    stuck.await_live("cam");
    assert!(publisher.is_running());
}

#[test]
fn a_stream_is_fetched_for_its_first_viewer_and_left_after_the_last() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let there = Server::start();
    let pull = format!("relay.pull=[{{ stream = \"live/*\", url = {:?} }}]", there.rtmp_url("{channel}"));
    let here = Server::with(&[&pull, "relay.idle_stop_ms=300"]);
    let viewer = program::record_hashes(&ffmpeg, &here.rtmp_url("cam"), &here.scratch().join("played"));
    // The viewer waits at home, and the node waits with it at the source.
    there.await_players(1);
    let publisher = program::publish(&ffmpeg, &clip, Repeat::Once, &there.rtmp_url("cam"));
    publisher.finish(PLAY_MAX);
    viewer.finish(PLAY_MAX);
    let played = recorded(&here.scratch().join("played"));
    framehash::compare(&framehash::of_file(&ffmpeg, &clip), &played, Extent::Whole).unwrap();

    let mut publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &there.rtmp_url("cam"));
    there.await_live("cam");
    let viewers: Vec<_> = (0..3).map(|_| here.open_flv("cam", "").unwrap()).collect();
    until("one connection fetches it for all", || (there.sessions("play") == 1).then_some(()));
    assert!(here.channel("cam").unwrap()["publisher"]["protocol"] == "relay");
    drop(viewers);
    until("the source is left", || (there.sessions("play") == 0).then_some(()));
    assert!(publisher.is_running());
}

/// A node that fetches `cam` from two others with different clips, and a viewer that has seen the first.
struct TwoSources {
    here: Server,
    first: Server,
    second: Server,
    _publishers: [Process; 2],
    viewer: flv::Reader<http::Body>,
}

fn with_two_sources(settings: &str) -> Result<TwoSources, String> {
    let ffmpeg = program::ffmpeg()?;
    let clips = [clip::h264_aac(&ffmpeg)?, clip::heavy(&ffmpeg)?];
    let sources = [Server::start(), Server::start()];
    let publishers = [0, 1].map(|index| {
        program::publish(&ffmpeg, &clips[index], Repeat::Forever, &sources[index].rtmp_url("cam"))
    });
    sources.iter().for_each(|source| drop(source.await_live("cam")));
    let [first, second] = [0, 1].map(|index| sources[index].rtmp_url("cam"));
    let pull = format!(
        "relay.pull=[{{ stream = \"live/cam\", url = {first:?}, backups = [{second:?}], mode = \"always\", \
         {settings} }}]"
    );
    let here = Server::with(&[&pull, "relay.stall_ms=2000", "relay.switch_back_ms=1000"]);
    // Where both are connected the backup may have been the first that worked.
    until("the first source is heard", || (active(&here) == Some(0)).then_some(()));
    let mut viewer = here.open_flv("cam", "").map_err(|error| error.to_string())?;
    viewer.find(|tag| tag.is_keyframe()).map_err(|error| error.to_string())?;
    let [first, second] = sources;
    Ok(TwoSources { here, first, second, _publishers: publishers, viewer })
}

/// Reads on until the stream has changed to another clip and ten pictures of that have come. Time never goes back, and the
/// first picture of the other clip is a keyframe.
fn read_over_a_switch(viewer: &mut flv::Reader<http::Body>) {
    let mut newest = [0; 2];
    let mut after: Option<u32> = None;
    loop {
        let tag = viewer.tag().unwrap();
        if tag.is_config() {
            if tag.kind == 9 {
                after = Some(0);
            }
            continue;
        }
        if tag.kind == 18 {
            continue;
        }
        let track = usize::from(tag.kind == 9);
        assert!(tag.timestamp >= newest[track], "{} ms after {} ms", tag.timestamp, newest[track]);
        newest[track] = tag.timestamp;
        if let Some(pictures) = after.as_mut().filter(|_| tag.is_picture()) {
            assert!(*pictures > 0 || tag.is_keyframe(), "the other clip begins with a keyframe");
            *pictures += 1;
            if *pictures == 10 {
                return;
            }
        }
    }
}

fn active(server: &Server) -> Option<u64> {
    server.api("relays").unwrap()["pull"][0]["active"].as_u64()
}

#[test]
fn viewers_stay_when_the_first_source_is_killed() {
    let mut nodes = need!(with_two_sources("backups_connected = true"));
    let TwoSources { here, first, second, viewer, .. } = &mut nodes;
    until("the backup stands by", || (second.sessions("play") == 1).then_some(()));
    first.process.kill();
    read_over_a_switch(viewer);
    assert_eq!(active(here), Some(1));
    let relays = here.api("relays").unwrap();
    assert!(!why(&relays["pull"][0]["sources"][0]).is_empty(), "{relays}");
}

#[test]
fn a_source_that_falls_silent_is_left_and_taken_back_when_it_works() {
    let mut nodes = need!(with_two_sources("backups_connected = false"));
    let TwoSources { here, first, second, viewer, .. } = &mut nodes;
    assert_eq!(second.sessions("play"), 0, "the backup is not connected before it is needed");
    first.process.signal("STOP");
    read_over_a_switch(viewer);
    assert_eq!(active(here), Some(1));
    first.process.signal("CONT");
    read_over_a_switch(viewer);
    assert_eq!(active(here), Some(0));
    until("the backup is left again", || (second.sessions("play") == 0).then_some(()));
}

#[test]
fn a_node_that_shuts_down_unpublishes_at_its_targets() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let there = Server::start();
    let mut here = Server::with(&[&push(&[("live/cam", &there.rtmp_url("cam"), "node")])]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &here.rtmp_url("cam"));
    there.await_live("cam");
    let mut viewer = there.open_flv("cam", "").unwrap();
    viewer.find(|tag| tag.is_keyframe()).unwrap();
    here.process.signal("TERM");
    // A stream that is lost would hold its viewers for the time of grace.
    let error = viewer.find(|_| false).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
    assert!(there.metric("rushlight_sessions_total", &["role=\"publish\"", "outcome=\"finished\""]) == 1.0);
    here.process.wait(e2e::wait::DEADLINE);
}
