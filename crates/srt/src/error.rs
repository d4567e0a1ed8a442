//! Errors by whose fault they are.

use std::fmt;

/// Why a datagram, an extension or a call is refused. A datagram that is refused closes nothing: anybody can send one, so a
/// session counts it and goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes make no sense.
    Malformed(&'static str),
    /// The bytes make sense, but the peer broke the protocol or went over a limit.
    Violation(&'static str),
    /// The peer asks for something legal that is not offered here.
    Unsupported(&'static str),
    /// The program that drives the session called it wrongly.
    Misuse(&'static str),
}

impl Error {
    /// A short word for metrics and logs: `malformed`, `violation`, `unsupported` or `misuse`.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Violation(_) => "violation",
            Self::Unsupported(_) => "unsupported",
            Self::Misuse(_) => "misuse",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Malformed(what) | Self::Violation(what) | Self::Unsupported(what) | Self::Misuse(what)) =
            self;
        write!(f, "{}: {what}", self.class())
    }
}

impl std::error::Error for Error {}

impl From<wire::Truncated> for Error {
    fn from(_: wire::Truncated) -> Self {
        Self::Malformed("a field ends after its datagram does")
    }
}
