//! The way that a stream has come: what keeps relays from sending it in a circle.
//!
//! A node that sends or fetches a stream introduces itself with a note behind its program's name (`flashVer`, the field
//! that servers log and otherwise ignore):
//!
//! ```text
//! FMLE/3.0 (compatible; Rushlight/0.1.0) (via 5f3a91c20b6677ad,08d1b7e4c4d1f0a9)
//!                                             │                └ this node
//!                                             └ the node before it
//! ```
//!
//! Each tag is made of secrets of the node and the name of the stream there, so a node knows its own and nobody
//! learns a name from it. A node that finds its own tag for a stream refuses the stream: it would be its own source. It
//! refuses to send a stream to a node that it comes from, and the other way round. A stream that comes through a node again
//! and again under changing names is refused as well.
//!
//! Anybody may play, and may write what they like into a note. So a note proves something only by tags that whoever wrote it
//! cannot have made up: a node's own, and those of nodes that it has met itself. All other tags are passed on, as far as there
//! is room, and say nothing: not even how many nodes there were.

use super::limits::{PASSES_MAX, TAGS_MAX};
use media::StreamName;
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

const START: &str = "(via ";

type Open = Mutex<HashMap<(Direction, StreamName), Vec<Via>>>;

/// The tags of the nodes that a stream has passed, the newest last. There are at most [`TAGS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Via(Vec<Tag>);

/// A stream at a node: half of the bits say which node, half which stream.
type Tag = u64;

const NODE_SHIFT: u32 = 32;

impl Via {
    /// What the name of a program says: the newest tags, if there are too many. A name without a note, or with one that makes
    /// no sense, has come from nowhere.
    pub(crate) fn parse(program: &str) -> Self {
        let Some(at) = program.rfind(START) else { return Self::default() };
        let Some((tags, _)) = program[at + START.len()..].split_once(')') else { return Self::default() };
        let newest = tags.rsplit(',').take(TAGS_MAX).map(|tag| Tag::from_str_radix(tag, 16));
        let mut tags = newest.collect::<Result<Vec<_>, _>>().unwrap_or_default();
        tags.reverse();
        Self(tags)
    }

    /// The note for the name of our own program.
    pub(crate) fn note(&self) -> String {
        let mut note = String::from("via ");
        for (index, tag) in self.0.iter().enumerate() {
            let _ = write!(note, "{}{tag:016x}", if index == 0 { "" } else { "," });
        }
        note
    }
}

/// Why a stream is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looped {
    /// It has been here before.
    Circle,
    /// It has been here too often, under other names.
    TooOften,
}

impl fmt::Display for Looped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Looped::Circle => f.write_str("this stream comes from where it goes: a relay leads in a circle"),
            Looped::TooOften => write!(
                f,
                "this stream has come through this server {PASSES_MAX} times, under other names: a relay leads in a circle"
            ),
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
#[derive(Debug)]
pub(crate) struct Ways {
    /// Makes the tags of this node.
    node: u32,
    secret: RandomState,
    /// Only of sessions whose peer is a node, or says so: others cost nothing here.
    open: Arc<Open>,
}

impl Default for Ways {
    fn default() -> Self {
        Self {
            // Keyed by the system's generator, so nobody guesses what it makes of anything.
            node: RandomState::new().hash_one(0) as u32,
            secret: RandomState::new(),
            open: Arc::default(),
        }
    }
}

/// Keeps the way of one session known while it lasts.
#[derive(Debug)]
pub(crate) struct Passage {
    key: (Direction, StreamName),
    via: Via,
    open: Arc<Open>,
}

impl Ways {
    fn tag(&self, name: &StreamName) -> Tag {
        let stream = self.secret.hash_one(name.as_str()) as u32;
        Tag::from(self.node) << NODE_SHIFT | Tag::from(stream)
    }

    /// Whether a tag was made here, for whatever stream.
    fn is_own(&self, tag: Tag) -> bool {
        tag >> NODE_SHIFT == Tag::from(self.node)
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
        if via.0.iter().filter(|tag| self.is_own(**tag)).count() >= PASSES_MAX {
            return Err(Looped::TooOften);
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

    /// The way of a stream to the next node: the nodes of all sessions there are, and this one.
    pub(crate) fn next(&self, direction: Direction, name: &StreamName) -> Via {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let ways = open.get(&(direction, name.clone())).map(Vec::as_slice).unwrap_or_default();
        let newest_first = ways.iter().rev().flat_map(|via| via.0.iter().rev());
        // Where there is not enough room, what we wrote ourselves goes first.
        let (mut tags, mut others) = (Vec::new(), Vec::new());
        for tag in newest_first {
            let kind = if self.is_own(*tag) { &mut tags } else { &mut others };
            if kind.len() < TAGS_MAX && !kind.contains(tag) {
                kind.push(*tag);
            }
        }
        tags.append(&mut others);
        tags.truncate(TAGS_MAX - 1);
        tags.reverse();
        tags.push(self.tag(name));
        Via(tags)
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
    fn a_stream_that_changes_its_name_ends_after_some_passes_through_a_node() {
        for count in 1..=TAGS_MAX / PASSES_MAX {
            let nodes: Vec<_> = (0..count).map(|_| Ways::default()).collect();
            let mut via = Via::default();
            let mut passages = Vec::new();
            let ended = (0..100).find_map(|pass| {
                let channel = name(&format!("copy{pass}"));
                let node = &nodes[pass % count];
                let entered = node.enter(Direction::In, &channel, &program(&via));
                via = node.next(Direction::In, &channel);
                entered.map(|passage| passages.push(passage)).err().map(|error| (pass, error))
            });
            assert_eq!(ended, Some((PASSES_MAX * count, Looped::TooOften)), "{count} nodes");
        }
    }

    #[test]
    fn what_strangers_write_neither_stops_a_node_nor_hides_its_own_passes() {
        let (edge, origin, cam) = (Ways::default(), Ways::default(), name("cam"));
        let made_up = |seed: u64| Via((1..=TAGS_MAX as u64).map(|tag| tag << 40 | seed).collect());
        let strangers: Vec<_> =
            (0..50).map(|seed| edge.enter(Direction::Out, &cam, &program(&made_up(seed))).unwrap()).collect();
        let asked = edge.next(Direction::Out, &cam);
        assert_eq!(asked.0.len(), TAGS_MAX);
        let fetched = origin.enter(Direction::Out, &cam, &program(&asked)).unwrap();
        assert!(
            origin.enter(Direction::In, &cam, &program(&Ways::default().next(Direction::In, &cam))).is_ok()
        );
        assert_eq!(edge.enter(Direction::Out, &cam, &program(&asked)).err(), Some(Looped::Circle));
        drop((strangers, fetched));
        let mut via = edge.next(Direction::Out, &name("a"));
        let mut passages = Vec::new();
        for pass in 1..PASSES_MAX {
            let channel = name(&format!("a{pass}"));
            passages.push(edge.enter(Direction::Out, &channel, &program(&made_up(pass as u64))).unwrap());
            passages.push(edge.enter(Direction::Out, &channel, &program(&via)).unwrap());
            via = edge.next(Direction::Out, &channel);
        }
        let again = edge.enter(Direction::Out, &name("b"), &program(&via));
        assert_eq!(again.err(), Some(Looped::TooOften));
    }

    #[test]
    fn other_programs_have_come_from_nowhere() {
        let bad = ["", "OBS/31", "x (via )", "x (via zz)", "x (via 1,,2)", "x (via 1"];
        for program in bad.into_iter().chain(["x (via 12345678901234567)"]) {
            assert_eq!(Via::parse(program), Via::default(), "{program}");
        }
        let long: Vec<_> = (0..10_000).map(|tag| format!("{tag:x}")).collect();
        let newest: Vec<_> = (0..10_000).rev().take(TAGS_MAX).collect();
        assert!(Via::parse(&format!("x (via {})", long.join(","))).0.iter().rev().eq(&newest));
    }
}
