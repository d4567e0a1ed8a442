//! NAL units of H.264, H.265 and H.266.

/// NAL units that [`Units`] is asked to look at before the first slice. Access units of real encoders have a
/// delimiter, some parameter sets and a few SEI messages; without the bound a payload made of tiny units would cost time
/// in proportion to its size on each look.
pub const UNITS_BEFORE_SLICE_MAX: usize = 64;

/// Iterates over NAL units with length prefixes (ISO/IEC 14496-15 section 5.3.3).
///
/// Every unit has at least one byte. Ends at the first prefix that is 0 or does not fit what is left.
#[derive(Debug, Clone)]
pub struct Units<'a> {
    rest: &'a [u8],
    length_size: usize,
}

impl<'a> Units<'a> {
    /// Over `payload`, whose prefixes have `length_size` bytes: 1, 2 or 4. Other sizes give no units.
    pub fn new(payload: &'a [u8], length_size: u8) -> Self {
        let rest = if matches!(length_size, 1 | 2 | 4) { payload } else { &[] };
        Self { rest, length_size: usize::from(length_size) }
    }
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (prefix, rest) = self.rest.split_at_checked(self.length_size)?;
        let length = prefix.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        let (unit, rest) = match rest.split_at_checked(length) {
            Some((unit, rest)) if !unit.is_empty() => (unit, rest),
            _ => (&[][..], &[][..]),
        };
        self.rest = rest;
        (!unit.is_empty()).then_some(unit)
    }
}

/// The payload of a NAL unit without the emulation prevention bytes (H.264 section 7.4.1), its header included.
pub fn unescape(unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for byte in unit {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_end_at_a_length_that_does_not_fit() {
        let payload = [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 0x41, 0, 0, 0, 9, 1];
        assert_eq!(Units::new(&payload, 4).collect::<Vec<_>>(), [&[0x65, 1][..], &[0x41]]);
        assert_eq!(Units::new(&[0, 1, 7], 2).collect::<Vec<_>>(), [&[7]]);
        assert_eq!(Units::new(&[0, 0, 0, 0, 0, 0, 0, 1, 0x41], 4).count(), 0);
        assert_eq!([0, 3, 5].map(|size| Units::new(&payload, size).count()), [0; 3]);
    }

    #[test]
    fn emulation_prevention_bytes_are_removed() {
        assert_eq!(unescape(&[1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3]), [1, 0, 0, 1, 0, 0, 0, 0]);
    }
}
