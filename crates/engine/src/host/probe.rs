//! Which back ends work here, found out by a real test encode of each.

use super::Launch;
use super::memory::Memory;
use super::process::{Heard, Worker, WorkerId};
use crate::encode::{Backend, Codec, Config, LOOKAHEAD_LIVE, Preset};
use crate::ipc::{Order, Report};
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a test encode may take. A device that sleeps needs a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// How fast a back end is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Pictures per second.
    pub fps: f64,
    /// Processor time of a picture.
    pub cpu_per_picture: Duration,
}

/// Tries every back end with every codec that it knows, one after the other. Those that work come first: devices before the
/// processor, and among equals the faster.
///
/// # Errors
///
/// Processes cannot be started at all.
pub async fn probe(launch: &Launch) -> io::Result<Vec<Probed>> {
    let mut all = Vec::new();
    for backend in Backend::ALL {
        for &codec in backend.codecs() {
            all.push(Probed { backend, codec, speed: one(launch, backend, codec).await? });
        }
    }
    let rank = |probed: &Probed| {
        let fps = probed.speed.as_ref().map_or(0.0, |speed| speed.fps);
        (probed.speed.is_err(), !probed.backend.is_hardware(), -fps as i64)
    };
    all.sort_by_key(rank);
    Ok(all)
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

async fn one(launch: &Launch, backend: Backend, codec: Codec) -> io::Result<Result<Speed, String>> {
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
        threads: 0,
    };
    let memory = Memory::new()?;
    let (heard, mut reports) = mpsc::channel(4);
    let first = Order::Measure(config, backend);
    let worker = Worker::start(launch, 0, &memory.readable, WorkerId(0), &first, heard)?;
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
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    drop(worker);
    Ok(answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()))))
}
