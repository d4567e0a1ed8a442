//! The byte stream form of H.264 and H.265 (annex B of both): units behind start codes, parameter sets among them. Packets
//! have length prefixes and a configuration record instead; here the one becomes the other.

use super::nal::{Units, unescape};
use super::{Codec, h264, h265};
use crate::Malformed;
use bytes::{BufMut, Bytes, BytesMut};
use wire::Reader;

/// In front of each unit that is written.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Parameter sets of one kind that are kept. The standards allow 16 to 256; encoders have one or two.
const SETS_MAX: usize = 32;

/// What a unit is, as far as the two forms differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnitKind {
    /// Marks where an access unit begins; only the byte stream has it.
    Delimiter,
    /// Video parameter set, H.265 only.
    Video,
    Sequence,
    Picture,
    /// Bytes without a meaning.
    Filler,
    Other,
}

fn kind_of(codec: Codec, unit: &[u8]) -> UnitKind {
    let Some(first) = unit.first() else { return UnitKind::Filler };
    match (codec, first & 0x1f, (first >> 1) & 0x3f) {
        (Codec::H264, 7, _) => UnitKind::Sequence,
        (Codec::H264, 8, _) => UnitKind::Picture,
        (Codec::H264, 9, _) => UnitKind::Delimiter,
        (Codec::H264, 12, _) => UnitKind::Filler,
        (Codec::H265, _, 32) => UnitKind::Video,
        (Codec::H265, _, 33) => UnitKind::Sequence,
        (Codec::H265, _, 34) => UnitKind::Picture,
        (Codec::H265, _, 35) => UnitKind::Delimiter,
        (Codec::H265, _, 38) => UnitKind::Filler,
        _ => UnitKind::Other,
    }
}

/// The units of a byte stream, without start codes and the zeros around them.
pub fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    let mut inside = false;
    std::iter::from_fn(move || {
        if !inside {
            rest = after_start_code(rest)?.1;
            inside = true;
        }
        if rest.is_empty() {
            return None;
        }
        let (unit, after) = match after_start_code(rest) {
            Some((before, after)) => (before, after),
            None => (rest, &[][..]),
        };
        rest = after;
        // Zeros at the end belong to the start code, or are padding: a unit never ends with one (section 7.4.1).
        let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(&unit[..end])
    })
    .filter(|unit| !unit.is_empty())
}

/// What is before and behind the first `00 00 01`.
fn after_start_code(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        match bytes.get(at..at + 3)? {
            [0, 0, 1] => return Some((&bytes[..at], &bytes[at + 3..])),
            // No start code can begin before such a byte.
            [_, _, last] if *last > 1 => at += 3,
            _ => at += 1,
        }
    }
}

/// The parameter sets in a configuration record (`avcC` or `hvcC`), in the order in which a decoder needs them.
///
/// # Errors
///
/// A record that ends early, or that of another codec.
pub fn parameter_sets(codec: Codec, record: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let mut reader = Reader::new(record);
    let mut sets = Vec::new();
    match codec {
        Codec::H264 => {
            reader.take(5)?; // version, profile, compatibility, level, length size
            let count = reader.u8()? & 0x1f;
            read_sets(&mut reader, count.into(), &mut sets)?;
            let count = reader.u8()?;
            read_sets(&mut reader, count.into(), &mut sets)?;
        }
        Codec::H265 => {
            reader.take(22)?; // profile to length size
            for _ in 0..reader.u8()? {
                reader.u8()?; // kind of units
                let count = reader.u16()?;
                read_sets(&mut reader, count, &mut sets)?;
            }
        }
        _ => return Err(Malformed("a codec without parameter sets")),
    }
    // Records may hold messages (SEI) as well, which belong to one picture.
    sets.retain(|unit| {
        matches!(kind_of(codec, unit), UnitKind::Video | UnitKind::Sequence | UnitKind::Picture)
    });
    Ok(sets)
}

/// Reads units behind sizes of 16 bits.
fn read_sets<'a>(reader: &mut Reader<'a>, count: u16, sets: &mut Vec<&'a [u8]>) -> Result<(), Malformed> {
    for _ in 0..count {
        let size = reader.u16()?;
        sets.push(reader.take(size.into())?);
    }
    Ok(())
}

/// Writes a frame as an access unit of a byte stream: a delimiter, `sets` (which are `parameter_sets` if the frame is a
/// keyframe) unless it has its own, and its units.
pub fn write_access_unit(
    codec: Codec,
    payload: &[u8],
    nal_length_size: u8,
    sets: &[Bytes],
    out: &mut BytesMut,
) {
    /// Any kind of slice may follow (H.264 table 7-5, H.265 table 7-2).
    const DELIMITER_H264: &[u8] = &[0x09, 0xf0];
    const DELIMITER_H265: &[u8] = &[0x46, 0x01, 0x50];
    let mut put = |unit: &[u8]| {
        out.put_slice(&START_CODE);
        out.put_slice(unit);
    };
    put(if codec == Codec::H265 { DELIMITER_H265 } else { DELIMITER_H264 });
    let units =
        || Units::new(payload, nal_length_size).filter(|unit| kind_of(codec, unit) != UnitKind::Delimiter);
    if !units().any(|unit| kind_of(codec, unit) == UnitKind::Sequence) {
        sets.iter().for_each(|set| put(set));
    }
    units().for_each(put);
}

/// Collects the parameter sets of a byte stream and makes packets of its access units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    codec: Codec,
    video: Vec<Bytes>,
    sequence: Vec<Bytes>,
    picture: Vec<Bytes>,
    record: Bytes,
}

impl Collector {
    /// For H.264 or H.265; other codecs give no record.
    pub fn new(codec: Codec) -> Self {
        Self { codec, video: Vec::new(), sequence: Vec::new(), picture: Vec::new(), record: Bytes::new() }
    }

    /// The bytes of all parameter sets and of the record.
    pub fn bytes(&self) -> usize {
        let sets = self.video.iter().chain(&self.sequence).chain(&self.picture);
        sets.map(Bytes::len).sum::<usize>() + self.record.len()
    }

    /// The configuration record of the newest parameter sets; empty before there are enough of them.
    pub fn record(&self) -> &Bytes {
        &self.record
    }

    /// The frame in `access_unit`: its units with prefixes of 4 bytes, without delimiters, filler and parameter sets. The latter
    /// go into [`Collector::record`]; the result says whether they changed it.
    pub fn frame(&mut self, access_unit: &[u8]) -> (Bytes, bool) {
        let mut out = BytesMut::with_capacity(access_unit.len() + 16);
        let (mut video, mut sequence, mut picture) = (Vec::new(), Vec::new(), Vec::new());
        for unit in units(access_unit) {
            let list = match kind_of(self.codec, unit) {
                UnitKind::Delimiter | UnitKind::Filler => continue,
                UnitKind::Video => &mut video,
                UnitKind::Sequence => &mut sequence,
                UnitKind::Picture => &mut picture,
                UnitKind::Other => {
                    // An access unit is far below 4 GiB.
                    out.put_u32(unit.len() as u32);
                    out.put_slice(unit);
                    continue;
                }
            };
            // The size of a set has 16 bits in the record.
            if list.len() < SETS_MAX && unit.len() <= usize::from(u16::MAX) {
                list.push(Bytes::copy_from_slice(unit));
            }
        }
        let is_new = !(video.is_empty() && sequence.is_empty() && picture.is_empty());
        (out.freeze(), is_new && self.update(video, sequence, picture))
    }

    /// A new sequence parameter set begins anew; picture parameter sets alone replace those of the same number.
    fn update(&mut self, video: Vec<Bytes>, sequence: Vec<Bytes>, picture: Vec<Bytes>) -> bool {
        if !video.is_empty() {
            self.video = video;
        }
        if !sequence.is_empty() {
            self.sequence = sequence;
            self.picture.clear();
        }
        for unit in picture {
            let number = picture_set_number(self.codec, &unit);
            let known = self.picture.iter().position(|known| picture_set_number(self.codec, known) == number);
            match known {
                Some(known) => self.picture[known] = unit,
                None if self.picture.len() < SETS_MAX => self.picture.push(unit),
                None => {}
            }
        }
        let record = match self.codec {
            Codec::H264 => self.write_avc(),
            Codec::H265 => self.write_hevc(),
            _ => None,
        };
        match record {
            Some(record) if record != self.record => {
                self.record = record;
                true
            }
            _ => false,
        }
    }

    /// ISO/IEC 14496-15 section 5.3.3.1.
    fn write_avc(&self) -> Option<Bytes> {
        const WITHOUT_CHROMA: [u8; 3] = [66, 77, 88];
        let first = self.sequence.first()?;
        let sps = h264::read_sps(first).ok()?;
        if self.picture.is_empty() {
            return None;
        }
        let mut out = BytesMut::new();
        out.put_u8(1);
        out.put_slice(first.get(1..4)?);
        out.put_u8(0xfc | 3); // prefixes of 4 bytes
        out.put_u8(0xe0 | self.sequence.len().min(31) as u8);
        put_sets(self.sequence.iter().take(31), &mut out);
        out.put_u8(self.picture.len() as u8);
        put_sets(self.picture.iter(), &mut out);
        if !WITHOUT_CHROMA.contains(&sps.profile) {
            out.put_u8(0xfc | sps.chroma_format);
            out.put_u8(0xf8 | (sps.bit_depth_luma - 8) & 7);
            out.put_u8(0xf8 | (sps.bit_depth_chroma - 8) & 7);
            out.put_u8(0); // sequence parameter set extensions
        }
        Some(out.freeze())
    }

    /// ISO/IEC 14496-15 section 8.3.3.1.
    fn write_hevc(&self) -> Option<Bytes> {
        let first = self.sequence.first()?;
        let sps = h265::read_sps(first).ok()?;
        if self.video.is_empty() || self.picture.is_empty() {
            return None;
        }
        // sps_video_parameter_set_id:4 sub_layers-1:3 nesting:1, then the profile of 12 bytes (section 7.3.2.2.1).
        let bytes = unescape(first.get(2..first.len().min(64))?);
        let head = *bytes.first()?;
        let mut out = BytesMut::new();
        out.put_u8(1);
        out.put_slice(bytes.get(1..13)?);
        out.put_u16(0xf000); // min_spatial_segmentation_idc: unknown
        out.put_u8(0xfc); // parallelismType: unknown
        out.put_u8(0xfc | sps.chroma_format);
        out.put_u8(0xf8 | (sps.bit_depth_luma - 8) & 7);
        out.put_u8(0xf8 | (sps.bit_depth_chroma - 8) & 7);
        out.put_u16(0); // average frame rate: unknown
        let sub_layers = ((head >> 1) & 7) + 1;
        out.put_u8((sub_layers & 7) << 3 | (head & 1) << 2 | 3); // prefixes of 4 bytes
        out.put_u8(3);
        for (kind, sets) in [(32, &self.video), (33, &self.sequence), (34, &self.picture)] {
            out.put_u8(0x80 | kind); // all of this kind are here
            out.put_u16(sets.len() as u16);
            put_sets(sets.iter(), &mut out);
        }
        Some(out.freeze())
    }
}

fn put_sets<'a>(sets: impl Iterator<Item = &'a Bytes>, out: &mut BytesMut) {
    for set in sets {
        out.put_u16(set.len() as u16);
        out.put_slice(set);
    }
}

/// `pic_parameter_set_id`, the first field of both (H.264 section 7.3.2.2, H.265 section 7.3.2.3.1).
fn picture_set_number(codec: Codec, unit: &[u8]) -> Option<u32> {
    let head_bytes = if codec == Codec::H265 { 2 } else { 1 };
    super::bits::Bits::new(unit.get(head_bytes..)?).ue().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_stand_between_start_codes_of_either_size() {
        let stream = [9, 9, 0, 0, 1, 0x65, 0, 1, 0, 0, 0, 1, 0x41, 0, 0, 3, 1, 0, 0, 0, 0, 1, 0, 0, 1, 7, 0];
        assert_eq!(
            units(&stream).collect::<Vec<_>>(),
            [&[0x65, 0, 1][..], &[0x41, 0, 0, 3, 1], &[7]],
            "what is before the first start code is no unit, and empty ones are passed over"
        );
        assert_eq!(units(&[1, 2, 3]).count() + units(&[0, 0, 1]).count() + units(&[]).count(), 0);
    }

    #[test]
    fn delimiters_and_sets_come_and_go() {
        let payload = [0, 0, 0, 2, 0x09, 0x10, 0, 0, 0, 2, 0x65, 0x88];
        let sets = [Bytes::from_static(&[0x67, 1]), Bytes::from_static(&[0x68, 2])];
        let mut out = BytesMut::new();
        write_access_unit(Codec::H264, &payload, 4, &sets, &mut out);
        let found: Vec<_> = units(&out).collect();
        assert_eq!(found, [&[0x09, 0xf0][..], &[0x67, 1], &[0x68, 2], &[0x65, 0x88]]);
        let (frame, changed) = Collector::new(Codec::H264).frame(&out);
        assert_eq!((&frame[..], changed), (&[0, 0, 0, 2, 0x65, 0x88][..], false), "that is no parameter set");
        // A frame that has its own gets no others.
        let own = [0, 0, 0, 2, 0x67, 9, 0, 0, 0, 1, 0x65];
        out.clear();
        write_access_unit(Codec::H264, &own, 4, &sets, &mut out);
        assert_eq!(units(&out).nth(1), Some(&[0x67, 9][..]));
    }

    #[test]
    fn a_picture_parameter_set_replaces_that_of_its_number() {
        let sps: &[u8] = &[
            0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x0f,
            0xa4, 0x00, 0x03, 0xa9, 0x80, 0x3c, 0x60, 0xc6, 0x58,
        ];
        let mut collector = Collector::new(Codec::H264);
        let stream =
            |units: &[&[u8]]| units.iter().flat_map(|unit| [&START_CODE, *unit].concat()).collect::<Vec<_>>();
        assert!(collector.frame(&stream(&[sps, &[0x68, 0xef], &[0x65, 1]])).1);
        let record = collector.record().clone();
        assert!(!collector.frame(&stream(&[sps, &[0x68, 0xef], &[0x65, 1]])).1, "the same again");
        // 1... is number 0, 010... is number 1.
        assert!(collector.frame(&stream(&[&[0x68, 0x4f], &[0x65, 1]])).1);
        let sets = parameter_sets(Codec::H264, collector.record()).unwrap();
        assert_eq!(sets, [sps, &[0x68, 0xef], &[0x68, 0x4f]]);
        assert!(collector.frame(&stream(&[&[0x68, 0xff], &[0x65, 1]])).1);
        let sets = parameter_sets(Codec::H264, collector.record()).unwrap();
        assert_eq!(sets, [sps, &[0x68, 0xff], &[0x68, 0x4f]]);
        assert_eq!(record[record.len() - 4..], [0xfd, 0xf8, 0xf8, 0], "4:2:0 in 8 bits");
    }
}
