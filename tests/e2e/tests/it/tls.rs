//! Other people's TLS: publishing and playing over RTMPS and HTTPS, with and without trust in the certificate.

use crate::play::joins_late;
use e2e::framehash::{self, Extent};
use e2e::process::{self, Scratch};
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need, until};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(45);

/// Publishes `clip` over RTMPS with `ffmpeg` and `options`, plays it over RTMPS with the same, and compares the packets.
fn every_packet_arrives(ffmpeg: &Path, clip: &Path, options: impl Fn(&Server) -> Vec<String>) {
    let server = Server::start();
    let (options, url) = (options(&server), server.rtmps_url("cam"));
    let hashes = server.scratch().join("played");
    let mut player = Command::new(ffmpeg);
    player.args(["-v", "warning", "-y"]).args(&options).args(["-copyts", "-i", &url, "-map", "0"]);
    player.args(["-c", "copy", "-copyinkf", "-f", "framehash", "-hash", "md5"]).arg(&hashes);
    let viewer = Process::spawn(&mut player);
    server.await_players(1);
    let mut publisher = Command::new(ffmpeg);
    publisher.args(["-v", "warning", "-re", "-i"]).arg(clip).args(["-map", "0", "-c", "copy", "-f", "flv"]);
    let publisher = Process::spawn(publisher.args(&options).arg(&url));
    viewer.finish(PLAY_MAX);
    publisher.finish(PLAY_MAX);
    let played = framehash::parse(&std::fs::read_to_string(&hashes).unwrap()).unwrap();
    framehash::compare(&framehash::of_file(ffmpeg, clip), &played, Extent::Whole).unwrap();
    assert!(server.metric("rushlight_packets_in_total", &["rtmps"]) > 100.0);
    assert!((server.metric("rushlight_tls_handshakes_total", &["rtmps"]) - 2.0).abs() < 0.5);
}

#[test]
fn debian_ffmpeg_publishes_and_plays_every_packet_over_rtmps() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    every_packet_arrives(&ffmpeg, &clip, |_| Vec::new());
}

#[test]
fn ffmpeg_9_publishes_and_plays_every_packet_over_rtmps_that_it_trusts() {
    let ffmpeg9 = need!(program::ffmpeg9());
    let clip = need!(program::ffmpeg().and_then(|ffmpeg| clip::h264_aac(&ffmpeg)));
    every_packet_arrives(&ffmpeg9, &clip, |server| {
        vec!["-tls_verify".into(), "1".into(), "-ca_file".into(), server.certificate().display().to_string()]
    });
}

#[test]
fn ffmpeg_9_does_not_play_over_rtmps_that_it_does_not_trust() {
    let ffmpeg9 = need!(program::ffmpeg9());
    let server = Server::start();
    let url = server.rtmps_url("cam");
    let mut player = Command::new(ffmpeg9);
    player.args(["-v", "error", "-tls_verify", "1", "-i", &url, "-f", "null", "-"]);
    assert!(process::run(&mut player).is_err());
    until("the refusal is counted", || {
        (server.metric("rushlight_tls_handshakes_failed_total", &["rtmps", "refused"]) > 0.0).then_some(())
    });
}

#[test]
fn debian_ffmpeg_plays_https_flv() {
    joins_late(|server, out| {
        let mut player = Command::new(program::ffmpeg()?);
        player.args(["-v", "warning", "-y", "-copyts", "-i", &server.https_flv_url("cam"), "-map", "0"]);
        Ok(Process::spawn(player.args(["-c", "copy", "-copyinkf", "-f", "flv"]).arg(out)))
    });
}

#[test]
fn rtmpdump_plays_rtmps_that_it_trusts() {
    joins_late(|server, out| {
        let rtmpdump = program::find("rtmpdump")?;
        // librtmp on GnuTLS trusts this file of its working folder, and nothing else.
        std::fs::copy(server.certificate(), server.scratch().join("ca.pem")).unwrap();
        let mut player = Command::new(rtmpdump);
        player.args(["--live", "-r", &server.rtmps_url("cam"), "-o"]).arg(out);
        Ok(Process::spawn(player.current_dir(server.scratch())))
    });
}

#[test]
fn gstreamer_rtmp2src_plays_rtmps() {
    joins_late(|server, out| {
        let pipeline = format!(
            "rtmp2src location={} tls-validation-flags=0 ! filesink location={}",
            server.rtmps_url("cam"),
            out.display()
        );
        Ok(Process::spawn(Command::new(program::gst("rtmp2src")?).args(pipeline.split_whitespace())))
    });
}

#[test]
fn gstreamer_rtmp2sink_publishes_over_rtmps() {
    let gst = need!(program::gst("rtmp2sink"));
    let clip = need!(program::ffmpeg().and_then(|ffmpeg| clip::h264_aac(&ffmpeg)));
    let server = Server::start();
    let pipeline = format!(
        "filesrc location={} ! flvdemux name=demux demux.video ! queue ! h264parse ! flvmux streamable=true ! \
         rtmp2sink location={} tls-validation-flags=0",
        clip.display(),
        server.rtmps_url("cam"),
    );
    let _publisher = Process::spawn(Command::new(gst).args(pipeline.split_whitespace()));
    server.await_live("cam");
    assert_eq!(server.api("sessions").unwrap()["sessions"][0]["protocol"], "rtmps");
    server.open_flv("cam", "").unwrap().find(|tag| tag.is_keyframe()).unwrap();
}

/// What curl prints as `format`.
fn curl(arguments: &[&str], format: &str) -> Result<String, String> {
    let curl = program::find("curl")?;
    process::run(Command::new(curl).args(["-s", "-w", format]).args(arguments))
}

#[test]
fn https_is_http_2_or_1_by_agreement_and_is_spoken_on_the_rtmps_port_too() {
    let server = Server::start();
    let certificate = server.certificate();
    let trust = ["--cacert", certificate.to_str().unwrap(), "-o", "/dev/null"];
    let health = |port: u16| format!("https://localhost:{port}/healthz");
    let get = |options: &[&str], url: String| {
        curl(&[&trust[..], options, &[url.as_str()]].concat(), "%{http_version} %{http_code}")
    };
    assert_eq!(need!(get(&["--http2"], health(server.https.port()))), "2 200");
    assert_eq!(need!(get(&["--http1.1"], health(server.https.port()))), "1.1 200");
    assert_eq!(need!(get(&["--no-alpn", "--tls-max", "1.2"], health(server.https.port()))), "1.1 200");
    assert_eq!(need!(get(&[], health(server.rtmps.port()))), "1.1 200");
}

#[test]
fn flv_over_http_2_goes_on() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let out = server.scratch().join("out.flv");
    let url = server.https_flv_url("cam");
    let curl = need!(program::find("curl"));
    let mut command = Command::new(curl);
    let _player =
        Process::spawn(command.args(["-sk", "--http2", "--limit-rate", "1M", "-o"]).arg(&out).arg(&url));
    until("three seconds of media are there", || {
        (std::fs::metadata(&out).ok()?.len() > 300_000).then_some(())
    });
    let listed = server.api("sessions").unwrap();
    let player = listed["sessions"].as_array().unwrap().iter().find(|s| s["role"] == "play").unwrap().clone();
    assert_eq!(player["protocol"], "http-flv", "{listed}");
}

/// Makes a certificate of one's own with openssl, named after `name`.
fn make_certificate(openssl: &Path, folder: &Path, name: &str) -> Result<(), String> {
    let mut command = Command::new(openssl);
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj"]);
    command.arg(format!("/CN={name}")).args(["-addext", "subjectAltName=DNS:localhost"]);
    let command =
        command.arg("-keyout").arg(folder.join("key.pem")).arg("-out").arg(folder.join("chain.pem"));
    process::run(command).map(|_| ())
}

/// The name in the certificate that a server shows.
fn shown(openssl: &Path, server: &Server) -> Option<String> {
    let script = format!(
        "{0} s_client -connect {1} </dev/null 2>/dev/null | {0} x509 -noout -subject",
        openssl.display(),
        server.rtmps
    );
    process::run(Command::new("sh").args(["-c", &script])).ok()
}

#[test]
fn a_new_certificate_counts_without_a_restart_and_viewers_stay() {
    let (ffmpeg, openssl) = (need!(program::ffmpeg()), need!(program::find("openssl")));
    let clip = need!(clip::h264_aac(&ffmpeg));
    let folder = Scratch::new();
    need!(make_certificate(&openssl, folder.path(), "first"));
    let settings = [
        format!("tls.certificate={}", folder.file("chain.pem").display()),
        format!("tls.key={}", folder.file("key.pem").display()),
    ];
    let server = Server::with(&[&settings[0], &settings[1]]);
    assert!(!server.data().join("tls").exists(), "a certificate was made that nobody needs");
    assert!(shown(&openssl, &server).is_some_and(|subject| subject.contains("first")));

    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmps_url("cam"));
    server.await_live("cam");
    let out = server.scratch().join("played");
    let mut viewer = program::record_hashes(&ffmpeg, &server.rtmps_url("cam"), &out);
    server.await_players(1);
    std::fs::write(folder.file("chain.pem"), "nonsense").unwrap();
    until("the broken file is reported", || {
        shown(&openssl, &server);
        let log = server.process.output();
        log.lines().any(|line| line.contains("ERROR") && line.contains("chain.pem")).then_some(())
    });
    assert!(shown(&openssl, &server).is_some_and(|subject| subject.contains("first")), "the old one counts");
    need!(make_certificate(&openssl, folder.path(), "second"));
    until("the new certificate is shown", || {
        shown(&openssl, &server).filter(|subject| subject.contains("second"))
    });
    let received = || {
        let listed = server.api("sessions").unwrap();
        let viewer = listed["sessions"].as_array().unwrap().iter().find(|s| s["role"] == "play").cloned();
        viewer.unwrap_or_else(|| panic!("the viewer is gone: {listed}"))["bytesOut"].as_u64().unwrap()
    };
    let before = received();
    until("the viewer gets more", || (received() > before + 100_000).then_some(()));
    assert!(viewer.is_running());
}
