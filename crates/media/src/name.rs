//! Names of streams.

use std::fmt;
use std::sync::Arc;

/// The name of a live stream: `app/channel`, as in `rtmp://host/app/channel`.
///
/// Made only by [`StreamName::parse`], which allows letters, digits, `-`, `_`, `.` and `~`, so that a name is safe as a
/// URL path, a file name, a metric label and a log field. Two names are equal only byte by byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

/// Why a text is no stream name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// A part is empty.
    Empty,
    /// Longer than [`StreamName::PART_BYTES_MAX`] per part.
    TooLong,
    /// A character outside the allowed set.
    Character(char),
    /// `.` or `..`, or a part that begins with a dot.
    Dot,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Empty => write!(f, "the app or channel name is empty"),
            NameError::TooLong => {
                write!(f, "the app or channel name is longer than {} bytes", StreamName::PART_BYTES_MAX)
            }
            NameError::Character(c) => {
                write!(f, "{c:?} is not allowed in a channel name: use letters, digits, '-', '_', '.' or '~'")
            }
            NameError::Dot => write!(f, "a channel name cannot begin with a dot"),
        }
    }
}

impl std::error::Error for NameError {}

impl StreamName {
    /// The longest app or channel name, in bytes.
    pub const PART_BYTES_MAX: usize = 128;

    /// Checks `app` and `channel` and joins them.
    pub fn parse(app: &str, channel: &str) -> Result<Self, NameError> {
        check(app)?;
        check(channel)?;
        Ok(Self(format!("{app}/{channel}").into()))
    }

    /// `app/channel`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash.
    pub fn app(&self) -> &str {
        self.0.split_once('/').map_or("", |(app, _)| app)
    }

    /// The part after the slash.
    pub fn channel(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, channel)| channel)
    }
}

fn check(part: &str) -> Result<(), NameError> {
    if part.is_empty() {
        return Err(NameError::Empty);
    }
    if part.len() > StreamName::PART_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    if part.starts_with('.') {
        return Err(NameError::Dot);
    }
    match part.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))) {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for bad in ["..", ".", ".hidden", "a/b", "a\\b", "a%2fb", "a b", "a\0", "", "é", "a\n"] {
            assert!(StreamName::parse("live", bad).is_err(), "{bad:?}");
            assert!(StreamName::parse(bad, "cam").is_err(), "{bad:?}");
        }
        assert_eq!(StreamName::parse("live", &"a".repeat(129)), Err(NameError::TooLong));
    }

    #[test]
    fn parts_can_be_read_back() {
        let name = StreamName::parse("live", "cam_1.low~x").unwrap();
        assert_eq!((name.app(), name.channel(), name.as_str()), ("live", "cam_1.low~x", "live/cam_1.low~x"));
    }
}
