//! What is wrong with the disk, for people: since when, told in the log when it begins, from time to time, and when it is over.

use super::limits::{PROBLEM_OVER, TOLD_AGAIN};
use crate::http::rfc3339;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};
use tracing::{info, warn};

/// Why viewers cannot go back as far as they should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// There is no room for more, as the system says it.
    Full(String),
    /// It takes less than comes.
    Slow,
    /// It fails, as the system says it.
    Failed(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(why) => f.write_str(why),
            Self::Slow => f.write_str("disk too slow"),
            Self::Failed(why) => write!(f, "disk failed ({why})"),
        }
    }
}

/// The newest problem.
#[derive(Debug, Default)]
pub(super) struct Problems(Option<Lasting>);

#[derive(Debug)]
struct Lasting {
    problem: Problem,
    since: SystemTime,
    /// When it came last.
    seen: Instant,
    told: Instant,
}

impl Problems {
    /// Notes that something is wrong.
    pub(super) fn note(&mut self, problem: Problem, now: Instant) {
        let lasting = match self.0.take() {
            Some(lasting) if now.saturating_duration_since(lasting.told) < TOLD_AGAIN => {
                Lasting { problem, seen: now, ..lasting }
            }
            known => {
                let since = known.map_or_else(SystemTime::now, |known| known.since);
                let lasting = Lasting { problem, since, seen: now, told: now };
                warn!("{lasting}");
                lasting
            }
        };
        self.0 = Some(lasting);
    }

    /// Forgets what is over.
    pub(super) fn settle(&mut self, now: Instant) {
        let is_over = |lasting: &mut Lasting| now.saturating_duration_since(lasting.seen) >= PROBLEM_OVER;
        if let Some(lasting) = self.0.take_if(is_over) {
            let lasted = lasting.since.elapsed().unwrap_or_default();
            let lasted = Duration::from_secs(lasted.as_secs());
            info!(?lasted, "segments for rewinding are kept again");
        }
    }

    /// What is wrong now, in words.
    pub(super) fn describe(&self) -> Option<String> {
        self.0.as_ref().map(Lasting::to_string)
    }
}

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: rewinding is shortened since {}", self.problem, rfc3339(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_until_it_has_not_come_again_for_a_while() {
        let (mut problems, now) = (Problems::default(), Instant::now());
        problems.note(Problem::Full("disk full".to_owned()), now);
        problems.note(Problem::Slow, now + PROBLEM_OVER / 2);
        let told = problems.describe().unwrap();
        assert!(told.starts_with("disk too slow: rewinding is shortened since 20"), "{told}");
        problems.settle(now + PROBLEM_OVER);
        assert!(problems.describe().is_some());
        problems.settle(now + PROBLEM_OVER * 2);
        assert!(problems.describe().is_none());
    }
}
