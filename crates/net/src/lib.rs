//! The edge between the kernel and everything pure: listeners, sockets tuned for live media, one runtime per
//! core, and shutdown.

mod catch;
mod control;
#[doc(hidden)]
pub mod fuzz;
pub mod initial_window;
pub mod limits;
pub mod outbox;
mod pipe;
mod private;
mod shard;
mod shutdown;
mod stream;
pub mod tcp;
pub mod tls;

pub use catch::catch_panic;
pub use control::Control;
pub use outbox::Outbox;
pub use pipe::{Pipe, Taken, pipe};
pub use private::write_private;
pub use shard::{Shards, run_shards};
pub use shutdown::{Shutdown, ShutdownTrigger, Triggered};
pub use stream::Stream;
