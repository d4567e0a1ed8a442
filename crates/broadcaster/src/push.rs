//! Publishing over RTMP: connect, send packets when they are due, come back after a failure.

use crate::feed::Pending;
use crate::gate::Gate;
use crate::pace::Pace;
use crate::{Error, Feed, Stats, limits};
use link::{Backoff, Event, Link};
use media::{Kind, Packet, Role, Time};
use rtmp::url::{self, Url};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How to publish.
#[derive(Clone)]
pub struct Options {
    /// 1 is real time; 0 sends as fast as the network takes it.
    pub speed: f64,
    /// Failed connections in a row after which to give up, once the server has accepted the stream.
    pub retries: u32,
    /// The same for the time before that.
    pub retries_at_start: u32,
    /// A packet later than this is left out, and all up to the next keyframe that is on time.
    pub lag_max: Duration,
    /// How to connect.
    pub link: link::Options,
    /// Called for each packet right before it is sent.
    pub on_send: Option<OnSend>,
}

/// Sees each packet right before it is sent.
pub type OnSend = Arc<dyn Fn(&Packet) + Send + Sync>;

impl Default for Options {
    fn default() -> Self {
        Self {
            speed: 1.0,
            retries: 10,
            retries_at_start: 0,
            lag_max: Duration::from_secs(5),
            link: link::Options::default(),
            on_send: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("speed", &self.speed)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

/// Publishes `feed` to an URL of the RTMP family until it ends or `stop` completes; either way the stream is unpublished
/// properly.
///
/// A connection that breaks is made again, with growing waits. Media that became old meanwhile is left out, and the
/// stream goes on at a keyframe. A server that asks to be left is left at the next keyframe, with nothing lost.
///
/// # Errors
///
/// An URL that cannot be published to, a source that cannot be read, a server that refuses, or too many failed
/// connections in a row.
pub async fn push(
    feed: Feed,
    url: &str,
    options: Options,
    stats: &Stats,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let home = parse(url)?;
    let mut url = home.clone();
    let mut stop = std::pin::pin!(stop);
    let mut backoff = Backoff::default();
    let mut run = Run {
        feed,
        pace: Pace::new(options.speed),
        gate: Gate::new(options.lag_max),
        pending: None,
        move_to: None,
        continues: false,
        newest: Time::ZERO,
        options,
        stats,
    };
    loop {
        let opened = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            opened = Link::open(&url, link::Role::Publish, &run.options.link) => opened.map_err(Error::from),
        };
        let failure = match opened {
            Ok(link) => {
                backoff.reset();
                stats.connected.store(true, Relaxed);
                stats.connections.fetch_add(1, Relaxed);
                let end = run.stream(link, stop.as_mut()).await;
                stats.connected.store(false, Relaxed);
                match end {
                    Ok(End::Done) => return Ok(()),
                    Ok(End::Moved(to)) => {
                        url = to;
                        continue;
                    }
                    Err(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        // Whoever sent us elsewhere may know better now.
        url = home.clone();
        let started = stats.connections.load(Relaxed) > 0;
        let retries = if started { run.options.retries } else { run.options.retries_at_start };
        if !failure.is_transient() || backoff.failures() >= retries {
            return Err(failure);
        }
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(backoff.wait()) => {}
        }
    }
}

fn parse(text: &str) -> Result<Url, Error> {
    Url::parse(text).map_err(|error| Error::Url(format!("{}: {error}", url::without_credentials(text))))
}

enum End {
    /// The source ended, or we were asked to stop.
    Done,
    /// The server asked to connect again, there.
    Moved(Url),
}

struct Run<'a> {
    feed: Feed,
    pace: Pace,
    gate: Gate,
    /// The next packet and when it is due. Kept over reconnects.
    pending: Option<(Packet, Instant)>,
    /// Where the server wants us to go at the next keyframe.
    move_to: Option<Url>,
    /// The pending packet starts a group of pictures, and all before it were sent.
    continues: bool,
    newest: Time,
    options: Options,
    stats: &'a Stats,
}

impl Run<'_> {
    /// Sends packets over one connection.
    async fn stream<S: Future<Output = ()>>(
        &mut self,
        mut link: Link,
        mut stop: Pin<&mut S>,
    ) -> Result<End, Error> {
        if !std::mem::take(&mut self.continues) {
            self.gate.start_over();
        }
        for mut packet in self.gate.kept().to_vec() {
            (packet.dts, packet.pts) = (self.newest, self.newest);
            self.send(&mut link, &packet)?;
        }
        loop {
            let step = tokio::select! {
                biased;
                () = &mut stop => Ok(Step::Finish),
                step = self.step(&mut link) => step,
            };
            match step {
                Ok(Step::Sent) => {}
                Ok(Step::Finish) => {
                    link.finish().await;
                    return Ok(End::Done);
                }
                Ok(Step::Boundary(to)) => {
                    link.finish().await;
                    return Ok(End::Moved(to));
                }
                // It did not wait for the boundary.
                Err(error) => return self.move_to.take().map(End::Moved).ok_or(error),
            }
        }
    }

    /// Waits for the next packet and its time, and sends it or leaves it out.
    async fn step(&mut self, link: &mut Link) -> Result<Step, Error> {
        let (packet, due) = match self.pending.take() {
            Some(pending) => pending,
            None => match self.next(link).await? {
                Next::Packet(packet, due) => (packet, due),
                Next::End => return Ok(Step::Finish),
            },
        };
        let pending = self.pending.insert((packet, due));
        loop {
            let wait = due.saturating_duration_since(Instant::now());
            let may_send = wait.is_zero() && link.queued() <= limits::SEND_QUEUE_BYTES_MAX;
            tokio::select! {
                biased;
                worked = work(link, &mut self.move_to) => worked?,
                () = tokio::task::yield_now(), if may_send => break,
                () = tokio::time::sleep(wait), if !wait.is_zero() => {}
            }
        }
        if self.gate.may_start_with(&pending.0)
            && let Some(to) = self.move_to.take()
        {
            self.continues = true;
            return Ok(Step::Boundary(to));
        }
        let now = Instant::now();
        let admitted = self.gate.admit(&pending.0, now, due);
        let Some((packet, due)) = self.pending.take() else { return Ok(Step::Sent) };
        if admitted {
            self.send(link, &packet)?;
            self.stats.lag_us.store(now.saturating_duration_since(due).as_micros() as u64, Relaxed);
        } else {
            self.stats.dropped.fetch_add(1, Relaxed);
        }
        Ok(Step::Sent)
    }

    async fn next(&mut self, link: &mut Link) -> Result<Next, Error> {
        let (next, waited) = match self.feed.try_next() {
            Ok(next) => (next, false),
            Err(Pending) => loop {
                tokio::select! {
                    biased;
                    worked = work(link, &mut self.move_to) => worked?,
                    next = self.feed.next() => break (next, true),
                }
            },
        };
        let Some(packet) = next? else { return Ok(Next::End) };
        let now = Instant::now();
        let mut due = self.pace.due(now, packet.dts);
        if waited && due < now {
            // The source itself is behind, such as a pipe from a program that paused. That is the new real time.
            self.pace.restart();
            due = self.pace.due(now, packet.dts);
        }
        Ok(Next::Packet(packet, due))
    }

    fn send(&mut self, link: &mut Link, packet: &Packet) -> Result<(), Error> {
        if let Some(on_send) = &self.options.on_send {
            on_send(packet);
        }
        self.newest = self.newest.max(packet.dts);
        link.send_packet(packet, packet.dts)?;
        let stats = self.stats;
        match (packet.role, packet.track.kind) {
            (Role::Frame, Kind::Video) => stats.video_frames.fetch_add(1, Relaxed),
            (Role::Frame, Kind::Audio) => stats.audio_frames.fetch_add(1, Relaxed),
            _ => 0,
        };
        stats.bytes.fetch_add(packet.payload.len() as u64, Relaxed);
        stats.media_ms.store(u64::try_from(self.newest.millis()).unwrap_or(0), Relaxed);
        stats.queued.store(link.queued() as u64, Relaxed);
        Ok(())
    }
}

enum Step {
    Sent,
    Finish,
    /// It is time to go there.
    Boundary(Url),
}

enum Next {
    Packet(Packet, Instant),
    End,
}

/// Waits until the connection did something. Sets `move_to` when the server wants us elsewhere.
async fn work(link: &mut Link, move_to: &mut Option<Url>) -> Result<(), Error> {
    let open = link.step().await?;
    while let Some(event) = link.poll_event() {
        match event {
            Event::Rejected(status) | Event::Ended(status) => return Err(link::Error::from(status).into()),
            // A request that nobody can follow is none: the connection lasts as long as it lasts.
            Event::Reconnect { tc_url, .. } => *move_to = link::moved(link.url(), tc_url.as_deref()).ok(),
            _ => {}
        }
    }
    if open { Ok(()) } else { Err(link::Error::Closed("while it took the stream").into()) }
}
