//! A recording, or a time of it, as one MP4 file with its description in front. Pure.

use super::plan::Plan;
use super::span::Track;
use super::timeline::{Part, Timeline};
use media::Time;
use media::container::fmp4::{self, Sample};
use std::ops::Range;

/// Why there is no such file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoMovie {
    /// Nothing is shown in that time.
    Empty,
    /// Its parts cannot be in one file.
    Differs,
    /// What the writer says.
    Refused(String),
}

/// A track of the file: its samples, and up to which of them each part goes.
struct Joined<'a> {
    track: &'a Track,
    samples: Vec<Sample>,
    /// The tick at which the last one ends.
    end: i64,
    /// For each part: the first sample behind it.
    bounds: Vec<usize>,
}

/// Which frames of a time are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// All that the file has.
    All,
    /// Those of that time. What is needed to decode them comes before them and is not shown.
    Exact,
}

/// `window` widened to keyframes: from the one at its beginning or before to the one at its end or behind.
pub(super) fn to_keyframes(timeline: &Timeline, window: &Range<Time>) -> Range<Time> {
    let part = |time: Time| timeline.parts.iter().rev().find(|part| part.start() <= time);
    let place = |part: &Part, local: Time| part.start() + local.since(Time::ZERO);
    let local = |part: &Part, time: Time| part.local(&(time..time)).start;
    let start = part(window.start).map(|part| place(part, part.span.entry(local(part, window.start))));
    let end = part(window.end)
        .map(|part| part.span.exit(local(part, window.end)).map_or(part.end(), |exit| place(part, exit)));
    // What comes before the first keyframe belongs to the beginning.
    let start = start.filter(|_| window.start > Time::ZERO);
    start.unwrap_or(window.start)..end.unwrap_or(window.end)
}

/// The file of `window`: of all that there is if there is none.
pub(super) fn movie(timeline: &Timeline, window: Option<&Range<Time>>, show: Show) -> Result<Plan, NoMovie> {
    let all = Time::from_nanos(i64::MIN / 4)..Time::from_nanos(i64::MAX / 4);
    let shown = window.unwrap_or(&all);
    let parts = timeline.parts.iter().filter(|part| part.end() > shown.start && part.start() < shown.end);
    let parts: Vec<_> = parts.collect();
    let first = parts.first().ok_or(NoMovie::Empty)?;
    let joined = |track| Joined { track, samples: Vec::new(), end: i64::MIN, bounds: Vec::new() };
    let mut tracks: Vec<Joined<'_>> = first.span.tracks.iter().map(joined).collect();
    for part in &parts {
        if part.span.tracks.len() != tracks.len() {
            return Err(NoMovie::Differs);
        }
        let local = part.local(shown);
        let entry = part.span.entry(local.start);
        // The milliseconds of names may let it begin before the one before it ends.
        let mut start = part.start();
        for joined in &tracks {
            let track = part.span.track(joined.track.media.id).ok_or(NoMovie::Differs)?;
            let is_same = |a: &Track, b: &Track| {
                (a.media.codec, &a.media.config, a.media.timescale)
                    == (b.media.codec, &b.media.config, b.media.timescale)
            };
            if !is_same(track, joined.track) {
                return Err(NoMovie::Differs);
            }
            if joined.end > i64::MIN {
                let begins = start.to_ticks(track.media.timescale).saturating_add(track.decoded(0));
                let overlap = Time::from_ticks(joined.end.saturating_sub(begins), track.media.timescale);
                start = start + overlap.since(Time::ZERO);
            }
        }
        for joined in &mut tracks {
            let Some(track) = part.span.track(joined.track.media.id) else { continue };
            add(joined, track, start, &local, entry, show);
        }
    }
    tracks.retain(|track| !track.samples.is_empty());
    let described: Vec<_> =
        tracks.iter().map(|track| (&track.track.written, &track.samples[..], track.end)).collect();
    let mut plan = Plan::of(parts.iter().map(|part| part.file.clone()).collect());
    let layout = plan.make(|out| match window {
        _ if described.is_empty() => Err(NoMovie::Empty),
        Some(window) if show == Show::Exact => {
            fmp4::write_excerpt(&described, window.clone(), out).map_err(refused)
        }
        _ => fmp4::write_progressive(&described, out).map_err(refused),
    })?;
    for chunk in layout.chunks {
        let joined = &tracks[chunk.track];
        for index in chunk.samples {
            let file = joined.bounds.partition_point(|bound| *bound <= index);
            let Sample { position, size, .. } = joined.samples[index];
            plan.copy(file, position, size.into());
        }
    }
    Ok(plan)
}

fn refused(error: media::container::Error) -> NoMovie {
    NoMovie::Refused(error.to_string())
}

/// Adds the samples of a track that are needed to show `local`, a time on the clock of its span, which begins at `start`.
fn add(joined: &mut Joined<'_>, track: &Track, start: Time, local: &Range<Time>, entry: Time, show: Show) {
    let timescale = track.media.timescale;
    let first = match track.media.id.kind {
        media::Kind::Video => track.entrance_until(entry.to_ticks(timescale)),
        _ => track.entrance_until(local.start.to_ticks(timescale)),
    };
    let end = local.end.to_ticks(timescale);
    let count = match show {
        // Up to the keyframe, which is decoded before it is shown.
        Show::All => track.entrance_from(end),
        Show::Exact => track.samples.partition_point(|sample| sample.dts.saturating_add(track.shift) < end),
    };
    let shift = track.shift.saturating_add(start.to_ticks(timescale));
    for sample in track.samples.range(first..count) {
        joined.samples.push(Sample { dts: sample.dts.saturating_add(shift), ..*sample });
        joined.end = joined.end.max(sample.dts.saturating_add(shift));
    }
    if first < count {
        let ends = track.decoded(count).saturating_add(start.to_ticks(timescale));
        joined.end = joined.end.max(ends);
    }
    joined.bounds.push(joined.samples.len());
}
