//! The client's half of a tunnel.

mod response;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use super::{CONTENT_TYPE, INTERVAL_CLOSED};
use crate::{Error, limits};
use response::{Head, read_head};

/// What one unit of the interval byte is taken for: 0x21, the largest in use, is about half a second.
const INTERVAL_UNIT: Duration = Duration::from_millis(16);
/// A reply without data that comes so late was held by the server, which then may be asked again at once.
const HELD: Duration = Duration::from_millis(20);
/// Names of sessions are short; ffmpeg takes 63 characters.
const ID_BYTES_MAX: usize = 128;

/// Carries the bytes of an RTMP connection in HTTP requests on one TCP connection.
///
/// See the `wire` crate for the order of calls. The driver sends what [`Client::poll_output`] gives, passes what the
/// socket brings to [`Client::handle_input`], and treats `plain` as the bytes of the connection.
///
/// While data flows there is always a request under way, so that the server can answer the moment it has something. A
/// server that allows it (as ours does, in the reply to `/open`) gets data in further requests at once; every other one
/// gets it when the reply to the last request is there.
#[derive(Debug)]
pub struct Client {
    host: Box<str>,
    /// The time of the last call that brought one.
    now: Instant,
    state: State,
    /// Set by [`Client::close`].
    closing: bool,
    /// The number of the next request.
    number: u64,
    /// Bytes for the server that are in no request yet.
    queue: VecDeque<Bytes>,
    queued: usize,
    /// Written requests that wait for the driver.
    output: VecDeque<Bytes>,
    /// Requests without a reply, in the order of both.
    pending: VecDeque<Pending>,
    /// The server closes the connection after its last reply.
    cut: bool,
    /// Most requests without a reply.
    pipeline: usize,
    reading: Option<Reading>,
    /// When to ask what there is; `None` while that is being asked.
    poll_at: Option<Instant>,
    interval: u8,
    /// Replies in a row without data.
    empty: u32,
}

#[derive(Debug)]
enum State {
    /// The name of the session is not known yet.
    Opening,
    Open(Box<str>),
    /// Nothing more is sent.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Send,
    Idle,
    Close,
}

#[derive(Debug)]
struct Pending {
    kind: Kind,
    sent: Instant,
    /// The request, for the case that the connection ends before the reply.
    bytes: Vec<Bytes>,
}

/// The reply at hand.
#[derive(Debug)]
struct Reading {
    head: Head,
    /// Bytes of the body that are missing.
    left: usize,
    /// Bytes of the body that arrived.
    taken: usize,
}

impl Client {
    /// A tunnel through a connection that was just made. `host` is the value of the Host header: a name or an address,
    /// with the port unless it is 80.
    pub fn new(host: &str, now: Instant) -> Self {
        let mut client = Self {
            host: host.into(),
            now,
            state: State::Opening,
            closing: false,
            number: 0,
            queue: VecDeque::new(),
            queued: 0,
            output: VecDeque::new(),
            pending: VecDeque::new(),
            cut: false,
            pipeline: 1,
            reading: None,
            poll_at: None,
            interval: 1,
            empty: 0,
        };
        client.request(Kind::Open);
        client
    }

    /// Takes what the server sent and appends the bytes of the RTMP connection to `plain`, as far as they have arrived.
    ///
    /// # Errors
    /// `Malformed` for what is no HTTP or not of a tunnel, `Unsupported` for HTTP that a tunnel does not use, `Violation`
    /// if the server refuses: there is no tunnel at this address, or it has forgotten the session.
    pub fn handle_input(
        &mut self,
        now: Instant,
        http: &mut BytesMut,
        plain: &mut BytesMut,
    ) -> Result<(), Error> {
        self.now = now;
        while !self.is_closed() {
            if self.reading.is_none() {
                let Some(head) = read_head(http)? else { break };
                let Some(pending) = self.pending.front() else {
                    return Err(Error::Violation("an HTTP response that nobody asked for"));
                };
                check(&head, pending.kind)?;
                self.reading = Some(Reading { left: head.body_bytes, head, taken: 0 });
            }
            if !self.read_body(http, plain)? {
                break;
            }
        }
        if self.is_closed() {
            http.clear();
        }
        Ok(())
    }

    /// Queues bytes of the RTMP connection for the server.
    pub fn send(&mut self, bytes: Bytes) {
        if !bytes.is_empty() && !self.closing && !self.is_closed() {
            self.queued += bytes.len();
            self.queue.push_back(bytes);
        }
    }

    /// Bytes that [`Client::send`] took and that are in no request yet.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Bytes for the socket, in order.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        if self.output.is_empty() && self.may_ask() {
            self.ask();
        }
        self.output.pop_front()
    }

    /// When to call [`Client::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let reply = self.pending.front().map(|pending| pending.sent + limits::TUNNEL_REPLY_TIMEOUT);
        let poll = self.poll_at.filter(|_| self.may_ask() && !self.closing);
        [reply, poll].into_iter().flatten().min()
    }

    /// Lets time pass. A poll that is due comes with the next [`Client::poll_output`].
    ///
    /// # Errors
    /// `Violation` if the server takes too long to reply.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.now = now;
        match self.pending.front() {
            Some(pending) if pending.sent + limits::TUNNEL_REPLY_TIMEOUT <= now => {
                Err(Error::Violation("the server does not reply to a request"))
            }
            _ => Ok(()),
        }
    }

    /// Ends the session once everything queued was sent. [`Client::is_closed`] tells when the server knows.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// Whether the session is over: the server has ended it, or has taken notice that we did.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether the server has announced that it closes the connection, as some proxies do after some number of requests.
    /// The session lives on: the driver connects again and calls [`Client::reconnected`].
    pub fn needs_connection(&self) -> bool {
        self.cut && !self.is_closed()
    }

    /// Goes on with a new connection, also after the old one broke. Requests without a reply are sent again under their
    /// old numbers.
    ///
    /// # Errors
    /// `Violation` if the connection ended within a reply, or before the session had begun.
    pub fn reconnected(&mut self, now: Instant) -> Result<(), Error> {
        if self.reading.is_some() || matches!(self.state, State::Opening) {
            return Err(Error::Violation("the connection ended within a reply"));
        }
        self.now = now;
        self.cut = false;
        self.output.clear();
        for pending in &mut self.pending {
            pending.sent = now;
            self.output.extend(pending.bytes.iter().cloned());
        }
        Ok(())
    }

    fn may_ask(&self) -> bool {
        matches!(self.state, State::Open(_)) && !self.cut && self.pending.len() < self.pipeline
    }

    /// Makes the next request, if there is something to say.
    fn ask(&mut self) {
        if !self.queue.is_empty() {
            self.request(Kind::Send);
        } else if self.closing {
            // Once: the close is the last request.
            if self.pending.iter().all(|pending| pending.kind != Kind::Close) {
                self.request(Kind::Close);
            }
        } else if self.poll_at.is_some_and(|at| at <= self.now) {
            self.poll_at = None;
            self.request(Kind::Idle);
        }
    }

    fn request(&mut self, kind: Kind) {
        let (command, id) = match (kind, &self.state) {
            (Kind::Open, _) => ("open", None),
            (Kind::Send, State::Open(id)) => ("send", Some(id)),
            (Kind::Idle, State::Open(id)) => ("idle", Some(id)),
            (Kind::Close, State::Open(id)) => ("close", Some(id)),
            (_, _) => return,
        };
        let path = match id {
            Some(id) => format!("/{command}/{id}/{}", self.number),
            None => format!("/{command}/1"),
        };
        if id.is_some() {
            self.number += 1;
        }
        let body_bytes = match kind {
            Kind::Send => self.queued.min(limits::TUNNEL_SEND_BYTES_MAX),
            // Every server takes a body of one byte, and some take no other.
            _ => 1,
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: rushlight\r\nContent-Type: {CONTENT_TYPE}\r\n\
             Connection: Keep-Alive\r\nCache-Control: no-cache\r\nContent-Length: {body_bytes}\r\n\r\n",
            self.host
        );
        let mut bytes = Vec::new();
        if kind == Kind::Send {
            bytes.push(head.into());
            self.dequeue(body_bytes, &mut bytes);
        } else {
            bytes.push([head.as_bytes(), &[0]].concat().into());
        }
        self.output.extend(bytes.iter().cloned());
        self.pending.push_back(Pending { kind, sent: self.now, bytes });
    }

    /// Moves `count` bytes from the queue to `out`.
    fn dequeue(&mut self, count: usize, out: &mut Vec<Bytes>) {
        self.queued -= count;
        let mut left = count;
        while let Some(mut first) = self.queue.pop_front() {
            if first.len() > left {
                out.push(first.split_to(left));
                self.queue.push_front(first);
                return;
            }
            left -= first.len();
            out.push(first);
            if left == 0 {
                return;
            }
        }
    }

    /// Takes what there is of the body at hand. Returns whether it is complete.
    fn read_body(&mut self, http: &mut BytesMut, plain: &mut BytesMut) -> Result<bool, Error> {
        let Some(reading) = &mut self.reading else { return Ok(false) };
        let Some(&Pending { kind, sent, .. }) = self.pending.front() else { return Ok(false) };
        if kind == Kind::Open {
            // The name of the session is used whole.
            if reading.left > ID_BYTES_MAX {
                return Err(Error::Malformed("name of the session is too long"));
            }
            if http.len() < reading.left {
                return Ok(false);
            }
            let name = http.split_to(reading.left);
            self.opened(&name)?;
        } else {
            let mut part = http.split_to(reading.left.min(http.len()));
            reading.left -= part.len();
            let first = reading.taken == 0 && !part.is_empty();
            reading.taken += part.len();
            if first {
                self.interval = part[0];
                part.advance(1);
            }
            if kind != Kind::Close {
                plain.extend_from_slice(&part);
            }
            if reading.left > 0 {
                return Ok(false);
            }
        }
        if let Some(reading) = self.reading.take() {
            self.pending.pop_front();
            self.cut |= !reading.head.keep_alive;
            self.replied(kind, sent, &reading);
        }
        Ok(true)
    }

    fn opened(&mut self, name: &[u8]) -> Result<(), Error> {
        let name = name.trim_ascii();
        // It becomes part of a path.
        if name.is_empty() || !name.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(b)) {
            return Err(Error::Malformed("name of the session"));
        }
        if matches!(self.state, State::Opening) {
            self.state = State::Open(String::from_utf8_lossy(name).into());
        }
        Ok(())
    }

    /// A reply is complete: decides when to ask again.
    fn replied(&mut self, kind: Kind, sent: Instant, reading: &Reading) {
        match kind {
            Kind::Open => {
                self.pipeline = reading.head.pipeline.clamp(1, limits::TUNNEL_PIPELINE_MAX);
                self.poll_at = Some(self.now);
            }
            Kind::Close => self.end(),
            // Some servers leave even the interval byte out.
            Kind::Send | Kind::Idle if reading.taken == 1 && self.interval == INTERVAL_CLOSED => self.end(),
            Kind::Send | Kind::Idle => {
                let has_data = reading.taken > 1;
                self.empty = if has_data { 0 } else { self.empty.saturating_add(1) };
                let polling = self.pending.iter().any(|pending| pending.kind == Kind::Idle);
                if !polling {
                    let held = kind == Kind::Idle && self.now.saturating_duration_since(sent) >= HELD;
                    let wait = if has_data || held { Duration::ZERO } else { self.wait() };
                    self.poll_at = Some(self.now + wait);
                }
            }
        }
    }

    fn end(&mut self) {
        self.state = State::Closed;
        self.poll_at = None;
        self.pending.clear();
    }

    /// The time to the next poll after a reply that came at once and brought nothing.
    fn wait(&self) -> Duration {
        let own = match self.empty {
            0..=10 => 1,
            11..=20 => 2,
            21..=40 => 4,
            _ => 8,
        };
        INTERVAL_UNIT * u32::from(self.interval.min(0x21)).max(own)
    }
}

/// Whether a reply can be used.
fn check(head: &Head, kind: Kind) -> Result<(), Error> {
    match (head.status, kind) {
        (200, _) | (_, Kind::Close) => Ok(()),
        (404 | 405, Kind::Open) => Err(Error::Violation("there is no tunnel at this address")),
        (503, Kind::Open) => Err(Error::Violation("the server takes no more sessions")),
        (404 | 410, _) => Err(Error::Violation("the server has ended the session")),
        _ => Err(Error::Violation("the server refuses a request of the tunnel")),
    }
}
