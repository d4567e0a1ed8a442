//! Players that begin in the past: `start=-SECONDS` or `from=MOMENT`. What the log of the stream has comes from there; what is older is
//! read back from the segments that are kept for rewinding, and sent at the rate at which it came.

use super::admission::{Refusal, attach, grant, open_session};
use super::form::FlvForm;
use super::websocket::{Asked, close_frame, read_frame};
use crate::Env;
use crate::egress::Form;
use crate::metrics::{Outcome, ProtocolMetrics, RejectReason, Role};
use crate::sessions::SessionGuard;
use crate::timeshift::{self, Replay};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use hub::{Reader, Start};
use media::Kind;
use net::Stream;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Bytes that are sent together, at most and with the packet that exceeds them.
const BATCH_BYTES_MAX: usize = 256 << 10;
/// What is due within this time goes with what is due now.
const BATCH_SPAN: Duration = Duration::from_millis(40);
/// Answers to pings that wait. A player that takes nothing gets no more.
const PONGS_MAX: usize = 4;
/// How long the last bytes may take to leave.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// Close codes (RFC 6455 section 7.4.1).
const CLOSE_ENDED: u16 = 1000;
const CLOSE_GOING_AWAY: u16 = 1001;

/// A player of the past.
pub(super) struct Rewinding {
    replay: Replay,
    guard: SessionGuard,
    /// Never read: it counts as a viewer of the stream, so that a relay goes on fetching it. None after the end.
    _presence: Option<Reader>,
}

/// Admits a player that wants to begin in the past, where the log of the stream does not reach. `None` where it does, where live is
/// wanted, and where nothing older is kept.
pub(super) async fn admit(
    env: &Env,
    metrics: &ProtocolMetrics,
    path: &str,
    query: &str,
    peer: SocketAddr,
    user_agent: Option<&str>,
) -> Result<Option<Rewinding>, Refusal> {
    let asked = timeshift::asked(query, SystemTime::now()).map_err(|why| {
        metrics.rejected(Role::Play, RejectReason::Name);
        Refusal { status: StatusCode::BAD_REQUEST, detail: format!("{why}.") }
    })?;
    let Some(behind) = asked else { return Ok(None) };
    let requested = Instant::now();
    let target = grant(env, metrics, path, query, peer, requested)?;
    let Some(source) = env.packagers.rewound(&target.name) else { return Ok(None) };
    let has_ended = source.has_ended();
    if !has_ended && env.origin.stream(&target.name).is_none_or(|stream| stream.log.duration >= behind) {
        return Ok(None);
    }
    let Some(live) = source.newest() else { return Ok(None) };
    let burst = Duration::from_millis(env.config.hub.burst_ms);
    let Some(replay) = Replay::begin(source, live - behind, burst).await else { return Ok(None) };
    let guard = open_session(env, metrics, &target, peer, user_agent, requested)?;
    let presence = match has_ended {
        true => None,
        false => {
            let mut presence = attach(env, metrics, &target, Start::Live, peer, requested)?;
            presence.pause();
            Some(presence)
        }
    };
    Ok(Some(Rewinding { replay, guard, _presence: presence }))
}

impl Rewinding {
    /// Starts to send. Each piece is whole tags, the first with the head of the file; WebSocket frames where `form` says so.
    pub(super) fn start(self, env: Arc<Env>, form: FlvForm, peer: SocketAddr) -> mpsc::Receiver<Bytes> {
        let (batches, rest) = mpsc::channel(1);
        tokio::spawn(env.clone().contain(peer, self.feed(env, form, batches)));
        rest
    }

    async fn feed(mut self, env: Arc<Env>, form: FlvForm, batches: mpsc::Sender<Bytes>) {
        let write_timeout = env.config.http.write_timeout();
        let mut batch = BytesMut::new();
        batch.extend_from_slice(&form.head_for(self.replay.has(Kind::Audio), self.replay.has(Kind::Video)));
        let mut waiting = None;
        let outcome = loop {
            let next = tokio::select! {
                biased;
                () = env.shutdown.triggered() => break Outcome::Shutdown,
                () = batches.closed() => break Outcome::Left,
                next = next(&mut self.replay, &mut waiting) => Some(next),
                // What is there does not wait for what has yet to be read, or to come.
                () = tokio::time::sleep(BATCH_SPAN), if !batch.is_empty() => None,
            };
            let now = Instant::now();
            let is_due = |due: Instant| due <= now + BATCH_SPAN;
            if let Some(Some(due)) = next
                && is_due(due)
                && batch.len() < BATCH_BYTES_MAX
            {
                if let Some((packet, _)) = waiting.take() {
                    batch.extend_from_slice(&form.build(&packet));
                }
                continue;
            }
            if !batch.is_empty() {
                let bytes = batch.split().freeze();
                self.guard.add_bytes_out(bytes.len() as u64);
                match tokio::time::timeout(write_timeout, batches.send(bytes)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => break Outcome::Left,
                    Err(_) => break Outcome::Timeout,
                }
            }
            let Some(next) = next else { continue };
            let Some(due) = next else { break Outcome::Finished };
            if !is_due(due) {
                tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {}
                    () = env.shutdown.triggered() => break Outcome::Shutdown,
                    () = batches.closed() => break Outcome::Left,
                }
            }
        };
        self.guard.set_outcome(outcome);
    }
}

/// When the packet in `waiting` is due, which is the next one if there was none. `None` when there are no more.
async fn next(replay: &mut Replay, waiting: &mut Option<(media::Packet, Instant)>) -> Option<Instant> {
    if waiting.is_none() {
        *waiting = replay.next().await;
    }
    waiting.as_ref().map(|(_, due)| *due)
}

/// Carries what comes from `batches` over a WebSocket whose upgrade was answered.
pub(super) async fn serve_websocket(
    env: Arc<Env>,
    mut batches: mpsc::Receiver<Bytes>,
    stream: Stream,
    mut input: BytesMut,
) {
    let write_timeout = env.config.http.write_timeout();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (pongs, mut answers) = mpsc::channel(PONGS_MAX);
    let reading = async {
        loop {
            loop {
                match read_frame(&mut input) {
                    Ok(None) => break,
                    Ok(Some(Asked::Nothing)) => {}
                    // One that is behind gets no further pongs.
                    Ok(Some(Asked::Answer(pong))) => drop(pongs.try_send(pong)),
                    Ok(Some(Asked::Close)) | Err(_) => return,
                }
            }
            if !matches!(reader.read_buf(&mut input).await, Ok(1..)) {
                return;
            }
        }
    };
    let writing = async {
        loop {
            let bytes = tokio::select! {
                Some(pong) = answers.recv() => pong,
                batch = batches.recv() => match batch {
                    Some(batch) => batch,
                    None => break,
                },
            };
            // A write that was given up in part is the end of the connection.
            if !matches!(tokio::time::timeout(write_timeout, writer.write_all(&bytes)).await, Ok(Ok(()))) {
                return;
            }
        }
        let (code, reason) = match env.shutdown.is_triggered() {
            true => (CLOSE_GOING_AWAY, "the server shuts down"),
            false => (CLOSE_ENDED, "the stream has ended"),
        };
        // Whether the player takes it or not, the connection ends now.
        let _ = tokio::time::timeout(LAST_WRITE, writer.write_all(&close_frame(code, reason))).await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}
