//! Why packets cannot be put into a container, or taken out of one.

use crate::Malformed;
use std::fmt;

/// Why writing or reading a container failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Bytes (of a file, a configuration record, a frame) that do not follow their format.
    Malformed(Malformed),
    /// Legal, but there is no way to say it in this container, or none that is offered here.
    Unsupported(&'static str),
    /// What the caller passed cannot be written together.
    Misuse(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Malformed(malformed) => malformed.fmt(f),
            Error::Unsupported(what) => write!(f, "not supported: {what}"),
            Error::Misuse(what) => write!(f, "cannot be written: {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Error::Malformed(malformed)
    }
}

impl From<wire::Truncated> for Error {
    fn from(truncated: wire::Truncated) -> Self {
        Error::Malformed(truncated.into())
    }
}
