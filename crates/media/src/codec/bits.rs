//! A reader of single bits, most significant first, that can fail but never panics.

use wire::Truncated;

/// Reads bit fields from the front of a slice.
#[derive(Debug, Clone)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    position: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bits not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() * 8 - self.position
    }

    /// Reads `count` bits, at most 32.
    pub(crate) fn bits(&mut self, count: u32) -> Result<u32, Truncated> {
        self.require(count as usize)?;
        let mut value = 0u64;
        for _ in 0..count.min(32) {
            let bit = self.bytes[self.position / 8] >> (7 - self.position % 8) & 1;
            value = value << 1 | u64::from(bit);
            self.position += 1;
        }
        Ok(value as u32)
    }

    /// Reads `count` bits into a byte, at most 8.
    pub(crate) fn u8(&mut self, count: u32) -> Result<u8, Truncated> {
        Ok(self.bits(count.min(8))? as u8)
    }

    /// Reads one bit.
    pub(crate) fn flag(&mut self) -> Result<bool, Truncated> {
        Ok(self.bits(1)? == 1)
    }

    /// Passes over `count` bits.
    pub(crate) fn skip(&mut self, count: usize) -> Result<(), Truncated> {
        self.require(count)?;
        self.position += count;
        Ok(())
    }

    /// Reads an unsigned Exp-Golomb code (H.264 section 9.1), which is also AV1's `uvlc`. Codes of 32 or more leading
    /// zeros give `u32::MAX`.
    pub(crate) fn ue(&mut self) -> Result<u32, Truncated> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros == 32 {
                return Ok(u32::MAX);
            }
        }
        Ok(((1u64 << zeros) - 1) as u32 + self.bits(zeros)?)
    }

    /// Reads a signed Exp-Golomb code (H.264 section 9.1.1).
    pub(crate) fn se(&mut self) -> Result<i32, Truncated> {
        let code = i64::from(self.ue()?);
        let magnitude = (code + 1) / 2;
        Ok(if code % 2 == 0 { -magnitude } else { magnitude } as i32)
    }

    fn require(&self, count: usize) -> Result<(), Truncated> {
        let left = self.remaining();
        if count > left {
            return Err(Truncated { needed: count.div_ceil(8), left: left / 8 });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cross_byte_borders() {
        let mut bits = Bits::new(&[0b1010_0101, 0xff, 0x80]);
        assert_eq!(bits.bits(3), Ok(0b101));
        assert_eq!(bits.bits(9), Ok(0b0_0101_1111));
        bits.skip(4).unwrap();
        assert_eq!(bits.flag(), Ok(true));
        assert!(bits.bits(8).is_err());
        assert_eq!(bits.remaining(), 7);
    }

    #[test]
    fn exp_golomb_codes_of_the_standard() {
        // 1, 010, 011, 00100, 00101 are 0, 1, 2, 3, 4; signed 0, 1, -1, 2, -2 (H.264 tables 9-1 and 9-3).
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut bits = Bits::new(&bytes);
        assert_eq!((0..5).map(|_| bits.ue().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        let mut bits = Bits::new(&bytes);
        assert_eq!((0..5).map(|_| bits.se().unwrap()).collect::<Vec<_>>(), [0, 1, -1, 2, -2]);
        assert_eq!(Bits::new(&[0, 0, 0, 0, 0xff]).ue(), Ok(u32::MAX));
        assert!(Bits::new(&[0, 0]).ue().is_err());
    }
}
