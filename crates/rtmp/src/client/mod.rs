//! The client end of a connection: one stream, played or published.

mod config;

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::command::Status;
use crate::{Error, Message};
pub use config::{Config, Form, Role};

/// Something that happened on a connection.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The server accepted `connect`.
    Connected,
    /// The server plays; messages follow.
    Playing,
    /// The server takes media now: [`Session::send_message`] works from here on.
    Publishing,
    /// Audio, video or data of the played stream.
    Message(Message),
    /// A status that has no event of its own.
    Status(Status),
    /// The server refused to connect, play or publish. Nothing more will come.
    Rejected(Status),
    /// The server asks the client to move (E-RTMP v2 "Reconnect Request").
    Reconnect {
        /// Where to; absolute, or relative to the current one; `None` means the same again.
        tc_url: Option<String>,
        /// For people.
        description: String,
    },
    /// The server ended the stream: the publisher left, or the end was reached.
    Ended(Status),
}

/// One connection, seen from the client.
#[derive(Debug)]
pub struct Session {
    config: Config,
}

#[allow(unused_variables, missing_docs)]
impl Session {
    pub fn new(config: Config, random: [u8; 32], now: Instant) -> Self {
        Self { config }
    }
    pub fn handle_input(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), Error> {
        Ok(())
    }
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        Ok(())
    }
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    pub fn poll_output(&mut self) -> Option<Bytes> {
        None
    }
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }
    /// Queues one message of the published stream. `kind` is 8, 9, 15 or 18; the parts of the payload are joined.
    pub fn send_message(&mut self, kind: u8, timestamp: u32, payload: &[&[u8]]) -> Result<(), Error> {
        Ok(())
    }
    /// The message stream of the media, once [`Event::Publishing`] or [`Event::Playing`] came: a driver may write
    /// chunks of the published stream itself with [`crate::chunk::write_message`].
    pub fn stream_id(&self) -> u32 {
        1
    }
    pub fn out_chunk_size(&self) -> u32 {
        self.config.out_chunk_size
    }
    /// Says goodbye: FCUnpublish, deleteStream. Send what [`Session::poll_output`] gives, then close.
    pub fn close(&mut self) {}
    pub fn bytes_received(&self) -> u64 {
        0
    }
    pub fn last_heard(&self) -> Instant {
        unreachable!()
    }
}
