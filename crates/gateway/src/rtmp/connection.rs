//! One RTMP connection: drives the pure session between the socket and the hub.

mod play;
mod publish;
mod shared;

use super::tunnel::Young;
use crate::config::SharedObjectWriters;
use crate::metrics::{JoinStage, Outcome, ProtocolMetrics, RejectReason, Role};
use crate::policy::{Action, Denied, Grant, Request};
use crate::sessions::{Full, NewSession, SessionGuard};
use crate::shared_objects;
use crate::stall::Stall;
use crate::target::Target;
use crate::{Env, registry};
use bytes::BytesMut;
use media::StreamName;
use net::{Control, Outbox, Stream};
use play::Playing;
use publish::Publishing;
use rtmp::limits::OUTPUT_BYTES_MAX;
use rtmp::server::{self, Event, Session};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::Sleep;
use tracing::{debug, info};

/// What a connection reads at once, in bytes: small while it may be a player, growing with a publisher's rate.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 128 * 1024;
/// Reads before the other connections of the thread get their turn.
const READS_PER_TURN: usize = 8;
/// Answers that may wait for the socket of a connection that has carried nothing yet: those to handshake and `connect` have some
/// 4 KiB. A peer that asks without reading the answers is cut off here, or at [`OUTPUT_BYTES_MAX`] when it carries something.
const ANSWERS_BYTES_MAX: usize = 64 << 10;
/// How long a player may take to close after its stream has ended.
const END_LINGER: Duration = Duration::from_secs(2);
/// Requests of one connection that may be refused; then it is closed. A program asks for a few streams at most, and one that
/// guesses keys has to connect anew for every few guesses.
const REFUSALS_MAX: u32 = 16;
/// How long the last bytes may take to leave when the program ends.
const SHUTDOWN_FLUSH: Duration = Duration::from_secs(1);

/// Why a connection ends.
enum Close {
    /// The peer closed it, or it has nothing more to do.
    Done,
    Io(io::Error),
    Protocol(rtmp::Error),
    /// A publisher was silent, or a player took nothing, for too long.
    Idle,
    /// We turned the request down, or ended the stream.
    Ended(String),
}

impl From<io::Error> for Close {
    fn from(error: io::Error) -> Self {
        Close::Io(error)
    }
}

impl From<rtmp::Error> for Close {
    fn from(error: rtmp::Error) -> Self {
        Close::Protocol(error)
    }
}

/// Serves an accepted connection until it ends.
pub(crate) async fn serve(env: Arc<Env>, metrics: ProtocolMetrics, stream: Stream, peer: SocketAddr) {
    run(Connection::new(env, metrics, stream, peer)).await;
}

/// Serves the connection of a tunnel until it ends. It is young until it carries something.
pub(super) async fn serve_young(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    stream: Stream,
    peer: SocketAddr,
    young: Young,
) {
    let connection = Connection::new(env, metrics, stream, peer);
    run(Connection { young: Some(young), ..connection }).await;
}

async fn run(mut connection: Connection) {
    let shutdown = connection.env.shutdown.clone();
    tokio::select! {
        biased;
        close = poll_fn(|cx| connection.poll(cx)) => connection.close(&close),
        () = shutdown.triggered() => {
            connection.announce_shutdown();
            // A peer that does not take the last bytes in time is cut off: the program ends either way.
            let flush = poll_fn(|cx| connection.poll_write(cx, Instant::now()));
            let _ = tokio::time::timeout(SHUTDOWN_FLUSH, flush).await;
            connection.close(&Close::Done);
        }
    }
}

struct Connection {
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    stream: Stream,
    peer: SocketAddr,
    /// Whether a program of this machine is at the other end, as far as can be known. A tunnel has none: its bytes come in HTTP
    /// requests, and those of others do too.
    local: bool,
    session: Session,
    input: BytesMut,
    read_bytes: usize,
    outbox: Outbox,
    user_agent: Box<str>,
    /// As it came with `connect`.
    app: Box<str>,
    accepted: Instant,
    /// Nearly always one entry in one of the two.
    publishing: Vec<Publishing>,
    playing: Vec<Playing>,
    /// What players say of their buffers, by the number of their stream, in milliseconds.
    buffers: Vec<(u32, u32)>,
    /// What it shares with others, once it does.
    shared: Option<Box<shared_objects::Client>>,
    /// When input last arrived.
    heard: Instant,
    /// Bytes of answers since nothing last waited for the socket.
    answers_bytes: usize,
    /// Whether the peer takes what waits for the socket.
    stall: Stall,
    /// Held while it has carried nothing yet, if it is a tunnel's.
    young: Option<Young>,
    /// Set when the connection carries nothing any more: the peer gets until then to close it.
    closing: Option<Instant>,
    /// How many of its requests were refused.
    refusals: u32,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the socket or the timer woke the task, or the hub.
    control: Control,
}

/// Why a request is turned down.
struct Refusal {
    reason: RejectReason,
    /// The code of the status that says so.
    code: &'static str,
    description: String,
}

impl Refusal {
    fn new(reason: RejectReason, code: &'static str, error: impl std::fmt::Display) -> Self {
        Self { reason, code, description: error.to_string() }
    }
}

impl Connection {
    fn new(env: Arc<Env>, metrics: ProtocolMetrics, stream: Stream, peer: SocketAddr) -> Self {
        let now = Instant::now();
        let config = server::Config {
            out_chunk_size: env.config.rtmp.chunk_size,
            handshake_timeout: env.config.rtmp.handshake_timeout(),
            shared_objects: env.config.rtmp.shared_objects != SharedObjectWriters::Off,
            swf: env.swf.clone(),
            ..server::Config::default()
        };
        Self {
            session: Session::new(config, crate::random_seed(), now),
            env,
            metrics,
            local: peer.ip().to_canonical().is_loopback() && !matches!(stream, Stream::Pipe(_)),
            stream,
            peer,
            input: BytesMut::new(),
            read_bytes: READ_BYTES_MIN,
            outbox: Outbox::default(),
            user_agent: "".into(),
            app: "".into(),
            accepted: now,
            publishing: Vec::new(),
            playing: Vec::new(),
            buffers: Vec::new(),
            shared: None,
            heard: now,
            answers_bytes: 0,
            stall: Stall::default(),
            young: None,
            closing: None,
            refusals: 0,
            timer: None,
            control: Control::default(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        match self.poll_turn(cx) {
            Ok(()) => Poll::Pending,
            Err(close) => Poll::Ready(close),
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        let now = Instant::now();
        let by_control = self.control.take(cx);
        if !by_control && self.publishing.is_empty() {
            return self.poll_hub_turn(cx, now);
        }
        let waker = self.control.waker();
        let mut control = Context::from_waker(&waker);
        for turn in 0.. {
            let read = self.poll_read(&mut control, now);
            let more = read.is_ready();
            if !more {
                self.poll_feedback(cx, now);
            }
            // What is queued leaves also when the session has just failed: it may say why.
            let written = self.poll_write(cx, now);
            if let Poll::Ready(result) = read {
                result?;
            }
            if let Poll::Ready(result) = written {
                result?;
            }
            if !more {
                break;
            }
            if turn == READS_PER_TURN {
                waker.wake_by_ref();
                break;
            }
        }
        self.poll_timer(&mut control, now)
    }

    /// A player was woken by the hub, or because its socket takes bytes again: there is nothing to read, and no deadline has
    /// come closer, unless the socket is full or the stream has ended.
    fn poll_hub_turn(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Close> {
        if let Poll::Ready(result) = self.poll_write(cx, now) {
            result?;
        }
        if self.stall.since().is_none() && self.closing.is_none() {
            return Ok(());
        }
        let waker = self.control.waker();
        self.poll_timer(&mut Context::from_waker(&waker), now)
    }

    /// Reads once and handles what arrived; `Pending` when there is nothing to read.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), Close>> {
        // Allocated only once something is there: an idle player keeps no buffer.
        if self.input.capacity() == 0 {
            ready!(self.stream.poll_read_ready(cx))?;
        }
        // What is left of a buffer is used up first: the payloads cut from it keep the whole of it in memory.
        if self.input.capacity() - self.input.len() < READ_BYTES_MIN {
            self.input.reserve(self.read_bytes);
        }
        let room = self.input.capacity() - self.input.len();
        let count = match self.stream.poll_read_buf(cx, &mut self.input) {
            Poll::Ready(count) => count?,
            Poll::Pending => {
                if self.input.is_empty() && self.publishing.is_empty() {
                    self.input = BytesMut::new();
                }
                return Poll::Pending;
            }
        };
        if count == 0 {
            // A socket may end in any way. A tunnel ends because its client says so (/close), and ffmpeg leaves its
            // farewell out then.
            if let Stream::Pipe(_) = self.stream {
                self.unpublish_all(now);
            }
            return Poll::Ready(Err(Close::Done));
        }
        self.heard = now;
        if count >= room {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
        match self.publishing.first() {
            Some(publishing) => publishing.guard.add_bytes_in(count as u64),
            None => {
                self.metrics.bytes_in.inc_by(count as u64);
            }
        }
        if self.publishing.is_empty() && self.playing.is_empty() {
            self.stream.acknowledge_now();
        }
        let was_encrypted = self.session.is_encrypted();
        let result = self.session.handle_input(now, &mut self.input);
        if self.session.is_encrypted() && !was_encrypted {
            self.metrics = self.env.metrics.protocol(registry::encrypted(self.metrics.protocol()));
        }
        if self.input.is_empty() && self.publishing.is_empty() {
            self.input = BytesMut::new();
        }
        self.handle_events(now);
        Poll::Ready(result.map_err(Close::from))
    }

    fn handle_events(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            // Whoever was refused too often is not listened to any more.
            if self.refusals >= REFUSALS_MAX {
                continue;
            }
            match event {
                Event::Connect(connect) => self.connect(&connect, now),
                Event::SwfVerified(false) => {
                    self.metrics.rejected(Role::Play, RejectReason::Swf);
                    debug!(peer = %self.peer, program = %self.user_agent, "play refused: its SWF is not known");
                    self.close_if_unused(now + END_LINGER);
                }
                Event::Publish(publish) => self.publish(publish, now),
                Event::Play(play) => self.play(play, now),
                Event::Message(message) => self.message(&message, now),
                Event::Unpublish { stream_id } => self.unpublish(stream_id, now),
                Event::StopPlay { stream_id } => self.stop_play(stream_id, now),
                Event::Pause { stream_id, paused, .. } => self.pause(stream_id, paused, now),
                Event::Seek { stream_id, ms } => self.seek(stream_id, ms),
                Event::BufferLength { stream_id, ms } => self.buffer_length(stream_id, ms),
                Event::StreamLength(asked) => {
                    let seconds = self.stream_length(&asked, now);
                    self.session.answer_stream_length(&asked, seconds);
                }
                Event::SharedObject(message) => self.shared_object(*message, now),
                Event::ReceiveAudio { stream_id, on } => self.receive_audio(stream_id, on),
                Event::ReceiveVideo { stream_id, on } => self.receive_video(stream_id, on),
                // The session has answered what asked for an answer.
                _ => {}
            }
        }
    }

    fn connect(&mut self, connect: &server::Connect, now: Instant) {
        self.metrics.join(JoinStage::Request, self.accepted.elapsed());
        self.user_agent = connect.flash_ver.as_str().into();
        self.app = connect.app.as_str().into();
        let (app, _) = Target::of_app(&connect.app);
        let rtmp = &self.env.config.rtmp;
        if let Some(redirect) = rtmp.redirect.iter().find(|redirect| redirect.app == app) {
            if let Some(suppressed) = self.env.log_quota.take(self.peer.ip(), now) {
                info!(peer = %self.peer, app, to = redirect.to, suppressed, "redirected");
            }
            self.session.redirect_connect(&redirect.to);
            self.closing = Some(now + END_LINGER);
            return;
        }
        self.session.accept_connect();
        self.close_if_unused(now + rtmp.handshake_timeout());
    }

    fn admit(&self, action: Action, target: &Target) -> Result<Grant, Denied> {
        let key = target.key();
        let request = Request { action, name: &target.name, key: key.as_ref(), local: self.local };
        self.env.policy.admit(request)
    }

    fn open_session(&self, role: Role, stream: &StreamName) -> Result<SessionGuard, Full> {
        let new = NewSession {
            role,
            stream: stream.clone(),
            address: self.peer,
            user_agent: Some(&*self.user_agent).filter(|text| !text.is_empty()),
            started: self.accepted,
        };
        self.env.sessions.open(new, &self.metrics)
    }

    /// Something is carried now.
    fn carry(&mut self) {
        self.closing = None;
        self.young = None;
    }

    /// Counts a request that was refused. An encoder would try the same request for ever, so the connection ends soon if it
    /// carries nothing, and at once if this goes on.
    fn note_refusal(&mut self, now: Instant) {
        self.refusals += 1;
        if self.refusals >= REFUSALS_MAX {
            debug!(peer = %self.peer, "refused too often");
            self.closing = Some(now);
        } else {
            self.close_if_unused(now + END_LINGER);
        }
    }

    /// Gives the peer of a connection that carries nothing until `at` to ask for something, or to close it. What it does
    /// meanwhile does not put that off, unless something is carried in between.
    fn close_if_unused(&mut self, at: Instant) {
        let shares = self.shared.as_ref().is_some_and(|client| client.uses_any());
        if self.playing.is_empty() && self.publishing.is_empty() && !shares {
            self.closing = Some(self.closing.map_or(at, |before| before.min(at)));
        }
    }

    /// Moves everything that can be sent into the socket. `Pending` when the socket is full or nothing is ready.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), Close>> {
        let shares = self.shared.as_ref().is_some_and(|client| client.uses_any());
        let carries = shares || !self.playing.is_empty() || !self.publishing.is_empty();
        let answers_bytes_max = if carries { OUTPUT_BYTES_MAX } else { ANSWERS_BYTES_MAX };
        while let Some(bytes) = self.session.poll_output() {
            self.answers_bytes += bytes.len();
            self.outbox.push(bytes);
            if self.answers_bytes > answers_bytes_max {
                return Poll::Ready(Err(Close::Protocol(rtmp::Error::Violation("answers are not read"))));
            }
        }
        let before = self.outbox.bytes_written();
        let flushed = self.outbox.poll_flush(cx, &mut self.stream);
        self.metrics.bytes_out.inc_by(self.outbox.bytes_written() - before);
        if let Poll::Ready(result) = flushed {
            result?;
            self.answers_bytes = 0;
            self.poll_shared(cx)?;
            let mut index = 0;
            while index < self.playing.len() {
                match self.poll_play(cx, index, now) {
                    Poll::Ready(Ok(())) => {
                        if let Poll::Ready(result) = self.outbox.poll_flush(cx, &mut self.stream) {
                            result?;
                        }
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    Poll::Pending => index += 1,
                }
                if !self.outbox.is_empty() {
                    break;
                }
            }
        }
        if self.outbox.is_empty() {
            self.stall.clear();
            return Poll::Ready(Ok(()));
        }
        self.stall.note(now, self.outbox.bytes_written());
        Poll::Pending
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Close> {
        let mut now = now;
        loop {
            let rtmp = &self.env.config.rtmp;
            for publishing in &mut self.publishing {
                if publishing.ingest.publisher.flush_at().is_some_and(|at| at <= now) {
                    publishing.ingest.publisher.flush();
                }
            }
            let idle = (!self.publishing.is_empty()).then(|| self.heard + rtmp.idle_timeout());
            let stuck = self.stall.since().map(|since| since + rtmp.write_timeout());
            if idle.is_some_and(|at| at <= now) || stuck.is_some_and(|at| at <= now) {
                return Err(Close::Idle);
            }
            let players = self.playing.len();
            let paused = self.end_long_pauses(now);
            if self.playing.len() < players
                && let Poll::Ready(result) = self.poll_write(cx, now)
            {
                result?;
            }
            if self.closing.is_some_and(|at| at <= now) {
                return Err(Close::Ended("nothing is left to carry".to_owned()));
            }
            if self.session.poll_timeout().is_some_and(|at| at <= now) {
                self.session.handle_timeout(now)?;
                self.handle_events(now);
                // A ping may have been queued; the socket that does not take it is found out by `stall`.
                if let Poll::Ready(result) = self.poll_write(cx, now) {
                    result?;
                }
            }
            let flush =
                self.publishing.iter().filter_map(|publishing| publishing.ingest.publisher.flush_at()).min();
            let next = [idle, stuck, paused, self.closing, flush, self.session.poll_timeout()];
            let Some(at) = next.into_iter().flatten().min() else {
                self.timer = None;
                return Ok(());
            };
            let deadline = tokio::time::Instant::from_std(at);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            // A deadline that moves out needs no new timer: it is looked at again when the old one fires.
            if deadline < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            now = Instant::now();
        }
    }

    /// Tells the peer that the program ends: players get the end of the stream, others are asked to connect anew.
    fn announce_shutdown(&mut self) {
        for playing in &mut self.playing {
            playing.guard().set_outcome(Outcome::Shutdown);
            self.session.end_play(playing.stream_id, "NetStream.Play.UnpublishNotify");
        }
        for publishing in &mut self.publishing {
            publishing.guard.set_outcome(Outcome::Shutdown);
        }
        self.playing.clear();
        self.session.request_reconnect(None, "the server restarts");
    }

    /// Says why the connection ends, once, and counts it.
    fn close(&mut self, close: &Close) {
        if self.session.has_announced_end() && matches!(close, Close::Io(_)) {
            self.unpublish_all(Instant::now());
        }
        let (outcome, why) = match close {
            Close::Done => (Outcome::Left, "closed by the peer".to_owned()),
            Close::Io(error) => (Outcome::Lost, error.to_string()),
            Close::Protocol(error) => (Outcome::Violation, error.to_string()),
            Close::Idle => (Outcome::Timeout, "no data for too long".to_owned()),
            Close::Ended(why) => (Outcome::Finished, why.clone()),
        };
        for publishing in &mut self.publishing {
            info!(session = %publishing.guard.id(), why, "publisher gone");
            publishing.guard.set_outcome(outcome);
        }
        for playing in &mut self.playing {
            debug!(session = %playing.guard().id(), why, "player gone");
            playing.guard().set_outcome(outcome);
        }
        if self.publishing.is_empty() && self.playing.is_empty() {
            debug!(peer = %self.peer, why, "connection closed");
        }
    }
}

#[cfg(test)]
mod tests;
