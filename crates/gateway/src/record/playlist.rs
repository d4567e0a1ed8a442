//! The playlist of a recording in segments: `index.m3u8` (RFC 8216), which grows as segments end and which any web server may
//! serve beside them.

use super::id::FileName;
use super::limits::{SEGMENT_TARGET, SEGMENTS_MAX};
use std::fmt::Write;
use std::time::Duration;

/// A segment is never longer than a day, whatever a file says: sums of all of them make sense.
const DURATION_S_MAX: f64 = 86_400.0;

/// The segments of a recording, in order.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Playlist {
    segments: Vec<Segment>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub(crate) name: FileName,
    pub(crate) duration: Duration,
    /// Its times, or its tracks, do not go on from those of the one before.
    pub(crate) discontinuity: bool,
}

impl Playlist {
    pub(super) fn push(&mut self, segment: Segment) {
        if self.segments.len() < SEGMENTS_MAX {
            self.segments.push(segment);
        }
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The media time of all segments.
    pub(super) fn duration(&self) -> Duration {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    /// The target duration, in seconds. It must not change; a group of pictures that is longer than anybody expects is the
    /// exception.
    pub(crate) fn target(&self) -> u64 {
        let longest = self.segments.iter().map(|segment| segment.duration).max().unwrap_or_default();
        longest.max(SEGMENT_TARGET).as_secs_f64().round() as u64
    }

    /// As a player reads it. While the recording goes on, players come back for more.
    pub(super) fn render(&self, has_ended: bool) -> String {
        let target = self.target();
        let kind = if has_ended { "VOD" } else { "EVENT" };
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:{kind}\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        );
        for Segment { name, duration, discontinuity } in &self.segments {
            if *discontinuity {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            let _ = write!(text, "#EXTINF:{:.3},\n{}\n", duration.as_secs_f64(), name.as_str());
        }
        if has_ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }

    /// Reads what [`Playlist::render`] has written. What is not of that form is passed over.
    pub(crate) fn parse(text: &str) -> Self {
        let mut playlist = Self::default();
        let (mut duration, mut discontinuity) = (None, false);
        for line in text.lines() {
            if line == "#EXT-X-DISCONTINUITY" {
                discontinuity = true;
            } else if let Some(seconds) = line.strip_prefix("#EXTINF:") {
                let seconds = seconds.trim_end_matches(',').parse().ok();
                let seconds = seconds.filter(|seconds| *seconds < DURATION_S_MAX);
                duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            } else if let Some(name) = FileName::parse(line).filter(FileName::is_segment)
                && let Some(duration) = duration.take()
            {
                playlist.push(Segment { name, duration, discontinuity: std::mem::take(&mut discontinuity) });
            }
        }
        playlist
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(number: u32, ms: u64, discontinuity: bool) -> Segment {
        Segment { name: FileName::new(number, "ts"), duration: Duration::from_millis(ms), discontinuity }
    }

    #[test]
    fn a_playlist_is_what_players_know() {
        let mut playlist = Playlist::default();
        playlist.push(segment(1, 6_000, false));
        playlist.push(segment(2, 6_480, true));
        let growing = playlist.render(false);
        assert_eq!(
            growing,
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:12\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXTINF:6.000,\n000001.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:6.480,\n000002.ts\n"
        );
        let ended = playlist.render(true);
        assert!(ended.contains("TYPE:VOD\n") && ended.ends_with("000002.ts\n#EXT-X-ENDLIST\n"));
        assert_eq!(playlist.duration(), Duration::from_millis(12_480));
        playlist.push(segment(3, 20_000, false));
        assert!(playlist.render(false).contains("TARGETDURATION:20\n"));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(segments in prop::collection::vec((0u64..100_000, any::<bool>()), 0..20), ended: bool) {
            let mut playlist = Playlist::default();
            for (number, (ms, discontinuity)) in (1..).zip(segments) {
                playlist.push(segment(number, ms, discontinuity));
            }
            prop_assert_eq!(Playlist::parse(&playlist.render(ended)), playlist);
        }

        #[test]
        fn any_text_is_read(text in "(#EXTINF:[0-9.eE+-]{0,9},\n|[0-9]{0,9}\\.ts\n|\\PC{0,20}\n){0,20}") {
            let playlist = Playlist::parse(&text);
            prop_assert!(playlist.segments().iter().all(|segment| segment.name.is_segment()));
        }
    }
}
