//! One object: its values, what happened to them, and who uses it.

use super::limits::{self, Rate};
use rtmp::amf::Value;
use rtmp::shared_object::{Event, Message};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::task::Waker;
use std::time::Instant;

/// Counts what happens against a rate.
#[derive(Debug)]
pub(super) struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { left: rate.burst, at: now }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * rate.per_second).min(rate.burst);
        self.at = now;
        let has = self.left >= 1.0;
        self.left -= f64::from(u8::from(has));
        has
    }
}

#[derive(Debug)]
pub(super) struct Object {
    name: Box<str>,
    /// Counts changes of values.
    version: u32,
    values: BTreeMap<String, Value>,
    bytes: usize,
    log: VecDeque<Logged>,
    log_bytes: usize,
    /// The number of the oldest event in the log.
    first: u64,
    clients: HashMap<u64, Option<Waker>>,
    /// When the last client left.
    left: Option<Instant>,
    rate: Bucket,
}

#[derive(Debug)]
struct Logged {
    event: Event,
    /// The client that did it.
    by: u64,
    version: u32,
    bytes: usize,
}

/// Where a client is in the log of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// It has only begun to use it.
    New,
    /// It has seen everything before this.
    At(u64),
}

/// Why an event is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused;

impl Object {
    pub(super) fn new(name: &str, now: Instant) -> Self {
        Self {
            name: name.into(),
            version: 0,
            values: BTreeMap::new(),
            bytes: 0,
            log: VecDeque::new(),
            log_bytes: 0,
            first: 0,
            clients: HashMap::new(),
            left: Some(now),
            rate: Bucket::new(limits::OBJECT_RATE, now),
        }
    }

    /// Whether nobody has used it for so long that it may go.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.left.is_some_and(|left| now.saturating_duration_since(left) >= limits::IDLE_MAX)
    }

    /// Adds a client; whether there was room.
    pub(super) fn join(&mut self, client: u64) -> bool {
        let has_room = self.clients.len() < limits::CLIENTS_MAX;
        if has_room {
            self.clients.insert(client, None);
            self.left = None;
        }
        has_room
    }

    pub(super) fn leave(&mut self, client: u64, now: Instant) {
        self.clients.remove(&client);
        if self.clients.is_empty() {
            self.left = Some(now);
        }
    }

    /// Does what a client asks for. The wakers are of those to be told, to be woken once the object is let go of.
    pub(super) fn apply(&mut self, by: u64, event: Event, now: Instant) -> Result<Vec<Waker>, Refused> {
        if !self.rate.take(limits::OBJECT_RATE, now) {
            return Err(Refused);
        }
        match event {
            // To set nothing is to remove, as in other servers.
            Event::RequestChange { name, value } if value.is_null() => self.remove(by, name)?,
            Event::RequestRemove { name } => self.remove(by, name)?,
            Event::RequestChange { name, value } => self.set(by, name, value)?,
            Event::Send { values } => {
                let bytes: usize = values.iter().map(Value::memory_bytes).sum();
                if bytes > limits::VALUE_BYTES_MAX {
                    return Err(Refused);
                }
                self.log(by, Event::Send { values }, bytes);
            }
            _ => return Err(Refused),
        }
        Ok(self.clients.values_mut().filter_map(Option::take).collect())
    }

    fn set(&mut self, by: u64, name: String, value: Value) -> Result<(), Refused> {
        let bytes = name.len() + value.memory_bytes();
        let before = self.values.get(&name).map(|value| name.len() + value.memory_bytes());
        let total = self.bytes - before.unwrap_or(0) + bytes;
        if name.len() > limits::NAME_BYTES_MAX
            || bytes > limits::VALUE_BYTES_MAX + name.len()
            || total > limits::OBJECT_BYTES_MAX
            || (before.is_none() && self.values.len() >= limits::VALUES_MAX)
        {
            return Err(Refused);
        }
        self.bytes = total;
        self.values.insert(name.clone(), value.clone());
        self.version = self.version.wrapping_add(1);
        self.log(by, Event::Change { name, value }, bytes);
        Ok(())
    }

    fn remove(&mut self, by: u64, name: String) -> Result<(), Refused> {
        if name.len() > limits::NAME_BYTES_MAX {
            return Err(Refused);
        }
        // Told to everybody even if there was none: whoever asked may believe that there was.
        if let Some(value) = self.values.remove(&name) {
            self.bytes -= name.len() + value.memory_bytes();
            self.version = self.version.wrapping_add(1);
        }
        let bytes = name.len();
        self.log(by, Event::Remove { name }, bytes);
        Ok(())
    }

    fn log(&mut self, by: u64, event: Event, bytes: usize) {
        self.log_bytes += bytes;
        self.log.push_back(Logged { event, by, version: self.version, bytes });
        while self.log.len() > limits::LOG_EVENTS_MAX || self.log_bytes > limits::LOG_BYTES_MAX {
            let Some(old) = self.log.pop_front() else { break };
            self.log_bytes -= old.bytes;
            self.first += 1;
        }
    }

    /// What `client` has to be told next, and its position after that.
    pub(super) fn news(&self, client: u64, position: Position) -> Option<(Message, Position)> {
        let end = self.first + self.log.len() as u64;
        let from = match position {
            Position::At(at) if at >= end => return None,
            Position::At(at) if at >= self.first => at,
            // New, or too far behind.
            _ => return Some((self.everything(position == Position::New), Position::At(end))),
        };
        let news = self.log.iter().skip((from - self.first) as usize).take(limits::EVENTS_PER_MESSAGE_MAX);
        let (mut events, mut version) = (Vec::new(), self.version);
        for logged in news {
            version = logged.version;
            events.push(match &logged.event {
                Event::Change { name, .. } if logged.by == client => Event::Success { name: name.clone() },
                event => event.clone(),
            });
        }
        let position = Position::At(from + events.len() as u64);
        Some((Message::new(&self.name, version, events), position))
    }

    fn everything(&self, is_new: bool) -> Message {
        let changes = self
            .values
            .iter()
            .map(|(name, value)| Event::Change { name: name.clone(), value: value.clone() });
        let head = is_new.then_some(Event::UseSuccess).into_iter().chain([Event::Clear]);
        Message::new(&self.name, self.version, head.chain(changes).collect())
    }

    /// Leaves a waker that is called when there is news.
    pub(super) fn register(&mut self, client: u64, waker: &Waker) {
        if let Some(place) = self.clients.get_mut(&client)
            && !place.as_ref().is_some_and(|old| old.will_wake(waker))
        {
            *place = Some(waker.clone());
        }
    }
}
