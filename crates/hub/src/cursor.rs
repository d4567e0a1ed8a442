//! A position in a log, and the policy that moves it.

use crate::join::{Missing, Place};
use crate::kept::Preamble;
use crate::log::Log;
use crate::{BatchLimits, Entry, ReadOptions, ReaderStats, Start};
use media::{Kind, Role, Time, TrackId};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The least wait of a reader whose backlog is paced: shorter ones would cost a timer and a write per packet.
const PACE_STEP: Duration = Duration::from_millis(10);

/// The slowest pace: real time, at which a reader stays as far behind as it joined.
const PACE_MIN: f32 = 1.0;

/// A backlog packet that would have to wait longer than this stands after a gap in the media's clock, which is no
/// reason to hold it back: the pace is counted from there anew.
const PACE_GAP_MAX: Duration = Duration::from_secs(1);

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
    pacing: Option<Box<Pacing>>,
    /// How much further than the maximum it may be behind, since it joined there.
    lag_joined: Duration,
    wants_audio: bool,
    wants_video: bool,
    video_first: bool,
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
    start: Start,
    pace: Option<f32>,
    burst: Duration,
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
    pub(crate) lag_max: Duration,
}

/// What others have to be told after a pick.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct News {
    pub(crate) keyframe_wanted: bool,
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
        self.keyframe_wanted || self.skips > 0
    }
}

impl Cursor {
    pub(crate) fn new(options: &ReadOptions) -> Self {
        let begin = Begin { start: options.start, pace: options.pace, burst: options.burst };
        Self {
            next: 0,
            joined_until: 0,
            gop: 0,
            kept_generation: 0,
            audio_from: ANY_TIME,
            begun: 0,
            stage: Stage::Begin(Box::new(begin)),
            pacing: None,
            lag_joined: Duration::ZERO,
            wants_audio: options.audio,
            wants_video: options.video,
            video_first: options.video_first,
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
                Stage::Begin(begin) => match view.log.find(begin.start, self.wants_video, view.now) {
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
        if self.joined {
            let skipped = place.first().saturating_sub(self.next);
            self.packets_skipped += skipped;
            self.gops_skipped += place.gop.saturating_sub(self.gop);
            news.skips += 1;
            news.packets_skipped += skipped;
            self.pacing = None;
            opening.back.start = opening.back.start.max(self.next).min(opening.back.end);
            if place.kept_generation == self.kept_generation {
                opening.preamble = None;
            }
        } else {
            self.joined = true;
            self.joined_until = view.log.end();
            self.lag_joined = view.log.head().map_or(Duration::ZERO, |head| head.dts.since(place.dts));
            self.pacing = begin.pace.map(|pace| {
                let pace = f64::from(pace.max(PACE_MIN));
                Box::new(Pacing { since: view.now, dts: place.dts, burst: begin.burst, pace })
            });
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
        let begin = Begin { start: Start::Live, pace: None, burst: Duration::ZERO };
        match log.find(begin.start, self.wants_video, view.now) {
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
                if let Some(at) = later {
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
