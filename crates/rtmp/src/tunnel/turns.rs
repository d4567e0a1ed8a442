//! The order of the requests of one session.

use super::Refusal;
use crate::limits;

/// Serves requests in the order of their numbers, whatever order they arrive in, each once. `R` is a reply: the last one
/// is kept for a client that lost it and asks again.
#[derive(Debug)]
pub struct Turns<R> {
    /// The number whose turn it is.
    next: u64,
    last: Last<R>,
}

/// How far the request before the next one has come.
#[derive(Debug)]
enum Last<R> {
    /// There was none.
    Never,
    AtWork,
    Answered(R),
}

/// What is to be done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn<R> {
    /// It can be served: [`Turns::begin`].
    Now,
    /// It has to wait for one before it, or for its own first copy.
    Wait,
    /// It was served; this is the reply.
    Repeated(R),
    /// It cannot be served.
    Refused(Refusal),
}

impl<R: Clone> Turns<R> {
    /// A session that was just opened: its first request has number 0.
    pub fn new() -> Self {
        Self { next: 0, last: Last::Never }
    }

    /// What is to be done with a request of this number.
    pub fn ask(&self, number: u64) -> Turn<R> {
        match &self.last {
            _ if number > self.next => match number - self.next {
                ahead if ahead < limits::TUNNEL_WINDOW => Turn::Wait,
                _ => Turn::Refused(Refusal::Ahead),
            },
            Last::AtWork if self.next - number <= 1 => Turn::Wait,
            _ if number == self.next => Turn::Now,
            Last::Answered(reply) if self.next - number == 1 => Turn::Repeated(reply.clone()),
            _ => Turn::Refused(Refusal::Stale),
        }
    }

    /// Begins to serve the request whose turn it is. Returns whether it is the one of this number.
    pub fn begin(&mut self, number: u64) -> bool {
        let now = number == self.next && !matches!(self.last, Last::AtWork);
        if now {
            // At a thousand requests a second, 64 bits last half a billion years.
            self.next = self.next.saturating_add(1);
            self.last = Last::AtWork;
        }
        now
    }

    /// Ends the request that was begun.
    pub fn end(&mut self, reply: R) {
        if matches!(self.last, Last::AtWork) {
            self.last = Last::Answered(reply);
        }
    }
}

impl<R: Clone> Default for Turns<R> {
    fn default() -> Self {
        Self::new()
    }
}
