//! The server end of a connection.

mod config;
mod event;

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::Error;
pub use config::Config;
pub use event::{Connect, Event, Play, Publish, PublishKind};

/// One connection, seen from the server.
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
    pub fn accept_connect(&mut self) {}
    pub fn reject_connect(&mut self, code: &str, description: &str) {}
    pub fn accept_publish(&mut self, stream_id: u32) {}
    pub fn reject_publish(&mut self, stream_id: u32, code: &str, description: &str) {}
    pub fn accept_play(&mut self, stream_id: u32) {}
    pub fn reject_play(&mut self, stream_id: u32, code: &str, description: &str) {}
    /// Ends a playback from our side (the publisher left): StreamEOF and an `onStatus` with `code`.
    pub fn end_play(&mut self, stream_id: u32, code: &str) {}
    /// Ends a publication from our side with an error status.
    pub fn end_publish(&mut self, stream_id: u32, code: &str, description: &str) {}
    /// Returns whether the peer understands it (E-RTMP capsEx bit 1).
    pub fn request_reconnect(&mut self, tc_url: Option<&str>, description: &str) -> bool {
        false
    }
    pub fn out_chunk_size(&self) -> u32 {
        self.config.out_chunk_size
    }
    /// Bytes received since the handshake ended.
    pub fn bytes_received(&self) -> u64 {
        0
    }
    /// When the peer was last heard of; a driver closes connections that stay silent in spite of pings.
    pub fn last_heard(&self) -> Instant {
        unreachable!()
    }
}
