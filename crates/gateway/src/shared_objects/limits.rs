//! Every maximum of shared objects, with its reason. Whoever may play may use them, where they are switched on.

use std::time::Duration;

/// Objects of a node. With the two below, all of them take 32 MiB at most.
pub(super) const OBJECTS_MAX: usize = 256;

/// Objects of one application, so that one cannot take those of all others.
pub(super) const OBJECTS_PER_APP_MAX: usize = 32;

/// Memory of an object's values. A room with some hundred people in it takes a few kilobytes.
pub(super) const OBJECT_BYTES_MAX: usize = 64 << 10;

/// Memory of what happened to an object that not everybody has been told of yet; then the values themselves are sent.
pub(super) const LOG_BYTES_MAX: usize = 64 << 10;

/// Events in that log.
pub(super) const LOG_EVENTS_MAX: usize = 256;

/// Values of an object.
pub(super) const VALUES_MAX: usize = 512;

/// Memory of one value, or of the arguments of one call.
pub(super) const VALUE_BYTES_MAX: usize = 8 << 10;

/// Bytes of the name of an application, an object or a value.
pub(super) const NAME_BYTES_MAX: usize = 128;

/// Clients that use one object: each event is sent to every one of them.
pub(super) const CLIENTS_MAX: usize = 1000;

/// Objects that one client uses. Programs use a few.
pub(super) const OBJECTS_PER_CLIENT_MAX: usize = 8;

/// Events in one message to a client that has missed some.
pub(super) const EVENTS_PER_MESSAGE_MAX: usize = 64;

/// How long an object outlives its last client: a reload of a page, a change of networks.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(60);

/// How fast a client may change things or call: a pointer that is drawn ten times a second fits, and a page that sets
/// everything at its start.
pub(super) const CLIENT_RATE: Rate = Rate { per_second: 20.0, burst: 100.0 };

/// How fast one object may change, whoever does it.
pub(super) const OBJECT_RATE: Rate = Rate { per_second: 100.0, burst: 300.0 };

/// How often something may happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) per_second: f64,
    pub(super) burst: f64,
}
