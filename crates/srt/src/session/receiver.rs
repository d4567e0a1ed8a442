//! What arrived, until it is time to deliver it, and what is missing (draft sections 4.5, 4.6 and 4.8).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::clock::PeerClock;
use super::rtt::Rtt;
use super::stats::Stats;
use crate::packet::{Acknowledgement, Control, Data, LossReport, Measured, Range};
use crate::{Error, Sequence, limits};

/// Time between acknowledgements (draft section 4.8.1).
const ACKNOWLEDGEMENT_US: i64 = 10_000;
/// Packets after which a light acknowledgement does not wait for that time.
const LIGHT_AFTER_PACKETS: u32 = 64;
/// Losses are not reported again sooner than this (draft section 4.8.2).
const REPORT_US_MIN: i64 = 20_000;

/// One direction of a connection, the receiving end.
#[derive(Debug)]
pub(super) struct Receiver {
    /// The number of the packet with index 0.
    first: Sequence,
    capacity: u64,
    clock: PeerClock,
    /// The next packet to be delivered.
    head: u64,
    /// One behind the last packet that is known of.
    end: u64,
    held: BTreeMap<u64, Held>,
    /// Packets that were not delivered since the last one that was.
    skipped: u64,
    /// Missing between `head` and `end`.
    lost: BTreeSet<u64>,
    report_us: i64,
    acknowledged: u64,
    /// Below this index the peer knows that everything is here, or that it is given up.
    answered: u64,
    acknowledged_us: i64,
    number: u32,
    unanswered: VecDeque<(u32, u64, i64)>,
    since_acknowledgement: u32,
    rate: Rate,
    /// Losses that were just found.
    news: Option<Range>,
}

#[derive(Debug)]
struct Held {
    /// `None` if it could not be decrypted.
    payload: Option<Bytes>,
    timestamp: u32,
}

/// A payload whose time has come.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) payload: Bytes,
    pub(super) missing_before: u64,
    pub(super) timestamp: u32,
}

/// Packets and bytes that arrive each second.
#[derive(Debug, Default)]
struct Rate {
    start_us: i64,
    packets: u64,
    bytes: u64,
    packets_per_second: u64,
    bytes_per_second: u64,
}

impl Rate {
    fn add(&mut self, now_us: i64, bytes: usize) {
        let elapsed_us = (now_us - self.start_us).max(0) as u64;
        if elapsed_us >= 1_000_000 {
            self.packets_per_second = self.packets * 1_000_000 / elapsed_us;
            self.bytes_per_second = self.bytes * 1_000_000 / elapsed_us;
            (self.start_us, self.packets, self.bytes) = (now_us, 0, 0);
        }
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

impl Receiver {
    pub(super) fn new(first: Sequence, clock: PeerClock, capacity: u32) -> Self {
        Self {
            first,
            capacity: u64::from(capacity),
            clock,
            head: 0,
            end: 0,
            held: BTreeMap::new(),
            skipped: 0,
            lost: BTreeSet::new(),
            report_us: 0,
            acknowledged: 0,
            answered: 0,
            acknowledged_us: i64::MIN / 2,
            number: 0,
            unanswered: VecDeque::new(),
            since_acknowledgement: 0,
            rate: Rate::default(),
            news: None,
        }
    }

    /// Takes a data packet. `open` decrypts: `None` if it cannot.
    pub(super) fn handle_data(
        &mut self,
        now_us: i64,
        timestamp: u32,
        data: Data,
        rtt: &Rtt,
        stats: &mut Stats,
        open: impl FnOnce(&Data) -> Option<Bytes>,
    ) {
        stats.received_retransmitted_packets += u64::from(data.retransmitted);
        let Some(index) = data.sequence.index(self.first, self.end).filter(|index| *index >= self.head)
        else {
            stats.belated_packets += 1;
            return;
        };
        if self.held.contains_key(&index) {
            stats.duplicate_packets += 1;
            return;
        }
        if index >= self.head + self.capacity {
            if !self.held.is_empty() {
                stats.refused_packets += 1;
                return;
            }
            // After a long silence the sender is somewhere else: all in between is over.
            let missed = index - self.head;
            stats.lost_packets += index.saturating_sub(self.end);
            stats.dropped_packets += missed;
            self.skipped += missed;
            self.lost.clear();
            (self.head, self.end) = (index, index);
        }
        if index > self.end {
            if self.lost.is_empty() {
                self.report_us = now_us + report_interval_us(rtt);
            }
            stats.lost_packets += index - self.end;
            self.lost.extend(self.end..index);
            self.news = Some(Range { first: self.first.plus(self.end), last: self.first.plus(index - 1) });
        }
        self.lost.remove(&index);
        self.end = self.end.max(index + 1);
        stats.received_packets += 1;
        stats.received_bytes += data.payload.len() as u64;
        self.rate.add(now_us, data.payload.len());
        self.since_acknowledgement += 1;
        let payload = open(&data);
        stats.undecrypted_packets += u64::from(payload.is_none());
        self.held.insert(index, Held { payload, timestamp });
    }

    /// The peer will not send these again.
    pub(super) fn handle_drop(&mut self, first: Sequence, last: Sequence) -> Result<(), Error> {
        let Some(last) = last.index(self.first, self.end).filter(|last| *last >= self.head) else {
            return Ok(());
        };
        let first = first.index(self.first, self.end).unwrap_or(0).max(self.head);
        if last >= self.head + self.capacity {
            return Err(Error::Violation("packets are dropped that cannot have been sent"));
        }
        let mut behind = self.lost.split_off(&first);
        self.lost.append(&mut behind.split_off(&(last + 1)));
        self.end = self.end.max(last + 1);
        Ok(())
    }

    /// The peer has an acknowledgement. A round trip, in microseconds.
    pub(super) fn handle_answer(&mut self, now_us: i64, number: u32, timestamp: u32, rtt: &mut Rtt) {
        let Some(at) = self.unanswered.iter().position(|(sent, ..)| *sent == number) else { return };
        let (_, next, sent_us) = self.unanswered[at];
        self.unanswered.drain(..=at);
        self.answered = self.answered.max(next);
        let sample_us = now_us - sent_us;
        rtt.add(sample_us);
        self.clock.sample(now_us, timestamp, sample_us);
    }

    /// The next payload whose time has come. What is missing before it is given up.
    pub(super) fn poll_delivery(&mut self, now_us: i64, stats: &mut Stats) -> Option<Delivered> {
        loop {
            let entry = self.held.first_entry()?;
            if self.clock.delivery_us(now_us, entry.get().timestamp) > now_us {
                return None;
            }
            let (index, held) = entry.remove_entry();
            stats.dropped_packets += index - self.head;
            self.skipped += index - self.head;
            self.head = index + 1;
            self.lost = self.lost.split_off(&self.head);
            let Held { payload: Some(payload), timestamp } = held else {
                self.skipped += 1;
                continue;
            };
            return Some(Delivered { payload, missing_before: std::mem::take(&mut self.skipped), timestamp });
        }
    }

    /// What the peer has to be told now.
    pub(super) fn poll_control(&mut self, now_us: i64, rtt: &Rtt) -> Option<Control> {
        if let Some(range) = self.news.take() {
            return Some(Control::LossReport(LossReport(vec![range])));
        }
        if !self.lost.is_empty() && self.report_us <= now_us {
            self.report_us = now_us + report_interval_us(rtt);
            return Some(Control::LossReport(LossReport(self.ranges())));
        }
        let next = self.next();
        if self.full_us(rtt).is_some_and(|at_us| at_us <= now_us) {
            self.number = self.number.wrapping_add(1).max(1);
            if self.unanswered.len() >= limits::ACKNOWLEDGEMENTS_MAX {
                self.unanswered.pop_front();
            }
            self.unanswered.push_back((self.number, next, now_us));
            (self.acknowledged, self.acknowledged_us, self.since_acknowledgement) = (next, now_us, 0);
            let measured = Measured {
                rtt_us: rtt.mean_us as u32,
                rtt_variance_us: rtt.variance_us as u32,
                room_packets: (self.capacity - (self.end - self.head).min(self.capacity)).max(2) as u32,
                packets_per_second: u32::try_from(self.rate.packets_per_second).unwrap_or(u32::MAX),
                capacity_packets_per_second: u32::try_from(self.rate.packets_per_second).unwrap_or(u32::MAX),
                bytes_per_second: u32::try_from(self.rate.bytes_per_second).unwrap_or(u32::MAX),
            };
            return Some(self.acknowledgement(self.number, next, Some(measured)));
        }
        if self.since_acknowledgement >= LIGHT_AFTER_PACKETS && next > self.acknowledged {
            (self.acknowledged, self.since_acknowledgement) = (next, 0);
            return Some(self.acknowledgement(0, next, None));
        }
        None
    }

    /// When the next payload is to be delivered.
    pub(super) fn delivery_us(&self, now_us: i64) -> Option<i64> {
        self.held.first_key_value().map(|(_, held)| self.clock.delivery_us(now_us, held.timestamp))
    }

    pub(super) fn poll_timeout(&self, now_us: i64, rtt: &Rtt) -> Option<i64> {
        let delivery_us = self.delivery_us(now_us);
        let report_us = (!self.lost.is_empty()).then_some(self.report_us);
        [delivery_us, report_us, self.full_us(rtt)].into_iter().flatten().min()
    }

    /// When the next full acknowledgement is due: soon if there is news, and later if the answer to the last did not come.
    fn full_us(&self, rtt: &Rtt) -> Option<i64> {
        let next = self.next();
        if next > self.acknowledged {
            Some(self.acknowledged_us + ACKNOWLEDGEMENT_US)
        } else if next > self.answered {
            Some(self.acknowledged_us + rtt.bound_us().max(ACKNOWLEDGEMENT_US))
        } else {
            None
        }
    }

    /// The first packet that is missing and not given up.
    fn next(&self) -> u64 {
        self.lost.first().copied().unwrap_or(self.end)
    }

    fn acknowledgement(&self, number: u32, next: u64, measured: Option<Measured>) -> Control {
        Control::Acknowledgement(Acknowledgement { number, next: self.first.plus(next), measured })
    }

    fn ranges(&self) -> Vec<Range> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for &index in &self.lost {
            let full = ranges.len() >= limits::LOSS_RANGES_MAX;
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ if full => break,
                _ => ranges.push((index, index)),
            }
        }
        let range = |(first, last)| Range { first: self.first.plus(first), last: self.first.plus(last) };
        ranges.into_iter().map(range).collect()
    }

    /// When something with this timestamp left the peer, late by the delay of the path.
    pub(super) fn sent_us(&self, now_us: i64, timestamp: u32) -> i64 {
        self.clock.arrival_us(now_us, timestamp)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn fill(&self, now_us: i64, stats: &mut Stats) {
        stats.receive_buffer_packets = self.held.len();
        stats.receive_bytes_per_second = self.rate.bytes_per_second;
        if let (Some((_, first)), Some((_, last))) = (self.held.first_key_value(), self.held.last_key_value())
        {
            let span_us = self.clock.arrival_us(now_us, last.timestamp)
                - self.clock.arrival_us(now_us, first.timestamp);
            stats.receive_buffer = super::duration(span_us);
        }
    }
}

fn report_interval_us(rtt: &Rtt) -> i64 {
    (rtt.bound_us() / 2).max(REPORT_US_MIN)
}
