//! The client end of a connection: one stream, played or published.
//!
//! ```text
//!            pipelined                                   one step at a time
//! C0 C1                       ──▶             C0 C1                        ──▶
//!                     ◀── S0 S1 S2                                ◀── S0 S1 S2
//! C2 connect createStream             C2 connect                   ──▶
//!    play on stream 1         ──▶                                 ◀── _result
//!         ◀── _result _result Play.Start      createStream                 ──▶
//!                                                                 ◀── _result
//!                                             play                         ──▶
//!                                                              ◀── Play.Start
//! ```

mod auth;
mod config;
mod event;
mod playback;
mod start;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::amf::Value;
use crate::command::{self, Capabilities, Command, Status};
use crate::link::{Incoming, Link};
use crate::message::{self, Control, UserControl};
use crate::{Error, Message, chunk, handshake, limits, shared_object};
pub use auth::Auth;
pub use config::{Config, Form, Role};
pub use event::Event;
use playback::Playback;
use start::Start;

/// One connection, seen from the client. See the `wire` crate for the order of calls.
#[derive(Debug)]
pub struct Session {
    config: Config,
    link: Link,
    phase: Phase,
    start: Start,
    playback: Playback,
    events: VecDeque<Event>,
    stream_id: u32,
    /// Whether [`Event::Ended`] was given; a status and an end of stream often come together.
    ended: bool,
    /// The end of S1, after a handshake with digests.
    swf_key: Option<[u8; 32]>,
    /// What we add to the answer to a challenge.
    nonce: [u8; 4],
    server: Capabilities,
    deadline: Instant,
}

#[derive(Debug)]
enum Phase {
    Handshake(Box<handshake::Client>),
    /// From `connect` to the status that says media flows.
    Starting,
    Running,
    /// Refused, or closed by us.
    Over,
}

impl Session {
    /// A connection that was just made; its first bytes wait in [`Session::poll_output`]. `random` has to come
    /// from the system's generator, anew for each connection: the keys of an encrypted one are made of it.
    pub fn new(config: Config, random: [u8; 32], now: Instant) -> Self {
        let mut link = Link::new(now);
        link.decoder.set_message_bytes_max(config.message_bytes_max);
        let [n0, n1, n2, n3, ..] = handshake::hmac(&random, &[b"nonce"]);
        let nonce = [n0, n1, n2, n3];
        let form = match config.handshake {
            Form::Plain if config.swf.is_some() => Form::Digest,
            form => form,
        };
        let handshake = handshake::Client::new(form, random, &mut link.out);
        Self {
            link,
            phase: Phase::Handshake(Box::new(handshake)),
            start: Start::default(),
            playback: Playback::default(),
            events: VecDeque::new(),
            stream_id: start::FIRST_STREAM,
            ended: false,
            swf_key: None,
            nonce,
            server: Capabilities::default(),
            deadline: now + config.start_timeout,
            config,
        }
    }

    /// Takes what the server sent. Less than one handshake block or chunk header stays in `input`, and has to stay
    /// there, because it may be decrypted already; the payload of a larger message that lies in it as one piece becomes
    /// a slice of it.
    ///
    /// # Errors
    /// Whatever makes it impossible to go on. `Misuse` if the driver never drains the events.
    pub fn handle_input(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), Error> {
        if self.events.len() >= limits::EVENTS_MAX {
            return Err(Error::Misuse("events are not drained"));
        }
        if !input.is_empty() {
            self.link.last_heard = now;
        }
        if let Phase::Handshake(handshake) = &mut self.phase {
            let Some(finished) = handshake.handle_input(input, &mut self.link.out)? else { return Ok(()) };
            self.link.start(finished.ciphers);
            self.swf_key = finished.swf_key;
            self.phase = Phase::Starting;
            self.greet();
        }
        self.link.open(input);
        // Media of ours, maybe, that the driver has not fetched yet.
        let own = self.link.out.len();
        while let Some(incoming) = self.link.receive(input)? {
            match incoming {
                Incoming::Message(message) => self.take_message(now, message)?,
                Incoming::User(UserControl::StreamEof(_)) if self.playback.moved => {}
                Incoming::User(UserControl::StreamEof(_)) => self.end(Status {
                    level: "status".to_owned(),
                    code: "NetStream.Play.Stop".to_owned(),
                    description: "The server ended the stream.".to_owned(),
                }),
                Incoming::User(UserControl::SwfVerifyRequest) => self.prove_swf(),
                Incoming::User(_) => {}
            }
            if self.events.len() > limits::EVENTS_MAX {
                return Err(Error::Violation("too many messages at once"));
            }
            self.link.check_output(own)?;
        }
        // Pings are answered without becoming messages.
        self.link.check_output(own)?;
        self.link.leave(input);
        Ok(())
    }

    /// When to call [`Session::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Handshake(_) | Phase::Starting => {
                Some(self.start.again_at.map_or(self.deadline, |again| again.min(self.deadline)))
            }
            Phase::Running | Phase::Over => None,
        }
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// `Violation` if the server takes too long to start the stream.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if !matches!(self.phase, Phase::Handshake(_) | Phase::Starting) {
            return Ok(());
        }
        if self.deadline <= now {
            return Err(Error::Violation("server takes too long to start the stream"));
        }
        if self.start.again_at.is_some_and(|again| again <= now) {
            self.create_again();
        }
        Ok(())
    }

    /// Bytes to send, in order; sealed on an encrypted connection.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.link.take_output()
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Queues one message of the published stream. `kind` is 8, 9, 15 or 18, `timestamp` in milliseconds modulo
    /// 2^32; the parts of the payload are joined.
    ///
    /// # Errors
    /// `Misuse` before [`Event::Publishing`] and after the end, for another type, and for a message over
    /// [`limits::MESSAGE_BYTES_MAX`].
    pub fn send_message(&mut self, kind: u8, timestamp: u32, payload: &[&[u8]]) -> Result<(), Error> {
        if !matches!(self.phase, Phase::Running) || self.config.role != Role::Publish {
            return Err(Error::Misuse("nothing is published"));
        }
        let csid = match kind {
            message::AUDIO => 4,
            message::VIDEO => 6,
            message::DATA | message::DATA_AMF3 => 5,
            _ => return Err(Error::Misuse("no type of media")),
        };
        if payload.iter().map(|part| part.len()).sum::<usize>() > limits::MESSAGE_BYTES_MAX as usize {
            return Err(Error::Misuse("message too large"));
        }
        let chunk_size = self.link.chunk_size();
        chunk::write_message(&mut self.link.out, chunk_size, csid, self.stream_id, kind, timestamp, payload);
        Ok(())
    }

    /// Uses a shared object, changes it, or calls a function of all who use it.
    ///
    /// # Errors
    /// `Misuse` before [`Event::Connected`] and after the end.
    pub fn send_shared_object(&mut self, object: &shared_object::Message) -> Result<(), Error> {
        if !self.start.is_connected() || matches!(self.phase, Phase::Over) {
            return Err(Error::Misuse("not connected"));
        }
        let mut body = BytesMut::new();
        object.write(false, &mut body);
        self.link.send(0, message::SHARED_OBJECT, &body);
        Ok(())
    }

    /// Says goodbye. Send what [`Session::poll_output`] gives, then close.
    pub fn close(&mut self) {
        if !matches!(self.phase, Phase::Starting | Phase::Running) {
            return;
        }
        if self.config.role == Role::Publish {
            let name = Value::from(self.config.name.as_str());
            self.request("FCUnpublish", &[Value::Null, name]);
        }
        let id = Value::from(self.stream_id);
        self.request("deleteStream", &[Value::Null, id]);
        self.phase = Phase::Over;
    }

    /// The message stream of the media, valid from [`Event::Publishing`] or [`Event::Playing`] on. A driver may write
    /// chunks of the published stream itself with [`chunk::write_message`], on any chunk stream but 2 and 3, through
    /// [`Session::seal`].
    pub fn stream_id(&self) -> u32 {
        self.stream_id
    }

    /// The chunk size in force for what we send, in bytes. It no longer changes after [`Event::Connected`].
    pub fn out_chunk_size(&self) -> u32 {
        self.link.chunk_size()
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

    /// What the server announced of Enhanced RTMP; empty before [`Event::Connected`].
    pub fn server_capabilities(&self) -> &Capabilities {
        &self.server
    }

    /// Bytes received since the handshake ended.
    pub fn bytes_received(&self) -> u64 {
        self.link.received()
    }

    /// When the server was last heard of.
    pub fn last_heard(&self) -> Instant {
        self.link.last_heard
    }

    fn take_message(&mut self, now: Instant, message: Message) -> Result<(), Error> {
        match message.kind {
            message::COMMAND | message::COMMAND_AMF3 => {
                let command = Command::read(message.kind, &message.payload)?;
                self.take_command(now, &command);
            }
            message::AUDIO | message::VIDEO | message::DATA | message::DATA_AMF3 => self.take_media(message),
            message::AGGREGATE => {
                for part in message::parts_of_aggregate(message) {
                    self.take_media(part?);
                }
            }
            message::SHARED_OBJECT | message::SHARED_OBJECT_AMF3 => {
                let object = shared_object::Message::read(message.kind, &message.payload)?;
                self.events.push_back(Event::SharedObject(Box::new(object)));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_media(&mut self, message: Message) {
        if self.config.role != Role::Play || matches!(self.phase, Phase::Over) || is_notice(&message) {
            return;
        }
        // Some servers send media without a status before it.
        if matches!(self.phase, Phase::Starting) {
            self.run(Event::Playing);
        }
        self.playback.position_ms = message.timestamp;
        self.events.push_back(Event::Message(message));
    }

    fn take_command(&mut self, now: Instant, command: &Command) {
        match command.name.as_str() {
            "_result" => self.take_result(now, command),
            "_error" => self.take_error(command),
            "onStatus" => self.take_status(command.arg(0)),
            "close" => self.end(Status {
                level: "status".to_owned(),
                code: "NetConnection.Connect.Closed".to_owned(),
                description: "The server closed the connection.".to_owned(),
            }),
            // onBWDone, onFCPublish and others that nothing depends on.
            _ => {}
        }
    }

    fn take_status(&mut self, info: &Value) {
        let status = Status::read(info);
        match (status.code.as_str(), self.config.role) {
            ("NetStream.Play.Start", Role::Play) => self.run(Event::Playing),
            ("NetStream.Publish.Start", Role::Publish) => self.run(Event::Publishing),
            ("NetConnection.Connect.ReconnectRequest", _) => {
                let tc_url = info.get("tcUrl").and_then(Value::as_str).map(str::to_owned);
                self.events.push_back(Event::Reconnect { tc_url, description: status.description });
            }
            ("NetStream.Play.UnpublishNotify" | "NetStream.Play.Stop" | "NetStream.Play.Complete", _) => {
                self.end(status);
            }
            _ if playback::is_answer(&status) => self.events.push_back(Event::Status(status)),
            _ if status.level == "error" => match self.phase {
                Phase::Running => self.end(status),
                _ if status.code.starts_with("NetConnection.") => self.reject(status),
                _ => self.refused(status),
            },
            _ => self.events.push_back(Event::Status(status)),
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    fn prove_swf(&mut self) {
        if let (Some(swf), Some(key)) = (&self.config.swf, &self.swf_key) {
            let answer = swf.answer(key);
            self.link.control(Control::User(UserControl::SwfVerifyResponse(answer)));
        }
    }

    /// Media flows.
    fn run(&mut self, event: Event) {
        if matches!(self.phase, Phase::Starting) {
            self.phase = Phase::Running;
            self.events.push_back(event);
        }
    }

    /// The server ended a running stream. More may come if it starts it again.
    fn end(&mut self, status: Status) {
        if matches!(self.phase, Phase::Running) && !self.ended {
            self.ended = true;
            self.events.push_back(Event::Ended(status));
        }
    }

    fn reject(&mut self, status: Status) {
        if !matches!(self.phase, Phase::Over) {
            self.phase = Phase::Over;
            self.events.push_back(Event::Rejected(status));
        }
    }

    /// Sends a command with a transaction of its own on the connection's stream.
    fn request(&mut self, name: &str, values: &[Value]) -> f64 {
        self.request_on(0, name, values)
    }

    fn request_on(&mut self, stream_id: u32, name: &str, values: &[Value]) -> f64 {
        let transaction = self.start.next_transaction();
        self.link.send(stream_id, message::COMMAND, &command::body(false, name, transaction, values));
        transaction
    }
}

/// Whether a data message speaks to the player program instead of carrying metadata of the stream.
fn is_notice(message: &Message) -> bool {
    message.kind == message::DATA
        && [&b"\x02\0\x11|RtmpSampleAccess"[..], b"\x02\0\x08onStatus"]
            .iter()
            .any(|start| message.payload.starts_with(start))
}

#[cfg(test)]
mod tests;
