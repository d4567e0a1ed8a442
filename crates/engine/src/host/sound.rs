//! One track of sound, decoded and encoded anew by one process.

use super::process::{Heard, Worker, WorkerId};
use super::rung::{Deaths, REPORTS_BURST_MAX};
use super::{Launch, Output, Usage, lock};
use crate::ipc::{Coded, Order, Report};
use crate::limits::{
    END_MAX, OUTPUTS_QUEUED_MAX, PACKETS_AHEAD_MAX, REORDER_MAX, REPORTS_PER_ORDER_MAX, REPORTS_QUEUED_MAX,
    REPORTS_UNASKED_MAX, SOUND_FRAME_MIN, SOUND_QUEUED_MAX, SOUND_SILENCE_MAX,
};
use crate::sound::{Config, Source};
use bytes::Bytes;
use media::{Codec, Flags, Packet, Role, Time, TrackId};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::{debug, warn};

/// Where the coded packets of a track of sound go in. Dropping it ends the track: what is left comes out.
pub struct SoundInlet {
    packets: mpsc::Sender<Packet>,
}

/// What comes out of it. Dropping it ends the process.
pub struct SoundOutlet {
    outputs: mpsc::Receiver<Output>,
    usage: Arc<Mutex<Usage>>,
}

/// How often a hung process is looked for.
const LOOK: Duration = Duration::from_millis(250);

/// Begins to make sound of any codec that [`is_decodable`](crate::sound::is_decodable) into that of `config`. The process
/// is started at once, by the runtime of the calling task, so that the first packet does not wait for it.
///
/// Packets come out on the clock of the source, their first sample where a decoder gives it: the delay of the encoder is taken into
/// account, and the packet that only gets decoders going is left out. They begin at multiples of their length, so that
/// another process that takes over, or one for another rung, goes on with packets of the same times. Sound that has a hole of up to
/// two seconds is filled with silence; clocks that drift are followed by a stretch that is not heard. From a packet to what is made of it, it
/// takes the length of a frame of each codec and, for Opus, 6.5 ms.
pub fn start_sound(launch: Launch, nice: u8, config: Config) -> (SoundInlet, SoundOutlet) {
    let (packets, input) = mpsc::channel(SOUND_QUEUED_MAX);
    let (sender, outputs) = mpsc::channel(OUTPUTS_QUEUED_MAX);
    let usage = Arc::<Mutex<Usage>>::default();
    let (heard, reports) = mpsc::channel(REPORTS_QUEUED_MAX);
    let actor = Actor {
        launch,
        nice,
        config,
        outputs: sender,
        usage: usage.clone(),
        heard,
        worker: None,
        workers: 0,
        deaths: Deaths::default(),
        source: None,
        record: None,
        pushed: None,
        oldest: i64::MAX,
        newest: i64::MIN,
        last: i64::MIN,
        cpu_before: Duration::ZERO,
        ending_since: None,
    };
    tokio::spawn(actor.run(input, reports));
    (SoundInlet { packets }, SoundOutlet { outputs, usage })
}

impl SoundInlet {
    /// Takes the next packet: a configuration, or a frame. Others are left out. Waits while the worker is busy.
    pub async fn push(&mut self, packet: Packet) {
        // One that has ended takes everything and does nothing.
        let _ = self.packets.send(packet).await;
    }

    /// Takes the next packet if there is room for it. Without it there is a hole, which silence fills.
    pub fn try_push(&self, packet: Packet) -> bool {
        self.packets.try_send(packet).is_ok()
    }
}

impl SoundOutlet {
    /// What comes next: of audio track 0, a configuration before anything that needs it. `None` when there will be no more: the inlet is
    /// gone, or it cannot be done, which [`SoundOutlet::usage`] tells. Cancel safe.
    pub async fn next(&mut self) -> Option<Output> {
        self.outputs.recv().await
    }

    /// As [`SoundOutlet::next`].
    pub fn poll_next(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Output>> {
        self.outputs.poll_recv(cx)
    }

    /// How it does; of [`Usage`] it fills in `frames`, `cpu`, `restarts`, `error` and `pid`.
    pub fn usage(&self) -> Usage {
        lock(&self.usage).clone()
    }
}

/// The task of one track.
struct Actor {
    launch: Launch,
    nice: u8,
    config: Config,
    outputs: mpsc::Sender<Output>,
    usage: Arc<Mutex<Usage>>,
    heard: mpsc::Sender<(WorkerId, Heard)>,
    worker: Option<Working>,
    workers: u64,
    deaths: Deaths,
    /// What the sound is, for the next process.
    source: Option<(Codec, Bytes)>,
    /// What belongs to the next packet.
    record: Option<Vec<u8>>,
    /// The time of the newest packet that was pushed.
    pushed: Option<i64>,
    /// The times between which sound was pushed, and that of the newest packet that came out.
    oldest: i64,
    newest: i64,
    last: i64,
    /// Processor time of processes before this one.
    cpu_before: Duration,
    ending_since: Option<Instant>,
}

/// A process, and what it may do.
struct Working {
    worker: Worker,
    cpu: Duration,
    /// When it last said something, or was last told something while it had nothing to do.
    heard: Instant,
    unanswered: u32,
    reports_left: u32,
}

/// Nothing comes any more.
struct Over;

/// How many reports a packet of the time `pts` gives reason for, where the one before it was of the time `before`: those of any
/// order, and one for each frame of the time between, which is the length of long packets and the silence that fills a hole.
fn reports_of(before: Option<i64>, pts: i64) -> u32 {
    let most = u64::try_from(REORDER_MAX.as_nanos()).unwrap_or(u64::MAX);
    let passed = before.map_or(most, |before| pts.abs_diff(before).min(most));
    let frames = passed.div_ceil(u64::try_from(SOUND_FRAME_MIN.as_nanos()).unwrap_or(u64::MAX));
    REPORTS_PER_ORDER_MAX.saturating_add(u32::try_from(frames).unwrap_or(u32::MAX))
}

impl Actor {
    async fn run(
        mut self,
        mut input: mpsc::Receiver<Packet>,
        mut reports: mpsc::Receiver<(WorkerId, Heard)>,
    ) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if self.start().is_err() {
            return;
        }
        loop {
            // What it has not answered would else earn more reports than can be saved up for it.
            let has_room = self.worker.as_ref().is_some_and(|working| {
                working.worker.room() > 0 && (working.unanswered as usize) < PACKETS_AHEAD_MAX
            });
            let gone = self.outputs.clone();
            let ended = tokio::select! {
                biased;
                () = gone.closed() => return,
                // Before it is looked for what hangs: this task may be the one that had to wait.
                Some((id, heard)) = reports.recv() => self.hear(id, heard).await,
                _ = look.tick() => self.look(),
                packet = input.recv(), if has_room && self.ending_since.is_none() => match packet {
                    Some(packet) => self.take(packet),
                    None => self.end(),
                },
            };
            if ended.is_err() {
                return;
            }
        }
    }

    /// Starts a process, and tells it what there is to know.
    fn start(&mut self) -> Result<(), Over> {
        self.workers += 1;
        let id = WorkerId(self.workers);
        let start = || -> io::Result<Worker> {
            // It has no pictures to share.
            let nothing = OwnedFd::from(File::open("/dev/null")?);
            let first = Order::Sound(self.config);
            Worker::start(&self.launch, self.nice, &nothing, id, &first, self.heard.clone())
        };
        match start() {
            Ok(worker) => {
                debug!(codec = %self.config.codec, pid = worker.pid, "an encoder of sound begins");
                lock(&self.usage).pid = worker.pid;
                self.worker = Some(Working {
                    worker,
                    cpu: Duration::ZERO,
                    heard: Instant::now(),
                    unanswered: 0,
                    reports_left: REPORTS_UNASKED_MAX,
                });
            }
            Err(error) => {
                lock(&self.usage).error = Some(format!("an encoder of sound cannot be started: {error}"));
                return Err(Over);
            }
        }
        self.tell_source()
    }

    fn tell_source(&mut self) -> Result<(), Over> {
        let Some((codec, record)) = &self.source else { return Ok(()) };
        let Some(source) = Source::of(*codec) else {
            lock(&self.usage).error = Some(format!("there is no decoder for {codec:?}"));
            return Err(Over);
        };
        let order = Order::Source(source, record.to_vec());
        if let Some(working) = &self.worker {
            // One that does not listen is noticed by the next packet.
            working.worker.tell(&order);
        }
        Ok(())
    }

    /// The next packet of the source.
    fn take(&mut self, packet: Packet) -> Result<(), Over> {
        let is_of = |source: &(Codec, Bytes)| source.0 == packet.codec;
        match packet.role {
            Role::Config => {
                let source = (packet.codec, packet.payload);
                if self.source.as_ref() != Some(&source) {
                    self.source = Some(source);
                    return self.tell_source();
                }
            }
            Role::Frame => {
                if !self.source.as_ref().is_some_and(is_of) {
                    // Without its configuration AAC says nothing; others need none.
                    if packet.codec == Codec::Aac {
                        return Ok(());
                    }
                    self.source = Some((packet.codec, Bytes::new()));
                    self.tell_source()?;
                }
                let Some(working) = &mut self.worker else { return Ok(()) };
                if working.unanswered == 0 {
                    working.heard = Instant::now();
                }
                working.unanswered = working.unanswered.saturating_add(1);
                let nanos = packet.pts.nanos();
                let reports = reports_of(self.pushed.replace(nanos), nanos);
                working.reports_left = working.reports_left.saturating_add(reports).min(REPORTS_BURST_MAX);
                (self.oldest, self.newest) = (self.oldest.min(nanos), self.newest.max(nanos));
                let told = working.worker.tell(&Order::Packet(Coded {
                    pts: nanos,
                    dts: nanos,
                    keyframe: false,
                    disposable: false,
                    payload: packet.payload.to_vec(),
                }));
                if !told {
                    return self.lose("it does not listen");
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Over> {
        self.ending_since = Some(Instant::now());
        match &self.worker {
            Some(working) if working.worker.tell(&Order::End) => Ok(()),
            _ => Err(Over),
        }
    }

    async fn hear(&mut self, id: WorkerId, heard: Heard) -> Result<(), Over> {
        // One that was dropped may still be heard.
        let Some(working) = self.worker.as_mut().filter(|working| working.worker.id == id) else {
            return Ok(());
        };
        match heard {
            Heard::Used(cpu) => {
                working.cpu = cpu;
                lock(&self.usage).cpu = self.cpu_before.saturating_add(cpu);
                Ok(())
            }
            Heard::Gone(why) => self.lose(&why),
            Heard::Report(report) => {
                working.heard = Instant::now();
                if working.reports_left == 0 {
                    return self.lose("it says more than it is asked");
                }
                working.reports_left -= 1;
                let heard = self.hear_report(report).await;
                if let Some(working) = &mut self.worker {
                    // While the reader was waited for nobody listened.
                    working.heard = Instant::now();
                }
                heard
            }
        }
    }

    async fn hear_report(&mut self, report: Report) -> Result<(), Over> {
        match report {
            Report::Taken => {
                if let Some(working) = &mut self.worker {
                    working.unanswered = working.unanswered.saturating_sub(1);
                }
                Ok(())
            }
            Report::Configured(record) => {
                self.record = Some(record);
                Ok(())
            }
            Report::Packet(coded) => self.give(coded).await,
            Report::Failed(why) => {
                debug!(why, "sound");
                lock(&self.usage).error = Some(why);
                Ok(())
            }
            Report::Done => Err(Over),
            _ => self.lose("it says what only others say"),
        }
    }

    /// Passes a packet on.
    async fn give(&mut self, coded: Coded) -> Result<(), Over> {
        // What an encoder holds back, and silence that fills a hole, may be a little off what was pushed.
        let spare = i64::try_from(REORDER_MAX.as_nanos()).unwrap_or(i64::MAX);
        let is_near =
            coded.pts >= self.oldest.saturating_sub(spare) && coded.pts <= self.newest.saturating_add(spare);
        if coded.payload.is_empty() || !is_near {
            return self.lose("it gives a packet that cannot be");
        }
        // One that takes over from another may begin a little before where that one was.
        if coded.pts <= self.last {
            return Ok(());
        }
        self.last = coded.pts;
        lock(&self.usage).frames += 1;
        let time = Time::from_nanos(coded.pts);
        let packet = |role, payload: Vec<u8>| Packet {
            track: TrackId::AUDIO,
            codec: self.config.codec.of_packets(),
            role,
            flags: Flags::default(),
            dts: time,
            pts: time,
            payload: Bytes::from(payload),
        };
        let record = self.record.take().map(|record| packet(Role::Config, record));
        let frame = packet(Role::Frame, coded.payload);
        for packet in record.into_iter().chain([frame]) {
            self.outputs.send(Output::Packet(packet)).await.map_err(|_| Over)?;
        }
        Ok(())
    }

    /// The process is gone, or is to go. Another goes on, unless that happens too often.
    fn lose(&mut self, why: &str) -> Result<(), Over> {
        let Some(lost) = self.worker.take() else { return Ok(()) };
        self.cpu_before = self.cpu_before.saturating_add(lost.cpu);
        let is_over = self.deaths.add(Instant::now()) || self.ending_since.is_some();
        {
            let mut usage = lock(&self.usage);
            (usage.error, usage.pid) = (Some(why.to_owned()), None);
            usage.restarts += u64::from(!is_over);
        }
        if is_over {
            return Err(Over);
        }
        warn!(why, "an encoder of sound was lost, another begins");
        let _ = self.outputs.try_send(Output::Replaced { why: why.to_owned() });
        self.start()
    }

    /// Ends what hangs.
    fn look(&mut self) -> Result<(), Over> {
        let now = Instant::now();
        if self.ending_since.is_some_and(|since| now.saturating_duration_since(since) > END_MAX) {
            lock(&self.usage).error = Some("it does not end".to_owned());
            return Err(Over);
        }
        let hangs = self.worker.as_mut().is_some_and(|working| {
            let silence = now.saturating_duration_since(working.heard);
            let waits = working.worker.waits_for_processor(silence);
            working.unanswered > 0 && silence > SOUND_SILENCE_MAX && !waits
        });
        if hangs { self.lose("it hangs") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_gives_reason_for_what_is_made_of_its_time() {
        const MILLIS: i64 = 1_000_000;
        let of = |before: i64, pts: i64| reports_of(Some(before * MILLIS), pts * MILLIS);
        assert_eq!(of(0, 20), REPORTS_PER_ORDER_MAX + 1);
        assert_eq!(of(1000, 1400), REPORTS_PER_ORDER_MAX + 20, "silence comes as 20 frames");
        assert_eq!(of(1400, 1000), of(1000, 1400), "times that jump back are another beginning");
        assert_eq!(of(0, 3_600_000), of(0, 5000), "nothing fills more");
        let most = reports_of(None, 0);
        assert_eq!(reports_of(Some(i64::MIN), i64::MAX), most);
        assert!(most * PACKETS_AHEAD_MAX as u32 <= REPORTS_BURST_MAX, "so much may be under way");
    }
}
