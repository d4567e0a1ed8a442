//! Sample tables (`stbl`) flattened into a list of samples.

use super::trak::Tables;
use crate::container::Error;
use crate::container::fmp4::boxes::read_full;
use crate::container::fmp4::{limits, progressive::Sample};
use crate::{Flags, Malformed, Time};

/// All samples of a track in decode order, and the tick at which the last one ends. `length` is that of the file: no sample may
/// lie beyond it. `left` is how many samples there may be.
pub(super) fn samples(
    tables: &Tables<'_>,
    length: u64,
    left: &mut usize,
) -> Result<(Vec<Sample>, i64), Error> {
    let sizes = Sizes::read(tables.stsz)?;
    if let Some(size) = sizes.same
        && u64::from(sizes.count) * u64::from(size) > length
    {
        // The count is a bare number here; the file bounds it.
        return Err(Malformed("the samples are larger than the file").into());
    }
    count_samples(sizes.count, left)?;
    let mut times = Runs::new(tables.stts)?;
    let mut composition = Runs::new(tables.ctts)?;
    let mut sync = tables.stss.map(|body| entries::<4>(body)).transpose()?;
    let mut next_sync = sync.as_mut().and_then(|sync| sync.next()).map(u32::from_be_bytes);
    let mut samples = Vec::new();
    let mut dts = 0i64;
    place(tables, sizes.count, |index, position| {
        let size = sizes.of(index).ok_or(Malformed("the sample sizes are cut off"))?;
        if position.saturating_add(u64::from(size)) > length {
            return Err(
                Malformed("a sample lies beyond the end of the file; was the download complete?").into()
            );
        }
        if size > limits::SAMPLE_BYTES_MAX {
            return Err(Error::Unsupported("a sample above the size limit"));
        }
        // Sample numbers start at 1, and grow.
        let number = index + 1;
        while next_sync.is_some_and(|sync| sync < number) {
            next_sync = sync.as_mut().and_then(|sync| sync.next()).map(u32::from_be_bytes);
        }
        let keyframe = tables.stss.is_none() || next_sync == Some(number);
        let duration = times.next().unwrap_or(0);
        // Some writers store negative offsets in the unsigned form.
        let composition = composition.next().unwrap_or(0) as i32;
        // An empty sample only lengthens the one before it.
        if size > 0 {
            let flags = Flags { keyframe, disposable: false };
            samples.push(Sample { position, size, dts, composition, flags });
        }
        dts = dts.saturating_add(duration.into());
        Ok(u64::from(size))
    })?;
    Ok((samples, dts))
}

/// Counts samples, empty ones too: each costs time.
pub(super) fn count_samples(count: u32, left: &mut usize) -> Result<(), Error> {
    *left = left.checked_sub(count as usize).ok_or(Error::Unsupported("a file of too many samples"))?;
    Ok(())
}

/// The entries of a table of `N` bytes each: as many as it says, and as it has.
fn entries<const N: usize>(body: &[u8]) -> Result<impl Iterator<Item = [u8; N]>, Malformed> {
    let (_, _, mut reader) = read_full(body)?;
    let count = reader.u32()? as usize;
    let array = |entry: &[u8]| {
        let mut out = [0; N];
        out.copy_from_slice(entry);
        out
    };
    Ok(reader.rest().chunks_exact(N).take(count).map(array))
}

/// The fields of an entry of 32-bit numbers.
fn fields<const N: usize>(entry: &[u8]) -> [u32; N] {
    let mut out = [0; N];
    for (field, bytes) in out.iter_mut().zip(entry.chunks_exact(4)) {
        *field = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    out
}

/// `stsz`: one size for all samples, or one each.
struct Sizes<'a> {
    same: Option<u32>,
    count: u32,
    each: &'a [u8],
}

impl<'a> Sizes<'a> {
    fn read(stsz: Option<&'a [u8]>) -> Result<Self, Malformed> {
        let Some(body) = stsz else { return Ok(Self { same: None, count: 0, each: &[] }) };
        let (_, _, mut reader) = read_full(body)?;
        let same = Some(reader.u32()?).filter(|size| *size != 0);
        let count = reader.u32()?;
        let each = reader.rest();
        if same.is_none() && each.len() as u64 / 4 < u64::from(count) {
            return Err(Malformed("the sample sizes are cut off"));
        }
        Ok(Self { same, count, each })
    }

    fn of(&self, index: u32) -> Option<u32> {
        self.same.or_else(|| {
            let at = index as usize * 4;
            self.each.get(at..at + 4).map(|bytes| fields::<1>(bytes)[0])
        })
    }
}

/// Calls `visit(sample index, position) -> size` for each sample by the chunk tables: `stco` says where chunks start, `stsc`
/// how many samples each holds.
fn place(
    tables: &Tables<'_>,
    count: u32,
    mut visit: impl FnMut(u32, u64) -> Result<u64, Error>,
) -> Result<(), Error> {
    if count == 0 {
        return Ok(());
    }
    let chunks: Box<dyn Iterator<Item = u64>> = match (tables.co64, tables.stco) {
        (Some(co64), _) => Box::new(entries::<8>(co64)?.map(u64::from_be_bytes)),
        (None, Some(stco)) => Box::new(entries::<4>(stco)?.map(|bytes| u64::from(u32::from_be_bytes(bytes)))),
        (None, None) => Box::new(std::iter::empty()),
    };
    let stsc = tables.stsc.ok_or(Malformed("a track has no stsc box"))?;
    let mut runs = entries::<12>(stsc)?.map(|entry| fields::<3>(&entry)).peekable();
    let mut in_chunk = 0;
    let mut index = 0;
    for (number, mut position) in (1u32..).zip(chunks) {
        while let Some([_, samples, _]) = runs.next_if(|[first_chunk, ..]| *first_chunk <= number) {
            in_chunk = samples;
        }
        for _ in 0..in_chunk {
            if index == count {
                return Ok(());
            }
            position = position.saturating_add(visit(index, position)?);
            index += 1;
        }
    }
    if index < count {
        return Err(Malformed("the chunk tables hold fewer samples than there are").into());
    }
    Ok(())
}

/// The media time, in the track's ticks, that is shown at presentation time zero (`elst`): the start of the first real edit,
/// less the empty edits before it. Later edits, which would cut or repeat media, are not followed.
pub(super) fn edit_start(
    elst: Option<&[u8]>,
    movie_timescale: u32,
    timescale: u32,
) -> Result<i64, Malformed> {
    let Some(body) = elst else { return Ok(0) };
    let (version, _, mut reader) = read_full(body)?;
    let mut empty = 0i64;
    for _ in 0..reader.u32()? {
        let (duration, media_time) = match version {
            1 => (reader.u64()?, reader.u64()? as i64),
            _ => (u64::from(reader.u32()?), i64::from(reader.u32()? as i32)),
        };
        reader.take(4)?; // rate
        if media_time >= 0 {
            return Ok(media_time.saturating_sub(empty));
        }
        let ticks = i64::try_from(duration).unwrap_or(0);
        empty = empty.saturating_add(Time::from_ticks(ticks, movie_timescale).to_ticks(timescale));
    }
    Ok(0i64.saturating_sub(empty))
}

/// Run-length coded values, one after the other: `stts` and `ctts`.
struct Runs<'a> {
    runs: Box<dyn Iterator<Item = [u8; 8]> + 'a>,
    left: u32,
    value: u32,
}

impl<'a> Runs<'a> {
    fn new(body: Option<&'a [u8]>) -> Result<Self, Malformed> {
        let runs: Box<dyn Iterator<Item = [u8; 8]> + 'a> = match body {
            Some(body) => Box::new(entries::<8>(body)?),
            None => Box::new(std::iter::empty()),
        };
        Ok(Self { runs, left: 0, value: 0 })
    }

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            [self.left, self.value] = fields::<2>(&self.runs.next()?);
        }
        self.left -= 1;
        Some(self.value)
    }
}
