//! The server end of a connection.
//!
//! ```text
//! handshake ──▶ waits for connect ──▶ Event::Connect ──▶ accept_connect ──▶ commands, media
//!                                                    └─▶ reject_connect ──▶ nothing more is read
//! per stream:  createStream ──▶ idle ──publish──▶ asked ──accept_publish──▶ publishing ──▶ idle
//!                                    ──play─────▶ asked ──accept_play────▶ playing ─────▶ idle
//! ```
//!
//! Media to players does not pass through the session: after [`Session::accept_play`] and once
//! [`Session::poll_output`] is drained, the driver writes chunks itself with [`crate::chunk::write_message`] and
//! [`Session::out_chunk_size`], so that all players of a stream can share them. It may use any chunk stream but 2
//! and 3, which the session writes on. To an encrypted connection it sends a copy that went through
//! [`Session::seal`].

mod commands;
mod config;
mod event;
mod playback;
mod recorded;
mod verification;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::amf::{Object, Value};
use crate::command::{self, Capabilities, Command};
use crate::link::{Incoming, Link};
use crate::message::{self, Control, UserControl};
use crate::{Error, Message, chunk, handshake, limits, shared_object};
pub use config::Config;
pub use event::{Connect, Event, Play, Publish, PublishKind, StreamLength};
use verification::Verification;

/// The version that servers give; players compare it with those of Flash Media Server.
const SERVER_VERSION: &str = "FMS/3,0,1,123";

/// One connection, seen from the server. See the `wire` crate for the order of calls.
///
/// The answers to events (`accept_…`, `reject_…`, `end_…`) do nothing if the connection or stream has moved on in
/// the meantime, for example because the peer closed it while the driver decided.
#[derive(Debug)]
pub struct Session {
    config: Config,
    link: Link,
    phase: Phase,
    events: VecDeque<Event>,
    streams: Vec<Stream>,
    app: Box<str>,
    object_encoding: u8,
    caps_ex: u8,
    /// Whether the command at hand came as AMF3; its answer goes back as such.
    amf3: bool,
    /// The type of the newest shared object message of the peer.
    shared_object_kind: u8,
    /// What came behind `connect` while the driver decides on it.
    deferred: Vec<Message>,
    /// Where players are asked for their SWF.
    verification: Option<Box<Verification>>,
    pinged: Option<Instant>,
    /// FCUnpublish came while the peer published.
    end_announced: bool,
    /// Why the session ended in a call that cannot say so itself.
    failed: Option<Error>,
}

#[derive(Debug)]
enum Phase {
    /// Boxed, because most sessions most of the time are past it.
    Handshake(Box<handshake::Server>, Instant),
    /// Until then `connect` has to come.
    Greeted(Instant),
    Deciding(Box<Asked>),
    Connected,
    Rejected,
}

/// What the answer to `connect` needs.
#[derive(Debug)]
struct Asked {
    transaction: f64,
    capabilities: Capabilities,
}

#[derive(Debug)]
struct Stream {
    id: u32,
    state: StreamState,
    /// The name that is published or played, for the descriptions of statuses.
    name: Box<str>,
    amf3: bool,
    /// Whether the play at hand starts a new playlist.
    reset: bool,
    /// Whether what plays is a recording: it is told so, and more can be queued behind it.
    recorded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Idle,
    AskedToPublish,
    Publishing,
    AskedToPlay,
    Playing,
}

impl Session {
    /// A connection that was just accepted. `random` has to come from the system's generator, anew for each connection:
    /// if the peer asks for encryption, the keys are made of it.
    pub fn new(config: Config, random: [u8; 32], now: Instant) -> Self {
        let deadline = now + config.handshake_timeout;
        let mut link = Link::new(now);
        link.decoder.set_message_bytes_max(commands::before_publish(&config));
        Self {
            config: Config {
                out_chunk_size: config.out_chunk_size.clamp(1, chunk::CHUNK_SIZE_MAX),
                ..config
            },
            link,
            phase: Phase::Handshake(Box::new(handshake::Server::new(random)), deadline),
            events: VecDeque::new(),
            streams: Vec::new(),
            app: Box::default(),
            object_encoding: 0,
            caps_ex: 0,
            amf3: false,
            shared_object_kind: message::SHARED_OBJECT,
            deferred: Vec::new(),
            verification: None,
            end_announced: false,
            pinged: None,
            failed: None,
        }
    }

    /// Takes what the peer sent. Less than one handshake block or chunk header stays in `input`, and has to stay there,
    /// because it may be decrypted already; the payload of a larger message that lies in it as one piece becomes a slice
    /// of it.
    ///
    /// # Errors
    /// Whatever makes it impossible to go on. `Misuse` if the driver never drains the events.
    pub fn handle_input(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), Error> {
        self.check()?;
        if self.events.len() >= limits::EVENTS_MAX {
            return Err(Error::Misuse("events are not drained"));
        }
        if !input.is_empty() {
            self.link.last_heard = now;
            self.pinged = None;
        }
        if let Phase::Handshake(handshake, deadline) = &mut self.phase {
            let Some(finished) = handshake.handle_input(input, &mut self.link.out)? else { return Ok(()) };
            self.link.start(finished.ciphers);
            if !self.config.swf.is_empty() {
                self.verification = Some(Box::new(Verification::new(finished.swf_key)));
            }
            self.phase = Phase::Greeted(*deadline);
        }
        self.link.open(input);
        while !matches!(self.phase, Phase::Rejected) {
            match self.link.receive(input)? {
                None => break,
                Some(Incoming::Message(message)) => self.take_message(message)?,
                Some(Incoming::User(UserControl::SetBufferLength { stream_id, ms })) => {
                    self.events.push_back(Event::BufferLength { stream_id, ms });
                }
                Some(Incoming::User(UserControl::SwfVerifyResponse(answer))) => self.take_swf_answer(&answer),
                Some(Incoming::User(_)) => {}
            }
            if self.events.len() > limits::EVENTS_MAX {
                return Err(Error::Violation("too many messages at once"));
            }
            self.link.check_output(0)?;
        }
        if matches!(self.phase, Phase::Rejected) {
            input.clear();
        }
        self.link.leave(input);
        Ok(())
    }

    /// When to call [`Session::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.failed.is_some() {
            return Some(self.link.last_heard);
        }
        match self.phase {
            Phase::Handshake(_, deadline) | Phase::Greeted(deadline) => Some(deadline),
            Phase::Deciding(_) | Phase::Rejected => None,
            Phase::Connected => {
                Some(self.verify_by().map_or(self.ping_at(), |deadline| deadline.min(self.ping_at())))
            }
        }
    }

    /// Lets time pass: ends a connection whose peer is slow to say what it wants, pings a silent one, gives up on the SWF
    /// of one that does not show it.
    ///
    /// # Errors
    /// `Violation` if the peer took too long.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.check()?;
        if self.verify_by().is_some_and(|deadline| deadline <= now) {
            self.conclude(false);
        }
        match self.phase {
            Phase::Handshake(_, deadline) if deadline <= now => {
                Err(Error::Violation("handshake takes too long"))
            }
            Phase::Greeted(deadline) if deadline <= now => Err(Error::Violation("connect takes too long")),
            Phase::Connected if self.ping_at() <= now => {
                self.pinged = Some(now);
                self.link.ping(now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Bytes to send, in order; sealed on an encrypted connection.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.link.take_output()
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        // Publishers fill the queue all the time; for everybody else it is a waste to keep.
        if self.events.is_empty() && self.events.capacity() > 0 && !self.is_publishing() {
            self.events = VecDeque::new();
        }
        event
    }

    /// Accepts `connect`, and goes on with what the peer sent after it.
    pub fn accept_connect(&mut self) {
        let Phase::Deciding(asked) = std::mem::replace(&mut self.phase, Phase::Connected) else { return };
        self.link.announce_window(self.config.window_ack_size);
        self.link
            .control(Control::SetPeerBandwidth(self.config.window_ack_size, message::Bandwidth::Dynamic));
        // ffmpeg copies our chunk size when it publishes, and on an encrypted connection it reads it from the buffer that
        // it has just encrypted for that. There only players are told, who do not copy it.
        if !self.link.is_encrypted() {
            self.link.set_chunk_size(self.config.out_chunk_size);
        }
        let properties =
            Object::new().with("fmsVer", SERVER_VERSION).with("capabilities", 31.0).with("mode", 1.0);
        let mut info = command::info("status", "NetConnection.Connect.Success", "Connection succeeded.");
        info.push("objectEncoding", u32::from(self.object_encoding));
        if asked.capabilities.is_enhanced() {
            offered_capabilities(&asked.capabilities).put(&mut info);
        }
        self.send_command(0, "_result", asked.transaction, &[properties.into(), info.into()]);
        self.send_command(0, "onBWDone", 0.0, &[Value::Null]);
        for message in std::mem::take(&mut self.deferred) {
            if let Err(error) = self.take_message(message) {
                self.failed = Some(error);
                return;
            }
        }
    }

    /// Refuses `connect`. The driver closes once the output is sent.
    pub fn reject_connect(&mut self, code: &str, description: &str) {
        let Phase::Deciding(asked) = std::mem::replace(&mut self.phase, Phase::Rejected) else { return };
        let info = command::info("error", code, description);
        self.send_command(0, "_error", asked.transaction, &[Value::Null, info.into()]);
        self.deferred = Vec::new();
    }

    /// Refuses `connect` and sends the peer to `url`, an application elsewhere. Programs that do not understand it are
    /// refused. The driver closes once the output is sent.
    pub fn redirect_connect(&mut self, url: &str) {
        let Phase::Deciding(asked) = std::mem::replace(&mut self.phase, Phase::Rejected) else { return };
        let ex = Object::new().with("code", 302.0).with("redirect", url);
        let info = command::info("error", "NetConnection.Connect.Rejected", "The stream is elsewhere.");
        self.send_command(0, "_error", asked.transaction, &[Value::Null, info.with("ex", ex).into()]);
        self.deferred = Vec::new();
    }

    /// Accepts a publication; while it lasts, messages up to the configured size are taken.
    pub fn accept_publish(&mut self, stream_id: u32) {
        let Some(name) = self.advance(stream_id, StreamState::AskedToPublish, StreamState::Publishing) else {
            return;
        };
        self.link.decoder.set_message_bytes_max(self.config.message_bytes_max);
        self.link.control(Control::User(UserControl::StreamBegin(stream_id)));
        self.send_status(
            stream_id,
            "status",
            "NetStream.Publish.Start",
            &format!("{name} is now published."),
        );
    }

    /// Refuses a publication, for example with `NetStream.Publish.BadName`. Encoders try again unless the driver
    /// also closes.
    pub fn reject_publish(&mut self, stream_id: u32, code: &str, description: &str) {
        if self.advance(stream_id, StreamState::AskedToPublish, StreamState::Idle).is_some() {
            self.send_status(stream_id, "error", code, description);
        }
    }

    /// Accepts a playback. Once the output is drained, media may follow.
    pub fn accept_play(&mut self, stream_id: u32) {
        self.begin_play(stream_id, false);
    }

    /// Refuses a playback, for example with `NetStream.Play.StreamNotFound`.
    pub fn reject_play(&mut self, stream_id: u32, code: &str, description: &str) {
        if self.advance(stream_id, StreamState::AskedToPlay, StreamState::Idle).is_some() {
            self.send_status(stream_id, "error", code, description);
        }
    }

    /// Ends a playback from our side: `NetStream.Play.UnpublishNotify` when the publisher left,
    /// `NetStream.Play.Stop` at the end. The stream can be played again.
    pub fn end_play(&mut self, stream_id: u32, code: &str) {
        if let Some(name) = self.advance(stream_id, StreamState::Playing, StreamState::Idle) {
            self.send_status(stream_id, "status", code, &format!("{name} has ended."));
            self.link.control(Control::User(UserControl::StreamEof(stream_id)));
        }
    }

    /// Ends a publication from our side with an error status. Media that still comes is dropped.
    pub fn end_publish(&mut self, stream_id: u32, code: &str, description: &str) {
        if self.advance(stream_id, StreamState::Publishing, StreamState::Idle).is_some() {
            self.send_status(stream_id, "error", code, description);
        }
    }

    /// Tells the peer of a shared object, in the form in which the peer speaks of them.
    pub fn send_shared_object(&mut self, object: &shared_object::Message) {
        if !matches!(self.phase, Phase::Connected) {
            return;
        }
        let mut body = BytesMut::new();
        object.write(self.shared_object_kind == message::SHARED_OBJECT_AMF3, &mut body);
        self.link.send(0, self.shared_object_kind, &body);
    }

    /// Asks the peer to connect anew, to `tc_url` or to the same place (E-RTMP v2 "Reconnect Request"). The peer
    /// goes on with this connection until a good moment, so it should be served until it leaves. Returns whether
    /// the peer announced that it understands; if not, nothing is sent.
    pub fn request_reconnect(&mut self, tc_url: Option<&str>, description: &str) -> bool {
        if !matches!(self.phase, Phase::Connected) || self.caps_ex & command::CAPS_RECONNECT == 0 {
            return false;
        }
        let mut info = command::info("status", "NetConnection.Connect.ReconnectRequest", description);
        if let Some(tc_url) = tc_url {
            info.push("tcUrl", tc_url);
        }
        self.amf3 = false;
        self.send_command(0, "onStatus", 0.0, &[Value::Null, info.into()]);
        true
    }

    /// Whether the handshake was an encrypted one (RTMPE).
    pub fn is_encrypted(&self) -> bool {
        self.link.is_encrypted()
    }

    /// Encrypts chunks that the driver writes itself; does nothing on a plain connection. The order of the calls, and of
    /// what [`Session::poll_output`] gives in between, has to be that of sending.
    pub fn seal(&mut self, bytes: &mut [u8]) {
        self.link.seal(bytes);
    }

    /// The chunk size in force for what we send, in bytes. It no longer changes after [`Event::Play`].
    pub fn out_chunk_size(&self) -> u32 {
        self.link.chunk_size()
    }

    /// Bytes received since the handshake ended.
    pub fn bytes_received(&self) -> u64 {
        self.link.received()
    }

    /// When the peer was last heard of; a driver closes connections that stay silent in spite of pings.
    pub fn last_heard(&self) -> Instant {
        self.link.last_heard
    }

    fn check(&self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), Err)
    }

    fn ping_at(&self) -> Instant {
        self.pinged.unwrap_or(self.link.last_heard) + self.config.ping_interval
    }

    fn verify_by(&self) -> Option<Instant> {
        self.verification.as_ref().and_then(|verification| verification.deadline())
    }

    /// Whether the peer has said that it is about to end its publication (FCUnpublish). A connection that is lost after that is
    /// no loss: programs close it at once, and if our answer is on its way then, their last command never arrives (RFC 9293
    /// section 3.6.1: a reset discards what was received).
    pub fn has_announced_end(&self) -> bool {
        self.end_announced
    }

    fn is_publishing(&self) -> bool {
        self.streams.iter().any(|stream| stream.state == StreamState::Publishing)
    }

    fn stream(&mut self, id: u32) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    /// Moves a stream from one state to the next and returns its name; `None` if it is in another state.
    fn advance(&mut self, id: u32, from: StreamState, to: StreamState) -> Option<Box<str>> {
        let stream = self.stream(id).filter(|stream| stream.state == from)?;
        stream.state = to;
        let (name, amf3) = (stream.name.clone(), stream.amf3);
        self.amf3 = amf3;
        Some(name)
    }

    fn take_message(&mut self, message: Message) -> Result<(), Error> {
        if matches!(self.phase, Phase::Deciding(_)) {
            let bytes: usize = self.deferred.iter().map(|message| message.payload.len()).sum();
            if self.deferred.len() >= limits::DEFERRED_MESSAGES_MAX
                || bytes + message.payload.len() > limits::DEFERRED_BYTES_MAX
            {
                return Err(Error::Violation("too many messages before the answer to connect"));
            }
            self.deferred.push(message);
            return Ok(());
        }
        match message.kind {
            message::COMMAND | message::COMMAND_AMF3 => {
                let command = Command::read(message.kind, &message.payload)?;
                self.amf3 = message.kind == message::COMMAND_AMF3;
                self.take_command(message.stream_id, command);
            }
            message::AUDIO | message::VIDEO | message::DATA | message::DATA_AMF3 => self.take_media(message),
            message::AGGREGATE => {
                for part in message::parts_of_aggregate(message) {
                    self.take_media(part?);
                }
            }
            message::SHARED_OBJECT | message::SHARED_OBJECT_AMF3
                if self.config.shared_objects && matches!(self.phase, Phase::Connected) =>
            {
                let object = shared_object::Message::read(message.kind, &message.payload)?;
                self.shared_object_kind = message.kind;
                self.events.push_back(Event::SharedObject(Box::new(object)));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_media(&mut self, mut message: Message) {
        let takes_media =
            |stream: &&Stream| matches!(stream.state, StreamState::AskedToPublish | StreamState::Publishing);
        let mut publishing = self.streams.iter().filter(takes_media);
        if self.streams.iter().filter(takes_media).all(|stream| stream.id != message.stream_id) {
            // Some encoders put 0 or another number here. With one publication there is no doubt what is meant.
            let (Some(only), None) = (publishing.next(), publishing.next()) else { return };
            message.stream_id = only.id;
        }
        self.events.push_back(Event::Message(message));
    }

    fn send_command(&mut self, stream_id: u32, name: &str, transaction: f64, values: &[Value]) {
        let kind = if self.amf3 { message::COMMAND_AMF3 } else { message::COMMAND };
        self.link.send(stream_id, kind, &command::body(self.amf3, name, transaction, values));
    }

    fn send_status(&mut self, stream_id: u32, level: &str, code: &str, description: &str) {
        let info = command::info(level, code, description);
        self.send_command(stream_id, "onStatus", 0.0, &[Value::Null, info.into()]);
    }
}

/// What we tell a peer that announced Enhanced RTMP: every codec is passed on, nothing is decoded.
fn offered_capabilities(theirs: &Capabilities) -> Capabilities {
    let any = || vec![("*".to_owned(), command::FOUR_CC_FORWARD)];
    Capabilities {
        four_cc_list: theirs.four_cc_list.clone(),
        video_four_cc: any(),
        audio_four_cc: any(),
        caps_ex: command::CAPS_RECONNECT
            | command::CAPS_MULTITRACK
            | command::CAPS_MOD_EX
            | command::CAPS_NANO_OFFSET,
        video_function: 0,
    }
}

#[cfg(test)]
mod tests;
