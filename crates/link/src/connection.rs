//! An RTMP client session on a byte stream.

use crate::Error;
use bytes::{Buf, BytesMut};
use net::Stream;
use rtmp::client::{Config, Event, Session};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::AsyncWrite;

/// Bytes asked for in one read. A keyframe of a 2 Mbit/s stream fits.
const READ_BYTES: usize = 64 << 10;

/// Drives a [`Session`]: everything it wants to say is written, everything that arrives is given to it.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    session: Session,
    input: BytesMut,
    output: BytesMut,
    pub(crate) arrived: Instant,
    /// Bytes of the session that were read.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Connection {
    /// Starts a session on a connected stream. The first bytes are sent by [`Connection::step`].
    pub(crate) fn new(stream: Stream, config: Config) -> Result<Self, Error> {
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

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Bytes that the stream has not taken yet.
    pub(crate) fn queued(&self) -> usize {
        self.output.len()
    }

    /// Sends one message of the published stream, at once if the stream takes it.
    pub(crate) fn send(&mut self, kind: u8, timestamp: u32, payload: &[&[u8]]) -> Result<(), Error> {
        self.session.send_message(kind, timestamp, payload)?;
        self.collect_output();
        Ok(self.write()?)
    }

    /// Queues the goodbye of the session.
    pub(crate) fn close(&mut self) {
        self.session.close();
    }

    /// Says goodbye as far as that can be done without waiting.
    pub(crate) fn leave(&mut self) {
        self.close();
        self.collect_output();
        // Whoever leaves does not care what becomes of the connection.
        let _ = self.write();
    }

    /// Waits until everything was sent, and tells the peer that no more comes.
    pub(crate) async fn shut_down(&mut self) -> Result<(), Error> {
        self.collect_output();
        poll_fn(|cx| self.poll_write(cx)).await?;
        poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await?;
        Ok(())
    }

    /// Waits until the stream did something, or for the session's own deadline. Returns false when the peer has closed.
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn step(&mut self) -> Result<bool, Error> {
        self.collect_output();
        let deadline = self.session.poll_timeout();
        let work = poll_fn(|cx| self.poll_step(cx));
        let Some(deadline) = deadline else { return work.await };
        match tokio::time::timeout_at(deadline.into(), work).await {
            Ok(done) => done,
            Err(_) => {
                self.session.handle_timeout(Instant::now()).map_err(overdue)?;
                Ok(true)
            }
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        let queued = self.output.len();
        let written = self.poll_write(cx)?;
        self.input.reserve(READ_BYTES);
        match self.stream.poll_read_buf(cx, &mut self.input) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(false)),
            Poll::Ready(Ok(count)) => {
                self.arrived = Instant::now();
                self.bytes_in += count as u64;
                let handled = self.session.handle_input(self.arrived, &mut self.input);
                // What it has to say about an error is worth saying.
                self.collect_output();
                self.write()?;
                handled?;
                Poll::Ready(Ok(true))
            }
            Poll::Ready(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                Poll::Ready(Err(error.into()))
            }
            _ if written.is_ready() && queued > 0 || self.output.len() < queued => Poll::Ready(Ok(true)),
            _ => Poll::Pending,
        }
    }

    fn collect_output(&mut self) {
        while let Some(bytes) = self.session.poll_output() {
            self.output.extend_from_slice(&bytes);
        }
    }

    /// Writes what the stream takes now.
    fn write(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.try_write_vectored(&[IoSlice::new(&self.output)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.output.advance(count);
                    self.bytes_out += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes until everything has left the stream.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            std::task::ready!(self.stream.poll_write_ready(cx))?;
            self.write()?;
        }
        self.stream.poll_flush(cx)
    }
}

/// The session blames the peer for a deadline that passed; for people that is a server that does not answer.
fn overdue(error: rtmp::Error) -> Error {
    match error {
        rtmp::Error::Violation(what) => Error::Timeout(what),
        other => Error::Protocol(other),
    }
}
