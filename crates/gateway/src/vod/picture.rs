//! JPEG pictures of keyframes, made by a worker of the media engine, or by a program that can decode what that cannot.
//!
//! Decoders of all codecs are large, and have had their share of memory errors: here they run in a process of their own, one at a
//! time, for a limited time, that gets one frame and no file.

use bytes::Bytes;
use engine::host::{Keyframe, Launch, NoStill, preview, still};
use media::{Packet, StreamName};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tracing::debug;

/// How long it may take. A keyframe takes tens of milliseconds.
const TIME_MAX: Duration = Duration::from_secs(10);
/// How long the picture of a live stream is shown before a newer one is made: nobody sees a list change sooner.
const FRESH: Duration = Duration::from_secs(4);
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

/// What a picture is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// For the engine.
    Keyframe(Keyframe),
    /// For the program: an MP4 file of one frame.
    File(Bytes),
}

/// Who makes pictures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Makers<'a> {
    /// How workers of the engine are started, if there are any, and how much they give way.
    pub(super) engine: Option<(&'a Launch, u8)>,
    /// The program; empty is none.
    pub(super) program: &'a str,
}

impl Makers<'_> {
    /// Whether the engine makes a picture of `keyframe`.
    pub(super) fn takes(&self, keyframe: &Keyframe) -> bool {
        self.engine.is_some() && keyframe.is_decodable()
    }
}

/// Why there is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPicture {
    /// There is nothing to make it.
    NoProgram,
    /// The engine has no decoder for it; the program may.
    NoDecoder,
    /// It is not to be made: who decodes it says so.
    Failed,
    /// It was not made this time: no process could be had, or it took too long.
    Passing,
    /// Too many wait for theirs.
    Busy,
}

impl From<NoStill> for NoPicture {
    fn from(why: NoStill) -> Self {
        debug!(%why, "no picture of a keyframe");
        match why {
            NoStill::NoDecoder(_) => Self::NoDecoder,
            NoStill::Broken(_) => Self::Failed,
            NoStill::NotMade(_) => Self::Passing,
        }
    }
}

/// A picture, or why there is none.
type Made = Result<Bytes, NoPicture>;

/// Pictures that were made.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    /// By what they were made of, the newest last; and what cannot be made, which stays so.
    kept: Mutex<Vec<((u64, usize), Made)>>,
    /// Of live streams.
    pub(super) stills: Fresh<Bytes>,
    /// Previews of live streams, and what was in vain.
    animations: Fresh<Made>,
    turns: Turns,
    /// A preview takes longer than a picture, which does not wait for it.
    animation_turns: Turns,
}

/// One at a time: decoding takes a core.
#[derive(Debug, Default)]
struct Turns {
    /// Requests that wait, or have their turn.
    waiting: AtomicUsize,
    turn: tokio::sync::Mutex<()>,
}

impl Turns {
    /// Waits for a turn, unless too many do.
    async fn take(&self) -> Result<(Place<'_>, tokio::sync::MutexGuard<'_, ()>), NoPicture> {
        let place = Place::take(&self.waiting).ok_or(NoPicture::Busy)?;
        Ok((place, self.turn.lock().await))
    }
}

impl Pictures {
    /// The picture of a keyframe.
    pub(super) async fn get(&self, makers: Makers<'_>, source: Source) -> Made {
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        let (Source::File(bytes) | Source::Keyframe(Keyframe { payload: bytes, .. })) = &source;
        let key = (hasher.finish(), bytes.len());
        if let Some(picture) = self.known(key) {
            return picture;
        }
        let _turn = self.turns.take().await?;
        if let Some(picture) = self.known(key) {
            return picture;
        }
        let made = match (&source, makers.engine) {
            (Source::Keyframe(keyframe), Some((launch, nice))) => {
                still(launch, nice, keyframe, WIDTH_MAX).await.map_err(NoPicture::from)
            }
            (Source::Keyframe(_), None) => Err(NoPicture::NoProgram),
            (Source::File(file), _) => {
                let made = tokio::time::timeout(TIME_MAX, make(makers.program, file)).await;
                made.unwrap_or(Err(NoPicture::Passing))
            }
        };
        // What passes is tried again.
        if matches!(made, Err(NoPicture::NoProgram | NoPicture::Passing)) {
            return made;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((key, made.clone()));
        let bytes_of = |made: &Made| made.as_ref().map_or(0, Bytes::len);
        let bytes = |kept: &[(_, Made)]| kept.iter().map(|(_, made)| bytes_of(made)).sum::<usize>();
        while kept.len() > KEPT_MAX || bytes(&kept) > KEPT_BYTES_MAX {
            drop(kept.remove(0));
        }
        made
    }

    /// The picture of a keyframe that the engine takes; where it cannot make it, the program does of `file`.
    pub(super) async fn get_of_either<E: From<NoPicture>>(
        &self,
        makers: Makers<'_>,
        keyframe: Keyframe,
        file: impl AsyncFnOnce() -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        let made = self.get(makers, Source::Keyframe(keyframe)).await;
        match made {
            Err(NoPicture::NoDecoder | NoPicture::Passing) if !makers.program.is_empty() => {
                let file = Source::File(file().await?);
                match self.get(makers, file).await {
                    // It is as if there were none.
                    Err(NoPicture::NoProgram) => made.map_err(E::from),
                    by_program => by_program.map_err(E::from),
                }
            }
            made => made.map_err(E::from),
        }
    }

    /// The preview of a live stream, of what `frames` gives then: a configuration and the frames that go with it. Whoever asks within
    /// some seconds gets the same, also where it was in vain.
    pub(super) async fn animate<E: From<NoPicture>>(
        &self,
        (launch, nice): (&Launch, u8),
        name: &StreamName,
        frames: impl FnOnce() -> Result<(Bytes, Vec<Packet>), E>,
    ) -> Result<Bytes, E> {
        if let Some(made) = self.animations.get(name, Instant::now()) {
            return made.map_err(E::from);
        }
        let _turn = self.animation_turns.take().await?;
        if let Some(made) = self.animations.get(name, Instant::now()) {
            return made.map_err(E::from);
        }
        let (record, frames) = frames()?;
        let made = preview(launch, nice, record, &frames).await.map_err(NoPicture::from);
        self.animations.keep(name.clone(), made.clone(), Instant::now());
        made.map_err(E::from)
    }

    fn known(&self, key: (u64, usize)) -> Option<Made> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(other, _)| *other == key).map(|(_, made)| made.clone())
    }
}

/// Pictures of live streams that were made a moment ago, with the time of that; the newest last.
#[derive(Debug)]
pub(super) struct Fresh<T>(Mutex<Vec<(StreamName, Instant, T)>>);

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Fresh<T> {
    /// The picture of a stream, if there is one.
    pub(super) fn get(&self, name: &StreamName, now: Instant) -> Option<T> {
        let fresh = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, at, picture) = fresh.iter().find(|(other, ..)| other == name)?;
        (now.saturating_duration_since(*at) < FRESH).then(|| picture.clone())
    }

    /// Keeps a picture for a moment.
    pub(super) fn keep(&self, name: StreamName, picture: T, now: Instant) {
        let mut fresh = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.retain(|(other, at, _)| *other != name && now.saturating_duration_since(*at) < FRESH);
        if fresh.len() >= KEPT_MAX {
            fresh.remove(0);
        }
        fresh.push((name, now, picture));
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

    fn by(program: &str) -> Makers<'_> {
        Makers { engine: None, program }
    }

    fn file(bytes: &'static [u8]) -> Source {
        Source::File(Bytes::from_static(bytes))
    }

    #[tokio::test]
    async fn without_a_program_there_is_no_picture() {
        let pictures = Pictures::default();
        for program in ["", "/nowhere/ffmpeg"] {
            let made = pictures.get(by(program), file(b"file")).await;
            assert_eq!(made, Err(NoPicture::NoProgram));
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_makes_no_picture_is_told() {
        let made = Pictures::default().get(by("false"), file(b"file")).await;
        assert_eq!(made, Err(NoPicture::Failed));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_was_in_vain_is_not_tried_again_and_a_crowd_does_not_wait() {
        let pictures = Pictures::default();
        assert_eq!(pictures.get(by("false"), file(b"file")).await, Err(NoPicture::Failed));
        assert_eq!(
            pictures.get(by("/nowhere/ffmpeg"), file(b"file")).await,
            Err(NoPicture::Failed),
            "as is known"
        );
        let _crowd: Vec<_> =
            (0..WAITING_MAX).map(|_| Place::take(&pictures.turns.waiting).unwrap()).collect();
        assert_eq!(pictures.get(by("false"), file(b"other")).await, Err(NoPicture::Busy));
        assert_eq!(
            pictures.get(by("false"), file(b"file")).await,
            Err(NoPicture::Failed),
            "what is known needs no place"
        );
    }

    #[tokio::test]
    async fn a_worker_that_cannot_be_started_makes_no_picture() {
        let keyframe =
            Keyframe { codec: media::Codec::H264, record: Bytes::new(), payload: Bytes::from_static(b"?") };
        let launch = Launch { program: "/nowhere/worker".into(), arguments: Vec::new() };
        let makers = Makers { engine: Some((&launch, 0)), program: "" };
        assert!(makers.takes(&keyframe) && !by("ffmpeg").takes(&keyframe));
        let made = Pictures::default().get(makers, Source::Keyframe(keyframe.clone())).await;
        assert_eq!(made, Err(NoPicture::Passing));
        let other = Keyframe { codec: media::Codec::FlvVideo(4), ..keyframe };
        assert!(!makers.takes(&other), "that is for the program");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_fails_in_passing_is_tried_again() {
        let pictures = Pictures::default();
        let keyframe =
            Keyframe { codec: media::Codec::Av1, record: Bytes::new(), payload: Bytes::from_static(b"?") };
        for program in ["/nowhere/worker", "false"] {
            let launch = Launch { program: program.into(), arguments: Vec::new() };
            let makers = Makers { engine: Some((&launch, 0)), program: "" };
            let made = pictures.get(makers, Source::Keyframe(keyframe.clone())).await;
            assert_eq!(made, Err(NoPicture::Passing), "{program}");
            assert!(pictures.kept.lock().unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn what_the_engine_does_not_make_the_program_is_asked_for() {
        let pictures = Pictures::default();
        let keyframe =
            Keyframe { codec: media::Codec::Av1, record: Bytes::new(), payload: Bytes::from_static(b"?") };
        let launch = Launch { program: "/nowhere/worker".into(), arguments: Vec::new() };
        let asked = AtomicUsize::new(0);
        for (program, expected) in [("", NoPicture::Passing), ("false", NoPicture::Failed)] {
            let makers = Makers { engine: Some((&launch, 0)), program };
            let file = async || {
                asked.fetch_add(1, Ordering::Relaxed);
                Ok::<_, NoPicture>(Bytes::from_static(b"file"))
            };
            let made = pictures.get_of_either(makers, keyframe.clone(), file).await;
            assert_eq!(made, Err(expected), "{program}");
        }
        assert_eq!(asked.into_inner(), 1, "without a program there is no file to make");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_crowd_has_one_preview_made_and_pictures_do_not_wait_for_it() {
        let pictures = Pictures::default();
        let name = crate::config::parse_channel("live/cam").unwrap();
        let launch = Launch { program: "/nowhere/worker".into(), arguments: Vec::new() };
        let asked = AtomicUsize::new(0);
        let frames = || {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok::<_, NoPicture>((Bytes::new(), Vec::new()))
        };
        let animate = || pictures.animate((&launch, 0), &name, frames);
        let turn = pictures.animation_turns.turn.lock().await;
        let mut crowd = std::pin::pin!(async { tokio::join!(animate(), animate(), animate()) });
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(crowd.as_mut().poll(cx).is_pending())).await
        );
        assert_eq!(pictures.get(by("false"), file(b"file")).await, Err(NoPicture::Failed), "at once");
        drop(turn);
        let (first, second, third) = crowd.await;
        assert!(first.is_err() && first == second && second == third, "{first:?} {second:?} {third:?}");
        assert_eq!(animate().await, first, "it is not tried again for a moment");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let picture = Bytes::from_static(b"preview");
        pictures.animations.keep(name.clone(), Ok(picture.clone()), Instant::now());
        assert_eq!(animate().await, Ok(picture));
    }

    #[test]
    fn the_picture_of_a_live_stream_is_the_same_for_a_moment() {
        let (pictures, now) = (Fresh::default(), Instant::now());
        let name = crate::config::parse_channel("live/cam").unwrap();
        assert_eq!(pictures.get(&name, now), None);
        let picture = Bytes::from_static(b"picture");
        pictures.keep(name.clone(), picture.clone(), now);
        assert_eq!(pictures.get(&name, now + FRESH / 2), Some(picture.clone()));
        assert_eq!(pictures.get(&name, now + FRESH), None);
        for channel in 0..2 * KEPT_MAX {
            let name = crate::config::parse_channel(&format!("live/{channel}")).unwrap();
            pictures.keep(name, picture.clone(), now);
        }
        assert_eq!(pictures.0.lock().unwrap().len(), KEPT_MAX);
    }
}
