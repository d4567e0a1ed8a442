//! A position in a log, and the policy that moves it.

mod playback;

use crate::join::{From, Missing, Place};
use crate::kept::Preamble;
use crate::log::Log;
use crate::{BatchLimits, Config, Entry, ReadOptions, ReaderStats, Start};
use media::{Kind, Role, Time, TrackId};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The least wait of a reader whose backlog is paced: shorter ones would cost a timer and a write per packet.
const PACE_STEP: Duration = Duration::from_millis(10);

/// The slowest pace: real time, at which a reader stays as far behind as it joined.
const PACE_MIN: f32 = 1.0;

/// Pace is set anew at each of these, so it is kept small: a multiple of the media rate, 0 for none, and milliseconds.
#[derive(Debug, Clone, Copy)]
struct Pace {
    rate: f32,
    burst_ms: u32,
}

/// A backlog packet that would have to wait longer than this stands after a gap in the media's clock, which is no
/// reason to hold it back: the pace is counted from there anew.
const PACE_GAP_MAX: Duration = Duration::from_secs(1);

/// What a reader at its pace is ahead of the end of the log at least: publishers deliver in bursts, and a whole group of
/// pictures may go at once.
const LEAVING_MARGIN: Duration = Duration::from_millis(500);

const ANY_TIME: Time = Time::from_nanos(i64::MIN);

/// The policy of one reader. It sees the log only while it picks.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// The next entry to look at.
    next: u64,
    /// Entries before this one may be read although they are not shown yet: those that were there at the join.
    joined_until: u64,
    /// The group of pictures of the last entry that was passed.
    gop: u64,
    /// The generation of what is kept, as this reader knows it.
    kept_generation: u64,
    /// Audio frames before this are left out.
    audio_from: Time,
    /// The slots of the video tracks that have begun, as bits.
    begun: u64,
    /// What is left to be delivered before the log, while there is any; and how to begin, until that.
    stage: Stage,
    pace: Pace,
    pacing: Option<Box<Pacing>>,
    /// How much further than the maximum it may be behind, since it joined there.
    lag_joined: Duration,
    wants_audio: bool,
    wants_video: bool,
    video_first: bool,
    paused: bool,
    /// Whether it has begun once.
    joined: bool,
    live: bool,
    /// Whether the last pick came to the end of what is shown.
    drained: bool,
    keyframe_asked: bool,
    packets: u64,
    bytes: u64,
    packets_skipped: u64,
    gops_skipped: u64,
    /// How far it is behind since the last pick.
    lag: Duration,
}

#[derive(Debug)]
enum Stage {
    /// It waits for a place to begin.
    Begin(Box<Begin>),
    /// It delivers what comes before the log.
    Opening(Box<Opening>),
    /// It follows the log.
    Follow,
}

/// How to begin.
#[derive(Debug, Clone, Copy)]
struct Begin {
    from: From,
    cause: Cause,
    /// Frames of other tracks that stand before this in the log have been delivered.
    back_from: u64,
}

/// Why a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It joins.
    Join,
    /// It is too far behind.
    Skip,
    /// It was paused, and its position has left the log, or it had only just begun.
    Resume,
    /// It was told to.
    Seek,
}

/// What comes before the log.
#[derive(Debug)]
struct Opening {
    /// What is kept, unless the reader knows it.
    preamble: Option<Arc<Preamble>>,
    /// How many of the preamble's entries have been passed.
    preamble_next: usize,
    key: Option<Arc<Entry>>,
    /// Where frames of other tracks may stand that belong after the keyframe.
    back: Range<u64>,
    /// The time of the keyframe.
    dts: Time,
    /// Its track.
    track: Option<TrackId>,
    /// The generation of what is kept, as the preamble has it.
    kept_generation: u64,
}

/// How the backlog is held back: media up to `dts` + `burst` at `since`, and from then on `pace` times the time that
/// passes.
#[derive(Debug)]
struct Pacing {
    since: Instant,
    dts: Time,
    burst: Duration,
    pace: f64,
}

/// What a cursor sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) log: &'a Log,
    pub(crate) now: Instant,
    /// How far it may be behind.
    lag_max: Duration,
    /// How far back the log reaches.
    retain: Duration,
}

impl<'a> View<'a> {
    pub(crate) fn new(log: &'a Log, now: Instant, lag_ms_max: u32, config: &Config) -> Self {
        Self { log, now, lag_max: Duration::from_millis(lag_ms_max.into()), retain: config.retain }
    }

    /// Whether `entry` would have left the log before a reader of this pace came to it.
    fn is_leaving(&self, entry: &Entry, pace: f64) -> bool {
        let (Some(head), Some(second)) = (self.log.head(), self.log.keys().get(1)) else {
            return false;
        };
        // A group of pictures goes as a whole, when the next one is old enough to be joined at.
        let stays = (second.dts + self.retain).since(head.dts);
        let needed = second.dts.since(entry.packet.dts).div_f64(pace);
        entry.seq < second.seq && needed + LEAVING_MARGIN > stays
    }
}

/// What others have to be told after a pick.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct News {
    pub(crate) keyframe_wanted: bool,
    /// It skipped because it could not keep up.
    pub(crate) starved: bool,
    pub(crate) skips: u64,
    pub(crate) packets_skipped: u64,
}

/// What a pick came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Picked {
    /// Something was appended to the batch.
    Packets,
    /// There is something, but not before this.
    Later(Instant),
    /// There is nothing; if a time is given, looking again then may help although nothing has come.
    Nothing(Option<Instant>),
}

/// A batch being filled.
struct Batch<'a> {
    entries: &'a mut Vec<Arc<Entry>>,
    news: News,
    packets_left: usize,
    bytes_left: usize,
    packets: u64,
    bytes: u64,
}

impl Batch<'_> {
    /// Adds `entry` if there is room: for the first there always is.
    fn push(&mut self, entry: &Arc<Entry>) -> bool {
        let bytes = entry.packet.payload.len();
        if self.packets > 0 && (self.packets_left == 0 || bytes > self.bytes_left) {
            return false;
        }
        self.packets_left = self.packets_left.saturating_sub(1);
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.packets += 1;
        self.bytes += bytes as u64;
        self.entries.push(entry.clone());
        true
    }
}

impl Opening {
    /// Whether `entry`, which stands before the keyframe, belongs after it: a frame of another track that is not
    /// earlier, and that goes with the same configuration.
    fn has_follower(&self, entry: &Entry) -> bool {
        let packet = &entry.packet;
        packet.role == Role::Frame
            && packet.dts >= self.dts
            && Some(packet.track) != self.track
            && entry.kept_generation == self.kept_generation
    }
}

impl Pacing {
    /// When a packet of time `dts` may go, if not at once.
    fn later(&mut self, dts: Time, now: Instant) -> Option<Instant> {
        let ahead = dts.since(self.dts).saturating_sub(self.burst).as_secs_f64() / self.pace;
        let wait = ahead - now.saturating_duration_since(self.since).as_secs_f64();
        if wait > PACE_GAP_MAX.as_secs_f64() {
            (self.since, self.dts) = (now, dts);
            return None;
        }
        (wait > 0.0).then(|| now + Duration::from_secs_f64(wait).max(PACE_STEP))
    }
}

impl News {
    pub(crate) fn is_any(&self) -> bool {
        self.keyframe_wanted || self.starved
    }
}

impl Cursor {
    pub(crate) fn new(options: &ReadOptions) -> Self {
        let begin = Begin { from: From::Start(options.start), cause: Cause::Join, back_from: 0 };
        let pace = Pace {
            rate: options.pace.map_or(0.0, |rate| rate.max(PACE_MIN)),
            burst_ms: options.burst.as_millis().try_into().unwrap_or(u32::MAX),
        };
        Self {
            next: 0,
            joined_until: 0,
            gop: 0,
            kept_generation: 0,
            audio_from: ANY_TIME,
            begun: 0,
            stage: Stage::Begin(Box::new(begin)),
            pace,
            pacing: None,
            lag_joined: Duration::ZERO,
            wants_audio: options.audio,
            wants_video: options.video,
            video_first: options.video_first,
            paused: false,
            joined: false,
            live: false,
            drained: false,
            keyframe_asked: false,
            packets: 0,
            bytes: 0,
            packets_skipped: 0,
            gops_skipped: 0,
            lag: Duration::ZERO,
        }
    }

    /// Appends what comes next.
    pub(crate) fn pick(
        &mut self,
        view: View<'_>,
        entries: &mut Vec<Arc<Entry>>,
        limits: BatchLimits,
    ) -> (Picked, News) {
        let mut batch = Batch {
            entries,
            news: News::default(),
            packets_left: limits.packets_max,
            bytes_left: limits.bytes_max,
            packets: 0,
            bytes: 0,
        };
        self.drained = false;
        let picked = self.fill(view, &mut batch);
        self.packets += batch.packets;
        self.bytes += batch.bytes;
        self.lag = if self.drained || !self.joined { Duration::ZERO } else { view.log.lag(self.next) };
        (if batch.packets > 0 { Picked::Packets } else { picked }, batch.news)
    }

    /// Fills `batch`; what is returned counts only if it stays empty.
    fn fill(&mut self, view: View<'_>, batch: &mut Batch<'_>) -> Picked {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Follow) {
                Stage::Begin(begin) => match view.log.find(begin.from, self.wants_video, view.now) {
                    Ok(place) => self.begin(place, &begin, view, &mut batch.news),
                    Err(missing) => {
                        self.stage = Stage::Begin(begin);
                        return self.wait(missing, &mut batch.news);
                    }
                },
                Stage::Opening(mut opening) => {
                    if !self.open(&mut opening, view.log, batch) {
                        self.stage = Stage::Opening(opening);
                        return Picked::Packets;
                    }
                }
                Stage::Follow if self.skip(view, &mut batch.news) => {}
                Stage::Follow => return self.follow(view, batch),
            }
        }
    }

    fn wait(&mut self, missing: Missing, news: &mut News) -> Picked {
        match missing {
            Missing::Keyframe => {
                news.keyframe_wanted = !self.keyframe_asked;
                self.keyframe_asked = true;
                Picked::Nothing(None)
            }
            Missing::Frame => Picked::Nothing(None),
            Missing::Video(until) => Picked::Nothing(until),
        }
    }

    /// Goes to `place`, the first one or the one to skip to.
    fn begin(&mut self, place: Place, begin: &Begin, view: View<'_>, news: &mut News) {
        let mut opening = Opening {
            preamble: Some(place.preamble.clone()),
            preamble_next: 0,
            key: place.key.clone(),
            back: place.back.clone(),
            dts: place.dts,
            track: place.key.as_ref().map(|key| key.packet.track),
            kept_generation: place.kept_generation,
        };
        match begin.cause {
            Cause::Join => self.joined = true,
            Cause::Skip | Cause::Resume => {
                let skipped = place.first().saturating_sub(self.next);
                self.packets_skipped += skipped;
                self.gops_skipped += place.gop.saturating_sub(self.gop);
                news.starved = begin.cause == Cause::Skip;
                news.skips += u64::from(news.starved || skipped > 0);
                news.packets_skipped += skipped;
            }
            Cause::Seek => {}
        }
        if begin.cause == Cause::Skip {
            self.pacing = None;
            opening.back.start = opening.back.start.max(self.next).min(opening.back.end);
            if place.kept_generation == self.kept_generation {
                opening.preamble = None;
            }
        } else {
            opening.back.start = opening.back.start.max(begin.back_from).min(opening.back.end);
            self.joined_until = view.log.end();
            self.pace_from(place.dts, view);
        }
        self.next = place.next;
        self.gop = place.gop;
        self.kept_generation = place.kept_generation;
        self.begun = 0;
        self.keyframe_asked = false;
        self.audio_from = if place.key.is_some() && self.video_first { place.dts } else { ANY_TIME };
        self.stage = Stage::Opening(Box::new(opening));
    }

    /// Delivers what comes before the log; whether all of it.
    fn open(&mut self, opening: &mut Opening, log: &Log, batch: &mut Batch<'_>) -> bool {
        if let Some(preamble) = &opening.preamble {
            for entry in &preamble.entries()[opening.preamble_next..] {
                if self.wants(entry) && !batch.push(entry) {
                    return false;
                }
                opening.preamble_next += 1;
            }
            opening.preamble = None;
        }
        // The keyframe is delivered once: before the others, or else in its place after them.
        (!self.video_first || self.open_key(opening, batch))
            && self.open_back(opening, log, batch)
            && self.open_key(opening, batch)
    }

    /// Holds the backlog from `dts` on back by the pace, and lets this reader be as far behind as it is there.
    fn pace_from(&mut self, dts: Time, view: View<'_>) {
        self.lag_joined = view.log.head().map_or(Duration::ZERO, |head| head.dts.since(dts));
        self.pacing = (self.pace.rate > 0.0).then(|| {
            let Pace { rate, burst_ms } = self.pace;
            let burst = Duration::from_millis(burst_ms.into());
            Box::new(Pacing { since: view.now, dts, burst, pace: rate.into() })
        });
    }

    fn open_key(&mut self, opening: &mut Opening, batch: &mut Batch<'_>) -> bool {
        if let Some(key) = &opening.key {
            if !batch.push(key) {
                return false;
            }
            self.begun |= 1 << key.slot;
            opening.key = None;
        }
        true
    }

    /// Delivers frames of other tracks that belong after the keyframe but stand before it.
    fn open_back(&mut self, opening: &mut Opening, log: &Log, batch: &mut Batch<'_>) -> bool {
        for entry in log.range(opening.back.start, opening.back.end) {
            if opening.has_follower(entry) && self.wants(entry) {
                if !batch.push(entry) {
                    return false;
                }
                self.note_begun(entry);
            }
            opening.back.start = entry.seq + 1;
        }
        true
    }

    /// Goes on to the newest place if the log has moved past this reader, or if it is too far behind and there is a
    /// newer one. Whether it did, or has to wait for one.
    fn skip(&mut self, view: View<'_>, news: &mut News) -> bool {
        let log = view.log;
        let is_lost = self.next < log.first();
        let lag_max = view.lag_max.saturating_add(self.lag_joined);
        if !is_lost && (self.next + 1 >= log.end() || log.lag(self.next) <= lag_max) {
            return false;
        }
        let begin = Begin { from: From::Start(Start::Live), cause: Cause::Skip, back_from: 0 };
        match log.find(begin.from, self.wants_video, view.now) {
            Ok(place) if place.first() > self.next => self.begin(place, &begin, view, news),
            Err(_) if is_lost => self.stage = Stage::Begin(Box::new(begin)),
            _ => return false,
        }
        true
    }

    fn follow(&mut self, view: View<'_>, batch: &mut Batch<'_>) -> Picked {
        let log = view.log;
        let until = log.shown().max(self.joined_until);
        for entry in log.range(self.next, until) {
            if self.wants(entry) {
                let later = self.pacing.as_mut().and_then(|pacing| pacing.later(entry.packet.dts, view.now));
                let pace = self.pace.rate.max(PACE_MIN).into();
                if let Some(at) = later.filter(|_| !view.is_leaving(entry, pace)) {
                    return Picked::Later(at);
                }
                if !batch.push(entry) {
                    return Picked::Packets;
                }
                self.note_begun(entry);
            }
            self.next = entry.seq + 1;
            self.gop = entry.gop;
            self.kept_generation = entry.kept_generation;
        }
        // Live from here on, however long it takes to read the next packet.
        (self.live, self.drained) = (true, true);
        self.pacing = None;
        self.lag_joined = Duration::ZERO;
        Picked::Nothing(None)
    }

    fn wants(&self, entry: &Entry) -> bool {
        let packet = &entry.packet;
        match packet.track.kind {
            Kind::Video => {
                self.wants_video
                    && (self.begun & (1 << entry.slot) != 0
                        || packet.role.is_kept()
                        || packet.is_video_keyframe())
            }
            Kind::Audio => self.wants_audio && (packet.role != Role::Frame || packet.dts >= self.audio_from),
            Kind::Data => true,
        }
    }

    /// Remembers that a video track has begun: its later frames can be decoded.
    fn note_begun(&mut self, entry: &Entry) {
        if entry.packet.is_video_keyframe() {
            self.begun |= 1 << entry.slot;
        }
    }

    /// Whether there is nothing to pick before something is written.
    pub(crate) fn is_drained(&self) -> bool {
        self.drained
    }

    pub(crate) fn stats(&self) -> ReaderStats {
        ReaderStats {
            packets: self.packets,
            bytes: self.bytes,
            packets_skipped: self.packets_skipped,
            gops_skipped: self.gops_skipped,
            lag: self.lag,
            live: self.live,
            waiting: matches!(self.stage, Stage::Begin(_)),
        }
    }
}
