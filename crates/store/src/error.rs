//! What goes wrong, and whose fault it is.

use crate::limits::MESSAGE_CHARS_MAX;
use std::error::Error as _;
use std::{fmt, io};

/// Why the store did not do something.
#[derive(Debug)]
pub enum Error {
    /// The settings name no store.
    Settings(String),
    /// The name leads elsewhere, or is none.
    Name,
    /// There is no such object, or no such bucket.
    NotFound,
    /// The store does not let us.
    Denied,
    /// It cannot be reached, or does not answer as it should. Another time it may.
    Failed(String),
    /// The file on this side cannot be read.
    File(io::Error),
    /// Who called wants it no longer.
    Stopped,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(message) | Self::Failed(message) => f.write_str(message),
            Self::Name => f.write_str("not a name of an object"),
            Self::NotFound => f.write_str("no such object or bucket"),
            Self::Denied => f.write_str("access denied: see the credentials, and what they may do"),
            Self::File(error) => write!(f, "the file cannot be read: {error}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            _ => None,
        }
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        match &error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                Self::Denied
            }
            _ => Self::Failed(in_short(&error)),
        }
    }
}

/// The cause in a few words: `connection refused`, where the whole story is a chain of seven errors.
fn in_short(error: &object_store::Error) -> String {
    let mut last = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && let Some(words) = kind_in_words(error.kind())
        {
            return words.to_owned();
        }
        last = error.to_string();
        cause = error.source();
    }
    shorten(message_of_s3(&last).unwrap_or(&last))
}

/// What S3 says for people in an error document.
fn message_of_s3(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Message>")?;
    rest.split_once("</Message>").map(|(message, _)| message)
}

fn kind_in_words(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            "connection lost"
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "network unreachable",
        io::ErrorKind::TimedOut => "timed out",
        _ => return None,
    })
}

/// One line of a message that may be a page.
fn shorten(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl std::error::Error + Send + Sync + 'static) -> Error {
        object_store::Error::Generic { store: "S3", source: Box::new(source) }.into()
    }

    #[test]
    fn an_error_is_its_cause_in_one_line() {
        let refused = generic(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(refused.to_string(), "connection refused");
        let bucket =
            "404 Not Found: <Error><Code>NoSuchBucket</Code><Message>No such bucket</Message></Error>";
        assert_eq!(generic(io::Error::other(bucket)).to_string(), "No such bucket");
        let page = generic(io::Error::other(format!("<html>\n<body>  {}", "x".repeat(10_000))));
        let text = page.to_string();
        assert!(text.starts_with("<html> <body> xxx") && text.ends_with('…'), "{text}");
        assert!(text.chars().count() <= MESSAGE_CHARS_MAX + 1 && !text.contains('\n'));
    }
}
