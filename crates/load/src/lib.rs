//! Playing, measuring and load generation.
//!
//! [`play`] plays one stream and measures it. [`crowd`] is thousands of viewers that only count bytes, [`hls`] those that ask for
//! parts and segments. [`cli`] puts
//! publishers, a crowd and a few measuring players together, and compares a server with the bare kernel.

pub mod cli;
pub mod crowd;
mod error;
#[doc(hidden)]
pub mod fuzz;
pub mod histogram;
pub mod hls;
pub mod http;
mod limit;
pub mod limits;
mod measure;
pub mod play;
pub mod process;
mod random;
mod report;
mod run;
mod send_times;
pub mod synthetic;
mod target;
pub mod ws;

pub use error::Error;
pub use target::{Target, Web};
