//! Names of recordings and of their files, as the API and URLs have them.
//!
//! They are looked up and never put into a path as they came: what is not exactly of the one form names nothing.

use std::fmt;
use std::time::SystemTime;

/// Names a recording: `20261123T043000Z-1a2b3c4d`, when it began and 32 random bits. Their order is that of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordingId(String);

impl RecordingId {
    /// A new one.
    pub(crate) fn new(begun: SystemTime, random: u32) -> Self {
        let moment = crate::http::rfc3339(begun).replace(['-', ':'], "");
        Self(format!("{moment}-{random:08x}"))
    }

    /// Of the API, of a URL, or of a folder.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        const FORM: &[u8] = b"ddddddddTddddddZ-xxxxxxxx";
        let fits = |(byte, form): (u8, &u8)| match form {
            b'd' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            exact => byte == *exact,
        };
        (text.len() == FORM.len() && text.bytes().zip(FORM).all(fits)).then(|| Self(text.to_owned()))
    }

    /// As it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The file that lists segments.
const PLAYLIST: &str = "index.m3u8";

/// The name of a file of a recording: `0001.mp4`, or `000001.ts` and `index.m3u8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileName(String);

impl FileName {
    /// File `number` of a recording, from 1.
    pub(super) fn new(number: u32, extension: &str) -> Self {
        match extension {
            // There are many of them, and their order shall be that of their names.
            "ts" => Self(format!("{number:06}.ts")),
            _ => Self(format!("{number:04}.{extension}")),
        }
    }

    /// The playlist of a recording in segments.
    pub(crate) fn playlist() -> Self {
        Self(PLAYLIST.to_owned())
    }

    /// Of a URL or of a description.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == PLAYLIST {
            return Some(Self::playlist());
        }
        let (number, extension) = text.split_once('.')?;
        let is_number = (4..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && matches!(extension, "mp4" | "flv" | "ts")).then(|| Self(text.to_owned()))
    }

    /// As it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its number.
    pub(crate) fn number(&self) -> Option<u32> {
        self.0.split_once('.')?.0.parse().ok()
    }

    /// Whether it is an MP4 file, and no FLV file.
    pub(crate) fn is_mp4(&self) -> bool {
        self.0.ends_with(".mp4")
    }

    /// What it is: `mp4`, `flv`, `ts` or `m3u8`.
    pub(crate) fn extension(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or_default()
    }

    /// Whether it lists segments.
    pub(crate) fn is_playlist(&self) -> bool {
        self.0 == PLAYLIST
    }

    /// Whether it is a segment, which its playlist lists and nothing else.
    pub(super) fn is_segment(&self) -> bool {
        self.extension() == "ts"
    }

    /// What a description calls it: a segment is listed with its playlist.
    pub(super) fn listed(&self) -> Self {
        if self.is_segment() { Self::playlist() } else { self.clone() }
    }

    /// The format of what a description lists as this.
    pub(super) fn format(&self) -> &'static str {
        match self.extension() {
            "mp4" => "mp4",
            "flv" => "flv",
            _ => "ts",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    const HOSTILE: &[&str] = &[
        "",
        ".",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "\\\\host\\share",
        "C:\\x",
        "%2e%2e",
        "%2e%2e%2fx",
        "..%2f",
        "0001.mp4\0",
        "\0",
        "0001.mp4/",
        "./0001.mp4",
        "0001.mp4.part",
        "recording.json",
        "0001.MP4",
        "index.m3u8.part",
        "../index.m3u8",
        "index.M3U8",
        "0001.mp4\n",
        "００01.mp4",
        "20261123T043000Z-1a2b3c4d/..",
        "20261123T043000Z-1a2b3c4d\0",
        "20261123T043000Z-1A2B3C4D",
        "20261123T043000Z-1a2b3c4",
        "20261123T043000Z-1a2b3c4d5",
        "2026%2f123T04300Z-1a2b3c4d",
        "20261123T043000Z.1a2b3c4d",
    ];

    #[test]
    fn what_is_no_name_names_nothing() {
        for text in HOSTILE.iter().copied().chain([&*"1".repeat(100_000), &*"../".repeat(10_000)]) {
            let shown = &text[..text.len().min(40)];
            assert_eq!(RecordingId::parse(text), None, "{shown}");
            assert_eq!(FileName::parse(text), None, "{shown}");
        }
    }

    #[test]
    fn a_name_is_when_it_began() {
        let begun = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_305_600);
        let id = RecordingId::new(begun, 0xab);
        assert_eq!(id.as_str(), "20261122T000000Z-000000ab");
        assert_eq!(RecordingId::parse(id.as_str()), Some(id));
        let file = FileName::new(7, "mp4");
        assert_eq!((file.as_str(), file.format(), file.listed()), ("0007.mp4", "mp4", file.clone()));
        let segment = FileName::new(7, "ts");
        assert_eq!((segment.as_str(), segment.format(), segment.is_segment()), ("000007.ts", "ts", true));
        assert_eq!(FileName::parse("index.m3u8"), Some(segment.listed()));
        assert_eq!(FileName::parse("0007.mp4"), Some(file));
    }

    proptest! {
        #[test]
        fn a_name_is_one_step_down_in_a_path(text in "[.0-9a-fTZ/\\\\%-]{0,30}|\\PC{0,30}") {
            let file = FileName::parse(&text).map(|name| name.as_str().to_owned());
            let id = RecordingId::parse(&text).map(|name| name.as_str().to_owned());
            for name in [file, id].into_iter().flatten() {
                let parts: Vec<_> = Path::new(&name).components().collect();
                prop_assert!(matches!(parts[..], [Component::Normal(part)] if part == &*name));
            }
        }
    }
}
