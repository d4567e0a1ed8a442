//! When each payload was sent, so that whoever receives it knows how long it took.

use crate::limits::SEND_TIMES_KEPT;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A payload that is sent again within this time cannot be told from the first: silence, in most cases. A clip that
/// repeats does so later.
const AMBIGUOUS_WITHIN: Duration = Duration::from_secs(5);

/// Send times by payload, shared by publishers and players of one process.
#[derive(Debug, Default)]
pub(crate) struct SendTimes(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    sent: HashMap<u64, Sent>,
    /// In the order they were sent.
    order: VecDeque<(Instant, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    ambiguous: bool,
}

impl SendTimes {
    /// Notes that `payload` is sent on `stream` now.
    pub(crate) fn sent(&self, stream: u32, payload: &[u8], now: Instant) {
        let key = hash(stream, payload);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, old)) = table.order.front().copied() {
            if now.saturating_duration_since(at) < SEND_TIMES_KEPT {
                break;
            }
            table.order.pop_front();
            // Unless it was sent again since.
            if table.sent.get(&old).is_some_and(|sent| sent.at == at) {
                table.sent.remove(&old);
            }
        }
        let again = |before: &Sent| now.saturating_duration_since(before.at) < AMBIGUOUS_WITHIN;
        let ambiguous = table.sent.get(&key).is_some_and(again);
        table.sent.insert(key, Sent { at: now, ambiguous });
        table.order.push_back((now, key));
    }

    /// When `payload` was sent on `stream`; `None` if it was not, or more than once.
    pub(crate) fn look_up(&self, stream: u32, payload: &[u8]) -> Option<Instant> {
        let key = hash(stream, payload);
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.sent.get(&key).filter(|sent| !sent.ambiguous).map(|sent| sent.at)
    }
}

/// 64 bits that depend on every byte: each word is multiplied to 128 bits and folded. Payloads are not hostile here.
fn hash(stream: u32, payload: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    const START: u64 = 0x243f_6a88_85a3_08d3;
    let fold = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(K);
        product as u64 ^ (product >> 64) as u64
    };
    let (words, rest) = payload.as_chunks::<8>();
    let start = fold(fold(START, u64::from(stream)), payload.len() as u64);
    let whole = words.iter().fold(start, |hash, word| fold(hash.rotate_left(1), u64::from_le_bytes(*word)));
    rest.iter().fold(whole, |hash, byte| fold(hash, u64::from(*byte) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_found_on_its_own_stream_only() {
        let times = SendTimes::default();
        let now = Instant::now();
        times.sent(1, b"payload", now);
        assert_eq!(times.look_up(1, b"payload"), Some(now));
        assert_eq!(times.look_up(2, b"payload"), None);
        assert_eq!(times.look_up(1, b"payloae"), None);
    }

    #[test]
    fn a_payload_repeated_at_once_is_not_measured_and_one_of_the_next_loop_is() {
        let times = SendTimes::default();
        let now = Instant::now();
        times.sent(1, b"silence", now);
        times.sent(1, b"silence", now + Duration::from_millis(21));
        assert_eq!(times.look_up(1, b"silence"), None);
        let next = now + AMBIGUOUS_WITHIN + Duration::from_secs(1);
        times.sent(1, b"silence", next);
        assert_eq!(times.look_up(1, b"silence"), Some(next));
    }

    #[test]
    fn old_times_are_forgotten_and_renewed_ones_kept() {
        let times = SendTimes::default();
        let now = Instant::now();
        times.sent(1, b"a", now);
        times.sent(1, b"b", now);
        let renewed = now + SEND_TIMES_KEPT - Duration::from_secs(1);
        times.sent(1, b"b", renewed);
        times.sent(1, b"c", now + SEND_TIMES_KEPT);
        assert_eq!((times.look_up(1, b"a"), times.look_up(1, b"b")), (None, Some(renewed)));
    }

    #[test]
    fn hashes_of_similar_payloads_differ() {
        let mut seen = std::collections::HashSet::new();
        for length in 0..64 {
            for value in 0..64 {
                let mut payload = vec![0; length];
                if let Some(last) = payload.last_mut() {
                    *last = value;
                }
                seen.insert(hash(0, &payload));
            }
        }
        assert_eq!(seen.len(), 63 * 64 + 1);
    }
}
