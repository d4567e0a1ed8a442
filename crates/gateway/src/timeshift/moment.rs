//! Where a player wants to begin. Pure.

use crate::target::query_value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    let from = read_moment(&from).ok_or("from is not like 2026-11-23T04:30:00Z")?;
    Ok(now.duration_since(from).ok().filter(|behind| !behind.is_zero()))
}

/// Reads a moment of this era as RFC 3339 section 5.6 writes it.
fn read_moment(text: &str) -> Option<SystemTime> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let signs = [4, 7, 10, 13, 16].map(|at| text.as_bytes()[at].to_ascii_uppercase());
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    // Second 60 is a leap second, which the clock does not know.
    if signs != *b"--T::" || !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = &text[19..];
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            (format!("0.{}", &rest[..digits]).parse::<f64>().ok().filter(|_| digits > 0)?, &rest[digits..])
        }
        None => (0.0, rest),
    };
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let at = text.len() - zone.len();
            let (hours, minutes) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
            let ahead = (hours * 60 + minutes) * 60;
            if hours > 23 || minutes > 59 { None } else { Some(if *sign == b'+' { ahead } else { -ahead }) }?
        }
        _ => return None,
    };
    // Days of years that begin in March, so that a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let seconds = Duration::from_secs(u64::try_from(seconds).ok()?);
    UNIX_EPOCH.checked_add(seconds + Duration::from_secs_f64(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rfc3339;
    use proptest::prelude::*;

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
            ("from=2026-11-23T04:30:00.Z", Err(())),
            ("from=2026-11-23T04:30:00+0200", Err(())),
        ] {
            let found = asked(query, now).map_err(drop);
            assert_eq!(found, behind.map(|millis| millis.map(Duration::from_millis)), "{query}");
        }
    }

    proptest! {
        #[test]
        fn moments_are_read_as_they_are_written(seconds in 0u64..200_000_000_000) {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(read_moment(&rfc3339(moment)), Some(moment));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,40}", digits in "[0-9T:.+Zé-]{0,30}") {
            let _ = (read_moment(&text), read_moment(&digits), asked(&text, UNIX_EPOCH));
        }
    }
}
