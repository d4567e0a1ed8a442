//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long any single condition may take. Generous, since two cores may run four tests: a miss is a bug, not bad luck.
pub const DEADLINE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(20);

/// Asks `check` until it answers, and returns the answer. `what` names the condition in the failure.
///
/// # Panics
/// After [`DEADLINE`].
#[track_caller]
pub fn until<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    until_within(DEADLINE, what, check)
}

/// [`until`] with a deadline of its own.
///
/// # Panics
/// After `deadline`.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "the pause between two looks at a condition")]
pub fn until_within<T>(deadline: Duration, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < end, "within {deadline:?} it did not happen that {what}");
        std::thread::sleep(POLL);
    }
}

/// Checks that `holds` is true all along `span`: for things that must **not** happen.
///
/// # Panics
/// At the first look that finds it false.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "the pause between two looks at a condition")]
pub fn stays(span: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        assert!(holds(), "it did not stay true that {what}");
        std::thread::sleep(POLL);
    }
}
