//! SRT (Secure Reliable Transport) as pure state machines: datagrams and time in, datagrams and events out.
//!
//! [`Session`] is one connection, of a caller or of a listener; [`Listener`] answers callers and keeps nothing about them
//! before their address is known to be theirs. The contract between them and the program that drives them is the one of the
//! `wire` crate. Under them lie [`packet`], [`handshake`] and [`crypto`].
//!
//! # A driver
//!
//! One UDP socket carries any number of sessions. A datagram goes to the session whose socket id is its destination, if it
//! comes from that session's peer; with destination 0 it goes to the listener.
//!
//! ```
//! use std::collections::HashMap;
//! use std::net::SocketAddr;
//! use std::time::Instant;
//!
//! use bytes::Bytes;
//! use srt::{Answer, Config, Event, Listener, Reject, Session, packet};
//!
//! struct Driver {
//!     listener: Listener,
//!     sessions: HashMap<u32, Session>,
//!     next_socket_id: u32,
//! }
//!
//! impl Driver {
//!     fn datagram(&mut self, now: Instant, from: SocketAddr, datagram: Bytes, send: &mut impl FnMut(SocketAddr, Bytes)) {
//!         match packet::destination(&datagram) {
//!             Some(0) => match self.listener.handle_input(now, from, &datagram) {
//!                 Some(Answer::Reply(reply)) => send(from, reply),
//!                 Some(Answer::Request(request)) => {
//!                     // A caller that did not get its answer asks again.
//!                     if let Some(session) = self.sessions.values_mut().find(|session| session.key() == request.key()) {
//!                         session.handle_input(now, &datagram);
//!                     } else if request.stream_id().resource() == Some("live/cam") {
//!                         let socket_id = self.next_socket_id;
//!                         self.next_socket_id += 1;
//!                         let seed = [0; 32]; // from the system's generator
//!                         match request.accept(now, socket_id, Config::default(), seed) {
//!                             Ok(session) => drop(self.sessions.insert(socket_id, session)),
//!                             Err(refused) => send(from, refused.datagram),
//!                         }
//!                     } else {
//!                         send(from, request.reject(Reject::NOT_FOUND));
//!                     }
//!                 }
//!                 None => {}
//!             },
//!             Some(socket_id) => {
//!                 if let Some(session) = self.sessions.get_mut(&socket_id).filter(|session| session.peer() == from) {
//!                     session.handle_input(now, &datagram);
//!                 }
//!             }
//!             None => {}
//!         }
//!     }
//!
//!     /// After every call that changes sessions, and when the time that this returned last has come.
//!     fn drain(&mut self, now: Instant, send: &mut impl FnMut(SocketAddr, Bytes)) -> Option<Instant> {
//!         self.sessions.retain(|_, session| {
//!             if session.poll_timeout().is_some_and(|at| at <= now) {
//!                 session.handle_timeout(now);
//!             }
//!             let mut open = true;
//!             while let Some(event) = session.poll_event() {
//!                 match event {
//!                     Event::Established(_) => {}
//!                     Event::Data(data) => println!("{} bytes", data.payload.len()),
//!                     Event::Closed(_) => open = false,
//!                 }
//!             }
//!             while let Some(datagram) = session.poll_output() {
//!                 send(session.peer(), datagram);
//!             }
//!             open
//!         });
//!         self.sessions.values().filter_map(Session::poll_timeout).min()
//!     }
//! }
//! # let now = Instant::now();
//! # let mut driver = Driver { listener: Listener::new(now, [1; 32]), sessions: HashMap::new(), next_socket_id: 1 };
//! # let mut sent = 0;
//! # driver.datagram(now, "192.0.2.1:9000".parse().unwrap(), Bytes::from_static(&[0; 20]), &mut |_, _| sent += 1);
//! # assert_eq!((driver.drain(now, &mut |_, _| sent += 1), sent), (None, 0));
//! ```
//!
//! # Sources
//!
//! "The SRT Protocol", draft-sharabayko-srt-01 and the revision of it that its authors keep (cited as `draft`). Where it says
//! less than programs do, what counts is how libsrt behaves.
//!
//! Live mode is all there is: messages of one datagram, delivered by the time at which they were given. What is left out is
//! refused by its name: streams of bytes, files, packet filters, AES-GCM, and callers of versions before 1.3.

mod config;
pub mod crypto;
mod error;
#[doc(hidden)]
pub mod fuzz;
pub mod handshake;
pub mod limits;
mod listener;
pub mod packet;
mod reject;
mod sequence;
mod session;
pub mod stream_id;

pub use config::{Bandwidth, Config};
pub use crypto::{KeyLength, Passphrase, Refresh};
pub use error::Error;
pub use handshake::Handshake;
pub use listener::{Answer, Listener, Refused, Request};
pub use reject::Reject;
pub use sequence::Sequence;
pub use session::{Established, Event, Reason, Received, Session, Stats};
pub use stream_id::StreamId;
