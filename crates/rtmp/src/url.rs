//! URLs of the RTMP family: `rtmp://[user:password@]host[:port]/app[/instance]/name[?query]`.

use std::borrow::Cow;
use std::fmt;

use crate::Error;

/// The way an URL asks to carry the chunk stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// Plain TCP.
    Rtmp,
    /// TLS.
    Rtmps,
    /// Inside HTTP requests.
    Rtmpt,
    /// Inside HTTPS requests.
    Rtmpts,
    /// Encrypted by the handshake.
    Rtmpe,
    /// Encrypted by the handshake, inside HTTP requests.
    Rtmpte,
    /// Over UDP.
    Rtmfp,
}

impl Scheme {
    const ALL: [Self; 7] =
        [Self::Rtmp, Self::Rtmps, Self::Rtmpt, Self::Rtmpts, Self::Rtmpe, Self::Rtmpte, Self::Rtmfp];

    /// The scheme as it is written in an URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
            Self::Rtmpt => "rtmpt",
            Self::Rtmpts => "rtmpts",
            Self::Rtmpe => "rtmpe",
            Self::Rtmpte => "rtmpte",
            Self::Rtmfp => "rtmfp",
        }
    }

    /// Whether the handshake encrypts.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Rtmpe | Self::Rtmpte)
    }

    /// Whether the bytes travel inside HTTP requests.
    pub fn is_tunnel(self) -> bool {
        matches!(self, Self::Rtmpt | Self::Rtmpts | Self::Rtmpte)
    }

    /// Whether TLS carries the bytes.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Rtmps | Self::Rtmpts)
    }

    /// The port of an URL that names none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Rtmp | Self::Rtmpe | Self::Rtmfp => 1935,
            Self::Rtmps | Self::Rtmpts => 443,
            Self::Rtmpt | Self::Rtmpte => 80,
        }
    }
}

/// A parsed URL. But for the credentials nothing is percent-decoded: programs disagree on it, so names travel as they are
/// written. The credentials are in nothing that is printed or sent; see [`crate::client::Auth`].
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// How to connect.
    pub scheme: Scheme,
    /// Who to be for servers that ask; may be empty.
    pub user: String,
    /// Its password; may be empty.
    pub password: String,
    /// A name or an address; an IPv6 address is without its brackets.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
    /// The application, `live` or `live/instance`; may be empty.
    pub app: String,
    /// The stream name without query; may be empty.
    pub name: String,
    /// The query without its question mark; may be empty.
    pub query: String,
}

impl Url {
    /// Parses an URL. Of the path's segments the last is the name and the others are the application; a path of
    /// one segment is an application without a name.
    ///
    /// # Errors
    /// `Unsupported` for other schemes, `Malformed` for everything that is no URL.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = text.split_once("://").ok_or(Error::Malformed("URL without a scheme"))?;
        let scheme = Scheme::ALL
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(scheme))
            .ok_or(Error::Unsupported("URL scheme is not of the RTMP family"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let (host, port) = split_authority(authority)?;
        let port = match port {
            None => scheme.default_port(),
            Some(port) => port.parse().map_err(|_| Error::Malformed("URL port is not a number"))?,
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Error::Malformed("URL host"));
        }
        if text.contains(char::is_control) {
            return Err(Error::Malformed("control character in URL"));
        }
        let path = path.trim_end_matches('/');
        let (app, name) = path.rsplit_once('/').unwrap_or((path, ""));
        Ok(Self {
            scheme,
            user: decoded(user)?,
            password: decoded(password)?,
            host: host.to_owned(),
            port,
            app: app.to_owned(),
            name: name.to_owned(),
            query: query.to_owned(),
        })
    }

    /// The URL of the application, as `connect` carries it in `tcUrl`.
    pub fn tc_url(&self) -> String {
        let Self { scheme, app, .. } = self;
        format!("{}://{}/{app}", scheme.as_str(), self.authority())
    }

    /// The stream name as `publish` and `play` carry it: with its query, if it has one.
    pub fn stream_name(&self) -> String {
        if self.query.is_empty() { self.name.clone() } else { format!("{}?{}", self.name, self.query) }
    }

    /// The Host field of a tunnel's requests: with brackets around an IPv6 address, and the port unless it is the scheme's
    /// own.
    pub fn http_authority(&self) -> String {
        let authority = self.authority();
        match authority.rsplit_once(':') {
            Some((host, _)) if self.port == self.scheme.default_port() => host.to_owned(),
            _ => authority,
        }
    }

    /// `host:port` for connecting, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// An URL for people, without what only the server should know. It need not be a good one.
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text[start..].find(['/', '?']).map_or(text.len(), |at| start + at);
    match text[start..end].rfind('@') {
        Some(at) => Cow::Owned([&text[..start], &text[start + at + 1..]].concat()),
        None => Cow::Borrowed(text),
    }
}

/// Splits host and port; the host may be an IPv6 address in brackets (RFC 3986 section 3.2.2).
fn split_authority(authority: &str) -> Result<(&str, Option<&str>), Error> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(Error::Malformed("URL with an open bracket"))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(Error::Malformed("URL host is not an IPv6 address"));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(Error::Malformed("URL host")),
        };
    }
    match authority.split_once(':') {
        None => Ok((authority, None)),
        Some((_, port)) if port.contains(':') => {
            Err(Error::Malformed("IPv6 address without brackets in URL"))
        }
        Some((host, port)) => Ok((host, Some(port))),
    }
}

/// Undoes percent-encoding (RFC 3986 section 2.1).
fn decoded(text: &str) -> Result<String, Error> {
    const ERROR: Error = Error::Malformed("credentials in URL");
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit().ok_or(ERROR)?, digit().ok_or(ERROR)?);
                (high << 4 | low) as u8
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(out).map_err(|_| ERROR)?;
    if text.contains(char::is_control) { Err(ERROR) } else { Ok(text) }
}

/// As it is displayed, without credentials.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// Without credentials.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tc_url())?;
        if !self.name.is_empty() {
            write!(f, "/{}", self.name)?;
        }
        if !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_of_an_url() {
        let url = Url::parse("rtmp://example.net/live/cam?key=a/b?c").unwrap();
        assert_eq!((url.scheme, url.host.as_str(), url.port), (Scheme::Rtmp, "example.net", 1935));
        assert_eq!((url.app.as_str(), url.name.as_str(), url.query.as_str()), ("live", "cam", "key=a/b?c"));
        assert_eq!(url.tc_url(), "rtmp://example.net:1935/live");
        assert_eq!(url.stream_name(), "cam?key=a/b?c");
    }

    #[test]
    fn application_may_have_an_instance_and_name_may_be_missing() {
        let url = Url::parse("RTMPS://h:8443/live/room1/cam").unwrap();
        assert_eq!((url.scheme, url.port), (Scheme::Rtmps, 8443));
        assert_eq!((url.app.as_str(), url.name.as_str()), ("live/room1", "cam"));
        let url = Url::parse("rtmpt://h/live/").unwrap();
        assert_eq!((url.port, url.app.as_str(), url.name.as_str()), (80, "live", ""));
        assert_eq!(Url::parse("rtmp://h").unwrap().app, "");
    }

    #[test]
    fn ipv6_addresses_keep_their_brackets_on_the_wire_only() {
        let url = Url::parse("rtmp://[::1]:1936/live/cam").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 1936));
        assert_eq!(url.to_string(), "rtmp://[::1]:1936/live/cam");
    }

    #[test]
    fn credentials_are_read_and_not_printed() {
        let url = Url::parse("rtmp://me:p%40ss:%2f@h/live/cam").unwrap();
        assert_eq!((url.user.as_str(), url.password.as_str(), url.host.as_str()), ("me", "p@ss:/", "h"));
        let url = Url::parse("rtmp://me@h/live/cam").unwrap();
        assert_eq!((url.user.as_str(), url.password.as_str()), ("me", ""));
        let url = Url::parse("rtmp://me:pass@word@[::1]:1936/live/cam").unwrap();
        assert_eq!((url.password.as_str(), url.host.as_str(), url.port), ("pass@word", "::1", 1936));
        for text in [url.to_string(), format!("{url:?}"), url.tc_url(), url.authority()] {
            assert!(!text.contains("me") && !text.contains("word"), "{text}");
        }
    }

    #[test]
    fn credentials_are_left_out_of_what_people_read() {
        for (text, printed) in [
            ("rtmp://u:p@h:x/live/a@b", "rtmp://h:x/live/a@b"),
            ("rtmp://u:p@w@h", "rtmp://h"),
            ("u:p@h?x", "h?x"),
            ("rtmp://h/live/a@b", "rtmp://h/live/a@b"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(text), printed);
        }
    }

    #[test]
    fn the_host_field_has_the_port_only_where_it_is_another() {
        for (text, host) in [
            ("rtmpt://h/live/a", "h"),
            ("rtmpt://h:8080/live/a", "h:8080"),
            ("rtmpts://[::1]/live/a", "[::1]"),
            ("rtmpts://[::1]:80/live/a", "[::1]:80"),
        ] {
            assert_eq!(Url::parse(text).unwrap().http_authority(), host);
        }
    }

    #[test]
    fn bad_urls_are_refused() {
        for text in [
            "",
            "live/cam",
            "http://h/live/cam",
            "rtmp://",
            "rtmp:///live",
            "rtmp://h:x/live",
            "rtmp://h:70000/a",
            "rtmp://[::1/live",
            "rtmp://[x]/live",
            "rtmp://::1/live",
            "rtmp://[::1]x/live",
            "rtmp://u:p@/live",
            "rtmp://u:%4@h/live",
            "rtmp://u:%ff@h/live",
            "rtmp://u:%0a@h/live",
            "rtmp://h/li\nve/cam",
            "rtmp://a b/live",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails(text in "(rtmp|rtmps|x)?(://)?[\\[\\]a-z:/?@%0-9]{0,20}") {
            if let Ok(url) = Url::parse(&text) {
                let printed = Url::parse(&url.to_string()).unwrap();
                prop_assert_eq!(printed, Url { user: String::new(), password: String::new(), ..url });
            }
        }
    }
}
