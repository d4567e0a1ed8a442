//! Where another server is, and what of that may be shown.

use media::StreamName;
use rtmp::url::{Scheme, Url};
use std::fmt;

/// What stands for the parts of a stream's name.
const CHANNEL: &str = "{channel}";
const APP: &str = "{app}";

/// What stands for what is not shown.
const MASK: &str = "***";

/// Shorter parts of a URL are no keys, and would be found everywhere in a text.
const SECRET_BYTES_MIN: usize = 4;

/// The longest text of another server that is passed on.
const WHY_CHARS_MAX: usize = 240;

/// A URL with placeholders. It may hold a key, so `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(***)")
    }
}

impl Address {
    /// Checks a URL, with placeholders or without. The message holds nothing of the URL.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "write \"rtmp://host/app/name\"";
        if text.is_empty() {
            return Err(format!("is missing: {EXAMPLE}"));
        }
        let address = Self(text.to_owned());
        let sample = StreamName::parse("live", "name").map_err(|error| error.to_string())?;
        let url =
            address.of(&sample).map_err(|error| format!("is no URL of a stream: {error}; {EXAMPLE}"))?;
        if url.scheme == Scheme::Rtmfp {
            return Err("is for RTMFP, which relays do not speak".to_owned());
        }
        if url.app.is_empty() || url.name.is_empty() {
            return Err(format!("names a server but no stream there: {EXAMPLE}"));
        }
        if [&url.host, &url.app, &url.name, &url.query].iter().any(|part| part.contains(['{', '}'])) {
            return Err(format!("has an unknown placeholder: {APP} and {CHANNEL} are known"));
        }
        Ok(address)
    }

    /// The URL for one stream.
    pub(crate) fn of(&self, name: &StreamName) -> Result<Url, rtmp::Error> {
        Url::parse(&self.0.replace(CHANNEL, name.channel()).replace(APP, name.app()))
    }

    /// The URL as it may be shown: scheme, host and app. The rest is a key at many services, so it is shown only where it
    /// is the name of the channel itself.
    pub(crate) fn shown(&self, name: Option<&StreamName>) -> String {
        let known = name.map_or(CHANNEL, StreamName::channel);
        let filled = match name {
            Some(name) => self.0.replace(CHANNEL, name.channel()).replace(APP, name.app()),
            // Stands in for the braces, which no host or port may hold.
            None => self.0.clone(),
        };
        match Url::parse(&filled) {
            Ok(url) => {
                let (app, instance) = url.app.split_once('/').unwrap_or((&url.app, ""));
                let instance = if instance.is_empty() { String::new() } else { format!("/{MASK}") };
                let stream = if url.name == known { known } else { MASK };
                format!("{}://{}/{app}{instance}/{stream}", url.scheme.as_str(), url.authority())
            }
            Err(_) => MASK.to_owned(),
        }
    }
}

/// What a server or a failed connection says about `url`, as one line of bounded length without the keys of `url`.
pub(crate) fn redact(text: &str, url: &Url) -> String {
    let values = url.query.split(['&', '=', '/']);
    let instance = url.app.split('/').skip(1);
    let name = url.stream_name();
    let mut secrets: Vec<&str> =
        [&name, &url.name, &url.query, &url.user, &url.password].map(String::as_str).into();
    secrets.extend(values.chain(instance));
    secrets.retain(|secret| secret.len() >= SECRET_BYTES_MIN);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    for secret in secrets {
        line = line.replace(secret, MASK);
    }
    match line.char_indices().nth(WHY_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cam() -> StreamName {
        StreamName::parse("live", "cam").unwrap()
    }

    #[test]
    fn placeholders_stand_for_the_parts_of_the_name() {
        let address = Address::parse("rtmp://host/in/{app}-{channel}?key=secret").unwrap();
        assert_eq!(address.of(&cam()).unwrap().to_string(), "rtmp://host:1935/in/live-cam?key=secret");
    }

    #[test]
    fn what_is_no_stream_of_the_family_is_refused_without_showing_it() {
        for bad in [
            "",
            "host/app/secret",
            "http://host/app/secret",
            "rtmp://host",
            "rtmp://host/secret",
            "rtmfp://host/app/secret",
            "rtmp://host/app/secret{name}",
            "rtmp://host:port/app/secret",
        ] {
            let message = Address::parse(bad).unwrap_err();
            assert!(!message.contains("secret"), "{bad}: {message}");
        }
        assert_eq!(format!("{:?}", Address::parse("rtmp://h/app/secret")), "Ok(Address(***))");
    }

    #[test]
    fn keys_are_not_shown() {
        for (text, name, shown) in [
            ("rtmp://host/live2/abcd-efgh", Some(cam()), "rtmp://host:1935/live2/***"),
            ("rtmp://host/live/cam?key=abcd", Some(cam()), "rtmp://host:1935/live/cam"),
            ("rtmp://host/live/{channel}?key=abcd", Some(cam()), "rtmp://host:1935/live/cam"),
            ("rtmp://host/live/{channel}?key=abcd", None, "rtmp://host:1935/live/{channel}"),
            ("rtmp://host/live/{channel}-abcd", Some(cam()), "rtmp://host:1935/live/***"),
            ("rtmps://host/app/room-abcd/cam", Some(cam()), "rtmps://host:443/app/***/cam"),
            ("rtmp://me:word@host/live/cam", Some(cam()), "rtmp://host:1935/live/cam"),
        ] {
            assert_eq!(Address::parse(text).unwrap().shown(name.as_ref()), shown, "{text}");
        }
    }

    #[test]
    fn what_servers_say_holds_no_key_and_is_one_line() {
        let url = Url::parse("rtmp://host/app/inst-1/live_abcd?key=efgh&bw=1").unwrap();
        let said = "stream live_abcd?key=efgh&bw=1 of inst-1\nis busy (live_abcd), efgh";
        assert_eq!(redact(said, &url), "stream *** of *** is busy (***), ***");
        assert_eq!(redact(&"x".repeat(1000), &url).len(), WHY_CHARS_MAX + 3);
    }
}
