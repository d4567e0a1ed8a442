//! Finished files: the description first, then all media (fast start).

use super::boxes::{media_head_bytes, write_media_head};
use super::moov::{Edit, Part, Tables, check_numbers, to_movie, write_file_type, write_moov};
use super::{Track, limits};
use crate::container::Error;
use crate::{Flags, Kind, Time};
use bytes::BytesMut;
use std::ops::Range;

/// One sample: where its bytes lie and when it is due, in ticks of its track's timescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Where its bytes begin in the file (or whatever the caller keeps them in).
    pub position: u64,
    /// Its bytes.
    pub size: u32,
    /// When to decode.
    pub dts: i64,
    /// From there to when to present.
    pub composition: i32,
    /// Keyframe and disposable.
    pub flags: Flags,
}

/// How the media of a finished file is to be laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// What follows [`write_progressive`]'s bytes, in this order and without a gap.
    pub chunks: Vec<Chunk>,
    /// The bytes of all of them.
    pub payload_bytes: u64,
}

/// Samples of one track that lie together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The index of the track in what was passed to [`write_progressive`].
    pub track: usize,
    /// Which of its samples.
    pub samples: Range<usize>,
}

/// Media of one track that lies together before the other tracks have their turn: what a player has to fetch ahead.
const CHUNK_TIME: Time = Time::from_millis(500);

/// Writes a progressive MP4 file up to its media: `ftyp`, `moov` and the head of `mdat`. Of each track it takes the description, the
/// samples, and the tick at which the last of them ends. Positions are not looked at: they tell the caller what to copy.
///
/// All tracks keep their place on the presentation clock relative to each other; the one that is shown first begins the file.
///
/// # Errors
///
/// A track that cannot be in a file with the others, decode times that go back, or samples above the limits.
pub fn write_progressive(tracks: &[(&Track, &[Sample], i64)], out: &mut BytesMut) -> Result<Layout, Error> {
    write(tracks, None, out)
}

/// Writes what [`write_progressive`] does, of a file that shows `shown` alone, a time on the clock of the samples: what is shown
/// before or after is there for the decoder, and edit lists leave it out.
///
/// # Errors
///
/// Those of [`write_progressive`].
pub fn write_excerpt(
    tracks: &[(&Track, &[Sample], i64)],
    shown: Range<Time>,
    out: &mut BytesMut,
) -> Result<Layout, Error> {
    write(tracks, Some(shown), out)
}

fn write(
    tracks: &[(&Track, &[Sample], i64)],
    window: Option<Range<Time>>,
    out: &mut BytesMut,
) -> Result<Layout, Error> {
    check_numbers(tracks.iter().map(|(track, ..)| *track))?;
    let chunks = interleave(tracks);
    let mut tables = tracks
        .iter()
        .map(|(track, samples, end)| tables(track, samples, *end))
        .collect::<Result<Vec<_>, _>>()?;
    // From the bytes before the media to where each chunk begins.
    let mut position = 0u64;
    for chunk in &chunks {
        let table = &mut tables[chunk.track];
        table.chunk_samples.push(chunk.samples.len() as u32);
        table.chunk_offsets.push(position);
        let sizes = &table.sizes[chunk.samples.clone()];
        position += sizes.iter().map(|size| u64::from(*size)).sum::<u64>();
    }
    let payload_bytes = position;
    // From the earliest time that anything is shown on, and to the end, if nothing else is said.
    let window = window.unwrap_or_else(|| origin(tracks)..Time::from_nanos(i64::MAX));
    // The description says where the media lies, and its own size is part of that: it is written once to be measured.
    let mut measured = BytesMut::new();
    write_head(tracks, &tables, &window, &mut measured);
    let is_large = |head: usize| head as u64 + payload_bytes > u64::from(u32::MAX) - 64;
    if is_large(measured.len() * 2) {
        tables.iter_mut().for_each(|table| table.is_large = true);
        measured.clear();
        write_head(tracks, &tables, &window, &mut measured);
    }
    let media_at = measured.len() as u64 + media_head_bytes(payload_bytes);
    for table in &mut tables {
        table.chunk_offsets.iter_mut().for_each(|offset| *offset += media_at);
    }
    write_head(tracks, &tables, &window, out);
    write_media_head(payload_bytes, out);
    Ok(Layout { chunks, payload_bytes })
}

fn write_head(
    tracks: &[(&Track, &[Sample], i64)],
    tables: &[Tables],
    window: &Range<Time>,
    out: &mut BytesMut,
) {
    write_file_type(b"ftyp", b"isom", &[b"isom", b"iso2", b"mp41"], out);
    let part =
        |((track, samples, _), tables)| Part { track, tables, edits: edits(track, samples, tables, window) };
    let parts: Vec<_> = tracks.iter().zip(tables).map(|(track, tables)| part((*track, tables))).collect();
    write_moov(&parts, false, out);
}

/// When a sample is shown, in ticks.
fn shown(sample: &Sample) -> i64 {
    sample.dts.saturating_add(sample.composition.into())
}

/// The earliest time that anything is shown.
fn origin(tracks: &[(&Track, &[Sample], i64)]) -> Time {
    let first = |(track, samples, _): &(&Track, &[Sample], i64)| {
        let ticks = samples.iter().map(shown).min()?;
        Some(Time::from_ticks(ticks, track.timescale))
    };
    tracks.iter().filter_map(first).min().unwrap_or_default()
}

/// From the media, whose first sample is decoded at 0, to the presentation, which begins and ends with `window`.
fn edits(track: &Track, samples: &[Sample], tables: &Tables, window: &Range<Time>) -> Vec<Edit> {
    let (Some(first), Some(earliest)) = (samples.first(), samples.iter().map(shown).min()) else {
        return Vec::new();
    };
    let ticks = |time: Time| time.to_ticks(track.timescale);
    let begin = earliest.max(ticks(window.start));
    let end = tables.shown_until.min(ticks(window.end)).max(begin);
    let media_time = begin.saturating_sub(first.dts);
    let late = Time::from_ticks(begin, track.timescale).since(window.start);
    let late = (Time::ZERO + late).to_ticks(super::moov::MOVIE_TIMESCALE).max(0) as u64;
    if late == 0 && media_time == 0 && end == tables.shown_until {
        return Vec::new();
    }
    let mut edits = Vec::new();
    if late > 0 {
        edits.push(Edit { duration: late, media_time: None });
    }
    let visible = u64::try_from(end.saturating_sub(begin)).unwrap_or(0);
    // Media times before zero cannot be said; such a track is shown from its first decode time.
    edits.push(Edit { duration: to_movie(visible, track.timescale), media_time: Some(media_time.max(0)) });
    edits
}

fn tables(track: &Track, samples: &[Sample], end: i64) -> Result<Tables, Error> {
    let mut tables =
        Tables { sizes: samples.iter().map(|sample| sample.size).collect(), ..Tables::default() };
    if samples.len() > limits::SAMPLES_MAX {
        return Err(Error::Misuse("too many samples in one file"));
    }
    let ends = samples.iter().skip(1).map(|sample| sample.dts).chain([end]);
    for (sample, end) in samples.iter().zip(ends) {
        if sample.size > limits::SAMPLE_BYTES_MAX {
            return Err(Error::Misuse("a frame above the size limit"));
        }
        let duration = u32::try_from(end.saturating_sub(sample.dts))
            .map_err(|_| Error::Misuse("decode times that go back, or stand still for hours"))?;
        tables.duration += u64::from(duration);
        // What is decoded last need not be shown last.
        tables.shown_until = tables.shown_until.max(shown(sample).saturating_add(duration.into()));
        extend_run(&mut tables.durations, duration);
        extend_run(&mut tables.composition, sample.composition);
    }
    if tables.composition.iter().all(|(_, offset)| *offset == 0) {
        tables.composition.clear();
    }
    if track.id.kind == Kind::Video {
        let numbers = (1u32..).zip(samples).filter(|(_, sample)| sample.flags.keyframe);
        let sync: Vec<u32> = numbers.map(|(number, _)| number).collect();
        tables.sync = (sync.len() < samples.len()).then_some(sync);
    }
    Ok(tables)
}

/// Appends to run-length coded values.
fn extend_run<T: PartialEq>(runs: &mut Vec<(u32, T)>, value: T) {
    match runs.last_mut() {
        Some((count, last)) if *last == value => *count += 1,
        _ => runs.push((1, value)),
    }
}

/// Which samples lie together: those of one track up to [`CHUNK_TIME`], and the track that is behind has its turn.
fn interleave(tracks: &[(&Track, &[Sample], i64)]) -> Vec<Chunk> {
    let mut next = vec![0usize; tracks.len()];
    let mut chunks = Vec::new();
    let time = |track: usize, sample: usize| -> Option<Time> {
        let (description, samples, _) = tracks.get(track)?;
        Some(Time::from_ticks(samples.get(sample)?.dts, description.timescale))
    };
    loop {
        let due = (0..tracks.len()).filter_map(|track| Some((time(track, next[track])?, track))).min();
        let Some((start, track)) = due else { return chunks };
        let first = next[track];
        let mut end = first + 1;
        while time(track, end).is_some_and(|dts| dts - start < CHUNK_TIME.nanos()) {
            end += 1;
        }
        next[track] = end;
        chunks.push(Chunk { track, samples: first..end });
    }
}
