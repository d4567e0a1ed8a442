//! The 31-bit sequence numbers of data packets.
//!
//! Inside a session packets have an *index* that does not wrap: 0 is the first packet of the connection. Numbers of the wire
//! are turned into the index nearest to one that is known, so no other module knows that they wrap.

/// A sequence number as on the wire: 31 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sequence(u32);

const MASK: u32 = 0x7fff_ffff;

impl Sequence {
    /// The lower 31 bits of `bits`.
    pub fn new(bits: u32) -> Self {
        Self(bits & MASK)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The number of the packet `count` after this one.
    pub fn plus(self, count: u64) -> Self {
        Self::new(self.0.wrapping_add(count as u32))
    }

    /// How far this number is ahead of `other`, taken the short way around: at least -2^30, below 2^30.
    pub fn distance_from(self, other: Self) -> i64 {
        i64::from(((self.0.wrapping_sub(other.0) << 1) as i32) >> 1)
    }

    /// The index of this number, where index 0 has the number `first` and the index is near `near`. `None` before index 0.
    pub(crate) fn index(self, first: Self, near: u64) -> Option<u64> {
        near.checked_add_signed(self.distance_from(first.plus(near)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn distance_is_the_short_way_around_the_wrap() {
        let (last, first) = (Sequence::new(MASK), Sequence::new(0));
        assert_eq!(first.distance_from(last), 1);
        assert_eq!(last.distance_from(first), -1);
        assert_eq!(last.plus(3), Sequence::new(2));
        assert_eq!(Sequence::new(1 << 30).distance_from(first), -(1 << 30));
    }

    #[test]
    fn what_is_before_the_first_packet_has_no_index() {
        assert_eq!(Sequence::new(9).index(Sequence::new(10), 0), None);
        assert_eq!(Sequence::new(9).index(Sequence::new(10), 5), None);
        assert_eq!(Sequence::new(10).index(Sequence::new(10), 5), Some(0));
    }

    proptest! {
        #[test]
        fn an_index_comes_back_from_its_number(first: u32, near in 0_u64..1 << 40, ahead in -(1_i64 << 30)..1 << 30) {
            let first = Sequence::new(first);
            if let Some(index) = near.checked_add_signed(ahead) {
                prop_assert_eq!(first.plus(index).index(first, near), Some(index));
            }
        }
    }
}
