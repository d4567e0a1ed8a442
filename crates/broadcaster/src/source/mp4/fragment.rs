//! Movie fragments (`moof`) appended to the lists of samples.

use super::boxes::Traf;
use super::{Index, Sample, Track};
use crate::{Error, limits};
use mp4_atom::{Tfhd, Trex, TrunEntry};

/// `sample_is_non_sync_sample` (ISO/IEC 14496-12 section 8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// Adds the samples of the fragment whose `moof` box begins at `position`.
pub(super) fn append(index: &mut Index, position: u64, trafs: &[Traf]) -> Result<(), Error> {
    // Without `default-base-is-moof` or an explicit offset, a track fragment continues where the one before ended; most
    // writers mean the moof all the same (ISO/IEC 14496-12 section 8.8.7.1), and the first one is always relative to it.
    let mut base = position;
    for traf in trafs {
        let added: usize = traf.trun.iter().map(|trun| trun.samples.len()).sum();
        index.count_samples(added).map_err(Error::Source)?;
        let length = index.length;
        let number = traf.tfhd.track_id;
        let trex = index.trex.iter().find(|trex| trex.track_id == number).cloned();
        let Some(track) = index.tracks.iter_mut().find(|track| track.number == number) else { continue };
        if let Some(offset) = traf.tfhd.base_data_offset {
            base = offset;
        } else if traf.tfhd.default_base_is_moof {
            base = position;
        }
        base = append_track(track, traf, &Defaults::new(&traf.tfhd, trex.as_ref()), base, length)
            .map_err(|why| Error::Source(why.into()))?;
    }
    Ok(())
}

/// What a sample is when its `trun` entry does not say: `tfhd` first, then `trex`.
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

impl Defaults {
    fn new(tfhd: &Tfhd, trex: Option<&Trex>) -> Self {
        Self {
            duration: tfhd
                .default_sample_duration
                .or(trex.map(|trex| trex.default_sample_duration))
                .unwrap_or(0),
            size: tfhd.default_sample_size.or(trex.map(|trex| trex.default_sample_size)).unwrap_or(0),
            flags: tfhd.default_sample_flags.or(trex.map(|trex| trex.default_sample_flags)).unwrap_or(0),
        }
    }
}

/// Returns the offset behind the last sample.
fn append_track(
    track: &mut Track,
    traf: &Traf,
    defaults: &Defaults,
    base: u64,
    length: u64,
) -> Result<u64, &'static str> {
    let after_last =
        track.samples.last().map_or(0, |last| last.dts.saturating_add(i64::from(defaults.duration)));
    let start = traf.tfdt.as_ref().and_then(|tfdt| i64::try_from(tfdt.base_media_decode_time).ok());
    let mut dts = start.unwrap_or(after_last);
    let mut offset = base;
    for trun in &traf.trun {
        if let Some(relative) = trun.data_offset {
            offset = base.saturating_add_signed(relative.into());
        }
        for TrunEntry { duration, size, flags, cts } in trun.samples.iter() {
            let size = size.unwrap_or(defaults.size);
            if offset.saturating_add(size.into()) > length {
                // A recording that was cut off ends within its last fragment; what is whole is played.
                return Ok(offset);
            }
            if size as usize > limits::FRAME_BYTES_MAX {
                return Err("a sample is larger than an RTMP message can be");
            }
            if size > 0 {
                track.samples.push(Sample {
                    offset,
                    size,
                    keyframe: flags.unwrap_or(defaults.flags) & NON_SYNC == 0,
                    dts,
                    // Some writers store negative offsets in the unsigned form.
                    reorder: cts.unwrap_or(0) as i32,
                });
            }
            offset = offset.saturating_add(size.into());
            dts = dts.saturating_add(duration.unwrap_or(defaults.duration).into());
        }
    }
    Ok(offset)
}
