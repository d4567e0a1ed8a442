//! A reader over a byte slice that can fail but never panics.

use std::fmt;

/// The input ended before the field did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated {
    /// Bytes the field needs.
    pub needed: usize,
    /// Bytes that were left.
    pub left: usize,
}

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "needs {} more bytes, {} are left", self.needed, self.left)
    }
}

impl std::error::Error for Truncated {}

/// Reads big-endian fields from the front of a slice. Every read is checked against what is left, so a length
/// field taken from the network can be passed to [`Reader::take`] as it is.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes read so far; an offset into the slice given to [`Reader::new`].
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The unread bytes, without reading them.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    /// The next byte, without reading it.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    /// Reads `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Truncated> {
        let left = self.remaining();
        if count > left {
            return Err(Truncated { needed: count, left });
        }
        let start = self.position;
        self.position += count;
        Ok(&self.bytes[start..start + count])
    }

    /// Reads `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        Ok(self.array::<1>()?[0])
    }

    /// Reads a 16-bit big-endian integer.
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Reads a 24-bit big-endian integer.
    pub fn u24(&mut self) -> Result<u32, Truncated> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// Reads a 24-bit big-endian signed integer.
    pub fn i24(&mut self) -> Result<i32, Truncated> {
        Ok(((self.u24()? << 8) as i32) >> 8)
    }

    /// Reads a 32-bit big-endian integer.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Reads a 32-bit little-endian integer (RTMP message stream ids are the only ones).
    pub fn u32_le(&mut self) -> Result<u32, Truncated> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Reads a 64-bit big-endian integer.
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Reads a 64-bit big-endian IEEE 754 number.
    pub fn f64(&mut self) -> Result<f64, Truncated> {
        Ok(f64::from_be_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fields_in_order_and_reports_what_is_missing() {
        let mut reader = Reader::new(&[1, 0, 2, 0xff, 0xff, 0xfe, 9]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.i24(), Ok(-2));
        assert_eq!(reader.u32(), Err(Truncated { needed: 4, left: 1 }));
        assert_eq!(reader.rest(), [9]);
        assert_eq!(reader.position(), 6);
    }

    #[test]
    fn take_refuses_any_length_beyond_the_end() {
        let mut reader = Reader::new(&[1, 2]);
        assert!(reader.take(usize::MAX).is_err());
        assert_eq!(reader.take(2), Ok(&[1, 2][..]));
        assert!(reader.is_empty());
    }
}
