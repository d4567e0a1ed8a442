//! The client end of a connection of the RTMP family: sockets and time around `rtmp::client::Session`.
//!
//! Publishing, playing and relaying all go out through here, so what a URL can say is understood the same everywhere.

mod connect;
mod connection;
mod error;
pub mod limits;
mod retry;

pub use connect::connect;
pub use connection::Link;
pub use error::Error;
pub use retry::Backoff;
