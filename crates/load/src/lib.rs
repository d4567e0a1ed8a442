//! Playing, measuring and load generation.
//!
//! [`play`] plays one stream and measures it. [`crowd`] is thousands of viewers that only count bytes. [`cli`] puts
//! publishers, a crowd and a few measuring players together, and compares a server with the bare kernel.

mod error;
#[doc(hidden)]
pub mod fuzz;
pub mod histogram;
pub mod http;
pub mod limits;
pub mod play;
mod random;
mod target;
pub mod ws;

pub use error::Error;
pub use target::{Target, Web};
