//! When to try again.

use super::limits::{ABSENT_MAX, REFUSED_FIRST, REFUSED_MAX, RETRY_FIRST, STABLE};
use link::Backoff;
use std::time::Duration;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server was not reached, or the connection broke: it may be back soon.
    Broken,
    /// The server does not want us: a wrong key, a name that is in use.
    Refused,
    /// The server does not have the stream (yet).
    Absent,
}

impl Failure {
    /// Of a connection that was to publish.
    pub(crate) fn of_push(error: &link::Error) -> Self {
        match error {
            link::Error::Refused { .. } => Failure::Refused,
            error if !error.is_transient() => Failure::Refused,
            _ => Failure::Broken,
        }
    }

    /// Of a connection that was to play.
    pub(crate) fn of_pull(error: &link::Error) -> Self {
        match error {
            link::Error::Refused { code, .. }
                if matches!(
                    code.as_str(),
                    "NetStream.Play.StreamNotFound"
                        | "NetStream.Play.UnpublishNotify"
                        | "NetStream.Play.Stop"
                        | "NetStream.Play.Complete"
                ) =>
            {
                Failure::Absent
            }
            // A server that lets its players wait for a stream says nothing.
            link::Error::Timeout(_) => Failure::Absent,
            _ => Self::of_push(error),
        }
    }
}

/// The waits between attempts, by kind of failure.
#[derive(Debug)]
pub(crate) struct Retry {
    broken: Backoff,
    refused: Backoff,
    absent: Backoff,
}

impl Retry {
    /// `broken_max` is the longest wait for a server that is not reached; `seed` makes relays differ.
    pub(crate) fn new(broken_max: Duration, seed: u64) -> Self {
        let first = RETRY_FIRST.min(broken_max);
        Self {
            broken: Backoff::between(first, broken_max, seed),
            refused: Backoff::between(REFUSED_FIRST, REFUSED_MAX, seed),
            absent: Backoff::between(first, ABSENT_MAX, seed),
        }
    }

    /// How long to wait after a failure. `lasted` is how long media had flowed before it.
    pub(crate) fn after(&mut self, failure: Failure, lasted: Duration) -> Duration {
        if lasted >= STABLE {
            self.broken.reset();
            self.refused.reset();
            self.absent.reset();
        }
        match failure {
            Failure::Broken => self.broken.wait(),
            Failure::Refused => self.refused.wait(),
            Failure::Absent => self.absent.wait(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn waits_grow_to_their_maximum_and_a_refusal_waits_longer() {
        let mut retry = Retry::new(MAX, 1);
        let waits: Vec<_> = (0..12).map(|_| retry.after(Failure::Broken, Duration::ZERO)).collect();
        assert!(waits[0] <= RETRY_FIRST && waits[11] >= MAX / 2 && waits.iter().all(|wait| *wait <= MAX));
        let refused: Vec<_> = (0..12).map(|_| retry.after(Failure::Refused, Duration::ZERO)).collect();
        assert!(refused[0] >= REFUSED_FIRST / 2 && refused[11] >= REFUSED_MAX / 2);
        let absent: Vec<_> = (0..12).map(|_| retry.after(Failure::Absent, Duration::ZERO)).collect();
        assert!(absent.iter().all(|wait| *wait <= ABSENT_MAX));
    }

    #[test]
    fn only_a_connection_that_has_lasted_starts_over() {
        let mut retry = Retry::new(MAX, 1);
        for _ in 0..12 {
            retry.after(Failure::Broken, Duration::ZERO);
        }
        assert!(retry.after(Failure::Broken, STABLE / 2) >= MAX / 2, "it comes and goes");
        assert!(retry.after(Failure::Broken, STABLE) <= RETRY_FIRST);
    }

    #[test]
    fn kinds_of_failure_are_told_apart() {
        let refused = |code: &str| link::Error::Refused { code: code.to_owned(), description: String::new() };
        let bad_name = refused("NetStream.Publish.BadName");
        assert_eq!(Failure::of_push(&bad_name), Failure::Refused);
        assert_eq!(Failure::of_pull(&refused("NetStream.Play.StreamNotFound")), Failure::Absent);
        assert_eq!(Failure::of_pull(&refused("NetConnection.Connect.Rejected")), Failure::Refused);
        assert_eq!(Failure::of_pull(&link::Error::Closed("early")), Failure::Broken);
        assert_eq!(Failure::of_push(&link::Error::Timeout("it")), Failure::Broken);
        assert_eq!(Failure::of_pull(&link::Error::Timeout("it")), Failure::Absent);
    }
}
