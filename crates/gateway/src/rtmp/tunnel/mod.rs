//! RTMPT: RTMP connections whose bytes come and go in HTTP requests.
//!
//! A tunnel is an RTMP connection like others, served by the same code on one end of a [`net::Pipe`]; the requests of its
//! client move bytes in and out at the other end. It belongs to no TCP connection: requests may come on several, on any
//! port and thread, so the tunnels of a node are in one table ([`Tunnels`]) and each keeps its requests in order
//! ([`Tunnel`]).
//!
//! A connection whose first request is one of a tunnel is served on the bare stream ([`serve`]), which sees the next
//! request while the reply to the last one is held back. Requests that hyper reads ([`answer`]) are served as well.

mod connection;
mod routed;
mod session;
mod table;

pub(crate) use connection::serve;
pub(crate) use routed::answer;
pub(crate) use table::{Carrier, Tunnels, Young};

use std::time::Duration;

/// What waits for the client of a tunnel before its connection counts as one that takes nothing, as a socket's buffer
/// would. The next reply takes it all, so it is also what a player can start with in one round trip: a second of 4 Mbit/s.
/// A buffer larger than this is still taken whole.
const PIPE_BYTES_MAX: usize = 512 << 10;
/// A poll that comes sooner after a reply waits until then, unless so much waits for it: librtmp asks again the moment it
/// has a reply, and a request costs as much as several packets. A packet that waits so long is as late as it would be
/// with one frame of buffer.
const REPLY_INTERVAL: Duration = Duration::from_millis(20);
const REPLY_BYTES: usize = 32 << 10;
/// How long a request waits for those before it. They are under way on other connections, or lost.
const ORDER_WAIT: Duration = Duration::from_secs(5);
/// How long the connection of a tunnel may take to read what a request brought. It reads at once; a node this busy loses
/// the tunnel.
const CONSUME_MAX: Duration = Duration::from_secs(10);
/// How long a tunnel whose connection has ended waits for its client to take the last bytes.
const LINGER: Duration = Duration::from_secs(2);
/// The same when the node shuts down, which has a deadline of its own.
const SHUTDOWN_LINGER: Duration = Duration::from_secs(1);
/// What of a request that is refused is read and dropped, so that the client reads the answer. A longer one is cut off.
const SKIP_BYTES_MAX: usize = 64 << 10;

/// Tunnels that carry nothing yet, of one TCP connection. Its client has one; a proxy keeps a few connections for all of its
/// clients, and each tunnel is young for a second or two.
const YOUNG_PER_CONNECTION_MAX: usize = 16;
/// The same of one address, if an eighth of all connections is less: nobody alone can keep others out.
const YOUNG_PER_ADDRESS_MIN: usize = 16;

#[cfg(test)]
mod tests;
