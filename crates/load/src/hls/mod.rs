//! Thousands of viewers of HLS that throw the media away.
//!
//! One thread drives any number of them with one epoll, as in [`crate::crowd`]. A viewer reads its playlists, waits for the next part of
//! each track with a blocking reload and with the preload hint at once (RFC 8216bis section 6.2), and takes one after
//! the other over connections that stay open: for each track one for playlists and one for media. A model of a player's
//! buffer says whether its picture would stand still.

mod buffer;
mod connection;
pub mod playlist;
mod track;
mod viewer;

use crate::crowd::{self, Counters, Outcome, Plan};
use crate::histogram::Histogram;
use crate::limits::HLS_VIEWERS_PER_ADDRESS;
use connection::Scratch;
use mio::{Events, Interest, Poll, Token};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
pub(crate) use viewer::CONNECTIONS;
use viewer::{Change, Viewer};

const EVENTS: usize = 1024;
/// Time limits are looked at this often.
const SWEEP: Duration = Duration::from_secs(1);

/// What viewers of HLS found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// From the end of a part, by the dates of its playlist, until its last byte was here.
    pub latency: Histogram,
    /// Parts, or whole segments, that have come.
    pub parts: u64,
    /// Answers that were errors.
    pub refused: u64,
    /// How often a player would have stopped for want of media.
    pub stalls: u64,
    /// Viewers with a stall.
    pub stalled_viewers: u64,
    /// The time of all stalls that have ended.
    pub stalled: Duration,
}

impl Findings {
    /// Adds what others found.
    pub fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.parts += other.parts;
        self.refused += other.refused;
        self.stalls += other.stalls;
        self.stalled_viewers += other.stalled_viewers;
        self.stalled += other.stalled;
    }
}

/// What viewers ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Parts when they come, and playlists that wait for them.
    #[default]
    Parts,
    /// Whole segments, as players without low latency do.
    Segments,
    /// All targets again and again, so long apart, and all viewers at the same moments: what any web server can be measured
    /// with.
    Files(Duration),
}

/// Runs the plan until `stop` is set.
///
/// # Errors
///
/// No epoll instance. Whatever happens to single viewers is counted, not returned.
pub fn run(plan: &Plan, style: Style, counters: &Counters, stop: &AtomicBool) -> io::Result<Outcome> {
    let start = Instant::now();
    let mut crowd = Crowd {
        poll: Poll::new()?,
        viewers: plan.viewers.iter().map(|seat| Viewer::new(*seat, style)).collect(),
        timers: BinaryHeap::with_capacity(plan.viewers.len()),
        scratch: Scratch::new(),
        outcome: Outcome::default(),
        style,
        start,
        plan,
        counters,
    };
    for (index, seat) in plan.viewers.iter().enumerate() {
        crowd.timers.push(Reverse((start + seat.join_after, index)));
    }
    crowd.run(stop)
}

struct Crowd<'a> {
    poll: Poll,
    viewers: Vec<Viewer>,
    /// When a viewer joins or reloads a playlist.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    scratch: Scratch,
    outcome: Outcome,
    style: Style,
    start: Instant,
    plan: &'a Plan,
    counters: &'a Counters,
}

impl Crowd<'_> {
    fn run(mut self, stop: &AtomicBool) -> io::Result<Outcome> {
        let mut events = Events::with_capacity(EVENTS);
        let mut next_sweep = self.start + SWEEP;
        while !stop.load(Relaxed) {
            let next = self.timers.peek().map_or(next_sweep, |Reverse((at, _))| next_sweep.min(*at));
            match self.poll.poll(&mut events, Some(next.saturating_duration_since(Instant::now()))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            let now = Instant::now();
            for event in &events {
                let (index, connection) = (event.token().0 / CONNECTIONS, event.token().0 % CONNECTIONS);
                let change = self.viewers[index].handle_event(connection, event, &mut self.scratch);
                self.apply(index, change, now);
            }
            while self.timers.peek().is_some_and(|Reverse((at, _))| *at <= now) {
                if let Some(Reverse((_, index))) = self.timers.pop() {
                    let change = match self.viewers[index].is_idle() {
                        true => self.join(index, now),
                        false => self.viewers[index].handle_timeout(now),
                    };
                    self.apply(index, change, now);
                }
            }
            if now >= next_sweep {
                next_sweep = now + SWEEP;
                for index in 0..self.viewers.len() {
                    let change = self.viewers[index].check(now, self.plan.join_timeout);
                    self.apply(index, change, now);
                }
            }
            self.outcome.busy += now.elapsed();
        }
        let now = Instant::now();
        for viewer in &mut self.viewers {
            let found = &mut self.outcome.hls;
            let (stalls, stalled) = viewer.stalls(now);
            found.stalls += stalls;
            found.stalled += stalled;
            found.stalled_viewers += u64::from(stalls > 0);
            if viewer.is_watching() {
                self.outcome.bytes_per_viewer.push(viewer.bytes());
            }
        }
        self.outcome.wall = self.start.elapsed();
        Ok(self.outcome)
    }

    fn join(&mut self, index: usize, now: Instant) -> Change {
        self.counters.joins.fetch_add(1, Relaxed);
        let viewer = &mut self.viewers[index];
        match self.style {
            Style::Files(every) => {
                let targets = self.plan.targets.iter().map(|(target, _)| target);
                viewer.join_files(targets, self.start, every, now)
            }
            _ => viewer.join(&self.plan.targets[viewer.seat.target].0, now),
        }
    }

    /// Counts what happened, and opens connections that are wanted.
    fn apply(&mut self, index: usize, change: Change, now: Instant) {
        let viewer = &mut self.viewers[index];
        let noted = viewer.take_noted();
        self.counters.bytes.fetch_add(noted.bytes, Relaxed);
        self.counters.requests.fetch_add(noted.answers, Relaxed);
        self.outcome.hls.refused += noted.refused;
        for received in noted.received {
            self.outcome.hls.parts += 1;
            if let Some(latency) = received.latency {
                self.outcome.hls.latency.record(latency);
            }
        }
        if let Some(waited) = noted.started {
            self.counters.started.fetch_add(1, Relaxed);
            self.counters.watching.fetch_add(1, Relaxed);
            self.outcome.first_media.record(waited);
        }
        let opened = match change {
            Change::None => self.open(index),
            Change::Failed(why) => Err(why),
        };
        let viewer = &mut self.viewers[index];
        if let Err(why) = opened {
            let was_watching = viewer.is_watching();
            viewer.close();
            if was_watching {
                self.counters.watching.fetch_sub(1, Relaxed);
                self.counters.disconnected.fetch_add(1, Relaxed);
            } else {
                self.counters.failed.fetch_add(1, Relaxed);
            }
            self.outcome.failure = Some(why);
        }
        if let Some(at) = self.viewers[index].take_timer() {
            self.timers.push(Reverse((at.max(now), index)));
        }
    }

    /// Connects what has something to ask and no connection yet.
    fn open(&mut self, index: usize) -> Result<(), String> {
        let viewer = &mut self.viewers[index];
        let (_, address) = self.plan.targets[viewer.seat.target];
        for number in 0..CONNECTIONS {
            if !viewer.wants_connection(number) {
                continue;
            }
            let group = viewer.seat.number / HLS_VIEWERS_PER_ADDRESS;
            let connected = crowd::connect_from(address, group).and_then(|mut stream| {
                let token = Token(index * CONNECTIONS + number);
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut stream, token, interest)?;
                Ok(stream)
            });
            let stream = connected.map_err(|error| error.to_string())?;
            viewer.connected(number, stream).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
