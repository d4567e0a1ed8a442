use super::*;
use bytes::Bytes;
use media::container::fmp4::Sample;
use media::{Codec, Flags};
use proptest::prelude::*;

/// A configuration of AAC, and the first frame of VP8 (64x36).
const AAC: &[u8] = &[0x11, 0x90];
const VP8_KEYFRAME: &[u8] = &[0x50, 0xa0, 0, 0x9d, 0x01, 0x2a, 0x40, 0, 0x24, 0];

/// A track whose samples are `step_ms` apart, from `begin_ms` on; of pictures, with a keyframe in every `gop` of them.
pub(in crate::vod) fn track(id: TrackId, begin_ms: i64, step_ms: i64, count: usize, gop: usize) -> Described {
    let (codec, config, frame): (_, &[u8], _) = match id.kind {
        Kind::Video => (Codec::Vp8, b"", VP8_KEYFRAME),
        _ => (Codec::Aac, AAC, &b""[..]),
    };
    let written = fmp4::Track::new(1, id, codec, config, frame).unwrap();
    let timescale = written.timescale();
    let ticks = |ms: i64| Time::from_millis(ms).to_ticks(timescale);
    let sample = |index: usize| Sample {
        position: index as u64,
        size: 1,
        dts: ticks(begin_ms + step_ms * index as i64),
        composition: 0,
        flags: Flags { keyframe: index.is_multiple_of(gop), disposable: false },
    };
    let media = MovieTrack {
        number: 1,
        id,
        codec,
        config: Bytes::copy_from_slice(config),
        timescale,
        start: 0,
        samples: Vec::new(),
        end: ticks(begin_ms + step_ms * count as i64),
    };
    let mut samples = Samples::default();
    samples.extend((0..count).map(sample));
    Described { media, samples, written }
}

fn whole() -> Range<Time> {
    Time::ZERO..Time::from_nanos(i64::MAX / 4)
}

fn seconds(from: i64, to: i64) -> Range<Time> {
    Time::from_millis(from * 1000)..Time::from_millis(to * 1000)
}

fn starts(span: &Span, id: TrackId, window: &Range<Time>) -> Vec<f64> {
    let track = span.track(id).unwrap();
    let seconds = |segment: &Segment| segment.shown.start as f64 / f64::from(track.media.timescale);
    span.segments(track, window).iter().map(seconds).collect()
}

/// 20 s with a keyframe every 2 s, and sound.
fn span(closed: bool) -> Span {
    let tracks = vec![track(TrackId::VIDEO, 5000, 40, 500, 50), track(TrackId::AUDIO, 5000, 20, 1000, 1)];
    Span::new(tracks, closed).unwrap()
}

#[test]
fn segments_begin_at_keyframes_and_sound_where_pictures_do() {
    let span = span(true);
    for id in [TrackId::VIDEO, TrackId::AUDIO] {
        assert_eq!(starts(&span, id, &whole()), [0.0, 6.0, 12.0, 18.0]);
        // From the keyframe before to the one behind.
        assert_eq!(starts(&span, id, &seconds(9, 13)), [8.0, 12.0]);
        let track = span.track(id).unwrap();
        let last = span.segments(track, &seconds(9, 13)).pop().unwrap();
        assert_eq!(last.shown.end, 14 * i64::from(track.media.timescale));
        assert_eq!(starts(&span, id, &seconds(19, 100)), [18.0]);
    }
    assert_eq!(span.length, Duration::from_secs(20));
}

#[test]
fn of_a_span_that_grows_whole_segments_are_listed_and_they_stay() {
    let (grows, grown) = (span(false), span(true));
    assert_eq!(starts(&grows, TrackId::VIDEO, &whole()), [0.0, 6.0, 12.0]);
    let (open, closed) = (grows.track(TrackId::VIDEO).unwrap(), grown.track(TrackId::VIDEO).unwrap());
    let listed = grows.segments(open, &whole());
    assert_eq!(listed[..], grown.segments(closed, &whole())[..3]);
    assert_eq!(grows.segment(open, 18 * 90_000, None), None, "it is yet to come");
    assert!(grown.segment(closed, 18 * 90_000, None).is_some());
}

#[test]
fn a_segment_is_found_by_its_time_and_ends_where_it_is_told() {
    let span = span(true);
    let track = span.track(TrackId::VIDEO).unwrap();
    let samples = |time, end| span.segment(track, time, end).map(|segment| segment.samples);
    assert_eq!(samples(0, None), Some(0..150));
    assert_eq!(samples(4 * 90_000 + 1, None), Some(100..150), "times are rounded");
    assert_eq!(samples(0, Some(2 * 90_000)), Some(0..50));
    assert_eq!(samples(6 * 90_000, Some(2 * 90_000)), None);
    assert_eq!(samples(90_000, None), None, "that is no keyframe");
    assert_eq!(samples(100 * 90_000, None), None);
    assert_eq!(samples(i64::MIN, Some(i64::MAX)), None);
}

#[test]
fn sound_alone_is_cut_by_time() {
    let span = Span::new(vec![track(TrackId::AUDIO, 0, 20, 1000, 1)], true).unwrap();
    assert_eq!(starts(&span, TrackId::AUDIO, &whole()), [0.0, 6.0, 12.0, 18.0]);
    assert_eq!(starts(&span, TrackId::AUDIO, &seconds(1, 2)), [1.0]);
}

#[test]
fn sound_that_comes_late_has_fewer_segments() {
    let tracks = vec![track(TrackId::VIDEO, 0, 40, 500, 50), track(TrackId::AUDIO, 7000, 20, 300, 1)];
    let span = Span::new(tracks, true).unwrap();
    assert_eq!(starts(&span, TrackId::AUDIO, &whole()), [7.0, 12.0]);
    span.check();
}

proptest! {
    #[test]
    fn any_span_is_cut_without_gaps(
        begins in (0i64..10_000, 0i64..10_000),
        steps in (1i64..400, 1i64..400),
        counts in (1usize..400, 1usize..400),
        gop in 1usize..100,
    ) {
        let video = track(TrackId::VIDEO, begins.0, steps.0, counts.0, gop);
        let audio = track(TrackId::AUDIO, begins.1, steps.1, counts.1, 1);
        let span = Span::new(vec![video, audio], true).unwrap();
        span.check();
        for track in &span.tracks {
            for segment in span.segments(track, &whole()) {
                prop_assert_eq!(span.segment(track, segment.shown.start, None), Some(segment));
            }
        }
    }
}
