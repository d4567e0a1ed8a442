//! One direction of a network path, as a pure machine.
//!
//! ```text
//! enqueue -> [ drop-tail queue ] -> [ rate ] -> [ loss ] -> [ delay + jitter, reorder ] -> poll
//! ```
//!
//! Loss stands behind the rate, as on a radio link: a lost packet has used its share of the capacity. Everything
//! that will happen to a packet is decided when it enters, so the outcome depends on the seed, the arrival times
//! and the packet sizes only, never on how often [`Link::poll`] is called.

mod limits;
mod loss;
mod rate;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::Random;

pub use loss::Loss;
pub use rate::{Rate, TraceError};

use loss::LossState;

/// What a link does to the packets that cross it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Time on the wire of every packet.
    pub delay: Duration,
    /// Added to `delay`: uniform in `0..=jitter`. Order is kept, so a late packet holds back those behind it.
    pub jitter: Duration,
    /// Which packets vanish on the wire.
    pub loss: Loss,
    /// Which packets are overtaken.
    pub reorder: Reorder,
    /// Capacity of the bottleneck, counted in IP packet bytes.
    pub rate: Rate,
    /// How much may wait for the bottleneck.
    pub queue: Queue,
    /// Seed of every random decision.
    pub seed: u64,
}

impl Default for Config {
    /// A perfect wire.
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Loss::None,
            reorder: Reorder::default(),
            rate: Rate::Unlimited,
            queue: Queue::default(),
            seed: 0,
        }
    }
}

/// Some packets arrive later than those sent after them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reorder {
    /// Share of packets, 0 to 1, that are held.
    pub probability: f64,
    /// How much longer than its own delay a held packet takes. It holds back nobody else.
    pub hold: Duration,
}

/// Drop-tail limit of what waits for the bottleneck (the packet in transmission included).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Bytes that may wait. A packet always enters an empty queue.
    Bytes(usize),
    /// Time that a packet may wait before its own transmission starts.
    Time(Duration),
}

impl Default for Queue {
    /// 200 ms, the middle of what access routers are found with.
    fn default() -> Self {
        Self::Time(Duration::from_millis(200))
    }
}

/// What happened on a link so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets given to [`Link::enqueue`].
    pub entered_packets: u64,
    /// Bytes given to [`Link::enqueue`].
    pub entered_bytes: u64,
    /// Packets returned by [`Link::poll`].
    pub delivered_packets: u64,
    /// Bytes returned by [`Link::poll`].
    pub delivered_bytes: u64,
    /// Packets taken by [`Config::loss`].
    pub lost_packets: u64,
    /// Packets refused by a full queue.
    pub dropped_packets: u64,
}

/// One direction of a path.
#[derive(Debug)]
pub struct Link {
    config: Config,
    random: Random,
    loss: LossState,
    start: Instant,
    /// When the bottleneck has sent everything it accepted, in ns after `start`.
    busy_until_ns: u64,
    /// Accepted packets that the bottleneck has not finished: (end of transmission in ns, bytes).
    waiting: VecDeque<(u64, usize)>,
    waiting_bytes: usize,
    /// Arrival of the latest packet that was not held, in ns: nobody may arrive before it.
    last_arrival_ns: u64,
    sequence: u64,
    on_wire: BinaryHeap<Reverse<InFlight>>,
    stats: Stats,
}

/// A packet on the wire; ordered by arrival, then by entry.
#[derive(Debug)]
struct InFlight {
    arrival_ns: u64,
    sequence: u64,
    packet: Bytes,
}

impl InFlight {
    fn key(&self) -> (u64, u64) {
        (self.arrival_ns, self.sequence)
    }
}

impl PartialEq for InFlight {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for InFlight {}

impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InFlight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Link {
    /// A link whose rate trace begins at `now`.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            random: Random::new(config.seed),
            loss: LossState::new(config.loss),
            config,
            start: now,
            busy_until_ns: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            last_arrival_ns: 0,
            sequence: 0,
            on_wire: BinaryHeap::new(),
            stats: Stats::default(),
        }
    }

    /// Puts `packet` into the queue, or drops it.
    pub fn enqueue(&mut self, now: Instant, packet: Bytes) {
        let now_ns = self.ns(now);
        let length = packet.len();
        self.stats.entered_packets += 1;
        self.stats.entered_bytes += length as u64;
        self.finish_transmissions(now_ns);
        if !self.queue_accepts(now_ns, length) || self.on_wire.len() >= limits::PACKETS_IN_FLIGHT_MAX {
            self.stats.dropped_packets += 1;
            return;
        }
        let sent_ns = self.config.rate.finish_ns(self.busy_until_ns.max(now_ns), length);
        self.busy_until_ns = sent_ns;
        self.waiting.push_back((sent_ns, length));
        self.waiting_bytes += length;
        if self.loss.takes_next(&mut self.random) {
            self.stats.lost_packets += 1;
            return;
        }
        let arrival_ns = self.arrival_ns(sent_ns);
        self.on_wire.push(Reverse(InFlight { arrival_ns, sequence: self.sequence, packet }));
        self.sequence += 1;
    }

    /// The next packet that has arrived by `now`. Call until it returns `None`.
    pub fn poll(&mut self, now: Instant) -> Option<Bytes> {
        let now_ns = self.ns(now);
        if self.on_wire.peek()?.0.arrival_ns > now_ns {
            return None;
        }
        let Reverse(InFlight { packet, .. }) = self.on_wire.pop()?;
        self.stats.delivered_packets += 1;
        self.stats.delivered_bytes += packet.len() as u64;
        Some(packet)
    }

    /// When the next packet arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let Reverse(next) = self.on_wire.peek()?;
        Some(self.start + Duration::from_nanos(next.arrival_ns))
    }

    /// Changes what happens to packets that enter from now on. Those already accepted keep the times they have,
    /// a rate trace begins at the link's own start, and random decisions go on from the old seed.
    pub fn reconfigure(&mut self, config: Config) {
        self.loss = LossState::new(config.loss);
        self.config = config;
    }

    /// Counters since the link was made.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn ns(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_nanos() as u64
    }

    fn finish_transmissions(&mut self, now_ns: u64) {
        while let Some(&(sent_ns, length)) = self.waiting.front() {
            if sent_ns > now_ns {
                break;
            }
            self.waiting.pop_front();
            self.waiting_bytes -= length;
        }
    }

    fn queue_accepts(&self, now_ns: u64, length: usize) -> bool {
        match self.config.queue {
            Queue::Bytes(bytes_max) => self.waiting.is_empty() || self.waiting_bytes + length <= bytes_max,
            Queue::Time(wait_max) => {
                u128::from(self.busy_until_ns.saturating_sub(now_ns)) <= wait_max.as_nanos()
            }
        }
    }

    fn arrival_ns(&mut self, sent_ns: u64) -> u64 {
        let jitter = self.config.jitter.mul_f64(self.random.unit());
        let own = sent_ns.saturating_add((self.config.delay + jitter).as_nanos() as u64);
        if self.random.chance(self.config.reorder.probability) {
            return own.max(self.last_arrival_ns).saturating_add(self.config.reorder.hold.as_nanos() as u64);
        }
        self.last_arrival_ns = own.max(self.last_arrival_ns);
        self.last_arrival_ns
    }
}
