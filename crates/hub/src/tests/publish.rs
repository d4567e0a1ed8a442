use crate::testing::packet::{audio, config, frame, kept, key, video};
use crate::testing::{Rig, ms, short};
use crate::{BatchLimits, Config, Feedback, Limits, WriteError};
use bytes::Bytes;
use media::{Codec, Packet, Role, TrackId};
use std::task::{Context, Poll};
use std::time::Duration;

#[test]
fn video_before_the_first_keyframe_is_dropped_and_one_is_asked_for() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    let end = Packet { role: Role::End, ..video(60) };
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c"), audio(0), video(20), video(40), end, key(80)]);
    assert_eq!(rig.origin.stream(&rig.name).unwrap().counters.before_keyframe, 3);
    assert_eq!(rig.got(&mut rig.read()), "[c] K80");
    let waker = rig.waker.waker();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(publisher.poll_feedback(&mut cx), Poll::Ready(Feedback::KeyframeWanted));
    assert_eq!(publisher.poll_feedback(&mut cx), Poll::Pending, "told once, however often it was raised");
}

#[test]
fn each_video_track_opens_on_its_own_keyframe() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    let low = TrackId::video(1);
    rig.write(
        &mut publisher,
        [key(0), frame(low, 0, false), video(40), frame(low, 40, true), frame(low, 80, false)],
    );
    assert_eq!(rig.got(&mut rig.read()), "K0 V40 K/1:40 V/1:80");
}

#[test]
fn audio_and_data_pass_before_any_keyframe() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    let message = Packet { codec: Codec::Amf, ..kept(TrackId::DATA, Role::Message, b"cue") };
    rig.write(&mut publisher, [audio(0), message, audio(1000)]);
    assert_eq!(rig.origin.stream(&rig.name).unwrap().log.packets, 3);
}

#[test]
fn small_step_back_in_time_is_raised_and_counted() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    let late = Packet { pts: ms(150), ..video(70) };
    rig.write(&mut publisher, [key(0), video(100), late, video(140)]);
    let (got, _) = rig.drain(&mut rig.read());
    assert_eq!(short(&got), "K0 V100 V100 V140");
    assert_eq!(got[2].packet.pts, ms(180), "as far from its decoding time as before");
    assert_eq!(rig.origin.stream(&rig.name).unwrap().counters.clamped, 1);
}

#[test]
fn source_that_starts_its_clock_anew_goes_on_for_readers() {
    let mut rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(10_000), audio(10_010)]);
    let mut reader = rig.read();
    rig.got(&mut reader);
    rig.pass(500);
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c"), key(0), audio(15), video(40)]);
    assert_eq!(rig.got(&mut reader), "[c] K10510 A10525 V10550");
    assert_eq!(rig.origin.stream(&rig.name).unwrap().counters.rebased, 1);
}

#[test]
fn packet_beyond_the_limit_is_refused_and_the_next_is_taken() {
    let limits = Limits { packet_bytes_max: 2000, ..Limits::default() };
    let rig = Rig::new(Config { limits, ..Config::default() });
    let mut publisher = rig.publish();
    let large = Packet { payload: Bytes::from(vec![0; 2001]), ..key(0) };
    assert_eq!(publisher.write(large, rig.now), Err(WriteError::TooLarge));
    assert_eq!(publisher.write(key(40), rig.now), Ok(()));
}

#[test]
fn track_beyond_the_limit_is_refused_and_the_others_go_on() {
    let limits = Limits { tracks_max: 2, ..Limits::default() };
    let rig = Rig::new(Config { limits, ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0), audio(0)]);
    let third = frame(TrackId::audio(1), 0, false);
    assert_eq!(publisher.write(third.clone(), rig.now), Err(WriteError::TooManyTracks));
    rig.write(&mut publisher, [video(40)]);
    drop(publisher);
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [third, key(0)]);
    let tracks = rig.origin.stream(&rig.name).unwrap().tracks;
    let ids: Vec<_> = tracks.iter().map(|track| track.id).collect();
    assert_eq!(ids, [TrackId::VIDEO, TrackId::audio(1)], "places of the publisher before are free again");
}

#[test]
fn kept_packet_that_is_too_large_is_passed_on_but_not_kept() {
    let limits = Limits { kept_bytes_max: 10, ..Limits::default() };
    let rig = Rig::new(Config { limits, ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c"), key(0)]);
    let mut reader = rig.read();
    rig.got(&mut reader);
    rig.write(&mut publisher, [kept(TrackId::DATA, Role::StreamMetadata, b"much too long"), key(40)]);
    assert_eq!(rig.got(&mut reader), "[much too long] K40");
    assert_eq!(rig.got(&mut rig.read()), "[c] K40");
    assert_eq!(rig.origin.stream(&rig.name).unwrap().counters.unkept, 1);
}

#[test]
fn packets_of_one_batch_are_shown_together() {
    let mut rig = Rig::new(Config { batch: Duration::from_millis(20), ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    let mut reader = rig.read();
    rig.got(&mut reader);
    publisher.flush();
    let wakes = rig.waker.wakes();
    assert_eq!(publisher.flush_at(), None);
    rig.write(&mut publisher, [video(40)]);
    let due = rig.now + Duration::from_millis(20);
    assert_eq!(publisher.flush_at(), Some(due));
    rig.pass(10);
    rig.write(&mut publisher, [audio(50)]);
    assert_eq!(publisher.flush_at(), Some(due), "counted from the first");
    assert_eq!((rig.got(&mut reader), rig.waker.wakes()), (String::new(), wakes));
    publisher.flush();
    assert_eq!(rig.waker.wakes(), wakes + 1);
    assert_eq!(rig.got(&mut reader), "V40 A50");
    publisher.flush();
    rig.write(&mut publisher, [video(80)]);
    rig.pass(20);
    rig.write(&mut publisher, [video(120)]);
    assert_eq!(publisher.flush_at(), None, "a write after the deadline shows all");
    assert_eq!(rig.got(&mut reader), "V80 V120");
}

#[test]
fn batch_is_shown_early_when_it_is_large() {
    let rig = Rig::new(Config { batch: Duration::from_secs(1), ..Config::default() });
    let mut publisher = rig.publish();
    let large = |dts| Packet { payload: Bytes::from(vec![0; 140_000]), ..key(dts) };
    rig.write(&mut publisher, [large(0)]);
    assert!(publisher.flush_at().is_some());
    rig.write(&mut publisher, [large(40)]);
    assert!(publisher.flush_at().is_none());
}

#[test]
fn reader_that_catches_up_is_not_held_back_by_batching() {
    let rig = Rig::new(Config { batch: Duration::from_millis(20), ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0), video(40), video(80)]);
    publisher.flush();
    rig.write(&mut publisher, [video(120)]);
    let mut reader = rig.read();
    let two = BatchLimits { packets_max: 2, ..BatchLimits::default() };
    assert_eq!(short(&rig.poll(&mut reader, two).1), "K0 V40");
    assert_eq!(short(&rig.poll(&mut reader, two).1), "V80 V120");
}

const META: &[u8] = b"\x02\0\x0aonMetaData";

#[test]
fn status_tells_what_there_is() {
    let mut rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    let started = rig.now;
    rig.write(
        &mut publisher,
        [kept(TrackId::DATA, Role::StreamMetadata, META), config(TrackId::AUDIO, b"asc")],
    );
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"avcC")]);
    for i in 0..100 {
        rig.write(&mut publisher, [if i % 25 == 0 { key(i * 40) } else { video(i * 40) }, audio(i * 40)]);
        rig.pass(40);
    }
    let _reader = rig.read();
    let status = rig.origin.stream(&rig.name).unwrap();
    assert!(status.live);
    assert_eq!((status.started, status.publishers, status.standby, status.readers), (Some(started), 1, 0, 1));
    let tracks: Vec<_> =
        status.tracks.iter().map(|track| (track.id, track.codec, track.config.as_deref())).collect();
    assert_eq!(
        tracks,
        [
            (TrackId::VIDEO, Codec::H264, Some(&b"avcC"[..])),
            (TrackId::AUDIO, Codec::Aac, Some(&b"asc"[..])),
            (TrackId::DATA, Codec::Aac, None)
        ]
    );
    assert_eq!(status.metadata.as_deref(), Some(META));
    assert!((status.frames_per_second - 25.0).abs() < 0.1);
    assert_eq!(status.gop, Some(Duration::from_secs(1)));
    assert_eq!(status.last_dts, Some(ms(3960)));
    // A second has 25 audio frames of 100 bytes, 24 pictures of 100 and one of 1000.
    assert!((46_000..50_000).contains(&status.bits_per_second), "{}", status.bits_per_second);
    assert_eq!((status.counters.packets, status.counters.sessions, status.counters.joins), (203, 1, 1));
    assert_eq!(rig.origin.streams().len(), 1);
}

fn data(role: Role, name: &str, dts: i64) -> Packet {
    let payload = [&[2, 0, name.len() as u8], name.as_bytes()].concat();
    Packet { dts: ms(dts), pts: ms(dts), ..kept(TrackId::DATA, role, &payload) }
}

#[test]
fn metadata_reach_late_joiners_until_they_are_cleared_and_messages_do_not() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    let mut early = rig.read();
    rig.write(
        &mut publisher,
        [data(Role::StreamMetadata, "set", 0), key(0), data(Role::Message, "once", 10)],
    );
    assert_eq!(rig.got(&mut early), "[\x02\0\x03set] K0 [\x02\0\x04once]");
    rig.write(&mut publisher, [key(40)]);
    assert_eq!(rig.got(&mut rig.read()), "[\x02\0\x03set] K40");
    rig.write(&mut publisher, [data(Role::ClearStreamMetadata, "set", 50), key(80)]);
    assert_eq!(rig.got(&mut rig.read()), "K80");
    assert_eq!(rig.got(&mut early), "K40 K80", "players are not told");
}
