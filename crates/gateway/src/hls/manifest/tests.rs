use super::*;
use crate::hls::playlist::tests::{rendition, terms, with_a_loss};
use media::TrackId;
use std::time::UNIX_EPOCH;

fn epoch(discontinuities: u64) -> Epoch {
    let start = Time::from_millis(14_000 * discontinuities as i64);
    let date = UNIX_EPOCH + Duration::from_millis(1_790_000_000_123 + 20_000 * discontinuities);
    Epoch { discontinuities, start, date }
}

fn of(renditions: &[Rendition], epochs: &[Epoch], ended: bool) -> String {
    let now = UNIX_EPOCH + Duration::from_secs(1_790_000_100);
    let terms = terms("?key=secret-key");
    manifest(Content { renditions, epochs, terms: &terms, ended, rungs: &[] }, "cam/", now, Span::Live)
}

#[test]
fn every_listed_segment_has_its_place_on_the_clock_and_the_growing_one_the_expected_length() {
    let written = of(&[rendition(TrackId::VIDEO, 3, 2, None)], &[epoch(0)], false);
    let entries: Vec<_> = written.lines().filter(|line| line.starts_with("<S ")).collect();
    assert_eq!(
        entries,
        ["<S t=\"0\" d=\"180000\"/>", "<S t=\"180000\" d=\"180000\"/>", "<S t=\"360000\" d=\"180000\"/>"]
    );
    for part in [
        "type=\"dynamic\" availabilityStartTime=\"2026-09-21T14:13:20.123Z\"",
        "<Period id=\"0\" start=\"PT0.000S\">",
        "startNumber=\"100\" initialization=\"cam/video0-init-100.mp4?key=secret-key\" \
         media=\"cam/video0-$Number$.m4s?key=secret-key\" availabilityTimeOffset=\"1.500\" availabilityTimeComplete=\"false\"",
        "<Latency target=\"2000\"",
        "codecs=\"avc1.64000a\"",
    ] {
        assert!(written.contains(part), "{part} is not in {written}");
    }
}

#[test]
fn a_track_that_has_fallen_silent_has_no_next_segment() {
    let next_of = |sounds| {
        let renditions =
            [(TrackId::VIDEO, 10), (TrackId::AUDIO, sounds)].map(|(id, count)| rendition(id, count, 4, None));
        let written = of(&renditions, &[epoch(0)], false);
        written.matches("<S ").count() as u64 - 10 - sounds
    };
    assert_eq!((next_of(10), next_of(9)), (2, 2), "one is a segment behind");
    assert_eq!((next_of(8), next_of(3)), (1, 1), "nobody waits for what does not come");
}

#[test]
fn an_interruption_begins_a_period_at_the_time_of_day_it_ended() {
    let renditions = [TrackId::VIDEO, TrackId::AUDIO].map(|id| rendition(id, 10, 4, Some(7)));
    let written = of(&renditions, &[epoch(0), epoch(1)], false);
    let second = written.split_once("<Period id=\"1\" start=\"PT20.000S\">").unwrap().1;
    assert!(second.contains("presentationTimeOffset=\"1260000\" startNumber=\"107\""), "{second}");
    // With the one that is about to begin.
    assert_eq!((written.matches("<S ").count(), second.matches("<S ").count()), (22, 8));
    assert!(
        second.contains("<S t=\"1620000\" d=\"180000\"/>\n<S t=\"1800000\" d=\"180000\"/>\n</Seg"),
        "{second}"
    );
    assert!(!of(&renditions[..1], &[epoch(3)], false).contains("<Period"), "nothing is left of this one");
}

#[test]
fn an_ended_stream_is_static_and_has_a_length() {
    let written = of(&[rendition(TrackId::AUDIO, 3, 4, None)], &[epoch(0)], true);
    assert!(written.contains("type=\"static\" mediaPresentationDuration=\"PT6.000S\""), "{written}");
    for live in ["minimumUpdatePeriod", "UTCTiming", "availabilityTimeOffset", "Latency"] {
        assert!(!written.contains(live), "{live}");
    }
}

#[test]
fn a_manifest_begins_after_a_segment_that_was_lost() {
    let now = UNIX_EPOCH + Duration::from_secs(1_790_000_100);
    let (renditions, epochs, terms) = ([with_a_loss()], [epoch(0)], terms(""));
    let content =
        Content { renditions: &renditions, epochs: &epochs, terms: &terms, ended: false, rungs: &[] };
    let written = manifest(content, "cam/", now, Span::Rewind);
    assert!(written.contains(" startNumber=\"103\"") && written.matches("<S ").count() == 4, "{written}");
}

fn offer(rung: &str, mime: &str, height: u32) -> Offer {
    Offer {
        name: crate::config::parse_channel(&format!("live/cam~{rung}")).unwrap(),
        rung: rung.to_owned(),
        codec: engine::encode::Codec::H264,
        width: height * 16 / 9,
        height,
        fps: Some(30.0),
        bits_per_second: 1_000_000,
        mime: mime.to_owned(),
        sound: None,
    }
}

#[test]
fn rungs_have_the_timeline_of_their_stream_and_names_of_their_own() {
    let rungs = [
        offer("720p", "avc1.64001f", 720),
        offer("480p", "avc1.64001e", 480),
        offer("av1", "av01.0.04M.08", 480),
    ];
    let (renditions, epochs) =
        ([TrackId::VIDEO, TrackId::AUDIO].map(|id| rendition(id, 3, 4, None)), [epoch(0)]);
    let terms = terms("?key=secret-key");
    let content =
        Content { renditions: &renditions, epochs: &epochs, terms: &terms, ended: false, rungs: &rungs };
    let written = manifest(content, "cam/", UNIX_EPOCH, Span::Live);
    let sets: Vec<_> = written.split("<AdaptationSet ").skip(1).collect();
    let representations = |set: &str| set.matches("<Representation ").count();
    // Pictures, those of another codec, and the sound.
    assert_eq!(sets.iter().map(|set| representations(set)).collect::<Vec<_>>(), [3, 1, 1], "{written}");
    let ids: Vec<_> = sets.iter().filter_map(|set| set.strip_prefix("id=\"")?.split('"').next()).collect();
    assert_eq!(ids, ["0", "2", "1"]);
    for (set, other) in [(0, 2), (1, 0)] {
        let switching = format!("adaptation-set-switching:2016\" value=\"{other}\"");
        assert!(sets[set].contains(&switching), "{}", sets[set]);
    }
    assert!(!sets[2].contains("switching"), "{}", sets[2]);
    let timelines: Vec<_> = sets[0].split("<SegmentTimeline>").skip(1).collect();
    let entries = |timeline: &str| timeline.split("</SegmentTimeline>").next().unwrap().to_owned();
    assert!(timelines.iter().all(|timeline| entries(timeline) == entries(timelines[0])));
    for part in [
        "<Representation id=\"480p\" bandwidth=\"1000000\" codecs=\"avc1.64001e\" width=\"853\" height=\"480\" frameRate=\"30000/1000\">",
        "startNumber=\"100\" initialization=\"cam~480p/video0-init-of-100.mp4?key=secret-key\" \
         media=\"cam~480p/video0-of-$Number$.m4s?key=secret-key\" availabilityTimeOffset",
    ] {
        assert!(sets[0].contains(part), "{part} is not in {}", sets[0]);
    }
}
