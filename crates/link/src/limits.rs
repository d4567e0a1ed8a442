//! Every maximum of this crate, with its reason.

use std::time::Duration;

/// The first and the longest wait before connecting again. The range is what a server restart takes.
pub const RETRY_WAIT_FIRST: Duration = Duration::from_millis(250);
/// See [`RETRY_WAIT_FIRST`].
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);

/// Time to connect, and then to be accepted by the server.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
