//! What a player of a recording is told that a player of a live stream is not: what it is, how long it is, and when it is over.
//!
//! The order of the messages is that of Flash Media Server, which no text gives: players wait for one or another of them.

use super::commands::quoted;
use super::{Event, Session, StreamLength, StreamState};
use crate::amf::{Object, Value};
use crate::command::{self, Command};
use crate::message::{self, Control, UserControl};

impl Session {
    /// As [`Session::accept_play`], of a recording: it has an end, and the player may go anywhere in it.
    pub fn accept_recorded_play(&mut self, stream_id: u32) {
        self.begin_play(stream_id, true);
    }

    /// All of a recording was sent, `seconds` of media in `bytes`. The player may still seek, or play something else.
    pub fn complete_play(&mut self, stream_id: u32, seconds: f64, bytes: u64) {
        if !self.is_playing(stream_id) {
            return;
        }
        let of_all = Object::new().with("duration", seconds).with("bytes", bytes as f64);
        self.send_play_status(stream_id, "NetStream.Play.Complete", of_all);
        let name = self.stream(stream_id).map(|stream| stream.name.clone()).unwrap_or_default();
        self.send_status(stream_id, "status", "NetStream.Play.Stop", &format!("Stopped playing {name}."));
        self.user_control(UserControl::StreamEof(stream_id));
    }

    /// The next recording of a playlist begins: what was asked for without `reset`.
    pub fn switch_play(&mut self, stream_id: u32, name: &str) {
        if !self.is_playing(stream_id) {
            return;
        }
        self.send_play_status(stream_id, "NetStream.Play.Switch", Object::new());
        if let Some(stream) = self.stream(stream_id) {
            stream.name = quoted(name).into();
        }
        self.user_control(UserControl::StreamIsRecorded(stream_id));
        self.user_control(UserControl::StreamBegin(stream_id));
        self.send_play_start(stream_id);
    }

    /// What was asked for without `reset` takes the place of what the stream plays, and waits for its answer.
    pub fn replace_play(&mut self, stream_id: u32, name: &str) {
        let is_free = |state| !matches!(state, StreamState::AskedToPublish | StreamState::Publishing);
        if let Some(stream) = self.stream(stream_id).filter(|stream| is_free(stream.state)) {
            stream.state = StreamState::AskedToPlay;
            stream.name = quoted(name).into();
            (stream.reset, stream.recorded) = (false, false);
        }
    }

    /// Refuses what was asked for without `reset`. What plays goes on.
    pub fn reject_queued(&mut self, stream_id: u32, code: &str, description: &str) {
        if self.is_playing(stream_id) {
            self.send_status(stream_id, "error", code, description);
        }
    }

    /// Ends a playback that cannot go on, for example with `NetStream.Play.Failed`.
    pub fn fail_play(&mut self, stream_id: u32, code: &str, description: &str) {
        if self.advance(stream_id, StreamState::Playing, StreamState::Idle).is_some() {
            self.send_status(stream_id, "error", code, description);
            self.user_control(UserControl::StreamEof(stream_id));
        }
    }

    /// Says how long a stream is, in seconds; a live one has 0.
    pub fn answer_stream_length(&mut self, asked: &StreamLength, seconds: f64) {
        self.amf3 = asked.amf3;
        self.send_command(0, "_result", asked.transaction, &[Value::Null, seconds.into()]);
    }

    pub(super) fn stream_length(&mut self, command: &Command) {
        // Who may not play is told of nothing that there is.
        let Some(name) = command.arg(0).as_str().filter(|_| self.is_verified()) else {
            return self.answer(command, Value::Number(0.0));
        };
        if command.transaction > 0.0 {
            self.events.push_back(Event::StreamLength(Box::new(StreamLength {
                app: self.app.to_string(),
                name: name.to_owned(),
                transaction: command.transaction,
                amf3: self.amf3,
            })));
        }
    }

    pub(super) fn begin_play(&mut self, stream_id: u32, recorded: bool) {
        let Some(name) = self.advance(stream_id, StreamState::AskedToPlay, StreamState::Playing) else {
            return;
        };
        if recorded {
            self.link.control(Control::User(UserControl::StreamIsRecorded(stream_id)));
        }
        self.link.control(Control::User(UserControl::StreamBegin(stream_id)));
        let resets = self.stream(stream_id).is_some_and(|stream| {
            stream.recorded = recorded;
            stream.reset
        });
        if resets {
            let description = format!("Playing and resetting {name}.");
            self.send_status(stream_id, "status", "NetStream.Play.Reset", &description);
        }
        let description = format!("Started playing {name}.");
        self.send_status(stream_id, "status", "NetStream.Play.Start", &description);
        // Lets Flash content read samples of the media.
        let access = command::data_body(&["|RtmpSampleAccess".into(), true.into(), true.into()]);
        self.link.send(stream_id, message::DATA, &access);
    }

    pub(super) fn is_playing_recorded(&mut self, stream_id: u32) -> bool {
        self.is_playing(stream_id) && self.stream(stream_id).is_some_and(|stream| stream.recorded)
    }

    /// A data message: Flash gives it to `onPlayStatus` of its stream, and not to the listeners of other statuses.
    fn send_play_status(&mut self, stream_id: u32, code: &str, more: Object) {
        let mut info = Object::new().with("level", "status").with("code", code);
        for (key, value) in more.iter() {
            info.push(key, value.clone());
        }
        let body = command::data_body(&["onPlayStatus".into(), info.into()]);
        self.link.send(stream_id, message::DATA, &body);
    }
}
