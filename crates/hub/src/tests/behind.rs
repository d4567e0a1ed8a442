use crate::testing::packet::{audio, config, key, video};
use crate::testing::{Rest, Rig, short};
use crate::{BatchLimits, Config, Feedback, ReadOptions};
use media::TrackId;
use std::task::{Context, Poll};
use std::time::Duration;

fn gop(from: i64) -> Vec<media::Packet> {
    (0..50).map(|i| if i == 0 { key(from) } else { video(from + i * 40) }).collect()
}

#[test]
fn reader_behind_log_skips_to_next_keyframe() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c")]);
    rig.write(&mut publisher, gop(0));
    let mut reader = rig.read();
    assert_eq!(rig.drain(&mut reader).0.len(), 51);
    (1..6).for_each(|i| rig.write(&mut publisher, gop(i * 2000)));
    let got = rig.got(&mut reader);
    assert!(got.starts_with("K10000 V10040"), "nothing changed, so nothing is repeated: {got}");
    let stats = reader.stats();
    assert_eq!((stats.packets_skipped, stats.gops_skipped), (200, 5));
    let status = rig.origin.stream(&rig.name).unwrap();
    assert_eq!((status.counters.skips, status.counters.packets_skipped), (1, 200));
    let waker = rig.waker.waker();
    let told = publisher.poll_feedback(&mut Context::from_waker(&waker));
    assert_eq!(told, Poll::Ready(Feedback::Starved));
}

#[test]
fn reader_that_lags_too_far_skips_whole_gops_though_the_log_holds_them() {
    let rig = Rig::new(Config { retain: Duration::from_secs(60), ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gop(0));
    let mut reader = rig.read();
    let one = BatchLimits { packets_max: 1, ..BatchLimits::default() };
    assert_eq!(short(&rig.poll(&mut reader, one).1), "K0");
    (1..4).for_each(|i| rig.write(&mut publisher, gop(i * 2000)));
    assert_eq!(short(&rig.poll(&mut reader, one).1), "V40", "2 s behind when it joined, 8 s now");
    (4..6).for_each(|i| rig.write(&mut publisher, gop(i * 2000)));
    assert_eq!(short(&rig.poll(&mut reader, one).1), "K10000");
    assert_eq!(reader.stats().packets_skipped, 248);
}

#[test]
fn reader_within_its_lag_skips_nothing() {
    let rig = Rig::new(Config { retain: Duration::from_secs(60), ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gop(0));
    let mut reader = rig.read();
    rig.drain(&mut reader);
    (1..4).for_each(|i| rig.write(&mut publisher, gop(i * 2000)));
    assert_eq!(rig.drain(&mut reader).0.len(), 150);
    assert_eq!(reader.stats().packets_skipped, 0);
}

#[test]
fn reader_that_joined_far_behind_may_lag_that_much_more() {
    let mut rig = Rig::new(Config { retain: Duration::from_secs(60), ..Config::default() });
    let mut publisher = rig.publish();
    (0..10).for_each(|i| rig.write(&mut publisher, gop(i * 2000)));
    let start = crate::Start::Behind(Duration::from_secs(15));
    let mut reader = rig.read_with(ReadOptions { start, ..ReadOptions::default() });
    assert!(rig.got(&mut reader).starts_with("K4000"));
    rig.write(&mut publisher, gop(20_000));
    rig.pass(500);
    rig.drain(&mut reader);
    assert_eq!(reader.stats().packets_skipped, 0);
}

#[test]
fn reader_that_has_caught_up_may_lag_no_more_than_others() {
    let rig = Rig::new(Config { retain: Duration::from_secs(60), ..Config::default() });
    let mut publisher = rig.publish();
    (0..10).for_each(|i| rig.write(&mut publisher, gop(i * 2000)));
    let start = crate::Start::Behind(Duration::from_secs(15));
    let mut reader = rig.read_with(ReadOptions { start, pace: None, ..ReadOptions::default() });
    rig.drain(&mut reader);
    (10..15).for_each(|i| rig.write(&mut publisher, gop(i * 2000)));
    assert!(rig.got(&mut reader).starts_with("K28000"));
}

#[test]
fn reader_that_skips_gets_nothing_twice() {
    let rig = Rig::new(Config { retain: Duration::from_secs(60), ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0), audio(20_000), audio(20_020)]);
    let mut reader = rig.read();
    assert_eq!(rig.got(&mut reader), "K0 A20000 A20020");
    rig.write(&mut publisher, [audio(20_040), key(20_000), video(30_000)]);
    assert_eq!(rig.got(&mut reader), "K20000 A20040 V30000");
}

#[test]
fn configuration_that_changed_meanwhile_is_sent_again() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"old"), config(TrackId::AUDIO, b"asc")]);
    rig.write(&mut publisher, gop(0));
    let mut reader = rig.read();
    rig.drain(&mut reader);
    (1..4).for_each(|i| rig.write(&mut publisher, gop(i * 2000)));
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"new")]);
    (4..6).for_each(|i| rig.write(&mut publisher, gop(i * 2000)));
    assert!(rig.got(&mut reader).starts_with("[new] [asc] K10000"));
}

#[test]
fn reader_of_audio_that_is_behind_skips_to_the_newest_part() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::AUDIO, b"asc")]);
    rig.write(&mut publisher, (0..100).map(|i| audio(i * 20)));
    let mut reader = rig.read();
    assert_eq!(rig.got(&mut reader), "[asc] A1980");
    rig.write(&mut publisher, (100..1000).map(|i| audio(i * 20)));
    assert_eq!(rig.got(&mut reader), "A19980");
    assert_eq!(reader.stats().packets_skipped, 899);
    assert_eq!(reader.stats().gops_skipped, 0);
}

#[test]
fn reader_that_fell_out_of_an_endless_gop_waits_for_the_next_keyframe() {
    let rig = Rig::new(Config { log_packets_max: 20, ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gop(0)[..10].to_vec());
    let mut reader = rig.read();
    rig.drain(&mut reader);
    rig.write(&mut publisher, gop(0)[10..].to_vec());
    assert_eq!(rig.drain(&mut reader).1, Rest::Pending);
    rig.write(&mut publisher, [video(2000), key(2040), video(2080)]);
    assert_eq!(rig.got(&mut reader), "K2040 V2080");
    assert_eq!(reader.stats().packets_skipped, 41);
}

#[test]
fn reader_that_was_stuck_in_the_opening_when_the_log_moved_on_skips() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c")]);
    rig.write(&mut publisher, gop(0));
    let mut reader = rig.read();
    let one = BatchLimits { packets_max: 1, ..BatchLimits::default() };
    assert_eq!(short(&rig.poll(&mut reader, one).1), "[c]");
    (1..6).for_each(|i| rig.write(&mut publisher, gop(i * 2000)));
    assert_eq!(short(&rig.poll(&mut reader, one).1), "K0", "held by the reader itself");
    assert_eq!(short(&rig.poll(&mut reader, one).1), "K10000");
}

#[test]
fn log_keeps_within_its_bounds() {
    let config = Config { log_bytes_max: 10_000, log_packets_max: 40, ..Config::default() };
    let rig = Rig::new(config);
    let mut publisher = rig.publish();
    for i in 0..1000 {
        rig.write(&mut publisher, [if i % 7 == 0 { key(i * 10) } else { video(i * 10) }, audio(i * 10)]);
        let log = rig.origin.stream(&rig.name).unwrap().log;
        assert!(log.bytes <= 10_000 && log.packets <= 40, "{log:?}");
    }
}

#[test]
fn log_holds_the_gop_that_was_current_when_the_retained_time_began() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    (0..10).for_each(|i| rig.write(&mut publisher, gop(i * 2000)));
    let log = rig.origin.stream(&rig.name).unwrap().log;
    assert_eq!((log.keyframes, log.packets), (2, 100), "3 s before 19.96 s is in the GOP of 16 s");
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    rig.write(&mut publisher, (1..1000).map(|i| video(i * 40)));
    assert_eq!(rig.origin.stream(&rig.name).unwrap().log.packets, 1000, "the current GOP, however long");
}

#[test]
fn log_without_keyframes_is_bounded_by_time() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, (0..1000).map(|i| audio(i * 20)));
    assert_eq!(rig.origin.stream(&rig.name).unwrap().log.packets, 151);
}

#[test]
fn tracks_whose_clocks_differ_do_not_make_a_reader_lag() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(20_000), audio(0), video(20_040), audio(20)]);
    let mut reader = rig.read();
    rig.drain(&mut reader);
    rig.write(&mut publisher, [audio(40), video(20_080), key(20_120), audio(60), video(20_160)]);
    assert_eq!(rig.got(&mut reader), "V20080 K20120 V20160", "the audio would be heard 20 s before");
    assert_eq!(reader.stats().packets_skipped, 0);
}

#[test]
fn lag_is_told_as_of_the_last_poll() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, gop(0));
    let mut reader = rig.read();
    drop(rig.poll(&mut reader, BatchLimits { packets_max: 1, ..BatchLimits::default() }));
    assert_eq!(reader.stats().lag, Duration::from_millis(1920));
    rig.drain(&mut reader);
    assert_eq!(reader.stats().lag, Duration::ZERO);
}
