//! Keys and tokens: compared in constant time, and shown by nothing that prints values for people who look for a bug.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A key or a token. Its `Debug` form hides it; [`Secret::expose`] is the one way to its text.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for those who print it on purpose or send it to where it belongs.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this secret. Compares without an early exit, so that the time taken does not tell how much of a
    /// guess was right.
    pub fn matches(&self, given: &str) -> bool {
        let (expected, given) = (self.0.as_bytes(), given.as_bytes());
        let mut difference = expected.len() ^ given.len();
        for (index, byte) in given.iter().enumerate() {
            difference |= usize::from(byte ^ expected.get(index).copied().unwrap_or(0));
        }
        difference == 0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::config::{ChannelAccess, SwfFile};
    use crate::policy::{Action, Request};
    use crate::target::Target;

    #[test]
    fn a_secret_is_equal_to_itself_alone() {
        let secret = Secret::from("secret");
        assert!(secret.matches("secret"));
        for other in ["", "secre", "secrets", "secret\0", "Secret"] {
            assert!(!secret.matches(other), "{other:?}");
        }
        assert!(!Secret::default().matches("x") && Secret::default().matches(""));
    }

    #[test]
    fn nothing_that_holds_a_key_shows_it_to_those_who_print_it_as_a_value() {
        let key = || Some(Secret::from("hush-hush"));
        let mut config = Config::default();
        config.access.publish_key = key();
        config.access.play_key = key();
        config.access.sign_secret = key();
        config.access.operator_token = key();
        config.access.channel =
            vec![ChannelAccess { name: "live/cam".to_owned(), publish_key: key(), play_key: key() }];
        config.rtmp.swf = vec![SwfFile { hash: "hush-hush".into(), size: 1 }];
        let policy = config.access.to_policy(key(), key());
        let target = Target::from_rtmp("live?key=hush-hush", "cam?key=hush-hush").unwrap();
        let given = target.key();
        let request =
            Request { action: Action::Publish, name: &target.name, key: given.as_ref(), local: false };
        for text in [
            format!("{config:?}"),
            format!("{policy:?}"),
            format!("{target:?}"),
            format!("{request:?}"),
            format!("{:#?}", config.access),
        ] {
            assert!(text.contains("***") && !text.contains("hush"), "{text}");
        }
    }
}
