//! What a session asks for: a stream and the query that came with it.

use crate::Secret;
use crate::signature;
use crate::timeshift;
use media::{NameError, StreamName, Time};
use std::fmt;
use std::time::{Duration, SystemTime};

/// A stream name with its query, from an RTMP app and stream name or from an HTTP path.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// The stream.
    pub name: StreamName,
    /// The raw query, without `?`. It may hold a key.
    query: String,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = if self.query.is_empty() { "" } else { "?***" };
        write!(f, "{}{query}", self.name)
    }
}

impl Target {
    /// From RTMP. Encoders put the query behind the app, the stream name, or both, and some put the whole path into the
    /// app and leave the stream name empty.
    pub fn from_rtmp(app: &str, stream: &str) -> Result<Self, NameError> {
        let (app, app_query) = split_query(app);
        let (stream, stream_query) = split_query(stream);
        let app = app.trim_matches('/');
        let stream = stream.trim_matches('/');
        let name = match (app.split_once('/'), stream.is_empty()) {
            (Some((app, channel)), true) => StreamName::parse(app, channel)?,
            _ => StreamName::parse(app, stream)?,
        };
        let query =
            [stream_query, app_query].into_iter().filter(|q| !q.is_empty()).collect::<Vec<_>>().join("&");
        Ok(Self { name, query })
    }

    /// The application alone, without slashes around it, and the key or signature that came with it.
    pub fn of_app(app: &str) -> (String, Option<Secret>) {
        let (app, query) = split_query(app);
        (app.trim_matches('/').to_owned(), signature::presented(query))
    }

    /// From an HTTP path `/app/channel.EXTENSION` and query; `None` if the path has another form.
    pub fn from_http(path: &str, query: &str, extension: &str) -> Option<Result<Self, NameError>> {
        let (app, file) = path.strip_prefix('/')?.split_once('/')?;
        let channel = file.strip_suffix(extension)?.strip_suffix('.')?;
        Some(StreamName::parse(app, channel).map(|name| Self { name, query: query.to_owned() }))
    }

    /// The key that came with it, or else the signature.
    pub fn key(&self) -> Option<Secret> {
        signature::presented(&self.query)
    }

    /// The first value of `key` in the query, percent-decoded.
    pub fn get(&self, key: &str) -> Option<String> {
        query_value(&self.query, key)
    }

    /// Where to start (`startPts`): N > 0 the keyframe with that timestamp in ms, N < 0 that many ms behind live, 0 or
    /// absent the default. `start` and `from` say the same in seconds and as a moment, for what the log still has.
    pub fn start(&self) -> hub::Start {
        if let Ok(Some(behind)) = timeshift::asked(&self.query, SystemTime::now()) {
            return hub::Start::Behind(behind);
        }
        match self.get("startPts").and_then(|value| value.parse::<i64>().ok()) {
            Some(millis @ 1..) => hub::Start::AtPts(Time::from_millis(millis)),
            Some(millis @ ..=-1) => hub::Start::Behind(Duration::from_millis(millis.unsigned_abs())),
            _ => hub::Start::Live,
        }
    }
}

/// The first value of `key` in a query, percent-decoded.
pub(crate) fn query_value(query: &str, key: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name == key).then(|| percent_decode(value))
    })
}

fn split_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let decoded = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_names_with_queries_in_any_place_mean_the_same() {
        for (app, stream) in [
            ("live", "cam?key=a%20b"),
            ("live?key=a%20b", "cam"),
            ("live/", "cam?key=a b"),
            ("live/cam?key=a b", ""),
        ] {
            let target = Target::from_rtmp(app, stream).unwrap();
            assert_eq!(target.name.as_str(), "live/cam");
            assert_eq!(target.get("key").as_deref(), Some("a b"));
        }
    }

    #[test]
    fn application_is_known_without_a_stream() {
        assert_eq!(Target::of_app("live/room?key=a%20b"), ("live/room".to_owned(), Some("a b".into())));
        assert_eq!(Target::of_app("live/"), ("live".to_owned(), None));
    }

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for (app, stream) in
            [("live", "../x"), ("..", "x"), ("live", "a/b"), ("live/..", "x"), ("", "x"), ("live", "")]
        {
            assert!(Target::from_rtmp(app, stream).is_err(), "{app} {stream}");
        }
        assert!(Target::from_http("/live/..%2fx.flv", "", "flv").unwrap().is_err());
        assert!(Target::from_http("/live/x.m3u8", "", "flv").is_none());
        assert!(Target::from_http("/live.flv", "", "flv").is_none());
    }

    #[test]
    fn start_is_read_from_the_query() {
        let start = |query: &str| Target::from_http("/live/x.flv", query, "flv").unwrap().unwrap().start();
        assert_eq!(start("startPts=1500"), hub::Start::AtPts(Time::from_millis(1500)));
        assert_eq!(start("a=1&startPts=-2000"), hub::Start::Behind(Duration::from_secs(2)));
        assert_eq!(start("startPts=0"), hub::Start::Live);
        assert_eq!(
            start("startPts=-9223372036854775808"),
            hub::Start::Behind(Duration::from_millis(1 << 63))
        );
        assert_eq!(start("startPts=x"), hub::Start::Live);
        assert_eq!(start("start=-2.5"), hub::Start::Behind(Duration::from_millis(2500)));
        assert_eq!(start("start=x"), hub::Start::Live);
    }
}
