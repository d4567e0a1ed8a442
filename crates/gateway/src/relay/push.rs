//! One stream on its way to one target.

use super::Target;
use super::address::redact;
use super::limits::{MOVE_PAUSE, UNSENT_BYTES_MAX};
use super::progress::Progress;
use super::retry::{Failure, Retry};
use super::via::Direction;
use crate::Env;
use crate::metrics::{Outcome, RelayState, Role};
use crate::sessions::{NewSession, SessionGuard};
use hub::{BatchLimits, Next, ReadOptions, Reader, Start};
use link::{Event, Link};
use media::{Role as PacketRole, StreamName, Time};
use rtmp::url::Url;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing::{info, warn};

/// One pick: little, so that what waits for a slow target is counted soon.
const BATCH: BatchLimits = BatchLimits { packets_max: 32, bytes_max: 128 << 10 };

/// What the task is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Keep the target connected.
    Go,
    /// The stream is over: send what is left of it, and do not connect again.
    Over,
    /// End now.
    Stop,
}

/// Sends one stream to one target until the stream is over.
pub(crate) struct Push {
    pub(crate) env: Arc<Env>,
    pub(crate) target: Arc<Target>,
    pub(crate) name: StreamName,
    pub(crate) progress: Arc<Progress>,
    pub(crate) orders: watch::Receiver<Order>,
}

/// How a connection ended.
enum End {
    /// The stream is over, or the task was told to end; the target was told so.
    Done,
    /// The target wants us elsewhere.
    Moved(Url),
    Failed(link::Error),
}

impl Push {
    /// Connects, sends, and comes back after failures.
    pub(crate) async fn run(self) {
        let Ok(home) = self.target.address.of(&self.name) else {
            let why = "the stream's name does not fit into the URL".to_owned();
            return self.progress.fail(Failure::Refused, why, None, self.env.metrics.relay());
        };
        let config = &self.env.config.relay;
        let mut retry = Retry::new(Duration::from_millis(config.retry_max_ms), super::seed());
        let mut url = home.clone();
        loop {
            self.progress.enter(RelayState::Connecting);
            let opened = tokio::select! {
                biased;
                () = self.ordered(|order| order != Order::Go) => break,
                opened = self.open(&url) => opened,
            };
            let began = Instant::now();
            let end = match opened {
                Ok(link) => self.send(link).await,
                Err(error) => End::Failed(error),
            };
            let (wait, to) = match end {
                End::Done => break,
                End::Moved(to) => (MOVE_PAUSE.saturating_sub(began.elapsed()), to),
                End::Failed(error) => {
                    let failure = Failure::of_push(&error);
                    let wait = retry.after(failure, began.elapsed());
                    let why = redact(&error.to_string(), &url);
                    info!(target = self.target.name, stream = %self.name, why, retry_in = ?wait, "relay target failed");
                    self.progress.fail(failure, why, Some(Instant::now() + wait), self.env.metrics.relay());
                    (wait, home.clone())
                }
            };
            url = to;
            tokio::select! {
                biased;
                () = self.ordered(|order| order != Order::Go) => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.progress.enter(RelayState::Waiting);
    }

    /// Completes when there is such an order, or the node shuts down.
    async fn ordered(&self, is_meant: impl Fn(Order) -> bool) {
        let mut orders = self.orders.clone();
        tokio::select! {
            // An error means that nobody gives orders any more.
            _ = orders.wait_for(|order| is_meant(*order)) => {}
            () = self.env.shutdown.triggered() => {}
        }
    }

    async fn open(&self, url: &Url) -> Result<Link, link::Error> {
        let options = link::Options {
            timeout: self.env.config.relay.connect_timeout(),
            tls: self.env.relays.tls.clone(),
            note: Some(self.env.relays.ways.next(Direction::In, &self.name).note()),
            unsent_bytes_max: Some(UNSENT_BYTES_MAX),
            reach: self.target.reach,
            ..link::Options::default()
        };
        Link::open(url, link::Role::Publish, &options).await
    }

    async fn send(&self, link: Link) -> End {
        let options = ReadOptions {
            start: Start::Live,
            pace: None,
            lag_max: Some(Duration::from_millis(self.env.config.relay.lag_max_ms)),
            passive: true,
            wait_max: Duration::ZERO,
            shard: self.env.shard(),
            ..ReadOptions::default()
        };
        let reader = match self.env.origin.read(&self.name, options, Instant::now()) {
            Ok(reader) => reader,
            Err(error) => {
                link.finish().await;
                return End::Failed(link::Error::Connection(std::io::Error::other(error)));
            }
        };
        let session = NewSession {
            role: Role::Play,
            stream: self.name.clone(),
            address: link.peer().unwrap_or_else(super::nowhere),
            user_agent: Some(&self.target.name),
            started: Instant::now(),
        };
        let guard = self.env.sessions.open(session, &self.env.metrics.protocol(super::PROTOCOL)).ok();
        info!(target = self.target.name, stream = %self.name, "relay target is live");
        self.progress.enter(RelayState::Live);
        self.progress.connected(self.env.metrics.relay());
        let mut sending = Sending { push: self, link, reader, guard, base: None, told: Told::default() };
        let end = sending.run().await;
        sending.report();
        let outcome = match end {
            End::Failed(_) => Outcome::Lost,
            End::Done | End::Moved(_) => Outcome::Finished,
        };
        let Sending { link, mut guard, .. } = sending;
        if let Some(guard) = &mut guard {
            guard.set_outcome(outcome);
        }
        if !matches!(end, End::Failed(_)) {
            link.finish().await;
        }
        end
    }
}

/// One connection to a target.
struct Sending<'a> {
    push: &'a Push,
    link: Link,
    reader: Reader,
    guard: Option<SessionGuard>,
    /// The time of the first packet: each connection begins at zero, as targets expect of an encoder.
    base: Option<Time>,
    told: Told,
}

/// What the counters have seen.
#[derive(Default)]
struct Told {
    bytes: u64,
    skipped: u64,
}

impl Sending<'_> {
    async fn run(&mut self) -> End {
        let config = &self.push.env.config.relay;
        let mut batch = Vec::new();
        let mut later: Option<Instant> = None;
        // When the target last took bytes, and how many it had taken by then.
        let mut taken = (Instant::now(), self.link.bytes_out());
        loop {
            self.report();
            if self.link.queued() == 0 || self.link.bytes_out() != taken.1 {
                taken = (Instant::now(), self.link.bytes_out());
            }
            let stuck_at = taken.0 + config.write_timeout();
            let has_room = self.link.queued() < config.queue_bytes_max;
            tokio::select! {
                biased;
                () = self.push.ordered(|order| order == Order::Stop) => return End::Done,
                stepped = self.link.step() => match stepped {
                    Ok(open) => if let Some(end) = self.heed(open) { return end },
                    Err(error) => return End::Failed(error),
                },
                () = tokio::time::sleep_until(stuck_at.into()), if self.link.queued() > 0 => {
                    return End::Failed(link::Error::Timeout("the target takes no data"));
                }
                () = tokio::time::sleep_until(later.unwrap_or(stuck_at).into()), if later.is_some() => later = None,
                next = poll_fn(|cx| self.reader.poll_next(Instant::now(), &mut batch, BATCH, cx)),
                    if has_room && later.is_none() =>
                {
                    match next {
                        Next::Packets => {
                            for entry in batch.drain(..) {
                                if let Err(error) = self.send(&entry.packet) {
                                    return End::Failed(error);
                                }
                            }
                        }
                        Next::Later(at) => later = Some(at),
                        // The target waits with us for the next publisher.
                        Next::Dry => {}
                        Next::Ended(_) => return End::Done,
                    }
                }
            }
        }
    }

    fn send(&mut self, packet: &media::Packet) -> Result<(), link::Error> {
        let base = *self.base.get_or_insert(packet.dts);
        self.link.send_packet(packet, Time::ZERO + packet.dts.since(base))?;
        if packet.role == PacketRole::Frame {
            self.push.progress.frames.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Looks at what the target said. `open` is whether it may say more.
    fn heed(&mut self, open: bool) -> Option<End> {
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Rejected(status) | Event::Ended(status) => return Some(End::Failed(status.into())),
                Event::Reconnect { tc_url, .. } => {
                    return Some(match link::moved(self.link.url(), tc_url.as_deref()) {
                        Ok(url) => End::Moved(url),
                        Err(error) => End::Failed(error),
                    });
                }
                _ => {}
            }
        }
        (!open).then_some(End::Failed(link::Error::Closed("while it took the stream")))
    }

    /// Brings the counters up to date.
    fn report(&mut self) {
        let progress = &self.push.progress;
        let metrics = self.push.env.metrics.relay();
        let bytes = self.link.bytes_out() - self.told.bytes;
        if bytes > 0 {
            progress.add_bytes(bytes, metrics);
            self.told.bytes += bytes;
            if let Some(guard) = &self.guard {
                guard.add_bytes_out(bytes);
            }
        }
        let skipped = self.reader.stats().packets_skipped - self.told.skipped;
        if skipped > 0 {
            progress.dropped.fetch_add(skipped, Relaxed);
            metrics.dropped.inc_by(skipped);
            self.told.skipped += skipped;
            warn!(target = self.push.target.name, stream = %self.push.name, packets = skipped, "relay target is slow: packets left out");
        }
    }
}
