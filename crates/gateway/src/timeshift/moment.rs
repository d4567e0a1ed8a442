//! Where a player wants to begin. Pure.

use crate::target::query_value;
use crate::vod::parse_rfc3339;
use std::time::{Duration, SystemTime};

/// Nobody goes back further; a larger number is a mistake.
const SECONDS_MAX: f64 = 366.0 * 86_400.0;

/// Whether a query says where to begin.
pub(crate) fn is_asked(query: &str) -> bool {
    ["start", "from"].iter().any(|name| query_value(query, name).is_some())
}

/// How far behind live a player wants to begin: `start=-SECONDS`, or `from=` with a moment as RFC 3339 writes it, at `now`. `None` is
/// live.
///
/// # Errors
///
/// What is wrong with the query, and what would be right.
pub(crate) fn asked(query: &str, now: SystemTime) -> Result<Option<Duration>, &'static str> {
    if let Some(start) = query_value(query, "start") {
        let seconds = start.parse::<f64>().ok().filter(|seconds| (-SECONDS_MAX..=0.0).contains(seconds));
        let seconds = seconds.ok_or("start is not like -90, in seconds before now")?;
        return Ok((seconds < 0.0).then(|| Duration::from_secs_f64(-seconds)));
    }
    let Some(from) = query_value(query, "from") else { return Ok(None) };
    let from = parse_rfc3339(&from).ok_or("from is not like 2026-11-23T04:30:00Z")?;
    Ok(now.duration_since(from).ok().filter(|behind| !behind.is_zero()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rfc3339;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn players_say_how_far_they_go_back_or_to_when() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_408_260);
        assert_eq!(rfc3339(now), "2026-11-23T04:31:00Z");
        for (query, behind) in [
            ("start=-90", Ok(Some(90_000))),
            ("key=x&start=-1.5", Ok(Some(1_500))),
            ("start=0", Ok(None)),
            ("", Ok(None)),
            ("from=2026-11-23T04:30:00Z", Ok(Some(60_000))),
            ("from=2026-11-23T04%3A30%3A00.250Z", Ok(Some(59_750))),
            ("from=2026-11-23t06:30:00+02:00", Ok(Some(60_000))),
            ("from=2026-11-22T23:30:00-05:00", Ok(Some(60_000))),
            ("from=2030-01-01T00:00:00Z", Ok(None)),
            ("start=90", Err(())),
            ("start=-inf", Err(())),
            ("start=NaN", Err(())),
            ("start=", Err(())),
            ("from=yesterday", Err(())),
            ("from=2026-13-23T04:30:00Z", Err(())),
            ("from=2026-11-23T04:30:00", Err(())),
            ("from=2026-11-23T04:30:00+0200", Err(())),
        ] {
            let found = asked(query, now).map_err(drop);
            assert_eq!(found, behind.map(|millis| millis.map(Duration::from_millis)), "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(start|from)=.{0,40}", now in 0u64..1 << 40) {
            let _ = asked(&text, UNIX_EPOCH + Duration::from_secs(now));
        }
    }
}
