//! Which other sites' pages may read what this server answers (the Fetch standard, "CORS protocol").
//!
//! Everything that is open to other sites is answered to "simple" requests, so that no player pays a preflight round
//! trip.

use crate::config::HttpConfig;

/// The value of `Access-Control-Allow-Origin` for a request that came with `origin`, or `None` if the page may not read
/// the answer. A value other than `*` varies with the `Origin` header.
pub(crate) fn allow_origin<'a>(config: &'a HttpConfig, origin: Option<&str>) -> Option<&'a str> {
    let origin = origin?;
    let matches = |allowed: &&String| allowed.as_str() == "*" || allowed.as_str() == origin;
    config.allow_origins.iter().find(matches).map(String::as_str)
}

/// Whether a page of `origin` may open a WebSocket. Browsers apply no CORS there, so the server has to look itself. A
/// program that names no origin may, and so may a page of this server (its origin names `host`).
pub(crate) fn allows_websocket(config: &HttpConfig, origin: Option<&str>, host: Option<&str>) -> bool {
    let Some(origin) = origin else { return true };
    let own = origin.split_once("://").map(|(_, place)| place);
    (own.is_some() && own == host) || allow_origin(config, Some(origin)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websockets_are_for_listed_origins_and_our_own_pages() {
        let closed = HttpConfig { allow_origins: Vec::new(), ..HttpConfig::default() };
        let (own, other) = (Some("http://live.example:8080"), Some("https://other.example"));
        assert!(allows_websocket(&closed, own, Some("live.example:8080")));
        assert!(!allows_websocket(&closed, own, Some("live.example")));
        assert!(!allows_websocket(&closed, other, Some("live.example:8080")));
        assert!(!allows_websocket(&closed, Some("null"), None));
        assert!(allows_websocket(&closed, None, None));
        assert!(allows_websocket(&HttpConfig::default(), other, Some("live.example:8080")));
    }

    #[test]
    fn only_listed_origins_are_allowed() {
        let config = |origins: &[&str]| HttpConfig {
            allow_origins: origins.iter().map(ToString::to_string).collect(),
            ..HttpConfig::default()
        };
        let (a, b) = ("https://a.example", "https://b.example");
        assert_eq!(allow_origin(&config(&["*"]), Some(a)), Some("*"));
        assert_eq!(allow_origin(&config(&[a]), Some(a)), Some(a));
        assert_eq!(allow_origin(&config(&[a]), Some(b)), None);
        assert_eq!(allow_origin(&config(&[]), Some(a)), None);
        assert_eq!(allow_origin(&config(&["*"]), None), None);
    }
}
