//! What a player does with a stream that runs: pause, resume, seek, choose.

use super::{Event, Session, StreamState};
use crate::amf::Value;
use crate::command::{self, Command};
use crate::message::{Control, UserControl};

impl Session {
    /// The player continues at `ms`, on the clock of the messages. Media of that place follow, the configurations before
    /// them.
    pub fn accept_seek(&mut self, stream_id: u32, ms: u32) {
        if !self.is_playing(stream_id) {
            return;
        }
        // What the player has buffered is over, and it begins anew (`RTMP` section 7.2.2.7; the order is that of Flash Media
        // Server for recordings).
        self.user_control(UserControl::StreamEof(stream_id));
        if self.is_playing_recorded(stream_id) {
            self.user_control(UserControl::StreamIsRecorded(stream_id));
        }
        self.user_control(UserControl::StreamBegin(stream_id));
        let description = format!("Seeking {ms} (stream ID: {stream_id}).");
        self.send_status(stream_id, "status", "NetStream.Seek.Notify", &description);
        self.send_play_start(stream_id);
    }

    /// The wanted position cannot be had, and the player continues at `ms`, the nearest one that can. It is told both: ffmpeg
    /// would wait for the second status for ever, and drop all media until then.
    pub fn accept_seek_nearby(&mut self, stream_id: u32, ms: u32, description: &str) {
        if !self.is_playing(stream_id) {
            return;
        }
        // The details are in seconds: what Flash Player documents for this code is the last position that is valid.
        let details = f64::from(ms) / 1000.0;
        let info = command::info("error", "NetStream.Seek.InvalidTime", description).with("details", details);
        self.send_command(stream_id, "onStatus", 0.0, &[Value::Null, info.into()]);
        self.accept_seek(stream_id, ms);
    }

    /// There is no other position, and the player stays where it is.
    pub fn reject_seek(&mut self, stream_id: u32, description: &str) {
        if self.is_playing(stream_id) {
            self.send_status(stream_id, "error", "NetStream.Seek.Failed", description);
        }
    }

    /// Tells the player that nothing comes for a while, because the publisher was lost.
    pub fn stream_dry(&mut self, stream_id: u32) {
        if self.is_playing(stream_id) {
            self.user_control(UserControl::StreamDry(stream_id));
        }
    }

    /// Tells the player that media comes again.
    pub fn stream_begin(&mut self, stream_id: u32) {
        if self.is_playing(stream_id) {
            self.user_control(UserControl::StreamBegin(stream_id));
        }
    }

    /// `RTMP` section 7.2.2.8. `pauseRaw` is what newer players send that keep what they have buffered.
    pub(super) fn pause(&mut self, stream_id: u32, command: &Command) {
        let paused = command.arg(0).as_bool().unwrap_or(true);
        let ms = position(command.arg(1));
        if !self.is_playing(stream_id) {
            return;
        }
        if paused {
            self.send_status(stream_id, "status", "NetStream.Pause.Notify", "Paused.");
            self.user_control(UserControl::StreamEof(stream_id));
        } else {
            self.send_status(stream_id, "status", "NetStream.Unpause.Notify", "Resumed.");
            self.user_control(UserControl::StreamBegin(stream_id));
        }
        self.events.push_back(Event::Pause { stream_id, paused, ms });
    }

    pub(super) fn seek(&mut self, stream_id: u32, command: &Command) {
        if self.is_playing(stream_id) {
            self.events.push_back(Event::Seek { stream_id, ms: position(command.arg(0)) });
        }
    }

    /// `RTMP` sections 7.2.2.4 and 7.2.2.5: switching off has no answer, switching on has two.
    pub(super) fn receive(&mut self, stream_id: u32, command: &Command, event: impl Fn(bool) -> Event) {
        let on = command.arg(0).as_bool().unwrap_or(true);
        if on && self.is_playing(stream_id) {
            let description = format!("Seeking (stream ID: {stream_id}).");
            self.send_status(stream_id, "status", "NetStream.Seek.Notify", &description);
            self.send_play_start(stream_id);
        }
        self.events.push_back(event(on));
    }

    pub(super) fn send_play_start(&mut self, stream_id: u32) {
        let name = self.stream(stream_id).map(|stream| stream.name.clone()).unwrap_or_default();
        let description = format!("Started playing {name}.");
        self.send_status(stream_id, "status", "NetStream.Play.Start", &description);
    }

    pub(super) fn user_control(&mut self, event: UserControl) {
        self.link.control(Control::User(event));
    }

    pub(super) fn is_playing(&mut self, stream_id: u32) -> bool {
        self.stream(stream_id).is_some_and(|stream| stream.state == StreamState::Playing)
    }
}

/// Milliseconds as players write them: a number, sometimes with a fraction, sometimes below zero.
fn position(value: &Value) -> u32 {
    value.as_number().unwrap_or(0.0) as u32
}
