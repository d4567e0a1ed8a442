//! The commands of a peer, one function each where they do something.

use super::{Asked, Config, Connect, Event, Phase, Play, Publish, PublishKind, Session, Stream, StreamState};
use crate::amf::{self, Value};
use crate::command::{self, Capabilities, Command};
use crate::limits;

/// Bytes of a name that an answer repeats.
const QUOTED_BYTES_MAX: usize = 256;

impl Session {
    pub(super) fn take_command(&mut self, stream_id: u32, command: Command) {
        match self.phase {
            Phase::Greeted(_) if command.name == "connect" => return self.connect(&command),
            // Nothing works before connect, and connect works once.
            Phase::Greeted(_) => return self.refuse(&command),
            _ => {}
        }
        match command.name.as_str() {
            "createStream" => self.create_stream(&command),
            "deleteStream" => {
                let id = command.arg(0).as_number().map_or(stream_id, |id| id as u32);
                self.end_stream(id);
                self.streams.retain(|stream| stream.id != id);
            }
            "closeStream" => self.end_stream(stream_id),
            "publish" => self.publish(stream_id, &command),
            "play" => self.play(stream_id, &command),
            "play2" => self.play2(stream_id, &command),
            "pause" | "pauseRaw" => self.pause(stream_id, &command),
            "seek" => self.seek(stream_id, &command),
            "receiveAudio" => self.receive(stream_id, &command, |on| Event::ReceiveAudio { stream_id, on }),
            "receiveVideo" => self.receive(stream_id, &command, |on| Event::ReceiveVideo { stream_id, on }),
            "FCPublish" => self.fc_answer(&command, "onFCPublish", "NetStream.Publish.Start"),
            "FCUnpublish" => {
                self.end_announced |= self.is_publishing();
                self.fc_answer(&command, "onFCUnpublish", "NetStream.Unpublish.Success");
            }
            "FCSubscribe" => self.fc_answer(&command, "onFCSubscribe", "NetStream.Play.Start"),
            "FCUnsubscribe" => self.fc_answer(&command, "onFCUnsubscribe", "NetStream.Play.Stop"),
            "releaseStream" | "setPeerInfo" | "_checkbw" => self.answer(&command, Value::Undefined),
            "getStreamLength" => self.stream_length(&command),
            // Nothing is asked of the peer that it would have to answer.
            "_result" | "_error" | "onStatus" => {}
            _ => {
                self.refuse(&command);
                let command = Box::new(command);
                self.events.push_back(Event::Command { stream_id, command });
            }
        }
        // A publisher whose stream we ended may be within a large message. With its next command it has heard of the end, or
        // does something else.
        if !self.is_publishing() {
            self.link.decoder.set_message_bytes_max(before_publish(&self.config));
        }
    }

    fn connect(&mut self, command: &Command) {
        let text = |key| command.object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let encoding = command.object.get("objectEncoding").and_then(Value::as_number);
        let connect = Connect {
            app: text("app"),
            tc_url: text("tcUrl"),
            flash_ver: text("flashVer"),
            page_url: text("pageUrl"),
            swf_url: text("swfUrl"),
            object_encoding: if encoding == Some(3.0) { 3 } else { 0 },
            capabilities: Capabilities::read(&command.object),
        };
        self.app = connect.app.as_str().into();
        self.object_encoding = connect.object_encoding;
        self.caps_ex = connect.capabilities.caps_ex;
        self.phase = Phase::Deciding(Box::new(Asked {
            transaction: command.transaction,
            capabilities: connect.capabilities.clone(),
        }));
        self.events.push_back(Event::Connect(Box::new(connect)));
    }

    fn create_stream(&mut self, command: &Command) {
        if self.streams.len() >= self.config.streams_max {
            return self.refuse(command);
        }
        // The lowest that is free: players of one number share what is sent to them, so numbers are not used up.
        let is_free = |id: &u32| self.streams.iter().all(|stream| stream.id != *id);
        let Some(id) = (1..=u32::MAX).find(is_free) else { return self.refuse(command) };
        self.streams.push(Stream {
            id,
            state: StreamState::Idle,
            name: Box::default(),
            amf3: false,
            reset: false,
            recorded: false,
        });
        self.answer(command, Value::from(id));
    }

    /// Makes a stream idle. What the driver has to know becomes an event.
    fn end_stream(&mut self, id: u32) {
        let Some(stream) = self.stream(id) else { return };
        let state = std::mem::replace(&mut stream.state, StreamState::Idle);
        match state {
            StreamState::Idle => {}
            StreamState::AskedToPublish | StreamState::Publishing => {
                let description = format!("{} is now unpublished.", stream.name);
                self.send_status(id, "status", "NetStream.Unpublish.Success", &description);
                self.events.push_back(Event::Unpublish { stream_id: id });
            }
            StreamState::AskedToPlay | StreamState::Playing => {
                self.events.push_back(Event::StopPlay { stream_id: id });
            }
        }
    }

    /// Puts a stream into a state that waits for the driver. Refuses, with `code`, on a stream that does not exist
    /// or that publishes already.
    fn ask(&mut self, id: u32, state: StreamState, name: &str, reset: bool, code: &str) -> bool {
        let amf3 = self.amf3;
        let Some(stream) = self.stream(id) else {
            self.send_status(id, "error", code, "No such stream.");
            return false;
        };
        if matches!(stream.state, StreamState::AskedToPublish | StreamState::Publishing) {
            self.send_status(id, "error", code, "The stream publishes already.");
            return false;
        }
        // A player switches by playing something else on the same stream.
        self.end_stream(id);
        if let Some(stream) = self.stream(id) {
            stream.state = state;
            stream.name = quoted(name).into();
            stream.amf3 = amf3;
            stream.reset = reset;
            stream.recorded = false;
        }
        true
    }

    fn publish(&mut self, stream_id: u32, command: &Command) {
        let name = match command.arg(0) {
            Value::String(name) => name,
            // publish(false) ends a publication (Flash documentation of NetStream.publish).
            Value::Bool(false) | Value::Null | Value::Undefined => return self.end_stream(stream_id),
            _ => return self.send_status(stream_id, "error", "NetStream.Publish.BadName", "A name is text."),
        };
        if !self.ask(stream_id, StreamState::AskedToPublish, name, false, "NetStream.Publish.BadName") {
            return;
        }
        self.end_announced = false;
        let kind = match command.arg(1).as_str() {
            Some("record") => PublishKind::Record,
            Some("append") => PublishKind::Append,
            _ => PublishKind::Live,
        };
        let (app, name) = (self.app.to_string(), name.clone());
        self.events.push_back(Event::Publish(Publish { stream_id, app, name, kind }));
    }

    fn play(&mut self, stream_id: u32, command: &Command) {
        let name = match command.arg(0) {
            Value::String(name) => name,
            // play(false) stops.
            Value::Bool(false) => return self.end_stream(stream_id),
            _ => return self.send_status(stream_id, "error", "NetStream.Play.Failed", "A name is text."),
        };
        let start = command.arg(1).as_number().unwrap_or(-2.0);
        let duration = command.arg(2).as_number().unwrap_or(-1.0);
        let reset = command.arg(3).as_bool().unwrap_or(true);
        self.ask_to_play(stream_id, name, start, duration, reset);
    }

    /// `RTMP` section 7.2.2.2: like play, with the parameters in an object. A change of rung is a play of the other
    /// name.
    fn play2(&mut self, stream_id: u32, command: &Command) {
        let parameters = command.arg(0);
        let Some(name) = parameters.get("streamName").and_then(Value::as_str) else {
            return self.send_status(stream_id, "error", "NetStream.Play.Failed", "A name is text.");
        };
        let number = |key, default| parameters.get(key).and_then(Value::as_number).unwrap_or(default);
        let (start, duration) = (number("start", -2.0), number("len", -1.0));
        self.ask_to_play(stream_id, name, start, duration, true);
    }

    fn ask_to_play(&mut self, stream_id: u32, name: &str, start: f64, duration: f64, reset: bool) {
        // Flash multiplies by 1000 on the way to the wire, the special values included, and others do as it does.
        let start = if start <= -1000.0 { start / 1000.0 } else { start };
        let duration = if duration <= -1000.0 { duration / 1000.0 } else { duration };
        let runs =
            |stream: &mut Stream| matches!(stream.state, StreamState::AskedToPlay | StreamState::Playing);
        // Only the driver knows whether it comes behind something, or takes its place.
        let is_queued = !reset && self.stream(stream_id).is_some_and(runs);
        if is_queued {
            let (app, name) = (self.app.to_string(), name.to_owned());
            self.play_verified(Play { stream_id, app, name, start, duration, reset });
        } else if self.ask(stream_id, StreamState::AskedToPlay, name, reset, "NetStream.Play.Failed") {
            if self.link.chunk_size() != self.config.out_chunk_size {
                self.link.set_chunk_size(self.config.out_chunk_size);
            }
            let (app, name) = (self.app.to_string(), name.to_owned());
            self.play_verified(Play { stream_id, app, name, start, duration, reset });
        }
    }

    /// Answers a command that needs a value, or nothing, but an answer.
    pub(super) fn answer(&mut self, command: &Command, value: Value) {
        if command.transaction > 0.0 {
            self.send_command(0, "_result", command.transaction, &[Value::Null, value]);
        }
    }

    /// FMLE and its like wait for these statuses, other programs for the result.
    fn fc_answer(&mut self, command: &Command, name: &str, code: &str) {
        self.answer(command, Value::Undefined);
        let description = quoted(command.arg(0).as_str().unwrap_or_default());
        let info = command::info("status", code, description);
        self.send_command(0, name, 0.0, &[Value::Null, info.into()]);
    }

    fn refuse(&mut self, command: &Command) {
        if command.transaction > 0.0 {
            let description = format!("{} is not possible here.", quoted(&command.name));
            let info = command::info("error", "NetConnection.Call.Failed", &description);
            self.send_command(0, "_error", command.transaction, &[Value::Null, info.into()]);
        }
    }
}

/// Bytes of one message of a peer that publishes nothing.
pub(super) fn before_publish(config: &Config) -> u32 {
    config.message_bytes_max.min(limits::MESSAGE_BYTES_MAX_BEFORE_PUBLISH)
}

pub(super) fn quoted(text: &str) -> &str {
    amf::cut(text, QUOTED_BYTES_MAX)
}
