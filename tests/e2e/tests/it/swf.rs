//! SWF verification: players that know the file play, others are refused. Publishers are not asked.

use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need, until};
use std::process::Command;
use std::time::Duration;

/// More than the server waits for an answer.
const REFUSED_MAX: Duration = Duration::from_secs(30);

const SIZE: &str = "54321";

fn hash(digits: &str) -> String {
    digits.repeat(32)
}

/// A live server that lets two files play. `player` makes the arguments of a player from an URL, a hash, and a file to
/// write; with `known` it plays, with another hash it is refused.
fn plays_with_a_known_file_only(player: impl Fn(&str, &str, &str) -> Result<Command, String>) {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let file = |digits| format!("{{hash=\"{}\",size={SIZE}}}", hash(digits));
    let server = Server::with(&[&format!("rtmp.swf=[{},{}]", file("01"), file("ab"))]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    for url in [server.rtmp_url("cam"), server.rtmpe_url("cam")] {
        let out = server.scratch().join("out.flv");
        let run = |digits| player(&url, &hash(digits), out.to_str().expect("scratch paths are text"));
        let mut refused = Process::spawn(&mut need!(run("cd")));
        assert!(!refused.wait(REFUSED_MAX).success(), "{url}: {}", refused.output());
        assert_eq!(server.sessions("play"), 0);
        let mut playing = Process::spawn(&mut need!(run("ab")));
        until("the player is let in", || {
            assert!(playing.is_running(), "{url}: {}", playing.output());
            (server.sessions("play") == 1).then_some(())
        });
        until("media arrives", || (out.metadata().ok()?.len() > 10_000).then_some(()));
        drop(playing);
        until("the player is gone", || (server.sessions("play") == 0).then_some(()));
        std::fs::remove_file(&out).expect("the player has written it");
    }
    assert_eq!(server.metric("rushlight_play_rejected_total", &[r#"reason="swf""#]), 2.0);
}

#[test]
fn rtmpdump_plays_with_a_known_file_only() {
    plays_with_a_known_file_only(|url, hash, out| {
        let mut command = Command::new(program::find("rtmpdump")?);
        command.args(["--live", "-r", url, "--swfhash", hash, "--swfsize", SIZE, "-o", out]);
        Ok(command)
    });
}

#[test]
fn ffmpeg_9_plays_with_a_known_file_only() {
    plays_with_a_known_file_only(|url, hash, out| {
        let mut command = Command::new(program::ffmpeg9()?);
        command.args(["-v", "warning", "-y", "-rtmp_swfhash", hash, "-rtmp_swfsize", SIZE, "-i", url]);
        command.args(["-c", "copy", "-flush_packets", "1", "-f", "flv", out]);
        Ok(command)
    });
}
