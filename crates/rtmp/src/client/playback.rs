//! What a player can ask of a stream that runs.

use super::{Role, Session};
use crate::Error;
use crate::amf::Value;
use crate::command::{self, Status};
use crate::message;

#[derive(Debug, Default)]
pub(super) struct Playback {
    /// The player has paused or gone to another place at least once. From then on an end of stream may only mean that what
    /// was sent so far is over; the real end comes with a status as well.
    pub(super) moved: bool,
    /// The timestamp of the newest message.
    pub(super) position_ms: u32,
}

/// Whether a status answers a request of the player. Such a one may be an error without ending the stream.
pub(super) fn is_answer(status: &Status) -> bool {
    let code = status.code.as_str();
    code.starts_with("NetStream.Seek.")
        || matches!(code, "NetStream.Pause.Notify" | "NetStream.Unpause.Notify")
}

impl Session {
    /// Asks for sound, or for none. A server that follows the text answers the former with a `NetStream.Seek.Notify` status.
    ///
    /// # Errors
    /// `Misuse` before [`super::Event::Playing`] and for a publisher.
    pub fn receive_audio(&mut self, on: bool) -> Result<(), Error> {
        self.ask_of_stream("receiveAudio", &[Value::Null, on.into()])
    }

    /// Asks for pictures, or for none; see [`Session::receive_audio`].
    ///
    /// # Errors
    /// Those of [`Session::receive_audio`].
    pub fn receive_video(&mut self, on: bool) -> Result<(), Error> {
        self.ask_of_stream("receiveVideo", &[Value::Null, on.into()])
    }

    /// Pauses or resumes. The answer is a status, `NetStream.Pause.Notify` or `NetStream.Unpause.Notify`; messages that were
    /// on their way come before it.
    ///
    /// # Errors
    /// Those of [`Session::receive_audio`].
    pub fn pause(&mut self, paused: bool) -> Result<(), Error> {
        let position = Value::from(self.playback.position_ms);
        self.ask_of_stream("pause", &[Value::Null, paused.into(), position])?;
        self.playback.moved = true;
        Ok(())
    }

    /// Goes to a position in milliseconds on the clock of the messages. The answer is a status: `NetStream.Seek.Notify`, after
    /// which messages come from a keyframe at or before the position, or `NetStream.Seek.Failed`. A server may say
    /// `NetStream.Seek.InvalidTime` and leave it at that, or go to the nearest position and say so by the former.
    ///
    /// # Errors
    /// Those of [`Session::receive_audio`].
    pub fn seek(&mut self, ms: u32) -> Result<(), Error> {
        self.ask_of_stream("seek", &[Value::Null, ms.into()])?;
        self.playback.moved = true;
        Ok(())
    }

    /// Sends a command that has no transaction: the server answers with a status, or not at all.
    fn ask_of_stream(&mut self, name: &str, values: &[Value]) -> Result<(), Error> {
        if !self.is_running() || self.config.role != Role::Play {
            return Err(Error::Misuse("nothing is played"));
        }
        self.tell_stream(name, values);
        Ok(())
    }

    pub(super) fn tell_stream(&mut self, name: &str, values: &[Value]) {
        self.link.send(self.stream_id, message::COMMAND, &command::body(false, name, 0.0, values));
    }
}
