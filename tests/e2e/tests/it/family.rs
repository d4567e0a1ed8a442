//! The family: every program that speaks a variant of RTMP publishes and plays over it, and each packet arrives.
//!
//! One test for each variant and direction. All programs of a cell run at once against one server, each with a channel or a
//! session of its own, so that the matrix costs the time of a clip per row.

use e2e::framehash::{self, Extent};
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need, skip};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(60);

/// A program in the role of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// ffmpeg 9.
    Ffmpeg9,
    /// Debian's ffmpeg, on GnuTLS, without RTMPE.
    Ffmpeg,
    /// librtmp.
    Rtmpdump,
    /// librtmp inside GStreamer.
    Rtmpsrc,
    /// `rushlight publish` and `rushlight play`.
    Ours,
}

use Client::{Ffmpeg, Ffmpeg9, Ours, Rtmpdump, Rtmpsrc};

impl Client {
    fn find(self) -> Result<PathBuf, String> {
        match self {
            Ffmpeg9 => program::ffmpeg9(),
            Ffmpeg => program::ffmpeg(),
            Rtmpdump => program::find("rtmpdump"),
            Rtmpsrc => program::gst("rtmpsrc"),
            Ours => Ok(program::rushlight()),
        }
    }

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn publish(self, program: &Path, server: &Server, clip: &Path, url: &str) -> Process {
        let mut command = Command::new(program);
        match self {
            Ours => {
                command.args(["publish", "-q", "--ca"]).arg(server.certificate()).arg(clip).arg(url);
            }
            _ => {
                command.args(["-v", "warning", "-re", "-i"]).arg(clip);
                command
                    .args(["-map", "0", "-c", "copy"])
                    .args(self.trust(server, url))
                    .args(["-f", "flv", url]);
            }
        }
        Process::spawn(&mut command)
    }

    /// Plays to the end of the stream; what it received is in `out` (FLV).
    fn play(self, program: &Path, server: &Server, url: &str, out: &Path) -> Process {
        let mut command = Command::new(program);
        match self {
            Ours => command
                .args(["play", "--timeout", "30", "--ca"])
                .arg(server.certificate())
                .arg("--output")
                .arg(out)
                .arg(url),
            Rtmpdump => {
                // It trusts a file of this name in its working directory and nothing else.
                let folder = server.scratch().join("rtmpdump");
                std::fs::create_dir_all(&folder).expect("a scratch folder can be made");
                std::fs::copy(server.certificate(), folder.join("ca.pem"))
                    .expect("the certificate can be copied");
                command.current_dir(folder).args(["--live", "-r", url, "-o"]).arg(out)
            }
            Rtmpsrc => {
                let pipeline = format!("rtmpsrc location={url} ! filesink location={}", out.display());
                command.args(pipeline.split_whitespace())
            }
            Ffmpeg | Ffmpeg9 => command
                .args(["-v", "warning", "-y", "-copyts"])
                .args(self.trust(server, url))
                .args(["-i", url, "-map", "0", "-c", "copy", "-copyinkf", "-f", "flv"])
                .arg(out),
        };
        Process::spawn(&mut command)
    }

    /// ffmpeg 9 checks certificates, and is given ours; Debian's does not, and its RTMPTS takes no such option.
    fn trust(self, server: &Server, url: &str) -> Vec<String> {
        let sealed = url.starts_with("rtmps:");
        let file = || server.certificate().display().to_string();
        if self == Ffmpeg9 && sealed { vec!["-ca_file".into(), file()] } else { Vec::new() }
    }
}

/// The address of a channel over a variant.
fn url(server: &Server, scheme: &str, channel: &str) -> String {
    let address = match scheme {
        "rtmp" | "rtmpe" => server.rtmp,
        "rtmps" | "rtmpts" => server.rtmps,
        _ => server.http,
    };
    format!("{scheme}://{address}/live/{channel}")
}

/// Those of `clients` that are installed; the others are listed as skipped.
fn installed(scheme: &str, clients: &[Client]) -> Vec<(Client, PathBuf)> {
    let mut found = Vec::new();
    for client in clients {
        match client.find() {
            Ok(program) => found.push((*client, program)),
            Err(why) => skip(&format!("{scheme} with {}: {why}", client.name())),
        }
    }
    found
}

/// Each of `clients` publishes over `scheme`; a viewer over plain RTMP gets every packet.
fn published(scheme: &str, clients: &[Client]) {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let clients = installed(scheme, clients);
    let server = Server::start();
    let hashes = |client: Client| server.scratch().join(client.name());
    let viewers: Vec<_> = clients
        .iter()
        .map(|(client, _)| {
            program::record_hashes(&ffmpeg, &server.rtmp_url(&client.name()), &hashes(*client))
        })
        .collect();
    server.await_players(clients.len());
    let key = server.publish_key();
    let publishers: Vec<_> = clients
        .iter()
        .map(|(client, program)| {
            let keyed = format!("{}?key={key}", client.name());
            client.publish(program, &server, &clip, &url(&server, scheme, &keyed))
        })
        .collect();
    let source = framehash::of_file(&ffmpeg, &clip);
    for (((client, _), viewer), publisher) in clients.iter().zip(viewers).zip(publishers) {
        publisher.finish(PLAY_MAX);
        viewer.finish(PLAY_MAX);
        let played = framehash::parse(&std::fs::read_to_string(hashes(*client)).unwrap()).unwrap();
        framehash::compare(&source, &played, Extent::Whole)
            .unwrap_or_else(|why| panic!("{client:?} publishes over {scheme}: {why}"));
    }
}

/// Each of `clients` plays over `scheme` what is published over plain RTMP, and gets every packet.
fn played(scheme: &str, clients: &[Client]) {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let clients = installed(scheme, clients);
    let server = Server::start();
    let file = |client: Client| server.scratch().join(format!("{}.flv", client.name()));
    let address = url(&server, scheme, "cam");
    let players: Vec<_> = clients
        .iter()
        .map(|(client, program)| client.play(program, &server, &address, &file(*client)))
        .collect();
    server.await_players(clients.len());
    let seen =
        server.metric("rushlight_sessions_open", &[&format!("protocol=\"{scheme}\""), "role=\"play\""]);
    assert_eq!(seen as usize, clients.len(), "the server counts them as {scheme}");
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Once, &server.rtmp_url("cam"));
    let source = framehash::of_file(&ffmpeg, &clip);
    for ((client, _), mut player) in clients.iter().zip(players) {
        player.wait(PLAY_MAX);
        let played = framehash::of_file(&ffmpeg, &file(*client));
        framehash::compare(&source, &played, Extent::Whole)
            .unwrap_or_else(|why| panic!("{client:?} plays over {scheme}: {why}\n{}", player.output()));
    }
}

#[test]
fn programs_publish_over_rtmp() {
    published("rtmp", &[Ffmpeg9, Ffmpeg, Ours]);
}

#[test]
fn programs_play_over_rtmp() {
    played("rtmp", &[Ffmpeg9, Ffmpeg, Rtmpdump, Ours]);
}

#[test]
fn programs_publish_over_rtmps() {
    published("rtmps", &[Ffmpeg9, Ffmpeg, Ours]);
}

#[test]
fn programs_play_over_rtmps() {
    played("rtmps", &[Ffmpeg9, Ffmpeg, Rtmpdump, Ours]);
}

#[test]
fn programs_publish_over_rtmpt() {
    published("rtmpt", &[Ffmpeg9, Ffmpeg, Ours]);
}

#[test]
fn programs_play_over_rtmpt() {
    played("rtmpt", &[Ffmpeg9, Ffmpeg, Rtmpdump, Ours]);
}

/// ffmpeg 9 asks for an `http` address on a TLS connection and fails with any server; Debian's does not.
#[test]
fn programs_publish_over_rtmpts() {
    published("rtmpts", &[Ffmpeg, Ours]);
}

#[test]
fn programs_play_over_rtmpts() {
    played("rtmpts", &[Ffmpeg, Ours]);
}

#[test]
fn programs_publish_over_rtmpe() {
    published("rtmpe", &[Ffmpeg9, Ours]);
}

#[test]
fn programs_play_over_rtmpe() {
    played("rtmpe", &[Ffmpeg9, Rtmpdump, Rtmpsrc, Ours]);
}

#[test]
fn programs_publish_over_rtmpte() {
    published("rtmpte", &[Ffmpeg9, Ours]);
}

#[test]
fn programs_play_over_rtmpte() {
    played("rtmpte", &[Ffmpeg9, Rtmpdump, Rtmpsrc, Ours]);
}
