//! What a path asks for. Pure: texts in, a typed request or nothing out.

use super::window::Span;
use media::{Kind, TrackId};
use std::fmt;

/// A file below `/APP/CHANNEL/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    /// `rewind.m3u8`: the multivariant playlist of everything that there is.
    Rewind,
    /// `rewind.mpd`: its manifest.
    RewindManifest,
    /// `ts.m3u8`: the media playlist of pictures and sound together, in MPEG-TS.
    TsPlaylist,
    /// `ts-7.ts`: a segment of it.
    TsSegment(u64),
    /// `key-7.bin`: what segments are decrypted with.
    Key(u64),
    /// `video0.m3u8`: the media playlist of a track.
    Playlist(TrackId),
    /// `video0-rewind.m3u8`: the one that goes back as far as there is media.
    RewindPlaylist(TrackId),
    /// `video0-init-7.mp4`: what a decoder must know before segment 7 and those after it.
    Init(TrackId, u64),
    /// `video0-init-of-7.mp4`, of a rung: what a decoder must know where its stream needs `video0-init-7.mp4`.
    InitOf(TrackId, u64),
    /// `video0-7.m4s`: a segment.
    Segment(TrackId, u64),
    /// `video0-of-7.m4s`, of a rung: the segment that goes with segment 7 of its stream.
    SegmentOf(TrackId, u64),
    /// `video0-7.2.m4s`: a part of a segment.
    Part(TrackId, u64, u32),
}

impl File {
    /// The media playlist of a track.
    pub(super) fn playlist(track: TrackId, span: Span) -> Self {
        match span {
            Span::Live => Self::Playlist(track),
            Span::Rewind => Self::RewindPlaylist(track),
        }
    }

    /// Reads the last part of a path. There is one spelling of each name, so that a cache holds it once.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "rewind.m3u8" => return Some(Self::Rewind),
            "rewind.mpd" => return Some(Self::RewindManifest),
            _ => {}
        }
        if name == "ts.m3u8" {
            return Some(Self::TsPlaylist);
        }
        if let Some(number) = name.strip_prefix("ts-").and_then(|rest| rest.strip_suffix(".ts")) {
            return parse_number(number).map(Self::TsSegment);
        }
        if let Some(number) = name.strip_prefix("key-").and_then(|rest| rest.strip_suffix(".bin")) {
            return parse_number(number).map(Self::Key);
        }
        if let Some(track) = name.strip_suffix(".m3u8") {
            return match track.strip_suffix("-rewind") {
                Some(track) => parse_track(track).map(Self::RewindPlaylist),
                None => parse_track(track).map(Self::Playlist),
            };
        }
        let (track, rest) = name.split_once('-')?;
        let track = parse_track(track)?;
        if let Some(number) = rest.strip_prefix("init-").and_then(|rest| rest.strip_suffix(".mp4")) {
            return match number.strip_prefix("of-") {
                Some(number) => parse_number(number).map(|number| Self::InitOf(track, number)),
                None => parse_number(number).map(|number| Self::Init(track, number)),
            };
        }
        let rest = rest.strip_suffix(".m4s")?;
        if let Some(number) = rest.strip_prefix("of-") {
            return parse_number(number).map(|number| Self::SegmentOf(track, number));
        }
        Some(match rest.split_once('.') {
            None => Self::Segment(track, parse_number(rest)?),
            Some((segment, part)) => {
                Self::Part(track, parse_number(segment)?, parse_number(part)?.try_into().ok()?)
            }
        })
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rewind => f.write_str("rewind.m3u8"),
            Self::RewindManifest => f.write_str("rewind.mpd"),
            Self::TsPlaylist => f.write_str("ts.m3u8"),
            Self::TsSegment(number) => write!(f, "ts-{number}.ts"),
            Self::Key(number) => write!(f, "key-{number}.bin"),
            Self::Playlist(track) => write!(f, "{track}.m3u8"),
            Self::RewindPlaylist(track) => write!(f, "{track}-rewind.m3u8"),
            Self::Init(track, number) => write!(f, "{track}-init-{number}.mp4"),
            Self::InitOf(track, number) => write!(f, "{track}-init-of-{number}.mp4"),
            Self::Segment(track, number) => write!(f, "{track}-{number}.m4s"),
            Self::SegmentOf(track, number) => write!(f, "{track}-of-{number}.m4s"),
            Self::Part(track, segment, part) => write!(f, "{track}-{segment}.{part}.m4s"),
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
    (is_plain && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?
}

/// The delivery directives of a playlist request (RFC 8216bis section 6.2.5). Other parameters are none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Directives {
    /// Answer when the playlist has this segment...
    pub(super) segment: Option<u64>,
    /// ...or this part of it.
    pub(super) part: Option<u32>,
    /// Leave out segments that the client knows from before.
    pub(super) skip: bool,
}

/// A directive that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadDirective(pub(super) &'static str);

impl Directives {
    /// Reads a query.
    pub(super) fn parse(query: &str) -> Result<Self, BadDirective> {
        let mut directives = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number = || value.parse().map_err(|_| BadDirective("_HLS_msn is no number"));
            match name {
                "_HLS_msn" => directives.segment = Some(number()?),
                "_HLS_part" => {
                    let number = value.parse().map_err(|_| BadDirective("_HLS_part is no number"))?;
                    directives.part = Some(number);
                }
                // "v2" asks for date ranges to be left out, too; there are none.
                "_HLS_skip" => directives.skip = matches!(value, "YES" | "v2"),
                _ => {}
            }
        }
        if directives.part.is_some() && directives.segment.is_none() {
            return Err(BadDirective("_HLS_part needs _HLS_msn"));
        }
        Ok(directives)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (text, file) in [
            ("rewind.m3u8", File::Rewind),
            ("rewind.mpd", File::RewindManifest),
            ("ts.m3u8", File::TsPlaylist),
            ("ts-7.ts", File::TsSegment(7)),
            ("key-7.bin", File::Key(7)),
            ("video0.m3u8", File::Playlist(TrackId::VIDEO)),
            ("video0-rewind.m3u8", File::RewindPlaylist(TrackId::VIDEO)),
            ("audio12.m3u8", File::Playlist(TrackId::audio(12))),
            ("video0-init-7.mp4", File::Init(TrackId::VIDEO, 7)),
            ("audio0-18446744073709551615.m4s", File::Segment(TrackId::AUDIO, u64::MAX)),
            ("video0-init-of-7.mp4", File::InitOf(TrackId::VIDEO, 7)),
            ("video0-of-7.m4s", File::SegmentOf(TrackId::VIDEO, 7)),
            ("video1-7.0.m4s", File::Part(TrackId::video(1), 7, 0)),
        ] {
            assert_eq!(File::parse(text), Some(file));
            assert_eq!(file.to_string(), text);
        }
    }

    #[test]
    fn other_spellings_are_no_names() {
        for text in [
            "",
            ".m3u8",
            "video.m3u8",
            "video256.m3u8",
            "data0.m3u8",
            "video0-rewind.mpd",
            "video0-rewind-rewind.m3u8",
            "video00.m3u8",
            "video+1.m3u8",
            "video0-.m4s",
            "video0-01.m4s",
            "video0-1..m4s",
            "video0-1.2.3.m4s",
            "video0-1.m4s.m4s",
            "video0-init-.mp4",
            "video0-init-of-.mp4",
            "video0-of-7.1.m4s",
            "video0-of-of-7.m4s",
            "video0-1.4294967296.m4s",
            "video0-18446744073709551616.m4s",
            "video0-1.mp4",
            "key-07.bin",
            "ts0.m3u8",
            "ts-07.ts",
            "ts-.ts",
            "ts-1.m4s",
            "Video0.m3u8",
            "video0-init-1.m4s",
            "..",
            "video0-1.m4s/",
            "video0-٣.m4s",
        ] {
            assert_eq!(File::parse(text), None, "{text}");
        }
    }

    #[test]
    fn directives_are_found_among_other_parameters() {
        let read = |query| Directives::parse(query);
        assert_eq!(
            read("key=x&_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"),
            Ok(Directives { segment: Some(7), part: Some(2), skip: true })
        );
        assert_eq!(read(""), Ok(Directives::default()));
        assert_eq!(read("_HLS_skip=NO&x"), Ok(Directives::default()));
        for wrong in [
            "_HLS_part=1",
            "_HLS_msn=-1",
            "_HLS_msn=",
            "_HLS_msn=1&_HLS_part=x",
            "_HLS_msn=99999999999999999999",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_understood_has_one_spelling(text in "(video|audio|ts)[0-9]{0,3}(-init-|-rewind|-)?[0-9.]{0,6}\\.(m3u8|mp4|m4s|ts)") {
            if let Some(file) = File::parse(&text) {
                prop_assert_eq!(file.to_string(), text);
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,40}") {
            let _ = (File::parse(&text), Directives::parse(&text));
        }
    }
}
