//! What was given to be sent, until the peer has it or it is too late (draft sections 4.6 and 4.8).

use std::collections::{BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use super::pace::Pace;
use super::rtt::Rtt;
use super::stats::Stats;
use crate::config::Bandwidth;
use crate::crypto::Crypto;
use crate::packet::{Acknowledgement, Control, Data, LossReport, MESSAGE_MASK, Parity, Position};
use crate::{Error, Sequence, limits};

/// Time between copies of a packet: what is lost together is lost within a few milliseconds.
const COPY_US: i64 = 7_000;
/// Copies beyond the first at which they stop to become more.
const COPIES_MORE_MAX: u32 = 3;
/// Time between acknowledgements of a peer that receives.
const ACKNOWLEDGEMENT_US: i64 = 10_000;

/// One direction of a connection, the sending end.
#[derive(Debug)]
pub(super) struct Sender {
    /// The number of the packet with index 0.
    first: Sequence,
    waiting: VecDeque<Waiting>,
    /// Packets on their way; the first has index `base`.
    sent: VecDeque<Sent>,
    base: u64,
    /// Below this index packets were given up, which the peer may not know.
    given_up: u64,
    /// Reported as lost and not sent again yet.
    lost: BTreeSet<u64>,
    /// When packets are sent once more without being asked for, in order.
    copies: BTreeSet<(i64, u64)>,
    escalation: bool,
    /// Packets that may be on their way.
    window: u64,
    peer_window: u64,
    pace: Pace,
    message: u32,
    payload_bytes_max: usize,
    /// How old a packet may become that was sent.
    keeps_us: i64,
    /// How old a packet may become before it is sent for the first time: an older one cannot be in time.
    waits_us: i64,
    /// When the peer last acknowledged something, or else something was sent after silence.
    progress_us: i64,
    /// Times without an acknowledgement that the last packet was sent again.
    probes: u32,
}

#[derive(Debug)]
struct Waiting {
    payload: Bytes,
    given_us: i64,
}

#[derive(Debug)]
struct Sent {
    message: u32,
    given_us: i64,
    key: Option<Parity>,
    payload: Bytes,
    /// When it was last sent again.
    again_us: Option<i64>,
    /// How often it was sent because it was lost.
    again: u32,
}

/// A data packet and when it was given: its timestamp.
pub(super) type Timed = (i64, Data);

impl Sender {
    /// `latency_us` is how long the peer holds packets.
    pub(super) fn new(
        first: Sequence,
        latency_us: i64,
        peer_window: u32,
        payload_bytes_max: usize,
        bandwidth: Bandwidth,
        escalation: bool,
    ) -> Self {
        let peer_window = u64::from(peer_window.clamp(2, limits::FLOW_WINDOW_MAX));
        let keeps_us = (latency_us * 5 / 4).max(limits::SENDER_KEEPS_AT_LEAST.as_micros() as i64);
        Self {
            first,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            base: 0,
            given_up: 0,
            lost: BTreeSet::new(),
            copies: BTreeSet::new(),
            escalation,
            window: peer_window,
            peer_window,
            pace: Pace::new(bandwidth, payload_bytes_max),
            message: 1,
            payload_bytes_max,
            keeps_us: keeps_us + 2 * ACKNOWLEDGEMENT_US,
            waits_us: latency_us + 2 * ACKNOWLEDGEMENT_US,
            progress_us: 0,
            probes: 0,
        }
    }

    pub(super) fn give(&mut self, now_us: i64, payload: Bytes) -> Result<(), Error> {
        if payload.is_empty() || payload.len() > self.payload_bytes_max {
            return Err(Error::Misuse("a payload is empty or longer than a datagram"));
        }
        if self.waiting.len() >= limits::SEND_QUEUE_PACKETS_MAX {
            return Err(Error::Misuse("too many payloads wait to be sent"));
        }
        self.pace.given(now_us, payload.len());
        self.waiting.push_back(Waiting { payload, given_us: now_us });
        Ok(())
    }

    /// The next packet that leaves, if one may leave now.
    pub(super) fn poll(
        &mut self,
        now_us: i64,
        crypto: Option<&mut Crypto>,
        stats: &mut Stats,
    ) -> Option<Timed> {
        if self.pace.next_us > now_us {
            return None;
        }
        if let Some(packet) = self.poll_again(now_us) {
            self.pace.sent(now_us, packet.1.payload.len());
            stats.retransmitted_packets += 1;
            stats.retransmitted_bytes += packet.1.payload.len() as u64;
            return Some(packet);
        }
        if self.sent.len() as u64 >= self.window {
            return None;
        }
        let Waiting { payload, given_us } = self.waiting.pop_front()?;
        let sequence = self.first.plus(self.base + self.sent.len() as u64);
        let (key, payload) = match crypto {
            None => (None, payload),
            Some(crypto) => {
                let mut sealed = BytesMut::from(&payload[..]);
                (Some(crypto.seal(sequence, &mut sealed)), sealed.freeze())
            }
        };
        if self.sent.is_empty() {
            (self.progress_us, self.probes) = (now_us, 0);
        }
        let sent = Sent { message: self.message, given_us, key, payload, again_us: None, again: 0 };
        self.message = if self.message == MESSAGE_MASK { 1 } else { self.message + 1 };
        let packet = (given_us, sent.data(sequence, false));
        self.sent.push_back(sent);
        self.pace.sent(now_us, packet.1.payload.len());
        stats.sent_packets += 1;
        stats.sent_bytes += packet.1.payload.len() as u64;
        Some(packet)
    }

    /// What was lost, and then its copies.
    fn poll_again(&mut self, now_us: i64) -> Option<Timed> {
        while let Some(index) = self.lost.pop_first() {
            let Some(sent) = index.checked_sub(self.base).and_then(|at| self.sent.get_mut(at as usize))
            else {
                continue;
            };
            sent.again_us = Some(now_us);
            sent.again += 1;
            if self.escalation {
                for copy in 1..=(sent.again - 1).min(COPIES_MORE_MAX) {
                    self.copies.insert((now_us + i64::from(copy) * COPY_US, index));
                }
            }
            return Some((sent.given_us, sent.data(self.first.plus(index), true)));
        }
        while self.copies.first().is_some_and(|(at_us, _)| *at_us <= now_us) {
            let (_, index) = self.copies.pop_first()?;
            if let Some(sent) = index.checked_sub(self.base).and_then(|at| self.sent.get(at as usize)) {
                return Some((sent.given_us, sent.data(self.first.plus(index), true)));
            }
        }
        None
    }

    /// Gives up what is too late, and sends the last packet again when nothing is heard about it: of what comes last, nobody
    /// else notices the loss.
    pub(super) fn handle_timeout(&mut self, now_us: i64, rtt: &Rtt, stats: &mut Stats) {
        let oldest_us = now_us - self.keeps_us;
        while self.sent.front().is_some_and(|sent| sent.given_us < oldest_us) {
            self.sent.pop_front();
            self.base += 1;
            self.given_up = self.base;
            stats.send_dropped_packets += 1;
        }
        let oldest_us = now_us - self.waits_us;
        while self.waiting.front().is_some_and(|waiting| waiting.given_us < oldest_us) {
            self.waiting.pop_front();
            stats.send_dropped_packets += 1;
        }
        self.lost = self.lost.split_off(&self.base);
        if self.probe_us(rtt).is_some_and(|probe_us| probe_us <= now_us) {
            self.lost.insert(self.base + self.sent.len() as u64 - 1);
            self.probes += 1;
            self.progress_us = now_us;
        }
    }

    fn probe_us(&self, rtt: &Rtt) -> Option<i64> {
        let idle = !self.sent.is_empty() && self.lost.is_empty();
        let wait_us = rtt.bound_us() + 2 * ACKNOWLEDGEMENT_US;
        idle.then(|| self.progress_us + i64::from(self.probes + 1) * wait_us + ACKNOWLEDGEMENT_US)
    }

    pub(super) fn poll_timeout(&self, rtt: &Rtt) -> Option<i64> {
        let may_send =
            !self.lost.is_empty() || (!self.waiting.is_empty() && (self.sent.len() as u64) < self.window);
        let too_late_us = [
            self.sent.front().map(|sent| sent.given_us + self.keeps_us + 1),
            self.waiting.front().map(|waiting| waiting.given_us + self.waits_us + 1),
        ];
        let too_late_us = too_late_us.into_iter().flatten().min();
        let copy_us = self.copies.first().map(|(at_us, _)| self.pace.next_us.max(*at_us));
        [may_send.then_some(self.pace.next_us), copy_us, too_late_us, self.probe_us(rtt)]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn handle_acknowledgement(
        &mut self,
        now_us: i64,
        acknowledgement: &Acknowledgement,
    ) -> Result<(), Error> {
        let Some(next) = acknowledgement.next.index(self.first, self.base) else {
            return Err(Error::Violation("a packet from before the first is acknowledged"));
        };
        if next > self.base + self.sent.len() as u64 {
            return Err(Error::Violation("a packet that was not sent is acknowledged"));
        }
        if let Some(measured) = &acknowledgement.measured {
            // A receiver without room still has to be asked whether it has some again.
            self.window = u64::from(measured.room_packets).clamp(2, self.peer_window);
        }
        if next > self.base {
            self.sent.drain(..(next - self.base) as usize);
            self.base = next;
            self.lost = self.lost.split_off(&next);
            (self.progress_us, self.probes) = (now_us, 0);
        }
        Ok(())
    }

    /// Takes a loss report. What it asks for in vain is answered.
    pub(super) fn handle_loss_report(
        &mut self,
        now_us: i64,
        report: &LossReport,
        rtt: &Rtt,
        stats: &mut Stats,
    ) -> Result<Option<Control>, Error> {
        let end = self.base + self.sent.len() as u64;
        let mut answer = None;
        for range in &report.0 {
            let Some(last) = range.last.index(self.first, self.base) else { continue };
            let first = range.first.index(self.first, self.base).unwrap_or(0);
            if last >= end {
                return Err(Error::Violation("a packet that was not sent is reported as lost"));
            }
            if first < self.given_up && answer.is_none() {
                answer = Some(Control::Drop {
                    message: 0,
                    first: self.first.plus(first),
                    last: self.first.plus(last.min(self.given_up - 1)),
                });
            }
            for index in first.max(self.base)..=last {
                stats.reported_lost_packets += 1;
                let Some(sent) = self.sent.get((index - self.base) as usize) else { break };
                // A packet that was sent again less than a round trip ago is not known to be lost.
                let on_its_way =
                    sent.again_us.is_some_and(|again_us| now_us - again_us < rtt.mean_us - rtt.variance_us);
                if !on_its_way {
                    self.lost.insert(index);
                }
            }
        }
        Ok(answer)
    }

    pub(super) fn fill(&self, now_us: i64, stats: &mut Stats) {
        stats.send_buffer_packets = self.sent.len() + self.waiting.len();
        let oldest_us = self
            .sent
            .front()
            .map(|sent| sent.given_us)
            .or_else(|| self.waiting.front().map(|waiting| waiting.given_us));
        stats.send_buffer = super::duration(oldest_us.map_or(0, |given_us| now_us - given_us));
        stats.send_bytes_per_second_max = self.pace.bytes_per_second();
    }
}

impl Sent {
    fn data(&self, sequence: Sequence, retransmitted: bool) -> Data {
        Data {
            sequence,
            position: Position::Only,
            in_order: true,
            key: self.key,
            retransmitted,
            message: self.message,
            payload: self.payload.clone(),
        }
    }
}
