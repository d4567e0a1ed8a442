//! Playlists, as far as a viewer needs them (RFC 8216bis). Pure.

use crate::limits::{PARTS_LISTED_MAX, SEGMENTS_LISTED_MAX};
use media::Malformed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a multivariant playlist leads to: its first variant, with the sound that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multivariant {
    /// The media playlist of the first variant.
    pub variant: String,
    /// The default rendition of its group of sound, where sound has a playlist of its own.
    pub audio: Option<String>,
}

/// A media playlist.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// The target duration.
    pub target: Duration,
    /// The part target duration, if there are parts.
    pub part_target: Option<Duration>,
    /// How far from the end players are to stay that play parts.
    pub part_hold_back: Option<Duration>,
    /// The same for players that play whole segments; three target durations if the playlist does not say.
    pub hold_back: Duration,
    /// Whether reloads may wait for what comes next.
    pub can_block: bool,
    /// The initialization section of the newest segment.
    pub map: Option<String>,
    /// Complete segments, the newest [`SEGMENTS_LISTED_MAX`].
    pub segments: Vec<Segment>,
    /// Parts, the newest [`PARTS_LISTED_MAX`].
    pub parts: Vec<Part>,
    /// The segment that comes next or grows, and the part of it that comes next.
    pub next: (u64, u32),
    /// Where that part will be.
    pub hint: Option<String>,
    /// Nothing will follow.
    pub ended: bool,
}

/// A complete segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Its media sequence number.
    pub number: u64,
    /// Where it is.
    pub uri: String,
    /// How long it is.
    pub duration: Duration,
    /// When it ends, as the time of day, if the playlist says so.
    pub end: Option<SystemTime>,
}

/// A part of a segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The number of its segment, and its own.
    pub place: (u64, u32),
    /// Where it is.
    pub uri: String,
    /// How long it is.
    pub duration: Duration,
    /// Whether decoding can begin with it.
    pub independent: bool,
    /// When it ends, as the time of day, if the playlist says so.
    pub end: Option<SystemTime>,
}

/// Reads a multivariant playlist.
///
/// # Errors
///
/// No playlist, or one without variants.
pub fn read_multivariant(text: &str) -> Result<Multivariant, Malformed> {
    let mut lines = lines(text)?;
    let mut renditions: Vec<(String, String, bool)> = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(list) = line.strip_prefix("#EXT-X-MEDIA:") {
            let (kind, group) = (attribute(list, "TYPE"), attribute(list, "GROUP-ID"));
            if let (Some("AUDIO"), Some(group), Some(uri)) = (kind, group, attribute(list, "URI"))
                && renditions.len() < SEGMENTS_LISTED_MAX
            {
                let is_default = attribute(list, "DEFAULT") == Some("YES");
                renditions.push((group.to_owned(), uri.to_owned(), is_default));
            }
        } else if let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") {
            let variant = lines.find(|line| !line.starts_with('#'));
            let variant = variant.ok_or(Malformed("a variant without an address"))?.to_owned();
            let group = attribute(list, "AUDIO");
            let mut of_group = renditions.into_iter().filter(|(name, _, _)| Some(name.as_str()) == group);
            let first = of_group.next();
            let chosen = match first {
                Some((_, uri, true)) => Some(uri),
                first => of_group.find(|(_, _, is_default)| *is_default).or(first).map(|(_, uri, _)| uri),
            };
            return Ok(Multivariant { variant, audio: chosen });
        }
    }
    Err(Malformed("a playlist without variants"))
}

/// Reads a media playlist.
///
/// # Errors
///
/// No playlist, or durations and numbers that are none.
pub fn read_media(text: &str) -> Result<Media, Malformed> {
    let mut media = Media {
        target: Duration::ZERO,
        part_target: None,
        part_hold_back: None,
        hold_back: Duration::ZERO,
        can_block: false,
        map: None,
        segments: Vec::new(),
        parts: Vec::new(),
        next: (0, 0),
        hint: None,
        ended: false,
    };
    // Of the segment at hand.
    let (mut date, mut duration, mut since) = (None::<SystemTime>, None, Duration::ZERO);
    for line in lines(text)? {
        if let Some(value) = line.strip_prefix("#EXT-X-TARGETDURATION:") {
            media.target = seconds(value)?;
        } else if let Some(value) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            media.next.0 = number(value)?;
        } else if let Some(list) = line.strip_prefix("#EXT-X-PART-INF:") {
            media.part_target = attribute(list, "PART-TARGET").map(seconds).transpose()?;
        } else if let Some(list) = line.strip_prefix("#EXT-X-SERVER-CONTROL:") {
            media.can_block = attribute(list, "CAN-BLOCK-RELOAD") == Some("YES");
            media.part_hold_back = attribute(list, "PART-HOLD-BACK").map(seconds).transpose()?;
            if let Some(value) = attribute(list, "HOLD-BACK") {
                media.hold_back = seconds(value)?;
            }
        } else if let Some(list) = line.strip_prefix("#EXT-X-SKIP:") {
            let skipped = number(attribute(list, "SKIPPED-SEGMENTS").unwrap_or_default())?;
            media.next.0 = media.next.0.checked_add(skipped).ok_or(Malformed("too many segments"))?;
            date = None;
        } else if let Some(list) = line.strip_prefix("#EXT-X-MAP:") {
            media.map = attribute(list, "URI").map(str::to_owned);
        } else if let Some(value) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
            date = date_time(value);
        } else if let Some(list) = line.strip_prefix("#EXT-X-PART:") {
            let length = seconds(attribute(list, "DURATION").unwrap_or_default())?;
            since = (since + length).min(DURATION_MAX);
            media.parts.push(Part {
                place: media.next,
                uri: attribute(list, "URI").ok_or(Malformed("a part without an address"))?.to_owned(),
                duration: length,
                independent: attribute(list, "INDEPENDENT") == Some("YES"),
                end: date.and_then(|date| date.checked_add(since)),
            });
            media.next.1 = media.next.1.saturating_add(1);
        } else if let Some(value) = line.strip_prefix("#EXTINF:") {
            duration = Some(seconds(value.split(',').next().unwrap_or_default())?);
        } else if let Some(list) = line.strip_prefix("#EXT-X-PRELOAD-HINT:") {
            if attribute(list, "TYPE") == Some("PART") {
                media.hint = attribute(list, "URI").map(str::to_owned);
            }
        } else if line == "#EXT-X-ENDLIST" {
            media.ended = true;
        } else if !line.starts_with('#') {
            let length = duration.take().ok_or(Malformed("a segment without a duration"))?;
            let end = date.and_then(|date| date.checked_add(length));
            media.segments.push(Segment {
                number: media.next.0,
                uri: line.to_owned(),
                duration: length,
                end,
            });
            media.next = (media.next.0.checked_add(1).ok_or(Malformed("too many segments"))?, 0);
            // Without a date of its own the next segment begins where this one ended.
            (date, since) = (end, Duration::ZERO);
        }
        // Twice the maximum, so that not every line moves the list.
        keep_newest(&mut media.segments, 2 * SEGMENTS_LISTED_MAX, SEGMENTS_LISTED_MAX);
        keep_newest(&mut media.parts, 2 * PARTS_LISTED_MAX, PARTS_LISTED_MAX);
    }
    if media.target.is_zero() {
        return Err(Malformed("a media playlist without a target duration"));
    }
    if media.hold_back.is_zero() {
        media.hold_back = 3 * media.target;
    }
    keep_newest(&mut media.segments, SEGMENTS_LISTED_MAX, SEGMENTS_LISTED_MAX);
    keep_newest(&mut media.parts, PARTS_LISTED_MAX, PARTS_LISTED_MAX);
    Ok(media)
}

/// The most that a playlist may call a duration.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

fn keep_newest<T>(list: &mut Vec<T>, above: usize, most: usize) {
    if list.len() > above {
        list.drain(..list.len() - most);
    }
}

/// The lines that are not empty, without the first, which says what it is (section 4.1).
fn lines(text: &str) -> Result<impl Iterator<Item = &str>, Malformed> {
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    match lines.next() {
        Some("#EXTM3U") => Ok(lines),
        _ => Err(Malformed("no playlist")),
    }
}

/// The value of an attribute, without its quotes (section 4.2).
fn attribute<'a>(mut list: &'a str, wanted: &str) -> Option<&'a str> {
    loop {
        let (name, rest) = list.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (value, rest) = quoted.split_once('"')?;
                (value, rest.strip_prefix(',').unwrap_or_default())
            }
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        if name.trim() == wanted {
            return Some(value);
        }
        list = rest;
    }
}

fn number(text: &str) -> Result<u64, Malformed> {
    text.trim().parse().map_err(|_| Malformed("no number in a playlist"))
}

fn seconds(text: &str) -> Result<Duration, Malformed> {
    let seconds: f64 = text.trim().parse().map_err(|_| Malformed("no duration in a playlist"))?;
    let duration =
        Duration::try_from_secs_f64(seconds).map_err(|_| Malformed("no duration in a playlist"))?;
    if duration > DURATION_MAX { Err(Malformed("a duration above the limit")) } else { Ok(duration) }
}

/// A moment such as `2026-11-23T06:39:06.401Z`. Those of other zones than UTC are left out: no server in use writes them.
fn date_time(text: &str) -> Option<SystemTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (time.next()?.parse::<u32>().ok()?, time.next()?.parse::<u32>().ok()?);
    let second = seconds(time.next()?).ok()?;
    let is_valid = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_valid || hour > 23 || minute > 59 || second > Duration::from_secs(60) {
        return None;
    }
    // Days from the civil calendar, with years that begin in March so that the leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    // From the first of March in year 0 to the first of January 1970.
    let days = u64::from(days.checked_sub(719_468)?);
    let whole = days * 86_400 + u64::from(hour * 3600 + minute * 60);
    UNIX_EPOCH.checked_add(Duration::from_secs(whole) + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MEDIA: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.002,HOLD-BACK=6.0\n\
        #EXT-X-PART-INF:PART-TARGET=0.334\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"v-init-7.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-23T06:39:06.401Z\n\
        #EXT-X-PART:DURATION=0.33300,URI=\"v-7.0.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PART:DURATION=0.33400,URI=\"v-7.1.m4s\"\n#EXTINF:0.66700,\nv-7.m4s\n\
        #EXT-X-PART:DURATION=0.33300,URI=\"v-8.0.m4s?a=1,b\",INDEPENDENT=YES\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v-8.1.m4s\"\n";

    #[test]
    fn a_media_playlist_says_what_there_is_and_what_comes() {
        let media = read_media(MEDIA).unwrap();
        assert_eq!(
            (media.target, media.part_target),
            (Duration::from_secs(2), Some(Duration::from_millis(334)))
        );
        assert!(media.can_block && !media.ended);
        assert_eq!((media.map.as_deref(), media.hint.as_deref()), (Some("v-init-7.mp4"), Some("v-8.1.m4s")));
        assert_eq!(media.next, (8, 1));
        let places: Vec<_> = media.parts.iter().map(|part| (part.place, part.independent)).collect();
        assert_eq!(places, [((7, 0), true), ((7, 1), false), ((8, 0), true)]);
        assert_eq!(media.parts[2].uri, "v-8.0.m4s?a=1,b");
        assert_eq!((media.segments.len(), media.segments[0].number), (1, 7));
        // date -d 2026-11-23T06:39:07.401Z +%s.%3N
        let end = UNIX_EPOCH + Duration::from_millis(1_795_415_947_401);
        assert_eq!(media.parts[2].end, Some(end), "a second after the first date");
    }

    #[test]
    fn the_first_variant_is_played_with_the_default_of_its_sounds() {
        let text = "#EXTM3U\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"x\",NAME=\"other\",DEFAULT=YES,URI=\"x.m3u8\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"a, b\",DEFAULT=NO,URI=\"a.m3u8\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"c\",DEFAULT=YES,URI=\"c.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1,mp4a\",AUDIO=\"s\"\nv.m3u8\n";
        let found = read_multivariant(text).unwrap();
        assert_eq!(found, Multivariant { variant: "v.m3u8".into(), audio: Some("c.m3u8".into()) });
        let alone = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
        assert_eq!(read_multivariant(alone).unwrap().audio, None);
        assert!(read_multivariant("#EXTM3U\n").is_err() && read_multivariant("<html>").is_err());
    }

    #[test]
    fn what_is_no_playlist_is_refused() {
        for bad in [
            "",
            "#EXTM3U\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:x\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:-1\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:1e99\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\na.m4s\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n#EXTINF:1,\na\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART:DURATION=1\n",
        ] {
            assert!(read_media(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn of_an_endless_playlist_the_newest_is_kept() {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_owned();
        for number in 0..10_000 {
            text += &format!("#EXT-X-PART:DURATION=1,URI=\"p{number}\"\n#EXTINF:1,\ns{number}\n");
        }
        let media = read_media(&text).unwrap();
        assert_eq!((media.segments.len(), media.parts.len()), (SEGMENTS_LISTED_MAX, PARTS_LISTED_MAX));
        assert_eq!((media.segments.last().unwrap().uri.as_str(), media.next), ("s9999", (10_000, 0)));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-11-23T06:39:06Z", 1_795_415_946),
        ] {
            assert_eq!(date_time(text), Some(UNIX_EPOCH + Duration::from_secs(seconds)), "{text}");
        }
        for bad in [
            "",
            "Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "1969-12-31T00:00:00Z",
            "2026-01-01T00:00:00+01:00",
        ] {
            assert_eq!(date_time(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(#EXTM3U\n)?([#:=\",A-Z0-9.TZ\n-]{0,40}|#EXT-X-(PART|MAP|SKIP|MEDIA|STREAM-INF):[A-Z=\",0-9.]{0,30}\n){0,12}") {
            crate::fuzz::playlist(text.as_bytes());
        }

        #[test]
        fn parts_come_back_as_they_were_written(durations in prop::collection::vec(1_u32..5_000, 1..40), first: u32) {
            let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
            for (index, millis) in durations.iter().enumerate() {
                text += &format!("#EXT-X-PART:DURATION={:.3},URI=\"{index}\"\n", f64::from(*millis) / 1e3);
            }
            let media = read_media(&text).unwrap();
            let read: Vec<_> = media.parts.iter().map(|part| part.duration.as_millis() as u32).collect();
            prop_assert_eq!(read, durations);
            prop_assert_eq!(media.next, (u64::from(first), media.parts.len() as u32));
        }
    }
}
