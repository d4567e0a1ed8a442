//! Following which streams begin, end, and find or lose their viewers.

use crate::lock;
use media::StreamName;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

/// Names that a watcher has not taken yet. One that falls behind this far looks at all streams instead: that is cheaper
/// than a set that names which nobody publishes could fill.
const NAMES_MAX: usize = 1024;

/// Tells which streams have changed in a way that others than their own publishers and readers act on: they began, ended,
/// changed hands, found their first viewer or lost their last.
///
/// It names streams and tells no history: [`Origin::presence`](crate::Origin::presence) says how things stand by now.
pub struct Watch {
    queue: Arc<Queue>,
}

/// What a [`Watch`] has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// This stream.
    Stream(StreamName),
    /// More streams than it remembers.
    Many,
}

/// How a stream stands, for those who act on it from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Presence {
    /// Whether it has begun and is not over: it has a publisher, or waits for the next one.
    pub begun: bool,
    /// The rank of its present publisher; see [`Origin::publish_ranked`](crate::Origin::publish_ranked).
    pub rank: Option<u8>,
    /// Readers that are viewers (see [`ReadOptions::passive`](crate::ReadOptions::passive)), of a stream that is not over.
    pub viewers: usize,
}

#[derive(Default)]
struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    names: HashSet<StreamName>,
    many: bool,
    waker: Option<Waker>,
}

impl Watch {
    /// The next change. `Pending` means that the waker is registered.
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Changed> {
        let mut state = lock(&self.queue.0);
        if state.many {
            state.many = false;
            state.names.clear();
            return Poll::Ready(Changed::Many);
        }
        let next = state.names.iter().next().cloned();
        if let Some(name) = next {
            state.names.remove(&name);
            return Poll::Ready(Changed::Stream(name));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// All who watch an origin.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Vec<Weak<Queue>>>);

impl Watchers {
    /// One more. It is told of all streams first.
    pub(crate) fn watch(&self) -> Watch {
        let queue = Arc::new(Queue(Mutex::new(State { many: true, ..State::default() })));
        lock(&self.0).push(Arc::downgrade(&queue));
        Watch { queue }
    }

    /// Tells all of them. Not to be called under a lock.
    pub(crate) fn note(&self, name: &StreamName) {
        let mut wakers = Vec::new();
        lock(&self.0).retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            let mut state = lock(&queue.0);
            if state.names.len() < NAMES_MAX {
                state.names.insert(name.clone());
            } else {
                state.many = true;
            }
            wakers.extend(state.waker.take());
            true
        });
        wakers.into_iter().for_each(Waker::wake);
    }
}
