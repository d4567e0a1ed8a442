//! The task that makes the segments of one stream, and the table of those tasks.
//!
//! The first request starts it, on the thread that got the request; it ends when nobody has asked for a while. It reads the
//! stream as one passive reader. That somebody watches is said by the viewers themselves.

use super::attend;
use super::channel::{Channel, Phase};
use super::drift::Drift;
use super::guide::{Guide, Keyframe};
use super::limits;
use super::muxer::{Muxer, first_number, is_packable};
use super::rewound::Rewound;
use super::seal::Keys;
use super::segmenter::{Cut, Goals, Segmenter};
use super::viewers::ViewerKey;
use super::window::Keep;
use crate::Env;
use crate::config::HlsEncryption;
use hub::{BatchLimits, EndReason, Entry, Next, ReadError, ReadOptions, Reader, Start};
use media::{Kind, Packet, Role, StreamName, Time, TrackId};
use std::collections::HashMap;
use std::future::poll_fn;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

/// One pick.
const BATCH: BatchLimits = BatchLimits { packets_max: 128, bytes_max: 1 << 20 };
/// How often it is looked at who has left.
const SWEEP: Duration = Duration::from_secs(1);
/// How far it may fall behind the stream: it does nothing that takes long, and what it skips all its viewers lose.
const LAG_MAX: Duration = Duration::from_secs(60);

/// The address of those who have none to tell.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The channels that are packaged now.
#[derive(Default)]
pub(crate) struct Packagers {
    channels: Mutex<HashMap<StreamName, Arc<Channel>>>,
    /// What keys are derived from: segments that are still in caches stay readable when the packager of a stream begins anew.
    secret: OnceLock<[u8; 32]>,
}

impl Packagers {
    /// The channel of that name. It is started if there is none.
    ///
    /// # Errors
    ///
    /// No room for another reader.
    pub(super) fn channel(
        &self,
        env: &Arc<Env>,
        name: &StreamName,
        peer: SocketAddr,
    ) -> Result<Arc<Channel>, ReadError> {
        let now = Instant::now();
        // Before the lock: the stream of a rung has a channel too.
        let guide = self.guide(env, name, peer);
        let mut channels = self.channels();
        let before = channels.get(name).cloned();
        if let Some(channel) = &before {
            // One that has ended stays for those who watch its end, until it begins anew.
            if !(channel.has_ended() && env.origin.presence(name).begun) {
                channel.note_asked(now);
                return Ok(channel.clone());
            }
        }
        let reader = env.origin.read(name, read_options(env), now)?;
        let hls = &env.config.hls;
        let keep = Keep { listed: Duration::from_millis(hls.window_ms), bytes_max: hls.bytes_max };
        let keys = match hls.encrypt {
            HlsEncryption::None => None,
            HlsEncryption::Aes128 => {
                Some(Keys::new(self.secret.get_or_init(crate::random_seed), name, hls.key_segments))
            }
        };
        let channel = Channel::new(name.clone(), keep, now).encrypted(keys);
        let channel = Arc::new(match env.keeps_past(name) {
            true => channel.with_timeshift(env.timeshift.clone()),
            false => channel,
        });
        if let Some(before) = before {
            channel.continue_after(&before);
        }
        channels.insert(name.clone(), channel.clone());
        drop(channels);
        let task = Packager::new(env.clone(), channel.clone(), reader, guide);
        tokio::spawn(env.clone().contain(peer, task.run()));
        Ok(channel)
    }

    /// The stream that `name` is a rung of, if it is one. It is packaged as long as its rung is.
    fn guide(&self, env: &Arc<Env>, name: &StreamName, peer: SocketAddr) -> Option<Guide> {
        let (base, _) = env.transcoding.rung_of(name)?;
        if !env.origin.presence(&base).begun {
            return None;
        }
        self.channel(env, &base, peer).ok().map(Guide::new)
    }

    /// Starts the packager of a stream that has one for as long as it exists, if it has none now.
    ///
    /// # Errors
    ///
    /// No room for another reader.
    pub(super) fn keep(&self, env: &Arc<Env>, name: &StreamName) -> Result<(), ReadError> {
        self.channel(env, name, NOBODY).map(drop)
    }

    /// How far viewers can go back now in a stream, if they can.
    pub(crate) fn rewind(&self, name: &StreamName) -> Option<Duration> {
        let channel = self.channels().get(name).cloned()?;
        channel.rewind()
    }

    /// What there is of a stream in segments, if viewers can go back in it.
    pub(crate) fn rewound(&self, name: &StreamName) -> Option<Rewound> {
        Rewound::of(self.channels().get(name).cloned()?)
    }

    /// Whether a stream is packaged now.
    pub(crate) fn is_packaged(&self, name: &StreamName) -> bool {
        self.channels().contains_key(name)
    }

    /// The streams that are packaged now.
    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<StreamName> {
        self.channels().keys().cloned().collect()
    }

    /// Whether `viewer` has a session there.
    pub(super) fn is_watched(&self, name: &StreamName, viewer: ViewerKey, now: Instant) -> bool {
        self.channels().get(name).is_some_and(|channel| channel.viewers.is_watching(viewer, now))
    }

    fn remove(&self, channel: &Arc<Channel>) {
        let mut channels = self.channels();
        if channels.get(&channel.name).is_some_and(|known| Arc::ptr_eq(known, channel)) {
            channels.remove(&channel.name);
        }
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<StreamName, Arc<Channel>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// It begins with the oldest that there is, and takes all of it at once.
fn read_options(env: &Env) -> ReadOptions {
    ReadOptions {
        start: Start::Behind(Duration::from_secs(3600)),
        pace: None,
        passive: true,
        lag_max: Some(LAG_MAX),
        ..env.read_options(Start::Live)
    }
}

struct Packager {
    env: Arc<Env>,
    channel: Arc<Channel>,
    reader: Reader,
    segmenter: Segmenter,
    /// There from the first frame on.
    muxer: Option<Muxer>,
    /// What is added to the times of packets, so that none is below zero, or within what was before the stream began anew.
    shift: Duration,
    /// The next frame sets the time of day anew.
    interrupted: bool,
    drift: Drift,
    /// Where the stream went on after a gap, and how many frames from before it have come since.
    resumed: Option<(Time, u32)>,
    /// Groups of pictures that the reader had to skip.
    skipped: u64,
    first: u64,
    /// Tracks that could not be packaged.
    left_out: Vec<TrackId>,
    /// The stream that this is a rung of.
    guide: Option<Guide>,
}

impl Packager {
    fn new(env: Arc<Env>, channel: Arc<Channel>, reader: Reader, guide: Option<Guide>) -> Self {
        let hls = &env.config.hls;
        let goals = Goals {
            segment: Duration::from_millis(hls.segment_ms),
            part: Duration::from_millis(hls.part_ms),
        };
        let base = env.transcoding.rung_of(&channel.name).map(|(base, _)| base);
        let keyframes = env.origin.stream(base.as_ref().unwrap_or(&channel.name));
        let gop = keyframes.and_then(|stream| stream.gop);
        Self {
            segmenter: Segmenter::new(goals, gop).after(channel.beginning().discontinuities),
            channel,
            reader,
            muxer: None,
            shift: Duration::ZERO,
            interrupted: true,
            drift: Drift::default(),
            resumed: None,
            skipped: 0,
            first: first_number(SystemTime::now()),
            left_out: Vec::new(),
            guide,
            env,
        }
    }

    async fn run(mut self) {
        debug!(stream = %self.channel.name, "packaging begins");
        let shutdown = self.env.shutdown.clone();
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        let mut ended = false;
        loop {
            let reader = &mut self.reader;
            tokio::select! {
                biased;
                next = poll_fn(|cx| reader.poll_next(Instant::now(), &mut batch, BATCH, cx)), if !ended => {
                    ended = self.take(next, &mut batch).is_break();
                }
                _ = sweep.tick() => {
                    // The one before may have ended.
                    self.guide = self.env.packagers.guide(&self.env, &self.channel.name, NOBODY);
                    if self.is_idle(Instant::now()) {
                        break;
                    }
                }
                () = shutdown.triggered() => break,
            }
        }
        debug!(stream = %self.channel.name, "packaging ends");
    }

    /// Whether the task is of no more use. Viewers who have left are forgotten.
    fn is_idle(&self, now: Instant) -> bool {
        self.channel.viewers.sweep(now, self.channel.target());
        let absent = *self.channel.phase.borrow() == Phase::Absent;
        // Players ask once for each target duration, and their requests may wait for a few of them.
        let patience = 2 * limits::BLOCKED_TARGETS_MAX * self.channel.target();
        let stay = match self.channel.has_ended() {
            true => self.channel.stay(),
            false => patience.max(Duration::from_millis(self.env.config.hls.idle_ms)),
        };
        if self.channel.has_ended() && self.channel.idle(now) >= self.channel.listed_min() {
            self.channel.release();
        }
        let stays = !self.channel.has_ended() && attend::is_kept(&self.env, &self.channel.name);
        absent || (!stays && self.channel.idle(now) >= stay)
    }

    fn take(&mut self, next: Next, batch: &mut Vec<Arc<Entry>>) -> ControlFlow<()> {
        let mut cuts = Vec::new();
        match next {
            Next::Packets => {
                let skipped = self.reader.stats().gops_skipped;
                if mem::replace(&mut self.skipped, skipped) != skipped {
                    self.interrupt(&mut cuts);
                }
                for entry in batch.drain(..) {
                    self.push(entry.packet.clone(), entry.arrived, &mut cuts);
                }
            }
            Next::Dry => self.interrupt(&mut cuts),
            // Only what is read at a pace is held back.
            Next::Later(_) => {}
            Next::Ended(_) => self.segmenter.interrupt(&mut cuts),
        }
        self.pack(cuts);
        if let Next::Ended(reason) = next {
            self.end(reason);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// What came before is packed at once: the time of day is set anew for what comes after.
    fn interrupt(&mut self, cuts: &mut Vec<Cut>) {
        self.segmenter.interrupt(cuts);
        self.pack(mem::take(cuts));
        self.interrupted = true;
    }

    fn push(&mut self, mut packet: Packet, arrived: Instant, cuts: &mut Vec<Cut>) {
        if packet.role == Role::Frame && packet.track.kind != Kind::Data {
            if self.muxer.is_none() {
                let own = self.channel.beginning().time.since(packet.dts);
                self.shift = self.guide.as_ref().map_or(own, Guide::shift);
                self.channel.note_shift(self.shift);
            }
            (packet.dts, packet.pts) = (packet.dts + self.shift, packet.pts + self.shift);
            if packet.dts < Time::ZERO {
                return;
            }
            if self.is_from_before_gap(&packet) {
                return;
            }
            if self.segmenter.is_gap_before(&packet) {
                self.interrupt(cuts);
                self.resumed = Some((packet.dts, 0));
            }
            self.date(&packet, arrived);
        }
        let keyframe = (packet.track == TrackId::VIDEO && packet.is_video_keyframe()).then_some(packet.pts);
        if let (Some(pts), Some(guide)) = (keyframe, &self.guide) {
            self.segmenter.cue(guide.begins(pts));
        }
        self.segmenter.push(packet, cuts);
        if let Some(pts) = keyframe
            && let Some(begins) = self.segmenter.has_begun_at(pts)
        {
            self.channel.note_keyframe(Keyframe { pts, begins });
        }
    }

    /// Whether `packet` is of a track that has yet to come to a gap which others have passed: what it belongs to has ended.
    fn is_from_before_gap(&mut self, packet: &Packet) -> bool {
        let Some((resumed, late)) = &mut self.resumed else { return false };
        if packet.dts + limits::GAP_MAX >= *resumed {
            return false;
        }
        *late += 1;
        let is_late = *late <= limits::GAP_FRAMES_MAX;
        if !is_late {
            // The one that was ahead was wrong.
            self.resumed = None;
        }
        is_late
    }

    /// Brings the clock of the media and the time of day together.
    fn date(&mut self, packet: &Packet, arrived: Instant) {
        let date = SystemTime::now().checked_sub(arrived.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH);
        let interrupted = mem::take(&mut self.interrupted);
        match &mut self.muxer {
            // What is said of a rung is what is said of its stream.
            Some(_) if self.guide.is_some() && !interrupted => {}
            Some(muxer) if !interrupted => {
                if let Some(by) = self.drift.note(packet.dts, muxer.late(packet.dts, date)) {
                    muxer.move_dates(by);
                }
            }
            Some(muxer) => {
                muxer.set_anchor((packet.dts, date));
                self.drift.reset();
            }
            None => self.muxer = Some(Muxer::new((packet.dts, date))),
        }
    }

    fn pack(&mut self, cuts: Vec<Cut>) {
        let Some(muxer) = &mut self.muxer else { return };
        for mut cut in cuts {
            let pts = cut.frames.first().map(|frame| frame.pts);
            if let Some(opening) = &mut cut.opens
                && let Some((guide, pts)) = self.guide.as_ref().zip(pts)
                && let Some(moment) = guide.moment(pts)
            {
                muxer.set_anchor((pts, moment.date));
                opening.discontinuities = moment.discontinuities;
            }
            let first = self.channel.goes_on_with(cut.track).or_else(|| self.channel.newest());
            let first = first.unwrap_or(self.first);
            // A track that was retired has left with its initialization section.
            if cut.opens.is_some() && !self.channel.offers(cut.track) {
                muxer.forget(cut.track);
            }
            match muxer.pack(&cut, first) {
                Ok(packed) => {
                    let closes = packed.closes;
                    self.channel.append(packed);
                    if closes {
                        let stream = || self.env.origin.stream(&self.channel.name);
                        let is_sent = |track| {
                            stream().is_some_and(|stream| stream.tracks.iter().any(|sent| sent.id == track))
                        };
                        self.channel.retire(cut.track, is_sent);
                    }
                }
                Err(error) if !self.left_out.contains(&cut.track) => {
                    self.left_out.push(cut.track);
                    warn!(stream = %self.channel.name, track = %cut.track, %error, "a track cannot be packaged");
                }
                Err(_) => {}
            }
        }
        if *self.channel.phase.borrow() == Phase::Starting && self.is_complete() {
            self.begin();
        }
    }

    /// Whether there is enough for playlists: every track of the publisher, and a whole segment, from which the distance of
    /// keyframes is known. What does not come in time is not waited for.
    fn is_complete(&self) -> bool {
        let duration = self.channel.duration();
        if duration.is_zero() || duration >= limits::GOP_EXPECTED {
            return !duration.is_zero();
        }
        let Some(stream) = self.env.origin.stream(&self.channel.name) else { return true };
        let mut wanted = stream.tracks.iter().filter(|track| is_packable(track.codec));
        wanted.all(|track| self.channel.has_segment(track.id) || self.left_out.contains(&track.id))
    }

    fn begin(&mut self) {
        let part_target = self.segmenter.part_target().unwrap_or_default();
        // Sound ends its segments up to a part after the pictures.
        let sound = Duration::from_secs(
            (self.segmenter.promise_segment_max() + part_target).as_secs_f64().round() as u64,
        );
        // One for all that players change between (RFC 8216bis section 6.2.4).
        let shared = self.guide.as_ref().map_or(Duration::ZERO, Guide::target);
        self.channel.promise(self.segmenter.promise_segment_max().max(sound).max(shared), part_target);
        self.channel.phase.send_replace(Phase::Ready);
    }

    fn end(&mut self, reason: EndReason) {
        let has_media = !self.channel.tracks().is_empty();
        if *self.channel.phase.borrow() == Phase::Starting && has_media {
            self.begin();
        }
        self.channel.note_asked(Instant::now());
        self.channel.end();
        self.channel.viewers.end();
        if reason == EndReason::NoPublisher || !has_media {
            self.channel.phase.send_replace(Phase::Absent);
            // Whoever asks next waits anew.
            self.env.packagers.remove(&self.channel);
        }
    }
}

impl Drop for Packager {
    /// However the task ends, nobody waits for what will not come.
    fn drop(&mut self) {
        self.env.packagers.remove(&self.channel);
        self.channel.stop();
    }
}

#[cfg(test)]
mod tests;
