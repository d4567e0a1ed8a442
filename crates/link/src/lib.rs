//! The client end of a connection of the RTMP family: sockets and time around `rtmp::client::Session`.
//!
//! Publishing, playing and relaying all go out through here, so what a URL can say is understood the same everywhere.

mod carrier;
mod connection;
mod dial;
mod error;
pub mod limits;
mod link;
mod moving;
mod open;
mod packet;
mod reach;
mod retry;
mod splice;
mod tls;

pub use dial::{Dialed, dial};
pub use error::Error;
pub use link::{Link, Options, Times};
pub use net::tls::Trust;
pub use open::moved;
pub use reach::Reach;
pub use retry::Backoff;
pub use rtmp::Swf;
pub use rtmp::client::{Event, Role};
pub use tls::Tls;
