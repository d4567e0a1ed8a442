//! What a server session tells its driver.

use crate::command::{Capabilities, Command};
use crate::message::Message;
use crate::shared_object;

/// Something that happened on a connection. Events come in the order of the bytes that caused them, so the media
/// of a stream always follows the [`Event::Publish`] that opened it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The peer names an application. Answer with [`super::Session::accept_connect`] or
    /// [`super::Session::reject_connect`]; what the peer sends after it waits inside the session until then.
    Connect(Box<Connect>),
    /// The peer wants to publish. Answer with [`super::Session::accept_publish`] or
    /// [`super::Session::reject_publish`]. Media that a hasty peer sends before the answer already follows as
    /// [`Event::Message`].
    Publish(Publish),
    /// The peer wants to play. Answer with [`super::Session::accept_play`], [`super::Session::accept_recorded_play`] or
    /// [`super::Session::reject_play`].
    ///
    /// Without `reset`, something may play on the stream already. Where that is a recording, this is to come behind it:
    /// answer with [`super::Session::switch_play`] when its turn has come, or [`super::Session::reject_queued`]. Otherwise
    /// this takes its place: call [`super::Session::replace_play`] first.
    Play(Play),
    /// Whether the player knows one of the SWF files of [`super::Config::swf`]. The session refuses the playbacks of one
    /// that does not; the driver closes.
    SwfVerified(bool),
    /// Audio, video or data of a stream that the peer publishes.
    Message(Message),
    /// The peer ended a publication (FCUnpublish is not one; closeStream, deleteStream and a new publish are).
    Unpublish {
        /// The message stream that carried it.
        stream_id: u32,
    },
    /// The peer ended a playback.
    StopPlay {
        /// The message stream that carried it.
        stream_id: u32,
    },
    /// The player pauses or resumes. The session has already answered it: send no media until it resumes.
    Pause {
        /// The message stream that is played.
        stream_id: u32,
        /// Whether it now is paused.
        paused: bool,
        /// The position of the player in milliseconds, on the clock of the messages it was sent. It is where the player's
        /// screen stands, or how far it has read; what was sent beyond is still on its way, or in its buffer.
        ms: u32,
    },
    /// The player seeks. Answer with [`super::Session::accept_seek`] or one of its neighbours.
    Seek {
        /// The message stream that is played.
        stream_id: u32,
        /// The wanted position in milliseconds, on the clock of the messages that the player was sent.
        ms: u32,
    },
    /// The player turns audio on or off. The session has already answered it.
    ReceiveAudio {
        /// The message stream that is played.
        stream_id: u32,
        /// Whether audio is wanted from now on.
        on: bool,
    },
    /// The player turns video on or off. The session has already answered it.
    ReceiveVideo {
        /// The message stream that is played.
        stream_id: u32,
        /// Whether video is wanted from now on.
        on: bool,
    },
    /// The player says how much media it buffers (`RTMP` section 7.1.7, SetBufferLength).
    BufferLength {
        /// The message stream that is played.
        stream_id: u32,
        /// The length of its buffer in milliseconds.
        ms: u32,
    },
    /// The player asks how long a stream is. Answer with [`super::Session::answer_stream_length`].
    StreamLength(Box<StreamLength>),
    /// A client uses shared objects ([`super::Config::shared_objects`]). What it is told goes through
    /// [`super::Session::send_shared_object`].
    SharedObject(Box<shared_object::Message>),
    /// A command that the session does not know. The session has already answered `_error` where an answer was
    /// asked for.
    Command {
        /// The message stream it arrived on; 0 is the connection.
        stream_id: u32,
        /// The command.
        command: Box<Command>,
    },
}

/// The `connect` command (`RTMP` section 7.2.1.1).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connect {
    /// The application, as the peer wrote it: it may hold slashes and a query.
    pub app: String,
    /// The URL the peer connected to; may be empty.
    pub tc_url: String,
    /// The peer's program, for example `FMLE/3.0 (compatible; Lavf61.7.100)`; may be empty.
    pub flash_ver: String,
    /// The page that embeds the player; may be empty.
    pub page_url: String,
    /// The player's own URL; may be empty.
    pub swf_url: String,
    /// 0 or 3: whether commands after this one are AMF0 or AMF3.
    pub object_encoding: u8,
    /// What the peer announced of Enhanced RTMP.
    pub capabilities: Capabilities,
}

/// The `publish` command (`RTMP` section 7.2.2.6).
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// The message stream that will carry the media; the answer names it.
    pub stream_id: u32,
    /// The application of the connection.
    pub app: String,
    /// The name as the peer wrote it, query included.
    pub name: String,
    /// What the server is to do with the media.
    pub kind: PublishKind,
}

/// What a publisher wants done with its media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PublishKind {
    /// Live only.
    #[default]
    Live,
    /// Live, and recorded to a new file.
    Record,
    /// Live, and recorded to the end of an existing file.
    Append,
}

/// The `play` command (`RTMP` section 7.2.2.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// The message stream that is to carry the media; the answer names it.
    pub stream_id: u32,
    /// The application of the connection.
    pub app: String,
    /// The name as the peer wrote it, query included.
    pub name: String,
    /// -2 means live or else recorded, what players ask for by default, and -1 live only. Other numbers are a
    /// position as the player wrote it: seconds by the text, milliseconds by what programs do.
    pub start: f64,
    /// How long to play, in the unit of `start`; 0 is a single frame, and -1 means to the end.
    pub duration: f64,
    /// Whether a playlist that runs before it is to be dropped.
    pub reset: bool,
}

/// The question of Flash programs how long a stream is (`getStreamLength`). No text describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamLength {
    /// The application of the connection.
    pub app: String,
    /// The name as the peer wrote it, query included.
    pub name: String,
    pub(super) transaction: f64,
    pub(super) amf3: bool,
}
