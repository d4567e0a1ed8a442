//! A time of a recording that consists of segments in MPEG-TS: its playlist lists those that show it, the first and the last of
//! them cut at keyframes.

use super::limits::CUT_BYTES_MAX;
use super::name::{Cut, File, Moment, parse_rfc3339};
use super::pieces::read_large;
use crate::record::playlist::{Playlist, Segment};
use crate::record::read::{self, Source, Version};
use crate::record::{Entry, FileName};
use api::Recording;
use media::Time;
use media::container::ts::{Entrance, Entrances, PACKET_BYTES};
use std::fmt::Write;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What is looked at at once: whole packets.
const PIECE_BYTES: u64 = 4096 * PACKET_BYTES as u64;

/// Durations in the playlist are rounded: what is so near a keyframe is at it.
const ROUNDING: Duration = Duration::from_millis(2);

/// A moment on the clock of a recording in segments, which stands still while nothing is recorded.
pub(super) fn resolve(description: &Recording, moment: Moment) -> Time {
    let at = match moment {
        Moment::After(time) => return Time::ZERO + time,
        Moment::At(at) => at,
    };
    let begun = parse_rfc3339(&description.started_at);
    let mut after = begun.and_then(|begun| at.duration_since(begun).ok()).unwrap_or_default();
    for gap in &description.gaps {
        let begins = Duration::from_millis(gap.at_ms);
        if after <= begins {
            break;
        }
        after = after.saturating_sub(Duration::from_millis(gap.lasted_ms)).max(begins);
    }
    Time::ZERO + after
}

/// A segment by its number.
///
/// # Errors
///
/// Those of opening it.
pub(super) async fn open(entry: &Arc<Entry>, number: u32) -> io::Result<(FileName, Source)> {
    let name = FileName::parse(&format!("{number:06}.ts")).ok_or(io::ErrorKind::NotFound)?;
    let source = read::open(entry, &name).await?;
    Ok((name, source))
}

/// The segments of a recording.
#[derive(Debug, Default)]
pub(super) struct List {
    playlist: Playlist,
    /// When each begins, and when the last one ends.
    bounds: Vec<Time>,
    has_ended: bool,
}

impl List {
    /// Of the playlist beside the segments, and what that was.
    ///
    /// # Errors
    ///
    /// Those of reading it.
    pub(super) async fn read(entry: &Arc<Entry>) -> io::Result<(Self, Version)> {
        let source = read::open(entry, &FileName::playlist()).await?;
        let text = read_large(&source, 0..source.bytes()).await?;
        // There may be a hundred thousand of them.
        let parsed = tokio::task::spawn_blocking(move || Self::parse(&String::from_utf8_lossy(&text)));
        Ok((parsed.await.map_err(io::Error::other)?, source.version()))
    }

    fn parse(text: &str) -> Self {
        let playlist = Playlist::parse(text);
        let mut bounds = vec![Time::ZERO];
        let mut end = Time::ZERO;
        for segment in playlist.segments() {
            end = end + segment.duration;
            bounds.push(end);
        }
        Self { playlist, bounds, has_ended: text.contains("#EXT-X-ENDLIST") }
    }

    /// All of them.
    pub(super) fn segments(&self) -> &[Segment] {
        self.playlist.segments()
    }

    /// The part that shows `window`: from the keyframe at its start or before to that at its end or behind. `None` where nothing
    /// was recorded then, or not yet.
    ///
    /// # Errors
    ///
    /// Those of reading the first and the last segment of it.
    pub(super) async fn part(self, entry: &Arc<Entry>, window: Range<Time>) -> io::Result<Option<Part>> {
        let asked = window.clone();
        // There may be a hundred thousand of them.
        let selected = tokio::task::spawn_blocking(move || self.select(&asked));
        let Some(mut part) = selected.await.map_err(io::Error::other)? else { return Ok(None) };
        // The one at the end first: places in a segment are counted from its beginning.
        let last = part.pieces.len().saturating_sub(1);
        for at in [last, 0] {
            let Some(piece) = part.pieces.get_mut(at) else { break };
            let asked = piece.shown.start.max(window.start)..piece.shown.end.min(window.end);
            if asked != piece.shown {
                piece.cut(&Entries::find(entry, &piece.name).await?, &asked);
            }
            if last == 0 {
                break;
            }
        }
        Ok(Some(part))
    }

    /// The segments that show `window`, whole.
    fn select(&self, window: &Range<Time>) -> Option<Part> {
        let segments = self.playlist.segments();
        let end = self.bounds.last().copied().unwrap_or_default();
        if segments.is_empty() || window.start >= end {
            return None;
        }
        let first = self.bounds.partition_point(|begin| *begin <= window.start + ROUNDING).saturating_sub(1);
        let last = self
            .bounds
            .partition_point(|begin| *begin + ROUNDING < window.end)
            .clamp(first + 1, segments.len())
            - 1;
        let is_complete = self.has_ended || self.bounds[last + 1] + ROUNDING >= window.end;
        let pieces = (first..=last)
            .map(|at| Piece::whole(&segments[at], self.bounds[at]..self.bounds[at + 1]))
            .collect();
        Some(Part { pieces, start: window.start, target: self.playlist.target(), is_complete })
    }
}

/// Places to begin at in a segment.
struct Entries {
    front: u64,
    bytes: u64,
    found: Vec<Entrance>,
}

impl Entries {
    async fn find(entry: &Arc<Entry>, name: &FileName) -> io::Result<Self> {
        let source = read::open(entry, name).await?;
        let (mut entrances, mut found) = (Entrances::new(), Vec::new());
        let bytes = source.bytes() - source.bytes() % PACKET_BYTES as u64;
        let mut position = 0;
        while position < bytes.min(CUT_BYTES_MAX) {
            let end = bytes.min(position + PIECE_BYTES);
            let packets = source.read(position..end).await?;
            let looked = tokio::task::spawn_blocking(move || {
                entrances.push(&packets, &mut found);
                (entrances, found)
            });
            (entrances, found) = looked.await.map_err(io::Error::other)?;
            position = end;
        }
        Ok(Self { front: entrances.tables_bytes(), bytes, found })
    }
}

/// A segment, or a part of one.
#[derive(Debug, PartialEq)]
struct Piece {
    name: FileName,
    discontinuity: bool,
    /// On the clock of the recording.
    shown: Range<Time>,
    cut: Option<Cut>,
}

impl Piece {
    fn whole(segment: &Segment, shown: Range<Time>) -> Self {
        let Segment { name, discontinuity, .. } = segment.clone();
        Self { name, discontinuity, shown, cut: None }
    }

    /// Leaves out what is not needed to show `asked`.
    fn cut(&mut self, entries: &Entries, asked: &Range<Time>) {
        let Some((first, file)) = entries.found.first().zip(self.name.number()) else { return };
        // A segment begins with a keyframe, whenever its times begin.
        let begin = self.shown.start;
        let at = |entrance: &Entrance| begin + entrance.shown.since(first.shown);
        let entry =
            entries.found.iter().rfind(|entrance| at(entrance) <= asked.start + ROUNDING).unwrap_or(first);
        let exit = entries
            .found
            .iter()
            .find(|entrance| at(entrance) + ROUNDING >= asked.end && asked.end < self.shown.end);
        // What is before the first keyframe belongs to it.
        let is_whole_before = entry.position == first.position;
        if is_whole_before && exit.is_none() {
            return;
        }
        let (front, begin) = if is_whole_before { (0, 0) } else { (entries.front, entry.position) };
        self.shown.start = at(entry);
        if let Some(exit) = exit {
            self.shown.end = at(exit);
        }
        let end = exit.map_or(entries.bytes, |exit| exit.position);
        self.cut = Some(Cut { file, front, begin, end });
    }
}

/// What shows a time of a recording.
#[derive(Debug)]
pub(super) struct Part {
    pieces: Vec<Piece>,
    start: Time,
    target: u64,
    /// Whether nothing more comes.
    pub(super) is_complete: bool,
}

impl Part {
    /// As a player reads it (RFC 8216); `folder` is where the segments are.
    pub(super) fn playlist(&self, folder: &str, query: &str) -> String {
        let kind = if self.is_complete { "VOD" } else { "EVENT" };
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:{kind}\n#EXT-X-INDEPENDENT-SEGMENTS\n",
            self.target
        );
        let begins = self.pieces.first().map_or(self.start, |piece| piece.shown.start);
        let inside = self.start.since(begins);
        // One that still runs is watched from there, too, and not from its end.
        if !self.is_complete || inside > Duration::ZERO {
            let _ = writeln!(text, "#EXT-X-START:TIME-OFFSET={:.3},PRECISE=YES", inside.as_secs_f64());
        }
        for (index, Piece { name, discontinuity, shown, cut }) in self.pieces.iter().enumerate() {
            if *discontinuity && index > 0 {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            let name = cut.map_or_else(|| name.as_str().to_owned(), |cut| File::Cut(cut).to_string());
            let seconds = shown.end.since(shown.start).as_secs_f64();
            let _ = writeln!(text, "#EXTINF:{seconds:.3},\n{folder}/{name}{query}");
        }
        if self.is_complete {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{GapReason, RecordingGap};

    fn entries(keyframes_ms: &[i64]) -> Entries {
        let at = |(index, ms): (usize, &i64)| Entrance {
            position: 376 + 1880 * index as u64,
            // Times within a segment begin anywhere.
            shown: Time::from_millis(77_000 + ms),
        };
        Entries { front: 376, bytes: 18_800, found: keyframes_ms.iter().enumerate().map(at).collect() }
    }

    fn piece(begin_ms: i64, end_ms: i64) -> Piece {
        let name = FileName::parse("000002.ts").unwrap();
        let shown = Time::from_millis(begin_ms)..Time::from_millis(end_ms);
        Piece { name, discontinuity: false, shown, cut: None }
    }

    #[test]
    fn a_segment_is_cut_at_the_keyframe_before_and_at_the_one_behind() {
        let entries = entries(&[0, 2000, 4000]);
        for (asked, shown, cut) in [
            (6500..9000, 6000..10_000, Some((0, 0, 4136))),
            (8000..10_000, 8000..10_000, Some((376, 2256, 4136))),
            (8100..10_003, 8000..12_000, Some((376, 2256, 18_800))),
            (11_000..12_000, 10_000..12_000, Some((376, 4136, 18_800))),
            (7000..12_000, 6000..12_000, None),
            (7999..10_001, 8000..10_000, Some((376, 2256, 4136))),
        ] {
            let mut piece = piece(6000, 12_000);
            piece.cut(&entries, &(Time::from_millis(asked.start)..Time::from_millis(asked.end)));
            assert_eq!(
                piece.shown,
                Time::from_millis(shown.start)..Time::from_millis(shown.end),
                "{asked:?}"
            );
            let found = piece.cut.map(|cut| (cut.front, cut.begin, cut.end));
            assert_eq!(found, cut, "{asked:?}");
        }
        let mut without = piece(0, 6000);
        without.cut(
            &Entries { found: Vec::new(), ..entries },
            &(Time::from_millis(1000)..Time::from_millis(2000)),
        );
        assert_eq!(without, piece(0, 6000), "where nothing says where to cut");
    }

    #[test]
    fn a_time_of_day_is_counted_without_what_was_not_recorded() {
        let mut description: Recording = serde_json::from_str(
            r#"{"id":"x","stream":"live/cam","state":"complete","format":"ts","startedAt":"2026-11-23T04:30:00Z",
            "durationMs":20000,"bytes":0,"tracks":[],"files":[],"gaps":[]}"#,
        )
        .unwrap();
        let gap =
            |at_ms, lasted_ms| RecordingGap { at_ms, lasted_ms, packets: 0, why: GapReason::DiskFailed };
        description.gaps = vec![gap(5000, 10_000), gap(8000, 1000)];
        for (time, ms) in [
            ("04:29:00Z", 0),
            ("04:30:04Z", 4000),
            ("04:30:05Z", 5000),
            ("04:30:12Z", 5000),
            ("04:30:17Z", 7000),
            ("04:30:18.5Z", 8000),
            ("04:30:25Z", 14_000),
        ] {
            let moment = Moment::parse(&format!("2026-11-23T{time}")).unwrap();
            assert_eq!(resolve(&description, moment).millis(), ms, "{time}");
        }
    }

    #[test]
    fn the_playlist_lists_what_shows_the_time_and_says_where_to_begin() {
        let mut first = piece(6000, 12_000);
        first.cut(&entries(&[0, 2000, 4000]), &(Time::from_millis(8500)..Time::from_millis(12_000)));
        let second = Piece {
            discontinuity: true,
            name: FileName::parse("000003.ts").unwrap(),
            ..piece(12_000, 18_000)
        };
        let part = Part {
            pieces: vec![first, second],
            start: Time::from_millis(8500),
            target: 12,
            is_complete: false,
        };
        assert_eq!(
            part.playlist("/recordings/ID", "?key=x"),
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:12\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT\n\
             #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-START:TIME-OFFSET=0.500,PRECISE=YES\n\
             #EXTINF:4.000,\n/recordings/ID/000002-376-2256-18800.ts?key=x\n#EXT-X-DISCONTINUITY\n\
             #EXTINF:6.000,\n/recordings/ID/000003.ts?key=x\n"
        );
    }
}
