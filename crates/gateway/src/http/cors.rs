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

#[cfg(test)]
mod tests {
    use super::*;

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
