//! The log of one stream: its newest packets, an index of keyframes, and what late joiners must know.

use crate::kept::{Kept, Preamble, Put};
use crate::meter::Meter;
use crate::timeline::{Change, Head, Timeline};
use crate::track::Tracks;
use crate::{Config, Counters, Entry, WriteError};
use media::{Kind, Packet, Role, Time, TrackId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A stream whose video has been silent for this long by our clock (a camera that was switched off) is joined at its
/// newest audio, since its last keyframe would bring a backlog of that length; and a video track that was silent for
/// this long no longer decides where one can join.
const VIDEO_SILENCE_MAX: Duration = Duration::from_secs(10);

/// A publisher that has sent no video for this long, by its clock or ours, has none to send.
pub(crate) const VIDEO_AWAITED: Duration = Duration::from_secs(1);

/// A bounded log.
///
/// Entries are numbered without gaps; `first` is the number of the oldest. The bounds are those of
/// [`Config`]: bytes and packets always, and by time everything before the group of pictures that was current `retain`
/// ago, so that one can join at least that far back.
#[derive(Debug)]
pub(crate) struct Log {
    entries: VecDeque<Arc<Entry>>,
    first: u64,
    bytes: usize,
    keys: VecDeque<Key>,
    head: Option<Head>,
    kept: Arc<Kept>,
    kept_generation: u64,
    gop: u64,
    /// The video track whose keyframes are indexed: of those that have had one, that of the lowest number.
    primary: Option<TrackId>,
    /// When the newest video packet came, of whatever role.
    video_arrived: Option<Instant>,
    /// Where the visible part ends: packets beyond wait for [`Log::show`], to be picked together.
    shown: u64,
    pub(crate) tracks: Tracks,
    pub(crate) session: Session,
    pub(crate) meter: Meter,
    pub(crate) counters: Counters,
}

/// A keyframe of the primary video track: a place to join.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) seq: u64,
    pub(crate) gop: u64,
    pub(crate) dts: Time,
    pub(crate) pts: Time,
    pub(crate) kept_generation: u64,
    pub(crate) preamble: Arc<Preamble>,
}

/// What is known of the present publisher.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) rank: u8,
    pub(crate) started: Option<Instant>,
    first_dts: Option<Time>,
    video_seen: bool,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    Logged,
    /// Video before the first keyframe of its track.
    NotOpen,
}

impl Log {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            keys: VecDeque::new(),
            head: None,
            kept: Arc::default(),
            kept_generation: 0,
            gop: 0,
            primary: None,
            video_arrived: None,
            shown: 0,
            tracks: Tracks::new(config.limits.tracks_max),
            session: Session::default(),
            meter: Meter::default(),
            counters: Counters::default(),
        }
    }

    /// Prepares for the first packet of a publisher. What is in the log stays; what is kept for joiners is the new
    /// publisher's to say.
    pub(crate) fn begin_session(&mut self, rank: u8, now: Instant) {
        self.session = Session { rank, started: Some(now), ..Session::default() };
        self.tracks.begin_session();
        self.primary = None;
        if !self.kept.packets().is_empty() {
            self.kept = Arc::default();
            self.kept_generation += 1;
        }
        self.counters.sessions += 1;
    }

    /// Appends `packet`, moved onto the stream's clock, and drops what is too old.
    pub(crate) fn append(
        &mut self,
        mut packet: Packet,
        timeline: &mut Timeline,
        now: Instant,
        config: &Config,
    ) -> Result<Appended, WriteError> {
        if packet.role == Role::ClearStreamMetadata {
            self.kept_generation += u64::from(Kept::clear(&mut self.kept, &packet));
            return Ok(Appended::Logged);
        }
        let slot = self.tracks.slot_of(&packet, now)?;
        let is_video = packet.track.kind == Kind::Video;
        if is_video {
            self.session.video_seen = true;
            self.video_arrived = Some(now);
        }
        let track = self.tracks.get_mut(slot);
        if is_video && !track.open && !packet.role.is_kept() {
            if !packet.is_video_keyframe() {
                self.counters.before_keyframe += 1;
                return Ok(Appended::NotOpen);
            }
            track.open = true;
        }
        match timeline.place(&mut packet, track.last, self.head, now) {
            Change::None => {}
            Change::Clamped => self.counters.clamped += 1,
            Change::Rebased => self.counters.rebased += 1,
        }
        if packet.role == Role::Frame {
            track.last = Some(packet.dts);
            self.session.first_dts.get_or_insert(packet.dts);
        }
        if packet.role.is_kept() {
            self.keep(&packet, config.limits.kept_bytes_max);
        }
        if packet.is_video_keyframe() {
            self.index_keyframe(&packet, now);
        }
        self.push(packet, slot, now);
        self.trim(config);
        Ok(Appended::Logged)
    }

    fn keep(&mut self, packet: &Packet, bytes_max: usize) {
        match Kept::put(&mut self.kept, packet, bytes_max) {
            Put::Same => {}
            Put::Changed => self.kept_generation += 1,
            Put::TooLarge => {
                self.kept_generation += 1;
                self.counters.unkept += 1;
            }
        }
    }

    fn index_keyframe(&mut self, packet: &Packet, now: Instant) {
        if self.primary != Some(packet.track) {
            if !self.outranks_primary(packet) {
                return;
            }
            if self.primary.is_some() {
                self.keys.clear();
            }
            self.primary = Some(packet.track);
        }
        self.gop += 1;
        let seq = self.end();
        self.keys.push_back(Key {
            seq,
            gop: self.gop,
            dts: packet.dts,
            pts: packet.pts,
            kept_generation: self.kept_generation,
            preamble: Arc::new(Preamble::new(self.kept.clone(), self.session.rank, seq, packet.dts, now)),
        });
    }

    fn outranks_primary(&self, packet: &Packet) -> bool {
        let Some(primary) = self.primary else {
            return true;
        };
        packet.track.index < primary.index
            || self.tracks.find(primary).is_none_or(|track| self.is_silent_since(track.arrived))
    }

    fn push(&mut self, packet: Packet, slot: usize, now: Instant) {
        let bytes = packet.payload.len();
        if packet.role == Role::Frame {
            let dts = self.head.map_or(packet.dts, |head| head.dts.max(packet.dts));
            self.head = Some(Head { dts, arrived: now });
            if Some(packet.track) == self.primary {
                self.meter.frame(packet.dts);
            }
        }
        self.meter.bytes(bytes, now);
        self.counters.packets += 1;
        self.counters.bytes += bytes as u64;
        self.bytes += bytes;
        let mut entry = Entry::new(self.end(), packet, now);
        entry.head = self.head.map_or(entry.packet.dts, |head| head.dts);
        entry.rank = self.session.rank;
        entry.gop = self.gop;
        entry.kept_generation = self.kept_generation;
        entry.slot = slot as u8;
        self.entries.push_back(Arc::new(entry));
    }

    fn trim(&mut self, config: &Config) {
        while self.entries.len() > 1
            && (self.bytes > config.log_bytes_max || self.entries.len() > config.log_packets_max)
        {
            self.pop();
        }
        let Some(head) = self.head else {
            return;
        };
        let horizon = head.dts - config.retain;
        let live = self.has_live_video();
        let old = self.keys.partition_point(|key| key.dts <= horizon);
        // The keyframe that everything is kept from, if there is one; and else the first, if there is one.
        let from = self.keys.get(old.saturating_sub(1)).filter(|_| live).map(|key| (key.seq, key.dts));
        let is_old = |entry: &Entry| {
            // Frames of other tracks that stand before a keyframe but are not earlier belong to those who join at it.
            from.is_none_or(|(seq, dts)| entry.seq < seq && entry.packet.dts < dts)
                && (entry.head < horizon || (live && old > 0))
        };
        while self.entries.front().is_some_and(|entry| is_old(entry)) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.first = entry.seq + 1;
            self.bytes -= entry.packet.payload.len();
            if self.keys.front().is_some_and(|key| key.seq == entry.seq) {
                self.keys.pop_front();
            }
        }
    }

    /// Makes everything visible to readers.
    pub(crate) fn show(&mut self) {
        self.shown = self.end();
    }

    /// Payload bytes that are not visible yet.
    pub(crate) fn hidden_bytes(&self) -> usize {
        self.range(self.shown, self.end()).map(|entry| entry.packet.payload.len()).sum()
    }

    pub(crate) fn shown(&self) -> u64 {
        self.shown
    }

    /// The number of the oldest entry.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next entry will get.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Arc<Entry>> {
        self.entries.get(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    /// The entries from `from` on, those that are still there, and before `until`.
    pub(crate) fn range(&self, from: u64, until: u64) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        let end = self.end();
        let until = until.clamp(self.first, end);
        let from = from.clamp(self.first, until);
        self.entries.range((from - self.first) as usize..(until - self.first) as usize)
    }

    /// The first entry that came when the stream had reached `dts`, or the end.
    pub(crate) fn first_of(&self, dts: Time) -> u64 {
        self.first + self.entries.partition_point(|entry| entry.head < dts) as u64
    }

    pub(crate) fn keys(&self) -> &VecDeque<Key> {
        &self.keys
    }

    pub(crate) fn head(&self) -> Option<Head> {
        self.head
    }

    pub(crate) fn kept(&self) -> &Arc<Kept> {
        &self.kept
    }

    pub(crate) fn kept_generation(&self) -> u64 {
        self.kept_generation
    }

    /// The media time from the entry `seq` to the newest.
    pub(crate) fn lag(&self, seq: u64) -> Duration {
        match (self.head, self.get(seq.max(self.first))) {
            (Some(head), Some(entry)) => head.dts.since(entry.head),
            _ => Duration::ZERO,
        }
    }

    /// Whether there is video, and it has not fallen silent.
    fn has_live_video(&self) -> bool {
        self.video_arrived.is_some_and(|video| !self.is_silent_since(video))
    }

    fn is_silent_since(&self, arrived: Instant) -> bool {
        self.head.is_some_and(|head| head.arrived.saturating_duration_since(arrived) > VIDEO_SILENCE_MAX)
    }

    /// Whether a reader of video starts at a keyframe (`true`) or at the newest audio (`false`); `None` while that
    /// cannot be told.
    pub(crate) fn starts_at_keyframe(&self, now: Instant) -> Option<bool> {
        let session = &self.session;
        if session.video_seen {
            return Some(self.has_live_video());
        }
        let awaited = match (session.started, session.first_dts, self.head) {
            (Some(started), Some(first), Some(head)) => {
                head.dts.since(first) >= VIDEO_AWAITED
                    || now.saturating_duration_since(started) >= VIDEO_AWAITED
            }
            _ => false,
        };
        match (awaited, self.keys.is_empty()) {
            (true, _) => Some(false),
            (false, false) => Some(true),
            (false, true) => None,
        }
    }
}
