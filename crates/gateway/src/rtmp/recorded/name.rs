//! How recordings are called over RTMP: `rtmp://HOST/recordings/ID`.

use crate::Secret;
use crate::record::RecordingId;
use crate::signature;
use rtmp::server::Play;

/// The application of all recordings.
const APP: &str = "recordings";

/// What Flash Media Server has players put before a name, and what they know it by.
const PREFIXES: &[&str] = &["mp4:", "flv:"];
const SUFFIXES: &[&str] = &[".mp4", ".flv", ".f4v"];

/// What is asked for in the application of recordings.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Asked {
    /// `None` if no recording can be called so.
    pub(in super::super) id: Option<RecordingId>,
    /// The key or signature that came with it.
    pub(in super::super) key: Option<Secret>,
}

/// Reads application and name as they came. `None` in any other application.
pub(in super::super) fn read(app: &str, name: &str) -> Option<Asked> {
    let (app, app_query) = app.split_once('?').unwrap_or((app, ""));
    let (name, query) = name.split_once('?').unwrap_or((name, ""));
    let (app, name) = (app.trim_matches('/'), name.trim_matches('/'));
    // Some programs put the whole path into the application.
    let name = match app.strip_prefix(APP)?.strip_prefix('/') {
        Some(path) if name.is_empty() => path,
        None if app.len() == APP.len() => name,
        _ => return None,
    };
    let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    let name = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let key = signature::presented(query).or_else(|| signature::presented(app_query));
    Some(Asked { id: RecordingId::parse(name), key })
}

/// Where to begin and how far to play, in milliseconds (`RTMP` section 7.2.2.1). The text speaks of seconds; Flash, librtmp and ffmpeg send
/// milliseconds.
pub(super) fn stretch(play: &Play) -> crate::vod::Stretch {
    use crate::vod::{Begin, Stretch, Until};
    use media::Time;
    use std::time::Duration;
    // What is no number counts as zero, and what is too large as the largest.
    let begin = match play.start {
        -1.0 => Begin::Newest,
        start => Begin::At(Time::from_millis(start.clamp(0.0, u32::MAX.into()) as i64)),
    };
    let until = match play.duration {
        duration if duration < 0.0 || duration.is_nan() => Until::End,
        0.0 => Until::Frame,
        duration => Until::After(Duration::from_millis(duration as u64)),
    };
    Stretch { begin, until }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vod::{Begin, Until};
    use media::Time;
    use std::time::Duration;

    const ID: &str = "20261123T043000Z-1a2b3c4d";

    #[test]
    fn a_recording_is_found_by_what_players_make_of_its_name() {
        for (app, name) in [
            ("recordings", "ID?key=a"),
            ("recordings?key=a", "ID"),
            ("/recordings/", "mp4:ID.mp4?key=a"),
            ("recordings", "flv:ID?key=a"),
            ("recordings/ID?key=a", ""),
        ] {
            let asked = read(&app.replace("ID", ID), &name.replace("ID", ID)).unwrap();
            assert_eq!(asked.id, RecordingId::parse(ID), "{app} {name}");
            assert_eq!(asked.key, Some("a".into()), "{app} {name}");
        }
        for name in ["", "cam", "../x", "mp4:", "20261123T043000Z-1a2b3c4"] {
            assert_eq!(read("recordings", name), Some(Asked { id: None, key: None }));
        }
        for (app, name) in [("live", ID), ("recordings2", ID), ("recordings/x", ID), ("", ID)] {
            assert_eq!(read(app, name), None, "{app}");
        }
    }

    #[test]
    fn begin_and_end_are_read_as_programs_write_them() {
        let read = |start, duration| {
            let (app, name) = (String::new(), String::new());
            let stretch = stretch(&Play { stream_id: 1, app, name, start, duration, reset: true });
            (stretch.begin, stretch.until)
        };
        let at = |ms| Begin::At(Time::from_millis(ms));
        assert_eq!(read(-2.0, -1.0), (at(0), Until::End));
        assert_eq!(read(-1.0, -2.0), (Begin::Newest, Until::End));
        assert_eq!(read(1500.5, 250.0), (at(1500), Until::After(Duration::from_millis(250))));
        assert_eq!(read(0.0, 0.0), (at(0), Until::Frame));
        assert_eq!(read(f64::NAN, f64::NAN), (at(0), Until::End));
        assert_eq!(read(f64::INFINITY, f64::INFINITY).0, at(u32::MAX.into()));
    }
}
