//! Whether a peer takes what waits for it.

use std::time::Instant;

/// What a peer has to take in the time in which one that takes nothing is gone, if so much waits. Less is no viewer: it is
/// somebody who keeps a connection, and what waits for it, for a byte now and then.
pub(crate) const PROGRESS_BYTES_MIN: u64 = 16 << 10;

/// Since when too little has been taken.
#[derive(Debug, Default)]
pub(crate) struct Stall(Option<(Instant, u64)>);

impl Stall {
    /// Notes that more waits for the socket, which has taken `written` bytes up to now.
    pub(crate) fn note(&mut self, now: Instant, written: u64) {
        if self.0.is_none_or(|(_, before)| written - before >= PROGRESS_BYTES_MIN) {
            self.0 = Some((now, written));
        }
    }

    /// Notes that nothing waits.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// Since when too little has been taken; `None` while nothing waits.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.map(|(since, _)| since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_byte_now_and_then_is_no_progress() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut stall = Stall::default();
        for second in 0..30 {
            stall.note(at(second), second);
            assert_eq!(stall.since(), Some(start));
        }
        stall.note(at(30), PROGRESS_BYTES_MIN);
        assert_eq!(stall.since(), Some(at(30)));
        stall.clear();
        assert_eq!(stall.since(), None);
        stall.note(at(40), PROGRESS_BYTES_MIN + 1);
        assert_eq!(stall.since(), Some(at(40)));
    }
}
