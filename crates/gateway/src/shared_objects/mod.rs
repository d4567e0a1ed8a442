//! Shared objects: named values that all who use them see change, for as long as somebody does.
//!
//! An object has its values and a short log of what happened to them, and a client is a cursor in that log. A client that
//! falls behind it is told to forget everything and gets the values anew. So nothing queues up for slow clients, and what an
//! object costs does not grow with those who use it.

mod limits;
mod object;

use object::{Bucket, Object, Position};
use rtmp::shared_object::{Event, Message};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// What a client may do with the objects of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// Nothing.
    None,
    /// See them.
    Read,
    /// Change them, and call.
    Write,
}

type Shared = Arc<Mutex<Object>>;

/// The objects of one application, by name.
type Objects = HashMap<Box<str>, Shared>;

/// The objects of a node: each application has its own.
#[derive(Debug, Default)]
pub(crate) struct SharedObjects {
    /// By application.
    apps: Mutex<HashMap<Box<str>, Objects>>,
    clients: AtomicU64,
}

/// One client, and what it uses. Dropping it releases that.
#[derive(Debug)]
pub(crate) struct Client {
    id: u64,
    used: Vec<Used>,
    /// What it has to be told apart from news.
    answers: VecDeque<Message>,
    rate: Bucket,
}

#[derive(Debug)]
struct Used {
    name: Box<str>,
    object: Shared,
    position: Position,
}

impl SharedObjects {
    /// A client that uses nothing yet.
    pub(crate) fn client(&self, now: Instant) -> Client {
        Client {
            id: self.clients.fetch_add(1, Ordering::Relaxed),
            used: Vec::new(),
            answers: VecDeque::new(),
            rate: Bucket::new(limits::CLIENT_RATE, now),
        }
    }

    /// Does what a client of `app` asks for. What it is to be told about that comes from [`Client::poll`].
    pub(crate) fn take(
        &self,
        client: &mut Client,
        app: &str,
        message: Message,
        access: Access,
        now: Instant,
    ) {
        let Message { name, persistent, events, .. } = message;
        let mut woken = Vec::new();
        for event in events {
            let refusal = match event {
                Event::Use => self.use_object(client, app, &name, persistent, access, now).err(),
                Event::Release => {
                    client.release(&name, now);
                    None
                }
                Event::RequestChange { .. } | Event::RequestRemove { .. } | Event::Send { .. } => {
                    match client.apply(&name, event, access, now) {
                        Ok(wakers) => {
                            woken.extend(wakers);
                            None
                        }
                        Err(code) => Some(code),
                    }
                }
                // What servers say, and what nobody knows.
                _ => None,
            };
            if let Some(code) = refusal {
                client.refuse(&name, code);
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }

    fn use_object(
        &self,
        client: &mut Client,
        app: &str,
        name: &str,
        persistent: bool,
        access: Access,
        now: Instant,
    ) -> Result<(), &'static str> {
        const NOT_CREATED: &str = "SharedObject.ObjectCreationFailed";
        if access < Access::Read {
            return Err("SharedObject.NoReadAccess");
        }
        if persistent {
            // Nothing is written to disk; a client that counts on it should know.
            return Err("SharedObject.BadPersistence");
        }
        // Asked for again it starts over.
        client.release(name, now);
        let is_name = |name: &str| !name.is_empty() && name.len() <= limits::NAME_BYTES_MAX;
        if !is_name(app)
            || !is_name(name)
            || client.used.len() >= limits::OBJECTS_PER_CLIENT_MAX
            || !client.rate.take(limits::CLIENT_RATE, now)
        {
            return Err(NOT_CREATED);
        }
        let mut apps = lock(&self.apps);
        for objects in apps.values_mut() {
            objects.retain(|_, object| !lock(object).is_over(now));
        }
        apps.retain(|_, objects| !objects.is_empty());
        let total: usize = apps.values().map(Objects::len).sum();
        let known = apps.get(app);
        let object = match known.and_then(|objects| objects.get(name)) {
            Some(object) => object.clone(),
            None if total >= limits::OBJECTS_MAX
                || known.is_some_and(|objects| objects.len() >= limits::OBJECTS_PER_APP_MAX) =>
            {
                return Err(NOT_CREATED);
            }
            None => {
                let object = Arc::new(Mutex::new(Object::new(name, now)));
                apps.entry(app.into()).or_default().insert(name.into(), object.clone());
                object
            }
        };
        // Under the lock of the map, so that an object that is found is not removed.
        if !lock(&object).join(client.id) {
            return Err(NOT_CREATED);
        }
        client.used.push(Used { name: name.into(), object, position: Position::New });
        Ok(())
    }
}

impl Client {
    /// What the client has to be told next. `Pending` means that the waker of `cx` is registered, unless it uses nothing.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        if let Some(answer) = self.answers.pop_front() {
            return Poll::Ready(answer);
        }
        for used in &mut self.used {
            let mut object = lock(&used.object);
            if let Some((message, position)) = object.news(self.id, used.position) {
                used.position = position;
                return Poll::Ready(message);
            }
            object.register(self.id, cx.waker());
        }
        Poll::Pending
    }

    /// Whether it uses an object now.
    pub(crate) fn uses_any(&self) -> bool {
        !self.used.is_empty()
    }

    fn apply(
        &mut self,
        name: &str,
        event: Event,
        access: Access,
        now: Instant,
    ) -> Result<Vec<Waker>, &'static str> {
        const NO_ACCESS: &str = "SharedObject.NoWriteAccess";
        let Some(used) = self.used.iter().find(|used| &*used.name == name) else { return Err(NO_ACCESS) };
        if access < Access::Write || !self.rate.take(limits::CLIENT_RATE, now) {
            return Err(NO_ACCESS);
        }
        lock(&used.object).apply(self.id, event, now).map_err(|_| NO_ACCESS)
    }

    fn release(&mut self, name: &str, now: Instant) {
        for used in self.used.extract_if(.., |used| &*used.name == name) {
            lock(&used.object).leave(self.id, now);
        }
    }

    fn refuse(&mut self, name: &str, code: &str) {
        // One that asks on without reading the answers has had enough of them.
        if self.answers.len() < limits::EVENTS_PER_MESSAGE_MAX {
            let status = Event::Status { code: code.to_owned(), level: "error".to_owned() };
            self.answers.push_back(Message::new(name, 0, vec![status]));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let now = Instant::now();
        for used in self.used.drain(..) {
            lock(&used.object).leave(self.id, now);
        }
    }
}

/// Locks, also after a panic elsewhere: what the mutexes guard is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
