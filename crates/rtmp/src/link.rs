//! What both ends of a connection do alike once the handshake is over: decode, acknowledge, answer pings.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::handshake::Ciphers;
use crate::message::{self, Control, UserControl};
use crate::{Error, Message, chunk, limits};

/// The chunk stream of commands.
const COMMAND_CSID: u32 = 3;

/// The chunk stream layer of one connection and its protocol control messages.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) decoder: chunk::Decoder,
    /// Bytes that wait for the driver; not sealed yet.
    pub(crate) out: BytesMut,
    /// Set after an encrypted handshake.
    ciphers: Option<Box<Ciphers>>,
    /// Leading bytes of `out` that are sent as they are: they belong to the handshake.
    clear_out: usize,
    /// Leading bytes of the driver's input buffer that are decrypted already.
    opened: usize,
    /// Chunk size in force for sending.
    chunk_size: u32,
    /// Bytes received since the handshake.
    received: u64,
    /// `received` when it was acknowledged last.
    acknowledged: u64,
    /// Bytes the peer sends between acknowledgements.
    window: u32,
    /// The window that was announced to the peer last; 0 is none yet.
    announced_window: u32,
    started: Instant,
    pub(crate) last_heard: Instant,
}

/// What a [`Link`] leaves to its session.
#[derive(Debug)]
pub(crate) enum Incoming {
    Message(Message),
    User(UserControl),
}

impl Link {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            decoder: chunk::Decoder::new(),
            out: BytesMut::new(),
            ciphers: None,
            clear_out: 0,
            opened: 0,
            chunk_size: chunk::CHUNK_SIZE_INITIAL,
            received: 0,
            acknowledged: 0,
            window: limits::WINDOW_ACK_SIZE_DEFAULT,
            announced_window: 0,
            started: now,
            last_heard: now,
        }
    }

    /// The handshake is over: everything from here on goes through the ciphers, if there are any.
    pub(crate) fn start(&mut self, ciphers: Option<Box<Ciphers>>) {
        self.clear_out = self.out.len();
        self.ciphers = ciphers;
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.ciphers.is_some()
    }

    /// Decrypts what was appended to `input` since [`Link::leave`].
    pub(crate) fn open(&mut self, input: &mut [u8]) {
        if let Some(ciphers) = &mut self.ciphers {
            let opened = self.opened.min(input.len());
            ciphers.open(&mut input[opened..]);
        }
    }

    /// Takes note of what stays in the input until more of it comes. To be called once per input.
    pub(crate) fn leave(&mut self, input: &[u8]) {
        self.opened = input.len();
        self.acknowledge();
    }

    /// Encrypts bytes that the driver sends itself, next after what it has taken from [`Link::take_output`].
    pub(crate) fn seal(&mut self, bytes: &mut [u8]) {
        debug_assert!(self.clear_out == 0 || self.ciphers.is_none(), "the handshake is sent first");
        if let Some(ciphers) = &mut self.ciphers {
            ciphers.seal(bytes);
        }
    }

    /// The next message that is not protocol control; `None` when more input is needed.
    pub(crate) fn receive(&mut self, input: &mut BytesMut) -> Result<Option<Incoming>, Error> {
        loop {
            let before = input.len();
            let next = self.decoder.next_message(input)?;
            self.received += (before - input.len()) as u64;
            let Some(message) = next else { return Ok(None) };
            let control = match Control::read(message.kind, &message.payload) {
                Ok(Some(control)) => control,
                Ok(None) => return Ok(Some(Incoming::Message(message))),
                // A user control event that is cut short loses nothing that matters.
                Err(_) if message.kind == message::USER_CONTROL => continue,
                Err(error) => return Err(error),
            };
            match control {
                Control::SetChunkSize(size) => self.decoder.set_chunk_size(size)?,
                Control::Abort(csid) => self.decoder.abort(csid),
                // Never held against the peer: encoders count in 31 bits, send increments, or nothing at all.
                Control::Acknowledgement(_) => {}
                Control::WindowAckSize(0) => {}
                Control::WindowAckSize(bytes) => self.window = bytes,
                // Nothing is sent slower for it, but it wants to be answered (`RTMP` section 5.4.5).
                Control::SetPeerBandwidth(bytes, _) => self.announce_window(bytes),
                Control::User(UserControl::PingRequest(time)) => {
                    self.control(Control::User(UserControl::PingResponse(time)));
                }
                Control::User(event) => return Ok(Some(Incoming::User(event))),
            }
        }
    }

    /// Acknowledges what was received, if it is time to. Not after every message, so that a peer with a tiny window gets
    /// one acknowledgement for many.
    fn acknowledge(&mut self) {
        if self.received - self.acknowledged >= u64::from(self.window) {
            self.acknowledged = self.received;
            self.control(Control::Acknowledgement(self.received as u32));
        }
    }

    /// Fails if the peer made us say more than it is willing to read. Of what waits, `own` bytes were not said because of it.
    pub(crate) fn check_output(&self, own: usize) -> Result<(), Error> {
        if self.out.len().saturating_sub(own) > limits::OUTPUT_BYTES_MAX {
            return Err(Error::Violation("too many requests at once"));
        }
        Ok(())
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Tells the peer our chunk size and uses it from then on.
    pub(crate) fn set_chunk_size(&mut self, size: u32) {
        self.control(Control::SetChunkSize(size));
        self.chunk_size = size;
    }

    /// Tells the peer how often to acknowledge, unless it knows.
    pub(crate) fn announce_window(&mut self, bytes: u32) {
        if self.announced_window != bytes {
            self.announced_window = bytes;
            self.control(Control::WindowAckSize(bytes));
        }
    }

    pub(crate) fn control(&mut self, control: Control) {
        control.write(&mut self.out, self.chunk_size);
    }

    pub(crate) fn ping(&mut self, now: Instant) {
        let ms = now.saturating_duration_since(self.started).as_millis() as u32;
        self.control(Control::User(UserControl::PingRequest(ms)));
    }

    /// Sends a command or a data message.
    pub(crate) fn send(&mut self, stream_id: u32, kind: u8, body: &[u8]) {
        chunk::write_message(&mut self.out, self.chunk_size, COMMAND_CSID, stream_id, kind, 0, &[body]);
    }

    /// All that waits to be sent. The buffer goes with it, so an idle connection keeps none.
    pub(crate) fn take_output(&mut self) -> Option<Bytes> {
        if self.out.is_empty() {
            return None;
        }
        let mut out = std::mem::take(&mut self.out);
        let clear = std::mem::take(&mut self.clear_out);
        if let Some(ciphers) = &mut self.ciphers {
            ciphers.seal(&mut out[clear..]);
        }
        Some(out.freeze())
    }
}
