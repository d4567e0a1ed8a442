//! Why a source cannot be read or a stream cannot be published.

use std::fmt;
use std::io;

/// Why publishing failed. The text is meant for the person at the terminal.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The source cannot be opened or read.
    Source(String),
    /// The URL is not one that can be published to.
    Url(String),
    /// The server cannot be reached, or the connection broke.
    Connection(io::Error),
    /// The server answered, and refused: RTMP status code and description.
    Refused {
        /// The status code, such as `NetStream.Publish.BadName`.
        code: String,
        /// What the server says about it.
        description: String,
    },
    /// The server broke the protocol.
    Protocol(rtmp::Error),
    /// The server did not answer in time; what was waited for.
    Timeout(&'static str),
}

impl Error {
    /// Whether trying again can help: the network may come back, a wrong key or a broken file does not.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Connection(_) | Error::Timeout(_) | Error::Protocol(_) => true,
            // Another publisher, possibly our own connection that the server has not given up yet.
            Error::Refused { code, .. } => code == "NetStream.Publish.BadName",
            Error::Source(_) | Error::Url(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Source(what) => write!(f, "cannot read the source: {what}"),
            Error::Url(what) => write!(f, "cannot publish there: {what}"),
            Error::Connection(error) => write!(f, "the connection failed: {error}"),
            Error::Refused { code, description } => write!(f, "the server refused: {description} ({code})"),
            Error::Protocol(error) => write!(f, "the server does not speak RTMP as expected: {error}"),
            Error::Timeout(what) => write!(f, "the server did not answer in time: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connection(error) => Some(error),
            Error::Protocol(error) => Some(error),
            _ => None,
        }
    }
}

impl From<link::Error> for Error {
    fn from(error: link::Error) -> Self {
        match error {
            link::Error::Protocol(error) => Error::Protocol(error),
            link::Error::Timeout(what) => Error::Timeout(what),
            link::Error::Connection(error) => Error::Connection(error),
            other => Error::Connection(io::Error::other(other)),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Connection(error)
    }
}

impl From<rtmp::Error> for Error {
    fn from(error: rtmp::Error) -> Self {
        Error::Protocol(error)
    }
}
