//! Playlists of a recording (RFC 8216bis). Pure.

use super::limits::TARGET;
use super::name::{File, SegmentId};
use super::span::{Segment, Track};
use super::timeline::{Part, Timeline};
use crate::http::date_time;
use media::{Kind, Time, TrackId};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::time::Duration;

/// The segments of a track that are of one part.
pub(super) type Listed<'a> = (&'a Part, &'a Track, Vec<Segment>);

/// The segments of a track in `window`, each with the part it is of.
pub(super) fn segments<'a>(timeline: &'a Timeline, id: TrackId, window: &Range<Time>) -> Vec<Listed<'a>> {
    let of_part = |part: &'a Part| {
        let track = part.span.track(id)?;
        let local = part.local(window);
        // The end of a span is no place to begin at, unless there is nothing behind it.
        let is_over = local.start >= Time::ZERO + part.span.length && part.end() < timeline.end();
        let segments = if is_over { Vec::new() } else { part.span.segments(track, &local) };
        (!segments.is_empty()).then_some((part, track, segments))
    };
    timeline.parts.iter().filter_map(of_part).collect()
}

/// The name of a segment, and of the one that ends where `window` does: then the name says so.
pub(super) fn segment_id(part: &Part, track: &Track, segment: &Segment) -> SegmentId {
    let shift = part.start().to_ticks(track.media.timescale);
    let ticks = |ticks: i64| u64::try_from(ticks.saturating_add(shift)).unwrap_or(0);
    // Without an end, it is what goes up to where the next one begins.
    let whole = part.span.segment(track, segment.shown.start, None);
    let end = whole.is_none_or(|whole| whole.samples != segment.samples).then(|| ticks(segment.shown.end));
    SegmentId { span: part.id, start_ms: part.start_ms, time: ticks(segment.shown.start), end }
}

/// Bits per second of a track: the most of any segment, and the mean.
pub(super) fn bits_per_second(listed: &[Listed<'_>]) -> (u64, u64) {
    let (mut peak, mut bytes, mut time) = (0, 0u64, 0.0);
    for (_, track, segments) in listed {
        for segment in segments {
            let samples = track.samples.range(segment.samples.clone());
            let size: u64 = samples.map(|sample| u64::from(sample.size)).sum();
            let seconds = seconds(track, segment);
            peak = peak.max((size as f64 * 8.0 / seconds.max(0.5)) as u64);
            (bytes, time) = (bytes + size, time + seconds);
        }
    }
    let mean = (bytes as f64 * 8.0 / time.max(0.1)) as u64;
    (peak.max(mean).max(1), mean.max(1))
}

/// How long a segment is.
pub(super) fn seconds(track: &Track, segment: &Segment) -> f64 {
    (segment.shown.end - segment.shown.start) as f64 / f64::from(track.media.timescale)
}

/// The multivariant playlist: every track of pictures with each kind of sound. `folder` is where the media playlists are.
pub(super) fn multivariant(timeline: &Timeline, window: &Range<Time>, folder: &str, query: &str) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let described = |id: TrackId| timeline.parts.iter().find_map(|part| part.span.track(id));
    let tracks = timeline.tracks();
    let of = |kind| tracks.iter().copied().filter(move |id: &TrackId| id.kind == kind);
    let uri = |id: TrackId| format!("{folder}/{}{query}", File::Playlist(id));
    let mut groups: Vec<(&str, Vec<TrackId>)> = Vec::new();
    for (id, track) in of(Kind::Audio).filter_map(|id| Some((id, described(id)?))) {
        let codec = &*track.written.summary().mime;
        match groups.iter_mut().find(|(other, _)| *other == codec) {
            Some((_, group)) => group.push(id),
            None => groups.push((codec, vec![id])),
        }
    }
    let rate = |id: &TrackId| (*id, bits_per_second(&segments(timeline, *id, window)));
    let rates: BTreeMap<_, _> = tracks.iter().map(rate).collect();
    let rates = |id: TrackId| rates.get(&id).copied().unwrap_or((1, 1));
    if of(Kind::Video).next().is_none() {
        for (codec, group) in &groups {
            for id in group {
                let (peak, mean) = rates(*id);
                let _ = writeln!(
                    out,
                    "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={mean},CODECS=\"{codec}\"\n{}",
                    uri(*id)
                );
            }
        }
        return out;
    }
    for (index, (_, group)) in groups.iter().enumerate() {
        for (at, id) in group.iter().enumerate() {
            let _ = write!(
                out,
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound{index}\",NAME=\"{id}\",DEFAULT={},AUTOSELECT=YES",
                if at == 0 { "YES" } else { "NO" }
            );
            if let Some(channels) = described(*id).and_then(|track| track.written.summary().channels) {
                let _ = write!(out, ",CHANNELS=\"{channels}\"");
            }
            let _ = writeln!(out, ",URI=\"{}\"", uri(*id));
        }
    }
    for (id, track) in of(Kind::Video).filter_map(|id| Some((id, described(id)?))) {
        let variants: Vec<_> = match groups.is_empty() {
            true => vec![None],
            false => groups.iter().enumerate().map(Some).collect(),
        };
        for sound in variants {
            let summary = track.written.summary();
            let (mut peak, mut mean) = rates(id);
            let mut codecs = summary.mime.clone();
            if let Some((_, (codec, group))) = sound {
                // A client plays one of the group; the largest counts.
                let (peak_of_sound, mean_of_sound) =
                    group.iter().map(|id| rates(*id)).max().unwrap_or_default();
                (peak, mean) = (peak + peak_of_sound, mean + mean_of_sound);
                let _ = write!(codecs, ",{codec}");
            }
            let _ = write!(
                out,
                "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={mean},CODECS=\"{codecs}\""
            );
            if let (Some(width), Some(height)) = (summary.width, summary.height) {
                let _ = write!(out, ",RESOLUTION={width}x{height}");
            }
            if let Some(rate) = frame_rate(track) {
                let _ = write!(out, ",FRAME-RATE={rate:.3}");
            }
            match summary.color.map(|color| color.transfer) {
                Some(16) => out.push_str(",VIDEO-RANGE=PQ"),
                Some(18) => out.push_str(",VIDEO-RANGE=HLG"),
                _ => {}
            }
            if let Some((index, _)) = sound {
                let _ = write!(out, ",AUDIO=\"sound{index}\"");
            }
            let _ = writeln!(out, "\n{}", uri(id));
        }
    }
    out
}

/// Pictures per second: what the stream says, or how many there are.
pub(super) fn frame_rate(track: &Track) -> Option<f64> {
    let media = &track.media;
    let count = track.samples.len();
    let time = track.decoded(count).saturating_sub(track.decoded(0)) as f64 / f64::from(media.timescale);
    let counted = (count > 1 && time > 0.0).then(|| count as f64 / time);
    track.written.summary().fps.or(counted).filter(|rate| media.id.kind == Kind::Video && *rate < 1000.0)
}

/// The target duration: that of all renditions (RFC 8216bis section 4.4.3.1).
fn target(timeline: &Timeline, tracks: &[TrackId], window: &Range<Time>) -> u64 {
    let longest = tracks
        .iter()
        .flat_map(|id| segments(timeline, *id, window))
        .flat_map(|(_, track, segments)| segments.into_iter().map(move |segment| seconds(track, &segment)))
        .fold(TARGET.as_secs_f64(), f64::max);
    // As it is written, so that both are rounded the same way.
    ((longest * 1e5).round() / 1e5).round() as u64
}

/// The media playlist of a track; `None` if the recording has no such track.
pub(super) fn media(timeline: &Timeline, id: TrackId, window: &Range<Time>, query: &str) -> Option<String> {
    let listed = segments(timeline, id, window);
    let tracks = timeline.tracks();
    if !tracks.contains(&id) {
        return None;
    }
    // What comes after the window changes nothing.
    let is_complete = timeline.complete || timeline.end() > window.end;
    let target = target(timeline, &tracks, window);
    let mut out = String::with_capacity(4096);
    let _ = writeln!(
        out,
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{}\n#EXT-X-PLAYLIST-TYPE:{}\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-INDEPENDENT-SEGMENTS",
        target,
        if is_complete { "VOD" } else { "EVENT" }
    );
    if let Some((part, track, segments)) = listed.first()
        && let Some(first) = segments.first()
    {
        let begins =
            part.start() + Time::from_ticks(first.shown.start, track.media.timescale).since(Time::ZERO);
        let inside = window.start.since(begins);
        // One that still runs is watched from its beginning, too, and a time is shown from there on and not from its keyframe.
        if !is_complete || inside > Duration::ZERO {
            let _ = writeln!(out, "#EXT-X-START:TIME-OFFSET={:.3},PRECISE=YES", inside.as_secs_f64());
        }
    }
    let mut parts = timeline.parts.iter().enumerate();
    let mut before = None;
    for (part, track, segments) in &listed {
        // Of all renditions, what is of one part has one number, also where the track is not in all of them.
        let at = parts.find(|(_, other)| other.id == part.id).map_or(0, |(at, _)| at);
        match before.replace(at) {
            Some(before) => (before..at).for_each(|_| out.push_str("#EXT-X-DISCONTINUITY\n")),
            None if at > 0 => {
                let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{at}");
            }
            None => {}
        }
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}{query}\"", File::Init(id, part.id));
        for segment in segments {
            if let Some(date) = part.date {
                let after = Time::from_ticks(segment.shown.start, track.media.timescale).since(Time::ZERO);
                let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date_time(date + after));
            }
            let file = File::Segment(id, segment_id(part, track, segment));
            let _ = writeln!(out, "#EXTINF:{:.5},\n{file}{query}", seconds(track, segment));
        }
    }
    if is_complete {
        out.push_str("#EXT-X-ENDLIST\n");
    }
    Some(out)
}

#[cfg(test)]
mod tests;
