//! A process that looks at a stream, for what is wrong with it.

use super::Launch;
use super::process::{Heard, Worker, WorkerId};
use crate::ipc::{Coded, Order, Report, code_of};
use crate::limits::{
    ORDERS_QUEUED_MAX, PACKETS_AHEAD_MAX, REPORTS_PER_ORDER_MAX, REPORTS_QUEUED_MAX, REPORTS_UNASKED_MAX,
    SILENCE_FIRST_MAX,
};
use crate::sound::Source;
use media::{Codec, Packet, Role, Time, TrackId};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;
use tokio::sync::mpsc;

/// Looks at the keyframes of a stream and listens to its first sound. Dropping it ends the process.
pub struct Watcher {
    worker: Worker,
    reports: mpsc::Receiver<(WorkerId, Heard)>,
    /// The codec of the sound, as the process was told it.
    sound: Option<Codec>,
    has_pictures: bool,
    unanswered: u32,
    reports_left: u32,
    /// When it last said something, or was told something while it had nothing to do.
    heard: Instant,
}

/// What was seen or heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sight {
    /// A keyframe.
    Picture {
        /// When it is shown.
        at: Time,
        /// The part of it that is black, 0.0 to 1.0.
        black: f32,
        /// The part of it that differs from the keyframe before; `None` for the first, and where the size has changed.
        changed: Option<f32>,
    },
    /// About half a second of sound.
    Sound {
        /// Its end.
        at: Time,
        /// Its loudest sample, in dB of full scale; -120 is none.
        peak_db: i8,
    },
}

impl Watcher {
    /// Starts the process, by the runtime of the calling task.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(launch: &Launch, nice: u8) -> io::Result<Self> {
        let (heard, reports) = mpsc::channel(REPORTS_QUEUED_MAX);
        // It has no pictures to share.
        let nothing = OwnedFd::from(File::open("/dev/null")?);
        let worker = Worker::start(launch, nice, &nothing, WorkerId(0), &Order::Watch, heard)?;
        Ok(Self {
            worker,
            reports,
            sound: None,
            has_pictures: false,
            unanswered: 0,
            reports_left: REPORTS_UNASKED_MAX,
            heard: Instant::now(),
        })
    }

    /// Gives it a packet of the stream, of which it takes configurations, keyframes of the first track of pictures, and frames of the
    /// first track of sound. While it is busy it takes nothing.
    pub fn give(&mut self, packet: &Packet) {
        let record = || packet.payload.to_vec();
        let coded = || {
            let time = packet.pts.nanos();
            let keyframe = packet.flags.keyframe;
            Coded { pts: time, dts: time, keyframe, disposable: false, payload: packet.payload.to_vec() }
        };
        match (packet.track, packet.role) {
            (TrackId::VIDEO, Role::Config) => {
                self.has_pictures = code_of(packet.codec).is_some();
                if let Some(code) = code_of(packet.codec) {
                    self.worker.tell(&Order::Pictures(code, record()));
                }
            }
            (TrackId::VIDEO, Role::Frame) if packet.flags.keyframe => {
                if !self.has_pictures
                    && let Some(code) = code_of(packet.codec)
                {
                    self.has_pictures = true;
                    self.worker.tell(&Order::Pictures(code, Vec::new()));
                }
                if self.has_pictures {
                    self.order(|| Order::Look(coded()));
                }
            }
            (TrackId::AUDIO, Role::Config) => self.tell_sound(packet.codec, record()),
            (TrackId::AUDIO, Role::Frame) => {
                // Without its configuration AAC says nothing; others need none.
                if self.sound != Some(packet.codec) && packet.codec != Codec::Aac {
                    self.tell_sound(packet.codec, Vec::new());
                }
                if self.sound == Some(packet.codec) && Source::of(packet.codec).is_some() {
                    self.order(|| Order::Packet(coded()));
                }
            }
            _ => {}
        }
    }

    fn tell_sound(&mut self, codec: Codec, record: Vec<u8>) {
        self.sound = Some(codec);
        if let Some(source) = Source::of(codec) {
            self.worker.tell(&Order::Source(source, record));
        }
    }

    fn order(&mut self, order: impl FnOnce() -> Order) {
        if self.worker.room() + PACKETS_AHEAD_MAX <= ORDERS_QUEUED_MAX {
            return;
        }
        if self.unanswered == 0 {
            self.heard = Instant::now();
        }
        if self.worker.tell(&order()) {
            self.unanswered = self.unanswered.saturating_add(1);
            self.reports_left = self.reports_left.saturating_add(REPORTS_PER_ORDER_MAX);
        }
    }

    /// What it sees or hears next. Cancel safe.
    ///
    /// # Errors
    ///
    /// The process is gone, hangs, or talks nonsense; it is of no more use.
    pub async fn next(&mut self) -> Result<Sight, String> {
        loop {
            let hung = (self.unanswered > 0).then(|| self.heard + SILENCE_FIRST_MAX);
            let heard = tokio::select! {
                heard = self.reports.recv() => heard,
                () = until(hung) => return Err("it hangs".to_owned()),
            };
            let report = match heard {
                Some((_, Heard::Report(report))) => report,
                Some((_, Heard::Used(_))) => continue,
                Some((_, Heard::Gone(why))) => return Err(why),
                None => return Err("its process ended".to_owned()),
            };
            self.heard = Instant::now();
            if self.reports_left == 0 {
                return Err("it says more than it is asked".to_owned());
            }
            self.reports_left -= 1;
            let part = |thousandths: u16| f32::from(thousandths.min(1000)) / 1000.0;
            match report {
                Report::Taken => self.unanswered = self.unanswered.saturating_sub(1),
                Report::Seen { pts, black, changed } => {
                    let at = Time::from_nanos(pts);
                    return Ok(Sight::Picture { at, black: part(black), changed: changed.map(part) });
                }
                Report::Heard { pts, peak_db } => {
                    return Ok(Sight::Sound { at: Time::from_nanos(pts), peak_db: peak_db.min(0) });
                }
                Report::Failed(_) => {}
                _ => return Err("it says what only others say".to_owned()),
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
