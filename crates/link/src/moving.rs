//! On the way to another server, while the stream still plays from the first one.

use crate::connection::Connection;
use crate::limits::{MOVE_RETRIES_MAX, MOVES_MAX, MOVES_WINDOW};
use crate::splice::{Played, Splice};
use crate::{Backoff, Error, Link, Options};
use rtmp::Message;
use rtmp::client::{Event, Role};
use rtmp::url::Url;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::time::Instant;

/// A move that is under way.
pub(crate) struct Move {
    state: State,
    /// The old connection brings nothing more.
    pub(crate) left_alone: bool,
}

enum State {
    Opening(Pin<Box<dyn Future<Output = Result<Link, Error>> + Send + Sync>>),
    Open(Box<Link>, Splice),
}

impl Move {
    pub(crate) fn new(to: Url, options: Options) -> Self {
        Self { state: State::Opening(Box::pin(open(to, options))), left_alone: false }
    }

    /// Waits until the new connection did something. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The new connection cannot be had.
    pub(crate) async fn step(&mut self) -> Result<(), Error> {
        match &mut self.state {
            State::Opening(opening) => {
                let mut link = opening.as_mut().await?;
                let mut splice = Splice::new(Instant::now());
                hold(&mut link.connection, &mut splice)?;
                self.state = State::Open(Box::new(link), splice);
                Ok(())
            }
            State::Open(link, splice) => {
                if !link.connection.step().await? {
                    return Err(Error::Closed("after it had accepted the stream"));
                }
                hold(&mut link.connection, splice)
            }
        }
    }

    /// The time difference with which the new connection goes on, once it can.
    pub(crate) fn find_shift(&self, played: &Played, now: Instant) -> Option<u32> {
        let State::Open(_, splice) = &self.state else { return None };
        let found = splice.find(played);
        if self.left_alone || splice.is_overdue(now) {
            found.or_else(|| splice.guess(played, now))
        } else {
            found
        }
    }

    /// Ends the move: the new connection, and what it has brought so far, in its own times.
    pub(crate) fn arrive(self) -> Option<(Link, VecDeque<Message>)> {
        match self.state {
            State::Open(link, splice) => Some((*link, splice.into_held())),
            State::Opening(_) => None,
        }
    }
}

/// Opens the new connection. The other server may be about to start, so it is tried more than once.
async fn open(to: Url, options: Options) -> Result<Link, Error> {
    let mut backoff = Backoff::default();
    loop {
        match Link::open(&to, Role::Play, &options).await {
            Err(error) if error.is_transient() && backoff.failures() < MOVE_RETRIES_MAX => {
                tokio::time::sleep(backoff.wait()).await;
            }
            result => return result,
        }
    }
}

fn hold(connection: &mut Connection, splice: &mut Splice) -> Result<(), Error> {
    while let Some(event) = connection.poll_event() {
        match event {
            Event::Message(message) => splice.push(message)?,
            Event::Ended(status) | Event::Rejected(status) => return Err(status.into()),
            _ => {}
        }
    }
    Ok(())
}

impl fmt::Debug for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Opening(_) => "opening",
            State::Open(..) => "open",
        };
        f.debug_struct("Move").field("state", &state).field("left_alone", &self.left_alone).finish()
    }
}

/// Tells servers that send players in circles from those that have a reason.
#[derive(Debug, Default)]
pub(crate) struct MoveCount {
    recent: VecDeque<Instant>,
}

impl MoveCount {
    /// Whether one more move makes sense.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        self.recent.retain(|at| now.saturating_duration_since(*at) < MOVES_WINDOW);
        if self.recent.len() >= MOVES_MAX {
            return false;
        }
        self.recent.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_player_that_is_sent_in_circles_stays_where_it_is() {
        let now = Instant::now();
        let mut count = MoveCount::default();
        assert!((0..MOVES_MAX).all(|_| count.admit(now)));
        assert!(!count.admit(now));
        assert!(count.admit(now + MOVES_WINDOW));
    }
}
