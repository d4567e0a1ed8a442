use crate::testing::packet::{audio, config, key, video};
use crate::testing::{CountingWaker, Rest, Rig, ms, short};
use crate::{BatchLimits, Config, EndReason, Feedback, Next, ReadOptions, SeekError};
use media::{Packet, TrackId};
use std::task::{Context, Poll};
use std::time::Duration;

const ONE: BatchLimits = BatchLimits { packets_max: 1, bytes_max: usize::MAX };

/// A group of pictures of one second: a keyframe and 9 others, each with audio.
fn gop(from: i64) -> Vec<Packet> {
    let frame = |at: i64| if at == from { key(at) } else { video(at) };
    (0..10).flat_map(|i| [frame(from + i * 100), audio(from + i * 100)]).collect()
}

fn gops(numbers: std::ops::Range<i64>) -> Vec<Packet> {
    numbers.flat_map(|number| gop(number * 1000)).collect()
}

#[test]
fn reader_goes_on_where_it_was_paused() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gops(0..1));
    let mut reader = rig.read();
    assert!(rig.got(&mut reader).ends_with("V900 A900"));
    reader.pause();
    rig.write(&mut publisher, gops(1..3));
    assert_eq!(rig.got(&mut reader), "");
    reader.resume(rig.now);
    assert!(rig.got(&mut reader).starts_with("K1000 A1000 V1100"), "nothing is repeated or left out");
    assert_eq!(reader.stats().packets_skipped, 0);
}

#[test]
fn resumed_reader_is_as_far_behind_as_its_pause_was_long_and_may_stay_so() {
    let rig = Rig::new(Config { retain: Duration::from_secs(60), ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gops(0..1));
    let mut reader = rig.read();
    rig.drain(&mut reader);
    reader.pause();
    rig.write(&mut publisher, gops(1..30));
    reader.resume(rig.now);
    assert_eq!(short(&rig.poll(&mut reader, ONE).1), "K1000");
    rig.write(&mut publisher, gops(30..37));
    assert_eq!(short(&rig.poll(&mut reader, ONE).1), "A1000", "7 s more, which is less than it may lag");
    rig.write(&mut publisher, gops(37..39));
    assert_eq!(short(&rig.poll(&mut reader, ONE).1), "K38000");
}

#[test]
fn backlog_after_a_pause_is_paced() {
    let rig = Rig::new(Config { retain: Duration::from_secs(60), ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gops(0..3));
    let mut reader = rig.read_with(ReadOptions::default());
    rig.drain(&mut reader);
    reader.pause();
    rig.write(&mut publisher, gops(3..6));
    reader.resume(rig.now);
    let (got, rest) = rig.drain(&mut reader);
    assert!(short(&got).starts_with("V2600") && short(&got).ends_with("V3100 A3100"), "{}", short(&got));
    assert_eq!(rest, Rest::Later(Duration::from_millis(50)), "500 ms at once, the rest at twice the speed");
}

#[test]
fn reader_whose_position_has_left_the_log_goes_on_at_the_oldest_keyframe() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c")]);
    rig.write(&mut publisher, gops(0..1));
    let mut reader = rig.read();
    rig.drain(&mut reader);
    reader.pause();
    rig.write(&mut publisher, gops(1..20));
    reader.resume(rig.now);
    let got = rig.got(&mut reader);
    assert!(got.starts_with("[c] K16000 A16000 V16100"), "{got}");
    assert!(got.ends_with("V19900 A19900"));
    let stats = reader.stats();
    assert_eq!((stats.packets_skipped, stats.gops_skipped), (300, 16));
    assert_eq!(rig.origin.stream(&rig.name).unwrap().counters.skips, 1);
    let waker = rig.waker.waker();
    let told = publisher.poll_feedback(&mut Context::from_waker(&waker));
    assert_eq!(told, Poll::Pending, "a pause is not the publisher's concern: {:?}", Feedback::Starved);
}

#[test]
fn paused_reader_is_woken_by_the_end_alone() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gops(0..1));
    let mut reader = rig.read();
    rig.drain(&mut reader);
    reader.pause();
    let counter = CountingWaker::new();
    let waker = counter.waker();
    let mut poll = || {
        let (mut batch, limits) = (Vec::new(), BatchLimits::default());
        reader.poll_next(rig.now, &mut batch, limits, &mut Context::from_waker(&waker))
    };
    assert_eq!(poll(), Poll::Pending);
    rig.write(&mut publisher, gops(1..3));
    assert_eq!(counter.wakes(), 0);
    publisher.finish();
    assert_eq!(counter.wakes(), 1);
    assert_eq!(poll(), Poll::Ready(Next::Ended(EndReason::Finished)), "and the log is free to go");
}

#[test]
fn paused_reader_learns_that_the_publisher_did_not_come_back() {
    let mut rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gops(0..1));
    let mut reader = rig.read();
    rig.drain(&mut reader);
    reader.pause();
    assert_eq!(rig.drain(&mut reader).1, Rest::Pending);
    drop(publisher);
    let before = rig.waker.wakes();
    rig.pass(16_000);
    assert_eq!(rig.waker.wakes(), before + 1);
    assert_eq!(rig.drain(&mut reader).1, Rest::Ended(EndReason::PublisherLost));
}

#[test]
fn paused_reader_keeps_no_packet_alive() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c")]);
    rig.write(&mut publisher, gops(0..1));
    let mut reader = rig.read();
    assert_eq!(short(&rig.poll(&mut reader, ONE).1), "[c]");
    let before = rig.poll(&mut rig.read(), BatchLimits::default()).1;
    let keyframe = std::sync::Arc::downgrade(&before[1]);
    drop(before);
    reader.pause();
    rig.write(&mut publisher, gops(1..20));
    assert!(keyframe.upgrade().is_none());
}

#[test]
fn reader_paused_before_its_keyframe_begins_again_at_it() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c")]);
    rig.write(&mut publisher, gops(0..1));
    let mut reader = rig.read();
    assert_eq!(short(&rig.poll(&mut reader, ONE).1), "[c]");
    reader.pause();
    rig.write(&mut publisher, gops(1..3));
    reader.resume(rig.now);
    assert!(rig.got(&mut reader).starts_with("[c] K0 A0 V100"));
    assert_eq!(rig.origin.stream(&rig.name).unwrap().counters.skips, 0);
}

#[test]
fn reader_paused_after_its_keyframe_does_not_get_it_twice() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [audio(0), audio(20), key(0), video(40)]);
    let mut reader = rig.read();
    assert_eq!(short(&rig.poll(&mut reader, ONE).1), "K0");
    reader.pause();
    reader.resume(rig.now);
    assert_eq!(rig.got(&mut reader), "A0 A20 V40");
}

#[test]
fn seek_goes_to_the_keyframe_at_or_before_the_time() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c")]);
    rig.write(&mut publisher, gops(0..10));
    let mut reader = rig.read();
    assert!(rig.got(&mut reader).ends_with("A9900"));
    assert_eq!(reader.reach(rig.now), Some((ms(6000), ms(9900))));
    assert_eq!(reader.seek(ms(7450), rig.now), Ok(ms(7000)));
    let got = rig.got(&mut reader);
    assert!(got.starts_with("[c] K7000 A7000 V7100") && got.ends_with("V9900 A9900"), "{got}");
    assert_eq!(reader.seek(ms(8000), rig.now), Ok(ms(8000)));
    assert!(rig.got(&mut reader).starts_with("[c] K8000"));
    let stats = reader.stats();
    assert_eq!((stats.packets_skipped, stats.gops_skipped), (0, 0), "going there is no skip");
}

#[test]
fn seek_outside_the_log_says_what_is_inside_and_changes_nothing() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gops(0..10));
    let mut reader = rig.read();
    rig.drain(&mut reader);
    let outside = |nearest| Err(SeekError::Outside { first: ms(6000), last: ms(9900), nearest: ms(nearest) });
    assert_eq!(reader.seek(ms(5999), rig.now), outside(6000));
    assert_eq!(reader.seek(ms(9901), rig.now), outside(9900));
    rig.write(&mut publisher, gops(10..11));
    assert!(rig.got(&mut reader).starts_with("K10000"));
}

#[test]
fn seek_before_anything_was_played_finds_nothing() {
    let rig = Rig::new(Config::default());
    let mut reader = rig.read();
    assert_eq!(reader.seek(ms(0), rig.now), Err(SeekError::Nothing));
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gops(0..1));
    assert_eq!(reader.seek(ms(0), rig.now), Err(SeekError::Nothing));
    rig.drain(&mut reader);
    assert_eq!(reader.seek(ms(0), rig.now), Ok(ms(0)));
    publisher.finish();
    rig.drain(&mut reader);
    assert_eq!(reader.seek(ms(0), rig.now), Err(SeekError::Nothing), "the stream is over");
}

#[test]
fn seek_brings_the_configuration_of_its_time() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"old")]);
    rig.write(&mut publisher, gops(0..1));
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"new")]);
    rig.write(&mut publisher, gops(1..2));
    let mut reader = rig.read();
    assert!(rig.got(&mut reader).starts_with("[new] K1000"));
    reader.seek(ms(500), rig.now).unwrap();
    let got = rig.got(&mut reader);
    assert!(got.starts_with("[old] K0"), "{got}");
    assert!(got.contains("A900 [new] K1000"), "{got}");
}

#[test]
fn seek_while_paused_takes_effect_with_the_resume() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gops(0..3));
    let mut reader = rig.read();
    rig.drain(&mut reader);
    reader.pause();
    assert_eq!(reader.seek(ms(1000), rig.now), Ok(ms(1000)));
    assert_eq!(rig.got(&mut reader), "");
    reader.resume(rig.now);
    assert!(rig.got(&mut reader).starts_with("K1000"));
}

#[test]
fn keyframe_that_went_before_it_was_picked_is_replaced_by_the_oldest() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gops(0..3));
    let mut reader = rig.read();
    rig.drain(&mut reader);
    reader.seek(ms(0), rig.now).unwrap();
    rig.write(&mut publisher, gops(3..20));
    assert!(rig.got(&mut reader).starts_with("K16000"));
}

#[test]
fn sound_alone_can_be_sought_to_the_frame() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::AUDIO, b"asc")]);
    rig.write(&mut publisher, (0..200).map(|i| audio(i * 20)));
    let mut reader = rig.read();
    rig.drain(&mut reader);
    assert_eq!(reader.reach(rig.now), Some((ms(980), ms(3980))));
    assert_eq!(reader.seek(ms(2005), rig.now), Ok(ms(2020)));
    assert!(rig.got(&mut reader).starts_with("[asc] A2020 A2040"));
    reader.pause();
    rig.write(&mut publisher, (200..800).map(|i| audio(i * 20)));
    reader.resume(rig.now);
    assert!(rig.got(&mut reader).starts_with("[asc] A12980 A13000"));
}

#[test]
fn backlog_that_is_about_to_leave_the_log_is_not_held_back() {
    let mut rig = Rig::new(Config { retain: Duration::from_secs(3), ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gops(0..10));
    let mut reader = rig.read_with(ReadOptions::default());
    rig.drain(&mut reader);
    reader.seek(ms(6000), rig.now).unwrap();
    let (got, rest) = rig.drain(&mut reader);
    assert!(
        short(&got).ends_with("V6900 A6900"),
        "the oldest group whole, beyond the burst: {}",
        short(&got)
    );
    assert!(matches!(rest, Rest::Later(_)), "and the next ones at their pace");
    rig.pass(500);
    rig.write(&mut publisher, gops(10..11));
    assert!(rig.got(&mut reader).starts_with("K7000"));
    assert_eq!(reader.stats().packets_skipped, 0);
}
