//! The manifest of DASH of a recording (ISO/IEC 23009-1): the segments of its playlists. Pure.

use super::hls::{bits_per_second, frame_rate, segment_id, segments};
use super::name::{File, SegmentId};
use super::span::{Segment, Track};
use super::timeline::{Part, Timeline};
use media::{Kind, Time, TrackId};
use std::fmt::Write;
use std::ops::Range;

/// The manifest of what there is. `folder` is where the segments are.
pub(super) fn manifest(timeline: &Timeline, window: &Range<Time>, folder: &str, query: &str) -> String {
    let query = query.replace('&', "&amp;");
    let listed = |id| {
        let listed = segments(timeline, id, window);
        let (peak, _) = bits_per_second(&listed);
        (id, peak, listed.into_iter().peekable())
    };
    let mut tracks: Vec<_> = timeline.tracks().into_iter().map(listed).collect();
    let mut periods = String::new();
    let mut total = 0.0;
    for part in &timeline.parts {
        // Those of each track are in the order of the parts.
        let of_part = tracks.iter_mut().filter_map(|(id, peak, listed)| {
            let (_, track, segments) = listed.next_if(|(of, ..)| of.id == part.id)?;
            Some((*id, *peak, track, segments))
        });
        let of_part: Vec<_> = of_part.collect();
        let begins = |(_, _, track, segments): &(TrackId, u64, &Track, Vec<Segment>)| {
            Some(Time::from_ticks(segments.first()?.shown.start, track.media.timescale))
        };
        let ends = |(_, _, track, segments): &(TrackId, u64, &Track, Vec<Segment>)| {
            Some(Time::from_ticks(segments.last()?.shown.end, track.media.timescale))
        };
        let Some(begin) = of_part.iter().filter_map(begins).min() else { continue };
        let Some(end) = of_part.iter().filter_map(ends).max() else { continue };
        let length = end.since(begin).as_secs_f64();
        let _ = writeln!(
            periods,
            "<Period id=\"{}\" start=\"PT{total:.3}S\" duration=\"PT{length:.3}S\">",
            part.id
        );
        total += length;
        for (index, (id, peak, track, segments)) in of_part.iter().enumerate() {
            let set = Set { index, id: *id, track, part, begin, peak: *peak };
            set.write(&mut periods, segments, folder, &query);
        }
        periods.push_str("</Period>\n");
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
         profiles=\"urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019\" type=\"static\" \
         mediaPresentationDuration=\"PT{total:.3}S\" minBufferTime=\"PT2.000S\">\n{periods}</MPD>\n"
    )
}

/// A track in a period.
struct Set<'a> {
    index: usize,
    id: TrackId,
    track: &'a Track,
    part: &'a Part,
    /// What is shown first in the period, on the clock of the span.
    begin: Time,
    peak: u64,
}

impl Set<'_> {
    fn write(&self, out: &mut String, segments: &[Segment], folder: &str, query: &str) {
        let Self { index, id, track, part, peak, .. } = self;
        let (summary, timescale) = (track.written.summary(), track.media.timescale);
        let kind = if id.kind == Kind::Audio { "audio" } else { "video" };
        let _ = write!(
            out,
            "<AdaptationSet id=\"{index}\" contentType=\"{kind}\" mimeType=\"{kind}/mp4\" segmentAlignment=\"true\" \
             startWithSAP=\"1\">\n<Representation id=\"{id}\" bandwidth=\"{peak}\" codecs=\"{}\"",
            summary.mime
        );
        if let (Some(width), Some(height)) = (summary.width, summary.height) {
            let _ = write!(out, " width=\"{width}\" height=\"{height}\"");
        }
        if let Some(rate) = frame_rate(track) {
            let _ = write!(out, " frameRate=\"{}/1000\"", (rate * 1000.0).round());
        }
        if let Some(rate) = summary.sample_rate {
            let _ = write!(out, " audioSamplingRate=\"{rate}\"");
        }
        out.push_str(">\n");
        if let Some(channels) = summary.channels {
            let _ = writeln!(
                out,
                "<AudioChannelConfiguration schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" \
                 value=\"{channels}\"/>"
            );
        }
        // The last segment may end before the next one would begin, and one template is for all: then each name says where
        // the last one ends, which changes nothing of the others.
        let end = segments.last().and_then(|last| segment_id(part, track, last).end);
        let end = end.map_or(String::new(), |end| format!("-{end}"));
        let shift = part.start().to_ticks(timescale);
        let _ = writeln!(
            out,
            "<SegmentTemplate timescale=\"{timescale}\" presentationTimeOffset=\"{}\" \
             initialization=\"{folder}/{}{query}\" media=\"{folder}/{id}-{}-{}-$Time${end}.m4s{query}\">\n<SegmentTimeline>",
            self.begin.to_ticks(timescale).saturating_add(shift).max(0),
            File::Init(*id, part.id),
            part.id,
            part.start_ms,
        );
        for segment in segments {
            let SegmentId { time, .. } = segment_id(part, track, segment);
            let _ = writeln!(out, "<S t=\"{time}\" d=\"{}\"/>", segment.shown.end - segment.shown.start);
        }
        out.push_str("</SegmentTimeline>\n</SegmentTemplate>\n</Representation>\n</AdaptationSet>\n");
    }
}
