//! Every maximum of this crate, with its reason.

use std::time::Duration;

/// The first and the longest wait before connecting again. The range is what a server restart takes.
pub const RETRY_WAIT_FIRST: Duration = Duration::from_millis(250);
/// See [`RETRY_WAIT_FIRST`].
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);

/// Time from looking up the host until the server has agreed to play or to take media, redirects included.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections of a tunnel in a row that end without bringing anything. One may be stale; more are a server that is gone.
pub const REDIALS_MAX: u32 = 3;

/// Bytes of answers that wait for a server to read them. Servers ask for a few dozen bytes in a minute; what waits beside
/// them of a publisher's media is its own affair.
pub const ANSWERS_BYTES_MAX: usize = 1 << 20;

/// Addresses of one host that are tried.
pub const ADDRESSES_MAX: usize = 8;

/// Redirects that are followed, one after the other. Systems that balance load send a client on once or twice.
pub const REDIRECTS_MAX: usize = 4;

/// Times that a server may ask who we are: once for the name, once for the password.
pub const AUTH_ROUNDS_MAX: u32 = 2;

/// How long a connection that said goodbye waits for the server to take the last bytes and close.
pub const LINGER: Duration = Duration::from_millis(800);

/// Attempts to reach the server that a player is moved to, after the first: with the waits between them, the time of a
/// server restart.
pub const MOVE_RETRIES_MAX: u32 = 6;

/// Moves that a player follows within [`MOVES_WINDOW`]. More is a server that sends it in circles.
pub const MOVES_MAX: usize = 4;
/// See [`MOVES_MAX`].
pub const MOVES_WINDOW: Duration = Duration::from_secs(60);

/// Keyframes of the old connection that a new one is compared with. A server sends the newest one or two at a join.
pub const KEYFRAMES_REMEMBERED: usize = 8;

/// Bytes of a new connection that wait for a keyframe in common with the old one: ten seconds of a high bitrate. Each
/// message counts for what it takes to keep as well. With more the new connection goes on without, or is given up.
pub const SPLICE_BYTES_MAX: usize = 32 << 20;

/// How long a new connection waits for a keyframe in common with the old one: keyframes are rarely further apart.
pub const SPLICE_WAIT_MAX: Duration = Duration::from_secs(10);
