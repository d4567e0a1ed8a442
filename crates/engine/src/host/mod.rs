//! The side of the server: worker processes, what goes in, and what comes out.

mod actor;
mod devices;
mod memory;
mod probe;
mod process;
mod rung;
mod slate;
mod slots;
mod sound;
mod still;
mod watch;

use crate::decode;
use crate::encode::{Backend, Config};
use crate::limits::{OUTPUTS_QUEUED_MAX, PACKETS_QUEUED_MAX, REQUESTS_QUEUED_MAX};
use actor::{Actor, Request};
pub use devices::Devices;
use media::Packet;
pub use probe::{
    Probed, ProbedDecoder, Speed, decoders_here, devices_here, probe, probe_decoders, probe_devices, ranked,
};
pub use slate::slate;
pub use sound::{SoundInlet, SoundOutlet, start_sound};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
pub use still::{Keyframe, NoStill, preview, still};
use tokio::sync::mpsc;
pub use watch::{Sight, Watcher};

/// How a worker process is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// What makes it a worker.
    pub arguments: Vec<OsString>,
}

/// What a transcoder is made with.
#[derive(Debug, Clone)]
pub struct Options {
    /// How workers are started.
    pub launch: Launch,
    /// Who encodes where a configuration leaves it open, best first. One that fails is passed over.
    pub backends: Vec<Backend>,
    /// What is known of the devices of this machine. Those that were found by a probe come before `backends`.
    pub devices: Devices,
    /// Who decodes once it has shown that it can, best first; until then, after [`decode::Backend::Software`], and where all fail, it is the
    /// processor. Those that were found by a probe come before them.
    pub decoders: Vec<decode::Backend>,
    /// Threads of the decoder; 0 is two, each of which but one holds back a picture.
    pub decoder_threads: u8,
    /// How much the workers give way to others, 0 to 19.
    pub nice: u8,
    /// Pictures are left out rather than to be late. Otherwise what comes in waits for the slowest encoder.
    pub is_live: bool,
}

/// One decoded source and the encoders that read it. Its processes run while it has encoders.
#[derive(Clone)]
pub struct Transcoder {
    requests: mpsc::Sender<Request>,
    decoder: Arc<Mutex<Usage>>,
}

/// Where the coded packets of a source go in.
pub struct Inlet {
    packets: mpsc::Sender<(u64, Packet)>,
    state: Arc<Mutex<InletState>>,
    /// The interruption that this side knows of.
    seen: u64,
}

#[derive(Debug, Default)]
struct InletState {
    interruptions: u64,
}

/// Another decoder begins: the source is to be joined anew, with its configuration and from its newest
/// keyframe. Encoders do not get again what they had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another decoder begins")
    }
}

impl std::error::Error for Interrupted {}

/// What comes out of one encoder. Dropping it ends the encoder.
pub struct Outlet {
    outputs: mpsc::Receiver<Output>,
    requests: mpsc::Sender<Request>,
    id: u64,
    usage: Arc<Mutex<Usage>>,
}

/// What an encoder gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A configuration, before anything that needs it, or a frame. Of video track 0, on the clock of the source.
    Packet(Packet),
    /// The encoder was lost, and another goes on with a keyframe.
    Replaced {
        /// What was wrong.
        why: String,
    },
}

/// How an encoder does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usage {
    /// Who encodes.
    pub backend: Option<Backend>,
    /// Who decodes.
    pub decoder: Option<decode::Backend>,
    /// Who decodes from the next keyframe of the source on.
    pub next_decoder: Option<decode::Backend>,
    /// Pictures that it was given.
    pub pictures: u64,
    /// Frames that came out.
    pub frames: u64,
    /// Pictures that were left out because it is too slow.
    pub dropped: u64,
    /// Processor time of its processes so far.
    pub cpu: Duration,
    /// How often it was lost and replaced.
    pub restarts: u64,
    /// What was wrong last.
    pub error: Option<String>,
    /// What VMAF would say of its pictures, about, if they are looked at.
    pub vmaf: Option<f32>,
    /// The constant quality that it has come to, if they are looked at.
    pub quality: Option<f32>,
    /// The process.
    pub pid: Option<u32>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transcoder {
    /// A transcoder whose work is done by the runtime of the calling task.
    pub fn start(options: Options) -> (Self, Inlet) {
        let (requests, orders) = mpsc::channel(REQUESTS_QUEUED_MAX);
        let (packets, input) = mpsc::channel(PACKETS_QUEUED_MAX);
        let state = Arc::<Mutex<InletState>>::default();
        let decoder = Arc::<Mutex<Usage>>::default();
        let actor = Actor::new(options, orders, input, state.clone(), decoder.clone());
        tokio::spawn(actor.run());
        (Self { requests, decoder }, Inlet { packets, state, seen: 0 })
    }

    /// One more encoder. It begins with the newest keyframe of the source, which is joined anew for that if it is live.
    pub fn add(&self, config: Config) -> Outlet {
        static IDS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let id = IDS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (sender, outputs) = mpsc::channel(OUTPUTS_QUEUED_MAX);
        let usage = Arc::<Mutex<Usage>>::default();
        let request = Request::Add { id, config, outputs: sender, usage: usage.clone() };
        // What is not taken drops the sender, which ends the outlet.
        if self.requests.try_send(request).is_err() {
            lock(&usage).error =
                Some("the transcoder has ended, or is asked for too much at once".to_owned());
        }
        Outlet { outputs, requests: self.requests.clone(), id, usage }
    }

    /// Says when time zero of the source was, in nanoseconds of Unix time: it is what clocks in pictures follow.
    pub fn set_clock(&self, zero: i64) {
        let _ = self.requests.try_send(Request::Clock { zero });
    }

    /// How the decoder does; of [`Usage`] it fills in `decoder`, `next_decoder`, `pictures`, `cpu`, `restarts`, `error` and `pid`.
    pub fn decoder(&self) -> Usage {
        lock(&self.decoder).clone()
    }
}

impl Inlet {
    /// Takes the next packet of one video track: a configuration, or a frame in decoding order. Waits while the decoder is
    /// busy, and for the first encoder.
    ///
    /// # Errors
    ///
    /// [`Interrupted`], once for each time the decoder was lost, and for each encoder that comes later than the first.
    /// The packet is not used.
    pub async fn push(&mut self, packet: Packet) -> Result<(), Interrupted> {
        self.heed()?;
        // A transcoder that has ended takes everything and does nothing.
        let _ = self.packets.send((self.seen, packet)).await;
        self.heed()
    }

    fn heed(&mut self) -> Result<(), Interrupted> {
        let interruptions = lock(&self.state).interruptions;
        if std::mem::replace(&mut self.seen, interruptions) == interruptions {
            Ok(())
        } else {
            Err(Interrupted)
        }
    }
}

impl Outlet {
    /// What comes next; `None` when there will be no more: the source has ended, or no back end can do it, which
    /// [`Outlet::usage`] tells. Cancel safe.
    pub async fn next(&mut self) -> Option<Output> {
        self.outputs.recv().await
    }

    /// Another bit rate from the next picture on.
    pub fn set_bitrate(&self, bps: u32) {
        let _ = self.requests.try_send(Request::Bitrate { id: self.id, bps });
    }

    /// At most so many frames per second from the next picture on; `None` takes all.
    pub fn set_fps_max(&self, fps_max: Option<f64>) {
        let _ = self.requests.try_send(Request::FrameRate { id: self.id, fps_max });
    }

    /// Makes the next picture a keyframe.
    pub fn force_keyframe(&self) {
        let _ = self.requests.try_send(Request::Keyframe { id: self.id });
    }

    /// How it does.
    pub fn usage(&self) -> Usage {
        lock(&self.usage).clone()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // If there is no room, the closed channel is noticed a little later.
        let _ = self.requests.try_send(Request::Remove { id: self.id });
    }
}
