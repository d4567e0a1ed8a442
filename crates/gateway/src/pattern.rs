//! Which streams a relay or a rule is for.

use media::StreamName;
use std::fmt;

/// A stream name, or a pattern of names: each part may end in `*`, which stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    app: Part,
    channel: Part,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    text: String,
    /// Whether anything may follow.
    open: bool,
}

impl Part {
    fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(start) => Self { text: start.to_owned(), open: true },
            None => Self { text: text.to_owned(), open: false },
        }
    }

    fn matches(&self, text: &str) -> bool {
        if self.open { text.starts_with(&self.text) } else { text == self.text }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.open { "*" } else { "" })
    }
}

impl Pattern {
    /// Parses `"live/me"`, `"live/*"`, `"live/show-*"` or `"*/*"`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (app, channel) = text
            .split_once('/')
            .ok_or_else(|| format!("{text:?} is no stream: write \"live/name\" or \"live/*\""))?;
        let pattern = Self { app: Part::parse(app), channel: Part::parse(channel) };
        // What may follow is not known; a letter is always allowed there.
        let sample = |part: &Part| format!("{}{}", part.text, if part.open { "x" } else { "" });
        StreamName::parse(&sample(&pattern.app), &sample(&pattern.channel))
            .map_err(|error| format!("{text:?}: {error}, and one '*' at the end of a part"))?;
        Ok(pattern)
    }

    /// The pattern that only `name` matches.
    pub(crate) fn of(name: &StreamName) -> Self {
        let part = |text: &str| Part { text: text.to_owned(), open: false };
        Self { app: part(name.app()), channel: part(name.channel()) }
    }

    /// Whether it is for `name`.
    pub(crate) fn matches(&self, name: &StreamName) -> bool {
        self.app.matches(name.app()) && self.channel.matches(name.channel())
    }

    /// The one stream that it is for, unless there may be several.
    pub(crate) fn exact(&self) -> Option<StreamName> {
        if self.app.open || self.channel.open {
            return None;
        }
        StreamName::parse(&self.app.text, &self.channel.text).ok()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(app: &str, channel: &str) -> StreamName {
        StreamName::parse(app, channel).unwrap()
    }

    #[test]
    fn patterns_match_by_the_start_of_each_part() {
        for (pattern, matching, other) in [
            ("live/me", name("live", "me"), name("live", "me2")),
            ("live/*", name("live", "me"), name("vod", "me")),
            ("live/show-*", name("live", "show-1"), name("live", "sho")),
            ("*/cam", name("studio", "cam"), name("studio", "cam2")),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert!(parsed.matches(&matching) && !parsed.matches(&other), "{pattern}");
            assert_eq!(parsed.to_string(), pattern);
            assert_eq!(parsed.exact().is_some(), !pattern.contains('*'));
        }
        assert!(Pattern::parse("*/*").unwrap().matches(&name("a", "b")));
        assert_eq!(Pattern::of(&name("live", "me")), Pattern::parse("live/me").unwrap());
    }

    #[test]
    fn what_matches_no_name_is_refused() {
        for bad in ["", "live", "live/", "/me", "live/a*b", "live/**", "*", "live/.x", "live/a/b", "live/ä*"]
        {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
