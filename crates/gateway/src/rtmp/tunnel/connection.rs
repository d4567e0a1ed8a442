//! Requests of tunnels on a bare stream.

use super::session::{Next, Served, Tunnel, Work};
use super::{Carrier, SHUTDOWN_LINGER, SKIP_BYTES_MAX, Tunnels};
use crate::Env;
use crate::metrics::ProtocolMetrics;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use net::{Outbox, Stream, Triggered};
use rtmp::tunnel::{
    Call, Refusal, Request, SessionId, read_request, sniff, write_open_reply, write_reply_head,
};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// What is read at once while no body is expected; a poll of a client is smaller.
const READ_BYTES: usize = 2 * 1024;
/// What is asked for at once of a large body. It also has to bring so much in the time that a request has to arrive.
const BODY_READ_BYTES: usize = 64 * 1024;
/// The head of a reply, the interval byte included.
const HEAD_BYTES: usize = 128;
/// How long a client that was refused has to take the answer.
const REFUSED_LINGER: Duration = Duration::from_secs(1);

/// Serves the requests of a connection that begins with one of a tunnel, of which `input` was read already. Returns the
/// connection when a request comes that has nothing to do with tunnels.
pub(crate) async fn serve(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    stream: Stream,
    input: BytesMut,
    peer: SocketAddr,
) -> Option<(Stream, BytesMut)> {
    let shutdown = env.shutdown.triggered();
    let outbox = Outbox::default();
    let carrier = Carrier::default();
    Connection { env, metrics, stream, input, outbox, peer, shutdown, carrier, tunnel: None }.run().await
}

struct Connection {
    env: Arc<Env>,
    /// Those of tunnels on this port.
    metrics: ProtocolMetrics,
    stream: Stream,
    /// What was read and not served yet.
    input: BytesMut,
    outbox: Outbox,
    peer: SocketAddr,
    shutdown: Triggered,
    carrier: Carrier,
    /// The tunnel of the last request, which nearly always is that of the next one.
    tunnel: Option<(SessionId, Arc<Tunnel>)>,
}

/// Why a connection ends.
enum End {
    /// The client has closed it, or takes nothing.
    Gone,
    /// A request has nothing to do with tunnels.
    Other,
    /// The client is told, and then it ends.
    Refused(Refusal),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Connection {
    async fn run(mut self) -> Option<(Stream, BytesMut)> {
        loop {
            let served = match self.read_request().await {
                Ok(request) => self.answer(&request).await.map(|()| request.keep_alive),
                Err(end) => Err(end),
            };
            match served {
                Ok(true) => {}
                Ok(false) | Err(End::Gone) => return None,
                Err(End::Other) => return Some((self.stream, self.input)),
                Err(End::Refused(refusal)) => {
                    let _ = tokio::time::timeout(REFUSED_LINGER, self.refuse_last(refusal)).await;
                    return None;
                }
            }
        }
    }

    /// Waits for the head of the next request.
    async fn read_request(&mut self) -> Result<Request, End> {
        let mut deadline = None;
        loop {
            while let [b'\r' | b'\n', ..] = self.input[..] {
                self.input.advance(1);
            }
            match sniff(&self.input) {
                Some(true) => {
                    if let Some(request) = read_request(&mut self.input)? {
                        return Ok(request);
                    }
                }
                Some(false) => return Err(End::Other),
                None => {}
            }
            if self.input.is_empty() {
                self.wait_for_request().await?;
            } else {
                let timeout = self.env.config.http.request_timeout();
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + timeout);
                self.read(READ_BYTES, deadline).await?;
            }
        }
    }

    /// Waits for the first bytes of a request, for as long as a client may be silent.
    async fn wait_for_request(&mut self) -> Result<(), End> {
        let mut patience = self.env.config.rtmp.write_timeout();
        let mut ending = false;
        loop {
            if ending {
                patience = patience.min(SHUTDOWN_LINGER);
            }
            let (stream, input) = (&mut self.stream, &mut self.input);
            let read = poll_fn(|cx| poll_read(cx, stream, input, READ_BYTES));
            tokio::select! {
                read = tokio::time::timeout(patience, read) => return match read {
                    Ok(Ok(1..)) => Ok(()),
                    _ => Err(End::Gone),
                },
                // The tunnels end first, and their clients shall hear of it.
                () = &mut self.shutdown, if !ending => ending = true,
            }
        }
    }

    /// Reads more of a request that has begun.
    async fn read(&mut self, bytes: usize, deadline: Instant) -> Result<(), End> {
        let (stream, input) = (&mut self.stream, &mut self.input);
        let mut acknowledged = false;
        let read = poll_fn(|cx| {
            let read = poll_read(cx, stream, input, bytes);
            if read.is_pending() && !acknowledged {
                acknowledged = true;
                // librtmp and ffmpeg send head and body one after the other, with Nagle's algorithm between them.
                stream.acknowledge_now();
            }
            read
        });
        match tokio::time::timeout_at(deadline, read).await {
            Ok(Ok(1..)) => Ok(()),
            Ok(_) => Err(End::Gone),
            Err(_) => Err(End::Refused(Refusal::Slow)),
        }
    }

    /// Waits for the body of a request. A client may be slow, but not for ever: parts of it have to come in time.
    async fn read_body(&mut self, request: &Request, tunnel: Option<&Tunnel>) -> Result<Bytes, End> {
        let bytes = request.body_bytes;
        if self.input.len() < bytes && request.expects_continue {
            self.write(Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n"), &[]).await?;
        }
        let timeout = self.env.config.http.request_timeout();
        let mut part = (self.input.len() + BODY_READ_BYTES, Instant::now() + timeout);
        while self.input.len() < bytes {
            let missing = bytes - self.input.len();
            self.read(missing.min(BODY_READ_BYTES), part.1).await?;
            if self.input.len() >= part.0 {
                part = (self.input.len() + BODY_READ_BYTES, Instant::now() + timeout);
                tunnel.inspect(|tunnel| tunnel.heard());
            }
        }
        let body = self.input.split_to(bytes).freeze();
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Ok(body)
    }

    /// Reads a body that has no meaning.
    async fn skip_body(&mut self, request: &Request, otherwise: Refusal) -> Result<(), End> {
        if request.body_bytes > SKIP_BYTES_MAX {
            return Err(End::Refused(otherwise));
        }
        self.read_body(request, None).await.map(|_| ())
    }

    /// Serves one request and writes its reply.
    async fn answer(&mut self, request: &Request) -> Result<(), End> {
        let (id, number) = match request.call {
            Call::Open => return self.open(request).await,
            Call::Unknown => return self.refuse(Refusal::NotFound, request).await,
            Call::Send(id, number) | Call::Idle(id, number) | Call::Close(id, number) => (id, number),
        };
        let Some(tunnel) = self.find(id) else { return self.refuse(Refusal::NotFound, request).await };
        let mut body = None;
        let reply = loop {
            // Before the body is read: one that waits for its turn keeps no memory.
            match tunnel.turn(number).await {
                Ok(None) => {}
                Ok(Some(reply)) => {
                    if body.is_none() {
                        self.read_body(request, Some(&tunnel)).await?;
                    }
                    break reply;
                }
                Err(refusal) if body.is_some() => return Err(End::Refused(refusal)),
                Err(refusal) => return self.refuse(refusal, request).await,
            }
            if body.is_none() {
                body = Some(match request.call {
                    Call::Send(..) => self.read_body(request, Some(&tunnel)).await?,
                    _ => {
                        self.skip_body(request, Refusal::BodyTooLarge).await?;
                        Bytes::new()
                    }
                });
            }
            let work = match request.call {
                Call::Send(..) => Work::Send(body.clone().unwrap_or_default()),
                Call::Close(..) => Work::Close,
                _ => Work::Idle,
            };
            let (stream, input) = (&mut self.stream, &mut self.input);
            match tunnel.serve(number, work, |cx| poll_next(cx, stream, input)).await {
                Served::Reply(reply) => break reply,
                Served::Overtaken => {}
                Served::Gone => return Err(End::Gone),
            }
        };
        if let Call::Close(..) = request.call {
            self.env.tunnels.forget(id);
            self.tunnel = None;
        }
        let mut head = BytesMut::with_capacity(HEAD_BYTES);
        write_reply_head(&mut head, 1 + reply.bytes, request.keep_alive, request.http_1_0);
        head.put_u8(reply.interval);
        self.write(head.freeze(), &reply.data).await
    }

    async fn open(&mut self, request: &Request) -> Result<(), End> {
        self.skip_body(request, Refusal::BodyTooLarge).await?;
        match Tunnels::begin(&self.env, self.metrics.clone(), self.peer, &self.carrier) {
            Ok(id) => {
                let mut reply = BytesMut::new();
                write_open_reply(&mut reply, id, request.keep_alive, request.http_1_0);
                self.write(reply.freeze(), &[]).await
            }
            Err(refusal) => self.write(refusal.to_response(request.keep_alive), &[]).await,
        }
    }

    fn find(&mut self, id: SessionId) -> Option<Arc<Tunnel>> {
        match &self.tunnel {
            Some((last, tunnel)) if *last == id && !tunnel.is_over() => Some(tunnel.clone()),
            _ => {
                let tunnel = self.env.tunnels.find(id)?;
                self.tunnel = Some((id, tunnel.clone()));
                Some(tunnel)
            }
        }
    }

    /// Answers a request that cannot be served; others may follow.
    async fn refuse(&mut self, refusal: Refusal, request: &Request) -> Result<(), End> {
        self.skip_body(request, refusal).await?;
        self.write(refusal.to_response(request.keep_alive), &[]).await
    }

    /// Answers a request that cannot be served, and nothing after it.
    async fn refuse_last(&mut self, refusal: Refusal) -> Result<(), End> {
        self.write(refusal.to_response(false), &[]).await?;
        self.stream.shutdown().await?;
        // A socket that is closed with bytes unread takes the answer back.
        let mut skipped = 0;
        while skipped < SKIP_BYTES_MAX {
            self.input = BytesMut::new();
            let (stream, input) = (&mut self.stream, &mut self.input);
            match poll_fn(|cx| poll_read(cx, stream, input, READ_BYTES)).await? {
                0 => break,
                bytes => skipped += bytes,
            }
        }
        Ok(())
    }

    /// Writes a head and the data behind it.
    async fn write(&mut self, head: Bytes, data: &[Bytes]) -> Result<(), End> {
        let Self { stream, outbox, .. } = self;
        outbox.try_write_batch(stream, |buffers| {
            buffers.push(head);
            buffers.extend_from_slice(data);
        })?;
        let timeout = self.env.config.rtmp.write_timeout();
        while !outbox.is_empty() {
            let before = outbox.bytes_written();
            let flushed = tokio::time::timeout(timeout, poll_fn(|cx| outbox.poll_flush(cx, stream))).await;
            match flushed {
                Ok(result) => result?,
                // A client that takes something in that time is slow, one that takes nothing is gone.
                Err(_) if outbox.bytes_written() == before => return Err(End::Gone),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Reads once. An idle connection keeps no buffer.
fn poll_read(
    cx: &mut Context<'_>,
    stream: &mut Stream,
    input: &mut BytesMut,
    bytes: usize,
) -> Poll<io::Result<usize>> {
    if input.is_empty() {
        ready!(stream.poll_read_ready(cx))?;
    }
    input.reserve(bytes.max(1));
    let read = stream.poll_read_buf(cx, input);
    if input.is_empty() {
        *input = BytesMut::new();
    }
    read
}

/// What the client does while a request of it is held back.
fn poll_next(cx: &mut Context<'_>, stream: &mut Stream, input: &mut BytesMut) -> Poll<Next> {
    if !input.is_empty() {
        return Poll::Ready(Next::Request);
    }
    match ready!(poll_read(cx, stream, input, READ_BYTES)) {
        Ok(1..) => Poll::Ready(Next::Request),
        _ => Poll::Ready(Next::Gone),
    }
}
