//! The way that a stream has come: what keeps relays from sending it in a circle.
//!
//! A node that sends or fetches a stream introduces itself with a note behind its program's name (`flashVer`, the field
//! that servers log and otherwise ignore):
//!
//! ```text
//! FMLE/3.0 (compatible; Rushlight/0.1.0) (via 5f3a91c2,08d1b7e4)
//!                                             │        └ this node
//!                                             └ the node before it
//! ```
//!
//! Each tag is made of a secret of the node and the name of the stream there, so a node knows its own and nobody
//! learns a name from it. A node that finds its own tag for a stream refuses the stream: it would be its own source. It
//! refuses to send a stream to a node that it comes from, and the other way round. A stream that has come through too many
//! nodes is refused as well, which ends circles under changing names.

use super::limits::HOPS_MAX;
use media::StreamName;
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

const START: &str = "(via ";

type Open = Mutex<HashMap<(Direction, StreamName), Vec<Via>>>;

/// The tags of the nodes that a stream has passed, the first one first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Via(Vec<u32>);

impl Via {
    /// What the name of a program says. A name without a note, or with one that makes no sense, has come from nowhere.
    pub(crate) fn parse(program: &str) -> Self {
        let Some(at) = program.rfind(START) else { return Self::default() };
        let Some((tags, _)) = program[at + START.len()..].split_once(')') else { return Self::default() };
        // One more than is allowed is enough to refuse it.
        let tags = tags.split(',').take(HOPS_MAX + 1).map(|tag| u32::from_str_radix(tag, 16));
        tags.collect::<Result<_, _>>().map(Self).unwrap_or_default()
    }

    /// The note for the name of our own program.
    pub(crate) fn note(&self) -> String {
        let mut note = String::from("via ");
        for (index, tag) in self.0.iter().enumerate() {
            let _ = write!(note, "{}{tag:08x}", if index == 0 { "" } else { "," });
        }
        note
    }
}

/// Why a stream is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looped {
    /// It has been here before.
    Circle,
    /// It has come through too many nodes.
    TooFar,
}

impl fmt::Display for Looped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Looped::Circle => f.write_str("this stream comes from where it goes: a relay leads in a circle"),
            Looped::TooFar => {
                write!(
                    f,
                    "this stream has come through more than {HOPS_MAX} servers: a relay leads in a circle"
                )
            }
        }
    }
}

/// Which way media moves between this node and the one that it is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// It publishes here.
    In,
    /// It plays from here.
    Out,
}

/// The ways of all streams that other nodes send here or fetch from here.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    secret: RandomState,
    /// Only of sessions whose peer is a node of ours: others cost nothing here.
    open: Arc<Open>,
}

/// Keeps the way of one session known while it lasts.
#[derive(Debug)]
pub(crate) struct Passage {
    key: (Direction, StreamName),
    via: Via,
    open: Arc<Open>,
}

impl Ways {
    fn tag(&self, name: &StreamName) -> u32 {
        self.secret.hash_one(name.as_str()) as u32
    }

    /// Lets a session through whose peer calls its program `program`. `None` if the peer is no relay.
    pub(crate) fn enter(
        &self,
        direction: Direction,
        name: &StreamName,
        program: &str,
    ) -> Result<Option<Passage>, Looped> {
        let via = Via::parse(program);
        if via.0.is_empty() {
            return Ok(None);
        }
        if via.0.contains(&self.tag(name)) {
            return Err(Looped::Circle);
        }
        if via.0.len() > HOPS_MAX {
            return Err(Looped::TooFar);
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let opposite = match direction {
            Direction::In => Direction::Out,
            Direction::Out => Direction::In,
        };
        let meets = |other: &Via| other.0.iter().any(|tag| via.0.contains(tag));
        if open.get(&(opposite, name.clone())).is_some_and(|ways| ways.iter().any(meets)) {
            return Err(Looped::Circle);
        }
        let key = (direction, name.clone());
        open.entry(key.clone()).or_default().push(via.clone());
        Ok(Some(Passage { key, via, open: self.open.clone() }))
    }

    /// The way of a stream to the next node: that of the longest session there is, and this node.
    pub(crate) fn next(&self, direction: Direction, name: &StreamName) -> Via {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let ways = open.get(&(direction, name.clone()));
        let mut via =
            ways.and_then(|ways| ways.iter().max_by_key(|via| via.0.len())).cloned().unwrap_or_default();
        via.0.push(self.tag(name));
        via
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ways) = open.get_mut(&self.key) else { return };
        if let Some(index) = ways.iter().position(|via| *via == self.via) {
            ways.swap_remove(index);
        }
        if ways.is_empty() {
            open.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(channel: &str) -> StreamName {
        StreamName::parse("live", channel).unwrap()
    }

    fn program(via: &Via) -> String {
        format!("FMLE/3.0 (compatible; Rushlight/0.1.0) ({})", via.note())
    }

    #[test]
    fn a_stream_that_comes_back_is_refused_and_a_copy_under_another_name_is_not() {
        let (here, there) = (Ways::default(), Ways::default());
        let cam = name("cam");
        let sent = here.next(Direction::In, &cam);
        assert_eq!(here.enter(Direction::In, &cam, &program(&sent)).err(), Some(Looped::Circle));
        assert!(here.enter(Direction::In, &name("copy"), &program(&sent)).unwrap().is_some());
        let _passage = there.enter(Direction::In, &cam, &program(&sent)).unwrap();
        let back = there.next(Direction::In, &cam);
        assert_eq!(back.0.len(), 2);
        assert_eq!(here.enter(Direction::In, &cam, &program(&back)).err(), Some(Looped::Circle));
    }

    #[test]
    fn ways_are_forgotten_with_their_sessions_and_directions_are_apart() {
        let (here, there) = (Ways::default(), Ways::default());
        let cam = name("cam");
        let passage = here.enter(Direction::Out, &cam, &program(&there.next(Direction::Out, &cam))).unwrap();
        assert_eq!(here.next(Direction::Out, &cam).0.len(), 2);
        assert_eq!(here.next(Direction::In, &cam).0.len(), 1);
        drop(passage);
        assert_eq!(here.next(Direction::Out, &cam).0.len(), 1);
        assert!(here.open.lock().unwrap().is_empty());
    }

    #[test]
    fn a_node_does_not_send_a_stream_back_to_where_it_fetches_it() {
        let (here, there) = (Ways::default(), Ways::default());
        let cam = name("cam");
        let fetched = there.enter(Direction::Out, &cam, &program(&here.next(Direction::Out, &cam))).unwrap();
        let sent = program(&here.next(Direction::In, &cam));
        assert_eq!(there.enter(Direction::In, &cam, &sent).err(), Some(Looped::Circle));
        drop(fetched);
        let _sent = there.enter(Direction::In, &cam, &sent).unwrap();
        let fetched = program(&here.next(Direction::Out, &cam));
        assert_eq!(there.enter(Direction::Out, &cam, &fetched).err(), Some(Looped::Circle));
        let other = program(&Ways::default().next(Direction::Out, &cam));
        assert!(there.enter(Direction::Out, &cam, &other).unwrap().is_some());
    }

    #[test]
    fn a_stream_that_changes_its_name_ends_after_some_hops() {
        let ways: Vec<_> = (0..20).map(|_| Ways::default()).collect();
        let mut via = Via::default();
        let mut passages = Vec::new();
        for (hops, node) in ways.iter().enumerate() {
            let channel = name(&format!("copy{hops}"));
            match node.enter(Direction::In, &channel, &program(&via)) {
                Ok(passage) => passages.push(passage),
                Err(error) => {
                    assert_eq!((hops, error), (HOPS_MAX + 1, Looped::TooFar));
                    return;
                }
            }
            via = node.next(Direction::In, &channel);
        }
        unreachable!("it went on for ever");
    }

    #[test]
    fn other_programs_have_come_from_nowhere() {
        let long = format!("x (via {})", vec!["1"; 10_000].join(","));
        for program in ["", "OBS/31", "x (via )", "x (via zz)", "x (via 1,,2)", "x (via 1", "(via 123456789)"]
        {
            assert_eq!(Via::parse(program), Via::default(), "{program}");
        }
        assert_eq!(Via::parse(&long).0.len(), HOPS_MAX + 1);
    }
}
