//! Thousands of viewers that only count bytes.
//!
//! One thread drives any number of them with one epoll. A viewer opens its connection properly, sees that the stream
//! begins, and from then on tells the kernel to throw the bytes away (`MSG_TRUNC`, tcp(7)): the cost of a viewer is
//! that of its system calls. RTMP viewers go on acknowledging. TLS and RTMPE are opened only until the media begins: what
//! the server seals costs the server, and opening it here would take the time of the machine that is measured. Replies in
//! a tunnel are read, because each of them calls for the next request.

mod layers;
mod opening;
mod viewer;

use crate::histogram::Histogram;
use crate::hls;
use crate::limits::{STARVED_AFTER, VIEWERS_PER_ADDRESS};
use crate::target::Target;
use bytes::BytesMut;
use layers::Layers;
use mio::{Events, Interest, Poll, Token};
use net::tls::Connector;
use socket2::{Domain, Protocol, Socket, Type};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use viewer::{Change, Viewer};
use wire::Random;

/// Bytes taken from a socket in one call. Never written to, so never backed by memory.
const SCRATCH_BYTES: usize = 1 << 20;
/// Bytes read at once before the media begins, and of the replies in a tunnel.
const READ_BYTES: usize = 16 << 10;
const EVENTS: usize = 1024;
/// Loopback addresses tried when ports are short: more ports than a process may have files.
const ADDRESSES_TRIED: usize = 40;
/// Slow viewers are given their share this often.
const SLOW_TICK: Duration = Duration::from_millis(100);
/// Acknowledgements, time limits and starvation are looked at this often.
const SWEEP: Duration = Duration::from_secs(1);

/// What the viewers of one thread do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// One per viewer: where it plays, when it joins.
    pub viewers: Vec<Seat>,
    /// The targets that seats refer to, with their addresses.
    pub targets: Vec<(Target, SocketAddr)>,
    /// Makes the TLS connections of targets that have TLS.
    pub connector: Option<Connector>,
    /// What slow viewers read of what the others get: 0 for nothing at all.
    pub slow_share: f64,
    /// Viewers of this thread that leave and come back, per second.
    pub churn: f64,
    /// How long a join may take until media begins.
    pub join_timeout: Duration,
    /// Makes runs differ.
    pub seed: u64,
}

/// One viewer.
#[derive(Debug, Clone, Copy)]
pub struct Seat {
    /// Its number among all viewers of the run; decides its address.
    pub number: usize,
    /// Index into the targets.
    pub target: usize,
    /// When it joins, from the start of the run.
    pub join_after: Duration,
    /// Whether it cannot keep up.
    pub slow: bool,
}

/// Counters of all threads, readable while they run.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections begun.
    pub joins: AtomicU64,
    /// Joins that reached the media.
    pub started: AtomicU64,
    /// Joins that did not.
    pub failed: AtomicU64,
    /// Viewers that the server dropped after they had started, slow ones left out.
    pub disconnected: AtomicU64,
    /// Slow viewers that the server dropped.
    pub slow_disconnected: AtomicU64,
    /// Viewers that left by themselves to come back.
    pub left: AtomicU64,
    /// Bytes received after the connection was made.
    pub bytes: AtomicU64,
    /// Viewers, slow ones left out, that received nothing for two seconds at the last look.
    pub starved: AtomicU64,
    /// Viewers that receive media now.
    pub watching: AtomicU64,
    /// Requests that were answered, of viewers of HLS.
    pub requests: AtomicU64,
}

/// What one thread measured.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// From connecting to the first media byte.
    pub first_media: Histogram,
    /// Bytes of each viewer that watched to the end, slow ones left out.
    pub bytes_per_viewer: Vec<u64>,
    /// The most viewers that were starved at one look.
    pub starved_max: u64,
    /// Time that was not spent waiting.
    pub busy: Duration,
    /// Time in all.
    pub wall: Duration,
    /// Why the last failed join failed.
    pub failure: Option<String>,
    /// What viewers of HLS found.
    pub hls: hls::Findings,
}

/// Runs the plan until `stop` is set.
///
/// # Errors
///
/// No epoll instance. Whatever happens to single viewers is counted, not returned.
pub fn run(plan: &Plan, counters: &Counters, stop: &AtomicBool) -> io::Result<Outcome> {
    let start = Instant::now();
    let mut crowd = Crowd {
        poll: Poll::new()?,
        viewers: plan.viewers.iter().map(|seat| Viewer::new(*seat)).collect(),
        joins: BinaryHeap::with_capacity(plan.viewers.len()),
        random: Random::new(plan.seed),
        timers: BinaryHeap::new(),
        buffers: Buffers {
            read: vec![0; READ_BYTES],
            plain: BytesMut::new(),
            scratch: Box::new_uninit_slice(SCRATCH_BYTES),
        },
        outcome: Outcome::default(),
        plan,
        counters,
    };
    for (index, seat) in plan.viewers.iter().enumerate() {
        crowd.joins.push(Reverse((start + seat.join_after, index)));
    }
    crowd.run(start, stop)
}

/// Shared by all viewers of a thread.
struct Buffers {
    /// What is read, until the media begins or of a tunnel.
    read: Vec<u8>,
    /// What was in it.
    plain: BytesMut,
    scratch: Box<[MaybeUninit<u8>]>,
}

struct Crowd<'a> {
    poll: Poll,
    viewers: Vec<Viewer>,
    joins: BinaryHeap<Reverse<(Instant, usize)>>,
    random: Random,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    buffers: Buffers,
    outcome: Outcome,
    plan: &'a Plan,
    counters: &'a Counters,
}

impl Crowd<'_> {
    fn run(mut self, start: Instant, stop: &AtomicBool) -> io::Result<Outcome> {
        let mut events = Events::with_capacity(EVENTS);
        let mut next_sweep = start + SWEEP;
        let mut next_slow = start + SLOW_TICK;
        let mut next_churn =
            (self.plan.churn > 0.0).then(|| start + self.random.exponential(self.plan.churn));
        let mut slow_ticks = SlowTicks::new(start, self.viewers.iter().any(|viewer| viewer.seat.slow));
        while !stop.load(Relaxed) {
            let mut next = next_sweep.min(next_slow);
            if let Some(Reverse((at, _))) = self.joins.peek() {
                next = next.min(*at);
            }
            if let Some(Reverse((at, _))) = self.timers.peek() {
                next = next.min(*at);
            }
            if let Some(at) = next_churn {
                next = next.min(at);
            }
            let before = Instant::now();
            match self.poll.poll(&mut events, Some(next.saturating_duration_since(before))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            let now = Instant::now();
            for event in &events {
                self.on_event(event, now);
            }
            while self.joins.peek().is_some_and(|Reverse((at, _))| *at <= now) {
                if let Some(Reverse((_, index))) = self.joins.pop() {
                    self.join(index, now);
                }
            }
            while self.timers.peek().is_some_and(|Reverse((at, _))| *at <= now) {
                if let Some(Reverse((at, index))) = self.timers.pop() {
                    self.on_timer(index, at, now);
                }
            }
            if now >= next_slow {
                next_slow = now + SLOW_TICK;
                self.feed_slow(slow_ticks.budget(now, self.counters, self.plan), now);
            }
            if next_churn.is_some_and(|at| at <= now) {
                next_churn = Some(now + self.random.exponential(self.plan.churn));
                self.churn(now);
            }
            if now >= next_sweep {
                next_sweep = now + SWEEP;
                self.sweep(now);
            }
            self.outcome.busy += now.elapsed();
        }
        let still_watching = self.viewers.iter().filter(|viewer| viewer.is_watching() && !viewer.seat.slow);
        self.outcome.bytes_per_viewer = still_watching.map(Viewer::bytes).collect();
        self.outcome.wall = start.elapsed();
        Ok(self.outcome)
    }

    fn join(&mut self, index: usize, now: Instant) {
        self.counters.joins.fetch_add(1, Relaxed);
        let viewer = &mut self.viewers[index];
        let (target, address) = &self.plan.targets[viewer.seat.target];
        let mut random = [0; 32];
        for eight in random.as_chunks_mut::<8>().0 {
            *eight = self.random.bits().to_le_bytes();
        }
        let connected = connect(*address, viewer.seat.number).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(index), interest)?;
            Ok(stream)
        });
        let layers = Layers::new(target, self.plan.connector.as_ref(), now);
        match (connected, layers) {
            (Ok(stream), Ok(layers)) => viewer.open(stream, layers, target, random, now),
            (Err(error), _) => self.fail(error.to_string()),
            (_, Err(why)) => self.fail(why),
        }
    }

    fn on_timer(&mut self, index: usize, at: Instant, now: Instant) {
        let viewer = &mut self.viewers[index];
        // One that was set for a moment that has moved since is none.
        if viewer.timer != Some(at) {
            return;
        }
        viewer.timer = None;
        let change = match viewer.poll_timeout() {
            Some(due) if due <= now => viewer.handle_timeout(now),
            _ => Change::None,
        };
        self.apply(index, change, now);
    }

    /// Sees to it that the viewer is looked at when it wants to be, if that is before the next sweep.
    fn set_timer(&mut self, index: usize, now: Instant) {
        let viewer = &mut self.viewers[index];
        if let Some(due) = viewer.poll_timeout()
            && due < now + SWEEP
            && viewer.timer.is_none_or(|at| due < at)
        {
            viewer.timer = Some(due);
            self.timers.push(Reverse((due, index)));
        }
    }

    fn fail(&mut self, why: String) {
        self.counters.failed.fetch_add(1, Relaxed);
        self.outcome.failure = Some(why);
    }

    fn on_event(&mut self, event: &mio::event::Event, now: Instant) {
        let index = event.token().0;
        let viewer = &mut self.viewers[index];
        let before = viewer.bytes();
        if !viewer.is_watching() {
            let change = viewer.converse(event, &mut self.buffers);
            self.apply(index, change, now);
        }
        let viewer = &mut self.viewers[index];
        let change = match viewer.is_watching() {
            // It reads only when it is given a share, but it does notice when it is thrown out.
            true if viewer.seat.slow && (event.is_error() || event.is_read_closed()) => Change::Closed,
            true if event.is_writable() && viewer.flush().is_err() => Change::Closed,
            true if !viewer.seat.slow && event.is_readable() => {
                viewer.take(&mut self.buffers, usize::MAX, event.is_read_closed(), now)
            }
            _ => Change::None,
        };
        self.counters.bytes.fetch_add(viewer.bytes().saturating_sub(before), Relaxed);
        self.apply(index, change, now);
    }

    fn apply(&mut self, index: usize, change: Change, now: Instant) {
        self.set_timer(index, now);
        let viewer = &mut self.viewers[index];
        match change {
            Change::None => {}
            Change::Started => {
                self.counters.started.fetch_add(1, Relaxed);
                self.counters.watching.fetch_add(1, Relaxed);
                self.outcome.first_media.record(viewer.waited());
            }
            Change::Failed(why) => {
                viewer.close(&self.poll);
                self.fail(why);
            }
            Change::Closed => {
                let slow = viewer.seat.slow;
                viewer.close(&self.poll);
                self.counters.watching.fetch_sub(1, Relaxed);
                let counter =
                    if slow { &self.counters.slow_disconnected } else { &self.counters.disconnected };
                counter.fetch_add(1, Relaxed);
                if self.plan.churn > 0.0 {
                    self.joins.push(Reverse((now, index)));
                }
            }
        }
    }

    fn feed_slow(&mut self, budget: usize, now: Instant) {
        if budget == 0 {
            return;
        }
        for index in 0..self.viewers.len() {
            let viewer = &mut self.viewers[index];
            if viewer.seat.slow && viewer.is_watching() {
                let before = viewer.bytes();
                let change = viewer.take(&mut self.buffers, budget, false, now);
                self.counters.bytes.fetch_add(viewer.bytes() - before, Relaxed);
                self.apply(index, change, now);
            }
        }
    }

    /// One viewer leaves and comes back at once.
    fn churn(&mut self, now: Instant) {
        if self.viewers.is_empty() {
            return;
        }
        let index = self.random.below(self.viewers.len());
        let viewer = &mut self.viewers[index];
        if viewer.is_watching() && !viewer.seat.slow {
            viewer.close(&self.poll);
            self.counters.watching.fetch_sub(1, Relaxed);
            self.counters.left.fetch_add(1, Relaxed);
            self.joins.push(Reverse((now, index)));
        }
    }

    fn sweep(&mut self, now: Instant) {
        let mut starved = 0;
        for index in 0..self.viewers.len() {
            let viewer = &mut self.viewers[index];
            viewer.acknowledge(now);
            self.set_timer(index, now);
            let viewer = &mut self.viewers[index];
            if viewer.is_late(now, self.plan.join_timeout) {
                self.apply(index, Change::Failed("no media within the time allowed for a join".into()), now);
            } else if !viewer.seat.slow && viewer.silence(now).is_some_and(|silence| silence > STARVED_AFTER)
            {
                starved += 1;
            }
        }
        self.counters.starved.store(starved, Relaxed);
        self.outcome.starved_max = self.outcome.starved_max.max(starved);
    }
}

/// What slow viewers may read, from what all viewers got meanwhile.
struct SlowTicks {
    any: bool,
    bytes: u64,
    at: Instant,
}

impl SlowTicks {
    fn new(now: Instant, any: bool) -> Self {
        Self { any, bytes: 0, at: now }
    }

    fn budget(&mut self, now: Instant, counters: &Counters, plan: &Plan) -> usize {
        if !self.any || plan.slow_share <= 0.0 {
            return 0;
        }
        let bytes = counters.bytes.load(Relaxed);
        let watching = counters.watching.load(Relaxed).max(1);
        let each = bytes.saturating_sub(self.bytes) as f64 / watching as f64;
        (self.bytes, self.at) = (bytes, now);
        (each * plan.slow_share) as usize
    }
}

/// Starts connecting. Towards loopback, viewers beyond the ports of one address come from 127.0.0.2, 127.0.0.3, ..., and so
/// does one that finds all ports of its address taken: those that viewers left are not free for a minute.
fn connect(address: SocketAddr, number: usize) -> io::Result<mio::net::TcpStream> {
    let mut group = number / VIEWERS_PER_ADDRESS;
    for _ in 0..ADDRESSES_TRIED {
        match connect_from(address, group) {
            Err(error) if matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse) => {
                group += 1
            }
            result => return result,
        }
    }
    connect_from(address, group)
}

/// Starts connecting; towards loopback from its address number `group`.
pub(crate) fn connect_from(address: SocketAddr, group: usize) -> io::Result<mio::net::TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let (IpAddr::V4(ip), 1..) = (address.ip(), group)
        && ip.is_loopback()
    {
        let local = Ipv4Addr::new(127, 0, 0, 1 + (group % 250) as u8);
        socket.bind(&SocketAddr::from((local, 0)).into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(mio::net::TcpStream::from_std(socket.into())),
    }
}

#[cfg(test)]
mod tests;
