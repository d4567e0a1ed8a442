//! Which rungs there is room for. Pure.
//!
//! Cost is in processor cores: estimated until a rung has run for a while, then measured. Streams that are passed through
//! cost nothing here and are never stopped.

use super::limits::OVERLOADS;
use media::StreamName;
use std::collections::BTreeMap;
use std::fmt;

/// A rung, as it weighs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weight {
    /// Processor cores that it takes.
    pub(super) cores: f64,
    /// Who watch it.
    pub(super) viewers: usize,
    /// Players begin with it.
    pub(super) is_join: bool,
}

impl Weight {
    /// Less is less worth: few viewers for many cores. Where they are equal the one that players begin with stays.
    fn value(&self) -> (usize, bool, f64) {
        (self.viewers, self.is_join, -self.cores)
    }

    fn is_below(&self, other: &Self) -> bool {
        self.value() < other.value()
    }
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Full {
    pub(super) wanted: f64,
    pub(super) used: f64,
    pub(super) cores: f64,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it takes about {:.2} processor cores, and of the {:.2} that rungs may take {:.2} are in use: raise transcode.cores_max, \
             or use a larger machine",
            self.wanted, self.cores, self.used
        )
    }
}

/// The rungs that run, and how many cores they may take.
#[derive(Debug)]
pub(super) struct Budget {
    cores: f64,
    rungs: BTreeMap<StreamName, Weight>,
    /// What decoding takes, by stream.
    sources: BTreeMap<StreamName, f64>,
    /// Measurements in a row that found too much.
    overloads: u32,
}

impl Budget {
    pub(super) fn new(cores: f64) -> Self {
        Self { cores, rungs: BTreeMap::new(), sources: BTreeMap::new(), overloads: 0 }
    }

    /// Cores in use.
    pub(super) fn used(&self) -> f64 {
        self.rungs.values().map(|weight| weight.cores).sum::<f64>() + self.sources.values().sum::<f64>()
    }

    /// Cores that may be used.
    pub(super) fn cores(&self) -> f64 {
        self.cores
    }

    /// Makes room for `wanted` cores: the rungs that have to go for that, of which nobody watches any.
    ///
    /// # Errors
    ///
    /// There is not enough that nobody watches. Then nothing is to go. A machine that is idle makes one rung, whatever it takes.
    pub(super) fn make_room(&self, wanted: f64) -> Result<Vec<StreamName>, Full> {
        let mut used = self.used();
        let mut leaving = Vec::new();
        for (name, weight) in self.by_value() {
            if used + wanted <= self.cores || weight.viewers > 0 {
                break;
            }
            used -= weight.cores;
            leaving.push(name.clone());
        }
        if used + wanted > self.cores && leaving.len() < self.rungs.len() {
            return Err(Full { wanted, used: self.used(), cores: self.cores });
        }
        Ok(leaving)
    }

    /// Notes what a rung takes, or takes now.
    pub(super) fn set(&mut self, name: &StreamName, weight: Weight) {
        self.rungs.insert(name.clone(), weight);
    }

    /// Notes what decoding a stream takes.
    pub(super) fn set_source(&mut self, name: &StreamName, cores: f64) {
        self.sources.insert(name.clone(), cores);
    }

    /// A rung has ended.
    pub(super) fn remove(&mut self, name: &StreamName) {
        self.rungs.remove(name);
    }

    /// A stream is not decoded any more.
    pub(super) fn remove_source(&mut self, name: &StreamName) {
        self.sources.remove(name);
    }

    /// Notes a round of measurements; `late` are the rungs that did not keep up. Returns the rung that is to go, if they have found
    /// too much again and again: the one of least value where rungs take more than they may, and otherwise the one of least value
    /// of those that are late, which others cannot help. The last one stays while it keeps up.
    pub(super) fn note_round(&mut self, late: &[StreamName]) -> Option<StreamName> {
        let is_over = self.used() > self.cores && self.rungs.len() > 1;
        let is_late = |name: &StreamName| late.contains(name);
        let has_late = self.rungs.keys().any(is_late);
        self.overloads = if is_over || has_late { self.overloads + 1 } else { 0 };
        if self.overloads < OVERLOADS {
            return None;
        }
        // What is left is measured anew.
        self.overloads = 0;
        self.by_value().into_iter().find(|(name, _)| is_over || is_late(name)).map(|(name, _)| name.clone())
    }

    fn by_value(&self) -> Vec<(&StreamName, &Weight)> {
        let mut rungs: Vec<_> = self.rungs.iter().collect();
        rungs.sort_by(|(_, a), (_, b)| match (a.is_below(b), b.is_below(a)) {
            (true, _) => std::cmp::Ordering::Less,
            (_, true) => std::cmp::Ordering::Greater,
            _ => std::cmp::Ordering::Equal,
        });
        rungs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_channel;

    fn name(rung: &str) -> StreamName {
        parse_channel(&format!("live/cam~{rung}")).unwrap()
    }

    fn budget(cores: f64, rungs: &[(&str, f64, usize)]) -> Budget {
        let mut budget = Budget::new(cores);
        for (rung, cores, viewers) in rungs {
            budget.set(&name(rung), Weight { cores: *cores, viewers: *viewers, is_join: *rung == "join" });
        }
        budget
    }

    #[test]
    fn rungs_that_nobody_watches_make_room_for_new_ones() {
        let budget = budget(2.0, &[("720p", 0.8, 1), ("480p", 0.5, 0), ("360p", 0.3, 0)]);
        assert_eq!(budget.make_room(0.4), Ok(vec![]));
        assert_eq!(budget.make_room(0.6), Ok(vec![name("480p")]), "the one that takes most");
        assert_eq!(budget.make_room(1.1), Ok(vec![name("480p"), name("360p")]));
        let full = budget.make_room(1.3).unwrap_err();
        assert!(
            full.to_string().contains("1.30 processor cores") && full.to_string().contains("1.60 are in use")
        );
    }

    #[test]
    fn an_idle_machine_makes_one_rung_however_small_it_is() {
        let mut budget = budget(0.5, &[]);
        assert_eq!(budget.make_room(3.0), Ok(vec![]));
        budget.set(&name("720p"), Weight { cores: 3.0, viewers: 1, is_join: false });
        assert!(budget.make_room(0.1).is_err());
        assert_eq!(
            (0..10).find_map(|_| budget.note_round(&[])),
            None,
            "the last one stays while it keeps up"
        );
    }

    #[test]
    fn after_a_while_of_too_much_the_rung_of_least_value_goes() {
        let mut budget =
            budget(1.0, &[("720p", 0.6, 2), ("480p", 0.4, 1), ("360p", 0.3, 1), ("join", 0.3, 1)]);
        budget.set_source(&parse_channel("live/cam").unwrap(), 0.2);
        let gone: Vec<_> = (0..2 * OVERLOADS).map(|_| budget.note_round(&[])).collect();
        assert_eq!(gone.iter().filter(|gone| gone.is_some()).count(), 2, "one at a time");
        assert_eq!(gone[OVERLOADS as usize - 1], Some(name("480p")));
        budget.remove(&name("480p"));
        assert_eq!((0..OVERLOADS).find_map(|_| budget.note_round(&[])), Some(name("360p")));
        budget.remove(&name("360p"));
        budget.remove(&name("join"));
        assert_eq!((0..9).find_map(|_| budget.note_round(&[])), None, "0.8 of 1.0");
    }

    #[test]
    fn a_rung_that_does_not_keep_up_goes_itself_where_there_is_room() {
        let mut budget = budget(9.0, &[("720p", 0.6, 3), ("480p", 0.4, 1), ("360p", 0.3, 2)]);
        let late = [name("720p")];
        assert_eq!(budget.note_round(&late), None);
        assert_eq!(budget.note_round(&[]), None, "it was a moment");
        let gone = (0..OVERLOADS).find_map(|_| budget.note_round(&late));
        assert_eq!(gone, Some(name("720p")), "no other rung makes it any faster");
        budget.remove(&name("720p"));
        let late = [name("360p"), name("480p")];
        assert_eq!((0..OVERLOADS).find_map(|_| budget.note_round(&late)), Some(name("480p")));
    }

    #[test]
    fn where_rungs_take_too_much_the_one_of_least_value_goes_whichever_is_late() {
        let mut budget = budget(1.0, &[("720p", 0.8, 3), ("480p", 0.4, 1)]);
        let gone = (0..OVERLOADS).find_map(|_| budget.note_round(&[name("720p")]));
        assert_eq!(gone, Some(name("480p")));
    }

    #[test]
    fn a_stream_that_is_not_decoded_any_more_costs_nothing() {
        let mut budget = budget(1.0, &[("480p", 0.4, 1)]);
        let source = parse_channel("live/cam").unwrap();
        budget.set_source(&source, 0.5);
        assert!(budget.make_room(0.3).is_err());
        budget.remove_source(&source);
        assert_eq!(budget.make_room(0.3), Ok(vec![]));
        budget.remove(&name("480p"));
        assert!(budget.used() == 0.0 && budget.cores() == 1.0);
    }
}
