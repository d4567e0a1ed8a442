//! The description of a file (`ftyp`, `moov`): that of fragments to come, and that of media which lies behind it.

use super::boxes::{Kind, write_box, write_full_box};
use super::{Track, limits};
use crate::container::Error;
use crate::{Kind as MediaKind, Time};
use bytes::{BufMut, BytesMut};

/// Ticks in a second of the times that concern no single track. Fine enough for the gap between two of them.
pub(super) const MOVIE_TIMESCALE: u32 = 90_000;

/// Writes what a player needs before the first fragment: `ftyp` and `moov` (the CMAF header of ISO/IEC 23000-19 section 7.3.1).
///
/// # Errors
///
/// No track, more than [`limits::TRACKS_MAX`], or two with the same number.
pub fn write_init(tracks: &[Track], out: &mut BytesMut) -> Result<(), Error> {
    check_numbers(tracks.iter())?;
    // A CMAF track is a file of its own.
    let compatible: &[&Kind] =
        if tracks.len() == 1 { &[b"iso6", b"cmfc", b"mp41"] } else { &[b"iso6", b"mp41"] };
    write_file_type(b"ftyp", b"iso6", compatible, out);
    let nothing = Tables::default();
    let parts: Vec<_> =
        tracks.iter().map(|track| Part { track, tables: &nothing, edits: Vec::new() }).collect();
    write_moov(&parts, true, out);
    Ok(())
}

/// Whether `tracks` can be in one file.
pub(super) fn check_numbers<'a>(tracks: impl Iterator<Item = &'a Track>) -> Result<(), Error> {
    let mut numbers: Vec<_> = tracks.map(|track| track.number).collect();
    numbers.sort_unstable();
    if numbers.is_empty() {
        return Err(Error::Misuse("a file without a track"));
    }
    if numbers.len() > limits::TRACKS_MAX {
        return Err(Error::Misuse("too many tracks in one file"));
    }
    if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::Misuse("two tracks with the same number"));
    }
    Ok(())
}

/// Writes a `ftyp` or `styp` box (ISO/IEC 14496-12 sections 4.3 and 8.16.2).
pub(super) fn write_file_type(kind: &Kind, major: &Kind, compatible: &[&Kind], out: &mut BytesMut) {
    write_box(out, kind, |out| {
        out.put_slice(major);
        out.put_u32(0); // minor version
        for brand in compatible {
            out.put_slice(*brand);
        }
    });
}

/// A track with where its samples are.
pub(super) struct Part<'a> {
    pub(super) track: &'a Track,
    pub(super) tables: &'a Tables,
    pub(super) edits: Vec<Edit>,
}

/// An entry of an edit list (section 8.6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    /// In [`MOVIE_TIMESCALE`].
    pub(super) duration: u64,
    /// In the timescale of the track; `None` where nothing is shown.
    pub(super) media_time: Option<i64>,
}

/// Sample tables (section 8.6 and 8.7); empty where fragments follow.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// In the timescale of the track.
    pub(super) duration: u64,
    /// When the last picture has been shown, on the clock of the samples.
    pub(super) shown_until: i64,
    /// Runs of equal durations: count and ticks.
    pub(super) durations: Vec<(u32, u32)>,
    /// Runs of equal composition offsets: count and ticks; empty where all are 0.
    pub(super) composition: Vec<(u32, i32)>,
    /// Numbers of the samples where decoding can start, from 1; `None` where all are.
    pub(super) sync: Option<Vec<u32>>,
    pub(super) sizes: Vec<u32>,
    /// Samples in each chunk.
    pub(super) chunk_samples: Vec<u32>,
    /// Where each chunk begins in the file.
    pub(super) chunk_offsets: Vec<u64>,
    /// Whether offsets are written with 64 bits.
    pub(super) is_large: bool,
}

pub(super) fn write_moov(parts: &[Part<'_>], fragments_follow: bool, out: &mut BytesMut) {
    let durations: Vec<u64> = parts.iter().map(shown).collect();
    let longest = durations.iter().copied().max().unwrap_or(0);
    write_box(out, b"moov", |out| {
        let next = parts.iter().map(|part| part.track.number).max().unwrap_or(0).saturating_add(1);
        write_mvhd(longest, next, out);
        for (part, duration) in parts.iter().zip(&durations) {
            write_box(out, b"trak", |out| write_trak(part, *duration, out));
        }
        if fragments_follow {
            write_box(out, b"mvex", |out| {
                for part in parts {
                    write_full_box(out, b"trex", 0, 0, |out| {
                        out.put_u32(part.track.number);
                        out.put_u32(1); // sample description
                        out.put_bytes(0, 12); // duration, size and flags: each fragment says them
                    });
                }
            });
        }
    });
}

/// How long a track is shown, in [`MOVIE_TIMESCALE`].
fn shown(part: &Part<'_>) -> u64 {
    if part.edits.is_empty() {
        to_movie(part.tables.duration, part.track.timescale)
    } else {
        part.edits.iter().map(|edit| edit.duration).fold(0, u64::saturating_add)
    }
}

/// Ticks of a track in [`MOVIE_TIMESCALE`].
pub(super) fn to_movie(ticks: u64, timescale: u32) -> u64 {
    let ticks = i64::try_from(ticks).unwrap_or(i64::MAX);
    Time::from_ticks(ticks, timescale).to_ticks(MOVIE_TIMESCALE).max(0) as u64
}

/// Writes a number in 32 bits, or in 64 where `version` is 1.
fn put_sized(value: u64, version: u8, out: &mut BytesMut) {
    match version {
        0 => out.put_u32(value as u32),
        _ => out.put_u64(value),
    }
}

/// 1, with 64 bits for times, where the largest of them needs it.
fn version_for(largest: u64) -> u8 {
    u8::from(largest > u64::from(u32::MAX))
}

const UNITY_MATRIX: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

fn put_matrix(out: &mut BytesMut) {
    UNITY_MATRIX.iter().for_each(|value| out.put_u32(*value));
}

fn write_mvhd(duration: u64, next_track: u32, out: &mut BytesMut) {
    let version = version_for(duration);
    write_full_box(out, b"mvhd", version, 0, |out| {
        put_sized(0, version, out); // creation and modification: unknown
        put_sized(0, version, out);
        out.put_u32(MOVIE_TIMESCALE);
        put_sized(duration, version, out);
        out.put_u32(0x0001_0000); // rate 1
        out.put_u16(0x0100); // volume 1
        out.put_bytes(0, 10);
        put_matrix(out);
        out.put_bytes(0, 24);
        out.put_u32(next_track);
    });
}

fn write_trak(part: &Part<'_>, duration: u64, out: &mut BytesMut) {
    write_tkhd(part.track, duration, out);
    if !part.edits.is_empty() {
        write_box(out, b"edts", |out| write_elst(&part.edits, out));
    }
    write_box(out, b"mdia", |out| write_mdia(part, out));
}

fn write_tkhd(track: &Track, duration: u64, out: &mut BytesMut) {
    /// Enabled, in the movie.
    const FLAGS: u32 = 3;
    let version = version_for(duration);
    let is_audio = track.id.kind == MediaKind::Audio;
    write_full_box(out, b"tkhd", version, FLAGS, |out| {
        put_sized(0, version, out);
        put_sized(0, version, out);
        out.put_u32(track.number);
        out.put_u32(0);
        put_sized(duration, version, out);
        out.put_bytes(0, 8);
        out.put_u16(0); // layer
        out.put_u16(0); // alternate group
        out.put_u16(if is_audio { 0x0100 } else { 0 }); // volume
        out.put_u16(0);
        put_matrix(out);
        // 16 bits before the point. As shown: with the shape of the pixels.
        let height = track.summary.height.unwrap_or(0);
        let mut width = u64::from(track.summary.width.unwrap_or(0)) << 16;
        if let Some((horizontal, vertical)) = track.summary.pixel_aspect {
            width = width * u64::from(horizontal) / u64::from(vertical.max(1));
        }
        out.put_u32(u32::try_from(width).unwrap_or(u32::MAX));
        out.put_u32(height << 16);
    });
}

fn write_elst(edits: &[Edit], out: &mut BytesMut) {
    let longest =
        edits.iter().map(|edit| edit.duration.max(edit.media_time.unwrap_or(0).max(0) as u64)).max();
    // Media times are signed.
    let version = version_for(longest.unwrap_or(0).saturating_mul(2));
    write_full_box(out, b"elst", version, 0, |out| {
        out.put_u32(edits.len() as u32);
        for edit in edits {
            put_sized(edit.duration, version, out);
            put_sized(edit.media_time.unwrap_or(-1) as u64, version, out);
            out.put_u32(0x0001_0000); // rate 1
        }
    });
}

fn write_mdia(part: &Part<'_>, out: &mut BytesMut) {
    /// `und`, 5 bits a letter.
    const UNDETERMINED: u16 = 0x55c4;
    let track = part.track;
    let version = version_for(part.tables.duration);
    write_full_box(out, b"mdhd", version, 0, |out| {
        put_sized(0, version, out);
        put_sized(0, version, out);
        out.put_u32(track.timescale);
        put_sized(part.tables.duration, version, out);
        out.put_u16(UNDETERMINED);
        out.put_u16(0);
    });
    let (handler, name): (&Kind, &[u8]) = match track.id.kind {
        MediaKind::Audio => (b"soun", b"audio\0"),
        _ => (b"vide", b"video\0"),
    };
    write_full_box(out, b"hdlr", 0, 0, |out| {
        out.put_u32(0);
        out.put_slice(handler);
        out.put_bytes(0, 12);
        out.put_slice(name);
    });
    write_box(out, b"minf", |out| {
        match track.id.kind {
            MediaKind::Audio => write_full_box(out, b"smhd", 0, 0, |out| out.put_u32(0)),
            _ => write_full_box(out, b"vmhd", 0, 1, |out| out.put_bytes(0, 8)),
        }
        write_box(out, b"dinf", |out| {
            write_full_box(out, b"dref", 0, 0, |out| {
                out.put_u32(1);
                // The media is in this file.
                write_full_box(out, b"url ", 0, 1, |_| ());
            });
        });
        write_box(out, b"stbl", |out| {
            write_full_box(out, b"stsd", 0, 0, |out| {
                out.put_u32(1);
                out.put_slice(&track.entry);
            });
            write_tables(part.tables, out);
        });
    });
}

fn write_tables(tables: &Tables, out: &mut BytesMut) {
    write_full_box(out, b"stts", 0, 0, |out| {
        out.put_u32(tables.durations.len() as u32);
        for (count, ticks) in &tables.durations {
            out.put_u32(*count);
            out.put_u32(*ticks);
        }
    });
    if !tables.composition.is_empty() {
        let version = u8::from(tables.composition.iter().any(|(_, offset)| *offset < 0));
        write_full_box(out, b"ctts", version, 0, |out| {
            out.put_u32(tables.composition.len() as u32);
            for (count, offset) in &tables.composition {
                out.put_u32(*count);
                out.put_i32(*offset);
            }
        });
    }
    if let Some(sync) = &tables.sync {
        write_full_box(out, b"stss", 0, 0, |out| {
            out.put_u32(sync.len() as u32);
            sync.iter().for_each(|number| out.put_u32(*number));
        });
    }
    write_chunk_runs(&tables.chunk_samples, out);
    write_full_box(out, b"stsz", 0, 0, |out| {
        // One size for all is written once.
        let first = tables.sizes.first().copied().unwrap_or(0);
        let is_same = first != 0 && tables.sizes.iter().all(|size| *size == first);
        out.put_u32(if is_same { first } else { 0 });
        out.put_u32(tables.sizes.len() as u32);
        if !is_same {
            tables.sizes.iter().for_each(|size| out.put_u32(*size));
        }
    });
    let kind: &Kind = if tables.is_large { b"co64" } else { b"stco" };
    write_full_box(out, kind, 0, 0, |out| {
        out.put_u32(tables.chunk_offsets.len() as u32);
        for offset in &tables.chunk_offsets {
            put_sized(*offset, u8::from(tables.is_large), out);
        }
    });
}

/// Writes `stsc`: from which chunk on how many samples each has.
fn write_chunk_runs(chunk_samples: &[u32], out: &mut BytesMut) {
    write_full_box(out, b"stsc", 0, 0, |out| {
        let count_at = out.len();
        out.put_u32(0);
        let (mut runs, mut last) = (0u32, None);
        for (number, samples) in (1u32..).zip(chunk_samples) {
            if last != Some(*samples) {
                out.put_u32(number);
                out.put_u32(*samples);
                out.put_u32(1); // sample description
                runs += 1;
                last = Some(*samples);
            }
        }
        out[count_at..count_at + 4].copy_from_slice(&runs.to_be_bytes());
    });
}
