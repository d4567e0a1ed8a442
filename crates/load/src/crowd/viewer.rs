//! One counting viewer.

use super::Seat;
use super::opening::{Opening, Progress, acknowledgement, acknowledges};
use crate::limits::ACK_INTERVAL;
use crate::target::Target;
use bytes::Buf;
use mio::Poll;
use mio::net::TcpStream;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// A connection and its counters. Kept small: there are thousands.
pub(super) struct Viewer {
    pub(super) seat: Seat,
    state: State,
    stream: Option<TcpStream>,
    bytes: u64,
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
            bytes: 0,
            acknowledged: 0,
            acknowledged_at: now,
            joined_at: now,
            read_at: now,
            waited: Duration::ZERO,
            is_rtmp: false,
        }
    }

    /// Begins with a socket that is connecting.
    pub(super) fn open(&mut self, stream: TcpStream, target: &Target, random: [u8; 32], now: Instant) {
        self.stream = Some(stream);
        self.state = State::Opening(Box::new(Opening::new(target, random, now)));
        self.is_rtmp = matches!(target, Target::Rtmp(_));
        (self.bytes, self.acknowledged) = (0, 0);
        (self.joined_at, self.read_at, self.acknowledged_at) = (now, now, now);
    }

    /// Closes the connection.
    pub(super) fn close(&mut self, poll: &Poll) {
        if let Some(mut stream) = self.stream.take() {
            // The close removes it from epoll anyway.
            let _ = poll.registry().deregister(&mut stream);
        }
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
    pub(super) fn converse(&mut self, event: &mio::event::Event, buffer: &mut [u8]) -> Change {
        let (State::Opening(opening), Some(stream)) = (&mut self.state, &mut self.stream) else {
            return Change::None;
        };
        if event.is_writable()
            && let Err(error) = flush(stream, opening)
        {
            return Change::Failed(error.to_string());
        }
        if event.is_readable() { self.read_opening(buffer) } else { Change::None }
    }

    /// Reads until the media begins or the socket is empty.
    fn read_opening(&mut self, buffer: &mut [u8]) -> Change {
        let (State::Opening(opening), Some(stream)) = (&mut self.state, &mut self.stream) else {
            return Change::None;
        };
        loop {
            let count = match stream.read(buffer) {
                Ok(0) => return Change::Failed("the server closed it before the media began".into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Change::None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Change::Failed(error.to_string()),
            };
            let now = Instant::now();
            self.bytes += count as u64;
            self.read_at = now;
            let progress = opening.handle(now, &buffer[..count]);
            if let Err(error) = flush(stream, opening) {
                return Change::Failed(error.to_string());
            }
            match progress {
                Progress::Waiting => {}
                Progress::Started => {
                    self.state = State::Watching;
                    self.waited = now.saturating_duration_since(self.joined_at);
                    return Change::Started;
                }
                Progress::Failed => return Change::Failed("the server refused or broke the protocol".into()),
            }
        }
    }

    /// Throws away up to `budget` bytes of what the socket holds. With `to_end` it looks for the end of the stream behind
    /// them, which is no event of its own when it came with the last bytes.
    pub(super) fn take(
        &mut self,
        scratch: &mut [MaybeUninit<u8>],
        budget: usize,
        to_end: bool,
        now: Instant,
    ) -> Change {
        let Some(stream) = &self.stream else { return Change::None };
        let socket = SockRef::from(stream);
        let mut left = budget;
        while left > 0 {
            let asked = left.min(scratch.len());
            match socket.recv_with_flags(&mut scratch[..asked], libc::MSG_TRUNC) {
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
        let due = acknowledges(self.bytes, self.acknowledged)
            || now.saturating_duration_since(self.acknowledged_at) > ACK_INTERVAL;
        if !(self.is_rtmp && self.is_watching() && due) {
            return;
        }
        if let Some(stream) = &mut self.stream
            && stream.write(&acknowledgement(self.bytes)).is_ok_and(|count| count == 16)
        {
            (self.acknowledged, self.acknowledged_at) = (self.bytes, now);
        }
    }
}

fn flush(stream: &mut TcpStream, opening: &mut Opening) -> io::Result<()> {
    let output = opening.output();
    while !output.is_empty() {
        match stream.write(output) {
            Ok(count) => output.advance(count),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
