//! Why a connection cannot be made or has ended.

use std::fmt;
use std::io;

/// Why a connection cannot be made or has ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The server cannot be reached, or the connection broke.
    Connection(io::Error),
    /// The server broke the protocol.
    Protocol(rtmp::Error),
    /// The server did not answer in time; what was waited for.
    Timeout(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Connection(error) => write!(f, "the connection failed: {error}"),
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
            Error::Timeout(_) => None,
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
