//! One track of a viewer: what it asks for, and what has come. Pure.

use super::playlist::{Media, Part};
use crate::limits::{EARLY_PARTS_MAX, WANTED_MAX};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

/// A part that has come, or a segment of a player that takes whole ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Received {
    pub(super) duration: Duration,
    /// From its end, by the dates of the playlist, until it was here.
    pub(super) latency: Option<Duration>,
}

/// When something was here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    pub(super) of_day: SystemTime,
}

/// The next reload of the playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reload {
    /// At once; the answer waits for what comes next.
    Blocking(String),
    /// After so long.
    After(Duration, String),
    /// None: the stream has ended.
    Never,
}

pub(super) struct Track {
    /// The path of its playlist.
    path: String,
    /// Whether it takes parts, if there are any.
    wants_parts: bool,
    /// The first part, or segment, that is not yet wanted; none before the first playlist.
    next: Option<(u64, u32)>,
    wanted: VecDeque<Wanted>,
    hint: Option<Wanted>,
    /// What is asked for now.
    asked: Option<Wanted>,
    /// What was there before a playlist listed it.
    early: VecDeque<((u64, u32), Arrival)>,
}

#[derive(Debug, Clone)]
struct Wanted {
    path: String,
    /// None for an initialization section.
    place: Option<(u64, u32)>,
    /// Length and end, once a playlist has said so.
    listed: Option<(Duration, Option<SystemTime>)>,
}

impl Track {
    pub(super) fn new(path: String, wants_parts: bool) -> Self {
        Self {
            path,
            wants_parts,
            next: None,
            wanted: VecDeque::new(),
            hint: None,
            asked: None,
            early: VecDeque::new(),
        }
    }

    /// The path of its playlist.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Takes a playlist. Returns the next reload, what has come already of what it lists, and how much is before the wanted position, with
    /// the first playlist.
    pub(super) fn handle_playlist(&mut self, media: Media) -> (Reload, Vec<Received>, Option<Duration>) {
        let takes_parts = self.wants_parts && media.part_target.is_some() && media.can_block;
        let has_changed = self.next.is_none_or(|next| media.next.0 > next.0);
        let target = media.target;
        let mut lead_in = None;
        let mut received = Vec::new();
        let next = match self.next {
            Some(next) => next,
            None => {
                let (start, before) =
                    if takes_parts { start_of_parts(&media) } else { start_of_segments(&media) };
                lead_in = Some(before);
                if let Some(map) = media.map.as_deref().and_then(|map| resolve(&self.path, map)) {
                    self.wanted.push_back(Wanted { path: map, place: None, listed: None });
                }
                start
            }
        };
        let reload = match (media.ended, takes_parts) {
            (true, _) => Reload::Never,
            (false, true) => {
                let separator = if self.path.contains('?') { '&' } else { '?' };
                let (segment, part) = media.next;
                Reload::Blocking(format!("{}{separator}_HLS_msn={segment}&_HLS_part={part}", self.path))
            }
            // RFC 8216bis section 6.3.4: a target duration later, or half of it if nothing was new.
            (false, false) => {
                let wait = if has_changed { target } else { target / 2 };
                Reload::After(wait, self.path.clone())
            }
        };
        let hinted = media.hint.clone().map(|uri| (media.next, uri));
        let listed: Vec<Part> = match takes_parts {
            true => media.parts,
            false => {
                let whole = |segment: super::playlist::Segment| Part {
                    place: (segment.number, 0),
                    uri: segment.uri,
                    duration: segment.duration,
                    independent: true,
                    end: segment.end,
                };
                media.segments.into_iter().map(whole).collect()
            }
        };
        let mut after = next;
        for part in listed {
            let facts = (part.duration, part.end);
            if let Some(at) = self.early.iter().position(|(place, _)| *place == part.place)
                && let Some((_, arrival)) = self.early.remove(at)
            {
                received.push(account(facts, arrival));
            }
            if let Some(asked) = self.asked.as_mut().filter(|asked| asked.place == Some(part.place)) {
                asked.listed = Some(facts);
            }
            if part.place >= after && self.wanted.len() < WANTED_MAX {
                let (segment, index) = part.place;
                after = if takes_parts { (segment, index + 1) } else { (segment + 1, 0) };
                if let Some(path) = resolve(&self.path, &part.uri) {
                    self.wanted.push_back(Wanted { path, place: Some(part.place), listed: Some(facts) });
                }
            }
        }
        self.next = Some(after);
        self.hint = hinted.filter(|(place, _)| takes_parts && *place >= after).and_then(|(place, uri)| {
            Some(Wanted { path: resolve(&self.path, &uri)?, place: Some(place), listed: None })
        });
        (reload, received, lead_in)
    }

    /// What to ask for next, unless an answer is still to come.
    pub(super) fn ask(&mut self) -> Option<String> {
        if self.asked.is_some() {
            return None;
        }
        let wanted = self.wanted.pop_front().or_else(|| {
            let hint = self.hint.take()?;
            // Not again when a playlist lists it.
            self.next = hint.place.map(|(segment, part)| (segment, part + 1));
            Some(hint)
        })?;
        let path = wanted.path.clone();
        self.asked = Some(wanted);
        Some(path)
    }

    /// Takes the answer. `is_there` says whether it was media.
    pub(super) fn handle_answer(&mut self, is_there: bool, arrival: Arrival) -> Option<Received> {
        let asked = self.asked.take()?;
        let place = asked.place.filter(|_| is_there)?;
        match asked.listed {
            Some(facts) => Some(account(facts, arrival)),
            None => {
                if self.early.len() == EARLY_PARTS_MAX {
                    self.early.pop_front();
                }
                self.early.push_back((place, arrival));
                None
            }
        }
    }
}

fn account((duration, end): (Duration, Option<SystemTime>), arrival: Arrival) -> Received {
    let latency = end.map(|end| arrival.of_day.duration_since(end).unwrap_or_default());
    Received { duration, latency }
}

/// The part to begin with: the newest with which decoding can begin before the distance that players keep from the end. Also how
/// much there is from it to that distance.
fn start_of_parts(media: &Media) -> ((u64, u32), Duration) {
    let hold_back = media.part_hold_back.unwrap_or(3 * media.part_target.unwrap_or_default());
    let Some(last) = media.parts.len().checked_sub(1) else { return (media.next, Duration::ZERO) };
    let mut from_end = Duration::ZERO;
    let mut wanted = last;
    for (index, part) in media.parts.iter().enumerate().rev() {
        from_end += part.duration;
        wanted = index;
        if from_end >= hold_back {
            break;
        }
    }
    let start = media.parts[..=wanted].iter().rposition(|part| part.independent).unwrap_or(0);
    let before = media.parts[start..wanted].iter().map(|part| part.duration).sum();
    (media.parts[start].place, before)
}

fn start_of_segments(media: &Media) -> ((u64, u32), Duration) {
    let mut from_end = Duration::ZERO;
    for segment in media.segments.iter().rev() {
        from_end += segment.duration;
        if from_end >= media.hold_back {
            return ((segment.number, 0), Duration::ZERO);
        }
    }
    (media.segments.first().map_or(media.next, |segment| (segment.number, 0)), Duration::ZERO)
}

/// The path that a reference leads to, on the same server.
pub(super) fn resolve(base: &str, uri: &str) -> Option<String> {
    if uri.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return None;
    }
    if let Some((_, rest)) = uri.split_once("://") {
        return rest.find('/').map(|slash| rest[slash..].to_owned());
    }
    if uri.starts_with('/') {
        return Some(uri.to_owned());
    }
    let base = base.split('?').next().unwrap_or_default();
    let folder = base.rfind('/').map_or("/", |slash| &base[..=slash]);
    Some(format!("{folder}{uri}"))
}

#[cfg(test)]
mod tests {
    use super::super::playlist::read_media;
    use super::*;
    use std::time::UNIX_EPOCH;

    fn arrival(seconds: f64) -> Arrival {
        Arrival { at: Instant::now(), of_day: UNIX_EPOCH + Duration::from_secs_f64(seconds) }
    }

    /// Parts of half a second: four to a segment, the first of which is independent. `parts` of them from segment 5 on.
    fn playlist(parts: u32) -> Media {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.5\n\
            #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n#EXT-X-MEDIA-SEQUENCE:5\n\
            #EXT-X-MAP:URI=\"init\"\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n"
            .to_owned();
        for at in 0..parts {
            let first = if at % 4 == 0 { ",INDEPENDENT=YES" } else { "" };
            text += &format!("#EXT-X-PART:DURATION=0.5,URI=\"{}.{}\"{first}\n", 5 + at / 4, at % 4);
            if at % 4 == 3 {
                text += &format!("#EXTINF:2,\n{}\n", 5 + at / 4);
            }
        }
        text += &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}.{}\"\n", 5 + parts / 4, parts % 4);
        read_media(&text).unwrap()
    }

    #[test]
    fn it_begins_where_decoding_can_and_goes_on_with_hints() {
        let mut track = Track::new("/live/cam/v.m3u8".into(), true);
        let (reload, _, lead_in) = track.handle_playlist(playlist(6));
        assert_eq!(reload, Reload::Blocking("/live/cam/v.m3u8?_HLS_msn=6&_HLS_part=2".into()));
        assert_eq!(lead_in, Some(Duration::from_millis(1500)), "from the keyframe to 1.5 s before the end");
        assert_eq!(track.ask().as_deref(), Some("/live/cam/init"));
        assert_eq!(track.ask(), None, "one after the other");
        assert_eq!(track.handle_answer(true, arrival(3.0)), None);
        for name in ["5.0", "5.1", "5.2", "5.3", "6.0", "6.1"] {
            assert_eq!(track.ask(), Some(format!("/live/cam/{name}")));
            assert!(track.handle_answer(true, arrival(3.25)).is_some());
        }
        assert_eq!(track.ask().as_deref(), Some("/live/cam/6.2"), "which is only hinted at");
        assert_eq!(track.handle_answer(true, arrival(3.6)), None, "how long it is the playlist will tell");
        let (_, received, lead_in) = track.handle_playlist(playlist(7));
        let expected =
            Received { duration: Duration::from_millis(500), latency: Some(Duration::from_millis(100)) };
        assert_eq!((received, lead_in), (vec![expected], None));
        assert_eq!(track.ask().as_deref(), Some("/live/cam/6.3"));
    }

    #[test]
    fn a_playlist_that_is_faster_than_the_hinted_part_changes_nothing() {
        let mut track = Track::new("/a/v.m3u8".into(), true);
        track.handle_playlist(playlist(5));
        while track.ask().is_some_and(|path| path != "/a/6.1") {
            track.handle_answer(true, arrival(2.5));
        }
        assert!(track.handle_playlist(playlist(6)).1.is_empty());
        let received = track.handle_answer(true, arrival(3.2)).unwrap();
        assert_eq!(received.latency, Some(Duration::from_millis(200)));
        assert_eq!(track.ask().as_deref(), Some("/a/6.2"));
    }

    #[test]
    fn a_hint_that_does_not_come_true_is_passed_over() {
        let mut track = Track::new("/a/v.m3u8".into(), true);
        track.handle_playlist(playlist(6));
        while track.ask().is_some_and(|path| path != "/a/6.2") {
            track.handle_answer(true, arrival(3.0));
        }
        assert_eq!(track.handle_answer(false, arrival(3.5)), None);
        track.handle_playlist(playlist(9));
        assert_eq!(track.ask().as_deref(), Some("/a/6.3"));
    }

    #[test]
    fn a_player_of_segments_takes_them_when_they_are_complete() {
        let mut track = Track::new("/a/v.m3u8?key=1".into(), false);
        let (reload, _, lead_in) = track.handle_playlist(playlist(18));
        assert_eq!(reload, Reload::After(Duration::from_secs(2), "/a/v.m3u8?key=1".into()));
        assert_eq!(lead_in, Some(Duration::ZERO));
        assert_eq!(track.ask().as_deref(), Some("/a/init"));
        track.handle_answer(true, arrival(9.0));
        // Three target durations before the end.
        assert_eq!(track.ask().as_deref(), Some("/a/6"));
        assert_eq!(track.handle_answer(true, arrival(9.0)).unwrap().duration, Duration::from_secs(2));
        let (reload, _, _) = track.handle_playlist(playlist(18));
        assert_eq!(reload, Reload::After(Duration::from_secs(1), "/a/v.m3u8?key=1".into()), "nothing is new");
    }

    #[test]
    fn references_stay_on_the_server() {
        for (uri, expected) in [
            ("cam/v.m3u8", Some("/live/cam/v.m3u8")),
            ("/x", Some("/x")),
            ("https://h:1/x?y", Some("/x?y")),
            ("https://h", None),
            ("a b", None),
        ] {
            assert_eq!(resolve("/live/cam.m3u8?key=a/b", uri).as_deref(), expected, "{uri}");
        }
    }
}
