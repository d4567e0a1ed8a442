//! Why a source cannot be read or a stream cannot be published.

use std::fmt;

/// Why publishing failed. The text is meant for the person at the terminal.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The source cannot be opened or read.
    Source(String),
    /// The URL is not one that can be published to.
    Url(String),
    /// The connection cannot be made, or has ended.
    Link(link::Error),
}

impl Error {
    /// Whether trying again can help: the network may come back, a wrong key or a broken file does not.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Link(error) => error.is_transient(),
            Error::Source(_) | Error::Url(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Source(what) => write!(f, "cannot read the source: {what}"),
            Error::Url(what) => write!(f, "cannot publish there: {what}"),
            Error::Link(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Link(error) => Some(error),
            _ => None,
        }
    }
}

impl From<link::Error> for Error {
    fn from(error: link::Error) -> Self {
        match error {
            link::Error::Url(what) => Error::Url(what),
            other => Error::Link(other),
        }
    }
}
