//! Counters that wrap on the wire and must not wrap inside.

/// Turns a wrapping 32-bit counter into one that does not wrap.
///
/// Each value is taken as the one nearest to the value before it (serial number arithmetic, RFC 1982), so the
/// counter may step back a little and may pass 2^32 any number of times.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwrap32 {
    last: Option<i64>,
}

impl Unwrap32 {
    /// The unwrapped value of `value`. The first one is returned as it is.
    pub fn unwrap(&mut self, value: u32) -> i64 {
        let next = match self.last {
            None => i64::from(value),
            Some(last) => last + i64::from(value.wrapping_sub(last as u32) as i32),
        };
        self.last = Some(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_on_past_the_wrap_and_back() {
        let mut unwrap = Unwrap32::default();
        assert_eq!(unwrap.unwrap(u32::MAX - 1), 0xffff_fffe);
        assert_eq!(unwrap.unwrap(5), 0x1_0000_0005);
        assert_eq!(unwrap.unwrap(u32::MAX), 0xffff_ffff);
        assert_eq!(unwrap.unwrap(0x7000_0000), 0x1_7000_0000);
    }
}
