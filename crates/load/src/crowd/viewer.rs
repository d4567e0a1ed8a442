//! One counting viewer.

use super::layers::{self, Layers};
use super::opening::{Opening, Progress, acknowledgement, acknowledges};
use super::{Buffers, Seat};
use crate::limits::ACK_INTERVAL;
use crate::target::Target;
use mio::Poll;
use mio::net::TcpStream;
use rtmp::client::Session;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// A connection and its counters. Kept small: there are thousands.
pub(super) struct Viewer {
    pub(super) seat: Seat,
    state: State,
    stream: Option<TcpStream>,
    /// TLS and a tunnel, if the target asks for them and they are still needed.
    layers: Option<Box<Layers>>,
    /// Seals acknowledgements, after an encrypted handshake.
    cipher: Option<Box<Session>>,
    /// The earliest of the timers that the crowd has set for this viewer.
    pub(super) timer: Option<Instant>,
    bytes: u64,
    /// Those of HTTP around the stream.
    overhead: u64,
    acknowledged: u64,
    acknowledged_at: Instant,
    joined_at: Instant,
    read_at: Instant,
    /// From joining to the first media byte.
    waited: Duration,
    is_rtmp: bool,
}

enum State {
    Idle,
    Opening(Box<Opening>),
    Watching,
}

/// What an event did to a viewer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// Media began.
    Started,
    /// The join failed.
    Failed(String),
    /// The connection ended after media had begun.
    Closed,
}

impl Viewer {
    pub(super) fn new(seat: Seat) -> Self {
        let now = Instant::now();
        Self {
            seat,
            state: State::Idle,
            stream: None,
            layers: None,
            cipher: None,
            timer: None,
            bytes: 0,
            overhead: 0,
            acknowledged: 0,
            acknowledged_at: now,
            joined_at: now,
            read_at: now,
            waited: Duration::ZERO,
            is_rtmp: false,
        }
    }

    /// Begins with a socket that is connecting.
    pub(super) fn open(
        &mut self,
        stream: TcpStream,
        layers: Option<Box<Layers>>,
        target: &Target,
        random: [u8; 32],
        now: Instant,
    ) {
        self.stream = Some(stream);
        self.layers = layers;
        self.state = State::Opening(Box::new(Opening::new(target, random, now)));
        self.is_rtmp = matches!(target, Target::Rtmp(_));
        (self.bytes, self.overhead, self.acknowledged) = (0, 0, 0);
        (self.joined_at, self.read_at, self.acknowledged_at) = (now, now, now);
    }

    /// Closes the connection.
    pub(super) fn close(&mut self, poll: &Poll) {
        if let Some(mut stream) = self.stream.take() {
            if let Some(mut layers) = self.layers.take() {
                layers.close();
                // As much of the goodbye as can be said without waiting.
                let _ = layers.flush(&mut stream);
            }
            // The close removes it from epoll anyway.
            let _ = poll.registry().deregister(&mut stream);
        }
        self.cipher = None;
        self.state = State::Idle;
    }

    pub(super) fn is_watching(&self) -> bool {
        matches!(self.state, State::Watching)
    }

    /// Bytes received on this connection.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From joining to the first media byte.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// For how long nothing arrived, while watching.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        self.is_watching().then(|| now.saturating_duration_since(self.read_at))
    }

    /// Whether the join takes longer than `limit`.
    pub(super) fn is_late(&self, now: Instant, limit: Duration) -> bool {
        matches!(self.state, State::Opening(_)) && now.saturating_duration_since(self.joined_at) > limit
    }

    /// The socket is ready and the media has not begun: goes on with the conversation.
    pub(super) fn converse(&mut self, event: &mio::event::Event, buffers: &mut Buffers) -> Change {
        if event.is_writable()
            && let Err(error) = self.flush()
        {
            return Change::Failed(error.to_string());
        }
        if event.is_readable() { self.read_opening(buffers) } else { Change::None }
    }

    /// Reads until the media begins or the socket is empty.
    fn read_opening(&mut self, buffers: &mut Buffers) -> Change {
        loop {
            let (State::Opening(opening), Some(stream)) = (&mut self.state, &mut self.stream) else {
                return Change::None;
            };
            let count = match stream.read(&mut buffers.read) {
                Ok(0) => return Change::Failed("the server closed it before the media began".into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Change::None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Change::Failed(error.to_string()),
            };
            let now = Instant::now();
            self.bytes += count as u64;
            self.read_at = now;
            let bytes = &buffers.read[..count];
            let progress = match &mut self.layers {
                None => opening.handle(now, bytes),
                Some(layers) => {
                    buffers.plain.clear();
                    if let Err(why) = layers.receive(now, bytes, &mut buffers.plain) {
                        return Change::Failed(why);
                    }
                    self.overhead += (count as u64).saturating_sub(buffers.plain.len() as u64);
                    match buffers.plain.is_empty() {
                        true => Progress::Waiting,
                        false => opening.handle(now, &buffers.plain),
                    }
                }
            };
            if let Err(error) = self.flush() {
                return Change::Failed(error.to_string());
            }
            match progress {
                Progress::Waiting => {}
                Progress::Started => {
                    self.start_watching();
                    self.waited = now.saturating_duration_since(self.joined_at);
                    return Change::Started;
                }
                Progress::Failed => return Change::Failed("the server refused or broke the protocol".into()),
            }
        }
    }

    /// From here on nothing is said but acknowledgements, and the requests of a tunnel.
    fn start_watching(&mut self) {
        if let State::Opening(opening) = std::mem::replace(&mut self.state, State::Watching) {
            self.cipher = opening.into_cipher();
        }
        if !self.is_rtmp {
            self.layers = None;
        }
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        match (&mut self.state, &mut self.layers) {
            (State::Opening(opening), None) => layers::write(opening.output(), stream),
            (State::Opening(opening), Some(layers)) => {
                layers.send(&opening.output().split());
                layers.flush(stream)
            }
            (_, Some(layers)) => layers.flush(stream),
            (_, None) => Ok(()),
        }
    }

    /// When to call [`Viewer::handle_timeout`].
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.layers.as_ref()?.poll_timeout()
    }

    /// Lets time pass.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Change {
        let Some(layers) = &mut self.layers else { return Change::None };
        let done = layers.handle_timeout(now).and_then(|()| self.flush().map_err(|error| error.to_string()));
        match (done, &self.state) {
            (Ok(()), _) => Change::None,
            (Err(why), State::Opening(_)) => Change::Failed(why),
            (Err(_), _) => Change::Closed,
        }
    }

    /// Reads up to `budget` bytes of a tunnel's replies, throws away what is in them, and asks for more.
    fn take_replies(&mut self, buffers: &mut Buffers, budget: usize, to_end: bool, now: Instant) -> Change {
        let mut left = budget;
        while left > 0 {
            let (Some(stream), Some(layers)) = (&mut self.stream, &mut self.layers) else { break };
            let asked = left.min(buffers.read.len());
            match stream.read(&mut buffers.read[..asked]) {
                Ok(0) => return Change::Closed,
                Ok(count) => {
                    buffers.plain.clear();
                    if layers.receive(now, &buffers.read[..count], &mut buffers.plain).is_err()
                        || layers.is_over()
                        || layers.flush(stream).is_err()
                    {
                        return Change::Closed;
                    }
                    self.bytes += count as u64;
                    self.overhead += (count as u64).saturating_sub(buffers.plain.len() as u64);
                    if !buffers.plain.is_empty() {
                        self.read_at = now;
                    }
                    left -= count;
                    if count < asked && !to_end {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Change::Closed,
            }
        }
        Change::None
    }

    /// Throws away up to `budget` bytes of what the socket holds. TLS and RTMPE are not opened for that. With `to_end` it looks for the end of the stream behind
    /// them, which is no event of its own when it came with the last bytes.
    pub(super) fn take(
        &mut self,
        buffers: &mut Buffers,
        budget: usize,
        to_end: bool,
        now: Instant,
    ) -> Change {
        if self.layers.as_ref().is_some_and(|layers| layers.has_tunnel()) {
            return self.take_replies(buffers, budget, to_end, now);
        }
        let Some(stream) = &self.stream else { return Change::None };
        let socket = SockRef::from(stream);
        let mut left = budget;
        while left > 0 {
            let asked = left.min(buffers.scratch.len());
            match socket.recv_with_flags(&mut buffers.scratch[..asked], libc::MSG_TRUNC) {
                Ok(0) => return Change::Closed,
                Ok(count) => {
                    self.bytes += count as u64;
                    self.read_at = now;
                    left -= count;
                    // Less than asked for means that the socket is empty, and that the next bytes are an event (epoll(7)).
                    if count < asked && !to_end {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Change::Closed,
            }
        }
        Change::None
    }

    /// Acknowledges what was received, if it is time to.
    pub(super) fn acknowledge(&mut self, now: Instant) {
        let received = self.bytes - self.overhead;
        let due = acknowledges(received, self.acknowledged)
            || now.saturating_duration_since(self.acknowledged_at) > ACK_INTERVAL;
        if !(self.is_rtmp && self.is_watching() && due) {
            return;
        }
        let Some(stream) = &mut self.stream else { return };
        let mut message = acknowledgement(received);
        if let Some(cipher) = &mut self.cipher {
            cipher.seal(&mut message);
        }
        let said = match &mut self.layers {
            Some(layers) => {
                layers.send(&message);
                layers.flush(stream).is_ok()
            }
            None => stream.write(&message).is_ok_and(|count| count == 16),
        };
        if said {
            (self.acknowledged, self.acknowledged_at) = (received, now);
        }
    }
}
