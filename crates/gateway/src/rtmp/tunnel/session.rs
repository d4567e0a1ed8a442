//! One tunnel: its requests in order, and what they take and bring.

use super::{CONSUME_MAX, ORDER_WAIT, REPLY_BYTES, REPLY_INTERVAL};
use bytes::Bytes;
use net::Pipe;
use rtmp::tunnel::{INTERVAL_CLOSED, Pace, Refusal, Turn, Turns};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

/// The client's end of an RTMP connection inside HTTP requests.
#[derive(Debug)]
pub(super) struct Tunnel {
    pipe: Pipe,
    state: Mutex<State>,
    /// A request was answered, so that it may be the next one's turn.
    turned: Notify,
    /// `State::over` was set.
    told: Notify,
}

#[derive(Debug)]
struct State {
    turns: Turns<Arc<Reply>>,
    pace: Pace,
    /// When the last request came, or the last part of a large one.
    heard: Instant,
    /// When something was last said.
    sent: Instant,
    /// Requests that wait for their turn. The one at work is not held back then.
    waiting: usize,
    /// The request that is held back.
    held: Option<Waker>,
    /// The client knows that the connection has ended.
    over: bool,
}

/// The body of a reply.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) interval: u8,
    pub(super) data: Vec<Bytes>,
    /// Bytes of `data`.
    pub(super) bytes: usize,
}

/// What a request does.
#[derive(Debug)]
pub(super) enum Work {
    Send(Bytes),
    Idle,
    Close,
}

/// What came of a request.
#[derive(Debug)]
pub(super) enum Served {
    Reply(Arc<Reply>),
    /// Another request of the same number was faster.
    Overtaken,
    /// The client left meanwhile.
    Gone,
}

impl Tunnel {
    pub(super) fn new(pipe: Pipe, now: Instant) -> Self {
        let state = State {
            turns: Turns::new(),
            pace: Pace::default(),
            heard: now,
            sent: now,
            waiting: 0,
            held: None,
            over: false,
        };
        Self { pipe, state: Mutex::new(state), turned: Notify::new(), told: Notify::new() }
    }

    /// Waits until the request of this number can be served. Some reply is the answer to one that was served before.
    pub(super) async fn turn(&self, number: u64) -> Result<Option<Arc<Reply>>, Refusal> {
        let ask = || {
            let mut state = self.state();
            state.heard = Instant::now();
            state.turns.ask(number)
        };
        let settled = |turn| match turn {
            Turn::Now => Some(Ok(None)),
            Turn::Repeated(reply) => Some(Ok(Some(reply))),
            Turn::Refused(refusal) => Some(Err(refusal)),
            Turn::Wait => None,
        };
        if let Some(result) = settled(ask()) {
            return result;
        }
        let _waiting = Waiting::new(self);
        let turn = async {
            loop {
                let mut turned = pin!(self.turned.notified());
                // Before looking, so that no turn is missed.
                turned.as_mut().enable();
                if let Some(result) = settled(ask()) {
                    return result;
                }
                turned.await;
            }
        };
        tokio::time::timeout(ORDER_WAIT, turn).await.unwrap_or(Err(Refusal::Ahead))
    }

    /// Serves a request whose turn it is. One that finds nothing to say is held back a little, until there is something or
    /// `next` completes, because the client goes on.
    pub(super) async fn serve(
        &self,
        number: u64,
        work: Work,
        next: impl FnMut(&mut Context<'_>) -> Poll<Next>,
    ) -> Served {
        if !self.state().turns.begin(number) {
            return Served::Overtaken;
        }
        // From here on the request is served, whatever becomes of the connection it came on.
        let serving = Serving { tunnel: self, answered: false };
        let mut closing = false;
        match work {
            Work::Send(body) => {
                // There is room: what the request before brought was read before it was answered.
                let given = self.pipe.try_give(&[body]);
                let read = tokio::time::timeout(CONSUME_MAX, poll_fn(|cx| self.pipe.poll_starved(cx)));
                if given.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) || read.await.is_err()
                {
                    self.fail();
                }
            }
            Work::Idle => {
                if self.held(next).await == Next::Gone {
                    return Served::Gone;
                }
            }
            Work::Close => {
                self.pipe.finish();
                closing = true;
            }
        }
        Served::Reply(serving.reply(closing))
    }

    /// Waits until there is something to say, the client goes on, or for as long as the pace allows.
    async fn held(&self, mut next: impl FnMut(&mut Context<'_>) -> Poll<Next>) -> Next {
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            if let Poll::Ready(next) = next(cx) {
                return Poll::Ready(next);
            }
            let ready = self.pipe.poll_read_ready(cx).is_ready();
            let until = {
                let mut state = self.state();
                if state.waiting > 0 {
                    return Poll::Ready(Next::Request);
                }
                state.held = Some(cx.waker().clone());
                if ready { state.sent + REPLY_INTERVAL } else { state.heard + state.pace.hold() }
            };
            // Most polls need no timer: they come later than that.
            if ready && (until <= Instant::now() || self.is_plenty()) {
                return Poll::Ready(Next::Request);
            }
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            if timer.deadline() != until {
                timer.as_mut().reset(until);
            }
            timer.as_mut().poll(cx).map(|()| Next::Request)
        })
        .await
    }

    /// Whether what waits makes a reply that is worth its head.
    fn is_plenty(&self) -> bool {
        let waiting = self.pipe.waiting();
        waiting.bytes >= REPLY_BYTES || waiting.ended
    }

    /// Notes that the client is there: a part of a large request has arrived.
    pub(super) fn heard(&self) {
        self.state().heard = Instant::now();
    }

    /// Completes when the client has said nothing for so long.
    pub(super) async fn silent(&self, limit: Duration) {
        loop {
            let at = self.state().heard + limit;
            if at <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(at).await;
        }
    }

    /// Breaks the connection.
    pub(super) fn fail(&self) {
        self.pipe.fail(io::ErrorKind::TimedOut);
    }

    /// Whether the client knows that the connection has ended.
    pub(super) fn is_over(&self) -> bool {
        self.state().over
    }

    /// Completes when the client knows that the connection has ended.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What happens on the connection of a request that is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next request is there.
    Request,
    /// It has ended.
    Gone,
}

/// A request at work. If it is dropped without a reply, nothing was taken, and the next one takes it.
struct Serving<'a> {
    tunnel: &'a Tunnel,
    answered: bool,
}

impl Serving<'_> {
    fn reply(mut self, closing: bool) -> Arc<Reply> {
        let mut data = Vec::new();
        let (bytes, ended) = match self.tunnel.pipe.try_take(&mut data) {
            Ok(taken) => (taken.bytes, taken.ended),
            Err(_) => (0, true),
        };
        // What a client that leaves has not taken, it does not want.
        let over = closing || ended && bytes == 0;
        let reply = if over {
            self.tunnel.state().over = true;
            self.tunnel.told.notify_one();
            Reply { interval: INTERVAL_CLOSED, ..Reply::default() }
        } else {
            let mut state = self.tunnel.state();
            if bytes > 0 {
                state.sent = Instant::now();
            }
            Reply { interval: state.pace.reply(bytes > 0), data, bytes }
        };
        let reply = Arc::new(reply);
        self.end(reply.clone());
        reply
    }

    fn end(&mut self, reply: Arc<Reply>) {
        self.answered = true;
        let mut state = self.tunnel.state();
        state.held = None;
        state.turns.end(reply);
        let waiting = state.waiting > 0;
        drop(state);
        if waiting {
            self.tunnel.turned.notify_waiters();
        }
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.end(Arc::new(Reply { interval: 1, ..Reply::default() }));
        }
    }
}

/// A request that waits for its turn.
struct Waiting<'a>(&'a Tunnel);

impl<'a> Waiting<'a> {
    fn new(tunnel: &'a Tunnel) -> Self {
        let held = {
            let mut state = tunnel.state();
            state.waiting += 1;
            state.held.take()
        };
        if let Some(held) = held {
            held.wake();
        }
        Self(tunnel)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}
