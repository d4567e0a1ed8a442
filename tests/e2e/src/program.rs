//! The programs that tests drive: where they are, and the command lines that several tests share.

use crate::process::{Process, profile_dir};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Our own program, from the same build as the test; `RUSHLIGHT_BIN` names another.
///
/// # Panics
/// If it was not built.
pub fn rushlight() -> PathBuf {
    let path =
        std::env::var_os("RUSHLIGHT_BIN").map_or_else(|| profile_dir().join("rushlight"), PathBuf::from);
    assert!(path.exists(), "{} does not exist: run `cargo build -p rushlight` first", path.display());
    path
}

/// The example of `media` that copies from container to container, from the same build as the test.
///
/// # Panics
/// If it was not built.
pub fn remux() -> PathBuf {
    let path = profile_dir().join("examples/remux");
    let how = "cargo build -p rushlight-media --example remux";
    assert!(path.exists(), "{} does not exist: run `{how}` first", path.display());
    path
}

/// Finds a program on the path, or where Debian keeps servers.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn find(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers are in a folder that is on the path of root alone.
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{name} is not installed"))
}

/// Debian's ffmpeg: what many people stream with, older than Enhanced RTMP.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn ffmpeg() -> Result<PathBuf, String> {
    find("ffmpeg")
}

/// ffmpeg 9, which speaks Enhanced RTMP with multitrack. `./test tools` installs it; `RUSHLIGHT_FFMPEG9` names another.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn ffmpeg9() -> Result<PathBuf, String> {
    installed("ffmpeg9", "RUSHLIGHT_FFMPEG9")
}

/// SeaweedFS, an S3 server. `./test tools` installs it; `RUSHLIGHT_WEED` names another.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn seaweedfs() -> Result<PathBuf, String> {
    installed("weed", "RUSHLIGHT_WEED")
}

/// A program that `./test tools` keeps in a folder of its own, unless `variable` names another.
fn installed(name: &str, variable: &str) -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let path = cache().join(name);
    if path.exists() { Ok(path) } else { Err(format!("{name} is not installed (./test tools)")) }
}

/// The Python that has `module`. `./test tools` installs it; `RUSHLIGHT_TEST_PYTHON` names another.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn python(module: &str) -> Result<PathBuf, String> {
    let path = match std::env::var_os("RUSHLIGHT_TEST_PYTHON") {
        Some(path) => path.into(),
        None => cache().join("venv/bin/python"),
    };
    let has = Command::new(&path).args(["-c", &format!("import {module}")]).output();
    match has.is_ok_and(|output| output.status.success()) {
        true => Ok(path),
        false => Err(format!("the Python module {module} is not installed (./test tools)")),
    }
}

/// Where `./test tools` puts what is in no package of Debian.
fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
        PathBuf::from,
    );
    cache.join("rushlight-test")
}

/// Whether GStreamer has `element`.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn gst(element: &str) -> Result<PathBuf, String> {
    let inspect = find("gst-inspect-1.0")?;
    let found =
        Command::new(inspect).args(["--exists", element]).status().is_ok_and(|status| status.success());
    if found { find("gst-launch-1.0") } else { Err(format!("GStreamer has no {element}")) }
}

/// How often a clip is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// From its first to its last packet, then the publisher says goodbye.
    Once,
    /// Over and over, until the process is killed.
    Forever,
}

/// Publishes the packets of `clip` once, with times that begin at `start` milliseconds.
pub fn publish_from(ffmpeg: &Path, clip: &Path, start: u64, url: &str) -> Process {
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "warning", "-re", "-i"]).arg(clip).args(["-map", "0", "-c", "copy"]);
    command.args(["-output_ts_offset", &format!("{}.{:03}", start / 1000, start % 1000), "-f", "flv", url]);
    Process::spawn(&mut command)
}

/// Publishes the packets of `clip` as they are, at the pace of their clock.
pub fn publish(ffmpeg: &Path, clip: &Path, repeat: Repeat, url: &str) -> Process {
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "warning", "-re"]);
    if repeat == Repeat::Forever {
        command.args(["-stream_loop", "-1"]);
    }
    Process::spawn(command.arg("-i").arg(clip).args(["-map", "0", "-c", "copy", "-f", "flv", url]))
}

/// Plays `url` to its end and writes a hash of every packet to `hashes` (see [`crate::framehash`]).
pub fn record_hashes(ffmpeg: &Path, url: &str, hashes: &Path) -> Process {
    Process::spawn(Command::new(ffmpeg).args(["-v", "warning", "-y"]).args(hash_arguments(url)).arg(hashes))
}

/// The arguments that turn `input` into packet hashes: every stream, packets untouched, clock untouched.
pub(crate) fn hash_arguments(input: &str) -> Vec<&str> {
    let mut arguments = vec!["-copyts", "-i", input, "-map", "0"];
    arguments.extend(["-c", "copy", "-copyinkf", "-f", "framehash", "-hash", "md5"]);
    arguments
}
