//! Settings of a client session.

use std::time::Duration;

use super::Auth;
use crate::url::Url;
use crate::{Swf, chunk, limits};

pub use crate::handshake::Form;

/// What a client does with its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Plays it.
    Play,
    /// Publishes it.
    Publish,
}

/// Settings of a client session; [`Config::play`] and [`Config::publish`] give a good start.
#[derive(Debug, Clone)]
pub struct Config {
    /// What to do.
    pub role: Role,
    /// The `tcUrl` of `connect`.
    pub tc_url: String,
    /// The application.
    pub app: String,
    /// The stream name, with its query.
    pub name: String,
    /// The program's name for the server.
    pub flash_ver: String,
    /// Sends `connect`, `createStream` and `play` or `publish` in one flight with the end of the handshake, which
    /// saves two round trips. The stream is then assumed to be number 1, and asked for again if it is not. Turn it
    /// off for a server that cannot take it.
    pub pipelined: bool,
    /// The form of the handshake; the scheme of the URL decides at first.
    pub handshake: Form,
    /// The SWF file that the client claims to be, for servers that verify it. It needs digests: they are used even if
    /// `handshake` is the plain form.
    pub swf: Option<Swf>,
    /// For servers that ask for a name and a password; from the URL at first.
    pub auth: Option<Auth>,
    /// Whether to announce Enhanced RTMP.
    pub enhanced: bool,
    /// Bytes of payload per chunk that we send.
    pub out_chunk_size: u32,
    /// The window for acknowledgements that we announce.
    pub window_ack_size: u32,
    /// The buffer length a player announces, in milliseconds.
    pub buffer_ms: u32,
    /// Where a player starts, in seconds; -2 is live or else recorded, -1 live only.
    pub start: f64,
    /// Whether a player wants sound. Servers that do not know the wish send it all the same.
    pub audio: bool,
    /// Whether a player wants pictures.
    pub video: bool,
    /// How long the server may take until the stream has started.
    pub start_timeout: Duration,
    /// The largest message accepted, in bytes.
    pub message_bytes_max: u32,
}

impl Config {
    /// Plays `url`.
    pub fn play(url: &Url) -> Self {
        Self::new(Role::Play, url)
    }

    /// Publishes to `url`.
    pub fn publish(url: &Url) -> Self {
        Self::new(Role::Publish, url)
    }

    fn new(role: Role, url: &Url) -> Self {
        Self {
            role,
            tc_url: url.tc_url(),
            app: url.app.clone(),
            name: url.stream_name(),
            // Servers tell encoders and players apart by these words.
            flash_ver: match role {
                Role::Play => "LNX 10,0,32,18".to_owned(),
                Role::Publish => {
                    concat!("FMLE/3.0 (compatible; Rushlight/", env!("CARGO_PKG_VERSION"), ")").to_owned()
                }
            },
            pipelined: true,
            handshake: if url.scheme.is_encrypted() { Form::Encrypted } else { Form::Plain },
            swf: None,
            auth: (!url.user.is_empty()).then(|| Auth::new(&url.user, &url.password)),
            enhanced: true,
            out_chunk_size: match role {
                // Commands are all that it sends, and there are servers that do not learn another size.
                Role::Play => chunk::CHUNK_SIZE_INITIAL,
                Role::Publish => limits::OUT_CHUNK_SIZE_DEFAULT,
            },
            window_ack_size: limits::WINDOW_ACK_SIZE_DEFAULT,
            buffer_ms: 1000,
            start: -2.0,
            audio: true,
            video: true,
            start_timeout: limits::START_TIMEOUT,
            message_bytes_max: limits::MESSAGE_BYTES_MAX,
        }
    }
}
