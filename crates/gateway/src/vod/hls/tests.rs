use super::*;
use crate::record::FileName;
use crate::record::read::Version;
use crate::vod::name::SpanId;
use crate::vod::pieces::PlannedFile;
use crate::vod::span::Span;
use crate::vod::span::tests::track;
use std::sync::Arc;

/// A recording of files of twenty seconds: whether each has sound, and the seconds between its keyframes.
fn timeline(files: &[(bool, usize)], complete: bool) -> Timeline {
    let part = |(index, (has_sound, gop_s)): (usize, &(bool, usize))| {
        let mut tracks = vec![track(TrackId::VIDEO, 0, 40, 500, gop_s * 25)];
        tracks.extend(has_sound.then(|| track(TrackId::AUDIO, 0, 20, 1000, 1)));
        let file = index as u32 + 1;
        Part {
            id: SpanId { file, span: 0 },
            file: PlannedFile {
                name: FileName::parse(&format!("{file:04}.mp4")).unwrap(),
                version: Version::default(),
                blocks: None,
                tracks: 1,
            },
            span: Arc::new(Span::new(tracks, complete || index + 1 < files.len()).unwrap()),
            start_ms: index as u64 * 20_000,
            date: None,
        }
    };
    Timeline { parts: files.iter().enumerate().map(part).collect(), opening: Duration::ZERO, complete }
}

fn playlist(timeline: &Timeline, id: TrackId) -> String {
    media(timeline, id, &(Time::ZERO..Time::from_nanos(i64::MAX / 4)), "").unwrap()
}

fn target(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("#EXT-X-TARGETDURATION:")).unwrap()
}

/// The number of the discontinuity that each initialization section comes behind.
fn numbers(text: &str) -> Vec<(u32, String)> {
    let mut number = 0;
    let mut found = Vec::new();
    for line in text.lines() {
        match line.split_once(':') {
            Some(("#EXT-X-DISCONTINUITY-SEQUENCE", first)) => {
                assert!(found.is_empty());
                number = first.parse().unwrap();
            }
            Some(("#EXT-X-MAP", uri)) => found.push((number, uri.to_owned())),
            None if line == "#EXT-X-DISCONTINUITY" => number += 1,
            _ => {}
        }
    }
    found
}

#[test]
fn renditions_have_one_target_duration_which_stays_while_they_grow_and_when_they_are_complete() {
    for files in [&[(true, 2)][..], &[(true, 2), (true, 10)], &[(true, 2), (true, 10), (true, 5)]] {
        for complete in [false, true] {
            let timeline = timeline(files, complete);
            for id in [TrackId::VIDEO, TrackId::AUDIO] {
                assert_eq!(target(&playlist(&timeline, id)), "12", "{id} {files:?} {complete}");
            }
        }
    }
    let long = timeline(&[(true, 2), (false, 20)], true);
    for id in [TrackId::VIDEO, TrackId::AUDIO] {
        assert_eq!(target(&playlist(&long, id)), "20", "{id}");
    }
}

#[test]
fn what_is_of_one_part_has_one_number_in_all_renditions() {
    let timeline = timeline(&[(false, 2), (true, 2), (false, 2), (true, 2)], true);
    let of = |id| -> Vec<u32> {
        numbers(&playlist(&timeline, id)).into_iter().map(|(number, _)| number).collect()
    };
    assert_eq!(of(TrackId::VIDEO), [0, 1, 2, 3]);
    assert_eq!(of(TrackId::AUDIO), [1, 3]);
}
