//! RTMP and Enhanced RTMP as pure state machines: bytes and time in, bytes and events out.
//!
//! [`server::Session`] answers players and publishers, [`client::Session`] plays or publishes. Neither names a
//! socket or a clock; the contract between them and the program that drives them is the one of the `wire` crate.
//! [`tunnel`] carries either of them in HTTP requests. Under them lie the layers of the protocol: [`handshake`], [`chunk`], [`message`], [`command`] and [`amf`].
//!
//! An encrypted handshake (RTMPE) makes a session decrypt what it is given and seal what it gives; nothing else changes
//! for the program that drives it.
//!
//! Sources: "Adobe's Real Time Messaging Protocol" 1.0 (December 2012; cited as `RTMP`), "RTMP Errata and
//! Addenda" (July 2024; cited as `Errata`) and "Enhanced RTMP" v2 (cited as `E-RTMP v2`). Digests and
//! encryption have no public text; what is known comes from the programs that speak them.

pub mod amf;
pub mod chunk;
pub mod client;
pub mod command;
mod error;
#[doc(hidden)]
pub mod fuzz;
pub mod handshake;
pub mod limits;
mod link;
pub mod message;
pub mod server;
pub mod shared_object;
mod swf;
pub mod tunnel;
pub mod url;

pub use command::{Command, Status};
pub use error::Error;
pub use message::Message;
pub use swf::Swf;

#[cfg(test)]
mod tests;
