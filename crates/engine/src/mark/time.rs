//! Times as texts. Pure.

use serde::{Deserialize, Serialize};

/// How a time is written: letters behind `%` as `strftime` of C has them, and all else as it is.
///
/// Of a time of day there are `%Y` `%m` `%d` `%H` `%M` `%S`, `%F` for `%Y-%m-%d`, `%T` for `%H:%M:%S`, `%z` for how far it is from UTC,
/// and `%%`. Of a time since the beginning there are `%H` `%M` `%S` `%T` and `%%`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeFormat(String);

const OF_DAY: &str = "YmdHMSFTz%";
const SINCE: &str = "HMST%";
const DAY_SECONDS: i64 = 24 * 3600;

impl TimeFormat {
    /// Reads a format for times of day, or for times since the beginning.
    ///
    /// # Errors
    ///
    /// Something else is behind a `%`.
    pub fn parse(text: &str, is_of_day: bool) -> Result<Self, String> {
        let known = if is_of_day { OF_DAY } else { SINCE };
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                continue;
            }
            let behind = letters.next();
            if !behind.is_some_and(|behind| known.contains(behind)) {
                let offered: Vec<_> = known.chars().map(|letter| format!("%{letter}")).collect();
                let found = behind.map_or_else(|| "%".to_owned(), |behind| format!("%{behind}"));
                return Err(format!("{found:?} is not known: write {}", offered.join(" ")));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// A time of day: whole seconds of Unix time, as it is read `offset_minutes` east of Greenwich.
    pub fn of_day(&self, unix_seconds: i64, offset_minutes: i32) -> String {
        let local = unix_seconds.saturating_add(i64::from(offset_minutes) * 60);
        let (year, month, day) = date_of(local.div_euclid(DAY_SECONDS));
        let (hour, minute, second) = clock_of(local.rem_euclid(DAY_SECONDS));
        self.write(|letter| {
            Some(match letter {
                'Y' => format!("{year:04}"),
                'm' => format!("{month:02}"),
                'd' => format!("{day:02}"),
                'H' => format!("{hour:02}"),
                'M' => format!("{minute:02}"),
                'S' => format!("{second:02}"),
                'F' => format!("{year:04}-{month:02}-{day:02}"),
                'T' => format!("{hour:02}:{minute:02}:{second:02}"),
                'z' => {
                    let sign = if offset_minutes < 0 { '-' } else { '+' };
                    let apart = offset_minutes.unsigned_abs();
                    format!("{sign}{:02}:{:02}", apart / 60, apart % 60)
                }
                _ => return None,
            })
        })
    }

    /// A time since the beginning, in whole seconds. Hours go on beyond 24.
    pub fn since(&self, seconds: i64) -> String {
        let (hour, minute, second) = clock_of(seconds.max(0));
        self.write(|letter| {
            Some(match letter {
                'H' => format!("{hour:02}"),
                'M' => format!("{minute:02}"),
                'S' => format!("{second:02}"),
                'T' => format!("{hour:02}:{minute:02}:{second:02}"),
                _ => return None,
            })
        })
    }

    fn write(&self, of: impl Fn(char) -> Option<String>) -> String {
        let mut text = String::new();
        let mut letters = self.0.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '%' => match letters.next() {
                    Some(behind) => text.push_str(&of(behind).unwrap_or_else(|| behind.to_string())),
                    None => text.push('%'),
                },
                letter => text.push(letter),
            }
        }
        text
    }
}

fn clock_of(seconds: i64) -> (i64, i64, i64) {
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Year, month and day of a number of days since 1970: years that begin in March have their odd day at the end.
fn date_of(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    let days = days.saturating_add(719_468);
    let (era, day) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of_day(format: &str, unix_seconds: i64, offset_minutes: i32) -> String {
        TimeFormat::parse(format, true).unwrap().of_day(unix_seconds, offset_minutes)
    }

    #[test]
    fn times_of_day_are_those_of_the_calendar() {
        assert_eq!(of_day("%F %T%z", 0, 0), "1970-01-01 00:00:00+00:00");
        assert_eq!(of_day("%Y/%m/%d", 951_782_400, 0), "2000/02/29");
        assert_eq!(of_day("%F %H:%M", 1_709_164_800, -30), "2024-02-28 23:30");
        assert_eq!(of_day("%F %T %z", 4_107_542_399, 330), "2100-03-01 05:29:59 +05:30");
        assert_eq!(of_day("cam 1, 100 %% %S", -1, -60), "cam 1, 100 % 59");
    }

    #[test]
    fn times_since_the_beginning_have_hours_without_end() {
        let format = TimeFormat::parse("%T", false).unwrap();
        assert_eq!(
            (format.since(0), format.since(360_061), format.since(-5)),
            ("00:00:00".to_owned(), "100:01:01".to_owned(), "00:00:00".to_owned())
        );
    }

    #[test]
    fn what_is_not_known_is_told_with_what_is() {
        let error = TimeFormat::parse("%H:%M %p", true).unwrap_err();
        assert!(error.starts_with("\"%p\"") && error.contains("%H"), "{error}");
        assert!(TimeFormat::parse("ends with %", true).is_err());
        assert!(TimeFormat::parse("%Y", false).is_err(), "a stream has no year");
    }

    proptest! {
        #[test]
        fn no_time_panics(text in ".{0,20}", unix in any::<i64>(), offset in any::<i32>()) {
            if let Ok(format) = TimeFormat::parse(&text, true) {
                let _ = (format.of_day(unix, offset), format.since(unix));
            }
        }
    }
}
