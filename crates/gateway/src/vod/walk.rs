//! The frames of a span, of all its tracks, in the order of decoding. Pure.

use super::limits::RAGGED;
use super::span::{Span, Track};
use bytes::Bytes;
use media::container::fmp4::Sample;
use media::{Flags, Kind, Packet, Role, Time, TrackId};
use std::ops::Range;

/// A frame of a span.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) track: &'a Track,
    index: usize,
    pub(super) sample: &'a Sample,
    /// When it is decoded, on the clock of the span.
    pub(super) decoded: Time,
}

impl Frame<'_> {
    /// The frame as a packet without its bytes, `shift` nanoseconds later, in whole milliseconds.
    pub(super) fn packet(&self, shift: i64) -> Packet {
        let media = &self.track.media;
        let time = |ticks| to_millis(Time::from_ticks(ticks, media.timescale), shift);
        let is_video = media.id.kind == Kind::Video;
        Packet {
            track: media.id,
            codec: media.codec,
            role: Role::Frame,
            // Whether a frame is disposable is said by itself.
            flags: Flags { keyframe: self.sample.flags.keyframe && is_video, disposable: false },
            dts: time(self.track.decoded(self.index)),
            pts: time(self.track.shown(self.index)),
            payload: Bytes::new(),
        }
    }
}

/// To the nearest millisecond: what was published in milliseconds is so again. Never before zero.
pub(super) fn to_millis(time: Time, shift_nanos: i64) -> Time {
    let nanos = time.nanos().saturating_add(shift_nanos);
    Time::from_millis(Time::from_nanos(nanos.saturating_add(500_000)).millis().max(0))
}

/// What comes next in a span. It holds numbers of samples, which stay the same when the span grows and when its file gets its
/// final form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walk(Vec<Due>);

/// What of a track comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Due {
    track: TrackId,
    next: usize,
    end: usize,
}

impl Walk {
    /// The frames that show `local`, a time on the clock of `span`: from the keyframe at its start or before to that at its end or
    /// behind.
    pub(super) fn of(span: &Span, local: &Range<Time>) -> Self {
        let entry = span.entry(local.start);
        let due = |track: &Track| {
            let ticks = |time: Time| time.to_ticks(track.media.timescale);
            let next = if local.start <= Time::ZERO { 0 } else { track.entrance_until(ticks(entry)) };
            // Up to a keyframe, which is decoded before it is shown.
            Due { track: track.media.id, next, end: track.entrance_from(ticks(local.end)) }
        };
        Self(span.tracks.iter().map(due).collect())
    }

    /// All from the keyframe on that is decoded at `start` or before, what comes later too.
    pub(super) fn from(span: &Span, start: Time) -> Self {
        let entry = span.main().map(|main| {
            let index = main.decoding_until(start.to_ticks(main.media.timescale));
            (main.media.id, index, Time::from_ticks(main.decoded(index), main.media.timescale))
        });
        let due = |track: &Track| {
            let next = match entry {
                _ if start <= Time::ZERO => 0,
                Some((main, index, _)) if main == track.media.id => index,
                Some((_, _, at)) => track.decoding_from(at.to_ticks(track.media.timescale)),
                None => 0,
            };
            Due { track: track.media.id, next, end: usize::MAX }
        };
        Self(span.tracks.iter().map(due).collect())
    }

    /// The frame that is decoded next.
    pub(super) fn peek<'a>(&self, span: &'a Span) -> Option<Frame<'a>> {
        let of_track = |due: &Due| {
            let track = span.track(due.track)?;
            let sample = track.samples.get(due.next).filter(|_| due.next < due.end)?;
            let decoded = Time::from_ticks(track.decoded(due.next), track.media.timescale);
            Some(Frame { track, index: due.next, sample, decoded })
        };
        // Of two at the same time that of the first track.
        self.0.iter().filter_map(of_track).min_by_key(|frame| frame.decoded)
    }

    /// The next frame of a track was taken.
    pub(super) fn advance(&mut self, track: TrackId) {
        self.0.iter_mut().filter(|due| due.track == track).for_each(|due| due.next += 1);
    }

    /// Keeps one track.
    pub(super) fn retain(&mut self, track: TrackId) {
        self.0.retain(|due| due.track == track);
    }

    /// Takes in the tracks that `span` did not have before, from `now` on.
    pub(super) fn grow(&mut self, span: &Span, now: Time) {
        for track in &span.tracks {
            if self.0.iter().all(|due| due.track != track.media.id) {
                let next = track.decoding_from(now.to_ticks(track.media.timescale));
                self.0.push(Due { track: track.media.id, next, end: usize::MAX });
            }
        }
    }
}

/// Until when the frames of a span are in order, whatever is appended to it. What comes of several tracks is not written at the same
/// moment, but soon.
pub(super) fn settled(span: &Span) -> Time {
    let ends = || {
        let of_track = |track: &Track| Time::from_ticks(track.decoded(usize::MAX), track.media.timescale);
        span.tracks.iter().map(of_track)
    };
    match (span.closed, ends().min(), ends().max()) {
        (false, Some(least), Some(most)) => least.max(most - RAGGED),
        _ => Time::from_nanos(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::Samples;
    use super::super::span::tests::track;
    use super::*;

    /// Pictures every 100 ms, of which each tenth is a keyframe, and sound that ends so many milliseconds earlier.
    fn span(closed: bool, shorter_ms: usize) -> Span {
        let video = track(TrackId::VIDEO, 0, 100, 100, 10);
        Span::new(vec![video, track(TrackId::AUDIO, 0, 50, 200 - shorter_ms / 50, 1)], closed).unwrap()
    }

    fn times(span: &Span, mut walk: Walk, until: Time) -> Vec<(TrackId, i64)> {
        let mut times = Vec::new();
        while let Some(frame) = walk.peek(span).filter(|frame| frame.decoded < until) {
            times.push((frame.track.media.id, frame.packet(0).dts.millis()));
            walk.advance(frame.track.media.id);
        }
        times
    }

    #[test]
    fn frames_come_in_order_from_the_keyframe_before_to_that_behind() {
        let span = span(true, 0);
        let local = Time::from_millis(1500)..Time::from_millis(2500);
        let times = times(&span, Walk::of(&span, &local), settled(&span));
        assert_eq!(
            times[..4],
            [(TrackId::VIDEO, 1000), (TrackId::AUDIO, 1000), (TrackId::AUDIO, 1050), (TrackId::VIDEO, 1100)]
        );
        assert!(times.is_sorted_by_key(|(_, ms)| *ms));
        assert_eq!(times.iter().rfind(|(id, _)| *id == TrackId::VIDEO).unwrap().1, 2900);
        let all = Walk::from(&span, Time::ZERO);
        assert_eq!(self::times(&span, all, settled(&span)).len(), 300);
    }

    #[test]
    fn a_position_is_the_time_at_which_a_keyframe_is_decoded() {
        let mut video = track(TrackId::VIDEO, 0, 100, 100, 10);
        let shown_later = |sample: &Sample| Sample { composition: 90 * 80, ..*sample };
        let samples: Vec<_> = video.samples.iter().map(shown_later).collect();
        video.samples = Samples::default();
        video.samples.extend(samples);
        let span = Span::new(vec![video, track(TrackId::AUDIO, 30, 50, 200, 1)], true).unwrap();
        for (at, first) in [(2999, 2000), (3000, 3000), (3001, 3000), (99_999, 9000)] {
            let times = times(&span, Walk::from(&span, Time::from_millis(at)), settled(&span));
            assert_eq!(times[..2], [(TrackId::VIDEO, first), (TrackId::AUDIO, first + 30)], "{at}");
        }
    }

    #[test]
    fn what_is_written_later_is_waited_for_and_a_track_that_stays_silent_is_not() {
        for (shorter_ms, last_ms) in [(0, 9_900), (500, 9_400), (5_000, 7_900)] {
            let span = span(false, shorter_ms);
            let walk = Walk::from(&span, Time::ZERO);
            let seen = times(&span, walk.clone(), settled(&span));
            assert_eq!(seen.iter().rfind(|(id, _)| *id == TrackId::VIDEO).unwrap().1, last_ms);
        }
    }

    #[test]
    fn a_walk_goes_on_in_a_span_that_has_grown() {
        let before = Span::new(vec![track(TrackId::AUDIO, 0, 50, 20, 1)], false).unwrap();
        let mut walk = Walk::from(&before, Time::ZERO);
        while let Some(frame) = walk.peek(&before) {
            walk.advance(frame.track.media.id);
        }
        let after = span(true, 0);
        walk.grow(&after, Time::from_millis(1000));
        let next = times(&after, walk, settled(&after));
        assert_eq!(next[..2], [(TrackId::AUDIO, 1000), (TrackId::VIDEO, 1000)]);
    }
}
