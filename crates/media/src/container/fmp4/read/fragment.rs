//! Movie fragments (`moof`) appended to the lists of samples.

use super::MovieTrack;
use super::tables::count_samples;
use crate::container::Error;
use crate::container::fmp4::boxes::{children, read_full};
use crate::container::fmp4::fragment::flags;
use crate::container::fmp4::{limits, progressive::Sample};
use crate::{Flags, Malformed};

/// What a sample is when its `trun` entry does not say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// A `trex` box: the number of a track, and what its fragments leave unsaid.
pub(super) fn read_trex(body: &[u8]) -> Result<(u32, Defaults), Malformed> {
    let (_, _, mut reader) = read_full(body)?;
    let number = reader.u32()?;
    reader.take(4)?; // sample description
    let (duration, size, flags) = (reader.u32()?, reader.u32()?, reader.u32()?);
    Ok((number, Defaults { duration, size, flags }))
}

/// The number of a fragment, from `mfhd`.
pub(super) fn read_sequence(body: &[u8]) -> Result<u32, Malformed> {
    let (_, _, mut reader) = read_full(body)?;
    Ok(reader.u32()?)
}

/// A `traf` box: the part of a track that lies in one movie fragment.
#[derive(Debug, Default)]
pub(super) struct Traf<'a> {
    pub(super) number: u32,
    /// What offsets are relative to, where it is said in bytes of the file.
    pub(super) base: Option<u64>,
    pub(super) base_is_moof: bool,
    duration: Option<u32>,
    size: Option<u32>,
    flags: Option<u32>,
    start: Option<u64>,
    /// The bodies of its `trun` boxes.
    runs: Vec<&'a [u8]>,
}

impl<'a> Traf<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut traf = Self::default();
        for child in children(body) {
            let (kind, body) = child?;
            match &kind {
                b"tfhd" => traf.read_tfhd(body)?,
                b"tfdt" => {
                    let (version, _, mut reader) = read_full(body)?;
                    let start = if version == 1 { reader.u64()? } else { reader.u32()?.into() };
                    traf.start = Some(start);
                }
                b"trun" => traf.runs.push(body),
                _ => {}
            }
        }
        if traf.number == 0 {
            return Err(Malformed("a traf box has no tfhd"));
        }
        Ok(traf)
    }

    fn read_tfhd(&mut self, body: &[u8]) -> Result<(), Malformed> {
        const BASE: u32 = 0x1;
        const DESCRIPTION: u32 = 0x2;
        const DURATION: u32 = 0x8;
        const SIZE: u32 = 0x10;
        const FLAGS: u32 = 0x20;
        const BASE_IS_MOOF: u32 = 0x02_0000;
        let (_, present, mut reader) = read_full(body)?;
        self.number = reader.u32()?;
        self.base_is_moof = present & BASE_IS_MOOF != 0;
        if present & BASE != 0 {
            self.base = Some(reader.u64()?);
        }
        if present & DESCRIPTION != 0 {
            reader.u32()?;
        }
        let mut field = |flag: u32| (present & flag != 0).then(|| reader.u32()).transpose();
        self.duration = field(DURATION)?;
        self.size = field(SIZE)?;
        self.flags = field(FLAGS)?;
        Ok(())
    }

    /// `tfhd` first, then `trex`.
    pub(super) fn defaults(&self, trex: Option<Defaults>) -> Defaults {
        let trex = trex.unwrap_or_default();
        Defaults {
            duration: self.duration.unwrap_or(trex.duration),
            size: self.size.unwrap_or(trex.size),
            flags: self.flags.unwrap_or(trex.flags),
        }
    }

    /// Appends the samples to `track`; `length` is that of the file. Returns the position behind the last sample.
    pub(super) fn append(
        &self,
        track: &mut MovieTrack,
        defaults: &Defaults,
        base: u64,
        length: u64,
        left: &mut usize,
    ) -> Result<u64, Error> {
        const DATA_OFFSET: u32 = 0x1;
        const FIRST_FLAGS: u32 = 0x4;
        const DURATION: u32 = 0x100;
        const SIZE: u32 = 0x200;
        const FLAGS: u32 = 0x400;
        const COMPOSITION: u32 = 0x800;
        let start = self.start.and_then(|start| i64::try_from(start).ok());
        let mut dts = start.unwrap_or(track.end);
        let mut position = base;
        for run in &self.runs {
            let (_, present, mut reader) = read_full(run)?;
            let count = reader.u32()?;
            count_samples(count, left)?;
            if present & DATA_OFFSET != 0 {
                position = base.saturating_add_signed((reader.u32()? as i32).into());
            }
            let mut first_flags = (present & FIRST_FLAGS != 0).then(|| reader.u32()).transpose()?;
            for _ in 0..count {
                let mut field = |flag: u32| (present & flag != 0).then(|| reader.u32()).transpose();
                let duration = field(DURATION)?.unwrap_or(defaults.duration);
                let size = field(SIZE)?.unwrap_or(defaults.size);
                let sample_flags = field(FLAGS)?;
                let sample_flags = first_flags.take().or(sample_flags).unwrap_or(defaults.flags);
                // Some writers store negative offsets in the unsigned form.
                let composition = field(COMPOSITION)?.unwrap_or(0) as i32;
                if position.saturating_add(size.into()) > length {
                    // A recording that was cut off ends within its last fragment; what is whole is played.
                    return Ok(position);
                }
                if size > limits::SAMPLE_BYTES_MAX {
                    return Err(Error::Unsupported("a sample above the size limit"));
                }
                if size > 0 {
                    let flags = Flags {
                        keyframe: sample_flags & flags::IS_NON_SYNC == 0,
                        disposable: sample_flags & flags::IS_DEPENDED_ON == flags::DISPOSABLE,
                    };
                    track.samples.push(Sample { position, size, dts, composition, flags });
                }
                position = position.saturating_add(size.into());
                dts = dts.saturating_add(duration.into());
                track.end = dts;
            }
        }
        Ok(position)
    }
}
