//! Configuration records of AV1, made of what an encoder puts into its keyframes.

use media::codec::av1::Obus;

const TEMPORAL_DELIMITER: u8 = 2;
const SEQUENCE_HEADER: u8 = 1;

/// The OBUs of a temporal unit without its delimiters, which containers leave out (AV1 in ISOBMFF section 2.4).
pub(crate) fn without_delimiters(unit: &[u8]) -> Vec<u8> {
    // Encoders write it first, with a size of zero: two bytes.
    match unit {
        [header, 0, rest @ ..] if (header >> 3) & 0xf == TEMPORAL_DELIMITER => rest.to_vec(),
        _ => unit.to_vec(),
    }
}

/// The `av1C` record of a keyframe (AV1 in ISOBMFF section 2.3); `None` where it has no sequence header, or one with timing
/// information, which our encoders do not write.
pub(crate) fn av1(unit: &[u8]) -> Option<Vec<u8>> {
    let (_, header) = Obus::new(unit).find(|(kind, _)| *kind == SEQUENCE_HEADER)?;
    let mut bits = Bits { bytes: header, position: 0 };
    let profile = bits.take(3)?;
    let _still_picture = bits.take(1)?;
    let (level, tier) = if bits.take(1)? == 1 {
        (bits.take(5)?, 0)
    } else {
        if bits.take(1)? == 1 {
            return None;
        }
        let _initial_display_delay_present = bits.take(1)?;
        let _operating_points = bits.take(5)?;
        let _operating_point_idc = bits.take(12)?;
        let level = bits.take(5)?;
        (level, if level > 7 { bits.take(1)? } else { 0 })
    };
    // Profile 0 here is 4:2:0 with 8 bits, which is all that encoders are given.
    const SUBSAMPLING: u8 = 0b1100;
    let mut record = vec![0x81, (profile << 5) | level, (tier << 7) | SUBSAMPLING, 0];
    record.push((SEQUENCE_HEADER << 3) | 2);
    record.extend(leb128(header.len()));
    record.extend_from_slice(header);
    Some(record)
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    /// Up to 8 bits are kept of `count`.
    fn take(&mut self, count: usize) -> Option<u8> {
        let mut value = 0u8;
        for _ in 0..count {
            let byte = self.bytes.get(self.position / 8)?;
            value = (value << 1) | ((byte >> (7 - self.position % 8)) & 1);
            self.position += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_says_what_the_sequence_header_says() {
        // Profile 0, not reduced, no timing, one operating point, level 8, tier 0; sizes follow, which nobody reads here.
        let header = [0, 0, 0, 0b0100_0000, 0b1111_1111];
        let mut unit = vec![0x12, 0, 0x0a, header.len() as u8];
        unit.extend(header);
        let unit = without_delimiters(&unit);
        assert_eq!(unit[0], 0x0a);
        let record = av1(&unit).unwrap();
        let config = media::codec::av1::read_config(&record).unwrap();
        assert_eq!((config.profile, config.level, config.high_tier, config.bit_depth), (0, 8, false, 8));
        assert_eq!(record[4..], unit[..]);
    }

    #[test]
    fn sizes_are_written_as_they_are_read() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(127), [127]);
        assert_eq!(leb128(300), [0xac, 2]);
    }

    proptest! {
        #[test]
        fn no_unit_panics(unit in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = av1(&without_delimiters(&unit));
        }
    }
}
