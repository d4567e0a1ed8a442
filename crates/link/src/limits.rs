//! Every maximum of this crate, with its reason.

use std::time::Duration;

/// The first and the longest wait before connecting again. The range is what a server restart takes.
pub const RETRY_WAIT_FIRST: Duration = Duration::from_millis(250);
/// See [`RETRY_WAIT_FIRST`].
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);

/// Time from looking up the host until the server has agreed to play or to take media, redirects included.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that said goodbye waits for the server to take the last bytes and close.
pub const LINGER: Duration = Duration::from_millis(800);
