//! Sample tables (`stbl`) flattened into a list of samples.

use super::Sample;
use super::boxes::Stbl;
use crate::limits;
use media::Time;
use mp4_atom::{Elst, Stsc, StszSamples};

/// All samples of a track, in decode order. `length` is that of the file: no sample may lie beyond it.
pub(super) fn samples(stbl: &Stbl, length: u64) -> Result<Vec<Sample>, &'static str> {
    let (count, size_of): (usize, Box<dyn Fn(usize) -> u32>) = match &stbl.stsz.samples {
        StszSamples::Identical { count, size } => {
            // The count is a bare number here; the file bounds it.
            if u64::from(*count).saturating_mul(u64::from(*size)) > length {
                return Err("the samples are larger than the file");
            }
            let size = *size;
            (*count as usize, Box::new(move |_| size))
        }
        StszSamples::Different { sizes } => (sizes.len(), Box::new(|index| sizes[index])),
    };
    if count > limits::MP4_SAMPLES_MAX {
        return Err("too many samples");
    }
    let mut samples = Vec::with_capacity(count);
    let mut times =
        Runs::new(stbl.stts.entries.iter().map(|entry| (entry.sample_count, i64::from(entry.sample_delta))));
    let reorder = stbl.ctts.iter().flat_map(|ctts| &ctts.entries);
    let mut reorder = Runs::new(reorder.map(|entry| (entry.sample_count, entry.sample_offset)));
    let mut dts = 0_i64;
    place(stbl, count, |index, offset| {
        let size = size_of(index);
        if offset.saturating_add(u64::from(size)) > length {
            return Err("a sample lies beyond the end of the file; was the download complete?");
        }
        if size as usize > limits::FRAME_BYTES_MAX {
            return Err("a sample is larger than an RTMP message can be");
        }
        let delta = times.next().unwrap_or(0);
        samples.push(Sample {
            offset,
            size,
            keyframe: stbl.stss.is_none(),
            dts,
            // Some writers store negative offsets in the unsigned form.
            reorder: reorder.next().unwrap_or(0) as i32,
        });
        dts = dts.saturating_add(delta);
        Ok(u64::from(size))
    })?;
    for number in stbl.stss.iter().flat_map(|stss| &stss.entries) {
        // Sample numbers start at 1.
        if let Some(sample) = (*number as usize).checked_sub(1).and_then(|index| samples.get_mut(index)) {
            sample.keyframe = true;
        }
    }
    // An empty sample only lengthens the one before it.
    samples.retain(|sample| sample.size > 0);
    Ok(samples)
}

/// Calls `visit(sample index, offset) -> size` for each sample by the chunk tables: `stco` says where chunks start, `stsc`
/// how many samples each holds.
fn place(
    stbl: &Stbl,
    count: usize,
    mut visit: impl FnMut(usize, u64) -> Result<u64, &'static str>,
) -> Result<(), &'static str> {
    let chunks: Box<dyn Iterator<Item = u64>> = match (&stbl.co64, &stbl.stco) {
        (Some(co64), _) => Box::new(co64.entries.iter().copied()),
        (None, Some(stco)) => Box::new(stco.entries.iter().map(|offset| u64::from(*offset))),
        (None, None) => Box::new(std::iter::empty()),
    };
    let mut index = 0;
    for (chunk, mut offset) in (1_u32..).zip(chunks) {
        for _ in 0..samples_in(&stbl.stsc, chunk) {
            if index == count {
                return Ok(());
            }
            offset = offset.saturating_add(visit(index, offset)?);
            index += 1;
        }
    }
    if index < count { Err("the chunk tables hold fewer samples than there are") } else { Ok(()) }
}

/// Samples in chunk number `chunk` (from 1): the last entry that does not begin after it.
fn samples_in(stsc: &Stsc, chunk: u32) -> u32 {
    let after = stsc.entries.partition_point(|entry| entry.first_chunk <= chunk);
    after.checked_sub(1).map_or(0, |index| stsc.entries[index].samples_per_chunk)
}

/// The media time, in the track's units, that is shown at presentation time zero (`elst`): the start of the first real
/// edit, less the empty edits before it. Later edits, which would cut or repeat media, are not followed.
pub(super) fn edit_start(elst: Option<&Elst>, movie_timescale: u32, timescale: u32) -> i64 {
    let Some(elst) = elst else { return 0 };
    let mut empty = 0_i64;
    for entry in &elst.entries {
        match entry.media_time {
            None => {
                let ticks = i64::try_from(entry.segment_duration).unwrap_or(0);
                empty = empty.saturating_add(Time::from_ticks(ticks, movie_timescale).to_ticks(timescale));
            }
            Some(start) => return i64::try_from(start).unwrap_or(0).saturating_sub(empty),
        }
    }
    0_i64.saturating_sub(empty)
}

/// Run-length coded values, one after the other.
struct Runs<I> {
    runs: I,
    current: Option<(u32, i64)>,
}

impl<I: Iterator<Item = (u32, i64)>> Runs<I> {
    fn new(runs: I) -> Self {
        Self { runs, current: None }
    }

    fn next(&mut self) -> Option<i64> {
        loop {
            match &mut self.current {
                Some((left, value)) if *left > 0 => {
                    *left -= 1;
                    return Some(*value);
                }
                _ => self.current = Some(self.runs.next()?),
            }
        }
    }
}
