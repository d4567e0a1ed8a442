//! Recordings played over RTMP: what a player may do with them, and what it is told.

mod name;
mod pace;

pub(super) use name::{Asked, read};

use super::egress::ChunkForm;
use crate::Env;
use crate::egress::{Form, Select};
use crate::metrics::ProtocolMetrics;
use crate::record::Entry;
use crate::sessions::{NewSession, SessionGuard};
use crate::vod::{self, Begin, Failure, Opened, Piece, Stretch, Until};
use bytes::{Bytes, BytesMut};
use media::{Packet, Time};
use net::{Outbox, Stream};
use pace::Pace;
use rtmp::limits::PLAYLIST_MAX;
use rtmp::server::{Play, Session};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tracing::debug;

/// Packets are sent together that are due within so much: a player has seconds of them, and need not be woken for each.
const TOGETHER: Duration = Duration::from_millis(100);

/// What is sent in one write, so that the other connections of the thread get their turn.
const WRITE_PACKETS_MAX: usize = 64;

/// A recording on its way to a player.
pub(super) struct Recorded {
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    guard: SessionGuard,
    stream_id: u32,
    /// What plays.
    item: Item,
    pieces: mpsc::Receiver<Piece>,
    /// Where the player wants to go, until media of that place is there.
    sought: Option<Sought>,
    /// What the player calls what plays.
    name: Box<str>,
    /// What plays next, if it may be played then.
    playlist: VecDeque<Play>,
    state: State,
    /// Where the clock of the player begins.
    zero: Time,
    /// What was read, and is not due yet.
    packets: VecDeque<Packet>,
    /// Nothing comes behind them.
    is_last: bool,
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
    select: Select,
    /// What was sent of the item.
    bytes: u64,
}

/// A recording, and what of it is wanted.
#[derive(Debug)]
struct Item {
    entry: Arc<Entry>,
    stretch: Stretch,
    /// How long the recording is, and how far to play: known once it has begun.
    length: Duration,
    until: Until,
}

impl Item {
    fn new(entry: Arc<Entry>, play: &Play) -> Self {
        let stretch = name::stretch(play);
        Self { entry, stretch, length: Duration::ZERO, until: stretch.until }
    }

    fn play(&self, env: &Env) -> mpsc::Receiver<Piece> {
        vod::play(env, &self.entry, self.stretch)
    }
}

/// Where a player wants to go.
#[derive(Debug)]
struct Sought {
    ms: u32,
    /// What is read from there. It is begun with when there is time for it: of many wishes at once the last one counts.
    pieces: Option<mpsc::Receiver<Piece>>,
}

/// How far a playback is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The player waits for the answer to its `play`.
    Asked,
    /// Another item of the playlist is about to begin.
    Switching,
    /// Media is sent.
    Playing,
    /// All was sent. The player may go back.
    Complete(Instant),
}

/// Too much waits to be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlaylistFull;

impl fmt::Display for PlaylistFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the playlist is full: add more as it is played")
    }
}

/// What [`Recorded::poll_send`] has come to.
pub(super) enum Told {
    /// It is over for now. Told once.
    Complete,
    /// What is next in the playlist is due: see [`Recorded::take_next`].
    Next,
    /// It does not begin, or does not go on.
    Failed(Failure),
}

impl Recorded {
    /// Begins to read what `play` asks for.
    pub(super) fn new(
        env: Arc<Env>,
        metrics: ProtocolMetrics,
        guard: SessionGuard,
        entry: Arc<Entry>,
        play: &Play,
        buffer_ms: Option<u32>,
    ) -> Self {
        let item = Item::new(entry, play);
        Self {
            pieces: item.play(&env),
            env,
            metrics,
            guard,
            stream_id: play.stream_id,
            item,
            name: called(play),
            sought: None,
            playlist: VecDeque::new(),
            state: State::Asked,
            zero: Time::ZERO,
            packets: VecDeque::new(),
            is_last: false,
            pace: Pace::new(buffer_ms),
            timer: None,
            select: Select::default(),
            bytes: 0,
        }
    }

    pub(super) fn guard(&mut self) -> &mut SessionGuard {
        &mut self.guard
    }

    /// Which kinds the player wants.
    pub(super) fn select(&mut self) -> &mut Select {
        &mut self.select
    }

    /// How far it is.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Since when nothing is sent, because the player has paused or has it all.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        match self.state {
            State::Complete(since) => Some(since),
            _ => self.pace.paused(),
        }
    }

    /// The player has a buffer of this length.
    pub(super) fn set_buffer(&mut self, ms: u32) {
        self.pace.set_buffer(ms);
        self.timer = None;
    }

    pub(super) fn pause(&mut self, paused: bool, now: Instant) {
        self.pace.pause(paused, now);
        self.timer = None;
    }

    /// Goes to a position in milliseconds. What was asked for last counts.
    pub(super) fn seek(&mut self, ms: u32) {
        self.sought = Some(Sought { ms, pieces: None });
    }

    /// Plays something else behind all that is asked for already.
    pub(super) fn queue(&mut self, play: &Play) -> Result<(), PlaylistFull> {
        if self.playlist.len() >= PLAYLIST_MAX {
            return Err(PlaylistFull);
        }
        self.playlist.push_back(play.clone());
        Ok(())
    }

    /// What is to be played next, for who looks whether it may be: then [`Recorded::switch`] begins with it.
    pub(super) fn take_next(&mut self) -> Option<Play> {
        self.playlist.pop_front()
    }

    /// Whether something is to be played next.
    pub(super) fn has_next(&self) -> bool {
        !self.playlist.is_empty()
    }

    /// Begins with another recording, as a session of its own. A player that has not been told yet that playback starts is told so
    /// of this one.
    pub(super) fn switch(&mut self, session: NewSession<'_>, entry: Arc<Entry>, play: &Play) {
        self.guard.succeed(session);
        self.item = Item::new(entry, play);
        self.name = called(play);
        self.pieces = self.item.play(&self.env);
        // What is read for a wish is of the item before; the wish itself counts in this one.
        if let Some(sought) = &mut self.sought {
            sought.pieces = None;
        }
        if self.state != State::Asked {
            self.state = State::Switching;
        }
        self.packets.clear();
        self.is_last = false;
        self.bytes = 0;
    }

    /// Nothing comes of what was about to begin: it is over, as far as the player knows.
    pub(super) fn give_up(&mut self) {
        self.state = State::Playing;
        self.packets.clear();
        self.is_last = true;
    }

    /// Sends whatever is due. `Ready` when the driver has something to do, or the connection failed.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        outbox: &mut Outbox,
        session: &mut Session,
    ) -> Poll<io::Result<Told>> {
        loop {
            if !outbox.is_empty() {
                let before = outbox.bytes_written();
                let flushed = outbox.poll_flush(cx, stream);
                self.note_written(outbox.bytes_written() - before);
                ready!(flushed)?;
            }
            // Where the next recording is about to begin, it is that one that the player moves in.
            if self.sought.is_some() && self.state != State::Switching {
                ready!(self.poll_sought(cx, session));
                queue_answers(session, outbox);
                continue;
            }
            // Who has seen everything sees at once what was queued since.
            if matches!(self.state, State::Complete(_)) && self.has_next() {
                return Poll::Ready(Ok(Told::Next));
            }
            if matches!(self.state, State::Complete(_)) || self.pace.paused().is_some() {
                return Poll::Pending;
            }
            if self.packets.is_empty() {
                if self.is_last {
                    if self.has_next() {
                        return Poll::Ready(Ok(Told::Next));
                    }
                    self.state = State::Complete(Instant::now());
                    session.complete_play(self.stream_id, self.item.length.as_secs_f64(), self.bytes);
                    queue_answers(session, outbox);
                    debug!(session = %self.guard.id(), bytes = self.bytes, "played to the end");
                    return Poll::Ready(Ok(Told::Complete));
                }
                match ready!(self.pieces.poll_recv(cx)) {
                    Some(Piece::Opened(opened)) => self.begin(*opened, session, outbox),
                    Some(Piece::Packets(packets)) => {
                        let zero = self.zero.since(Time::ZERO);
                        let on_clock = |packet: Packet| Packet {
                            dts: packet.dts - zero,
                            pts: packet.pts - zero,
                            ..packet
                        };
                        self.packets.extend(packets.into_iter().map(on_clock));
                    }
                    Some(Piece::Complete) => self.is_last = true,
                    Some(Piece::Failed(failure)) => return Poll::Ready(Ok(Told::Failed(failure))),
                    // Its task is gone, and has not said why.
                    None => return Poll::Ready(Ok(Told::Failed(Failure::Unreadable))),
                }
                continue;
            }
            ready!(self.poll_due(cx));
            self.write(stream, outbox, session)?;
        }
    }

    /// Playback begins.
    fn begin(&mut self, opened: Opened, session: &mut Session, outbox: &mut Outbox) {
        match self.state {
            State::Switching => session.switch_play(self.stream_id, &self.name),
            _ => session.accept_recorded_play(self.stream_id),
        }
        queue_answers(session, outbox);
        self.state = State::Playing;
        self.pace.restart();
        self.item.length = opened.length;
        self.item.until = opened.until;
        // Times count from a start that the player has named, and are those of the recording after a seek: librtmp adds the
        // former and not the latter, as Flash Media Server wants it.
        self.zero = match self.item.stretch.begin {
            Begin::At(start) if start > Time::ZERO => opened.at,
            _ => Time::ZERO,
        };
        let at = opened.at - self.zero.since(Time::ZERO);
        self.packets.push_back(Packet { dts: at, pts: at, ..opened.metadata });
    }

    /// Waits for media of the place where the player wants to go, and goes there.
    fn poll_sought(&mut self, cx: &mut Context<'_>, session: &mut Session) -> Poll<()> {
        let Some(Sought { ms, pieces }) = &mut self.sought else { return Poll::Ready(()) };
        let wanted_ms = *ms;
        let pieces = pieces.get_or_insert_with(|| {
            let begin = Begin::At(Time::from_millis(wanted_ms.into()));
            vod::play(&self.env, &self.item.entry, Stretch { begin, until: self.item.until })
        });
        let piece = ready!(pieces.poll_recv(cx));
        let Some(Sought { pieces: Some(pieces), .. }) = self.sought.take() else { return Poll::Ready(()) };
        let Some(Piece::Opened(opened)) = piece else {
            let why = if let Some(Piece::Failed(failure)) = piece { failure } else { Failure::Unreadable };
            session.reject_seek(self.stream_id, &why.to_string());
            return Poll::Ready(());
        };
        let at = opened.at.millis() as u32;
        match opened.is_behind {
            true => {
                let length_ms = opened.length.as_millis();
                let why = format!("{wanted_ms} ms lies behind the end: the recording has {length_ms} ms");
                session.accept_seek_nearby(self.stream_id, at, &why);
            }
            false => session.accept_seek(self.stream_id, at),
        }
        debug!(session = %self.guard.id(), wanted_ms, at, "seek");
        self.pieces = pieces;
        self.state = State::Playing;
        self.packets.clear();
        self.is_last = false;
        self.item.length = opened.length;
        self.zero = Time::ZERO;
        self.pace.restart();
        self.timer = None;
        Poll::Ready(())
    }

    /// Waits until the first packet is due.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(first) = self.packets.front() else { return Poll::Ready(()) };
        let now = Instant::now();
        let due = self.pace.due(now, first.dts);
        if due <= now {
            self.timer = None;
            return Poll::Ready(());
        }
        let at = tokio::time::Instant::from_std(due + TOGETHER);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        Poll::Ready(())
    }

    /// Writes packets that are due.
    fn write(&mut self, stream: &mut Stream, outbox: &mut Outbox, session: &mut Session) -> io::Result<()> {
        let now = Instant::now();
        let form = ChunkForm { chunk_size: session.out_chunk_size(), stream_id: self.stream_id };
        let mut written = 0;
        let before = outbox.bytes_written();
        outbox.try_write_batch(stream, |buffers| {
            while written < WRITE_PACKETS_MAX
                && let Some(packet) = self.packets.front()
                && (written == 0 || self.pace.due(now, packet.dts) <= now)
            {
                written += 1;
                if let Some(packet) = self.packets.pop_front()
                    && self.select.wants(&packet)
                {
                    let bytes = sealed(form.build(&packet), session);
                    self.bytes += bytes.len() as u64;
                    buffers.push(bytes);
                }
            }
        })?;
        self.note_written(outbox.bytes_written() - before);
        Ok(())
    }

    fn note_written(&mut self, bytes: u64) {
        if bytes > 0 {
            self.guard.add_bytes_out(bytes);
            self.metrics.writes.inc();
        }
    }
}

/// What a player calls a recording, without the key that may be in the query.
fn called(play: &Play) -> Box<str> {
    play.name.split('?').next().unwrap_or_default().into()
}

/// Encrypts what is sent next, where that is wanted.
fn sealed(bytes: Bytes, session: &mut Session) -> Bytes {
    if !session.is_encrypted() {
        return bytes;
    }
    let mut copy = BytesMut::from(bytes);
    session.seal(&mut copy);
    copy.freeze()
}

fn queue_answers(session: &mut Session, outbox: &mut Outbox) {
    while let Some(bytes) = session.poll_output() {
        outbox.push(bytes);
    }
}
