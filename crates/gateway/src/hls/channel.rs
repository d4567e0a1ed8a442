//! A stream as it is offered over HTTP: its newest segments, shared by the task that makes them and all who ask.

use super::guide::{self, KEYFRAMES_MAX, Keyframe};
use super::joined::{Due, Place, Step};
use super::limits;
use super::manifest::{CLOCK, Content, Epoch, manifest};
use super::muxer::Packed;
use super::name::Directives;
use super::playlist::{self, Terms};
use super::seal::{Keys, Sealed};
use super::ts::Transport;
use super::viewers::Viewers;
use super::window::{Edge, Init, Keep, Line, NewSegment, Past, Rendition, Segment, Span};
use crate::timeshift::{Entry, Shelf, Timeshift};
use crate::transcode::Offer;
use bytes::{Bytes, BytesMut};
use media::container::fmp4;
use media::{StreamName, Time, TrackId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// How far a channel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is no playlist yet.
    Starting,
    /// There is one.
    Ready,
    /// Nobody published the stream while it was waited for, or nothing in it can be packaged.
    Absent,
    /// Nothing more is made, though the stream may go on: nobody asked, or the node shuts down.
    Stopped,
}

/// What is to be had of one stream.
pub(super) struct Channel {
    pub(super) name: StreamName,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) viewers: Viewers,
    /// The same as MPEG-TS, where somebody asks for that.
    pub(super) transport: Transport,
    /// What was encrypted lately, where segments are.
    pub(super) sealed: Sealed,
    state: Mutex<State>,
    keep: Keep,
    /// Where segments stay for longer, if viewers can go back in the stream.
    timeshift: Option<Arc<Timeshift>>,
    /// Counts what is added.
    changes: watch::Sender<u64>,
    /// Held while a list of all there is is written: those who come meanwhile want the same.
    pub(super) writing: tokio::sync::Mutex<()>,
}

struct State {
    renditions: Vec<Rendition>,
    /// Tracks that the publisher has had before an interruption and not since. They are no longer offered, and stay for those who are on
    /// the way through what there was.
    retired: Vec<Rendition>,
    terms: Terms,
    /// Playlists as they are now, by track, and whether they are delta updates.
    written: HashMap<(TrackId, bool), Written>,
    /// Lists of all there is, with how much had been added when they were written.
    rewound: HashMap<Text, (u64, Written)>,
    /// When somebody asked last.
    asked: Instant,
    ended: bool,
    /// In order; those of which nothing is listed any more are left out.
    epochs: Vec<Epoch>,
    /// Tracks from before the stream began anew that have not come back yet.
    past: Vec<Past>,
    beginning: Beginning,
    /// What is added to the times of packets.
    shift: Duration,
    /// The last keyframes of the leading pictures, for rungs.
    keyframes: VecDeque<Keyframe>,
}

/// Where a stream that begins anew goes on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beginning {
    /// What was before ended here, on the clock of the media.
    pub(super) time: Time,
    /// Interruptions up to there, this one among them.
    pub(super) discontinuities: u64,
}

/// Stands in texts for the query of the viewer who asks, so that they are written once for all.
const QUERY: &str = "\u{1}";

/// A text that lists all there is of a stream, for who goes back in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Text {
    /// Of a track; whether it is a delta update.
    Playlist(TrackId, bool),
    /// With media in that folder.
    Manifest(String),
}

/// What such texts are written from.
struct Outline {
    renditions: Vec<Rendition>,
    epochs: Vec<Epoch>,
    terms: Terms,
    ended: bool,
    /// How much had been added by then.
    count: u64,
}

impl Outline {
    fn write(&self, text: &Text) -> Option<Written> {
        let Self { renditions, epochs, terms, ended, .. } = self;
        Some(Written::new(match text {
            Text::Playlist(track, skip) => {
                let rendition = renditions.iter().find(|rendition| rendition.id == *track)?;
                let others = renditions.iter().filter(|other| other.id != *track);
                let others = others.map(|other| (other.id, *other.edge.borrow()));
                playlist::media(rendition, others, terms, *skip, Span::Rewind)
            }
            Text::Manifest(folder) => {
                // Rungs have no past.
                let content = Content { renditions, epochs, terms, ended: *ended, rungs: &[] };
                manifest(content, folder, SystemTime::now(), Span::Rewind)
            }
        }))
    }
}

/// A playlist or manifest.
#[derive(Debug, Clone)]
pub(super) struct Written {
    marked: Bytes,
    /// For those who need no query.
    plain: Bytes,
}

impl Written {
    fn new(marked: String) -> Self {
        let plain = marked.replace(QUERY, "").into();
        Self { marked: marked.into(), plain }
    }

    /// The manifest for a viewer whose addresses have `query`, and who gets it at `now`.
    pub(super) fn at(&self, query: &str, now: SystemTime) -> Bytes {
        let written = self.with_query(query);
        // Just written.
        std::str::from_utf8(&written).unwrap_or_default().replace(CLOCK, &playlist::date_time(now)).into()
    }

    /// The text for a viewer whose addresses have `query`.
    pub(super) fn with_query(&self, query: &str) -> Bytes {
        if query.is_empty() {
            return self.plain.clone();
        }
        // Just written.
        let marked = std::str::from_utf8(&self.marked).unwrap_or_default();
        marked.replace(QUERY, query).into()
    }
}

/// Bytes of a segment as far as it has come, and whether it is complete.
pub(super) struct Media {
    pub(super) parts: Vec<Bytes>,
    pub(super) closed: bool,
}

impl Channel {
    /// A channel without media.
    pub(super) fn new(name: StreamName, keep: Keep, now: Instant) -> Self {
        let query = QUERY.to_owned();
        let terms =
            Terms { target: Duration::from_secs(1), part_target: Duration::from_secs(1), keys: None, query };
        let state = State {
            renditions: Vec::new(),
            retired: Vec::new(),
            terms,
            written: HashMap::new(),
            rewound: HashMap::new(),
            asked: now,
            epochs: Vec::new(),
            past: Vec::new(),
            beginning: Beginning::default(),
            shift: Duration::ZERO,
            keyframes: VecDeque::new(),
            ended: false,
        };
        Self {
            name,
            phase: watch::Sender::new(Phase::Starting),
            viewers: Viewers::default(),
            transport: Transport::default(),
            sealed: Sealed::default(),
            state: Mutex::new(state),
            keep,
            timeshift: None,
            changes: watch::Sender::new(0),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Keeps what becomes complete for as long as `timeshift` says.
    pub(super) fn with_timeshift(self, timeshift: Arc<Timeshift>) -> Self {
        Self { timeshift: Some(timeshift), ..self }
    }

    /// Segments and parts are encrypted for those who ask.
    pub(super) fn encrypted(self, keys: Option<Keys>) -> Self {
        self.state().terms.keys = keys;
        self
    }

    /// Adds a part. A segment that has become longer than promised moves the target duration.
    pub(super) fn append(&self, packed: Packed) {
        let mut state = self.state();
        let state = &mut *state;
        let index = match state.renditions.iter().position(|rendition| rendition.id == packed.track) {
            Some(index) => index,
            None => {
                let first = packed.new.as_ref().map_or(0, |new| new.number);
                state.retired.retain(|rendition| rendition.id != packed.track);
                let goes_on = |past: &mut Past| past.id == packed.track && past.next == first;
                let past = state.past.extract_if(.., goes_on).next();
                state.renditions.push(past.map_or_else(
                    || {
                        let mut rendition = Rendition::new(packed.track, first);
                        if let Some(timeshift) = &self.timeshift {
                            rendition.keep_on(Shelf::new(timeshift.clone()));
                        }
                        rendition
                    },
                    Rendition::after,
                ));
                state.renditions.sort_by_key(|rendition| rendition.id);
                // Just put there.
                state.renditions.iter().position(|rendition| rendition.id == packed.track).unwrap_or(0)
            }
        };
        if let Some(new) = &packed.new {
            state.note_epoch(new);
        }
        let keep = Keep { listed: self.keep.listed.max(4 * state.terms.target), ..self.keep };
        let rendition = &mut state.renditions[index];
        state.written.clear();
        rendition.append(packed.new, packed.part, packed.closes, keep);
        if let Some(segment) = rendition.segments.back() {
            let longest = Duration::from_secs(segment.duration().as_secs_f64().round() as u64);
            state.terms.target = state.terms.target.max(longest.min(limits::SEGMENT_MAX));
        }
        self.changes.send_modify(|count| *count += 1);
        let count = *self.changes.borrow();
        state.rewound.retain(|_, (written, _)| *written + limits::REWOUND_KEPT > count);
    }

    /// Takes tracks from the offer that have had no frame since the last interruption, now that `track` has a whole segment after it;
    /// `is_sent` says what the publisher still has. Where viewers can go back, what they go back to stays on offer.
    pub(super) fn retire(&self, track: TrackId, is_sent: impl Fn(TrackId) -> bool) {
        if self.timeshift.is_some() {
            return;
        }
        let mut state = self.state();
        if state.retire(track, is_sent) {
            state.written.clear();
        }
    }

    /// Whether a track is on offer.
    pub(super) fn offers(&self, track: TrackId) -> bool {
        self.state().renditions.iter().any(|rendition| rendition.id == track)
    }

    /// The promises of the playlists, made once they are known.
    pub(super) fn promise(&self, segment_max: Duration, part_target: Duration) {
        let mut state = self.state();
        let target = Duration::from_secs(segment_max.as_secs_f64().ceil() as u64);
        state.terms.target = state.terms.target.max(target);
        state.terms.part_target = part_target;
        state.written.clear();
        // Every track has come by now.
        state.past.clear();
    }

    /// Goes on where `before` has ended, so that who watched that may go on, and go back to it where viewers can.
    pub(super) fn continue_after(&self, before: &Channel) {
        self.viewers.continue_after(&before.viewers);
        let mut old = before.state();
        let lines = old.renditions.iter().filter_map(|rendition| rendition.lines(Span::Rewind).last());
        let beginning = lines.fold(Beginning::default(), |beginning, last| Beginning {
            time: beginning.time.max(last.start + last.duration),
            discontinuities: beginning.discontinuities.max(last.discontinuities + 1),
        });
        let past: Vec<_> = old.renditions.iter_mut().filter_map(Rendition::leave).collect();
        let (epochs, target) = (old.epochs.clone(), old.terms.target);
        old.written.clear();
        old.rewound.clear();
        drop(old);
        if !past.is_empty() {
            let mut state = self.state();
            (state.past, state.epochs, state.beginning) = (past, epochs, beginning);
            state.terms.target = target;
        }
    }

    /// Where the stream begins.
    pub(super) fn beginning(&self) -> Beginning {
        self.state().beginning
    }

    /// The number of the first segment of a track that goes on with what was before the stream began anew.
    pub(super) fn goes_on_with(&self, track: TrackId) -> Option<u64> {
        self.state().past.iter().find(|past| past.id == track).map(|past| past.next)
    }

    /// Notes what is added to the times of packets.
    pub(super) fn note_shift(&self, shift: Duration) {
        self.state().shift = shift;
    }

    /// What is added to the times of packets.
    pub(super) fn shift(&self) -> Duration {
        self.state().shift
    }

    /// Notes a keyframe of the leading pictures.
    pub(super) fn note_keyframe(&self, keyframe: Keyframe) {
        let mut state = self.state();
        if state.keyframes.len() == KEYFRAMES_MAX {
            state.keyframes.pop_front();
        }
        state.keyframes.push_back(keyframe);
    }

    /// The newest of the last keyframes that is meant.
    pub(super) fn keyframe(&self, is_meant: impl Fn(&Keyframe) -> bool) -> Option<Keyframe> {
        self.state().keyframes.iter().rev().find(|keyframe| is_meant(keyframe)).copied()
    }

    /// There will be no more.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.written.clear();
        state.renditions.iter_mut().for_each(Rendition::end);
        self.changes.send_modify(|count| *count += 1);
    }

    /// There will be no more from here, though the stream may go on. Whoever waits gives up; playlists do not say that it has ended.
    pub(super) fn stop(&self) {
        let has_ended = self.has_ended();
        self.phase.send_if_modified(|phase| {
            let goes_on = *phase != Phase::Absent && !has_ended;
            if goes_on {
                *phase = Phase::Stopped;
            }
            goes_on
        });
    }

    /// Returns when nothing more is made of a stream that may go on.
    pub(super) async fn stopped(&self) {
        // The sender is part of the channel, so that this does not fail.
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Phase::Stopped).await;
    }

    /// Whether there will be no more.
    pub(super) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// The tracks that there are.
    pub(super) fn tracks(&self) -> Vec<TrackId> {
        self.state().renditions.iter().map(|rendition| rendition.id).collect()
    }

    /// How much there is of the track that has most.
    pub(super) fn duration(&self) -> Duration {
        let state = self.state();
        let duration = |rendition: &Rendition| rendition.segments.iter().map(Segment::duration).sum();
        state.renditions.iter().map(duration).max().unwrap_or_default()
    }

    /// Whether a track has a complete segment.
    pub(super) fn has_segment(&self, track: TrackId) -> bool {
        let state = self.state();
        state.rendition(track).is_some_and(|rendition| rendition.listed().any(|segment| segment.closed))
    }

    /// The number of the newest segment.
    pub(super) fn newest(&self) -> Option<u64> {
        let state = self.state();
        state.renditions.iter().map(|rendition| rendition.edge.borrow().segment).max()
    }

    /// Notes that somebody asked. After the end that changes nothing: what has ended stays for a while, however often it is asked for.
    pub(super) fn note_asked(&self, now: Instant) {
        let mut state = self.state();
        if !state.ended {
            state.asked = now;
        }
    }

    /// How long at least it stays when nobody asks, and in any case after the end: as long as its list lasts.
    pub(super) fn listed_min(&self) -> Duration {
        self.keep.listed.max(4 * self.target())
    }

    /// How long it stays after the end in any case.
    pub(super) fn stay(&self) -> Duration {
        let window = self.timeshift.as_ref().map_or(Duration::ZERO, |timeshift| timeshift.window());
        self.listed_min().max(window)
    }

    /// Gives up in memory what can be read back, of a stream that has ended.
    pub(super) fn release(&self) {
        let mut state = self.state();
        if state.ended {
            state.renditions.iter_mut().for_each(Rendition::release);
        }
    }

    /// Whether viewers can go back further than memory reaches.
    pub(super) fn can_rewind(&self) -> bool {
        self.timeshift.is_some()
    }

    /// How far viewers can go back now, in all tracks, if they can.
    pub(super) fn rewind(&self) -> Option<Duration> {
        self.timeshift.as_ref()?;
        let state = self.state();
        state.renditions.iter().map(Rendition::duration).min()
    }

    /// A segment that is not in memory any more.
    pub(super) fn shelved(&self, track: TrackId, number: u64) -> Option<(Arc<Timeshift>, Arc<Entry>)> {
        let entry = self.state().rendition(track)?.shelved(number)?;
        Some((self.timeshift.clone()?, entry))
    }

    /// What stands for a segment that lists say is lost: one without a frame.
    pub(super) fn lost(&self, track: TrackId, number: u64) -> Option<Bytes> {
        self.state().rendition(track)?.lost(number)
    }

    /// How long nobody has asked.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.state().asked)
    }

    /// The target duration.
    pub(super) fn target(&self) -> Duration {
        self.state().terms.target
    }

    /// The part target duration.
    pub(super) fn part_target(&self) -> Duration {
        self.state().terms.part_target
    }

    /// How far a track has come, and follows it.
    pub(super) fn follow(&self, track: TrackId) -> Option<watch::Receiver<Edge>> {
        self.state().rendition(track).map(|rendition| rendition.edge.subscribe())
    }

    /// Follows what is added.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What a decoder of all tracks must know, and where they begin: with the newest segment of the first track.
    pub(super) fn join(&self) -> Option<(Bytes, Vec<Place>)> {
        let state = self.state();
        let newest = state.renditions.first()?.segments.back()?.date;
        let (mut tracks, mut places) = (Vec::new(), Vec::new());
        for rendition in &state.renditions {
            // The one that began at about the same time.
            let near = |segment: &&Segment| {
                let apart = segment.date.duration_since(newest).unwrap_or_else(|error| error.duration());
                apart < segment.duration().max(state.terms.part_target) / 2
            };
            let Some(segment) = rendition.segments.iter().rev().find(near).or(rendition.segments.back())
            else {
                continue;
            };
            tracks.push(rendition.init(segment.init)?.track.clone());
            places.push(Place {
                track: rendition.id,
                segment: segment.number,
                part: 0,
                discontinuities: segment.discontinuities,
            });
        }
        let mut init = BytesMut::new();
        fmp4::write_init(&tracks, &mut init).ok()?;
        Some((init.freeze(), places))
    }

    /// What has come since for a reader at `places`.
    pub(super) fn step(&self, places: &mut [Place]) -> Step {
        let state = self.state();
        let mut due = Vec::new();
        for place in places {
            let Some(rendition) = state.rendition(place.track) else { return Step::End };
            loop {
                let Some(segment) = rendition.segment(place.segment) else {
                    let is_gone =
                        rendition.segments.front().is_some_and(|first| first.number > place.segment);
                    if is_gone {
                        return Step::End;
                    }
                    break;
                };
                if segment.discontinuities != place.discontinuities {
                    return if due.is_empty() { Step::End } else { Step::Parts(in_order(due)) };
                }
                let before: Duration = segment.parts.iter().take(place.part).map(|part| part.duration).sum();
                let mut start = segment.start + before;
                for part in segment.parts.iter().skip(place.part) {
                    due.push(Due { start, bytes: part.bytes.clone() });
                    start = start + part.duration;
                    place.part += 1;
                }
                if !segment.closed {
                    break;
                }
                (place.segment, place.part) = (segment.number + 1, 0);
            }
        }
        if due.is_empty() && state.ended { Step::End } else { Step::Parts(in_order(due)) }
    }

    /// The multivariant playlist. `folder` is where media is, as seen from there. `rungs` are on offer beside the stream itself.
    pub(super) fn multivariant(&self, folder: &str, span: Span, rungs: &[Offer]) -> Written {
        let state = self.state();
        Written::new(playlist::multivariant(&state.renditions, folder, &state.terms, span, rungs))
    }

    /// The manifest. `folder` is where media is, as seen from there. `rungs` are on offer beside the stream itself.
    pub(super) fn manifest(&self, folder: &str, rungs: &[Offer]) -> Written {
        let State { renditions, epochs, terms, ended, .. } = &*self.state();
        let content = Content { renditions, epochs, terms, ended: *ended, rungs };
        Written::new(manifest(content, folder, SystemTime::now(), Span::Live))
    }

    /// The media playlist of a track.
    pub(super) fn playlist(&self, track: TrackId, directives: Directives) -> Option<Written> {
        let mut state = self.state();
        let state = &mut *state;
        let key = (track, directives.skip);
        if let Some(written) = state.written.get(&key) {
            return Some(written.clone());
        }
        let rendition = state.rendition(track)?;
        let others = state.renditions.iter().filter(|other| other.id != track);
        let others = others.map(|other| (other.id, *other.edge.borrow()));
        let written =
            Written::new(playlist::media(rendition, others, &state.terms, directives.skip, Span::Live));
        // After the end nothing is added, but what is on a disk may leave.
        if !state.ended {
            state.written.insert(key, written.clone());
        }
        Some(written)
    }

    /// The media playlist of all there is of a track.
    pub(super) async fn rewind_playlist(&self, track: TrackId, directives: Directives) -> Option<Written> {
        self.rewound(Text::Playlist(track, directives.skip)).await
    }

    /// The manifest of all there is. `folder` is where media is, as seen from there.
    pub(super) async fn rewind_manifest(&self, folder: &str) -> Option<Written> {
        self.rewound(Text::Manifest(folder.to_owned())).await
    }

    /// A list of all there is now, or of later. It is written away from media, and once for all who come meanwhile.
    async fn rewound(&self, text: Text) -> Option<Written> {
        let known = |since: Option<u64>| {
            let state = self.state();
            let since = since.unwrap_or_else(|| *self.changes.borrow());
            let known = state.rewound.get(&text).filter(|(count, _)| *count >= since);
            (since, known.map(|(_, written)| written.clone()))
        };
        let (since, written) = known(None);
        if written.is_some() {
            return written;
        }
        let _turn = self.writing.lock().await;
        let (_, written) = known(Some(since));
        if written.is_some() {
            return written;
        }
        let outline = self.outline();
        let (count, ended) = (outline.count, outline.ended);
        let asked = text.clone();
        let written = tokio::task::spawn_blocking(move || outline.write(&asked)).await.ok()??;
        // After the end nothing is added, but what is on a disk may leave.
        if !ended {
            self.state().rewound.insert(text.clone(), (count, written.clone()));
        }
        Some(written)
    }

    fn outline(&self) -> Outline {
        let state = self.state();
        Outline {
            renditions: state.renditions.iter().map(Rendition::outline).collect(),
            epochs: state.epochs.clone(),
            terms: state.terms.clone(),
            ended: state.ended,
            count: *self.changes.borrow(),
        }
    }

    /// Looks at a track, and at whether there will be no more of it.
    pub(super) fn look<T>(&self, track: TrackId, look: impl FnOnce(&Rendition, bool) -> T) -> Option<T> {
        let state = self.state();
        state.rendition(track).map(|rendition| look(rendition, state.ended))
    }

    /// What lists say of a segment that is in memory.
    pub(super) fn line(&self, track: TrackId, number: u64) -> Option<Line> {
        self.state().rendition(track)?.segment(number).map(Segment::line)
    }

    /// Whether a track has come to a moment that its stream begins a segment with.
    pub(super) fn reaches(&self, track: TrackId, start: Time) -> bool {
        let state = self.state();
        let newest = state.rendition(track).and_then(|rendition| rendition.segments.back());
        newest.is_some_and(|newest| newest.start >= start || guide::is_same(newest.start, start))
    }

    /// Whether a track has, complete, what its stream has in segments up to one that ends at `end`.
    pub(super) fn has_all(&self, track: TrackId, end: Time) -> bool {
        let state = self.state();
        let newest = state.rendition(track).and_then(|rendition| rendition.segments.back());
        newest.is_some_and(|newest| {
            let reached = if newest.closed { newest.start + newest.duration() } else { newest.start };
            reached >= end || guide::is_same(reached, end)
        })
    }

    /// Whether a track has a segment after so many interruptions.
    pub(super) fn has_begun_anew(&self, track: TrackId, discontinuities: u64) -> bool {
        let state = self.state();
        let newest = state.rendition(track).and_then(|rendition| rendition.segments.back());
        newest.is_some_and(|newest| newest.discontinuities >= discontinuities)
    }

    /// The segments that begin at a moment that its stream begins one with, or after it and before `to`, where that one ends. There are
    /// several where the encoder has left out a picture that was to be a keyframe.
    pub(super) fn within(&self, track: TrackId, from: Time, to: Option<Time>) -> Vec<u64> {
        let state = self.state();
        let begins = |segment: &&Segment| {
            let start = segment.start;
            (start >= from || guide::is_same(start, from))
                && to.is_none_or(|to| start < to && !guide::is_same(start, to))
        };
        let segments = state.rendition(track).map(|rendition| rendition.segments.iter());
        segments.into_iter().flatten().filter(begins).map(|segment| segment.number).collect()
    }

    /// How many interruptions came before the segments that need an initialization section, where there are any.
    pub(super) fn begun_with(&self, track: TrackId, init: u64) -> Option<u64> {
        let state = self.state();
        let mut newest_first = state.rendition(track)?.segments.iter().rev();
        newest_first.find(|segment| segment.init == init).map(|segment| segment.discontinuities)
    }

    /// The initialization section of what came after so many interruptions, or else of the newest.
    pub(super) fn init_like(&self, track: TrackId, discontinuities: Option<u64>) -> Option<Bytes> {
        let state = self.state();
        let rendition = state.rendition(track)?;
        let newest_first = || rendition.segments.iter().rev();
        let like = newest_first().find(|segment| Some(segment.discontinuities) == discontinuities);
        let segment = like.or_else(|| newest_first().next())?;
        rendition.init(segment.init).map(|init| init.bytes.clone())
    }

    /// A segment without a frame in the place of one that is not there.
    pub(super) fn empty(&self, track: TrackId, line: &Line) -> Option<Bytes> {
        let state = self.state();
        let rendition = state.rendition(track)?;
        let init = rendition.segments.back().map(|segment| segment.init)?;
        rendition.empty(&Line { init, ..*line })
    }

    /// An initialization section.
    pub(super) fn init(&self, track: TrackId, number: u64) -> Option<Init> {
        self.state().rendition(track)?.init(number).cloned()
    }

    /// Looks at what there is: the tracks, whether there will be no more, and what holds for playlists.
    pub(super) fn view<T>(&self, look: impl FnOnce(&[Rendition], bool, &Terms) -> T) -> T {
        let state = self.state();
        look(&state.renditions, state.ended, &state.terms)
    }

    /// A part.
    pub(super) fn part(&self, track: TrackId, segment: u64, part: u32) -> Option<Bytes> {
        let state = self.state();
        let segment = state.rendition(track)?.segment(segment)?;
        segment.parts.get(part as usize).map(|part| part.bytes.clone())
    }

    /// A segment from part `from` on.
    pub(super) fn segment(&self, track: TrackId, number: u64, from: usize) -> Option<Media> {
        let state = self.state();
        let segment = state.rendition(track)?.segment(number)?;
        let parts = segment.parts.iter().skip(from).map(|part| part.bytes.clone()).collect();
        Some(Media { parts, closed: segment.closed })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_order(mut due: Vec<Due>) -> Vec<Due> {
    due.sort_by_key(|part| part.start);
    due
}

impl State {
    /// Notes where an interruption has ended. The first one stays: its date is that of the whole presentation.
    fn note_epoch(&mut self, new: &NewSegment) {
        let NewSegment { start, date, discontinuities, .. } = *new;
        if self.epochs.iter().any(|epoch| epoch.discontinuities == discontinuities) {
            return;
        }
        let listed =
            |rendition: &Rendition| rendition.lines(Span::Rewind).map(|line| line.discontinuities).min();
        let oldest = self.renditions.iter().filter_map(listed).min().unwrap_or_default();
        let mut is_first = true;
        self.epochs.retain(|epoch| std::mem::take(&mut is_first) || epoch.discontinuities >= oldest);
        self.epochs.push(Epoch { discontinuities, start, date });
        self.epochs.sort_by_key(|epoch| epoch.discontinuities);
    }

    fn rendition(&self, track: TrackId) -> Option<&Rendition> {
        self.renditions.iter().chain(&self.retired).find(|rendition| rendition.id == track)
    }

    /// Retires tracks that have had no frame since the last interruption, when `track` has a whole segment after it, and gives up those
    /// whose time has left the lists. Returns whether there were any.
    fn retire(&mut self, track: TrackId, is_sent: impl Fn(TrackId) -> bool) -> bool {
        let newest = self.renditions.iter().find(|rendition| rendition.id == track);
        let Some(newest) = newest.and_then(|rendition| rendition.segments.back()) else { return false };
        let (discontinuities, target) = (newest.discontinuities, self.terms.target);
        let end = |segment: &Segment| segment.start + segment.duration();
        let now = end(newest);
        let is_over = |rendition: &mut Rendition| {
            rendition.segments.back().is_some_and(|last| {
                let is_before = last.closed && last.discontinuities < discontinuities;
                let absent = now.since(end(last));
                // What is still sent may wait for a keyframe, but not for longer than there are segments.
                is_before
                    && absent >= target
                    && (absent >= limits::SEGMENT_MAX + target || !is_sent(rendition.id))
            })
        };
        let mut is_any = false;
        for mut rendition in self.renditions.extract_if(.., is_over) {
            rendition.end();
            self.retired.push(rendition);
            is_any = true;
        }
        let oldest = self.renditions.iter().filter_map(|rendition| rendition.listed().next());
        let oldest = oldest.map(|segment| segment.discontinuities).min().unwrap_or_default();
        self.retired
            .retain(|rendition| rendition.segments.back().is_some_and(|last| last.discontinuities >= oldest));
        is_any
    }
}

#[cfg(test)]
mod tests;
