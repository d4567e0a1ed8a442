//! What is wrong with the pictures and the sound of a stream, from what is seen and heard of them. Pure.

use engine::host::Sight;
use media::Time;
use std::time::Duration;

/// Something that viewers would call a fault, and that no protocol notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The picture is black.
    Black,
    /// The picture stands still.
    Frozen,
    /// There is nothing to hear.
    Silent,
}

/// So much of a picture is black when it is black: a logo may stay.
const BLACK_PART: f32 = 0.98;
/// Less than this differs from the keyframe before when a picture stands: an eye of a face is more.
const CHANGED_PART: f32 = 0.001;
/// Sound below it, in dB of full scale, is that of a cable.
const SILENT_DB: i8 = -60;

impl Fault {
    /// Its name in the API and in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Black => "black",
            Self::Frozen => "frozen",
            Self::Silent => "silent",
        }
    }
}

/// A fault that begins to count, or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) fault: Fault,
    pub(super) is_raised: bool,
}

/// Waits until a fault has lasted.
#[derive(Debug)]
pub(super) struct Judge {
    after: Duration,
    signs: [Sign; 3],
    /// When the keyframe before was shown.
    shown: Option<Time>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sign {
    since: Option<Time>,
    is_raised: bool,
}

impl Judge {
    /// A fault counts when it has lasted for `after`, on the clock of the stream.
    pub(super) fn new(after: Duration) -> Self {
        Self { after, signs: Default::default(), shown: None }
    }

    /// Takes note of something; what follows from it.
    pub(super) fn note(&mut self, sight: Sight) -> Vec<Change> {
        let mut changes = Vec::new();
        match sight {
            Sight::Picture { at, black, changed } => {
                let is_black = black >= BLACK_PART;
                let is_still = changed.is_some_and(|changed| changed < CHANGED_PART);
                // It stands since the one before; one that is black stands, too, and is told once.
                let since = self.shown.replace(at).filter(|shown| *shown <= at).unwrap_or(at);
                changes.extend(self.sign(Fault::Black, is_black, at, at));
                changes.extend(self.sign(Fault::Frozen, is_still && !is_black, since, at));
            }
            Sight::Sound { at, peak_db } => {
                changes.extend(self.sign(Fault::Silent, peak_db <= SILENT_DB, at, at));
            }
        }
        changes
    }

    fn sign(&mut self, fault: Fault, is_bad: bool, from: Time, at: Time) -> Option<Change> {
        let sign = self.signs.get_mut(fault as usize)?;
        if !is_bad {
            let was_raised = std::mem::take(sign).is_raised;
            return was_raised.then_some(Change { fault, is_raised: false });
        }
        // Times that go back begin anew.
        let since = sign.since.filter(|since| *since <= at).unwrap_or(from);
        sign.since = Some(since);
        let is_news = !sign.is_raised && at.since(since) >= self.after;
        sign.is_raised |= is_news;
        is_news.then_some(Change { fault, is_raised: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge() -> Judge {
        Judge::new(Duration::from_secs(10))
    }

    fn picture(seconds: i64, black: f32, changed: f32) -> Sight {
        Sight::Picture { at: Time::from_millis(seconds * 1000), black, changed: Some(changed) }
    }

    fn sound(seconds: i64, peak_db: i8) -> Sight {
        Sight::Sound { at: Time::from_millis(seconds * 1000), peak_db }
    }

    /// What is told, and with which sight.
    fn told(judge: &mut Judge, sights: impl IntoIterator<Item = Sight>) -> Vec<(usize, &'static str, bool)> {
        let all = sights.into_iter().enumerate();
        all.flat_map(|(index, sight)| {
            let changes = judge.note(sight).into_iter();
            changes.map(move |change| (index, change.fault.name(), change.is_raised)).collect::<Vec<_>>()
        })
        .collect()
    }

    #[test]
    fn a_fault_counts_when_it_has_lasted_and_ends_with_the_first_good_picture() {
        let black = (0..8).map(|index| picture(2 * index, 1.0, 0.0)).chain([picture(16, 0.3, 1.0)]);
        assert_eq!(told(&mut judge(), black), [(5, "black", true), (8, "black", false)]);
        let still = (0..8).map(|index| picture(2 * index, 0.0, if index == 0 { 1.0 } else { 0.0 }));
        assert_eq!(told(&mut judge(), still), [(5, "frozen", true)]);
        let quiet = (0..30).map(|index| sound(index, -70)).chain([sound(30, -20)]);
        assert_eq!(told(&mut judge(), quiet), [(10, "silent", true), (30, "silent", false)]);
    }

    #[test]
    fn what_is_short_or_good_is_not_told() {
        let flashes = (0..60).map(|index| picture(index, if index % 5 == 0 { 0.0 } else { 1.0 }, 1.0));
        assert_eq!(told(&mut judge(), flashes), []);
        let talk = (0..60).map(|index| sound(index, if index % 8 == 0 { -12 } else { -90 }));
        assert_eq!(told(&mut judge(), talk), []);
    }

    #[test]
    fn times_that_go_back_begin_anew() {
        let sights = [sound(100, -90), sound(105, -90), sound(1, -90), sound(10, -90), sound(11, -90)];
        assert_eq!(told(&mut judge(), sights), [(4, "silent", true)]);
    }
}
