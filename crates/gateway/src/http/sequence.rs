//! Media requests of HTTP/1.1, one after the other on one connection, without hyper.
//!
//! A player of HLS or DASH asks for a playlist and a part of each track several times a second, and thousands of them are
//! served at once: what counts is how much cold memory a request touches. So between two requests a connection holds no
//! buffer, an answer is one vectored write from the memory of its body, and timers are moved only when they ring.
//!
//! What is not a plain GET for media goes to hyper, and the connection with it: bodies, upgrades, other methods, HTTP/1.0,
//! requests that end the connection, and everything that is malformed.

use super::connection::{IDLE_MAX, answer_media, repeated};
use super::head::HEAD_BYTES_MAX;
use super::{MediaRoute, Prefixed};
use crate::Env;
use crate::stall::Stall;
use axum::body::Body;
use axum::response::Response;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use http_body::Body as _;
use net::Stream;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, Sleep};

/// The most header lines of a request; browsers send about 20.
const HEADERS_MAX: usize = 64;
/// What is read at once: most heads of players are smaller.
const READ_BYTES: usize = 1024;
/// Pieces that are written at once: the parts of a segment.
const PIECES_MAX: usize = 32;

/// Answers media requests until one comes that is not. Returns the connection from there on, or none if it is over. `head` is
/// what was read of it already.
pub(super) async fn serve(
    env: &Arc<Env>,
    stream: Stream,
    head: BytesMut,
    peer: SocketAddr,
) -> Option<Prefixed> {
    let mut sequence = Sequence::new(env, stream, head);
    loop {
        let (request, name, route) = match sequence.next().await? {
            Next::Media(request, name, route) => (request, name, route),
            Next::Other => return Some(Prefixed { head: sequence.input, stream: sequence.stream }),
        };
        let answer = answer_media(env.clone(), name, route, peer, request);
        let response = sequence.unless_gone(answer).await?;
        sequence.write(response).await?;
    }
}

/// What comes next on the connection.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum Next {
    Media(Request<Body>, &'static str, &'static MediaRoute),
    /// Something for hyper, all of which is still in the buffer.
    Other,
}

/// How a buffer begins.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub(crate) enum Parsed {
    Media(Request<Body>, &'static str, &'static MediaRoute),
    Partial,
    Other,
}

struct Sequence<'a> {
    env: &'a Env,
    stream: Stream,
    /// Received and not looked at. Without memory while it is empty.
    input: BytesMut,
    unwritten: VecDeque<Bytes>,
    /// Bytes that the socket has taken.
    written: u64,
    stall: Stall,
    shutdown: net::Triggered,
    /// Rings before the next deadline, or at it.
    timer: Pin<Box<Sleep>>,
}

impl<'a> Sequence<'a> {
    fn new(env: &'a Env, stream: Stream, input: BytesMut) -> Self {
        Self {
            env,
            stream,
            input,
            unwritten: VecDeque::new(),
            written: 0,
            stall: Stall::default(),
            shutdown: env.shutdown.triggered(),
            timer: Box::pin(tokio::time::sleep(IDLE_MAX)),
        }
    }

    /// Waits for the next request. None at the end of the connection.
    async fn next(&mut self) -> Option<Next> {
        let mut begun = Instant::now();
        loop {
            let within = match self.input.is_empty() {
                true => IDLE_MAX,
                false => match parse(&mut self.input) {
                    Parsed::Media(request, name, route) => return Some(Next::Media(request, name, route)),
                    Parsed::Other => return Some(Next::Other),
                    // hyper has a limit of its own, and an answer for who is beyond it.
                    Parsed::Partial if self.input.len() >= HEAD_BYTES_MAX => return Some(Next::Other),
                    Parsed::Partial => self.env.config.http.request_timeout(),
                },
            };
            let is_first = self.input.is_empty();
            let count = poll_fn(|cx| {
                if let Poll::Ready(read) = self.poll_input(cx) {
                    return Poll::Ready(read.ok());
                }
                // Nobody waits for anything here.
                match self.poll_over(cx, begun + within) || self.is_shut_down(cx) {
                    true => Poll::Ready(None),
                    false => Poll::Pending,
                }
            });
            if count.await? == 0 {
                return None;
            }
            if is_first {
                begun = Instant::now();
            }
        }
    }

    /// Waits for `answer`, unless the peer goes away first. What it asks for meanwhile has its turn later.
    async fn unless_gone<T>(&mut self, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = pin!(answer);
        poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if self.poll_gone(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Writes an answer. None if the connection cannot go on after it.
    async fn write(&mut self, response: Response) -> Option<()> {
        let (parts, mut body) = response.into_parts();
        let said = match parts.headers.get(header::CONTENT_LENGTH) {
            // What follows would be anywhere.
            Some(said) => Some(said.to_str().ok()?.parse::<u64>().ok()?),
            None => None,
        };
        let length = said.or(body.size_hint().exact());
        let is_last = self.env.shutdown.is_triggered();
        self.unwritten.push_back(head_of(parts.status, &parts.headers, length, is_last));
        let is_chunked = length.is_none();
        let mut is_whole = !has_body(parts.status);
        let mut left = length.filter(|_| !is_whole);
        loop {
            // All that is there goes out in one write.
            let more = poll_fn(|cx| {
                while !is_whole && self.unwritten.len() < PIECES_MAX {
                    match Pin::new(&mut body).poll_frame(cx) {
                        Poll::Ready(Some(Ok(frame))) => {
                            let Ok(data) = frame.into_data() else { continue };
                            if let Some(left) = &mut left {
                                // More than was said would be taken for the next answer.
                                let Some(rest) = left.checked_sub(data.len() as u64) else {
                                    return Poll::Ready(false);
                                };
                                *left = rest;
                            }
                            self.push(data, is_chunked);
                        }
                        // Without its end, the peer knows that something is missing.
                        Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                        Poll::Ready(None) => {
                            is_whole = true;
                            if is_chunked {
                                self.unwritten.push_back(Bytes::from_static(b"0\r\n\r\n"));
                            }
                        }
                        Poll::Pending if self.unwritten.is_empty() && self.poll_gone(cx) => {
                            return Poll::Ready(false);
                        }
                        Poll::Pending if self.unwritten.is_empty() => return Poll::Pending,
                        Poll::Pending => break,
                    }
                }
                Poll::Ready(true)
            });
            let goes_on = more.await;
            poll_fn(|cx| self.poll_write(cx)).await.ok()?;
            if !goes_on {
                return None;
            }
            if is_whole {
                let is_complete = left.is_none_or(|left| left == 0);
                return (is_complete && !is_last).then_some(());
            }
        }
    }

    fn push(&mut self, data: Bytes, is_chunked: bool) {
        if data.is_empty() {
            return;
        }
        if is_chunked {
            self.unwritten.push_back(format!("{:x}\r\n", data.len()).into());
        }
        self.unwritten.push_back(data);
        if is_chunked {
            self.unwritten.push_back(Bytes::from_static(b"\r\n"));
        }
    }

    /// Writes all that waits.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unwritten.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let pieces = self.unwritten.iter().zip(&mut slices);
            let count = pieces.map(|(piece, slice)| *slice = IoSlice::new(piece)).count();
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.taken(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stream.poll_write_ready(cx)?.is_pending() {
                        return self.poll_stalled(cx);
                    }
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if !self.stream.is_flushed() && self.stream.poll_flush(cx)?.is_pending() {
            return self.poll_stalled(cx);
        }
        self.stall.clear();
        Poll::Ready(Ok(()))
    }

    fn taken(&mut self, mut count: usize) {
        self.written += count as u64;
        while let Some(piece) = self.unwritten.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.unwritten.pop_front();
        }
    }

    /// Fails when the peer has taken next to nothing for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = Instant::now();
        self.stall.note(now.into_std(), self.written);
        let since = self.stall.since().map_or(now, Instant::from_std);
        match self.poll_over(cx, since + self.env.config.http.write_timeout()) {
            true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            false => Poll::Pending,
        }
    }

    /// Reads once. 0 is the end of the connection.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() == self.input.len() {
            // No memory is taken before something is there.
            if self.input.is_empty() && self.stream.poll_read_ready(cx)?.is_pending() {
                return Poll::Pending;
            }
            self.input.reserve(READ_BYTES);
        }
        let read = self.stream.poll_read_buf(cx, &mut self.input);
        if read.is_pending() && self.input.is_empty() {
            self.input = BytesMut::new();
        }
        read
    }

    /// Whether the peer has closed the connection. What it sends is kept, up to a limit.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        while self.input.len() < HEAD_BYTES_MAX {
            match self.poll_input(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return true,
            }
        }
        false
    }

    /// Whether a deadline has passed; wakes the task when it does. Moving a timer costs more than looking at it once in vain, so one
    /// that rings too early is left as it is.
    fn poll_over(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            self.timer.as_mut().reset(deadline);
        }
        false
    }

    fn is_shut_down(&mut self, cx: &mut Context<'_>) -> bool {
        Pin::new(&mut self.shutdown).poll(cx).is_ready()
    }
}

/// Takes a request for media off the front of `input`.
pub(crate) fn parse(input: &mut BytesMut) -> Parsed {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(input, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Other,
    };
    let is_plain = request.method == Some("GET")
        && request.version == Some(1)
        && request.path.is_some_and(|path| path.starts_with('/'))
        && request.headers.iter().all(is_plain_header);
    if !is_plain {
        return Parsed::Other;
    }
    let text = Bytes::copy_from_slice(&input[..length]);
    let within = |part: &[u8]| {
        let start = part.as_ptr() as usize - input.as_ptr() as usize;
        text.slice(start..start + part.len())
    };
    let Some(Ok(uri)) = request.path.map(|path| Uri::from_maybe_shared(within(path.as_bytes()))) else {
        return Parsed::Other;
    };
    let Some((name, route)) = repeated(&uri) else { return Parsed::Other };
    let mut map = HeaderMap::with_capacity(request.headers.len());
    for header in request.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(within(header.value));
        let (Ok(name), Ok(value)) = (name, value) else { return Parsed::Other };
        map.append(name, value);
    }
    input.advance(length);
    if input.is_empty() {
        *input = BytesMut::new();
    }
    let mut request = Request::new(Body::empty());
    (*request.method_mut(), *request.version_mut()) = (Method::GET, Version::HTTP_11);
    (*request.uri_mut(), *request.headers_mut()) = (uri, map);
    Parsed::Media(request, name, route)
}

/// Whether a header line asks for nothing that hyper has to see to.
fn is_plain_header(header: &httparse::Header<'_>) -> bool {
    let is = |name: &str| header.name.eq_ignore_ascii_case(name);
    match header.name.len() {
        6 if is("expect") => false,
        7 if is("upgrade") => false,
        10 if is("connection") => header.value.eq_ignore_ascii_case(b"keep-alive"),
        14 if is("content-length") => header.value == b"0",
        17 if is("transfer-encoding") => false,
        _ => true,
    }
}

/// Whether an answer has a body (RFC 9112 section 6.3).
fn has_body(status: StatusCode) -> bool {
    !status.is_informational() && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The head of an answer whose body is `length` bytes long, or chunked.
fn head_of(status: StatusCode, headers: &HeaderMap, length: Option<u64>, is_last: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(512).writer();
    let reason = status.canonical_reason().unwrap_or_default();
    // Writing to memory does not fail.
    let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_u16());
    let mut put = |name: &[u8], value: &[u8]| {
        let out = out.get_mut();
        out.reserve(name.len() + value.len() + 4);
        for part in [name, b": ", value, b"\r\n"] {
            out.put_slice(part);
        }
    };
    for (name, value) in headers {
        put(name.as_str().as_bytes(), value.as_bytes());
    }
    if has_body(status) && !headers.contains_key(header::CONTENT_LENGTH) {
        match length {
            Some(length) => {
                let mut digits = [0_u8; 20];
                let mut rest = &mut digits[..];
                let _ = write!(rest, "{length}");
                let unused = rest.len();
                put(b"content-length", &digits[..20 - unused]);
            }
            None => put(b"transfer-encoding", b"chunked"),
        }
    }
    if is_last {
        put(b"connection", b"close");
    }
    DATE.with_borrow_mut(|date| put(b"date", date.now().as_bytes()));
    let mut out = out.into_inner();
    out.put_slice(b"\r\n");
    out.freeze()
}

thread_local! {
    static DATE: RefCell<Date> = RefCell::default();
}

/// The time of day as a header line has it (RFC 9110 section 5.6.7), written once a second.
#[derive(Default)]
struct Date {
    second: u64,
    text: String,
}

impl Date {
    fn now(&mut self) -> &str {
        let now = SystemTime::now();
        let second = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        if second != self.second || self.text.is_empty() {
            (self.second, self.text) = (second, httpdate::fmt_http_date(now));
        }
        &self.text
    }
}

#[cfg(test)]
mod tests;
