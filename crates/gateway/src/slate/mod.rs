//! Slates: a picture for viewers of a stream whose publisher is away.
//!
//! A slate is a publisher of the lowest rank that takes the place of one that was lost ([`hub::Origin::stand_in`]), and the log does the
//! rest: who comes back is above it and takes over at a keyframe, without a gap, and the clock of the stream goes on. Its frames
//! (`feed`) are a second of H.264 that a worker process has encoded, again and again; the sound is silence (`sound`). Packets in the log
//! say the rank of who wrote them, so that recorders leave slates out.

mod feed;
mod limits;
mod sound;
mod supervise;

pub(crate) use supervise::supervise;

use crate::Env;
use crate::config::SlateConfig;
use engine::host::slate;
use engine::mark::Marks;
use engine::slate::{Config, Slate};
use hub::Entry;
use limits::{FPS, FRAMES, SIZES_MAX};
use media::StreamName;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The rank of a slate among the publishers of its stream: below those that relays fetch and those who publish here.
const RANK: u8 = 0;

/// Whether a packet is of a slate. Not to be asked of those of rungs, which are not recorded and not watched.
pub(crate) fn is_of_slate(entry: &Entry) -> bool {
    entry.rank == RANK
}

/// The slates of a node.
#[derive(Debug)]
pub(crate) struct Slates {
    /// What is to be seen, read when the server starts.
    marks: Marks,
    /// Those that were made, the one that was asked for last at the end.
    made: Mutex<Vec<Made>>,
}

#[derive(Debug, Clone)]
struct Made {
    size: (u32, u32),
    slate: Arc<Slate>,
}

impl Slates {
    /// The slates of a configuration that was found valid.
    pub(crate) fn new(config: &SlateConfig) -> Self {
        let marks =
            if config.streams.is_empty() { Marks::default() } else { config.load().unwrap_or_default() };
        Self { marks, made: Mutex::default() }
    }

    /// The slate of a size. One is made at a time: when a network fails, many streams want the same.
    ///
    /// # Errors
    ///
    /// Why there is none, for people.
    async fn of(&self, env: &Env, size: (u32, u32)) -> Result<Arc<Slate>, String> {
        let launch = env.transcoding.launch().ok_or("this program was built without the media engine")?;
        let mut made = self.made.lock().await;
        if let Some(index) = made.iter().position(|known| known.size == size) {
            let known = made.remove(index);
            made.push(known.clone());
            return Ok(known.slate);
        }
        let (width, height) = size;
        let config = Config { width, height, fps: FPS, frames: FRAMES, marks: self.marks.clone() };
        let slate = Arc::new(slate(launch, env.config.transcode.nice, &config).await?);
        if made.len() == SIZES_MAX {
            made.remove(0);
        }
        made.push(Made { size, slate: slate.clone() });
        Ok(slate)
    }
}

impl Env {
    /// Whether viewers of a stream see its slate now.
    pub(crate) fn shows_slate(&self, name: &StreamName) -> bool {
        self.origin.presence(name).rank == Some(RANK) && !self.transcoding.is_rung(name)
    }
}
