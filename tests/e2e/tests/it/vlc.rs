//! VLC, without a screen, writes what it plays into a file.

use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, framehash, need};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// VLC refuses to run as root; this is `nobody`.
const NOBODY: u32 = 65_534;

fn plays(url: impl FnOnce(&Server) -> String) {
    let vlc = need!(program::find("vlc"));
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");

    let home = std::env::temp_dir().join(format!("rushlight-vlc-{}", server.process.id()));
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o777)).unwrap();
    let out = home.join("out.ts");
    let mut command = Command::new(vlc);
    command
        .args(["-I", "dummy", "--no-video-title-show", "--run-time=5", "--play-and-exit"])
        .arg(format!("--sout=#standard{{access=file,mux=ts,dst={}}}", out.display()))
        .args([url(&server).as_str(), "vlc://quit"])
        .env("HOME", &home)
        .current_dir(&home);
    if std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
    let printed = Process::spawn(&mut command).finish(Duration::from_secs(90));
    let tracks = framehash::of_file(&ffmpeg, &out);
    let frames =
        |codec: &str| tracks.iter().filter(|t| t.codec == codec).map(|t| t.frames.len()).sum::<usize>();
    assert!(frames("h264") >= 75 && frames("aac") >= 100, "{tracks:?}\n{printed}");
    let _ = std::fs::remove_dir_all(home);
}

#[test]
fn vlc_plays_rtmp() {
    plays(|server| server.rtmp_url("cam"));
}

#[test]
fn vlc_plays_http_flv() {
    plays(|server| server.flv_url("cam"));
}

#[test]
fn vlc_plays_hls_of_transport_streams() {
    plays(|server| format!("http://{}/live/cam/ts.m3u8", server.http));
}

#[test]
fn vlc_plays_an_endless_transport_stream() {
    plays(|server| format!("http://{}/live/cam.ts", server.http));
}

#[test]
fn vlc_plays_hls() {
    plays(|server| format!("http://{}/live/cam.m3u8", server.http));
}
