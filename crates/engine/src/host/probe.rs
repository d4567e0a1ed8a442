//! Which back ends work here, found out by a real test encode of each.

use super::Launch;
use super::memory::Memory;
use super::process::{Heard, Worker, WorkerId};
use crate::encode::{Backend, Codec, Config, LOOKAHEAD_LIVE, Preset};
use crate::ipc::{Order, Report};
use crate::limits::{DEVICE_FPS_MIN, PROBE_MAX};
use crate::mark::Marks;
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

/// The devices that this machine may have, by the files of their drivers. To try others costs a process each, in vain.
pub fn devices_here() -> Vec<Backend> {
    let has = |folder: &str, prefix: &str| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
    };
    let is_there = |backend: &Backend| match backend {
        // The second one is Linux inside Windows.
        Backend::Nvenc => has("/dev", "nvidiactl") || has("/dev", "dxg"),
        Backend::Qsv | Backend::Vaapi => has("/dev/dri", "renderD"),
        Backend::V4l2 => has("/dev", "video"),
        Backend::VideoToolbox => cfg!(target_os = "macos"),
        Backend::X264 | Backend::X265 | Backend::SvtAv1 | Backend::OpenH264 => false,
    };
    Backend::ALL.into_iter().filter(is_there).collect()
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
    let config = Config {
        codec,
        backend: Some(backend),
        width: 1280,
        height: 720,
        fps_max: None,
        bitrate_bps: 2_500_000,
        quality: None,
        vmaf: None,
        gop: None,
        b_frames: if codec == Codec::H264 { 2 } else { 0 },
        lookahead: LOOKAHEAD_LIVE,
        preset: Preset::Superfast,
        profile: None,
        tune: None,
        denoise: false,
        regions: false,
        threads: 0,
        marks: Marks::default(),
    };
    let memory = Memory::new()?;
    let (heard, mut reports) = mpsc::channel(4);
    let first = Order::Measure(config, backend);
    let worker = Worker::start(launch, nice, &memory.readable, WorkerId(0), &first, heard)?;
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
    let answer = tokio::time::timeout(PROBE_MAX, answer).await;
    drop(worker);
    Ok(answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PROBE_MAX.as_secs()))))
}
