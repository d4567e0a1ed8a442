use super::super::window::Part;
use super::*;

/// Adds a part of a second, in a new segment that begins at `start` seconds if one is given.
fn append(channel: &Channel, new: Option<(u64, u64, u64)>, closes: bool) {
    let new = new.map(|(number, start, discontinuities)| NewSegment {
        init: None,
        number,
        start: Time::ZERO + Duration::from_secs(start),
        date: SystemTime::UNIX_EPOCH,
        discontinuities,
    });
    let independent = new.is_some();
    let part = Part { bytes: "part".into(), duration: Duration::from_secs(1), frames: 30, independent };
    channel.append(Packed { track: TrackId::VIDEO, new, part, closes });
}

#[test]
fn a_rung_has_all_of_a_segment_when_the_last_of_several_is_complete() {
    let keep = Keep { listed: Duration::from_secs(60), bytes_max: usize::MAX };
    let name = StreamName::parse("live", "cam~240p").unwrap();
    let rung = Channel::new(name, keep, Instant::now());
    let end = Time::ZERO + Duration::from_secs(4);
    assert!(!rung.has_all(TrackId::VIDEO, end), "there is nothing");
    append(&rung, Some((7, 0, 0)), false);
    append(&rung, None, true);
    assert!(!rung.has_all(TrackId::VIDEO, end), "half of it is missing");
    append(&rung, Some((8, 2, 0)), false);
    assert_eq!(rung.within(TrackId::VIDEO, Time::ZERO, Some(end)), [7, 8]);
    assert!(!rung.has_all(TrackId::VIDEO, end), "the second one grows");
    append(&rung, None, true);
    assert!(rung.has_all(TrackId::VIDEO, end));
    assert!(!rung.has_begun_anew(TrackId::VIDEO, 1));
    append(&rung, Some((9, 9, 1)), false);
    assert!(rung.has_begun_anew(TrackId::VIDEO, 1) && rung.has_begun_anew(TrackId::VIDEO, 0));
}
