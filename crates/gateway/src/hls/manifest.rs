//! The manifest of DASH (ISO/IEC 23009-1): the same segments as in playlists, told in another way. Pure.
//!
//! Segments have the lengths that keyframes give them, so each is listed with its own (`SegmentTimeline`), the growing one, or the one
//! that is to begin, with the length that is expected of it. A period begins wherever the stream was interrupted. Numbers count the entries of a timeline
//! (section 5.3.9.6.1), also where its times have a hole, so a segment that was lost has no form: the list begins after it.
//!
//! Rungs are representations beside the pictures that they are of, with the same timeline, whether or not they are made already: their
//! segments have the numbers of those ([`File::SegmentOf`]).

use super::name::File;
use super::playlist::{Terms, date_time};
use super::window::{Line, Rendition, Span};
use crate::transcode::Offer;
use media::codec::Summary;
use media::{Kind, Time, TrackId};
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// Where the clock of the media and the time of day meet: at the beginning of the stream, and after each interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epoch {
    /// Interruptions before it.
    pub(super) discontinuities: u64,
    /// A moment of the media clock.
    pub(super) start: Time,
    /// The time of day it belongs to.
    pub(super) date: SystemTime,
}

/// Stands in manifests for the time of day at which they are answered.
pub(super) const CLOCK: &str = "\u{2}";

/// What a manifest is about.
#[derive(Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) renditions: &'a [Rendition],
    /// In order.
    pub(super) epochs: &'a [Epoch],
    pub(super) terms: &'a Terms,
    /// There will be no more.
    pub(super) ended: bool,
    /// On offer beside the pictures.
    pub(super) rungs: &'a [Offer],
}

/// The manifest. [`CLOCK`] is where players set their clocks. Media is in `folder`: empty, or with a slash at its end.
pub(super) fn manifest(content: Content<'_>, folder: &str, now: SystemTime, span: Span) -> String {
    let Content { renditions, epochs, terms, ended, .. } = content;
    let mut out = String::with_capacity(4096);
    let begin = epochs.first().map_or(now, |epoch| epoch.date);
    let end = epochs.last().map_or(Duration::ZERO, |epoch| {
        let lines = renditions.iter().filter_map(|rendition| rendition.whole_lines(span).last());
        let last = lines.map(|line| (line.start + line.duration).since(epoch.start)).max();
        since(epoch.date, begin) + last.unwrap_or_default()
    });
    let listed =
        |rendition: &Rendition| rendition.whole_lines(span).map(|line| line.duration).sum::<Duration>();
    let depth = renditions.iter().map(listed).max().unwrap_or_default();
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"");
    out.push_str(" profiles=\"urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019\"");
    match ended {
        true => {
            let _ = write!(out, " type=\"static\" mediaPresentationDuration=\"{}\"", duration(end));
        }
        false => {
            let _ = write!(
                out,
                " type=\"dynamic\" availabilityStartTime=\"{}\" publishTime=\"{}\" minimumUpdatePeriod=\"{}\" \
                 timeShiftBufferDepth=\"{}\" suggestedPresentationDelay=\"{}\"",
                date_time(begin),
                date_time(now),
                duration(terms.target),
                duration(depth),
                duration(2 * terms.target),
            );
        }
    }
    let _ = writeln!(out, " minBufferTime=\"{}\">", duration(terms.part_target));
    if !ended {
        // Three parts, and the one that is being made.
        let latency = (4 * terms.part_target).as_millis();
        let _ = writeln!(
            out,
            "<ServiceDescription id=\"0\"><Latency target=\"{latency}\" min=\"{}\" max=\"{}\"/>\
             <PlaybackRate min=\"0.96\" max=\"1.04\"/></ServiceDescription>",
            latency / 2,
            4 * latency,
        );
    }
    for epoch in epochs {
        let of_epoch = |line: &Line| line.discontinuities == epoch.discontinuities;
        if !renditions.iter().any(|rendition| rendition.whole_lines(span).any(|line| of_epoch(&line))) {
            continue;
        }
        let start = duration(since(epoch.date, begin));
        let _ = writeln!(out, "<Period id=\"{}\" start=\"{start}\">", epoch.discontinuities);
        let ends_at = |rendition: &Rendition| {
            let last = rendition.whole_lines(span).last().filter(of_epoch);
            last.map(|line| (line.start + line.duration, line.duration))
        };
        let lead = renditions.iter().filter_map(ends_at).map(|(end, _)| end).max();
        for (index, rendition) in renditions.iter().enumerate() {
            // A track that has fallen silent has no next segment, and one that is asked for would be waited for in vain.
            let keeps_up =
                ends_at(rendition).zip(lead).is_some_and(|((end, length), lead)| end + length >= lead);
            let goes_on = !ended && Some(epoch) == epochs.last() && keeps_up;
            write_track(&mut out, index, Listed { rendition, span, goes_on }, epoch, folder, content);
        }
        out.push_str("</Period>\n");
    }
    if !ended {
        let _ =
            writeln!(out, "<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"{CLOCK}\"/>",);
    }
    out.push_str("</MPD>\n");
    out
}

/// A track, and what is listed of it.
struct Listed<'a> {
    rendition: &'a Rendition,
    span: Span,
    /// Whether more comes in this period.
    goes_on: bool,
}

fn write_track(
    out: &mut String,
    index: usize,
    listed: Listed<'_>,
    epoch: &Epoch,
    folder: &str,
    content: Content<'_>,
) {
    let Listed { rendition, span, goes_on } = listed;
    let Content { terms, ended, .. } = content;
    let of_epoch = |line: &Line| line.discontinuities == epoch.discontinuities;
    let segments: Vec<Line> = rendition.whole_lines(span).filter(of_epoch).collect();
    let Some((first, last)) = segments.first().zip(segments.last()) else { return };
    let Some(init) = rendition.init(first.init) else { return };
    let (summary, timescale) = (init.track.summary(), init.track.timescale());
    // What the growing segment will be like, most likely.
    let closed = segments.iter().rev().find(|segment| segment.closed);
    let expected = closed.map_or(terms.target, |line| line.duration);
    let mut timeline = String::from("<SegmentTimeline>\n");
    for pair in segments.windows(2) {
        write_entry(&mut timeline, &pair[0], pair[1].start, timescale);
    }
    let length = if last.closed || ended { last.duration } else { expected.max(last.duration) };
    write_entry(&mut timeline, last, last.start + length, timescale);
    if last.closed && goes_on {
        // The next one is about to begin, and who asks for it waits for that. ffmpeg asks for it as soon as it has the last one, and
        // where it was not listed by then, once more.
        let start = last.start + length;
        write_entry(&mut timeline, &Line { start, ..*last }, start + expected, timescale);
    }
    timeline.push_str("</SegmentTimeline>\n</SegmentTemplate>\n</Representation>\n");
    let template = |out: &mut String, folder: &str, init: File, media: &str| {
        let _ = write!(
            out,
            "<SegmentTemplate timescale=\"{timescale}\" presentationTimeOffset=\"{}\" startNumber=\"{}\" \
             initialization=\"{folder}{init}{query}\" media=\"{folder}{media}-$Number$.m4s{query}\"",
            epoch.start.to_ticks(timescale),
            first.number,
            query = terms.query,
        );
        if !ended {
            let ahead = expected.saturating_sub(terms.part_target);
            let _ = write!(
                out,
                " availabilityTimeOffset=\"{:.3}\" availabilityTimeComplete=\"false\"",
                ahead.as_secs_f64()
            );
        }
        out.push_str(">\n");
        out.push_str(&timeline);
    };
    let rungs = if rendition.id == TrackId::VIDEO { content.rungs } else { &[] };
    // Players go from one codec to the other between sets, if at all (section 5.3.3.5).
    let sets = Sets::of(index, content.renditions.len(), &summary.mime, rungs);
    for set in &sets.0 {
        let kind = if rendition.id.kind == Kind::Audio { "audio" } else { "video" };
        let _ = writeln!(
            out,
            "<AdaptationSet id=\"{}\" contentType=\"{kind}\" mimeType=\"{kind}/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\">",
            set.id
        );
        if !ended {
            // Every segment says the same in a box of its own.
            let _ = writeln!(
                out,
                "<ProducerReferenceTime id=\"{}\" type=\"captured\" inband=\"true\" wallClockTime=\"{}\" presentationTime=\"{}\"/>",
                set.id,
                date_time(epoch.date),
                epoch.start.to_ticks(timescale),
            );
        }
        if let Some(others) = sets.others(set) {
            let _ = writeln!(
                out,
                "<SupplementalProperty schemeIdUri=\"urn:mpeg:dash:adaptation-set-switching:2016\" value=\"{others}\"/>"
            );
        }
        if set.id == index {
            let (peak, _) = rendition.bits_per_second();
            let _ = write!(
                out,
                "<Representation id=\"{}\" bandwidth=\"{peak}\" codecs=\"{}\"",
                rendition.id, summary.mime
            );
            write_format(out, rendition, summary);
            template(out, folder, File::Init(rendition.id, first.init), &rendition.id.to_string());
        }
        for rung in &set.rungs {
            write_rung(out, rung);
            let folder = format!("{}/", rung.name.channel());
            template(out, &folder, File::InitOf(rendition.id, first.init), &format!("{}-of", rendition.id));
        }
        out.push_str("</AdaptationSet>\n");
    }
}

/// What players change within, and between.
struct Sets<'a>(Vec<Set<'a>>);

/// Representations of one codec: those of a stream, if it has the set's number, and rungs.
struct Set<'a> {
    id: usize,
    codec: &'a str,
    rungs: Vec<&'a Offer>,
}

impl<'a> Sets<'a> {
    /// A track has set `index` with the rungs of its codec, `mime`; others have sets that are numbered from `free` on.
    fn of(index: usize, free: usize, mime: &'a str, rungs: &'a [Offer]) -> Self {
        let codec = |mime: &'a str| mime.split_once('.').map_or(mime, |(codec, _)| codec);
        let mut sets = vec![Set { id: index, codec: codec(mime), rungs: Vec::new() }];
        for rung in rungs {
            let own = codec(&rung.mime);
            match sets.iter_mut().find(|set| set.codec == own) {
                Some(set) => set.rungs.push(rung),
                None => sets.push(Set { id: free + sets.len() - 1, codec: own, rungs: vec![rung] }),
            }
        }
        Self(sets)
    }

    /// The numbers of the sets that players may change to from `set`, where there are any.
    fn others(&self, set: &Set<'_>) -> Option<String> {
        let others = self.0.iter().filter(|other| other.id != set.id);
        let others: Vec<_> = others.map(|other| other.id.to_string()).collect();
        (!others.is_empty()).then(|| others.join(","))
    }
}

/// The begin of a rung's representation.
fn write_rung(out: &mut String, rung: &Offer) {
    let Offer { rung: name, bits_per_second, mime, width, height, .. } = rung;
    let _ = write!(
        out,
        "<Representation id=\"{name}\" bandwidth=\"{bits_per_second}\" codecs=\"{mime}\" width=\"{width}\" height=\"{height}\""
    );
    if let Some(rate) = rung.fps {
        let _ = write!(out, " frameRate=\"{}/1000\"", (rate * 1000.0).round());
    }
    out.push_str(">\n");
}

fn write_entry(out: &mut String, segment: &Line, end: Time, timescale: u32) {
    let start = segment.start.to_ticks(timescale);
    let _ = writeln!(out, "<S t=\"{start}\" d=\"{}\"/>", (end.to_ticks(timescale) - start).max(1));
}

fn write_format(out: &mut String, rendition: &Rendition, summary: &Summary) {
    if let (Some(width), Some(height)) = (summary.width, summary.height) {
        let _ = write!(out, " width=\"{width}\" height=\"{height}\"");
    }
    if rendition.id.kind == Kind::Video
        && let Some(rate) = summary.fps.or(rendition.frames_per_second())
    {
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
}

/// A duration as XML Schema writes it, to the millisecond.
fn duration(duration: Duration) -> String {
    format!("PT{:.3}S", duration.as_secs_f64())
}

fn since(date: SystemTime, begin: SystemTime) -> Duration {
    date.duration_since(begin).unwrap_or_default()
}

#[cfg(test)]
mod tests;
