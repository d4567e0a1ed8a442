//! Where to play from.

use crate::Error;
use rtmp::url::{self, Scheme, Url};
use std::fmt;

/// A URL that can be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `rtmp://host/app/channel`, or the same with another scheme of the family.
    Rtmp(Url),
    /// `http://host/path.flv` or `https://…`.
    HttpFlv(Web),
    /// `http://host/path.m3u8`. Only for load generation.
    Hls(Web),
    /// `ws://host/path.flv` or `wss://…`.
    WsFlv(Web),
    /// `tcp://host:port`: bytes without any protocol, as the bare limit server sends them. Only counted, never played.
    Raw(Web),
}

/// The parts of an `http://` or `ws://` URL, or one with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// A name or an address; an IPv6 address is without its brackets.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
    /// The path and query, beginning with a slash.
    pub path: String,
    /// Whether TLS carries it: `https://`, `wss://`.
    pub secure: bool,
}

impl Web {
    /// The `Host` field: with brackets around an IPv6 address, and the port unless it is the one of the scheme.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.secure) { host } else { format!("{host}:{}", self.port) }
    }
}

impl Target {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// A scheme that cannot be played, or a URL without host or stream.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::Argument(format!("{}: {why}", url::without_credentials(text)));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            bad("expected a URL: rtmp://HOST/APP/CHANNEL, http://HOST/PATH.flv or ws://HOST/PATH.flv")
        })?;
        let web = |secure| Web::parse(rest, secure).ok_or_else(|| bad("not a valid address"));
        match scheme.to_ascii_lowercase().as_str() {
            scheme @ ("http" | "https") => web(scheme == "https").map(|web| match web.is_playlist() {
                true => Target::Hls(web),
                false => Target::HttpFlv(web),
            }),
            "ws" => web(false).map(Target::WsFlv),
            "wss" => web(true).map(Target::WsFlv),
            "tcp" => web(false).map(Target::Raw),
            _ => match Url::parse(text) {
                Ok(url) if url.scheme == Scheme::Rtmfp => Err(bad("rtmfp:// cannot be played")),
                Ok(url) if url.app.is_empty() || url.name.is_empty() => {
                    Err(bad(&format!("expected {}://HOST/APP/CHANNEL", url.scheme.as_str())))
                }
                Ok(url) => Ok(Target::Rtmp(url)),
                Err(rtmp::Error::Unsupported(_)) => Err(bad(&format!(
                    "{scheme}:// cannot be played; rtmp://, http://, ws:// and their kin can"
                ))),
                Err(error) => Err(bad(&error.to_string())),
            },
        }
    }

    /// Whether TLS carries it.
    pub fn is_tls(&self) -> bool {
        match self {
            Target::Rtmp(url) => url.scheme.is_tls(),
            Target::HttpFlv(web) | Target::Hls(web) | Target::WsFlv(web) | Target::Raw(web) => web.secure,
        }
    }

    /// The host and port to connect to.
    pub fn address(&self) -> (&str, u16) {
        match self {
            Target::Rtmp(url) => (&url.host, url.port),
            Target::HttpFlv(web) | Target::Hls(web) | Target::WsFlv(web) | Target::Raw(web) => {
                (&web.host, web.port)
            }
        }
    }

    /// `rtmp` (or another scheme of the family), `http-flv`, `ws-flv` (or with TLS `https-flv`, `wss-flv`), `hls` or `tcp`.
    pub fn protocol(&self) -> &'static str {
        match self {
            Target::Rtmp(url) => url.scheme.as_str(),
            Target::HttpFlv(web) if web.secure => "https-flv",
            Target::HttpFlv(_) => "http-flv",
            Target::Hls(_) => "hls",
            Target::WsFlv(web) if web.secure => "wss-flv",
            Target::WsFlv(_) => "ws-flv",
            Target::Raw(_) => "tcp",
        }
    }
}

impl Web {
    fn is_playlist(&self) -> bool {
        self.path.split('?').next().is_some_and(|path| path.ends_with(".m3u8"))
    }

    fn suffix(&self) -> &'static str {
        if self.secure { "s" } else { "" }
    }

    fn parse(rest: &str, secure: bool) -> Option<Self> {
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        // A space or a line break would end up inside the request line.
        if rest.contains(|c: char| c.is_whitespace() || c.is_control()) || authority.contains('@') {
            return None;
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = port.map_or(Some(default_port(secure)), |port| port.parse().ok())?;
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port, path, secure })
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Rtmp(url) => url.fmt(f),
            Target::HttpFlv(web) | Target::Hls(web) => {
                write!(f, "http{}://{}{}", web.suffix(), web.authority(), web.path)
            }
            Target::WsFlv(web) => write!(f, "ws{}://{}{}", web.suffix(), web.authority(), web.path),
            Target::Raw(web) => write!(f, "tcp://{}", web.authority()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_of_many_schemes_can_be_played() {
        for (text, protocol, address) in [
            ("rtmp://h/live/a?key=1", "rtmp", ("h", 1935)),
            ("rtmpte://h/live/a", "rtmpte", ("h", 80)),
            ("http://127.0.0.1:8080/live/a.flv?x=1", "http-flv", ("127.0.0.1", 8080)),
            ("WS://[::1]/live/a.flv", "ws-flv", ("::1", 80)),
            ("https://h/live/a.flv", "https-flv", ("h", 443)),
            ("wss://h:8443/live/a.flv", "wss-flv", ("h", 8443)),
            ("http://h/live/a.m3u8?key=1", "hls", ("h", 80)),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.protocol(), target.address()), (protocol, address));
        }
        let Target::HttpFlv(web) = Target::parse("http://h:81?x#y").unwrap() else { panic!() };
        assert_eq!((web.authority().as_str(), web.path.as_str()), ("h:81", "/?x"));
    }

    #[test]
    fn other_urls_are_refused_with_a_reason() {
        for text in [
            "",
            "h/live/a",
            "ftp://h/a",
            "rtmfp://h/live/a",
            "http://",
            "http://h:x/",
            "http://h/a b",
            "rtmp://h/live",
            "ws://[x]/",
        ] {
            assert!(
                matches!(Target::parse(text), Err(Error::Argument(why)) if why.starts_with(text)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        for text in ["http://u:secret@h/", "rtmp://u:secret@h:x/live/a"] {
            let why = Target::parse(text).unwrap_err().to_string();
            assert!(!why.contains("secret"), "{why}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_the_same(text in "(http|ws)s?://[\\[\\]a-z:0-9]{1,9}[/?a-z]{0,5}") {
            if let Ok(target) = Target::parse(&text) {
                prop_assert_eq!(Target::parse(&target.to_string()).unwrap(), target);
            }
        }
    }
}
