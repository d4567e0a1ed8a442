//! Why a connection cannot be made or has ended.

use net::tls::{ConnectError, HandshakeError, IdentityError};
use rtmp::Status;
use std::fmt;
use std::io;

/// Why a connection cannot be made or has ended. The text is one line, for the person at the terminal.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The URL is not one that can be connected to.
    Url(String),
    /// The server cannot be reached, or the connection broke.
    Connection(io::Error),
    /// The server's certificate is not trusted, or it does not speak TLS.
    Tls(ConnectError),
    /// The certificates to trust cannot be read.
    Trust(IdentityError),
    /// The server closed the connection; what it had not done yet.
    Closed(&'static str),
    /// The server answered, and refused: RTMP status code and description.
    Refused {
        /// The status code, such as `NetStream.Publish.BadName`.
        code: String,
        /// What the server says about it.
        description: String,
    },
    /// The server sends us from one place to the next without end; where.
    Redirects(String),
    /// The server wants a user name and a password.
    Credentials {
        /// Whether it was given some, so that they are wrong.
        given: bool,
    },
    /// The server broke the protocol.
    Protocol(rtmp::Error),
    /// The server did not answer in time; what was waited for.
    Timeout(&'static str),
}

impl Error {
    /// Whether trying again can help: the network may come back, a wrong key does not become right.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Connection(_) | Error::Closed(_) | Error::Protocol(_) | Error::Timeout(_) => true,
            // Another publisher, possibly our own connection that the server has not given up yet.
            Error::Refused { code, .. } => code == "NetStream.Publish.BadName",
            Error::Tls(error) => {
                matches!(error.cause(), HandshakeError::Lost(_) | HandshakeError::Timeout)
            }
            Error::Url(_) | Error::Trust(_) | Error::Redirects(_) | Error::Credentials { .. } => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Url(what) => f.write_str(what),
            Error::Connection(error) => write!(f, "the connection failed: {error}"),
            Error::Tls(error) => error.fmt(f),
            Error::Trust(error) => write!(f, "cannot read the certificates to trust: {error}"),
            Error::Closed(when) => write!(f, "the server closed the connection {when}"),
            Error::Refused { code, description } => write!(f, "the server refused: {description} ({code})"),
            Error::Redirects(what) => f.write_str(what),
            Error::Credentials { given: true } => {
                f.write_str("the server does not accept this user name or password")
            }
            Error::Credentials { given: false } => f.write_str(
                "the server asks for a user name and a password: rtmp://USER:PASSWORD@HOST/APP/CHANNEL",
            ),
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
            Error::Tls(error) => Some(error),
            Error::Trust(error) => Some(error),
            _ => None,
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

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Error::Refused { code: status.code, description: status.description }
    }
}
