//! An RTMP client session on a socket.

use crate::Error;
use bytes::{Buf, BytesMut};
use rtmp::client::{Config, Event, Session};
use std::io;
use std::time::Instant;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes asked for in one read. A keyframe of a 2 Mbit/s stream fits.
const READ_BYTES: usize = 64 << 10;

/// Drives a [`Session`]: everything it wants to say is written, everything that arrives is given to it.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    session: Session,
    input: BytesMut,
    output: BytesMut,
    arrived: Instant,
    bytes_in: u64,
    bytes_out: u64,
}

impl Link {
    /// Starts a session on a connected socket. The first bytes are sent by [`Link::step`].
    pub fn new(stream: TcpStream, config: Config) -> Result<Self, Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)
            .map_err(|error| Error::Connection(io::Error::other(format!("no random numbers: {error}"))))?;
        let now = Instant::now();
        Ok(Self {
            stream,
            session: Session::new(config, random, now),
            input: BytesMut::new(),
            output: BytesMut::new(),
            arrived: now,
            bytes_in: 0,
            bytes_out: 0,
        })
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    /// When the newest bytes were read.
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Bytes read from the socket so far.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    /// Bytes written to the socket so far.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// Bytes that the socket has not taken yet.
    pub fn queued(&self) -> usize {
        self.output.len()
    }

    /// Sends one message of the published stream, at once if the socket takes it. The parts are joined.
    pub fn send(&mut self, kind: u8, timestamp: u32, payload: &[&[u8]]) -> Result<(), Error> {
        self.session.send_message(kind, timestamp, payload)?;
        self.flush()
    }

    /// Says goodbye; [`Link::step`] sends it.
    pub fn close(&mut self) {
        self.session.close();
    }

    /// Tells the peer that no more bytes come, once everything was sent.
    pub fn shut_down(&self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write)
    }

    /// Waits until the socket can do something, or the session's own deadline, and does it. Returns false when the peer
    /// has closed. Nothing is lost when the future is dropped.
    pub async fn step(&mut self) -> Result<bool, Error> {
        self.flush()?;
        let interest =
            if self.output.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let ready = match self.session.poll_timeout() {
            None => self.stream.ready(interest).await?,
            Some(deadline) => {
                let deadline = tokio::time::Instant::from_std(deadline);
                match tokio::time::timeout_at(deadline, self.stream.ready(interest)).await {
                    Ok(ready) => ready?,
                    Err(_) => {
                        self.session.handle_timeout(Instant::now()).map_err(overdue)?;
                        self.flush()?;
                        return Ok(true);
                    }
                }
            }
        };
        if ready.is_writable() {
            self.flush()?;
        }
        if ready.is_readable() { self.read() } else { Ok(true) }
    }

    fn read(&mut self) -> Result<bool, Error> {
        self.input.reserve(READ_BYTES);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.arrived = Instant::now();
                self.bytes_in += count as u64;
                let handled = self.session.handle_input(self.arrived, &mut self.input);
                self.flush()?;
                handled?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        while let Some(bytes) = self.session.poll_output() {
            self.output.extend_from_slice(&bytes);
        }
        while !self.output.is_empty() {
            match self.stream.try_write(&self.output) {
                Ok(0) => return Err(Error::Connection(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.output.advance(count);
                    self.bytes_out += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The session blames the peer for a deadline that passed; for people that is a server that does not answer.
fn overdue(error: rtmp::Error) -> Error {
    match error {
        rtmp::Error::Violation(what) => Error::Timeout(what),
        other => Error::Protocol(other),
    }
}
