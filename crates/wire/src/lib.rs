//! Bounded byte reading, wrapping counters, numbers by seed, and the contract that every protocol crate keeps.
//!
//! # The sans-IO contract
//!
//! A protocol is a state machine that never names a socket, a clock, a file or a runtime:
//!
//! 1. The driver passes bytes (or a datagram) and the time: `handle_input(now, bytes)`.
//! 2. It then drains `poll_output()` until it returns `None`: bytes to send and events to act on.
//! 3. It asks `poll_timeout()` when to come back, and calls `handle_timeout(now)` then.
//!
//! After **every** call that can change state (input, timeout, or a command of the application) the driver
//! drains the outputs again before it waits. `now` never goes backwards. An `Err` is final: the driver sends what
//! is already queued, closes, and drops the machine.
//!
//! Errors say whose fault they are: *malformed* (the bytes make no sense), *violation* (the peer broke the
//! protocol), *unsupported* (legal, but not offered here), *misuse* (our own caller is wrong).

mod random;
mod reader;
mod wrap;

pub use random::Random;
pub use reader::{Reader, Truncated};
pub use wrap::Unwrap32;
