//! Lists of lost packets (draft appendix A).

use bytes::{BufMut, BytesMut};
use wire::Reader;

use crate::{Error, Sequence, limits};

/// The bit of a number that a range begins with.
const RANGE: u32 = 1 << 31;

/// Packets that follow each other, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first of them.
    pub first: Sequence,
    /// The last of them, `first` if it is one packet.
    pub last: Sequence,
}

/// What a receiver misses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LossReport(pub Vec<Range>);

impl LossReport {
    /// # Errors
    ///
    /// `Malformed` if a range ends before it begins or does not end.
    pub(super) fn read(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let mut ranges = Vec::new();
        while !reader.is_empty() {
            let word = reader.u32()?;
            let first = Sequence::new(word);
            let mut last = first;
            if word & RANGE != 0 {
                let word = reader.u32()?;
                last = Sequence::new(word);
                if word & RANGE != 0 || last.distance_from(first) < 0 {
                    return Err(Error::Malformed("a range of lost packets ends before it begins"));
                }
            }
            ranges.push(Range { first, last });
        }
        if ranges.is_empty() {
            return Err(Error::Malformed("a loss report names no packet"));
        }
        Ok(Self(ranges))
    }

    /// Writes as many ranges as a datagram has room for.
    pub(super) fn write(&self, out: &mut BytesMut) {
        for range in self.0.iter().take(limits::LOSS_RANGES_MAX) {
            if range.first == range.last {
                out.put_u32(range.first.get());
            } else {
                out.put_u32(range.first.get() | RANGE);
                out.put_u32(range.last.get());
            }
        }
    }
}
