//! The boxes of one track in `moov` that matter here.

use crate::Malformed;
use crate::container::fmp4::boxes::{Kind, children, find, read_full};
use wire::Reader;

/// A `trak` box. Tables are not taken apart yet.
#[derive(Debug, Default)]
pub(super) struct Trak<'a> {
    pub(super) number: u32,
    pub(super) timescale: u32,
    pub(super) handler: Kind,
    /// The body of `elst`.
    pub(super) edits: Option<&'a [u8]>,
    /// The first sample entry, which says what the samples are.
    pub(super) entry: Option<(Kind, &'a [u8])>,
    pub(super) tables: Tables<'a>,
}

/// The bodies of the boxes in `stbl`: when samples are due, where they lie, and which are keyframes.
#[derive(Debug, Default)]
pub(super) struct Tables<'a> {
    pub(super) stts: Option<&'a [u8]>,
    pub(super) ctts: Option<&'a [u8]>,
    pub(super) stss: Option<&'a [u8]>,
    pub(super) stsc: Option<&'a [u8]>,
    pub(super) stsz: Option<&'a [u8]>,
    pub(super) stco: Option<&'a [u8]>,
    pub(super) co64: Option<&'a [u8]>,
}

impl<'a> Trak<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut trak = Self::default();
        for child in children(body) {
            let (kind, body) = child?;
            match &kind {
                b"tkhd" => {
                    let (version, _, mut reader) = read_full(body)?;
                    skip_times(version, &mut reader)?;
                    trak.number = reader.u32()?;
                }
                b"edts" => trak.edits = find(body, b"elst")?,
                b"mdia" => trak.read_mdia(body)?,
                _ => {}
            }
        }
        if trak.number == 0 || trak.timescale == 0 || trak.handler == [0; 4] {
            return Err(Malformed("a track has no header"));
        }
        Ok(trak)
    }

    fn read_mdia(&mut self, body: &'a [u8]) -> Result<(), Malformed> {
        for child in children(body) {
            let (kind, body) = child?;
            match &kind {
                b"mdhd" => self.timescale = read_timescale(body)?,
                b"hdlr" => {
                    let (_, _, mut reader) = read_full(body)?;
                    reader.take(4)?;
                    self.handler = reader.array()?;
                }
                b"minf" => {
                    if let Some(stbl) = find(body, b"stbl")? {
                        self.read_stbl(stbl)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_stbl(&mut self, body: &'a [u8]) -> Result<(), Malformed> {
        for child in children(body) {
            let (kind, body) = child?;
            let tables = &mut self.tables;
            match &kind {
                b"stsd" => {
                    // Version, flags and the number of entries stand before them.
                    let entries = body.get(8..).ok_or(Malformed("the stsd box is cut off"))?;
                    self.entry = children(entries).next().transpose()?;
                }
                b"stts" => tables.stts = Some(body),
                b"ctts" => tables.ctts = Some(body),
                b"stss" => tables.stss = Some(body),
                b"stsc" => tables.stsc = Some(body),
                b"stsz" => tables.stsz = Some(body),
                b"stco" => tables.stco = Some(body),
                b"co64" => tables.co64 = Some(body),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Passes over the times of creation and modification.
fn skip_times(version: u8, reader: &mut Reader<'_>) -> Result<(), Malformed> {
    reader.take(if version == 1 { 16 } else { 8 })?;
    Ok(())
}

/// The timescale of `mdhd` or `mvhd`, which begin alike.
fn read_timescale(body: &[u8]) -> Result<u32, Malformed> {
    let (version, _, mut reader) = read_full(body)?;
    skip_times(version, &mut reader)?;
    Ok(reader.u32()?)
}

/// The timescale of edit lists, from `mvhd`.
pub(super) fn read_movie_timescale(mvhd: &[u8]) -> Result<u32, Malformed> {
    Ok(read_timescale(mvhd)?.max(1))
}
