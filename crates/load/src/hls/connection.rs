//! A connection that carries one request after another.

use crate::http::{self, Body, Framing};
use crate::limits::PLAYLIST_BYTES_MAX;
use bytes::BytesMut;
use mio::net::TcpStream;
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;

/// Bytes read at once: a playlist.
const READ_BYTES: usize = 16 << 10;
/// Bytes thrown away at once. Never written to, so never backed by memory.
const DISCARD_BYTES: usize = 1 << 20;

/// Shared by all connections of a thread.
pub(super) struct Scratch {
    read: Vec<u8>,
    discard: Box<[MaybeUninit<u8>]>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self { read: vec![0; READ_BYTES], discard: Box::new_uninit_slice(DISCARD_BYTES) }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The body, if it was asked to be kept.
    pub(super) text: BytesMut,
}

/// One request at a time.
pub(super) struct Connection {
    pub(super) stream: Option<TcpStream>,
    output: BytesMut,
    input: BytesMut,
    state: State,
    /// Bytes received, over all requests.
    pub(super) bytes: u64,
}

enum State {
    Idle,
    Head {
        keep: bool,
    },
    /// Thrown away by the kernel; so much is still to come.
    Discard {
        status: u16,
        left: u64,
    },
    Body {
        status: u16,
        keep: bool,
        body: Body,
        text: BytesMut,
    },
}

impl Connection {
    pub(super) fn new() -> Self {
        Self { stream: None, output: BytesMut::new(), input: BytesMut::new(), state: State::Idle, bytes: 0 }
    }

    /// Whether nothing is asked for.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Sends a request. `keep` says whether the body of the answer is wanted.
    pub(super) fn ask(&mut self, request: &str, keep: bool) -> io::Result<()> {
        self.output.extend_from_slice(request.as_bytes());
        self.state = State::Head { keep };
        self.flush()
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while !self.output.is_empty() {
            match stream.write(&self.output) {
                Ok(count) => drop(self.output.split_to(count)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.output.is_empty() {
            // Thousands of connections keep no buffers while they wait.
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Reads what is there. An answer ends the reading: nothing may follow it.
    pub(super) fn read(&mut self, scratch: &mut Scratch) -> Result<Option<Answer>, String> {
        loop {
            if let Some(answer) = self.poll_answer()? {
                return Ok(Some(answer));
            }
            let Some(stream) = &mut self.stream else { return Ok(None) };
            let count = match &mut self.state {
                State::Discard { left, .. } => {
                    let asked = scratch.discard.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let socket = SockRef::from(&*stream);
                    let read = socket.recv_with_flags(&mut scratch.discard[..asked], libc::MSG_TRUNC);
                    if let Ok(count) = &read {
                        *left = left.saturating_sub(*count as u64);
                    }
                    read
                }
                _ => {
                    let read = stream.read(&mut scratch.read);
                    if let Ok(count) = &read {
                        self.input.extend_from_slice(&scratch.read[..*count]);
                    }
                    read
                }
            };
            match count {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(count) => self.bytes += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// The answer, if all of it was read.
    fn poll_answer(&mut self) -> Result<Option<Answer>, String> {
        if let State::Head { keep } = self.state {
            let head = http::read_head(&mut self.input).map_err(|error| error.to_string())?;
            let Some(head) = head else { return Ok(None) };
            let status = head.status;
            self.state = match head.framing {
                Framing::UntilClose => return Err("an answer without a length".into()),
                Framing::Length(length) if !keep && length >= self.input.len() as u64 => {
                    let left = length - self.input.len() as u64;
                    self.input = BytesMut::new();
                    State::Discard { status, left }
                }
                framing => State::Body { status, keep, body: Body::new(framing), text: BytesMut::new() },
            };
        }
        match &mut self.state {
            State::Discard { status, left: 0 } => {
                let status = *status;
                self.state = State::Idle;
                Ok(Some(Answer { status, text: BytesMut::new() }))
            }
            State::Body { status, keep, body, text } => {
                body.decode(&mut self.input, text).map_err(|error| error.to_string())?;
                if !*keep {
                    text.clear();
                }
                if text.len() > PLAYLIST_BYTES_MAX {
                    return Err("a playlist above the size limit".into());
                }
                if !body.is_ended() {
                    return Ok(None);
                }
                let answer = Answer { status: *status, text: std::mem::take(text) };
                self.input = BytesMut::new();
                self.state = State::Idle;
                Ok(Some(answer))
            }
            _ => Ok(None),
        }
    }
}
