//! What an address asks for. Pure: texts in, a typed request or nothing out.

use crate::target::query_value;
use media::container::ts::PACKET_BYTES;
use media::{Kind, TrackId};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the last part of `/recordings/ID.EXT` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    /// `ID.m3u8`
    Hls,
    /// `ID.mpd`
    Dash,
    /// `ID.mp4`
    Mp4,
    /// `ID.flv`
    Flv,
}

impl Whole {
    /// Reads the last part of a path: the recording, and what of it.
    pub(crate) fn parse(name: &str) -> Option<(&str, Self)> {
        let (id, extension) = name.rsplit_once('.')?;
        let form = match extension {
            "m3u8" => Self::Hls,
            "mpd" => Self::Dash,
            "mp4" => Self::Mp4,
            "flv" => Self::Flv,
            _ => return None,
        };
        Some((id, form))
    }
}

/// Where a span is: the number of its file, and its own in that file, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SpanId {
    pub(super) file: u32,
    pub(super) span: u32,
}

/// A file below `/recordings/ID/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    /// `video0.m3u8`: the media playlist of a track.
    Playlist(TrackId),
    /// `video0-1.0-init.mp4`: what a decoder must know before segments of file 1, span 0.
    Init(TrackId, SpanId),
    /// `video0-1.0-2000-180000.m4s`, or with the end of its media, `video0-1.0-2000-180000-540000.m4s`.
    Segment(TrackId, SegmentId),
    /// `000003-376-37600-94000.ts`: a part of a segment in MPEG-TS.
    Cut(Cut),
    /// `poster.mp4`
    Poster,
    /// `poster.jpg`
    PosterJpeg,
}

/// Names a segment by all that it depends on, so that the name never means anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentId {
    pub(super) span: SpanId,
    /// When the span begins in the recording, in milliseconds.
    pub(super) start_ms: u64,
    /// When it is shown in the recording, in ticks of the track.
    pub(super) time: u64,
    /// Where it ends at the latest, likewise.
    pub(super) end: Option<u64>,
}

/// A part of a segment of a recording that consists of them: what is at its front, and then what is from one place to another, in
/// bytes of whole packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// The number of the segment.
    pub(super) file: u32,
    pub(super) front: u64,
    pub(super) begin: u64,
    pub(super) end: u64,
}

impl Cut {
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let file = parts.next().filter(|file| (6..=9).contains(&file.len()))?;
        let mut bytes = || parse_number(parts.next()?).filter(|bytes| bytes % PACKET_BYTES as u64 == 0);
        let (front, begin, end) = (bytes()?, bytes()?, bytes()?);
        let cut = Self { file: file.parse().ok()?, front, begin, end };
        let is_plain = file.bytes().all(|byte| byte.is_ascii_digit()) && format!("{:06}", cut.file) == file;
        (parts.next().is_none() && is_plain && front <= begin && begin < end).then_some(cut)
    }
}

/// Milliseconds and ticks in a name have no more: a century in nanoseconds.
const NUMBER_MAX: u64 = 1 << 61;

impl File {
    /// Reads the last part of a path. There is one spelling of each name, so that a cache holds it once.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "poster.mp4" => return Some(Self::Poster),
            "poster.jpg" => return Some(Self::PosterJpeg),
            _ => {}
        }
        if let Some(track) = name.strip_suffix(".m3u8") {
            return parse_track(track).map(Self::Playlist);
        }
        if let Some(cut) = name.strip_suffix(".ts") {
            return Cut::parse(cut).map(Self::Cut);
        }
        let (track, rest) = name.split_once('-')?;
        let track = parse_track(track)?;
        let (span, rest) = rest.split_once('-')?;
        let (file, span) = span.split_once('.')?;
        let small = |text| u32::try_from(parse_number(text)?).ok();
        let span = SpanId { file: small(file)?, span: small(span)? };
        if rest == "init.mp4" {
            return Some(Self::Init(track, span));
        }
        let mut numbers = rest.strip_suffix(".m4s")?.split('-');
        let (start_ms, time) = (parse_number(numbers.next()?)?, parse_number(numbers.next()?)?);
        let end = numbers.next().map(|text| parse_number(text).ok_or(())).transpose().ok()?;
        numbers.next().is_none().then_some(Self::Segment(track, SegmentId { span, start_ms, time, end }))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.file, self.span)
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Playlist(track) => write!(f, "{track}.m3u8"),
            Self::Init(track, span) => write!(f, "{track}-{span}-init.mp4"),
            Self::Segment(track, SegmentId { span, start_ms, time, end }) => {
                write!(f, "{track}-{span}-{start_ms}-{time}")?;
                if let Some(end) = end {
                    write!(f, "-{end}")?;
                }
                f.write_str(".m4s")
            }
            Self::Cut(Cut { file, front, begin, end }) => write!(f, "{file:06}-{front}-{begin}-{end}.ts"),
            Self::Poster => f.write_str("poster.mp4"),
            Self::PosterJpeg => f.write_str("poster.jpg"),
        }
    }
}

fn parse_track(name: &str) -> Option<TrackId> {
    let (kind, index) = match name.strip_prefix("video") {
        Some(index) => (Kind::Video, index),
        None => (Kind::Audio, name.strip_prefix("audio")?),
    };
    Some(TrackId { kind, index: parse_number(index)?.try_into().ok()? })
}

/// Decimal digits without a sign or leading zeros.
fn parse_number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = (is_plain && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?;
    number.filter(|number| *number <= NUMBER_MAX)
}

/// A moment of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Media time from its beginning.
    After(Duration),
    /// The time of day.
    At(SystemTime),
}

impl Moment {
    /// Reads seconds (`12`, `12.5`) or a time of RFC 3339 (`2026-11-23T04:30:00Z`).
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.contains(['T', 't', ' ']) {
            true => parse_rfc3339(text).map(Self::At),
            false => parse_seconds(text).map(Self::After),
        }
    }
}

/// A moment in a query that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadMoment(pub(super) &'static str);

/// Reads a moment out of a query.
pub(super) fn moment(query: &str, name: &'static str) -> Result<Option<Moment>, BadMoment> {
    // A plus in the offset of a time of day that was not escaped arrives as it was written.
    query_value(query, name).map(|text| Moment::parse(&text).ok_or(BadMoment(name))).transpose()
}

/// Reads a decimal number of seconds, to the nanosecond; below 10^9 of them.
fn parse_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 9 || fraction.len() > 20 || !is_digits(whole) || !is_digits(fraction)
    {
        return None;
    }
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Some(Duration::new(whole.parse().ok()?, nanos))
}

/// Reads a time of RFC 3339 from 1970 on.
pub(crate) fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let is = |at: usize, of: &[u8]| text.as_bytes().get(at).is_some_and(|byte| of.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let is_date = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    // A leap second counts as the one after it.
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let fraction = match rest.get(..zone)? {
        "" => Duration::ZERO,
        fraction => parse_seconds(&format!("0{}", fraction.strip_prefix('.').map(|_| fraction)?))?,
    };
    let zone_at = 19 + zone;
    let offset = match (text.get(zone_at..)?, text.as_bytes().get(zone_at)?) {
        ("Z" | "z", _) => 0,
        (offset, sign) if offset.len() == 6 && is(zone_at + 3, b":") => {
            let minutes = number(zone_at + 1..zone_at + 3)? * 60 + number(zone_at + 4..zone_at + 6)?;
            let seconds = i64::try_from(minutes * 60).ok()?;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    // Days since 1970 of a year that begins in March, so that a leap day is its last.
    let (years, march_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (153 * march_month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    let seconds = i64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second).ok()? - offset;
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?) + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rfc3339;
    use proptest::prelude::*;

    const SPAN: SpanId = SpanId { file: 1, span: 0 };

    #[test]
    fn names_are_read_as_they_are_written() {
        let segment = |time, end| SegmentId { span: SPAN, start_ms: 2000, time, end };
        for (text, file) in [
            ("video0.m3u8", File::Playlist(TrackId::VIDEO)),
            ("audio1-1.0-init.mp4", File::Init(TrackId::audio(1), SPAN)),
            ("video0-1.0-2000-180000.m4s", File::Segment(TrackId::VIDEO, segment(180_000, None))),
            ("audio0-1.0-2000-0-540000.m4s", File::Segment(TrackId::AUDIO, segment(0, Some(540_000)))),
            ("000003-376-37600-94000.ts", File::Cut(Cut { file: 3, front: 376, begin: 37_600, end: 94_000 })),
            ("poster.mp4", File::Poster),
            ("poster.jpg", File::PosterJpeg),
        ] {
            assert_eq!(File::parse(text), Some(file));
            assert_eq!(file.to_string(), text);
        }
        assert_eq!(Whole::parse("x.m3u8"), Some(("x", Whole::Hls)));
        assert_eq!(Whole::parse("x.y.mp4"), Some(("x.y", Whole::Mp4)));
        assert_eq!(Whole::parse("m3u8"), None);
    }

    #[test]
    fn other_spellings_are_no_names() {
        for text in [
            "",
            "video0",
            "video256.m3u8",
            "video00.m3u8",
            "video0-1-init.mp4",
            "video0-1.-init.mp4",
            "video0-01.0-init.mp4",
            "video0-1.0-init.mp4/",
            "video0-1.0-5.m4s",
            "video0-1.0-5-6-7-8.m4s",
            "video0-1.0-5-6-.m4s",
            "video0-1.0--6.m4s",
            "video0-4294967296.0-5-6.m4s",
            "video0-1.0-5-18446744073709551615.m4s",
            "../video0.m3u8",
            "000003.ts",
            "3-376-37600-94000.ts",
            "0000003-376-37600-94000.ts",
            "+00003-376-37600-94000.ts",
            "000003-375-37600-94000.ts",
            "000003-376-188-94000.ts",
            "000003-376-37600-37600.ts",
            "000003-376-37600-94000-188.ts",
            "poster.MP4",
            "recording.json",
        ] {
            assert_eq!(File::parse(text), None, "{text}");
        }
    }

    #[test]
    fn moments_are_seconds_or_times_of_day() {
        let after = |millis| Some(Moment::After(Duration::from_millis(millis)));
        for (text, moment) in [
            ("0", after(0)),
            ("12", after(12_000)),
            ("12.5", after(12_500)),
            ("0.04", after(40)),
            ("7.", after(7000)),
            ("0.0000000009", after(0)),
            ("", None),
            (".5", None),
            ("-1", None),
            ("1e3", None),
            ("1,5", None),
            ("9999999999", None),
            ("12s", None),
        ] {
            assert_eq!(Moment::parse(text), moment, "{text}");
        }
        let at = |seconds| Some(Moment::At(UNIX_EPOCH + Duration::from_millis(seconds)));
        for (text, moment) in [
            ("1970-01-01T00:00:00Z", at(0)),
            ("2000-02-29T00:00:00Z", at(951_782_400_000)),
            ("2026-11-23T04:30:00Z", at(1_795_408_200_000)),
            ("2026-11-23t04:30:00.250z", at(1_795_408_200_250)),
            ("2026-11-23T05:30:00+01:00", at(1_795_408_200_000)),
            ("2026-11-22 23:00:00-05:30", at(1_795_408_200_000)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-23T24:00:00Z", None),
            ("2026-11-23T04:30Z", None),
            ("2026-11-23T04:30:00", None),
            ("2026-11-23T04:30:00+1", None),
            ("2026-11-23T04:30:00é", None),
            ("1970-01-01T00:00:00+00:01", None),
        ] {
            assert_eq!(Moment::parse(text), moment, "{text}");
        }
        assert_eq!(moment("key=x&from=2", "from"), Ok(after(2000)));
        assert_eq!(moment("key=x", "from"), Ok(None));
        assert_eq!(moment("from=x", "from"), Err(BadMoment("from")));
    }

    proptest! {
        #[test]
        fn what_is_understood_has_one_spelling(text in "(video|audio)[0-9]{0,3}(-[0-9]{1,2}\\.[0-9]-)?(init)?[0-9-]{0,20}\\.(m3u8|mp4|m4s)") {
            if let Some(file) = File::parse(&text) {
                prop_assert_eq!(file.to_string(), text);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}|[0-9T:Z.+ -]{0,30}") {
            let _ = (File::parse(&text), Whole::parse(&text), Moment::parse(&text));
        }

        #[test]
        fn times_of_day_survive_the_round_trip(seconds in 0u64..32_503_680_000) {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(parse_rfc3339(&rfc3339(time)), Some(time));
        }
    }
}
