//! A player on a bare socket.

use super::admission::{Refusal, admit};
use super::form::FlvForm;
use super::websocket::{Asked, accept_key, close_frame, read_frame};
use crate::Env;
use crate::egress::{Egress, Sent};
use crate::http::{RawRequest, allow_origin, allows_websocket, problem_text};
use crate::metrics::{Outcome, ProtocolMetrics};
use crate::stall::Stall;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use hub::EndReason;
use net::{Control, Outbox, Stream};
use std::fmt::Write;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// What a player may send in one turn before it is looked at again. Players send next to nothing.
const READ_BYTES: usize = 1024;
/// What an HTTP player may send in all behind its request; it has nothing to say.
const IGNORED_BYTES_MAX: usize = 64 * 1024;
/// How long the last bytes may take to leave.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// Close codes of the application range (RFC 6455 section 7.4.2) that our player understands.
const CLOSE_ENDED: u16 = 1000;
const CLOSE_GOING_AWAY: u16 = 1001;
const CLOSE_VIOLATION: u16 = 1002;
const CLOSE_NOT_FOUND: u16 = 4404;

/// Answers a media request that came first on its connection.
pub(super) async fn serve(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    request: RawRequest,
    stream: Stream,
    peer: SocketAddr,
) {
    let RawRequest { path, query, websocket_key, origin, host, user_agent, requested } = request;
    let cors = allow_origin(&env.config.http, origin.as_deref()).map(str::to_owned);
    let welcome =
        websocket_key.is_none() || allows_websocket(&env.config.http, origin.as_deref(), host.as_deref());
    let admitted = match welcome {
        true => admit(&env, &metrics, &path, &query, peer, user_agent.as_deref(), requested),
        false => Err(Refusal::foreign_page()),
    };
    let mut player = Player::new(stream, websocket_key.is_some(), cors);
    match admitted {
        Ok(egress) => {
            if let Some(key) = websocket_key {
                player.outbox.push(switching_protocols(&key));
            }
            player.run(&env, egress).await;
        }
        Err(refusal) => {
            player.refuse(&refusal);
            player.flush_last().await;
        }
    }
}

/// Serves a WebSocket whose upgrade somebody else has answered.
pub(super) async fn serve_upgraded(env: Arc<Env>, egress: Egress, stream: Stream, input: BytesMut) {
    let mut player = Player::new(stream, true, None);
    player.input = input;
    player.run(&env, egress).await;
}

struct Player {
    stream: Stream,
    form: FlvForm,
    /// `Access-Control-Allow-Origin`.
    cors: Option<String>,
    started: bool,
    input: BytesMut,
    ignored_bytes: usize,
    outbox: Outbox,
    /// Whether the player takes what waits for the socket.
    stall: Stall,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the socket or the timer woke the task, or the hub.
    control: Control,
}

/// Why the playing ends.
enum End {
    /// The player has gone.
    Left,
    Failed,
    Stuck,
    /// The player broke the WebSocket protocol.
    Violation(&'static str),
    Stream(EndReason),
    Shutdown,
}

impl Player {
    fn new(stream: Stream, websocket: bool, cors: Option<String>) -> Self {
        Self {
            stream,
            form: if websocket { FlvForm::WebSocket } else { FlvForm::Plain },
            cors,
            started: false,
            input: BytesMut::new(),
            ignored_bytes: 0,
            outbox: Outbox::default(),
            stall: Stall::default(),
            timer: None,
            control: Control::default(),
        }
    }

    async fn run(mut self, env: &Env, mut egress: Egress) {
        let write_timeout = Duration::from_millis(env.config.http.write_timeout_ms);
        let end = tokio::select! {
            biased;
            end = poll_fn(|cx| self.poll(cx, &mut egress, write_timeout)) => end,
            () = env.shutdown.triggered() => End::Shutdown,
        };
        let (outcome, code, reason) = match end {
            End::Left => return egress.guard().set_outcome(Outcome::Left),
            End::Failed => return egress.guard().set_outcome(Outcome::Lost),
            End::Stuck => return egress.guard().set_outcome(Outcome::Timeout),
            End::Violation(why) => (Outcome::Violation, CLOSE_VIOLATION, why),
            End::Shutdown => (Outcome::Shutdown, CLOSE_GOING_AWAY, "the server shuts down"),
            End::Stream(EndReason::NoPublisher) => {
                (Outcome::Finished, CLOSE_NOT_FOUND, "nobody publishes this stream")
            }
            End::Stream(_) => (Outcome::Finished, CLOSE_ENDED, "the stream has ended"),
        };
        egress.guard().set_outcome(outcome);
        match self.form {
            FlvForm::WebSocket => self.outbox.push(close_frame(code, reason)),
            // As long as nothing has been sent there is room for an answer.
            FlvForm::Plain if !self.started => self.refuse(&Refusal::not_found()),
            FlvForm::Plain => {}
        }
        self.flush_last().await;
    }

    fn poll(&mut self, cx: &mut Context<'_>, egress: &mut Egress, write_timeout: Duration) -> Poll<End> {
        if self.control.take(cx) {
            let waker = self.control.waker();
            if let Poll::Ready(end) = self.poll_read(&mut Context::from_waker(&waker)) {
                return Poll::Ready(end);
            }
        }
        let Self { stream, form, cors, started, outbox, .. } = self;
        let mut head = |batch: &[Arc<hub::Entry>]| {
            if std::mem::replace(started, true) {
                return Bytes::new();
            }
            let header = form.file_header(batch);
            match form {
                FlvForm::WebSocket => header,
                FlvForm::Plain => [ok_head(cors.as_deref()).as_bytes(), &header].concat().into(),
            }
        };
        loop {
            match egress.poll_send(cx, stream, outbox, form, &mut head) {
                Poll::Ready(Ok(Sent::Dry)) => {}
                Poll::Ready(Ok(Sent::Ended(reason))) => return Poll::Ready(End::Stream(reason)),
                Poll::Ready(Err(_)) => return Poll::Ready(End::Failed),
                Poll::Pending => break,
            }
        }
        self.poll_stuck(write_timeout)
    }

    /// Takes what the player says; `Ready` when it leaves.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match self.stream.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(End::Failed),
                Poll::Pending => return Poll::Pending,
            }
            self.input.reserve(READ_BYTES);
            match self.stream.poll_read_buf(cx, &mut self.input) {
                Poll::Ready(Ok(0)) => return Poll::Ready(End::Left),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(End::Failed),
                // A player that says nothing keeps no buffer.
                Poll::Pending => {
                    if self.input.is_empty() {
                        self.input = BytesMut::new();
                    }
                    return Poll::Pending;
                }
            }
            match self.form {
                FlvForm::Plain => {
                    self.ignored_bytes += self.input.len();
                    self.input.clear();
                    if self.ignored_bytes > IGNORED_BYTES_MAX {
                        return Poll::Ready(End::Violation("bytes after the request"));
                    }
                }
                FlvForm::WebSocket => {
                    if let Some(end) = self.read_frames() {
                        return Poll::Ready(end);
                    }
                }
            }
            if self.input.is_empty() {
                self.input = BytesMut::new();
            }
        }
    }

    fn read_frames(&mut self) -> Option<End> {
        loop {
            match read_frame(&mut self.input) {
                Ok(None) => return None,
                Ok(Some(Asked::Nothing)) => {}
                // A socket that is full answers no further pings: the player is behind, and would only queue them here.
                Ok(Some(Asked::Answer(_))) if !self.outbox.is_empty() => {}
                Ok(Some(Asked::Answer(pong))) => self.outbox.push(pong),
                Ok(Some(Asked::Close)) => return Some(End::Left),
                Err(violation) => return Some(End::Violation(violation.0)),
            }
        }
    }

    /// Ends a player that has taken nothing for too long.
    fn poll_stuck(&mut self, write_timeout: Duration) -> Poll<End> {
        if self.outbox.is_empty() {
            self.stall.clear();
            self.timer = None;
            return Poll::Pending;
        }
        let waker = self.control.waker();
        let mut control = Context::from_waker(&waker);
        loop {
            let now = Instant::now();
            self.stall.note(now, self.outbox.bytes_written());
            let since = self.stall.since().unwrap_or(now);
            let deadline = tokio::time::Instant::from_std(since + write_timeout);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            // Progress moves the deadline out; that is looked at when the old one has passed.
            if timer.as_mut().poll(&mut control).is_pending() {
                return Poll::Pending;
            }
            if timer.deadline() == deadline {
                return Poll::Ready(End::Stuck);
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Answers with an error; the response has not begun, or the player is on a WebSocket and is told in a close frame.
    fn refuse(&mut self, refusal: &Refusal) {
        let body = problem_text(refusal.status, &refusal.detail);
        let mut head = format!(
            "HTTP/1.1 {}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             Connection: close\r\n",
            refusal.status,
            body.len()
        );
        write_cors(&mut head, self.cors.as_deref());
        self.outbox.push(format!("{head}\r\n{body}").into());
    }

    /// Gives the last bytes a moment to leave.
    async fn flush_last(&mut self) {
        let flush = poll_fn(|cx| self.outbox.poll_flush(cx, &mut self.stream));
        // Whether the player takes them or not, the connection ends now.
        let _ = tokio::time::timeout(LAST_WRITE, flush).await;
    }
}

/// The body runs to the end of the connection (RFC 9112 section 6.3): no chunk framing around every write.
fn ok_head(cors: Option<&str>) -> String {
    let mut head = format!(
        "HTTP/1.1 {}\r\nContent-Type: video/x-flv\r\nCache-Control: no-store\r\nConnection: close\r\n\
         X-Content-Type-Options: nosniff\r\n",
        StatusCode::OK
    );
    write_cors(&mut head, cors);
    head.push_str("\r\n");
    head
}

fn write_cors(head: &mut String, cors: Option<&str>) {
    if let Some(origin) = cors {
        // Writing to a `String` cannot fail.
        let _ = write!(head, "Access-Control-Allow-Origin: {origin}\r\nTiming-Allow-Origin: {origin}\r\n");
        if origin != "*" {
            head.push_str("Vary: Origin\r\n");
        }
    }
}

fn switching_protocols(key: &str) -> Bytes {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        accept_key(key)
    )
    .into()
}
