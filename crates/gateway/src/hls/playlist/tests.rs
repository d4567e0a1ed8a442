use super::*;
use crate::hls::window::{Init, Keep, NewSegment, Part};
use media::container::fmp4;
use media::{Codec, Time};
use std::time::UNIX_EPOCH;

const SPS: &[u8] = &[
    0x01, 0x64, 0x00, 0x0a, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64, 0x00, 0x0a, 0xac, 0x72, 0x84, 0x44, 0x26,
    0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xca, 0x3c, 0x48, 0x96, 0x11, 0x80, 0x01,
    0x00, 0x07, 0x68, 0xe8, 0x43, 0x8f, 0x13, 0x21, 0x30,
];

fn init(id: TrackId, number: u64) -> Init {
    let (codec, config): (_, &[u8]) = match id.kind {
        Kind::Audio => (Codec::Aac, &[0x12, 0x10]),
        _ => (Codec::H264, SPS),
    };
    let track = fmp4::Track::new(1, id, codec, config, &[]).unwrap();
    Init { number, bytes: "init".into(), track }
}

/// `count` segments of two seconds in parts of half a second, the last one with `parts` only.
pub(in crate::hls) fn rendition(
    id: TrackId,
    count: u64,
    parts: usize,
    discontinuity_at: Option<u64>,
) -> Rendition {
    let mut rendition = Rendition::new(id, 100);
    let keep = Keep { listed: Duration::from_secs(600), bytes_max: usize::MAX };
    for number in 0..count {
        let parts = if number + 1 == count { parts } else { 4 };
        for part in 0..parts {
            let is_interrupted = discontinuity_at.is_some_and(|at| number >= at);
            let new = (part == 0).then(|| NewSegment {
                init: (number == 0 || discontinuity_at == Some(number)).then(|| init(id, 100 + number)),
                number: 100 + number,
                start: Time::from_millis(2000 * number as i64),
                date: UNIX_EPOCH + Duration::from_millis(1_790_000_000_123 + 2000 * number),
                discontinuities: u64::from(is_interrupted),
            });
            let bytes = vec![0; if id.kind == Kind::Video { 25_000 } else { 5_000 }].into();
            let part =
                Part { bytes, duration: Duration::from_millis(500), frames: 15, independent: part == 0 };
            let closes =
                parts == 4 && new.is_none() && rendition.segments.back().is_some_and(|s| s.parts.len() == 3);
            rendition.append(new, part, closes, keep);
        }
    }
    rendition
}

pub(in crate::hls) fn terms(query: &str) -> Terms {
    let (target, part_target) = (Duration::from_secs(2), Duration::from_millis(500));
    Terms { target, part_target, keys: None, query: query.into() }
}

fn media_of(rendition: &Rendition, skip: bool) -> String {
    media(
        rendition,
        [(TrackId::AUDIO, Edge { segment: 104, parts: 3, closed: false, ended: false })].into_iter(),
        &terms(""),
        skip,
        Span::Live,
    )
}

#[test]
fn a_playlist_lists_segments_and_the_parts_near_the_edge() {
    let written = media_of(&rendition(TrackId::VIDEO, 6, 2, None), false);
    let expected = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=2.000,HOLD-BACK=6.0
#EXT-X-PART-INF:PART-TARGET=0.500
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"video0-init-100.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:20.123Z
#EXTINF:2.00000,
video0-100.m4s
";
    assert!(written.starts_with(expected), "{written}");
    assert!(!written.contains("video0-101.0.m4s") && written.contains("video0-102.0.m4s"), "{written}");
    let end = "#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:30.123Z
#EXT-X-PART:DURATION=0.50000,URI=\"video0-105.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.50000,URI=\"video0-105.1.m4s\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"video0-105.2.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"audio0.m3u8\",LAST-MSN=104,LAST-PART=2
";
    assert!(written.ends_with(end), "{written}");
}

#[test]
fn the_part_after_a_complete_segment_is_the_first_of_the_next() {
    let written = media_of(&rendition(TrackId::VIDEO, 3, 4, None), false);
    assert!(written.contains("TYPE=PART,URI=\"video0-103.0.m4s\""), "{written}");
}

#[test]
fn a_delta_update_leaves_out_what_lies_before_the_skip_boundary() {
    let rendition = rendition(TrackId::VIDEO, 10, 4, None);
    let (full, delta) = (media_of(&rendition, false), media_of(&rendition, true));
    assert!(full.contains("CAN-SKIP-UNTIL=12.0") && !full.contains("SKIPPED"));
    assert!(delta.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=4\n"), "{delta}");
    assert!(delta.contains("#EXT-X-MEDIA-SEQUENCE:100\n") && !delta.contains("#EXT-X-MAP"), "{delta}");
    assert!(!delta.contains("video0-103.m4s") && delta.contains("video0-104.m4s"), "{delta}");
    let tail = |text: &str| text.split_once("video0-104.m4s").unwrap().1.to_owned();
    assert_eq!(tail(&full), tail(&delta));
}

#[test]
fn a_short_playlist_has_no_delta_updates() {
    let rendition = rendition(TrackId::VIDEO, 6, 4, None);
    assert_eq!(media_of(&rendition, true), media_of(&rendition, false));
    assert!(!media_of(&rendition, false).contains("CAN-SKIP-UNTIL"));
}

#[test]
fn an_interruption_is_told_with_the_new_initialization_also_in_a_delta_update() {
    for (at, skipped) in [(2, true), (7, false)] {
        let rendition = rendition(TrackId::VIDEO, 10, 4, Some(at));
        let (full, delta) = (media_of(&rendition, false), media_of(&rendition, true));
        let told = format!("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"video0-init-{}.mp4\"\n", 100 + at);
        assert_eq!((full.contains(&told), delta.contains(&told)), (true, !skipped));
        assert!(full.contains("#EXT-X-DISCONTINUITY-SEQUENCE:0\n"));
    }
}

#[test]
fn an_ended_playlist_says_so_and_promises_nothing() {
    let mut rendition = rendition(TrackId::VIDEO, 4, 4, None);
    rendition.end();
    let written = media_of(&rendition, false);
    assert!(written.ends_with("video0-103.m4s\n#EXT-X-ENDLIST\n"), "{written}");
    assert!(!written.contains("PRELOAD-HINT") && !written.contains("RENDITION-REPORT"));
}

#[test]
fn the_multivariant_playlist_describes_each_video_with_each_kind_of_sound() {
    let renditions = [TrackId::VIDEO, TrackId::AUDIO, TrackId::audio(1)].map(|id| rendition(id, 4, 4, None));
    let written = multivariant(&renditions, "cam/", &terms("?key=secret-key"), Span::Live, &[]);
    let expected = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound0\",NAME=\"audio0\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"cam/audio0.m3u8?key=secret-key\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound0\",NAME=\"audio1\",DEFAULT=NO,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"cam/audio1.m3u8?key=secret-key\"
#EXT-X-STREAM-INF:BANDWIDTH=480000,AVERAGE-BANDWIDTH=480000,CODECS=\"avc1.64000a,mp4a.40.2\"";
    assert!(written.starts_with(expected), "{written}");
    assert!(written.ends_with(",AUDIO=\"sound0\"\ncam/video0.m3u8?key=secret-key\n"), "{written}");
    assert!(written.contains(",RESOLUTION=") && written.contains(",FRAME-RATE="), "{written}");
}

#[test]
fn rungs_follow_the_stream_and_have_its_sound() {
    let rung = Offer {
        name: crate::config::parse_channel("live/cam~480p").unwrap(),
        rung: "480p".to_owned(),
        codec: engine::encode::Codec::H264,
        width: 854,
        height: 480,
        fps: Some(30.0),
        bits_per_second: 1_200_000,
        mime: "avc1.64001f".to_owned(),
        sound: None,
    };
    let renditions = [TrackId::VIDEO, TrackId::AUDIO].map(|id| rendition(id, 4, 4, None));
    let written =
        multivariant(&renditions, "cam/", &terms("?key=k"), Span::Live, std::slice::from_ref(&rung));
    let expected = "\ncam/video0.m3u8?key=k
#EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=854x480,FRAME-RATE=30.000,AUDIO=\"sound0\"
cam~480p/video0.m3u8?key=k\n";
    assert!(written.ends_with(expected), "{written}");
    let sound = engine::sound::Config { codec: engine::sound::Codec::Opus, bitrate_bps: 96_000, channels: 2 };
    let own = Offer { sound: Some(sound), ..rung };
    let written = multivariant(&renditions, "cam/", &terms("?key=k"), Span::Live, &[own]);
    let expected = "\ncam/video0.m3u8?key=k
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound1\",NAME=\"audio0\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"cam~480p/audio0.m3u8?key=k\"
#EXT-X-STREAM-INF:BANDWIDTH=1296000,CODECS=\"avc1.64001f,opus\",RESOLUTION=854x480,FRAME-RATE=30.000,AUDIO=\"sound1\"
cam~480p/video0.m3u8?key=k\n";
    assert!(written.ends_with(expected), "it has sound of its own: {written}");
}

#[test]
fn sound_alone_is_a_variant_of_its_own() {
    let written = multivariant(&[rendition(TrackId::AUDIO, 2, 2, None)], "cam/", &terms(""), Span::Live, &[]);
    assert!(written.ends_with("CODECS=\"mp4a.40.2\"\ncam/audio0.m3u8\n"), "{written}");
    assert!(!written.contains("EXT-X-MEDIA:"));
}

#[test]
fn each_interruption_has_a_tag_also_where_a_track_was_away_for_two() {
    let mut rendition = rendition(TrackId::VIDEO, 3, 4, Some(1));
    rendition.segments[2].discontinuities = 3;
    let written = media(&rendition, [].into_iter(), &terms(""), false, Span::Live);
    let before = |name: &str| written.split(name).next().unwrap().matches("#EXT-X-DISCONTINUITY\n").count();
    let segments = ["video0-100.m4s", "video0-101.m4s", "video0-102.m4s"];
    assert_eq!(segments.map(before), [0, 1, 3], "{written}");
}

#[test]
fn encrypted_segments_have_their_keys_and_initialization_sections_have_none() {
    let keys = Keys::new(&[7; 32], &crate::config::parse_channel("live/cam").unwrap(), 2);
    let terms = Terms { keys: Some(keys.clone()), ..terms("?key=x") };
    let written = media(&rendition(TrackId::VIDEO, 4, 4, Some(3)), [].into_iter(), &terms, false, Span::Live);
    let tags: Vec<&str> = written
        .lines()
        .filter(|line| {
            line.starts_with("#EXT-X-KEY") || line.starts_with("#EXT-X-MAP") || !line.starts_with('#')
        })
        .collect();
    let (key50, key51) = (keys.tag(50, "?key=x"), keys.tag(51, "?key=x"));
    let map = |number| format!("#EXT-X-MAP:URI=\"video0-init-{number}.mp4?key=x\"");
    let segment = |number| format!("video0-{number}.m4s?key=x");
    let expected = [
        map(100),
        key50,
        segment(100),
        segment(101),
        key51.clone(),
        segment(102),
        "#EXT-X-KEY:METHOD=NONE".to_owned(),
        map(103),
        key51,
        segment(103),
    ];
    assert_eq!(tags, expected, "{written}");
}

/// Segments of a second, of which the disk had no room for number 102 and memory has the last two.
pub(in crate::hls) fn with_a_loss() -> Rendition {
    let mut config = crate::Config::default();
    (config.timeshift.minutes, config.timeshift.queue_bytes_max) = (1, 20_000);
    let timeshift = crate::timeshift::Timeshift::new(&config, crate::metrics::Metrics::new());
    let mut rendition = Rendition::new(TrackId::VIDEO, 100);
    rendition.keep_on(crate::timeshift::Shelf::new(timeshift.into()));
    let keep = Keep { listed: Duration::ZERO, bytes_max: 0 };
    for number in 0..6 {
        let new = NewSegment {
            init: (number == 0).then(|| init(TrackId::VIDEO, 100)),
            number: 100 + number,
            start: Time::from_millis(1000 * number as i64),
            date: UNIX_EPOCH + Duration::from_millis(1_790_000_000_000 + 1000 * number),
            discontinuities: 0,
        };
        let bytes = vec![0; if number == 2 { 30_000 } else { 1_000 }].into();
        let part = Part { bytes, duration: Duration::from_secs(1), frames: 30, independent: true };
        rendition.append(Some(new), part, true, keep);
    }
    rendition
}

#[test]
fn a_segment_that_was_lost_is_a_gap_and_no_delta_update_leaves_it_out() {
    let rendition = with_a_loss();
    let written = media(&rendition, std::iter::empty(), &terms(""), false, Span::Rewind);
    let segments: Vec<_> =
        written.lines().filter(|line| line.contains("GAP") || !line.starts_with('#')).collect();
    assert_eq!(
        segments,
        [
            "video0-100.m4s",
            "video0-101.m4s",
            "#EXT-X-GAP",
            "video0-102.m4s",
            "video0-103.m4s",
            "video0-104.m4s",
            "video0-105.m4s"
        ]
    );
    assert!(written.contains("#EXT-X-GAP\n#EXTINF:1.00000,\nvideo0-102.m4s\n"), "{written}");
    let mut short = terms("");
    short.target = Duration::from_millis(250);
    let delta = media(&rendition, std::iter::empty(), &short, true, Span::Rewind);
    assert!(delta.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n") && delta.contains("#EXT-X-GAP\n"), "{delta}");
    let live = media(&rendition, std::iter::empty(), &terms(""), false, Span::Live);
    assert!(!live.contains("GAP"), "{live}");
}
