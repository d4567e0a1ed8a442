//! VLC, without a screen, writes what it plays into a file.

use e2e::framehash::{self, Track};
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// VLC refuses to run as root; this is `nobody`.
const NOBODY: u32 = 65_534;

/// VLC that plays something.
pub(crate) struct Vlc {
    process: Process,
    /// A folder of its own, where `nobody` may write.
    home: PathBuf,
}

/// The tracks that it wrote, and what it printed.
pub(crate) struct Written(Vec<Track>, String);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}\n{}", self.0, self.1)
    }
}

impl Written {
    /// How many frames there are of what ffmpeg calls `codec`.
    pub(crate) fn count(&self, codec: &str) -> usize {
        self.0.iter().filter(|track| track.codec == codec).map(|track| track.frames.len()).sum()
    }
}

impl Vlc {
    /// Plays `url` to its end, or for so many seconds.
    pub(crate) fn start(vlc: &Path, url: &str, seconds: Option<u32>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("rushlight-vlc-{}-{number}", std::process::id()));
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new(vlc);
        command.args(["-I", "dummy", "--no-video-title-show", "--play-and-exit"]);
        command.args(seconds.map(|seconds| format!("--run-time={seconds}")));
        let out = home.join("out.ts");
        command
            .arg(format!("--sout=#standard{{access=file,mux=ts,dst={}}}", out.display()))
            .args([url, "vlc://quit"])
            .env("HOME", &home)
            .current_dir(&home);
        if std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
            command.uid(NOBODY).gid(NOBODY);
        }
        Self { process: Process::spawn(&mut command), home }
    }

    /// Waits for the end.
    pub(crate) fn finish(self, ffmpeg: &Path) -> Written {
        let printed = self.process.finish(Duration::from_secs(90));
        let tracks = framehash::of_file(ffmpeg, &self.home.join("out.ts"));
        let _ = std::fs::remove_dir_all(self.home);
        Written(tracks, printed)
    }
}

fn plays(url: impl FnOnce(&Server) -> String) {
    let vlc = need!(program::find("vlc"));
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let seen = Vlc::start(&vlc, &url(&server), Some(5)).finish(&ffmpeg);
    assert!(seen.count("h264") >= 75 && seen.count("aac") >= 100, "{seen}");
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
