//! One source of a stream that is fetched.

use super::address::{Address, redact};
use super::choice::Want;
use super::limits::SILENCE_MAX;
use super::progress::Progress;
use super::pull::Board;
use super::retry::{Failure, Retry};
use super::via::Direction;
use crate::Env;
use crate::metrics::{Outcome, RelayState, Role};
use crate::rtmp::Demux;
use crate::sessions::{NewSession, SessionGuard};
use hub::{Feedback, Publisher};
use link::{Event, Link};
use media::{Kind, Packet, Role as PacketRole, StreamName};
use rtmp::url::Url;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing::{debug, info};

/// Keeps one source connected while it is wanted, and feeds the stream from it.
pub(crate) struct Source {
    pub(crate) env: Arc<Env>,
    pub(crate) address: Address,
    pub(crate) name: StreamName,
    pub(crate) progress: Arc<[Progress]>,
    pub(crate) board: Arc<Board>,
    pub(crate) index: usize,
}

/// How a connection ended.
enum End {
    /// The source is not wanted any more.
    Unwanted,
    Failed(link::Error),
}

impl Source {
    fn progress(&self) -> &Progress {
        &self.progress[self.index]
    }

    /// Connects when it is wanted, receives, and comes back after failures.
    pub(crate) async fn run(self) {
        let metrics = self.env.metrics.relay();
        let Ok(url) = self.address.of(&self.name) else {
            let why = "the stream's name does not fit into the URL".to_owned();
            self.board.note(|choice| choice.down(self.index));
            return self.progress().fail(Failure::Refused, why, None, metrics);
        };
        let mut retry = Retry::new(Duration::from_millis(self.env.config.relay.retry_max_ms), super::seed());
        let mut board = self.board.subscribe();
        while self.wanted(&mut board, true).await {
            self.progress().enter(RelayState::Connecting);
            let opened = tokio::select! {
                biased;
                _ = self.wanted(&mut board, false) => {
                    self.progress().enter(RelayState::Waiting);
                    continue;
                }
                opened = self.open(&url) => opened,
            };
            let began = Instant::now();
            let end = match opened {
                Ok(link) => Receiving::new(&self, link).run(&mut board).await,
                Err(error) => End::Failed(error),
            };
            match end {
                End::Unwanted => self.progress().enter(RelayState::Waiting),
                End::Failed(error) => {
                    self.board.note(|choice| choice.down(self.index));
                    let failure = Failure::of_pull(&error);
                    let wait = retry.after(failure, began.elapsed());
                    let why = redact(&why(&error), &url);
                    if failure == Failure::Absent {
                        debug!(stream = %self.name, source = self.index, why, "relay source does not have the stream");
                    } else {
                        info!(stream = %self.name, source = self.index, why, retry_in = ?wait, "relay source failed");
                    }
                    self.progress().fail(failure, why, Some(Instant::now() + wait), metrics);
                    if !self.pause(&mut board, wait).await {
                        break;
                    }
                }
            }
        }
    }

    /// Waits until this source is wanted, or is not. False when all is over.
    async fn wanted(&self, board: &mut watch::Receiver<()>, wanted: bool) -> bool {
        loop {
            board.borrow_and_update();
            let (want, again) = self.board.want(self.index);
            if self.board.is_closed() || (want != Want::Rest) == wanted {
                return !self.board.is_closed();
            }
            tokio::select! {
                changed = board.changed() => if changed.is_err() { return false },
                () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now).into()), if again.is_some() => {}
            }
        }
    }

    /// Waits between two attempts. False when all is over.
    async fn pause(&self, board: &mut watch::Receiver<()>, wait: Duration) -> bool {
        let over = async { while !self.board.is_closed() && board.changed().await.is_ok() {} };
        tokio::time::timeout(wait, over).await.is_err()
    }

    async fn open(&self, url: &Url) -> Result<Link, link::Error> {
        let options = link::Options {
            timeout: self.env.config.relay.connect_timeout(),
            tls: self.env.relays.tls.clone(),
            note: Some(self.env.relays.ways.next(Direction::Out, &self.name).note()),
            ..link::Options::default()
        };
        Link::open(url, link::Role::Play, &options).await
    }
}

/// One connection to a source.
struct Receiving<'a> {
    source: &'a Source,
    link: Link,
    demux: Demux,
    packets: Vec<Packet>,
    /// The newest of each role and track that a decoder must know before it can begin anywhere.
    kept: Vec<Packet>,
    has_video: bool,
    /// When the last frame came.
    heard: Instant,
    /// Whether the board knows that media flows.
    is_up: bool,
    feed: Option<Feed>,
    bytes_told: u64,
}

/// A place among the publishers of the stream.
struct Feed {
    publisher: Publisher,
    /// The entry among the sessions.
    guard: Option<SessionGuard>,
}

impl<'a> Receiving<'a> {
    fn new(source: &'a Source, link: Link) -> Self {
        Self {
            source,
            link,
            demux: Demux::new(source.env.metrics.protocol(super::PROTOCOL)),
            packets: Vec::new(),
            kept: Vec::new(),
            has_video: false,
            heard: Instant::now(),
            is_up: false,
            feed: None,
            bytes_told: 0,
        }
    }

    async fn run(mut self, board: &mut watch::Receiver<()>) -> End {
        self.source.progress().connected(self.source.env.metrics.relay());
        let end = self.receive(board).await;
        match &end {
            End::Unwanted => self.leave(Outcome::Finished),
            // The stream is over where it comes from. With another source it may go on.
            End::Failed(error)
                if Failure::of_pull(error) == Failure::Absent && self.source.progress.len() == 1 =>
            {
                self.leave(Outcome::Finished);
            }
            End::Failed(_) => self.leave(Outcome::Lost),
        }
        self.report();
        if !matches!(end, End::Failed(_)) {
            self.link.finish().await;
        }
        end
    }

    async fn receive(&mut self, board: &mut watch::Receiver<()>) -> End {
        let stall = match self.source.progress.len() {
            // Nothing is won by leaving: a source whose publisher is away would begin with what it has sent already.
            1 => self.source.env.config.relay.stall().max(SILENCE_MAX),
            _ => self.source.env.config.relay.stall(),
        };
        loop {
            // What came with the answer to the request is there already.
            if let Some(end) = self.heed() {
                return end;
            }
            self.report();
            board.borrow_and_update();
            let (want, again) = self.source.board.want(self.source.index);
            if want == Want::Rest {
                return End::Unwanted;
            }
            let stalled_at = self.heard + stall;
            let flush_at = self.feed.as_ref().and_then(|feed| feed.publisher.flush_at());
            let next = [Some(stalled_at), again, flush_at].into_iter().flatten().min().unwrap_or(stalled_at);
            tokio::select! {
                biased;
                stepped = self.link.step() => match stepped {
                    Ok(true) => {}
                    Ok(false) => {
                        let end = self.heed();
                        return end.unwrap_or(End::Failed(link::Error::Closed("while it played the stream")));
                    }
                    Err(error) => return End::Failed(error),
                },
                _ = board.changed() => {}
                feedback = poll_fn(|cx| poll_feedback(&mut self.feed, cx)) => self.note_feedback(feedback),
                () = tokio::time::sleep_until(next.into()) => {
                    let now = Instant::now();
                    if stalled_at <= now {
                        return End::Failed(link::Error::Timeout("no media comes"));
                    }
                    if flush_at.is_some_and(|at| at <= now) && let Some(feed) = &mut self.feed {
                        feed.publisher.flush();
                    }
                }
            }
        }
    }

    /// Takes what has come.
    fn heed(&mut self) -> Option<End> {
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Message(message) => {
                    let mut packets = std::mem::take(&mut self.packets);
                    let read = self.demux.read(&message, &mut packets);
                    packets.drain(..).for_each(|packet| self.take(packet));
                    self.packets = packets;
                    if let Err(error) = read {
                        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string());
                        return Some(End::Failed(link::Error::Connection(error)));
                    }
                }
                Event::Rejected(status) | Event::Ended(status) => return Some(End::Failed(status.into())),
                // The link follows a wish to reconnect by itself.
                _ => {}
            }
        }
        None
    }

    fn take(&mut self, packet: Packet) {
        let now = Instant::now();
        self.has_video |= packet.track.kind == Kind::Video;
        if packet.role.is_kept() {
            self.keep(&packet);
        } else if packet.role == PacketRole::Frame {
            self.heard = now;
            self.source.progress().frames.fetch_add(1, Relaxed);
        }
        let opens = packet.is_video_keyframe()
            || (!self.has_video && packet.track.kind == Kind::Audio && packet.role == PacketRole::Frame);
        if opens && !self.is_up {
            self.is_up = true;
            self.source.board.note(|choice| choice.up(self.source.index, now));
        }
        if opens && self.feed.is_none() {
            self.feed(&packet, now);
        }
        let Some(feed) = &mut self.feed else { return };
        // After another error the rest of the stream is as good as before.
        if let Err(hub::WriteError::TakenOver) = feed.publisher.write(packet, now) {
            self.leave(Outcome::TakenOver);
        }
    }

    fn keep(&mut self, packet: &Packet) {
        let known = self.kept.iter().position(|kept| kept.track == packet.track && kept.role == packet.role);
        match known {
            Some(index) => self.kept[index] = packet.clone(),
            None if self.kept.len() < KEPT_MAX => self.kept.push(packet.clone()),
            None => {}
        }
    }

    /// Begins to feed the stream with `first`, if it is this source's turn.
    fn feed(&mut self, first: &Packet, now: Instant) {
        let source = self.source;
        let Some(rank) = source.board.begin_to_feed(source.index) else { return };
        let publisher = source.env.origin.publish_ranked(&source.name, rank, now);
        let Ok(mut publisher) = publisher else {
            source.board.note(|choice| choice.feeds_no_more(source.index));
            return;
        };
        for kept in &self.kept {
            let kept = Packet { dts: first.dts, pts: first.dts, ..kept.clone() };
            // What the hub does not take of this is missing for decoders, not for the hub.
            let _ = publisher.write(kept, now);
        }
        let session = NewSession {
            role: Role::Publish,
            stream: source.name.clone(),
            address: self.link.peer().unwrap_or_else(super::nowhere),
            user_agent: Some("relay"),
            started: now,
        };
        let guard = source.env.sessions.open(session, &source.env.metrics.protocol(super::PROTOCOL)).ok();
        info!(stream = %source.name, source = source.index, standby = publisher.is_standby(), "relay source feeds the stream");
        let standby = publisher.is_standby();
        self.feed = Some(Feed { publisher, guard });
        if !standby {
            self.note_heard();
        }
    }

    fn note_heard(&self) {
        if self.source.board.heard(self.source.index) {
            self.source.env.metrics.relay().switches.inc();
        }
    }

    /// Gives the place among the publishers back.
    fn leave(&mut self, outcome: Outcome) {
        let Some(mut feed) = self.feed.take() else { return };
        if let Some(guard) = &mut feed.guard {
            guard.set_outcome(outcome);
        }
        if outcome == Outcome::Finished {
            feed.publisher.finish();
        }
        self.source.board.note(|choice| choice.feeds_no_more(self.source.index));
    }

    fn note_feedback(&mut self, feedback: Feedback) {
        match feedback {
            Feedback::TakenOver => self.leave(Outcome::TakenOver),
            Feedback::Promoted => {
                info!(stream = %self.source.name, source = self.source.index, "relay source is heard");
                self.note_heard();
            }
            // A player of RTMP cannot ask for a keyframe.
            Feedback::KeyframeWanted | Feedback::Starved => {}
        }
    }

    /// Brings status and counters up to date.
    fn report(&mut self) {
        let source = self.source;
        let bytes = self.link.bytes_in() - self.bytes_told;
        if bytes > 0 {
            source.progress().add_bytes(bytes, source.env.metrics.relay());
            self.bytes_told += bytes;
            if let Some(guard) = self.feed.as_ref().and_then(|feed| feed.guard.as_ref()) {
                guard.add_bytes_in(bytes);
            }
        }
        let heard = self.feed.as_ref().is_some_and(|feed| !feed.publisher.is_standby());
        source.progress().enter(if heard { RelayState::Live } else { RelayState::Ready });
    }
}

/// What a failure says to people. That a stream has ended, or not begun, is no refusal.
fn why(error: &link::Error) -> String {
    match (Failure::of_pull(error), error) {
        (Failure::Absent, link::Error::Refused { code, description }) => {
            format!("the stream is not there: {description} ({code})")
        }
        _ => error.to_string(),
    }
}

/// Configurations and metadata of one connection: four roles of every track that the hub takes.
const KEPT_MAX: usize = 4 * hub::TRACKS_MAX;

/// What the stream tells the source that feeds it; pending while there is none.
fn poll_feedback(feed: &mut Option<Feed>, cx: &mut Context<'_>) -> Poll<Feedback> {
    match feed {
        Some(feed) => feed.publisher.poll_feedback(cx),
        None => Poll::Pending,
    }
}
