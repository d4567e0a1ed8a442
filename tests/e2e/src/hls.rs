//! Reads playlists, and checks a live one against the rules of RFC 8216bis that can be seen from outside: those of its text
//! ([`rules`]), and here
//!
//! | section | rule |
//! | --- | --- |
//! | 3, 4.4.4.9 | parts make up their segments, begin with a frame to start at where it is said, and last as long as is said |
//! | 4.4.3.1 | the target duration never changes |
//! | 4.4.4.6 | dates and durations go together |
//! | 4.4.5.2, 6.2.5.1 | a delta update leaves out what is older than the skip boundary, and has the rest as the full playlist has it |
//! | 4.4.5.3 | the hinted part is answered when it is there, and then listed |
//! | 4.4.5.4 | reports say how far other renditions have come |
//! | 6.2.2 | three target durations stay listed; what has left can still be fetched |
//! | 6.2.5.2 | a blocked request is answered when the playlist has what it asks for, in three target durations at most; what is too far ahead, or makes no sense, is refused with 400 |
//! | B.1 | media, and playlists asked for by number, may be kept by caches |
//!
//! Shares no code with the server, so that a mistake cannot cancel itself out.

use crate::{http, mp4, rules};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Instant;

/// A part of a segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// In seconds.
    pub duration: f64,
    /// As written.
    pub uri: String,
    /// Whether it is said that decoding can start in it.
    pub independent: bool,
}

/// A segment, or the beginning of one at the end of a playlist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Segment {
    /// Its media sequence number.
    pub number: u64,
    /// None while it grows.
    pub uri: Option<String>,
    /// In seconds; 0 while it grows.
    pub duration: f64,
    /// As listed: old ones have none.
    pub parts: Vec<Part>,
    /// The tag stands before it.
    pub discontinuity: bool,
    /// It has no media.
    pub gap: bool,
    /// What a decoder must know, as it holds for this segment.
    pub map: Option<String>,
    /// The time of day in milliseconds since midnight.
    pub date_ms: Option<i64>,
}

/// A media playlist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Playlist {
    /// Tags with one value, by name.
    pub tags: BTreeMap<String, String>,
    /// In order. With `skipped`, those after the skipped ones.
    pub segments: Vec<Segment>,
    /// Segments left out of a delta update.
    pub skipped: u64,
    /// The hinted part.
    pub hint: Option<String>,
    /// Reported renditions: URI, last segment, last part.
    pub reports: Vec<(String, u64, u64)>,
    /// The stream has ended.
    pub ended: bool,
    /// What was read.
    pub text: String,
}

/// The value of an attribute in a list `A=1,B="x"`.
pub fn attribute(list: &str, name: &str) -> Option<String> {
    let (mut rest, mut found) = (list, None);
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"')?;
                (value, after.strip_prefix(',').unwrap_or(after))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.trim() == name {
            found = Some(value.to_owned());
        }
        rest = after;
    }
    found
}

impl Playlist {
    /// Reads a playlist.
    ///
    /// # Panics
    /// At a line that the format does not allow.
    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#EXTM3U"), "{text}");
        let mut playlist = Self { text: text.to_owned(), ..Self::default() };
        let (mut next, mut map) = (Segment::default(), None);
        for line in lines {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let get = |name| attribute(value, name);
            let required = |name| get(name).unwrap_or_else(|| panic!("{line} has no {name}"));
            match tag {
                "#EXTINF" => next.duration = value.split(',').next().unwrap().parse().unwrap(),
                "#EXT-X-DISCONTINUITY" => next.discontinuity = true,
                "#EXT-X-GAP" => next.gap = true,
                "#EXT-X-MAP" => map = Some(required("URI")),
                "#EXT-X-PROGRAM-DATE-TIME" => next.date_ms = Some(milliseconds(value)),
                "#EXT-X-PART" => next.parts.push(Part {
                    duration: required("DURATION").parse().unwrap(),
                    uri: required("URI"),
                    independent: get("INDEPENDENT").as_deref() == Some("YES"),
                }),
                "#EXT-X-SKIP" => playlist.skipped = required("SKIPPED-SEGMENTS").parse().unwrap(),
                "#EXT-X-PRELOAD-HINT" => {
                    assert_eq!(required("TYPE"), "PART");
                    playlist.hint = Some(required("URI"));
                }
                "#EXT-X-RENDITION-REPORT" => playlist.reports.push((
                    required("URI"),
                    required("LAST-MSN").parse().unwrap(),
                    required("LAST-PART").parse().unwrap(),
                )),
                "#EXT-X-ENDLIST" => playlist.ended = true,
                _ if line.starts_with('#') => {
                    let tag = tag.trim_start_matches("#EXT-X-").to_owned();
                    assert!(playlist.tags.insert(tag, value.to_owned()).is_none(), "{line} comes twice");
                }
                _ => {
                    next.uri = Some(line.to_owned());
                    next.map = map.clone();
                    playlist.segments.push(std::mem::take(&mut next));
                }
            }
        }
        if !next.parts.is_empty() {
            next.map = map;
            playlist.segments.push(next);
        }
        let first = playlist.number("MEDIA-SEQUENCE") as u64 + playlist.skipped;
        for (segment, number) in playlist.segments.iter_mut().zip(first..) {
            segment.number = number;
        }
        playlist
    }

    /// The value of a tag that is a number.
    ///
    /// # Panics
    /// If the playlist has no such tag.
    pub fn number(&self, tag: &str) -> f64 {
        let value = self.tags.get(tag).unwrap_or_else(|| panic!("there is no {tag}: {self:?}"));
        value.parse().unwrap()
    }

    /// The value of an attribute that is a number.
    pub fn attribute(&self, tag: &str, name: &str) -> Option<f64> {
        Some(attribute(self.tags.get(tag)?, name)?.parse().unwrap())
    }

    /// The newest segment and how many parts it has.
    pub fn edge(&self) -> (u64, usize) {
        self.segments.last().map_or((0, 0), |last| (last.number, last.parts.len()))
    }

    /// Whether the last segment is complete.
    pub fn is_closed(&self) -> bool {
        self.segments.last().is_some_and(|last| last.uri.is_some())
    }
}

fn milliseconds(date: &str) -> i64 {
    let time = date.split_once('T').expect("a date has a time").1.trim_end_matches('Z');
    let cells: Vec<f64> = time.split(':').map(|cell| cell.parse().expect("a number")).collect();
    ((cells[0] * 3600.0 + cells[1] * 60.0 + cells[2]) * 1000.0).round() as i64
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// The value of `Cache-Control`.
    pub cache: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Fetches `path`.
///
/// # Panics
/// If the server does not answer completely.
pub fn fetch(server: SocketAddr, path: &str) -> Answer {
    let mut response = http::get(server, path).expect("the server answers");
    let cache = response.header("cache-control").unwrap_or_default().to_owned();
    let mut body = Vec::new();
    response.body.read_to_end(&mut body).expect("the answer is complete");
    Answer { status: response.status, cache, body }
}

/// A media playlist that is followed, with what is remembered of it to be compared.
#[derive(Debug)]
pub struct Follower {
    server: SocketAddr,
    folder: String,
    name: String,
    query: String,
    seen: BTreeMap<u64, Segment>,
    target: Option<f64>,
    /// The newest state.
    pub playlist: Playlist,
}

/// Durations are written with five digits.
const ROUNDING: f64 = 0.000_011;

impl Follower {
    /// Begins with the playlist `name` in `folder`, such as `/live/cam/`.
    ///
    /// # Panics
    /// Where a rule is broken.
    pub fn new(server: SocketAddr, folder: &str, name: &str, query: &str) -> Self {
        let mut follower = Self {
            server,
            folder: folder.to_owned(),
            name: name.to_owned(),
            query: query.to_owned(),
            seen: BTreeMap::new(),
            target: None,
            playlist: Playlist::default(),
        };
        let playlist = follower.reload("");
        follower.take(playlist);
        follower
    }

    fn path(&self, uri: &str) -> String {
        format!("{}{uri}", self.folder)
    }

    fn reload(&self, directives: &str) -> Playlist {
        let query: Vec<&str> =
            [self.query.as_str(), directives].into_iter().filter(|q| !q.is_empty()).collect();
        let query = query.join("&");
        let answer = fetch(self.server, &format!("{}?{query}", self.path(&self.name)));
        assert_eq!(answer.status, 200, "{}?{query}: {}", self.name, String::from_utf8_lossy(&answer.body));
        let text = std::str::from_utf8(&answer.body).unwrap();
        assert_eq!(rules::of_media(text), [""; 0], "{}?{query}: {text}", self.name);
        Playlist::parse(text)
    }

    /// Waits for the next part as a player does, and checks that it is there then.
    ///
    /// # Panics
    /// Where a rule is broken.
    pub fn next_part(&mut self) {
        let (segment, parts) = self.playlist.edge();
        let (segment, part) = if self.playlist.is_closed() { (segment + 1, 0) } else { (segment, parts) };
        let asked = Instant::now();
        let playlist = self.reload(&format!("_HLS_msn={segment}&_HLS_part={part}"));
        let target = self.playlist.number("TARGETDURATION");
        assert!(asked.elapsed().as_secs_f64() <= 3.0 * target + 1.0, "a blocked request has a limit");
        let has = playlist.edge();
        assert!(
            playlist.ended || has.0 > segment || (has.0 == segment && has.1 > part),
            "asked for part {part} of {segment}, got {has:?}"
        );
        self.take(playlist);
    }

    /// Checks a new state against the rules and against the states before.
    fn take(&mut self, playlist: Playlist) {
        if !self.playlist.text.is_empty() {
            let broken = rules::of_change(&self.playlist.text, &playlist.text);
            assert_eq!(broken, [""; 0], "{}\nbecame\n{}", self.playlist.text, playlist.text);
        }
        check_tags(&playlist);
        let target = playlist.number("TARGETDURATION");
        assert_eq!(*self.target.get_or_insert(target), target, "the target duration never changes");
        assert!(
            playlist.number("MEDIA-SEQUENCE")
                >= self.playlist.tags.get("MEDIA-SEQUENCE").map_or(0.0, |n| n.parse().unwrap())
        );
        for segment in &playlist.segments {
            check_segment(segment, &playlist);
            if let Some(before) = self.seen.get(&segment.number) {
                let parts = before.parts.len().min(segment.parts.len());
                assert_eq!(before.parts[..parts], segment.parts[..parts], "parts never change");
                assert!(before.uri.is_none() || before.uri == segment.uri, "segments never change");
                assert_eq!((before.date_ms, &before.map), (segment.date_ms, &segment.map));
            }
            self.seen.insert(segment.number, segment.clone());
        }
        let listed: f64 = playlist.segments.iter().map(|segment| segment.duration).sum();
        let removed =
            playlist.segments.first().is_some_and(|first| self.seen.keys().next() < Some(&first.number));
        assert!(!removed || listed >= 3.0 * target, "three target durations stay listed");
        for pair in playlist.segments.windows(2) {
            if let (Some(a), Some(b)) = (pair[0].date_ms, pair[1].date_ms)
                && !pair[1].discontinuity
            {
                let day = 86_400_000;
                let apart = (b - a).rem_euclid(day) as f64 / 1000.0;
                assert!((apart - pair[0].duration).abs() < 0.1, "dates and durations go together: {pair:?}");
            }
        }
        self.playlist = playlist;
    }

    /// Checks the delta update against the full playlist. Returns how many segments it leaves out.
    ///
    /// # Panics
    /// Where a rule is broken.
    pub fn check_delta(&mut self) -> u64 {
        let full = self.reload("");
        let delta = self.reload("_HLS_skip=YES");
        let until = full.attribute("SERVER-CONTROL", "CAN-SKIP-UNTIL");
        assert!(until.is_some() || delta.skipped == 0);
        // Another segment may have come, or gone, between the two.
        for segment in &delta.segments {
            if let Some(same) =
                full.segments.iter().find(|other| other.number == segment.number && other.uri.is_some())
            {
                assert_eq!((&same.uri, same.duration), (&segment.uri, segment.duration));
            }
        }
        if delta.skipped > 0 {
            let kept: f64 = delta.segments.iter().map(|segment| segment.duration).sum();
            assert!(kept + 0.01 >= until.unwrap() - full.number("TARGETDURATION"), "{kept} of {until:?}");
        }
        self.take(full);
        delta.skipped
    }

    /// Checks that requests are refused which the specification wants refused.
    ///
    /// # Panics
    /// Where one is not.
    pub fn check_refusals(&self) {
        // A state of this moment: on a busy machine the one at hand may be some segments old.
        let now = self.reload("");
        let (segment, _) = now.edge();
        for (query, status) in [
            (format!("_HLS_msn={}", segment + 5), 400),
            (format!("_HLS_msn={}&_HLS_part=0", segment + 5), 400),
            ("_HLS_part=1".to_owned(), 400),
            ("_HLS_msn=x".to_owned(), 400),
        ] {
            let answer = fetch(self.server, &format!("{}?{query}&{}", self.path(&self.name), self.query));
            assert_eq!(answer.status, status, "{query}");
        }
        let absent = now.hint.as_ref().unwrap().replace('.', "9.");
        let answer = fetch(self.server, &self.path(&absent));
        assert_eq!(answer.status, 404, "{absent}");
    }

    /// Waits for the hinted part and checks that it is one that the playlist then lists.
    ///
    /// # Panics
    /// If it is not.
    pub fn check_hint(&mut self) {
        let hint = self.playlist.hint.clone().expect("a live playlist has a hint");
        let answer = fetch(self.server, &self.path(&hint));
        assert_eq!(answer.status, 200, "{hint}");
        let playlist = self.reload("");
        let parts = || playlist.segments.iter().flat_map(|segment| &segment.parts);
        assert!(parts().any(|part| part.uri == hint), "{hint} is not in {playlist:?}");
        self.take(playlist);
    }

    /// [`check_media`] of the newest state. Returns how many samples there were.
    ///
    /// # Panics
    /// Where a rule is broken.
    pub fn check_media(&self) -> u32 {
        check_media(self.server, &self.folder, &self.playlist)
    }
}

/// Fetches all that is listed in a playlist of `folder` and checks it: parts make up their segments, each lasts as long as is
/// said, none overlaps and nothing is missing between, segments begin with a frame to start at. Gaps are not asked for. Returns
/// how many samples there were.
///
/// # Panics
/// Where that is not so.
pub fn check_media(server: SocketAddr, folder: &str, playlist: &Playlist) -> u32 {
    let media = |uri: &str| {
        let answer = fetch(server, &format!("{folder}{uri}"));
        assert_eq!(answer.status, 200, "{uri}");
        assert!(answer.cache.contains("immutable"), "{uri} may be kept: {}", answer.cache);
        answer.body
    };
    let (mut samples, mut next, mut inits) = (0, None, BTreeMap::new());
    for segment in playlist.segments.iter().filter(|segment| segment.uri.is_some()) {
        if segment.gap {
            next = None;
            continue;
        }
        let map = segment.map.clone().expect("a segment of MP4 has a map");
        let timescale = *inits.entry(map.clone()).or_insert_with(|| mp4::timescale(&media(&map))) as f64;
        let whole = media(segment.uri.as_ref().unwrap());
        let parts: Vec<Vec<u8>> = segment.parts.iter().map(|part| media(&part.uri)).collect();
        assert!(parts.is_empty() || parts.concat() == whole, "{} is its parts", segment.number);
        let fragments = mp4::fragments(&whole);
        assert!(fragments[0].starts_with_sync, "{} begins with a frame to start at", segment.number);
        for fragment in &fragments {
            assert!(
                segment.discontinuity || next.is_none_or(|next| next == fragment.start),
                "{}: {fragment:?} does not begin at {next:?}",
                segment.number
            );
            next = Some(fragment.start + fragment.duration);
            samples += fragment.samples;
        }
        let total: u64 = fragments.iter().map(|fragment| fragment.duration).sum();
        assert!((total as f64 / timescale - segment.duration).abs() < 0.002, "{segment:?} lasts {total}");
        for (part, bytes) in segment.parts.iter().zip(&parts) {
            let total: u64 = mp4::fragments(bytes).iter().map(|fragment| fragment.duration).sum();
            assert!((total as f64 / timescale - part.duration).abs() < 0.002, "{part:?} lasts {total}");
        }
    }
    samples
}

fn check_tags(playlist: &Playlist) {
    assert!(playlist.number("VERSION") >= 9.0, "delta updates need version 9");
    let target = playlist.number("TARGETDURATION");
    let part_target = playlist.attribute("PART-INF", "PART-TARGET").unwrap();
    let control = |name| playlist.attribute("SERVER-CONTROL", name);
    let block = attribute(&playlist.tags["SERVER-CONTROL"], "CAN-BLOCK-RELOAD");
    assert_eq!(block.as_deref(), Some("YES"));
    assert!(control("PART-HOLD-BACK").unwrap() >= 3.0 * part_target - ROUNDING);
    assert!(control("HOLD-BACK").unwrap() >= 3.0 * target);
    assert!(control("CAN-SKIP-UNTIL").is_none_or(|until| until >= 6.0 * target));
    assert_eq!(playlist.hint.is_none(), playlist.ended, "a live playlist has a hint");
}

fn check_segment(segment: &Segment, playlist: &Playlist) {
    let target = playlist.number("TARGETDURATION");
    let part_target = playlist.attribute("PART-INF", "PART-TARGET").unwrap();
    assert!(segment.duration.round() <= target, "{segment:?}");
    let parts: f64 = segment.parts.iter().map(|part| part.duration).sum();
    if segment.uri.is_some() && !segment.parts.is_empty() {
        assert!((parts - segment.duration).abs() < ROUNDING * segment.parts.len() as f64, "{segment:?}");
    }
    assert!(segment.parts.first().is_none_or(|part| part.independent), "{segment:?}");
    assert!(segment.date_ms.is_some(), "{segment:?}");
    for (index, part) in segment.parts.iter().enumerate() {
        assert!(part.duration <= part_target + ROUNDING, "{part:?} above {part_target}");
        let is_last = segment.uri.is_some() && index + 1 == segment.parts.len();
        assert!(is_last || part.duration >= 0.85 * part_target, "{part:?} of {part_target}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_with_and_without_quotes() {
        let list = "A=1.5,URI=\"a,b=c.m4s\",C=YES";
        assert_eq!(attribute(list, "URI").as_deref(), Some("a,b=c.m4s"));
        assert_eq!((attribute(list, "C").as_deref(), attribute(list, "b")), (Some("YES"), None));
    }

    #[test]
    fn a_playlist_is_read_with_its_open_end() {
        let playlist = Playlist::parse(
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"i\"\n#EXTINF:2.0,\na\n\
             #EXT-X-PART:DURATION=0.5,URI=\"b.0\",INDEPENDENT=YES\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"b.1\"\n",
        );
        assert_eq!((playlist.edge(), playlist.is_closed()), ((8, 1), false));
        assert_eq!(playlist.segments[1].map.as_deref(), Some("i"));
        assert_eq!(playlist.hint.as_deref(), Some("b.1"));
    }
}
