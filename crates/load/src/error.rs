//! Why playing or measuring failed.

use std::fmt;
use std::io;

/// Why playing or measuring failed. The text is meant for the person at the terminal.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The URL or another argument cannot be used.
    Argument(String),
    /// The server cannot be reached, or the connection broke.
    Connection(io::Error),
    /// The server answered, and refused.
    Refused(String),
    /// The server sent something that is not what its protocol says.
    Protocol(String),
    /// The server did not answer in time; what was waited for.
    Timeout(&'static str),
    /// An RTMP connection that cannot be made, or has ended.
    Link(link::Error),
    /// A local file or process.
    Local(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Argument(what) | Error::Local(what) => f.write_str(what),
            Error::Connection(error) => write!(f, "the connection failed: {error}"),
            Error::Refused(why) => write!(f, "the server refused: {why}"),
            Error::Protocol(what) => write!(f, "the server broke the protocol: {what}"),
            Error::Link(error) => error.fmt(f),
            Error::Timeout(what) => write!(f, "the server did not answer in time: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connection(error) => Some(error),
            Error::Link(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Connection(error)
    }
}

impl From<media::Malformed> for Error {
    fn from(error: media::Malformed) -> Self {
        Error::Protocol(error.to_string())
    }
}

impl From<link::Error> for Error {
    fn from(error: link::Error) -> Self {
        match error {
            link::Error::Url(what) => Error::Argument(what),
            link::Error::Connection(error) => Error::Connection(error),
            other => Error::Link(other),
        }
    }
}

impl From<broadcaster::Error> for Error {
    fn from(error: broadcaster::Error) -> Self {
        match error {
            broadcaster::Error::Link(error) => error.into(),
            other => Error::Argument(other.to_string()),
        }
    }
}
