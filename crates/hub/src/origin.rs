//! All streams of a process.

use crate::publisher::{Publisher, Slot};
use crate::reader::Reader;
use crate::stream::{Phase, State, Stream};
use crate::wake::ShardQueue;
use crate::watch::{Presence, Watch, Watchers};
use crate::{Config, Feedback, PublishError, ReadError, ReadOptions, SecondPublisher, StreamStatus, lock};
use media::StreamName;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

/// All streams of a process. A handle: clones are the same origin.
#[derive(Clone)]
pub struct Origin {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    config: Arc<Config>,
    streams: Mutex<Streams>,
    pub(crate) timers: Timers,
    pub(crate) shards: Arc<[ShardQueue]>,
    pub(crate) watchers: Watchers,
}

/// The place that a publisher was given.
struct Admitted {
    standby: bool,
    /// Who had it before, and is to be told.
    replaced: Option<Arc<Slot>>,
}

#[derive(Default)]
struct Streams {
    map: HashMap<StreamName, Arc<Stream>>,
    /// How many of them have never had a publisher.
    waiting: usize,
}

impl Origin {
    /// An origin without streams.
    pub fn new(config: Config) -> Self {
        let shards = (0..config.shards.max(1)).map(|_| ShardQueue::default()).collect();
        Self {
            inner: Arc::new(Inner {
                config: Arc::new(config),
                streams: Mutex::default(),
                timers: Timers::default(),
                shards,
                watchers: Watchers::default(),
            }),
        }
    }

    /// Begins to publish `name`, at the highest rank.
    ///
    /// If the stream has a publisher, [`Config::second_publisher`] decides. If it has lost one, the new one continues it.
    pub fn publish(&self, name: &StreamName, now: Instant) -> Result<Publisher, PublishError> {
        self.publish_ranked(name, u8::MAX, now)
    }

    /// Begins to publish `name`, with a rank among its publishers.
    ///
    /// A publisher takes the stream over from one of lower rank, without a gap: at its first keyframe. One that finds a
    /// publisher of higher rank stands by. Among equals [`Config::second_publisher`] decides.
    pub fn publish_ranked(
        &self,
        name: &StreamName,
        rank: u8,
        now: Instant,
    ) -> Result<Publisher, PublishError> {
        let inner = &self.inner;
        let slot = Arc::new(Slot::new(rank));
        let mut streams = lock(&inner.streams);
        if let Some(stream) = streams.map.get(name).cloned() {
            let mut state = stream.state_mut();
            let was_waiting = state.phase == Phase::Waiting;
            if !matches!(state.phase, Phase::Ended(_)) {
                let Admitted { standby, replaced } = inner.admit(&mut state, &slot)?;
                if was_waiting {
                    streams.waiting -= 1;
                }
                state.told = state.told.max(Some(now));
                state.started.get_or_insert(now);
                drop(state);
                drop(streams);
                if let Some(replaced) = replaced {
                    replaced.raise(Feedback::TakenOver);
                    stream.wake(&mut Vec::new());
                }
                if !standby {
                    inner.watchers.note(name);
                }
                return Ok(Publisher::new(stream, slot, standby));
            }
        } else if streams.map.len() >= inner.config.limits.streams_max {
            return Err(PublishError::TooManyStreams);
        }
        let stream = inner.new_stream(name);
        {
            let mut state = stream.state_mut();
            (state.phase, state.active) = (Phase::Live, Some(slot.clone()));
            (state.told, state.started) = (Some(now), Some(now));
        }
        let ended = streams.map.insert(name.clone(), stream.clone());
        drop(streams);
        drop(ended);
        inner.watchers.note(name);
        Ok(Publisher::new(stream, slot, false))
    }

    /// Begins to publish `name` with a rank, if it has lost its publisher and waits for the next one. `None` if it has one, has ended, or
    /// does not exist.
    pub fn stand_in(&self, name: &StreamName, rank: u8, now: Instant) -> Option<Publisher> {
        let stream = lock(&self.inner.streams).map.get(name).cloned()?;
        let slot = Arc::new(Slot::new(rank));
        {
            let mut state = stream.state_mut();
            if !matches!(state.phase, Phase::Lost(_)) {
                return None;
            }
            (state.phase, state.active) = (Phase::Live, Some(slot.clone()));
            state.told = state.told.max(Some(now));
        }
        self.inner.watchers.note(name);
        Some(Publisher::new(stream, slot, false))
    }

    /// Begins to read `name`. If nobody publishes it, the reader waits for at most [`ReadOptions::wait_max`].
    pub fn read(&self, name: &StreamName, options: ReadOptions, now: Instant) -> Result<Reader, ReadError> {
        let inner = &self.inner;
        // Declared before the lock, so that it is freed after it.
        let mut ended = None;
        let mut streams = lock(&inner.streams);
        let known = streams.map.get(name);
        let stream = match known.filter(|stream| !matches!(stream.state().phase, Phase::Ended(_))) {
            Some(stream) => stream.clone(),
            None => {
                let limits = &inner.config.limits;
                if streams.waiting >= limits.waiting_streams_max
                    || (known.is_none() && streams.map.len() >= limits.streams_max)
                {
                    return Err(ReadError::TooManyStreams);
                }
                let stream = inner.new_stream(name);
                ended = streams.map.insert(name.clone(), stream.clone());
                streams.waiting += 1;
                stream
            }
        };
        // Counted under the map's lock, under which a stream without readers is forgotten.
        if stream.readers.fetch_add(1, Ordering::Relaxed) >= inner.config.limits.readers_max {
            stream.readers.fetch_sub(1, Ordering::Relaxed);
            return Err(ReadError::TooManyReaders);
        }
        drop(streams);
        drop(ended);
        if !options.passive && stream.viewers.fetch_add(1, Ordering::AcqRel) == 0 {
            inner.watchers.note(name);
        }
        stream.joins.fetch_add(1, Ordering::Relaxed);
        Ok(Reader::new(stream, options, now))
    }

    /// All streams, those with a publisher and those that readers wait for, in no order.
    pub fn streams(&self) -> Vec<StreamStatus> {
        let streams: Vec<_> = lock(&self.inner.streams).map.values().cloned().collect();
        streams.iter().map(|stream| stream.status()).collect()
    }

    /// One stream.
    pub fn stream(&self, name: &StreamName) -> Option<StreamStatus> {
        let stream = lock(&self.inner.streams).map.get(name).cloned()?;
        Some(stream.status())
    }

    /// The names of all streams, those with a publisher and those that readers wait for, in no order.
    pub fn names(&self) -> Vec<StreamName> {
        lock(&self.inner.streams).map.keys().cloned().collect()
    }

    /// How one stream stands; one that does not exist has not begun.
    pub fn presence(&self, name: &StreamName) -> Presence {
        let stream = lock(&self.inner.streams).map.get(name).cloned();
        stream.map(|stream| stream.presence()).unwrap_or_default()
    }

    /// Follows which streams begin, end, and find or lose their viewers.
    pub fn watch(&self) -> Watch {
        self.inner.watchers.watch()
    }

    /// When [`Origin::handle_timeout`] has something to do. Later calls on publishers and readers can make it earlier.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.inner.timers.next()
    }

    /// Ends streams whose publisher did not come back, and wakes readers that have waited long enough.
    pub fn handle_timeout(&self, now: Instant) {
        while let Some(stream) = self.inner.timers.pop(now) {
            stream.handle_timeout(now);
            Inner::release(&self.inner, &stream);
        }
    }
}

impl Inner {
    fn new_stream(self: &Arc<Self>, name: &StreamName) -> Arc<Stream> {
        let origin = Arc::downgrade(self);
        Arc::new(Stream::new(name.clone(), self.config.clone(), self.shards.clone(), origin))
    }

    /// Gives a publisher its place.
    fn admit(&self, state: &mut State, slot: &Arc<Slot>) -> Result<Admitted, PublishError> {
        let Some(foremost) = state.foremost().filter(|_| state.active.is_some()).cloned() else {
            (state.active, state.phase) = (Some(slot.clone()), Phase::Live);
            return Ok(Admitted { standby: false, replaced: None });
        };
        let mut replaced = None;
        if foremost.rank == slot.rank {
            match self.config.second_publisher {
                SecondPublisher::Reject => return Err(PublishError::Busy),
                SecondPublisher::TakeOver if state.is_active(&foremost) => {
                    let replaced = state.supplant(slot);
                    return Ok(Admitted { standby: false, replaced });
                }
                // It waits for its first keyframe, above the active one.
                SecondPublisher::TakeOver => {
                    state.standby.retain(|standby| !Arc::ptr_eq(standby, &foremost));
                    replaced = Some(foremost);
                }
                SecondPublisher::StandBy => {}
            }
        }
        let equals = state.standby.iter().filter(|standby| standby.rank == slot.rank).count();
        if equals >= self.config.limits.standby_max {
            return Err(PublishError::Busy);
        }
        state.standby.push_back(slot.clone());
        Ok(Admitted { standby: true, replaced })
    }

    /// Forgets `stream` if it is over and nobody reads it.
    pub(crate) fn release(self: &Arc<Self>, stream: &Arc<Stream>) {
        let mut streams = lock(&self.streams);
        if !streams.map.get(&stream.name).is_some_and(|known| Arc::ptr_eq(known, stream)) {
            return;
        }
        let phase = stream.state().phase;
        let is_over = matches!(phase, Phase::Waiting | Phase::Ended(_));
        if !is_over || stream.readers.load(Ordering::Relaxed) > 0 {
            return;
        }
        if phase == Phase::Waiting {
            streams.waiting -= 1;
        }
        let forgotten = streams.map.remove(&stream.name);
        // A log may hold thousands of packets: they are freed when nobody waits for the map.
        drop(streams);
        drop(forgotten);
    }
}

/// The timeouts of all streams. A stream has one that counts, and rarely an earlier one that it ignores.
#[derive(Default)]
pub(crate) struct Timers(Mutex<BinaryHeap<Reverse<Timer>>>);

struct Timer {
    at: Instant,
    stream: Weak<Stream>,
}

impl Timers {
    pub(crate) fn push(&self, at: Instant, stream: &Arc<Stream>) {
        lock(&self.0).push(Reverse(Timer { at, stream: Arc::downgrade(stream) }));
    }

    fn next(&self) -> Option<Instant> {
        lock(&self.0).peek().map(|timer| timer.0.at)
    }

    /// A stream whose time has come.
    fn pop(&self, now: Instant) -> Option<Arc<Stream>> {
        let mut timers = lock(&self.0);
        while timers.peek().is_some_and(|timer| timer.0.at <= now) {
            if let Some(stream) = timers.pop().and_then(|timer| timer.0.stream.upgrade()) {
                return Some(stream);
            }
        }
        None
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rig, packet};
    use bytes::Bytes;
    use media::Packet;
    use std::sync::atomic::AtomicBool;

    /// A payload that notes whether the map is free when it is dropped.
    struct Payload {
        origin: Origin,
        free: Arc<AtomicBool>,
    }

    impl AsRef<[u8]> for Payload {
        fn as_ref(&self) -> &[u8] {
            &[0; 8]
        }
    }

    impl Drop for Payload {
        fn drop(&mut self) {
            self.free.store(self.origin.inner.streams.try_lock().is_ok(), Ordering::SeqCst);
        }
    }

    #[test]
    fn log_of_an_ended_stream_is_freed_when_nobody_waits_for_the_map() {
        for publishes in [false, true] {
            let rig = Rig::new(Config::default());
            let free = Arc::new(AtomicBool::new(false));
            let owner = Payload { origin: rig.origin.clone(), free: free.clone() };
            let mut publisher = rig.publish();
            rig.write(&mut publisher, [Packet { payload: Bytes::from_owner(owner), ..packet::key(0) }]);
            let stream = lock(&rig.origin.inner.streams).map[&rig.name].clone();
            publisher.finish();
            // As it is found by who comes between the end of the stream and its release.
            lock(&rig.origin.inner.streams).map.insert(rig.name.clone(), stream);
            if publishes {
                drop(rig.publish());
            } else {
                drop(rig.read());
            }
            assert!(free.load(Ordering::SeqCst));
        }
    }
}
