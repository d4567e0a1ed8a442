//! What a client session tells its driver.

use super::Auth;
use crate::Message;
use crate::command::Status;
use crate::shared_object;

/// Something that happened on a connection.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The server accepted `connect`.
    Connected,
    /// The server plays; messages follow.
    Playing,
    /// The server takes media: [`super::Session::send_message`] works from here on.
    Publishing,
    /// Audio, video or data of the played stream.
    Message(Message),
    /// The server tells of a shared object.
    SharedObject(Box<shared_object::Message>),
    /// A status that has no event of its own.
    Status(Status),
    /// The server asks for name and password before it lets anybody connect. Connect anew with this in
    /// [`super::Config::auth`]; nothing more will come here. It takes two rounds.
    Authenticate(Auth),
    /// The server sends the client elsewhere: connect to that. Nothing more will come here.
    Redirect {
        /// The URL of an application, or of a stream in it.
        tc_url: String,
    },
    /// The server refused to connect, play or publish. Nothing more will come.
    Rejected(Status),
    /// The server asks the client to move (E-RTMP v2 "Reconnect Request"). Go on until a good moment, for a publisher
    /// a keyframe; then connect anew and leave this connection.
    Reconnect {
        /// Where to; absolute, or relative to the current one; `None` means the same again.
        tc_url: Option<String>,
        /// For people.
        description: String,
    },
    /// The server ended the stream: the publisher left, the end was reached, or another publisher took over.
    Ended(Status),
}
