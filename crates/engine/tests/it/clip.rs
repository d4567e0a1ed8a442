//! A clip that ffmpeg makes.

use bytes::BytesMut;
use media::container::flv::Demuxer;
use media::{Kind, Packet, Role};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An ffmpeg that puts H.265 and AV1 into FLV, from version 6.1 on: the one of `./test tools`, or `RUSHLIGHT_FFMPEG9`. Without it a test is
/// skipped.
pub(crate) fn newer_ffmpeg() -> Option<PathBuf> {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let cached = || {
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
        Some(cache.join("rushlight-test/ffmpeg9")).filter(|path| path.exists())
    };
    let found = std::env::var_os("RUSHLIGHT_FFMPEG9").map(PathBuf::from).or_else(cached);
    if found.is_none() {
        eprintln!("SKIPPED: ffmpeg9 is not installed (./test tools)");
    }
    found
}

/// The packets of a video track.
pub(crate) struct Clip {
    pub(crate) packets: Vec<Packet>,
}

impl Clip {
    /// `seconds` of a moving test picture, with a keyframe each second.
    pub(crate) fn new(size: &str, fps: u32, seconds: u32, encoder: &[&str]) -> Self {
        let source = format!("testsrc2=size={size}:rate={fps}:duration={seconds}");
        Self::made_by(Path::new("ffmpeg"), &source, fps, encoder)
    }

    /// A source of pictures as ffmpeg names it, with a keyframe each second.
    pub(crate) fn made_by(ffmpeg: &Path, source: &str, fps: u32, encoder: &[&str]) -> Self {
        let gop = fps.to_string();
        let output = Command::new(ffmpeg)
            .args(["-v", "error", "-f", "lavfi", "-i", source, "-g", &gop, "-keyint_min", &gop])
            .args(["-sc_threshold", "0", "-b:v", "1M"])
            .args(encoder)
            .args(["-f", "flv", "-"])
            .stdin(Stdio::null())
            .output()
            .expect("ffmpeg is there: see tools/install.sh");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut input = BytesMut::from(&output.stdout[..]);
        let mut demuxer = Demuxer::new();
        let mut packets = Vec::new();
        while let Some(packet) = demuxer.push(&mut input).unwrap() {
            if packet.track.kind == Kind::Video && matches!(packet.role, Role::Config | Role::Frame) {
                packets.push(packet);
            }
        }
        Self { packets }
    }

    /// What most tests play: 90 pictures, with B-frames.
    pub(crate) fn usual() -> Self {
        Self::new("640x360", 30, 3, &["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"])
    }

    /// Where somebody joins who joins at `position`: the configuration, which is the first packet, is pushed by the test.
    pub(crate) fn joins_at(&self, position: usize) -> usize {
        let newest = self.packets[..position].iter().rposition(|packet| packet.flags.keyframe);
        newest.unwrap_or(0)
    }
}
