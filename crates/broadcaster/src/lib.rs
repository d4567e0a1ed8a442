//! Sources and uplink of the person who goes live.
//!
//! A [`source`] yields packets in decode order; a [`Feed`] takes them off its thread; [`push()`] sends them when they are due.

pub mod cli;
mod error;
mod feed;
#[doc(hidden)]
pub mod fuzz;
mod gate;
pub mod limits;
pub mod pace;
mod push;
pub mod source;
mod stats;

pub use error::Error;
pub use feed::Feed;
pub use push::{OnSend, Options, push};
pub use source::Source;
pub use stats::{Snapshot, Stats};
