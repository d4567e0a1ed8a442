//! Movie fragments (`moof mdat`) and the boxes that may stand before one.

use super::boxes::{write_box, write_full_box, write_media_head};
use super::moov::write_file_type;
use super::{Sample, Track, limits, sample};
use crate::container::Error;
use crate::{Flags, Kind, Packet, Time};
use bytes::{BufMut, Bytes, BytesMut};
use std::time::Duration;

/// Frames of one track in a fragment.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The track, as it was in [`write_init`](super::write_init).
    pub track: &'a Track,
    /// Packets of role [`Frame`](crate::Role::Frame) in decode order.
    pub frames: &'a [Packet],
    /// When the last of them ends: the decode time of the frame that follows, or what is expected of it.
    pub end: Time,
}

/// What the flags of a sample say (section 8.8.3.1).
pub(super) mod flags {
    /// `sample_depends_on` 2: on no other.
    pub(in super::super) const SYNC: u32 = 2 << 24;
    /// `sample_depends_on` 1, `sample_is_non_sync_sample`.
    pub(in super::super) const NON_SYNC: u32 = 1 << 24 | IS_NON_SYNC;
    pub(in super::super) const IS_NON_SYNC: u32 = 1 << 16;
    /// `sample_is_depended_on` 2: no other does.
    pub(in super::super) const DISPOSABLE: u32 = 2 << 22;
    /// The bits of `sample_is_depended_on`.
    pub(in super::super) const IS_DEPENDED_ON: u32 = 3 << 22;
}

/// What is said of one sample in `trun`.
struct Entry {
    duration: u32,
    size: u32,
    flags: u32,
    composition: i32,
}

/// Writes everything of a fragment except its media: `moof` and the head of `mdat`. [`payloads`] are the rest, in their order;
/// together they are one CMAF chunk. Returns the bytes of that rest.
///
/// `sequence` counts the fragments of a file from 1. Times before zero have no form here: the caller shifts its clock.
///
/// # Errors
///
/// No frame, a frame of another codec than its track, a decode time before zero or before that of the frame in front of it,
/// or more media than [`limits::FRAGMENT_BYTES_MAX`].
pub fn write_fragment(sequence: u32, runs: &[Run<'_>], out: &mut BytesMut) -> Result<u64, Error> {
    let tables = runs.iter().map(|run| entries(run).map(|(start, entries)| (run.track, start, entries)));
    write_tables(sequence, tables.collect::<Result<_, _>>()?, out)
}

/// Samples of one track in a fragment, whose bytes lie somewhere.
#[derive(Debug, Clone, Copy)]
pub struct SampleRun<'a> {
    /// The track, as it was in [`write_init`](super::write_init).
    pub track: &'a Track,
    /// In decode order.
    pub samples: &'a [Sample],
    /// The tick at which the last of them ends.
    pub end: i64,
    /// Ticks that are added to all of these times.
    pub shift: i64,
}

/// Writes what [`write_fragment`] does, for samples instead of packets: their bytes are to follow in the order of `runs`.
/// Positions are not looked at.
///
/// # Errors
///
/// Those of [`write_fragment`].
pub fn write_sample_fragment(
    sequence: u32,
    runs: &[SampleRun<'_>],
    out: &mut BytesMut,
) -> Result<u64, Error> {
    let tables =
        runs.iter().map(|run| sample_entries(run).map(|(start, entries)| (run.track, start, entries)));
    write_tables(sequence, tables.collect::<Result<_, _>>()?, out)
}

/// Writes the boxes of a fragment of tracks, each with its first decode time and its entries.
fn write_tables(
    sequence: u32,
    runs: Vec<(&Track, u64, Vec<Entry>)>,
    out: &mut BytesMut,
) -> Result<u64, Error> {
    let mut payload_bytes = 0;
    let mut tables = Vec::with_capacity(runs.len());
    for (track, start, entries) in runs {
        let bytes = entries.iter().map(|entry| u64::from(entry.size)).sum::<u64>();
        tables.push((track, start, entries, payload_bytes));
        payload_bytes += bytes;
    }
    if tables.is_empty() {
        return Err(Error::Misuse("a fragment without a track"));
    }
    if payload_bytes > limits::FRAGMENT_BYTES_MAX {
        return Err(Error::Misuse("too much media in one fragment"));
    }
    let moof_at = out.len();
    let mut offsets_at = Vec::with_capacity(tables.len());
    write_box(out, b"moof", |out| {
        write_full_box(out, b"mfhd", 0, 0, |out| out.put_u32(sequence));
        for (track, start, entries, _) in &tables {
            offsets_at.push(write_traf(track, *start, entries, out));
        }
    });
    let head_bytes = (out.len() - moof_at) as u32 + 8;
    for (at, (_, _, _, before)) in offsets_at.into_iter().zip(&tables) {
        let offset = head_bytes + *before as u32;
        out[at..at + 4].copy_from_slice(&offset.to_be_bytes());
    }
    write_media_head(payload_bytes, out);
    Ok(payload_bytes)
}

/// Writes a fragment without a sample, for a time of which there is no media (`duration-is-empty`, section 8.8.7). It has no
/// `mdat`, either: GStreamer's reader waits for samples in one.
///
/// # Errors
///
/// A time before zero, or hours of it.
pub fn write_empty_fragment(
    track: &Track,
    start: Time,
    duration: Duration,
    out: &mut BytesMut,
) -> Result<(), Error> {
    const DEFAULT_DURATION: u32 = 0x8;
    const DURATION_IS_EMPTY: u32 = 0x01_0000;
    const BASE_IS_MOOF: u32 = 0x02_0000;
    let begin = start.to_ticks(track.timescale);
    let ticks = (start + duration).to_ticks(track.timescale).saturating_sub(begin);
    let begin = u64::try_from(begin).map_err(|_| Error::Misuse("a decode time before zero"))?;
    let ticks = u32::try_from(ticks).map_err(|_| Error::Misuse("a fragment of hours"))?;
    write_box(out, b"moof", |out| {
        write_full_box(out, b"mfhd", 0, 0, |out| out.put_u32(1));
        write_box(out, b"traf", |out| {
            let present = BASE_IS_MOOF | DURATION_IS_EMPTY | DEFAULT_DURATION;
            write_full_box(out, b"tfhd", 0, present, |out| {
                out.put_u32(track.number);
                out.put_u32(ticks);
            });
            write_full_box(out, b"tfdt", 1, 0, |out| out.put_u64(begin));
        });
    });
    Ok(())
}

/// The media of a fragment in the order that [`write_fragment`] describes: slices of the packets, shared.
pub fn payloads<'a>(runs: &'a [Run<'a>]) -> impl Iterator<Item = Bytes> + 'a {
    runs.iter().flat_map(|run| run.frames).map(|frame| sample(frame.codec, &frame.payload))
}

/// The first decode time and the table of a run.
fn entries(run: &Run<'_>) -> Result<(u64, Vec<Entry>), Error> {
    let Some(first) = run.frames.first() else {
        return Err(Error::Misuse("a fragment of a track without a frame"));
    };
    let ticks = |time: Time| time.to_ticks(run.track.timescale);
    let start = u64::try_from(ticks(first.dts)).map_err(|_| Error::Misuse("a decode time before zero"))?;
    let ends = run.frames.iter().skip(1).map(|frame| frame.dts).chain([run.end]);
    let mut entries = Vec::with_capacity(run.frames.len());
    for (frame, end) in run.frames.iter().zip(ends) {
        if frame.codec != run.track.codec {
            return Err(Error::Misuse("a frame of another codec than its track"));
        }
        let duration = u32::try_from(ticks(end).saturating_sub(ticks(frame.dts)))
            .map_err(|_| Error::Misuse("decode times that go back, or stand still for hours"))?;
        let composition = i32::try_from(ticks(frame.pts).saturating_sub(ticks(frame.dts)))
            .map_err(|_| Error::Misuse("a frame shown hours from its decoding"))?;
        let size = u32::try_from(sample(frame.codec, &frame.payload).len()).unwrap_or(u32::MAX);
        if size > limits::SAMPLE_BYTES_MAX {
            return Err(Error::Misuse("a frame above the size limit"));
        }
        entries.push(Entry { duration, size, flags: flags_of(frame), composition });
    }
    Ok((start, entries))
}

/// The first decode time and the table of a run of samples.
fn sample_entries(run: &SampleRun<'_>) -> Result<(u64, Vec<Entry>), Error> {
    let Some(first) = run.samples.first() else {
        return Err(Error::Misuse("a fragment of a track without a frame"));
    };
    let start = u64::try_from(first.dts.saturating_add(run.shift));
    let start = start.map_err(|_| Error::Misuse("a decode time before zero"))?;
    let ends = run.samples.iter().skip(1).map(|sample| sample.dts).chain([run.end]);
    let mut entries = Vec::with_capacity(run.samples.len());
    for (sample, end) in run.samples.iter().zip(ends) {
        let duration = u32::try_from(end.saturating_sub(sample.dts))
            .map_err(|_| Error::Misuse("decode times that go back, or stand still for hours"))?;
        if sample.size > limits::SAMPLE_BYTES_MAX {
            return Err(Error::Misuse("a frame above the size limit"));
        }
        let flags = sample_flags(run.track.id.kind, sample.flags);
        entries.push(Entry { duration, size: sample.size, flags, composition: sample.composition });
    }
    Ok((start, entries))
}

/// The flags of a frame. Of sound, every frame is one to start at.
fn flags_of(frame: &Packet) -> u32 {
    sample_flags(frame.track.kind, frame.flags)
}

fn sample_flags(kind: Kind, flags: Flags) -> u32 {
    let is_sync = flags.keyframe || kind == Kind::Audio;
    let disposable = if flags.disposable { flags::DISPOSABLE } else { 0 };
    disposable | if is_sync { flags::SYNC } else { flags::NON_SYNC }
}

/// Writes a `traf` box (sections 8.8.6 to 8.8.8, 8.8.12); returns where its data offset is to be filled in. What all samples
/// have in common is said once: a part of a low-latency stream has one or two frames, and its head should not outweigh them.
fn write_traf(track: &Track, start: u64, entries: &[Entry], out: &mut BytesMut) -> usize {
    const DEFAULT_DURATION: u32 = 0x8;
    const DEFAULT_SIZE: u32 = 0x10;
    const DEFAULT_FLAGS: u32 = 0x20;
    const BASE_IS_MOOF: u32 = 0x02_0000;
    const DATA_OFFSET: u32 = 0x1;
    const FIRST_FLAGS: u32 = 0x4;
    const DURATIONS: u32 = 0x100;
    const SIZES: u32 = 0x200;
    const FLAGS: u32 = 0x400;
    const COMPOSITION: u32 = 0x800;
    let all = |value: fn(&Entry) -> u32| {
        let mut values = entries.iter().map(value);
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    };
    let duration = all(|entry| entry.duration);
    let size = all(|entry| entry.size);
    // Usually a keyframe and then frames of one kind; the first one is said apart.
    let rest_flags = entries.get(1).or(entries.first()).map_or(0, |entry| entry.flags);
    let same_flags = entries.iter().skip(1).all(|entry| entry.flags == rest_flags);
    let first_flags = entries.first().map(|entry| entry.flags).filter(|first| *first != rest_flags);
    let has_composition = entries.iter().any(|entry| entry.composition != 0);
    write_box(out, b"traf", |out| {
        let mut present = BASE_IS_MOOF;
        present |= if duration.is_some() { DEFAULT_DURATION } else { 0 };
        present |= if size.is_some() { DEFAULT_SIZE } else { 0 };
        present |= if same_flags { DEFAULT_FLAGS } else { 0 };
        write_full_box(out, b"tfhd", 0, present, |out| {
            out.put_u32(track.number);
            let defaults = [duration, size, same_flags.then_some(rest_flags)];
            defaults.into_iter().flatten().for_each(|value| out.put_u32(value));
        });
        write_full_box(out, b"tfdt", 1, 0, |out| out.put_u64(start));
        let mut present = DATA_OFFSET;
        present |= if same_flags && first_flags.is_some() { FIRST_FLAGS } else { 0 };
        present |= if duration.is_none() { DURATIONS } else { 0 };
        present |= if size.is_none() { SIZES } else { 0 };
        present |= if same_flags { 0 } else { FLAGS };
        present |= if has_composition { COMPOSITION } else { 0 };
        // Version 1 has signed composition offsets.
        write_full_box(out, b"trun", 1, present, |out| {
            out.put_u32(entries.len() as u32);
            let offset_at = out.len();
            out.put_u32(0);
            if let Some(first_flags) = first_flags.filter(|_| same_flags) {
                out.put_u32(first_flags);
            }
            for entry in entries {
                if duration.is_none() {
                    out.put_u32(entry.duration);
                }
                if size.is_none() {
                    out.put_u32(entry.size);
                }
                if !same_flags {
                    out.put_u32(entry.flags);
                }
                if has_composition {
                    out.put_i32(entry.composition);
                }
            }
            offset_at
        })
    })
}

/// Writes the box that may begin a segment (`styp`, section 8.16.2) of one or several fragments.
pub fn write_segment_type(out: &mut BytesMut) {
    write_file_type(b"styp", b"msdh", &[b"msdh", b"cmfs"], out);
}

/// Writes when a frame of the next fragment was captured (`prft`, section 8.16.5): the wall clock as 64 bits of NTP time
/// (seconds since 1900 and fractions of a second), beside the frame's presentation time. It stands right before `moof`.
pub fn write_producer_time(track: &Track, ntp: u64, pts: Time, out: &mut BytesMut) {
    /// The difference between the two clocks is the same for all fragments.
    const CONSISTENT: u32 = 8;
    /// It is that of real time, at capture.
    const REAL_TIME: u32 = 16;
    write_full_box(out, b"prft", 1, CONSISTENT | REAL_TIME, |out| {
        out.put_u32(track.number);
        out.put_u64(ntp);
        out.put_u64(pts.to_ticks(track.timescale).max(0) as u64);
    });
}

/// A timed event for the player: a message of metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Who defines `data`, such as `https://aomedia.org/emsg/ID3`. Without a zero byte.
    pub scheme: &'a str,
    /// What the scheme makes of it. Without a zero byte.
    pub value: &'a str,
    /// When it is due on the presentation clock.
    pub time: Time,
    /// How long it lasts; `None` where that is not known.
    pub duration: Option<Duration>,
    /// Events of one scheme and value with the same number are the same.
    pub id: u32,
    /// The message.
    pub data: &'a [u8],
}

/// Writes an event box (`emsg` version 1, ISO/IEC 23009-1 section 5.10.3.3) that stands before `moof`.
///
/// # Errors
///
/// A time before zero, a zero byte in a name, or data above [`limits::SAMPLE_BYTES_MAX`].
pub fn write_event(event: &Event<'_>, out: &mut BytesMut) -> Result<(), Error> {
    const TIMESCALE: u32 = 90_000;
    const UNKNOWN: u32 = u32::MAX;
    let time = u64::try_from(event.time.to_ticks(TIMESCALE))
        .map_err(|_| Error::Misuse("an event at a time before zero"))?;
    if event.scheme.contains('\0') || event.value.contains('\0') {
        return Err(Error::Misuse("a zero byte in the name of an event"));
    }
    if event.data.len() > limits::SAMPLE_BYTES_MAX as usize {
        return Err(Error::Misuse("an event above the size limit"));
    }
    let duration = event.duration.map_or(UNKNOWN, |duration| {
        let ticks = (Time::ZERO + duration).to_ticks(TIMESCALE);
        u32::try_from(ticks).unwrap_or(UNKNOWN)
    });
    write_full_box(out, b"emsg", 1, 0, |out| {
        out.put_u32(TIMESCALE);
        out.put_u64(time);
        out.put_u32(duration);
        out.put_u32(event.id);
        for text in [event.scheme, event.value] {
            out.put_slice(text.as_bytes());
            out.put_u8(0);
        }
        out.put_slice(event.data);
    });
    Ok(())
}
