//! Where the fragments of a file are: `sidx` for a segment, `mfra` at the end of a recording.

use super::Track;
use super::boxes::{write_box, write_full_box};
use crate::Time;
use crate::container::Error;
use bytes::{BufMut, BytesMut};

/// A piece of a file that `sidx` points at: one or several fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes, heads and media.
    pub bytes: u64,
    /// When it begins on the presentation clock.
    pub start: Time,
    /// When it ends: where the next one begins.
    pub end: Time,
    /// Whether it begins at a keyframe.
    pub keyframe: bool,
}

/// Writes a segment index (`sidx`, ISO/IEC 14496-12 section 8.16.3) of `pieces`, which follow it without a gap.
///
/// # Errors
///
/// A time before zero, more than 65 535 pieces, or a piece of 2 GiB or more.
pub fn write_segment_index(track: &Track, pieces: &[Piece], out: &mut BytesMut) -> Result<(), Error> {
    /// `SAP_type` 1: decoding starts at the first sample, and shows everything from there.
    const STARTS_WITH_SAP_1: u32 = 1 << 31 | 1 << 28;
    let count = u16::try_from(pieces.len()).map_err(|_| Error::Misuse("too many pieces in an index"))?;
    let ticks = |time: Time| time.to_ticks(track.timescale);
    let start = pieces.first().map_or(0, |piece| ticks(piece.start));
    let start = u64::try_from(start).map_err(|_| Error::Misuse("a time before zero"))?;
    let mut entries = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let bytes = u32::try_from(piece.bytes).ok().filter(|bytes| bytes >> 31 == 0);
        let bytes = bytes.ok_or(Error::Misuse("a piece of 2 GiB or more"))?;
        let duration = u32::try_from(ticks(piece.end).saturating_sub(ticks(piece.start)))
            .map_err(|_| Error::Misuse("a piece that ends before it begins"))?;
        entries.push([bytes, duration, if piece.keyframe { STARTS_WITH_SAP_1 } else { 0 }]);
    }
    write_full_box(out, b"sidx", 1, 0, |out| {
        out.put_u32(track.number);
        out.put_u32(track.timescale);
        out.put_u64(start);
        out.put_u64(0); // from the end of this box to the first piece
        out.put_u16(0);
        out.put_u16(count);
        entries.iter().flatten().for_each(|field| out.put_u32(*field));
    });
    Ok(())
}

/// A place in a file where playing can start: a fragment that begins at a keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entrance {
    /// When its first frame is shown.
    pub time: Time,
    /// Where its `moof` begins in the file.
    pub moof_position: u64,
    /// Which of the track fragments in that `moof` is that of the track, from 1.
    pub traf_number: u32,
}

/// Writes the index that ends a file of fragments (`mfra`, sections 8.8.9 to 8.8.11), so that players can seek.
///
/// # Errors
///
/// A time before zero.
pub fn write_random_access(tracks: &[(&Track, &[Entrance])], out: &mut BytesMut) -> Result<(), Error> {
    /// Numbers of track fragment, run and sample with 4 bytes each.
    const NUMBER_SIZES: u32 = 3 << 4 | 3 << 2 | 3;
    let earliest =
        tracks.iter().flat_map(|(_, entrances)| entrances.iter()).map(|entrance| entrance.time).min();
    if earliest.is_some_and(|time| time < Time::ZERO) {
        return Err(Error::Misuse("a time before zero"));
    }
    let start = out.len();
    write_box(out, b"mfra", |out| {
        for (track, entrances) in tracks {
            write_full_box(out, b"tfra", 1, 0, |out| {
                out.put_u32(track.number);
                out.put_u32(NUMBER_SIZES);
                out.put_u32(entrances.len() as u32);
                for entrance in *entrances {
                    out.put_u64(entrance.time.to_ticks(track.timescale) as u64);
                    out.put_u64(entrance.moof_position);
                    out.put_u32(entrance.traf_number);
                    out.put_u32(1); // run
                    out.put_u32(1); // sample
                }
            });
        }
        // The size of all this, found from the end of the file.
        let size = (out.len() - start) as u32 + 16;
        write_full_box(out, b"mfro", 0, 0, |out| out.put_u32(size));
    });
    Ok(())
}
