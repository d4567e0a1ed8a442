//! Program specific information: which packets are which stream.

use super::{PID_MASK, limits, stream_type};
use crate::{Codec, Malformed};
use bytes::{BufMut, BytesMut};
use wire::Reader;

const TABLE_PAT: u8 = 0;
const TABLE_PMT: u8 = 2;

/// Descriptor tags (ISO/IEC 13818-1 table 2-45, ETSI EN 300 468 table 12).
mod tag {
    pub const REGISTRATION: u8 = 0x05;
    pub const METADATA_POINTER: u8 = 0x25;
    pub const METADATA: u8 = 0x26;
    pub const DVB_AC3: u8 = 0x6a;
    pub const DVB_EAC3: u8 = 0x7a;
    pub const EXTENSION: u8 = 0x7f;
    /// Behind [`EXTENSION`]: Opus (ETSI draft TS Opus 0.1.3).
    pub const OPUS: u8 = 0x80;
}

/// The checksum of sections (annex A): CRC-32 with the polynomial 04c11db7, not reflected.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

/// Writes a section of the only version.
fn write_section(table: u8, id: u16, body: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(table);
    out.put_u16(0);
    out.put_u16(id);
    out.put_u8(0xc1); // version 0, current
    out.put_u16(0); // section 0 of 0
    body(&mut out);
    let length = (out.len() - 3 + 4) as u16;
    out[1..3].copy_from_slice(&(0xb000 | length).to_be_bytes());
    let crc = crc(&out);
    out.put_u32(crc);
    out
}

/// The program association table of one program.
pub(super) fn write_pat(program: u16, pmt_pid: u16) -> BytesMut {
    write_section(TABLE_PAT, 1, |out| {
        out.put_u16(program);
        out.put_u16(0xe000 | pmt_pid);
    })
}

/// An elementary stream in a program map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: u16,
    pub(super) codec: Codec,
    /// Opus: how many channels.
    pub(super) channels: u8,
}

/// What the descriptors of metadata begin with (ISO/IEC 13818-1 sections 2.6.58 and 2.6.60): named application and format, ID3,
/// and service 0.
const ID3_FORMAT: &[u8] = b"\xff\xffID3 \xffID3 \x00";

/// The program map table. `id3_pid` are the packets of timed ID3 tags, where there are any.
pub(super) fn write_pmt(
    program: u16,
    pcr_pid: u16,
    entries: impl Iterator<Item = Entry>,
    id3_pid: Option<u16>,
) -> BytesMut {
    write_section(TABLE_PMT, program, |out| {
        out.put_u16(0xe000 | pcr_pid);
        let mut descriptors = Vec::new();
        if id3_pid.is_some() {
            // No locator; the metadata is in this program.
            descriptors.extend_from_slice(&[tag::METADATA_POINTER, ID3_FORMAT.len() as u8 + 3]);
            descriptors.extend_from_slice(ID3_FORMAT);
            descriptors.push(0x1f);
            descriptors.extend_from_slice(&program.to_be_bytes());
        }
        out.put_u16(0xf000 | descriptors.len() as u16);
        out.put_slice(&descriptors);
        for entry in entries {
            let (kind, descriptors) = describe(&entry);
            out.put_u8(kind);
            out.put_u16(0xe000 | entry.pid);
            out.put_u16(0xf000 | descriptors.len() as u16);
            out.put_slice(&descriptors);
        }
        if let Some(pid) = id3_pid {
            out.put_u8(stream_type::METADATA);
            out.put_u16(0xe000 | pid);
            out.put_u16(0xf000 | (ID3_FORMAT.len() as u16 + 3));
            out.put_slice(&[tag::METADATA, ID3_FORMAT.len() as u8 + 1]);
            out.put_slice(ID3_FORMAT);
            out.put_u8(0x0f); // no configuration
        }
    })
}

/// Stream type and descriptors.
fn describe(entry: &Entry) -> (u8, Vec<u8>) {
    let registration = |name: &[u8; 4]| [&[tag::REGISTRATION, 4][..], name].concat();
    match entry.codec {
        Codec::H264 => (stream_type::H264, Vec::new()),
        Codec::H265 => (stream_type::H265, registration(b"HEVC")),
        Codec::Aac => (stream_type::ADTS, Vec::new()),
        Codec::Ac3 => (stream_type::AC3, registration(b"AC-3")),
        Codec::Eac3 => (stream_type::EAC3, registration(b"EAC3")),
        Codec::Opus => {
            let extension = [tag::EXTENSION, 2, tag::OPUS, entry.channels];
            (stream_type::PRIVATE, [&registration(b"Opus")[..], &extension].concat())
        }
        _ => (stream_type::MPEG1_AUDIO, Vec::new()),
    }
}

/// Puts sections together that packets bring in pieces.
#[derive(Debug, Default)]
pub(super) struct Sections {
    bytes: Vec<u8>,
}

impl Sections {
    /// Forgets what was not finished.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Takes the payload of a packet; `start` where a section begins in it. Calls `section` with each that is complete and whose
    /// checksum is right. Says whether one had to be thrown away.
    pub(super) fn push(&mut self, start: bool, payload: &[u8], mut section: impl FnMut(&[u8])) -> bool {
        let mut damaged = false;
        let mut fresh = payload;
        if start {
            let Some((pointer, rest)) = payload.split_first() else { return true };
            let Some((tail, begin)) = rest.split_at_checked(usize::from(*pointer)) else { return true };
            if !self.bytes.is_empty() {
                self.bytes.extend_from_slice(tail);
                damaged |= self.take(&mut section) || !self.bytes.is_empty();
                self.bytes.clear();
            }
            fresh = begin;
        } else if self.bytes.is_empty() {
            return false; // the middle of a section whose start was not seen
        }
        self.bytes.extend_from_slice(fresh);
        damaged | self.take(&mut section)
    }

    /// Takes complete sections off the front.
    fn take(&mut self, section: &mut impl FnMut(&[u8])) -> bool {
        const STUFFING: u8 = 0xff;
        let mut damaged = false;
        loop {
            let &[table, high, low, ..] = &self.bytes[..] else { return damaged };
            let size = 3 + (usize::from(high & 0x0f) << 8 | usize::from(low));
            if table == STUFFING || size > limits::SECTION_BYTES_MAX {
                damaged |= table != STUFFING;
                self.bytes.clear();
                return damaged;
            }
            if self.bytes.len() < size {
                return damaged;
            }
            let rest = self.bytes.split_off(size);
            let whole = std::mem::replace(&mut self.bytes, rest);
            if crc(&whole) == 0 {
                section(&whole);
            } else {
                damaged = true;
            }
        }
    }
}

/// Enters a section that is in force; the reader ends where its checksum begins.
fn read_section(section: &[u8], table: u8) -> Result<Option<Reader<'_>>, Malformed> {
    let body = section.len().checked_sub(4).ok_or(Malformed("a table without a checksum"))?;
    let mut reader = Reader::new(&section[..body]);
    let found = reader.u8()?;
    reader.take(4)?; // length, id
    let current = reader.u8()? & 1 == 1;
    reader.take(2)?; // number of the section, and of the last one
    Ok((found == table && current).then_some(reader))
}

/// The packet id of the first program's map.
pub(super) fn read_pat(section: &[u8]) -> Result<Option<u16>, Malformed> {
    const NETWORK: u16 = 0;
    let Some(mut reader) = read_section(section, TABLE_PAT)? else { return Ok(None) };
    while !reader.is_empty() {
        let program = reader.u16()?;
        let pid = reader.u16()? & PID_MASK;
        if program != NETWORK {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}

/// The elementary streams whose codec is known.
pub(super) fn read_pmt(section: &[u8]) -> Result<Option<Vec<Entry>>, Malformed> {
    let Some(mut reader) = read_section(section, TABLE_PMT)? else { return Ok(None) };
    reader.take(2)?; // packet id of the clock
    let descriptors = reader.u16()? & 0x0fff;
    reader.take(descriptors.into())?;
    let mut entries = Vec::new();
    while !reader.is_empty() {
        let kind = reader.u8()?;
        let pid = reader.u16()? & PID_MASK;
        let size = reader.u16()? & 0x0fff;
        let (named, channels) = read_descriptors(reader.take(size.into())?)?;
        let codec = match kind {
            stream_type::MPEG1_AUDIO | stream_type::MPEG2_AUDIO => Some(Codec::Mp3),
            stream_type::ADTS => Some(Codec::Aac),
            stream_type::H264 => Some(Codec::H264),
            stream_type::H265 => Some(Codec::H265),
            stream_type::AC3 => Some(Codec::Ac3),
            stream_type::EAC3 => Some(Codec::Eac3),
            stream_type::PRIVATE => named,
            _ => None,
        };
        if let Some(codec) = codec
            && entries.len() < limits::TRACKS_MAX
        {
            entries.push(Entry { pid, codec, channels });
        }
    }
    Ok(Some(entries))
}

/// The codec that descriptors name, and the channels of Opus.
fn read_descriptors(descriptors: &[u8]) -> Result<(Option<Codec>, u8), Malformed> {
    let mut reader = Reader::new(descriptors);
    let (mut codec, mut channels) = (None, 0);
    while !reader.is_empty() {
        let tag = reader.u8()?;
        let size = reader.u8()?;
        let body = reader.take(size.into())?;
        match (tag, body) {
            (tag::REGISTRATION, [b'O', b'p', b'u', b's', ..]) => codec = Some(Codec::Opus),
            (tag::REGISTRATION, [b'A', b'C', b'-', b'3', ..]) => codec = Some(Codec::Ac3),
            (tag::REGISTRATION, [b'E', b'A', b'C', b'3', ..]) => codec = Some(Codec::Eac3),
            (tag::REGISTRATION, [b'H', b'E', b'V', b'C', ..]) => codec = Some(Codec::H265),
            (tag::DVB_AC3, _) => codec = Some(Codec::Ac3),
            (tag::DVB_EAC3, _) => codec = Some(Codec::Eac3),
            (tag::EXTENSION, [tag::OPUS, code, ..]) => channels = *code,
            _ => {}
        }
    }
    Ok((codec, channels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_ffmpeg_are_read_and_a_changed_one_is_not() {
        // PAT of ffmpeg: program 1 in packets 1000.
        let pat =
            [0x00, 0xb0, 0x0d, 0x00, 0x01, 0xc1, 0x00, 0x00, 0x00, 0x01, 0xf0, 0x00, 0x2a, 0xb1, 0x04, 0xb2];
        assert_eq!(write_pat(1, 0x1000)[..], pat);
        assert_eq!(read_pat(&pat), Ok(Some(0x1000)));
        assert_eq!(crc(&pat), 0);
        let mut changed = pat;
        changed[9] = 3;
        let mut sections = Sections::default();
        let damaged =
            sections.push(true, &[&[0][..], &changed].concat(), |_| panic!("the checksum is wrong"));
        assert!(damaged);
    }

    #[test]
    fn sections_come_in_pieces_and_several_at_once() {
        let pat = write_pat(1, 0x1000);
        let mut found = Vec::new();
        let mut sections = Sections::default();
        let mut collect = |section: &[u8]| found.push(section.to_vec());
        assert!(!sections.push(false, &pat, &mut collect), "a start was not seen");
        assert!(!sections.push(true, &[&[0][..], &pat[..5]].concat(), &mut collect));
        assert!(!sections.push(false, &pat[5..9], &mut collect));
        // The rest stands before the pointer's target; then one more, and stuffing.
        let rest = [&[(pat.len() - 9) as u8][..], &pat[9..], &pat, &[0xff; 20]].concat();
        assert!(!sections.push(true, &rest, &mut collect));
        assert_eq!(found, [pat.to_vec(), pat.to_vec()]);
    }
}
