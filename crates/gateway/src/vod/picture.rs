//! JPEG pictures of keyframes, made by a program that can decode them.
//!
//! Decoders of all codecs are large, and have had their share of memory errors: here they run in a process of their own, one at a
//! time, for a limited time, that gets one frame and no file.

use bytes::Bytes;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// How long it may take. A keyframe takes tens of milliseconds.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of a picture.
const PICTURE_BYTES_MAX: u64 = 4 << 20;
/// Pictures that are kept: those of a page with recordings, several times over.
const KEPT_MAX: usize = 64;
/// Bytes of them.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// Requests that may wait for theirs, each with a frame in memory.
const WAITING_MAX: usize = 16;
/// The largest picture, in pixels: those of a page are smaller.
const WIDTH_MAX: u32 = 1280;

/// Why there is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPicture {
    /// There is no program to make it.
    NoProgram,
    /// The program does not make it.
    Failed,
    /// Too many wait for theirs.
    Busy,
}

/// Pictures that were made.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    /// By what they were made of, the newest last; empty where that was in vain.
    kept: Mutex<Vec<((u64, usize), Bytes)>>,
    /// Requests that hold a frame and wait.
    waiting: AtomicUsize,
    /// One at a time: decoding takes a core.
    turn: tokio::sync::Mutex<()>,
}

impl Pictures {
    /// The picture in an MP4 file that has one.
    pub(super) async fn get(&self, program: &str, file: Bytes) -> Result<Bytes, NoPicture> {
        let mut hasher = DefaultHasher::new();
        file.hash(&mut hasher);
        let key = (hasher.finish(), file.len());
        if let Some(picture) = self.known(key) {
            return picture;
        }
        let Some(_place) = Place::take(&self.waiting) else { return Err(NoPicture::Busy) };
        let _turn = self.turn.lock().await;
        if let Some(picture) = self.known(key) {
            return picture;
        }
        let made = tokio::time::timeout(TIME_MAX, make(program, &file)).await;
        let made = made.unwrap_or(Err(NoPicture::Failed));
        if made == Err(NoPicture::NoProgram) {
            return made;
        }
        let picture = made.clone().unwrap_or_default();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((key, picture));
        let bytes = |kept: &[(_, Bytes)]| kept.iter().map(|(_, picture)| picture.len()).sum::<usize>();
        while kept.len() > KEPT_MAX || bytes(&kept) > KEPT_BYTES_MAX {
            kept.remove(0);
        }
        made
    }

    fn known(&self, key: (u64, usize)) -> Option<Result<Bytes, NoPicture>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, picture) = kept.iter().find(|(other, _)| *other == key)?;
        Some(if picture.is_empty() { Err(NoPicture::Failed) } else { Ok(picture.clone()) })
    }
}

/// One of those who may wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        // What is too many gives its place back at once.
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs the program, which ends with this at the latest.
async fn make(program: &str, file: &Bytes) -> Result<Bytes, NoPicture> {
    if program.is_empty() {
        return Err(NoPicture::NoProgram);
    }
    let mut command = Command::new(program);
    // Who decodes what strangers send has no part in our secrets.
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .args(["-v", "error", "-threads", "1", "-protocol_whitelist", "pipe", "-f", "mov", "-i", "pipe:0"])
        .args(["-frames:v", "1", "-vf", &format!("scale=w='min({WIDTH_MAX},iw)':h=-2"), "-q:v", "4"])
        .args(["-f", "mjpeg", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|_| NoPicture::NoProgram)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(NoPicture::Failed);
    };
    let mut picture = Vec::new();
    let write = async {
        // A program that has read enough reads no more.
        let _ = input.write_all(file).await;
        drop(input);
    };
    let mut output = output.take(PICTURE_BYTES_MAX);
    let (read, ()) = tokio::join!(output.read_to_end(&mut picture), write);
    let ended = child.wait().await.is_ok_and(|status| status.success());
    let is_jpeg = picture.starts_with(&[0xff, 0xd8]);
    if read.is_ok() && ended && is_jpeg { Ok(picture.into()) } else { Err(NoPicture::Failed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_program_there_is_no_picture() {
        let pictures = Pictures::default();
        for program in ["", "/nowhere/ffmpeg"] {
            let made = pictures.get(program, Bytes::from_static(b"file")).await;
            assert_eq!(made, Err(NoPicture::NoProgram));
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_makes_no_picture_is_told() {
        let made = Pictures::default().get("false", Bytes::from_static(b"file")).await;
        assert_eq!(made, Err(NoPicture::Failed));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_was_in_vain_is_not_tried_again_and_a_crowd_does_not_wait() {
        let pictures = Pictures::default();
        let file = Bytes::from_static(b"file");
        assert_eq!(pictures.get("false", file.clone()).await, Err(NoPicture::Failed));
        assert_eq!(
            pictures.get("/nowhere/ffmpeg", file.clone()).await,
            Err(NoPicture::Failed),
            "as is known"
        );
        let _crowd: Vec<_> = (0..WAITING_MAX).map(|_| Place::take(&pictures.waiting).unwrap()).collect();
        assert_eq!(pictures.get("false", Bytes::from_static(b"other")).await, Err(NoPicture::Busy));
        assert_eq!(pictures.get("false", file).await, Err(NoPicture::Failed), "what is known needs no place");
    }
}
