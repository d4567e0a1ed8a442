//! An RTMP client session on what carries it.

use crate::carrier::{Carrier, Read};
use crate::limits::ANSWERS_BYTES_MAX;
use crate::{Error, Options};
use bytes::BytesMut;
use rtmp::client::{Config, Event, Session};
use rtmp::url::Url;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

/// Drives a [`Session`]: everything it wants to say is written, everything that arrives is given to it.
#[derive(Debug)]
pub(crate) struct Connection {
    carrier: Carrier,
    session: Session,
    input: BytesMut,
    pub(crate) arrived: Instant,
    /// Bytes of the session that were read.
    pub(crate) session_bytes_in: u64,
    /// Of what waits for the carrier, what the server provoked; more only if media has left before it.
    answers: usize,
}

impl Connection {
    /// Connects as `url` says and starts a session. Its first bytes are sent by [`Connection::step`].
    pub(crate) async fn open(
        url: &Url,
        options: &Options,
        config: Config,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)
            .map_err(|error| Error::Connection(io::Error::other(format!("no random numbers: {error}"))))?;
        let carrier = Carrier::open(url, options, deadline).await?;
        let now = Instant::now();
        let session = Session::new(config, random, now);
        Ok(Self { carrier, session, input: BytesMut::new(), arrived: now, session_bytes_in: 0, answers: 0 })
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    /// Sends one message of the published stream, at once if the carrier takes it.
    pub(crate) fn send(&mut self, kind: u8, timestamp: u32, payload: &[&[u8]]) -> Result<(), Error> {
        self.session.send_message(kind, timestamp, payload)?;
        self.collect_output();
        Ok(self.carrier.write()?)
    }

    /// Queues the goodbye.
    fn close(&mut self) {
        self.session.close();
        self.collect_output();
        self.carrier.close();
    }

    /// Says goodbye as far as that can be done without waiting.
    pub(crate) fn leave(&mut self) {
        self.close();
        // Whoever leaves does not care what becomes of the connection.
        let _ = self.carrier.write();
    }

    /// Says goodbye and waits until the peer has closed.
    pub(crate) async fn finish(&mut self) -> Result<(), Error> {
        self.close();
        if !self.carrier.is_tunnel() {
            poll_fn(|cx| self.carrier.poll_write(cx)).await?;
            poll_fn(|cx| self.carrier.poll_shutdown(cx)).await?;
        }
        while self.step().await? {
            while self.poll_event().is_some() {}
        }
        Ok(())
    }

    /// Waits until the carrier did something, or for a deadline. Returns false when the peer has closed. Nothing is lost
    /// when the future is dropped.
    pub(crate) async fn step(&mut self) -> Result<bool, Error> {
        self.carrier.repair().await?;
        self.collect_output();
        let deadline = [self.session.poll_timeout(), self.carrier.poll_timeout()].into_iter().flatten().min();
        let work = poll_fn(|cx| self.poll_step(cx));
        let Some(deadline) = deadline else { return work.await };
        match tokio::time::timeout_at(deadline.into(), work).await {
            Ok(done) => done,
            Err(_) => {
                let now = Instant::now();
                self.session.handle_timeout(now).map_err(overdue)?;
                self.carrier.handle_timeout(now)?;
                Ok(true)
            }
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        let bytes_out = self.carrier.bytes_out;
        if let Poll::Ready(Err(error)) = self.carrier.poll_write(cx) {
            return Poll::Ready(Err(error.into()));
        }
        let before = self.input.len();
        match self.carrier.poll_read(cx, &mut self.input)? {
            Poll::Ready(Read::End) => Poll::Ready(Ok(false)),
            Poll::Ready(Read::Some) => {
                if self.input.len() > before {
                    self.arrived = Instant::now();
                    self.session_bytes_in += (self.input.len() - before) as u64;
                    let handled = self.session.handle_input(self.arrived, &mut self.input);
                    // What it has to say about an error is worth saying.
                    self.answer()?;
                    handled?;
                }
                Poll::Ready(Ok(true))
            }
            Poll::Pending if self.carrier.bytes_out > bytes_out => Poll::Ready(Ok(true)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Sends what the session says to what the server said.
    fn answer(&mut self) -> Result<(), Error> {
        let before = self.carrier.queued();
        self.collect_output();
        let provoked = self.carrier.queued() - before;
        self.carrier.write()?;
        self.answers = (self.answers + provoked).min(self.carrier.queued());
        if self.answers > ANSWERS_BYTES_MAX {
            return Err(rtmp::Error::Violation("answers are not read").into());
        }
        Ok(())
    }

    fn collect_output(&mut self) {
        while let Some(bytes) = self.session.poll_output() {
            self.carrier.push(bytes);
        }
    }
}

impl Drop for Connection {
    /// A tunnel outlives its connections unless it is ended.
    fn drop(&mut self) {
        if self.carrier.is_tunnel() {
            self.leave();
        }
    }
}

/// The blame for a deadline that passed; for people that is a server that does not answer.
pub(crate) fn overdue(error: rtmp::Error) -> Error {
    match error {
        rtmp::Error::Violation(what) => Error::Timeout(what),
        other => Error::Protocol(other),
    }
}
