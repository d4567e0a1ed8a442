//! Shared objects of a connection.

use super::Connection;
use crate::Secret;
use crate::config::SharedObjectWriters;
use crate::policy::Action;
use crate::shared_objects::Access;
use crate::target::Target;
use rtmp::shared_object;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;
use tracing::debug;

impl Connection {
    pub(super) fn shared_object(&mut self, message: shared_object::Message, now: Instant) {
        let (app, key) = Target::of_app(&self.app);
        let access = self.access(key.as_ref());
        debug!(peer = %self.peer, app, object = message.name, events = message.events.len(), ?access, "shared object");
        let objects = &self.env.shared_objects;
        let client = self.shared.get_or_insert_with(|| Box::new(objects.client(now)));
        let used = client.uses_any();
        objects.take(client, &app, message, access, now);
        match client.uses_any() {
            true => self.carry(),
            // A client may come to share something alone.
            false if used => self.close_if_unused(now + self.env.config.rtmp.handshake_timeout()),
            false => {}
        }
    }

    /// What it may do with the objects of its application: it may play or publish there, and so it may see them. Whether it
    /// may is known from the key that came with the application, or from a stream that it was admitted to.
    fn access(&self, key: Option<&Secret>) -> Access {
        let may = |action| self.env.policy.may(action, key, self.local);
        let publishes = !self.publishing.is_empty() || may(Action::Publish);
        let plays = !self.playing.is_empty() || may(Action::Play);
        match self.env.config.rtmp.shared_objects {
            SharedObjectWriters::Publishers if publishes => Access::Write,
            SharedObjectWriters::Players if publishes || plays => Access::Write,
            SharedObjectWriters::Publishers if plays => Access::Read,
            _ => Access::None,
        }
    }

    /// Tells the client what happened to the objects it uses, as long as the socket takes it.
    pub(super) fn poll_shared(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(client) = &mut self.shared else { return Ok(()) };
        while self.outbox.is_empty()
            && let Poll::Ready(message) = client.poll(cx)
        {
            self.session.send_shared_object(&message);
            while let Some(bytes) = self.session.poll_output() {
                self.outbox.push(bytes);
            }
            if let Poll::Ready(result) = self.outbox.poll_flush(cx, &mut self.stream) {
                result?;
            }
        }
        Ok(())
    }
}
