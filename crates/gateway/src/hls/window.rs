//! The newest segments of one track, in memory: what playlists list, and a while longer.

use super::name::File;
use crate::timeshift::{Entry, Shelf};
use bytes::{Bytes, BytesMut};
use media::codec::Summary;
use media::container::fmp4;
use media::{Time, TrackId};
use std::collections::{VecDeque, vec_deque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// A part: a CMAF chunk of whole frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Heads and media.
    pub(super) bytes: Bytes,
    /// On the decoding clock.
    pub(super) duration: Duration,
    /// Frames in it.
    pub(super) frames: usize,
    /// Whether decoding can start in it.
    pub(super) independent: bool,
}

/// A segment, complete or growing.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// Its media sequence number.
    pub(super) number: u64,
    /// When its first frame is shown, on the clock of the media.
    pub(super) start: Time,
    /// The same as the time of day.
    pub(super) date: SystemTime,
    /// Interruptions of the stream before it.
    pub(super) discontinuities: u64,
    /// The number of the initialization section that it needs.
    pub(super) init: u64,
    /// At least one.
    pub(super) parts: Vec<Part>,
    /// No part will follow.
    pub(super) closed: bool,
}

/// What lists say of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its media sequence number.
    pub(crate) number: u64,
    /// When its first frame is shown, on the clock of the media.
    pub(crate) start: Time,
    /// The same as the time of day.
    pub(crate) date: SystemTime,
    /// How long it is, as far as it has come.
    pub(crate) duration: Duration,
    /// Interruptions of the stream before it.
    pub(crate) discontinuities: u64,
    /// The number of the initialization section that it needs.
    pub(crate) init: u64,
    /// No part will follow.
    pub(crate) closed: bool,
    /// It cannot be had any more, though others before it can.
    pub(crate) lost: bool,
    /// Of all its parts.
    pub(crate) bytes: usize,
}

/// What a list begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Span {
    /// What players near the live edge need.
    Live,
    /// The oldest segment that there is.
    Rewind,
}

impl Segment {
    /// What lists say of it.
    pub(super) fn line(&self) -> Line {
        Line {
            number: self.number,
            start: self.start,
            date: self.date,
            duration: self.duration(),
            discontinuities: self.discontinuities,
            init: self.init,
            closed: self.closed,
            lost: false,
            bytes: self.bytes(),
        }
    }

    /// The sum of its parts.
    pub(super) fn duration(&self) -> Duration {
        self.parts.iter().map(|part| part.duration).sum()
    }

    /// Bytes of all its parts.
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes.len()).sum()
    }
}

/// What a decoder must know first.
#[derive(Debug, Clone)]
pub(super) struct Init {
    /// The segment that it was made for.
    pub(super) number: u64,
    /// `ftyp` and `moov`.
    pub(super) bytes: Bytes,
    /// The track as it is in MP4.
    pub(super) track: fmp4::Track,
}

/// How far a track has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Edge {
    /// The number of the newest segment.
    pub(super) segment: u64,
    /// Its parts so far.
    pub(super) parts: u32,
    /// It is complete.
    pub(super) closed: bool,
    /// Nothing will follow.
    pub(super) ended: bool,
}

impl Edge {
    /// Whether a playlist shows the segment, or the part of it. A part that the segment does not have stands for the first one
    /// of the next (RFC 8216bis section 6.2.5.2).
    pub(super) fn shows(&self, segment: u64, part: Option<u32>) -> bool {
        match part {
            Some(part) => self.segment > segment || (self.segment == segment && self.parts > part),
            None => self.segment > segment || (self.segment == segment && self.closed),
        }
    }

    /// Whether a part will never be there that is not there now.
    pub(super) fn is_past(&self, segment: u64) -> bool {
        self.ended || self.segment > segment || (self.segment == segment && self.closed)
    }

    /// Whether a request is for something too far ahead to be waited for (the same section).
    pub(super) fn is_beyond(&self, segment: u64, part: Option<u32>, part_target: Duration) -> bool {
        let complete = if self.closed { self.segment } else { self.segment.saturating_sub(1) };
        // The "Advance Part Limit".
        let ahead = match part_target < Duration::from_secs(1) {
            true => 3_000_u128.div_ceil(part_target.as_millis().max(1)) as u32,
            false => 3,
        };
        let has = if self.segment == segment { self.parts } else { 0 };
        let is_far = segment > complete.saturating_add(2)
            || part.is_some_and(|part| part >= has.saturating_add(ahead));
        is_far && !self.shows(segment, part)
    }

    /// Whether the segment, or the part of it, is still to come.
    pub(super) fn is_ahead(&self, segment: u64, part: u32) -> bool {
        !self.ended && (segment, part) >= self.next()
    }

    /// The part that comes next.
    pub(super) fn next(&self) -> (u64, u32) {
        if self.closed { (self.segment + 1, 0) } else { (self.segment, self.parts) }
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// At least so much is listed.
    pub(super) listed: Duration,
    /// Bytes of the segments of one track.
    pub(super) bytes_max: usize,
}

/// A track with its newest segments.
#[derive(Debug)]
pub(super) struct Rendition {
    pub(super) id: TrackId,
    pub(super) inits: Vec<Init>,
    pub(super) segments: VecDeque<Segment>,
    /// The oldest that is listed.
    pub(super) first_listed: u64,
    pub(super) edge: watch::Sender<Edge>,
    bytes: usize,
    /// What is kept for longer than in memory.
    shelf: Option<Shelf>,
    /// What lists say of that, in an outline.
    outlined: Vec<Line>,
}

/// What is kept of a track from before its stream began anew.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) id: TrackId,
    /// The number of the segment that goes on where it ended.
    pub(super) next: u64,
    inits: Vec<Init>,
    shelf: Shelf,
}

/// What begins with a part that begins a segment.
#[derive(Debug)]
pub(super) struct NewSegment {
    /// There if it differs from that of the segment before.
    pub(super) init: Option<Init>,
    pub(super) number: u64,
    pub(super) start: Time,
    pub(super) date: SystemTime,
    pub(super) discontinuities: u64,
}

impl Rendition {
    /// A track without segments. The first one will have the number `first`.
    pub(super) fn new(id: TrackId, first: u64) -> Self {
        Self {
            id,
            inits: Vec::new(),
            segments: VecDeque::new(),
            first_listed: first,
            edge: watch::Sender::new(Edge { segment: first, ..Edge::default() }),
            bytes: 0,
            shelf: None,
            outlined: Vec::new(),
        }
    }

    /// What lists are written from, as it is now: lists of hours take a while, and media goes on meanwhile.
    pub(super) fn outline(&self) -> Self {
        let first = self.segments.front().map(|segment| segment.number);
        Self {
            id: self.id,
            inits: self.inits.clone(),
            segments: self.segments.clone(),
            first_listed: self.first_listed,
            edge: watch::Sender::new(*self.edge.borrow()),
            bytes: self.bytes,
            shelf: None,
            outlined: self.shelf.iter().flat_map(|shelf| shelf.lines(0, first)).collect(),
        }
    }

    /// How long all of its segments last, in memory and on the disk.
    pub(super) fn duration(&self) -> Duration {
        let first = self.segments.front().map(|segment| segment.number);
        let shelved = self.shelf.as_ref().map_or(Duration::ZERO, |shelf| shelf.duration(first));
        shelved + self.segments.iter().map(Segment::duration).sum::<Duration>()
    }

    /// Keeps what becomes complete on `shelf`, too.
    pub(super) fn keep_on(&mut self, shelf: Shelf) {
        self.shelf = Some(shelf);
    }

    /// Appends a part, in a new segment or in the one at hand.
    pub(super) fn append(&mut self, new: Option<NewSegment>, part: Part, closes: bool, keep: Keep) {
        if let Some(NewSegment { init, number, start, date, discontinuities }) = new {
            // The one before was not finished: its last parts could not be made.
            if self.segments.back().is_some_and(|last| !last.closed) {
                self.close_last();
            }
            self.inits.extend(init);
            let init = self.inits.last().map_or(0, |init| init.number);
            self.segments.push_back(Segment {
                number,
                start,
                date,
                discontinuities,
                init,
                parts: Vec::new(),
                closed: false,
            });
        }
        let Some(segment) = self.segments.back_mut() else { return };
        self.bytes += part.bytes.len();
        segment.parts.push(part);
        let edge =
            Edge { segment: segment.number, parts: segment.parts.len() as u32, closed: closes, ended: false };
        if closes {
            self.close_last();
        }
        self.trim(keep);
        self.edge.send_replace(edge);
    }

    fn close_last(&mut self) {
        let Some(last) = self.segments.back_mut() else { return };
        last.closed = true;
        if let Some(shelf) = &mut self.shelf {
            shelf.put(last.line(), last.parts.iter().map(|part| part.bytes.clone()).collect());
        }
    }

    /// Nothing will follow.
    pub(super) fn end(&mut self) {
        self.edge.send_modify(|edge| edge.ended = true);
    }

    /// Gives away what is kept of a track that has ended, for when its stream begins anew.
    pub(super) fn leave(&mut self) -> Option<Past> {
        let shelf = self.shelf.take()?;
        Some(Past { id: self.id, next: shelf.next()?, inits: self.inits.clone(), shelf })
    }

    /// A track that goes on where `past` ended.
    pub(super) fn after(past: Past) -> Self {
        let Past { id, next, inits, shelf } = past;
        Self { inits, shelf: Some(shelf), ..Self::new(id, next) }
    }

    /// Gives up in memory what the shelf has as well. For a stream that has ended: parts are had no more then.
    pub(super) fn release(&mut self) {
        let Some(shelf) = &self.shelf else { return };
        while self.segments.front().is_some_and(|first| shelf.entry(first.number).is_some()) {
            self.segments.pop_front();
        }
        self.bytes = self.segments.iter().map(Segment::bytes).sum();
    }

    /// What a list says of each segment, in order. The last one may be growing.
    pub(super) fn lines(&self, span: Span) -> impl Iterator<Item = Line> {
        let in_memory = match span {
            Span::Live => self.listed(),
            Span::Rewind => self.segments.iter(),
        };
        let first = self.segments.front().map(|segment| segment.number);
        let from = match span {
            Span::Live => self.first_listed,
            Span::Rewind => 0,
        };
        let shelved = self.shelf.iter().flat_map(move |shelf| shelf.lines(from, first));
        let outlined = self.outlined.iter().copied().filter(move |line| line.number >= from);
        shelved.chain(outlined).chain(in_memory.map(Segment::line))
    }

    /// The same for lists that cannot say that a segment is lost: from the last such one on.
    pub(super) fn whole_lines(&self, span: Span) -> impl Iterator<Item = Line> {
        let lost = self.lines(span).filter(|line| line.lost).last().map(|line| line.number);
        self.lines(span).skip_while(move |line| lost.is_some_and(|lost| line.number <= lost))
    }

    /// A segment that is not in memory any more, or that is on the way from there.
    pub(super) fn shelved(&self, number: u64) -> Option<Arc<Entry>> {
        self.shelf.as_ref()?.entry(number)
    }

    /// What stands for a segment that is listed and cannot be had any more, for players that do not know of gaps: a segment
    /// without a frame. They go on behind it, and some give up where there is none.
    pub(super) fn lost(&self, number: u64) -> Option<Bytes> {
        self.empty(&self.shelf.as_ref()?.lost(number)?)
    }

    /// A segment without a frame.
    pub(super) fn empty(&self, line: &Line) -> Option<Bytes> {
        let mut out = BytesMut::new();
        fmp4::write_segment_type(&mut out);
        fmp4::write_empty_fragment(&self.init(line.init)?.track, line.start, line.duration, &mut out).ok()?;
        Some(out.freeze())
    }

    /// The segments that playlists list, the last of which may be growing.
    pub(super) fn listed(&self) -> vec_deque::Iter<'_, Segment> {
        let first = self.segments.front().map_or(self.first_listed, |segment| segment.number);
        let delisted = self.first_listed.saturating_sub(first) as usize;
        self.segments.range(delisted.min(self.segments.len())..)
    }

    /// A segment that is still there.
    pub(super) fn segment(&self, number: u64) -> Option<&Segment> {
        let first = self.segments.front()?.number;
        self.segments.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// The initialization section of that number.
    pub(super) fn init(&self, number: u64) -> Option<&Init> {
        self.inits.iter().find(|init| init.number == number)
    }

    /// What the track is now.
    pub(super) fn summary(&self) -> Option<&Summary> {
        self.inits.last().map(|init| init.track.summary())
    }

    /// The highest and the mean rate of the listed segments, in bits per second; of the growing one alone while no other is
    /// there.
    pub(super) fn bits_per_second(&self) -> (u64, u64) {
        let rate = |bytes: usize, duration: Duration| {
            (bytes as f64 * 8.0 / duration.as_secs_f64().max(0.001)).ceil() as u64
        };
        let closed = || self.lines(Span::Live).filter(|line| line.closed);
        let peak = closed().map(|line| rate(line.bytes, line.duration)).max();
        let (bytes, duration) = match peak {
            Some(_) => closed().fold((0, Duration::ZERO), |(bytes, duration), line| {
                (bytes + line.bytes, duration + line.duration)
            }),
            None => self.segments.back().map_or((0, Duration::ZERO), |last| (last.bytes(), last.duration())),
        };
        let mean = rate(bytes, duration);
        (peak.unwrap_or(mean), mean)
    }

    /// Frames per second of what is listed.
    pub(super) fn frames_per_second(&self) -> Option<f64> {
        let parts = || self.listed().flat_map(|segment| &segment.parts);
        let duration: Duration = parts().map(|part| part.duration).sum();
        let frames: usize = parts().map(|part| part.frames).sum();
        (!duration.is_zero()).then(|| frames as f64 / duration.as_secs_f64())
    }

    /// The name of an initialization section of this track.
    pub(super) fn init_file(&self, number: u64) -> File {
        File::Init(self.id, number)
    }

    /// Takes old segments from the list, and gives those up that nobody can still be on the way to: a segment stays for as
    /// long as the list lasts after it has left it (RFC 8216bis section 6.2.2).
    fn trim(&mut self, keep: Keep) {
        let closed = |segment: &&Segment| segment.closed;
        let mut listed: Duration = self.listed().filter(closed).map(Segment::duration).sum();
        while let Some(first) = self.listed().next().filter(closed) {
            let (number, rest) = (first.number, listed.saturating_sub(first.duration()));
            if rest < keep.listed {
                break;
            }
            (self.first_listed, listed) = (number + 1, rest);
        }
        let delisted = self.segments.iter().take_while(|segment| segment.number < self.first_listed);
        let mut delisted: Duration = delisted.map(Segment::duration).sum();
        while let Some(first) = self.segments.front()
            && first.number < self.first_listed
            && (delisted.saturating_sub(first.duration()) >= listed || self.bytes > keep.bytes_max)
        {
            delisted = delisted.saturating_sub(first.duration());
            self.drop_first();
        }
        // The newest two stay, however large: the one that players are at, and the one that grows.
        while self.bytes > keep.bytes_max && self.segments.len() > 2 {
            self.drop_first();
        }
        let shelved = self.shelf.as_ref().and_then(Shelf::first);
        let remembered = self.segments.front().map(|segment| segment.init);
        // A shelf that loses what it is given has none of the older ones.
        let oldest = shelved.map(|line| line.init).into_iter().chain(remembered).min().unwrap_or_default();
        self.inits.retain(|init| init.number >= oldest);
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.segments.pop_front() {
            self.bytes -= first.bytes();
            self.first_listed = self.first_listed.max(first.number + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendition() -> Rendition {
        Rendition::new(TrackId::VIDEO, 10)
    }

    fn append(rendition: &mut Rendition, number: u64, bytes: usize, keep: Keep) {
        let new = NewSegment {
            init: None,
            number,
            start: Time::ZERO,
            date: SystemTime::UNIX_EPOCH,
            discontinuities: 0,
        };
        let part = Part {
            bytes: vec![0; bytes].into(),
            duration: Duration::from_secs(1),
            frames: 25,
            independent: true,
        };
        rendition.append(Some(new), part.clone(), false, keep);
        rendition.append(None, part, true, keep);
    }

    #[test]
    fn a_segment_stays_as_long_as_the_list_lasts_after_it_has_left_it() {
        let mut rendition = rendition();
        let keep = Keep { listed: Duration::from_secs(6), bytes_max: usize::MAX };
        for number in 10..30 {
            append(&mut rendition, number, 10, keep);
            let listed: Vec<_> = rendition.listed().map(|segment| segment.number).collect();
            let kept: Vec<_> = rendition.segments.iter().map(|segment| segment.number).collect();
            assert_eq!(listed, (number.saturating_sub(2).max(10)..=number).collect::<Vec<_>>());
            assert_eq!(kept, (number.saturating_sub(5).max(10)..=number).collect::<Vec<_>>());
        }
        assert_eq!(rendition.bytes, 6 * 20);
        assert!(rendition.segment(23).is_none() && rendition.segment(24).is_some_and(|s| s.number == 24));
        assert!(rendition.segment(30).is_none() && rendition.segment(0).is_none());
    }

    #[test]
    fn initialization_stays_for_segments_in_memory_while_the_disk_keeps_none() {
        let mut config = crate::Config::default();
        (config.timeshift.minutes, config.timeshift.queue_bytes_max) = (1, 0);
        let timeshift = crate::timeshift::Timeshift::new(&config, crate::metrics::Metrics::new());
        let mut rendition = rendition();
        rendition.keep_on(Shelf::new(timeshift.into()));
        let (codec, config) = (media::Codec::Aac, [0x12, 0x10]);
        let track = fmp4::Track::new(1, TrackId::AUDIO, codec, &config, &[]).unwrap();
        let init = |number| Init { number, bytes: Bytes::new(), track: track.clone() };
        rendition.inits = vec![init(10)];
        let keep = Keep { listed: Duration::from_secs(60), bytes_max: usize::MAX };
        (10..12).for_each(|number| append(&mut rendition, number, 10, keep));
        rendition.inits.push(init(12));
        (12..15).for_each(|number| append(&mut rendition, number, 10, keep));
        assert_eq!(rendition.segments.front().map(|first| first.init), Some(10));
        assert_eq!(rendition.inits.iter().map(|init| init.number).collect::<Vec<_>>(), [10, 12]);
    }

    #[test]
    fn a_segment_that_is_not_finished_is_complete_when_the_next_one_begins() {
        let mut rendition = rendition();
        let keep = Keep { listed: Duration::from_secs(60), bytes_max: usize::MAX };
        append(&mut rendition, 10, 10, keep);
        rendition.segments[0].closed = false;
        append(&mut rendition, 11, 10, keep);
        assert!(rendition.segments[0].closed);
    }

    #[test]
    fn bytes_are_bounded_except_for_the_newest_two() {
        let mut rendition = rendition();
        let keep = Keep { listed: Duration::from_secs(60), bytes_max: 100 };
        for number in 10..30 {
            append(&mut rendition, number, 10, keep);
            assert!(rendition.bytes <= 100);
        }
        assert_eq!(rendition.listed().count(), 5);
        append(&mut rendition, 30, 1000, keep);
        assert_eq!(rendition.listed().map(|segment| segment.number).collect::<Vec<_>>(), [29, 30]);
    }

    #[test]
    fn requests_are_answered_waited_for_or_too_far_ahead() {
        let part_target = Duration::from_millis(400);
        let open = Edge { segment: 7, parts: 3, closed: false, ended: false };
        assert!(open.shows(6, None) && open.shows(7, Some(2)) && open.shows(6, Some(99)));
        assert!(!open.shows(7, None) && !open.shows(7, Some(3)));
        assert!(!open.is_beyond(8, None, part_target) && open.is_beyond(9, None, part_target));
        assert!(!open.is_beyond(6, Some(99), part_target), "there already, so it is answered at once");
        assert!(!open.is_beyond(7, Some(10), part_target) && open.is_beyond(7, Some(11), part_target));
        let closed = Edge { closed: true, ..open };
        assert!(closed.shows(7, None) && !closed.shows(7, Some(3)) && closed.is_past(7));
        assert!(!closed.is_beyond(9, None, part_target) && closed.is_beyond(10, None, part_target));
        assert!(closed.is_beyond(u64::MAX, Some(u32::MAX), part_target));
        assert_eq!((open.next(), closed.next()), ((7, 3), (8, 0)));
        assert!(open.is_ahead(7, 3) && open.is_ahead(8, 0) && !open.is_ahead(7, 2) && !open.is_ahead(6, 99));
        assert!(!Edge { ended: true, ..open }.is_ahead(7, 3));
    }
}
