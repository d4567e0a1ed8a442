//! One rung: from its encoder, and from the sound of its stream, into the hub.

use super::interleave::Interleave;
use super::limits::{DESCRIBED, DROPPED_PART, MEASURE, RATE_STEP, SOUND_FIRST};
use super::metadata::adapted;
use super::sound::Sound;
use super::{RANK, describe};
use crate::Env;
use engine::encode::Config;
use engine::host::{Outlet, Output, Usage};
use engine::ladder::{Template, fit};
use hub::{BatchLimits, Entry, Feedback, Next, Publisher, ReadOptions, Reader, WriteError};
use media::{Packet, Role, StreamName, Time, TrackId};
use std::future::{pending, poll_fn};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval_at, sleep_until};
use tracing::{info, warn};

/// One pick: sound is small.
const BATCH: BatchLimits = BatchLimits { packets_max: 128, bytes_max: 1 << 20 };

/// What a rung is to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    /// Whether somebody watches it.
    pub(super) watched: bool,
    /// What its encoder is to make.
    pub(super) config: Config,
    /// Why it is to end, if it is.
    pub(super) stop: Option<String>,
}

/// Why a rung has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Its stream is over.
    Over,
    /// Nobody watched it for a while.
    Unwatched,
    /// Somebody publishes this name.
    TakenOver,
    /// It was told to.
    Stopped(String),
    /// There is no way to make it.
    Failed(String),
}

pub(super) struct Rung {
    pub(super) env: Arc<Env>,
    pub(super) base: StreamName,
    pub(super) name: StreamName,
    pub(super) template: Template,
    pub(super) config: Config,
    pub(super) outlet: Outlet,
    pub(super) sound: Sound,
    /// Makes another outlet, for pictures of another size.
    pub(super) transcoder: engine::host::Transcoder,
    pub(super) orders: watch::Receiver<Order>,
    pub(super) asked: Instant,
}

/// What there is once pictures come.
struct Feed {
    publisher: Publisher,
    /// Of all but pictures.
    beside: Option<Reader>,
    interleave: Interleave,
    held: Option<Held>,
}

/// The first pictures, which wait until there is sound to go with them.
struct Held {
    pictures: Vec<Packet>,
    until: Instant,
}

impl Feed {
    /// Passes a packet of pictures on, or holds it.
    fn write(&mut self, packet: Packet, sound: &mut Sound, now: Instant) -> Result<(), WriteError> {
        match &mut self.held {
            Some(held) => {
                held.pictures.push(packet);
                Ok(())
            }
            None => self.pass(packet, sound, now),
        }
    }

    /// Passes a packet of pictures on, behind the silence that is to be heard until then.
    fn pass(&mut self, packet: Packet, sound: &mut Sound, now: Instant) -> Result<(), WriteError> {
        let is_picture = packet.role == Role::Frame;
        while is_picture && let Some(silence) = sound.fill(packet.dts) {
            if let Err(WriteError::TakenOver) = self.publisher.write(silence, now) {
                return Err(WriteError::TakenOver);
            }
        }
        self.publisher.write(packet, now)
    }

    /// Passes on what was held.
    fn release(&mut self, sound: &mut Sound, now: Instant) -> Result<(), WriteError> {
        sound.despair();
        let held = self.held.take().map_or_else(Vec::new, |held| held.pictures);
        write_all(held, |packet| self.pass(packet, sound, now))
    }
}

/// Writes what can be written, until somebody takes over: after another error the rest is as good as before.
fn write_all(
    packets: Vec<Packet>,
    mut write: impl FnMut(Packet) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let is_over = |packet| matches!(write(packet), Err(WriteError::TakenOver));
    if packets.into_iter().any(is_over) { Err(WriteError::TakenOver) } else { Ok(()) }
}

impl Rung {
    /// Makes the rung until it ends.
    pub(super) async fn run(mut self) -> End {
        let mut feed = None;
        let end = self.work(&mut feed).await;
        if let Some(mut feed) = feed
            && end != End::TakenOver
        {
            let _ = feed.release(&mut self.sound, Instant::now());
            let Feed { mut publisher, mut interleave, .. } = feed;
            // What waits of the sound goes with the last pictures. What its encoder still has, a frame or two, does not.
            let late = Instant::now() + 2 * super::limits::SOUND_HELD;
            while let Some(packet) = interleave.pop(late) {
                if publisher.write(packet, Instant::now()).is_err() {
                    break;
                }
            }
            publisher.finish();
        }
        end
    }

    async fn work(&mut self, feed: &mut Option<Feed>) -> End {
        let mut kept = Vec::new();
        let mut batch = Vec::new();
        let began = tokio::time::Instant::now();
        let mut measure = interval_at(began + MEASURE, MEASURE);
        measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut measured = Measured { usage: Usage::default(), at: Instant::now() };
        let mut idle_since = None;
        loop {
            let order = self.orders.borrow_and_update().clone();
            if let Some(why) = order.stop {
                return End::Stopped(why);
            }
            if !is_alike(&order.config, &self.config) {
                // The stream has changed: the encoder of what was before ends.
                self.outlet = self.transcoder.add(order.config.clone());
                self.config = order.config;
                measured = Measured { usage: Usage::default(), at: Instant::now() };
            }
            idle_since = if order.watched { None } else { idle_since.or(Some(Instant::now())) };
            let wakes = [
                idle_since.map(|since| since + self.env.config.transcode.idle_stop()),
                feed.as_ref().and_then(|feed| match &feed.held {
                    Some(held) => Some(held.until),
                    None => feed.interleave.due_at(),
                }),
                feed.as_ref().and_then(|feed| feed.publisher.flush_at()),
                feed.is_none().then(|| self.asked + DESCRIBED),
            ];
            let wake_at = wakes.into_iter().flatten().min();
            tokio::select! {
                biased;
                changed = self.orders.changed() => if changed.is_err() { return End::Over },
                output = self.outlet.next() => match output {
                    None => return self.without_outlet(),
                    Some(Output::Replaced { why }) => {
                        warn!(stream = %self.name, why, "the encoder of a rung has failed and was replaced");
                    }
                    Some(Output::Packet(packet)) => {
                        if let ControlFlow::Break(end) = self.take(packet, feed, &mut kept) {
                            return end;
                        }
                    }
                },
                beside = poll_fn(|cx| poll_beside(feed.as_mut(), &mut self.sound, &mut batch, cx)) => {
                    match (beside, feed.as_mut()) {
                        (Beside::Told(Feedback::TakenOver), _) => return End::TakenOver,
                        (Beside::Read(next), Some(feed)) => self.take_beside(next, &mut batch, feed),
                        (Beside::Encoded(packet), Some(feed)) => {
                            if let Err(WriteError::TakenOver) = take_encoded(packet, &mut self.sound, feed) {
                                return End::TakenOver;
                            }
                        }
                        _ => {}
                    }
                },
                _ = measure.tick() => self.measure(&mut measured),
                () = wake(wake_at) => {}
            }
            let now = Instant::now();
            if feed.is_none() && now >= self.asked + DESCRIBED {
                let why = self.outlet.usage().error.unwrap_or_else(|| "no picture came of it".to_owned());
                return End::Failed(why);
            }
            if idle_since.is_some_and(|since| now >= since + self.env.config.transcode.idle_stop()) {
                return End::Unwatched;
            }
            if let Some(feed) = feed {
                let is_over = |held: &Held| held.until <= now || !self.sound.is_awaited();
                if feed.held.as_ref().is_some_and(is_over)
                    && let Err(WriteError::TakenOver) = feed.release(&mut self.sound, now)
                {
                    return End::TakenOver;
                }
                let Feed { publisher, interleave, held: None, .. } = feed else { continue };
                while let Some(packet) = interleave.pop(now) {
                    if let Err(WriteError::TakenOver) = publisher.write(packet, now) {
                        return End::TakenOver;
                    }
                }
                if publisher.flush_at().is_some_and(|at| at <= now) {
                    publisher.flush();
                }
            }
        }
    }

    /// Nothing more comes from the encoder: the stream has ended, or there is no encoder that can do it.
    fn without_outlet(&self) -> End {
        match self.outlet.usage().error {
            Some(why) if self.env.origin.presence(&self.base).rank.is_some() => End::Failed(why),
            _ => End::Over,
        }
    }

    /// Takes a packet of the encoder. `kept` is what comes before the first frame.
    fn take(&mut self, packet: Packet, begun: &mut Option<Feed>, kept: &mut Vec<Packet>) -> ControlFlow<End> {
        let now = Instant::now();
        let packet = Packet { track: TrackId::VIDEO, ..packet };
        if packet.role == Role::Config
            && let Some(said) = media::codec::summary(packet.codec, &packet.payload)
            && let (Some(width), Some(height)) = (said.width, said.height)
        {
            self.env.transcoding.table().note_size(&self.base, &self.config, (width, height));
        }
        let Some(feed) = begun else {
            if packet.role != Role::Frame {
                kept.push(packet);
                return ControlFlow::Continue(());
            }
            return match self.begin(packet, kept, now) {
                Ok(feed) => {
                    *begun = Some(feed);
                    ControlFlow::Continue(())
                }
                Err(end) => ControlFlow::Break(end),
            };
        };
        if packet.role == Role::Frame {
            feed.interleave.note_pictures(packet.dts);
        }
        match feed.write(packet, &mut self.sound, now) {
            Err(WriteError::TakenOver) => ControlFlow::Break(End::TakenOver),
            // After another error the rest of the rung is as good as before.
            _ => ControlFlow::Continue(()),
        }
    }

    /// Begins to publish, with the first picture. What decoders must know of the sound comes before it.
    fn begin(&mut self, first: Packet, kept: &mut Vec<Packet>, now: Instant) -> Result<Feed, End> {
        let publisher = self.env.origin.publish_ranked(&self.name, RANK, now);
        let publisher = match publisher {
            Ok(publisher) if publisher.is_standby() => return Err(End::TakenOver),
            Ok(publisher) => publisher,
            Err(error) => return Err(End::Failed(error.to_string())),
        };
        let mut interleave = Interleave::default();
        interleave.note_pictures(first.dts);
        let beside = self.open_beside(now);
        let mut feed = Feed { publisher, beside, interleave, held: None };
        if let Some(reader) = &mut feed.beside {
            let batch = join_at(reader, first.dts, now);
            let mut has_frame = false;
            for entry in batch {
                has_frame |= entry.packet.role == Role::Frame;
                for packet in self.of_rung(&entry, first.dts, now) {
                    // A failure is missing for decoders, and not for the hub.
                    match has_frame {
                        false => drop(feed.publisher.write(packet, now)),
                        true => feed.interleave.push(packet, now),
                    }
                }
            }
        }
        if self.sound.is_awaited() {
            feed.held = Some(Held { pictures: Vec::new(), until: now + SOUND_FIRST });
        }
        for packet in kept.drain(..) {
            let _ = feed.write(Packet { dts: first.dts, pts: first.dts, ..packet }, &mut self.sound, now);
        }
        let _ = feed.write(first, &mut self.sound, now);
        let config = self.env.transcoding.upright(&self.base, self.config.clone());
        info!(
            stream = %self.name,
            size = format_args!("{}x{}", config.width, config.height),
            after_ms = now.saturating_duration_since(self.asked).as_millis(),
            "a rung begins"
        );
        if let Some(running) = self.env.transcoding.table().running.get_mut(&self.name) {
            running.report.is_live = true;
        }
        Ok(feed)
    }

    /// A reader of everything but pictures.
    fn open_beside(&self, now: Instant) -> Option<Reader> {
        let options = ReadOptions {
            video: false,
            pace: None,
            passive: true,
            wait_max: Duration::ZERO,
            ..ReadOptions::default()
        };
        let opened = self.env.origin.read(&self.base, options, now);
        opened.inspect_err(|error| warn!(stream = %self.name, %error, "a rung has no sound")).ok()
    }

    fn take_beside(&mut self, next: Next, batch: &mut Vec<Arc<Entry>>, feed: &mut Feed) {
        let now = Instant::now();
        for entry in batch.drain(..) {
            self.of_rung(&entry, entry.packet.dts, now).for_each(|packet| feed.interleave.push(packet, now));
        }
        if let Next::Ended(_) = next {
            feed.beside = None;
        }
    }

    /// A packet of the stream as one of the rung, behind what decoders must know of it; nothing if it is encoded first.
    fn of_rung(&mut self, entry: &Entry, dts: Time, now: Instant) -> impl Iterator<Item = Packet> {
        let taken = self.sound.take(entry.packet.clone(), now);
        taken.map(move |packet| {
            let packet = match packet.is_on_meta_data() {
                true => {
                    let config = self.env.transcoding.upright(&self.base, self.config.clone());
                    adapted(packet, &config, self.sound.config().as_ref())
                }
                false => packet,
            };
            match packet.role {
                Role::Frame => packet,
                _ => Packet { dts, pts: dts, ..packet },
            }
        })
    }

    /// Notes what the rung takes, and what rate suits it by now.
    fn measure(&mut self, before: &mut Measured) {
        let now = Instant::now();
        let mut usage = self.outlet.usage();
        let of_sound = self.sound.usage();
        usage.cpu += of_sound.cpu;
        usage.restarts += of_sound.restarts;
        usage.error = usage.error.or(of_sound.error);
        usage.decoder = self.transcoder.decoder().decoder;
        let passed = now.saturating_duration_since(before.at).as_secs_f64();
        let viewers = self.env.origin.presence(&self.name).viewers;
        let mut table = self.env.transcoding.table();
        if let Some(running) = table.running.get_mut(&self.name)
            && passed > 0.0
        {
            let report = &mut running.report;
            let worked = usage.cpu.saturating_sub(before.usage.cpu);
            let made = usage.frames.saturating_sub(before.usage.frames);
            let taken = usage.pictures.saturating_sub(before.usage.pictures);
            let dropped = usage.dropped.saturating_sub(before.usage.dropped);
            report.fps = made as f64 / passed;
            report.cores = cores_of(made, worked, passed).unwrap_or(report.cores);
            let is_late = dropped as f64 > DROPPED_PART * (taken.max(1) as f64);
            let metrics = self.env.metrics.transcode();
            metrics.frames.inc_by(made);
            metrics.dropped_frames.inc_by(dropped);
            metrics.restarts.inc_by(usage.restarts.saturating_sub(before.usage.restarts));
            report.usage = usage.clone();
            report.sound = self.sound.config();
            running.is_late = is_late;
            table.weigh(&self.name, viewers);
        }
        drop(table);
        *before = Measured { usage, at: now };
        let source = self.env.origin.stream(&self.base).and_then(|status| describe(&status).ok());
        let Some(fitting) = source.and_then(|source| fit(&self.template, &source)) else { return };
        let (old, new) = (f64::from(self.config.bitrate_bps), f64::from(fitting.bitrate_bps));
        if new > old * RATE_STEP || new * RATE_STEP < old {
            self.outlet.set_bitrate(fitting.bitrate_bps);
            self.config.bitrate_bps = fitting.bitrate_bps;
            if let Some(running) = self.env.transcoding.table().running.get_mut(&self.name) {
                running.report.config.bitrate_bps = fitting.bitrate_bps;
            }
        }
    }
}

/// Whether an encoder of one can go on as that of the other: the rate changes while it runs.
pub(super) fn is_alike(a: &Config, b: &Config) -> bool {
    Config { bitrate_bps: b.bitrate_bps, ..a.clone() } == *b
}

/// A measurement, to which the next one is compared.
struct Measured {
    usage: Usage,
    at: Instant,
}

/// The cores that an encoder took, if that was measured: `worked` comes from its process, at times of its own, and until then the
/// estimate stands.
fn cores_of(made: u64, worked: Duration, passed: f64) -> Option<f64> {
    (made > 0 && !worked.is_zero() && passed > 0.0).then(|| worked.as_secs_f64() / passed)
}

/// What there is from `dts` on, or from where the log begins.
fn join_at(reader: &mut Reader, dts: Time, now: Instant) -> Vec<Arc<Entry>> {
    let mut batch = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    let mut read = |reader: &mut Reader| {
        batch.clear();
        while let Poll::Ready(Next::Packets) = reader.poll_next(now, &mut batch, BATCH, &mut cx) {}
        std::mem::take(&mut batch)
    };
    // It can go back once it has begun, which without pictures is at the newest sound.
    let newest = read(reader);
    let place = reader.reach(now).map(|(first, last)| dts.clamp(first, last));
    match place.is_some_and(|place| reader.seek(place, now).is_ok()) {
        true => read(reader),
        false => newest,
    }
}

async fn wake(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => pending().await,
    }
}

/// What comes beside pictures.
enum Beside {
    Read(Next),
    /// Sound, encoded.
    Encoded(Packet),
    /// By those who read the rung.
    Told(Feedback),
}

/// Takes a packet of sound that was encoded.
fn take_encoded(packet: Packet, sound: &mut Sound, feed: &mut Feed) -> Result<(), WriteError> {
    let now = Instant::now();
    if feed.held.is_none() {
        feed.interleave.push(packet, now);
        return Ok(());
    }
    // The first says what the sound is, which comes before the first picture.
    write_all(vec![packet], |packet| feed.publisher.write(packet, now))?;
    feed.release(sound, now)
}

fn poll_beside(
    feed: Option<&mut Feed>,
    sound: &mut Sound,
    batch: &mut Vec<Arc<Entry>>,
    cx: &mut Context<'_>,
) -> Poll<Beside> {
    let Some(feed) = feed else { return Poll::Pending };
    if let Poll::Ready(feedback) = feed.publisher.poll_feedback(cx) {
        return Poll::Ready(Beside::Told(feedback));
    }
    if let Poll::Ready(packet) = sound.poll_encoded(cx) {
        return Poll::Ready(Beside::Encoded(packet));
    }
    match &mut feed.beside {
        Some(reader) => reader.poll_next(Instant::now(), batch, BATCH, cx).map(Beside::Read),
        None => Poll::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_is_refused_costs_none_behind_it() {
        let at = |ms| Packet {
            track: TrackId::VIDEO,
            codec: media::Codec::H264,
            role: Role::Frame,
            flags: media::Flags::default(),
            dts: Time::from_millis(ms),
            pts: Time::from_millis(ms),
            payload: bytes::Bytes::new(),
        };
        let mut written = Vec::new();
        let mut write = |packet: Packet| match packet.dts.millis() {
            20 => Err(WriteError::TooLarge),
            80 => Err(WriteError::TakenOver),
            ms => {
                written.push(ms);
                Ok(())
            }
        };
        assert_eq!(write_all([0, 20, 40].map(at).to_vec(), &mut write), Ok(()));
        let over = write_all([60, 80, 100].map(at).to_vec(), &mut write);
        assert_eq!((over, written), (Err(WriteError::TakenOver), vec![0, 40, 60]));
    }

    #[test]
    fn what_was_not_measured_yet_leaves_the_estimate() {
        assert_eq!(cores_of(50, Duration::from_secs(1), 2.0), Some(0.5));
        assert_eq!(cores_of(50, Duration::ZERO, 2.0), None, "a young rung takes more than nothing");
        assert_eq!(cores_of(0, Duration::from_secs(1), 2.0), None, "it has made nothing yet");
    }
}
