//! Which back ends work here, found out by a real test encode or decode of each.

use super::Launch;
use super::memory::Memory;
use super::process::{Heard, Worker, WorkerId};
use crate::decode;
use crate::encode::{Backend, Codec, Config};
use crate::ipc::{Order, Report};
use crate::limits::{DEVICE_FPS_MIN, PROBE_DECODER_MAX, PROBE_MAX};
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

/// What a test encode of 1280 × 720 showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// Who encoded.
    pub backend: Backend,
    /// What.
    pub codec: Codec,
    /// How fast, or why not.
    pub speed: Result<Speed, String>,
}

impl Probed {
    /// Whether it is a device that is worth to be preferred to the processor.
    pub fn is_fast_device(&self) -> bool {
        self.backend.is_hardware() && self.speed.as_ref().is_ok_and(|speed| speed.fps >= DEVICE_FPS_MIN)
    }
}

/// What a test decode of a stream showed: pictures of 1272 × 714, which something is cropped of.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbedDecoder {
    /// Who decoded.
    pub backend: decode::Backend,
    /// What.
    pub codec: Codec,
    /// How fast, or why not. What gives other pictures than the processor does not decode.
    pub speed: Result<Speed, String>,
    /// Processor time of a picture that the processor decodes.
    pub cpu_otherwise: Option<Duration>,
}

impl ProbedDecoder {
    /// Whether it is a device that is worth to be preferred to the processor: it is fast enough for several streams, and takes less of the
    /// processor than decoding there.
    pub fn is_better_device(&self) -> bool {
        let is_better = |speed: &Speed| {
            let saves = self.cpu_otherwise.is_some_and(|otherwise| speed.cpu_per_picture < otherwise);
            speed.fps >= DEVICE_FPS_MIN && saves
        };
        self.backend.is_hardware() && self.speed.as_ref().is_ok_and(is_better)
    }
}

/// How fast a back end is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Pictures per second.
    pub fps: f64,
    /// Processor time of a picture.
    pub cpu_per_picture: Duration,
}

/// Tries every back end with every codec that it knows, one after the other. They come in the order in which rungs prefer them: devices
/// that are fast enough, the fastest first, then the processor, then what does not work.
///
/// # Errors
///
/// Processes cannot be started at all.
pub async fn probe(launch: &Launch) -> io::Result<Vec<Probed>> {
    probe_devices(launch, 0, &Backend::ALL).await
}

/// The same of some back ends, whose processes give way to others by `nice`.
///
/// # Errors
///
/// Processes cannot be started at all.
pub async fn probe_devices(launch: &Launch, nice: u8, backends: &[Backend]) -> io::Result<Vec<Probed>> {
    let mut all = Vec::new();
    for &backend in backends {
        for &codec in backend.codecs() {
            all.push(Probed { backend, codec, speed: one(launch, nice, backend, codec).await? });
        }
    }
    rank(&mut all);
    Ok(all)
}

/// Tries the decoders of some devices with every codec that they know, one after the other, and the processor beside them. They come in the
/// order in which streams prefer them: devices that are better than the processor, the fastest first, then the processor, then the rest.
/// Their processes give way to others by `nice`.
///
/// # Errors
///
/// Processes cannot be started at all.
pub async fn probe_decoders(
    launch: &Launch,
    nice: u8,
    backends: &[decode::Backend],
) -> io::Result<Vec<ProbedDecoder>> {
    let mut all = Vec::new();
    for &codec in decode::Backend::Software.codecs() {
        let mut tried = backends.iter().filter(|backend| backend.codecs().contains(&codec)).peekable();
        if tried.peek().is_none() {
            continue;
        }
        let test = |backend| measured_decoder(launch, nice, codec, backend);
        let speed = test(decode::Backend::Software).await?;
        let cpu_otherwise = speed.as_ref().ok().map(|speed| speed.cpu_per_picture);
        all.push(ProbedDecoder { backend: decode::Backend::Software, codec, speed, cpu_otherwise });
        for &backend in tried.filter(|backend| backend.is_hardware()) {
            all.push(ProbedDecoder { backend, codec, speed: test(backend).await?, cpu_otherwise });
        }
    }
    rank_decoders(&mut all);
    Ok(all)
}

async fn measured_decoder(
    launch: &Launch,
    nice: u8,
    codec: Codec,
    backend: decode::Backend,
) -> io::Result<Result<Speed, String>> {
    measured(launch, nice, &Order::MeasureDecoder(codec, backend), PROBE_DECODER_MAX).await
}

/// Sorts by preference.
pub(super) fn rank_decoders(all: &mut [ProbedDecoder]) {
    all.sort_by_key(|probed| {
        let fps = probed.speed.as_ref().map_or(0.0, |speed| speed.fps);
        let class = match probed.backend {
            _ if probed.is_better_device() => 0,
            decode::Backend::Software => 1,
            _ => 2,
        };
        (probed.speed.is_err(), class, if class == 1 { 0 } else { -fps as i64 })
    });
}

/// Sorts by preference.
pub(super) fn rank(all: &mut [Probed]) {
    all.sort_by_key(|probed| {
        let fps = probed.speed.as_ref().map_or(0.0, |speed| speed.fps);
        let place = Backend::PROCESSOR.iter().position(|backend| *backend == probed.backend);
        let class = match place {
            _ if probed.is_fast_device() => 0,
            Some(_) => 1,
            // It works, and is slow.
            None => 2,
        };
        (probed.speed.is_err(), class, place.map_or(-fps as i64, |place| place as i64))
    });
}

/// The devices that this machine may have to encode with, by the files of their drivers. To try others costs a process each, in vain.
pub fn devices_here() -> Vec<Backend> {
    let is_there = |backend: &Backend| match backend {
        Backend::Nvenc => has_nvidia(),
        Backend::Qsv | Backend::Vaapi => has_file("/dev/dri", "renderD"),
        Backend::V4l2 => has_file("/dev", "video"),
        Backend::VideoToolbox => cfg!(target_os = "macos"),
        Backend::X264 | Backend::X265 | Backend::SvtAv1 | Backend::OpenH264 => false,
    };
    Backend::ALL.into_iter().filter(is_there).collect()
}

/// The same to decode with.
pub fn decoders_here() -> Vec<decode::Backend> {
    let is_there = |backend: &decode::Backend| match backend {
        decode::Backend::Nvdec => has_nvidia(),
        decode::Backend::Qsv | decode::Backend::Vaapi => has_file("/dev/dri", "renderD"),
        decode::Backend::V4l2 => has_file("/dev", "video"),
        decode::Backend::VideoToolbox => cfg!(target_os = "macos"),
        decode::Backend::Software => false,
    };
    decode::Backend::ALL.into_iter().filter(is_there).collect()
}

/// The second one is Linux inside Windows.
fn has_nvidia() -> bool {
    has_file("/dev", "nvidiactl") || has_file("/dev", "dxg")
}

fn has_file(folder: &str, prefix: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
}

/// The back ends that work, best first, each once.
pub fn ranked(probed: &[Probed]) -> Vec<Backend> {
    let mut ranked = Vec::new();
    for probed in probed.iter().filter(|probed| probed.speed.is_ok()) {
        if !ranked.contains(&probed.backend) {
            ranked.push(probed.backend);
        }
    }
    ranked
}

async fn one(launch: &Launch, nice: u8, backend: Backend, codec: Codec) -> io::Result<Result<Speed, String>> {
    let config = Config::of_test(codec, backend, (1280, 720));
    measured(launch, nice, &Order::Measure(config, backend), PROBE_MAX).await
}

/// Has a process of its own measure something.
async fn measured(
    launch: &Launch,
    nice: u8,
    first: &Order,
    longest: Duration,
) -> io::Result<Result<Speed, String>> {
    let memory = Memory::new()?;
    let (heard, mut reports) = mpsc::channel(4);
    let worker = Worker::start(launch, nice, &memory.readable, WorkerId(0), first, heard)?;
    let answer = async {
        loop {
            match reports.recv().await {
                Some((_, Heard::Report(Report::Measured { pictures, wall, cpu }))) if pictures > 0 => {
                    let fps = f64::from(pictures) / wall.as_secs_f64().max(1e-6);
                    return Ok(Speed { fps, cpu_per_picture: cpu / pictures });
                }
                Some((_, Heard::Gone(why))) => return Err(why),
                Some(_) => {}
                None => return Err("its process ended".to_owned()),
            }
        }
    };
    let answer = tokio::time::timeout(longest, answer).await;
    drop(worker);
    Ok(answer.unwrap_or_else(|_| Err(format!("no answer within {} s", longest.as_secs()))))
}
