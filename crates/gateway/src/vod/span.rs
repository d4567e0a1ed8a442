//! A stretch of a recording in which every track has one configuration, and how it is cut into segments. Pure.

use super::limits::{NAME_TICKS, SEGMENT};
use super::samples::Samples;
use media::container::fmp4::{self, MovieTrack};
use media::{Kind, Time, TrackId};
use std::ops::Range;
use std::time::Duration;

/// What a track of a span is made of.
#[derive(Debug, Clone)]
pub(super) struct Described {
    /// The track without its samples.
    pub(super) media: MovieTrack,
    pub(super) samples: Samples,
    /// How it is described.
    pub(super) written: fmp4::Track,
}

/// A track of a span.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Track {
    /// The track without its samples.
    pub(super) media: MovieTrack,
    pub(super) samples: Samples,
    /// How it is described.
    pub(super) written: fmp4::Track,
    /// Ticks from the times of the samples to those of the span.
    pub(super) shift: i64,
    /// Of pictures: the samples that decoding can start at, the first one in any case. Empty for sound, where all are.
    keys: Vec<usize>,
    /// The samples that segments begin with.
    grid: Vec<usize>,
}

impl Track {
    /// When a sample is decoded, on the clock of the span, in ticks.
    pub(super) fn decoded(&self, index: usize) -> i64 {
        let dts = self.samples.get(index).map_or(self.media.end, |sample| sample.dts);
        dts.saturating_add(self.shift)
    }

    /// When a sample is shown, likewise.
    pub(super) fn shown(&self, index: usize) -> i64 {
        let composition = self.samples.get(index).map_or(0, |sample| sample.composition);
        self.decoded(index).saturating_add(composition.into())
    }

    /// When a sample is shown.
    pub(super) fn shown_at(&self, index: usize) -> Time {
        self.time(self.shown(index))
    }

    fn time(&self, ticks: i64) -> Time {
        Time::from_ticks(ticks, self.media.timescale)
    }

    fn ticks(&self, time: Time) -> i64 {
        time.to_ticks(self.media.timescale)
    }

    fn is_video(&self) -> bool {
        self.media.id.kind == Kind::Video
    }

    /// The first sample that is shown at `ticks` or later and that one can begin with.
    pub(super) fn entrance_from(&self, ticks: i64) -> usize {
        match self.is_video() {
            true => {
                let at = self.keys.partition_point(|key| self.shown(*key) < ticks);
                self.keys.get(at).copied().unwrap_or(self.samples.len())
            }
            false => self.samples.partition_point(|sample| sample.dts.saturating_add(self.shift) < ticks),
        }
    }

    /// The last sample that is shown at `ticks` or before and that one can begin with; else the first.
    pub(super) fn entrance_until(&self, ticks: i64) -> usize {
        let after = self.entrance_from(ticks.saturating_add(1));
        match self.is_video() {
            true => {
                let at = self.keys.partition_point(|key| *key < after);
                at.checked_sub(1).and_then(|at| self.keys.get(at)).copied().unwrap_or(0)
            }
            false => after.saturating_sub(1),
        }
    }

    /// The number of the segment that a sample is in, from 1: fragments have it, so that a player sees none missing
    /// (ISO/IEC 14496-12 section 8.8.5).
    pub(super) fn number(&self, index: usize) -> u32 {
        let before = self.grid.partition_point(|begin| *begin <= index);
        u32::try_from(before).unwrap_or(u32::MAX)
    }

    /// The last sample that is decoded at `ticks` or before and that one can begin with; else the first.
    pub(super) fn decoding_until(&self, ticks: i64) -> usize {
        let after = self.decoding_from(ticks.saturating_add(1));
        match self.is_video() {
            true => {
                let at = self.keys.partition_point(|key| *key < after);
                at.checked_sub(1).and_then(|at| self.keys.get(at)).copied().unwrap_or(0)
            }
            false => after.saturating_sub(1),
        }
    }

    /// The first sample that is decoded at `ticks` or later and that one can begin with.
    pub(super) fn decoding_from(&self, ticks: i64) -> usize {
        let all = self.samples.len();
        match self.is_video() {
            true => {
                let at = self.keys.partition_point(|key| self.decoded(*key) < ticks);
                self.keys.get(at).copied().unwrap_or(all)
            }
            false => self.samples.partition_point(|sample| sample.dts.saturating_add(self.shift) < ticks),
        }
    }

    /// The bytes that it takes in memory, about.
    fn weight(&self) -> usize {
        self.samples.weight() + (self.keys.capacity() + self.grid.capacity()) * size_of::<usize>()
    }
}

/// A segment of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its samples.
    pub(super) samples: Range<usize>,
    /// When it is shown, on the clock of the span, in ticks of the track.
    pub(super) shown: Range<i64>,
}

/// A stretch of a recording. Its clock begins at the earliest decode time of any track.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) tracks: Vec<Track>,
    /// Until the last sample ends.
    pub(super) length: Duration,
    /// Whether nothing more comes.
    pub(super) closed: bool,
}

impl Span {
    /// Of tracks with at least one sample each. `None` if there is none.
    pub(super) fn new(tracks: Vec<Described>, closed: bool) -> Option<Self> {
        let begins = |track: &Described| Some(track.media.dts(track.samples.first()?));
        let origin = tracks.iter().filter_map(begins).min()?;
        let track = |Described { media, samples, written }: Described| {
            let numbered = || samples.iter().enumerate();
            let keys = match media.id.kind {
                Kind::Video => {
                    numbered().filter(|(i, s)| *i == 0 || s.flags.keyframe).map(|(i, _)| i).collect()
                }
                _ => Vec::new(),
            };
            let shift = origin.to_ticks(media.timescale).saturating_add(media.start).saturating_neg();
            Track { media, samples, written, shift, keys, grid: Vec::new() }
        };
        let is_there = |track: &Described| !track.samples.is_empty();
        let tracks = tracks.into_iter().filter(is_there).map(track).collect();
        let mut span = Self { tracks, length: Duration::ZERO, closed };
        let ends = span.tracks.iter().map(|track| track.time(track.decoded(usize::MAX)));
        span.length = ends.max()?.since(Time::ZERO);
        span.make_grid();
        Some(span)
    }

    /// The track whose keyframes are entrances: the first one of pictures, else of sound.
    pub(super) fn main(&self) -> Option<&Track> {
        self.tracks.iter().find(|track| track.is_video()).or(self.tracks.first())
    }

    /// The track of this name.
    pub(super) fn track(&self, id: TrackId) -> Option<&Track> {
        self.tracks.iter().find(|track| track.media.id == id)
    }

    /// When its last sample ends, on its clock.
    pub(super) fn end(&self) -> Time {
        Time::ZERO + self.length
    }

    /// When its last frame is decoded, on its clock.
    pub(super) fn last(&self) -> Time {
        let of_track = |track: &Track| track.time(track.decoded(track.samples.len().saturating_sub(1)));
        self.tracks.iter().map(of_track).max().unwrap_or_default()
    }

    /// The bytes that it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        self.tracks.iter().map(Track::weight).sum()
    }

    /// Decides where segments begin: at the first keyframe [`SEGMENT`] after the last one, and sound where pictures do. What is
    /// appended later changes nothing of it.
    fn make_grid(&mut self) {
        let Some(main) = self.main() else { return };
        let bounds: Vec<Time> = grid(main).into_iter().map(|index| main.shown_at(index)).collect();
        for track in &mut self.tracks {
            track.grid = match track.is_video() {
                true => grid(track),
                false => {
                    let at = |bound: &Time| track.entrance_from(track.ticks(*bound));
                    let mut grid: Vec<_> = std::iter::once(0).chain(bounds.iter().skip(1).map(at)).collect();
                    grid.dedup();
                    grid.retain(|index| *index < track.samples.len());
                    grid
                }
            };
        }
    }

    /// The segments of a track that show `window`, a time on the clock of the span: from the keyframe at its start or before to
    /// that at its end or behind. Of a span that grows, those that are complete.
    pub(super) fn segments(&self, track: &Track, window: &Range<Time>) -> Vec<Segment> {
        let all = track.samples.len();
        let entry = self.entry(window.start);
        let first = match window.start <= Time::ZERO {
            true => 0,
            false if track.is_video() => track.entrance_until(track.ticks(entry)),
            false => track.entrance_from(track.ticks(entry)),
        };
        let last = match self.exit(window.end) {
            Some(end) => track.entrance_from(track.ticks(end)),
            None if self.closed => all,
            None => track.grid.last().copied().unwrap_or(0),
        };
        let begins: Vec<_> = std::iter::once(first)
            .chain(track.grid.iter().copied().filter(|index| *index > first))
            .filter(|index| *index < last)
            .collect();
        let ends = begins.iter().copied().skip(1).chain([last]);
        begins.iter().zip(ends).map(|(begin, end)| segment(track, *begin..end)).collect()
    }

    /// The segment of a track that begins at `time` and ends where the next one does, or before `end`; in ticks of the track on
    /// the clock of the span. `None` if there is none, or none yet.
    pub(super) fn segment(&self, track: &Track, time: i64, end: Option<i64>) -> Option<Segment> {
        let all = track.samples.len();
        let first = track.entrance_from(time.saturating_sub(NAME_TICKS));
        if first >= all || track.shown(first) > time.saturating_add(NAME_TICKS) {
            return None;
        }
        let next = track.grid.get(track.grid.partition_point(|index| *index <= first)).copied();
        let end = end.map(|end| track.entrance_from(end.saturating_sub(NAME_TICKS)));
        let last = match (next, end) {
            (Some(next), end) => next.min(end.unwrap_or(all)),
            (None, Some(end)) if end < all || self.closed => end,
            (None, None) if self.closed => all,
            (None, _) => return None,
        };
        (first < last).then(|| segment(track, first..last))
    }

    /// Holds what players rely on: segments follow one another, none is empty, and each is found by its name.
    pub(super) fn check(&self) {
        for track in &self.tracks {
            let segments = self.segments(track, &(Time::ZERO..Time::from_nanos(i64::MAX / 4)));
            assert!(segments.first().is_some_and(|first| first.samples.start == 0));
            for pair in segments.windows(2) {
                assert_eq!(pair[0].samples.end, pair[1].samples.start);
            }
            assert!(segments.iter().all(|segment| !segment.samples.is_empty()));
            assert!(segments.last().is_some_and(|last| last.samples.end == track.samples.len()));
        }
    }

    /// When decoding has to begin so that `time` is shown.
    pub(super) fn entry(&self, time: Time) -> Time {
        self.main().map_or(time, |main| main.shown_at(main.entrance_until(main.ticks(time))))
    }

    /// When the first keyframe is shown at `time` or later; `None` where there is none any more.
    pub(super) fn exit(&self, time: Time) -> Option<Time> {
        let main = self.main()?;
        let index = main.entrance_from(main.ticks(time));
        (index < main.samples.len()).then(|| main.shown_at(index))
    }
}

fn segment(track: &Track, samples: Range<usize>) -> Segment {
    let begin = track.shown(samples.start);
    let end = match samples.end < track.samples.len() {
        true => track.shown(samples.end),
        false => {
            begin.saturating_add(track.decoded(samples.end).saturating_sub(track.decoded(samples.start)))
        }
    };
    Segment { samples, shown: begin..end.max(begin + 1) }
}

/// Where segments of a track begin that is cut by itself.
fn grid(track: &Track) -> Vec<usize> {
    let mut grid: Vec<usize> = Vec::new();
    let mut due = i64::MIN;
    let length = track.ticks(Time::ZERO + SEGMENT);
    let mut visit = |index: usize| {
        if track.shown(index) >= due {
            due = track.shown(index).saturating_add(length);
            grid.push(index);
        }
    };
    match track.is_video() {
        true => track.keys.iter().copied().for_each(&mut visit),
        false => (0..track.samples.len()).for_each(&mut visit),
    }
    grid
}

#[cfg(test)]
pub(super) mod tests;
