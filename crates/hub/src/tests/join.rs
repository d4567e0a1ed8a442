use crate::testing::packet::{audio, config, frame, kept, key, video};
use crate::testing::{Rest, Rig, ms, short};
use crate::{BatchLimits, Config, Feedback, Next, Publisher, ReadOptions, Start};
use media::{Packet, Role, TrackId};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

fn unpaced() -> ReadOptions {
    ReadOptions { pace: None, ..ReadOptions::default() }
}

/// Two GOPs of one second at 10 frames per second, with audio every 100 ms shortly after each frame, and configurations
/// before.
fn two_gops(rig: &mut Rig, publisher: &mut Publisher) {
    rig.write(publisher, [config(TrackId::VIDEO, b"avcC"), config(TrackId::AUDIO, b"asc")]);
    for i in 0..20 {
        let dts = i * 100;
        let picture = if i % 10 == 0 { key(dts) } else { video(dts) };
        rig.write(publisher, [picture, audio(dts + 10)]);
        rig.pass(100);
    }
}

fn rig() -> (Rig, Publisher) {
    let rig = Rig::new(Config::default());
    let publisher = rig.publish();
    (rig, publisher)
}

#[test]
fn joiner_gets_metadata_then_configs_then_the_newest_keyframe() {
    let (mut rig, mut publisher) = rig();
    rig.write(&mut publisher, [kept(TrackId::DATA, Role::StreamMetadata, b"meta")]);
    two_gops(&mut rig, &mut publisher);
    let (got, rest) = rig.drain(&mut rig.read());
    assert!(short(&got).starts_with("[meta] [avcC] [asc] K1000 A1010 V1100 A1110"), "{}", short(&got));
    assert!(short(&got).ends_with("V1900 A1910"));
    assert_eq!(rest, Rest::Pending);
    assert!(got[..3].iter().all(|entry| entry.packet.dts == ms(1000) && entry.packet.pts == ms(1000)));
}

#[test]
fn joiners_at_one_keyframe_share_entries_and_forms() {
    let (mut rig, mut publisher) = rig();
    two_gops(&mut rig, &mut publisher);
    let (first, _) = rig.drain(&mut rig.read());
    let (second, _) = rig.drain(&mut rig.read());
    assert_eq!(first.len(), second.len());
    assert!(first.iter().zip(&second).all(|(a, b)| Arc::ptr_eq(a, b)));
}

#[test]
fn joiner_gets_the_configuration_as_it_was_at_its_keyframe() {
    let (rig, mut publisher) = rig();
    let change = config(TrackId::VIDEO, b"new");
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"old"), key(0), video(40), change, video(80)]);
    assert_eq!(rig.got(&mut rig.read()), "[old] K0 V40 [new] V80");
    rig.write(&mut publisher, [key(120)]);
    assert_eq!(rig.got(&mut rig.read()), "[new] K120");
}

#[test]
fn repeated_configuration_is_passed_on() {
    let (rig, mut publisher) = rig();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c"), key(0)]);
    let mut reader = rig.read();
    rig.got(&mut reader);
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c"), key(40)]);
    assert_eq!(rig.got(&mut reader), "[c] K40");
}

#[test]
fn audio_that_belongs_after_the_keyframe_but_came_before_it_follows_it() {
    let (rig, mut publisher) = rig();
    rig.write(&mut publisher, [key(0), audio(80), audio(100), audio(120), key(100), audio(140)]);
    assert_eq!(rig.got(&mut rig.read()), "K100 A100 A120 A140");
}

#[test]
fn frame_of_the_same_time_before_the_keyframe_stays_where_it_is() {
    let (rig, mut publisher) = rig();
    rig.write(&mut publisher, [key(0), video(100), key(100), video(140)]);
    assert_eq!(rig.got(&mut rig.read()), "K100 V140");
}

#[test]
fn audio_before_the_keyframe_that_needs_an_older_configuration_is_left_out() {
    let (rig, mut publisher) = rig();
    rig.write(&mut publisher, [config(TrackId::AUDIO, b"old"), key(0), audio(100)]);
    rig.write(&mut publisher, [config(TrackId::AUDIO, b"new"), audio(120), key(100), audio(140)]);
    assert_eq!(rig.got(&mut rig.read()), "[new] K100 A120 A140");
}

#[test]
fn audio_before_the_oldest_keyframe_stays_in_the_log_with_it() {
    let (rig, mut publisher) = rig();
    rig.write(
        &mut publisher,
        [key(0), audio(990), audio(1000), audio(1020), key(1000), video(4000), key(4040)],
    );
    let start = Start::Behind(Duration::from_secs(3));
    assert_eq!(
        rig.got(&mut rig.read_with(ReadOptions { start, ..unpaced() })),
        "K1000 A1000 A1020 V4000 K4040"
    );
}

#[test]
fn sound_alone_is_joined_as_far_behind_as_is_asked() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::AUDIO, b"asc")]);
    rig.write(&mut publisher, (0..100).map(|i| audio(i * 20)));
    for (seconds, first) in [(1, "A980 A1000"), (3600, "A0 A20")] {
        let start = Start::Behind(Duration::from_secs(seconds));
        let got = rig.got(&mut rig.read_with(ReadOptions { start, ..unpaced() }));
        assert!(got.starts_with(&format!("[asc] {first}")), "{seconds} s behind: {got}");
    }
}

#[test]
fn further_behind_a_stream_whose_camera_is_off_pictures_begin_at_a_keyframe() {
    let mut rig = Rig::new(Config { retain: Duration::from_secs(60), ..Config::default() });
    let mut publisher = rig.publish();
    two_gops(&mut rig, &mut publisher);
    for i in 0..700 {
        rig.write(&mut publisher, [audio(2000 + i * 20)]);
        rig.pass(20);
    }
    let start = |millis| Start::Behind(Duration::from_millis(millis));
    let got = |millis| rig.got(&mut rig.read_with(ReadOptions { start: start(millis), ..unpaced() }));
    // The last keyframe was at 1000, and the camera went at 1900.
    assert!(got(14_280).starts_with("[avcC] [asc] A1710 A1810 A1910 A2000"), "{}", &got(14_280)[..60]);
    assert!(got(15_280).starts_with("[avcC] [asc] A710 A810 A910 K1000"), "{}", &got(15_280)[..60]);
    assert!(got(5_000).starts_with("[avcC] [asc] A10980 A11000"), "{}", &got(5_000)[..60]);
}

#[test]
fn audio_from_before_the_keyframe_is_left_out() {
    let (rig, mut publisher) = rig();
    rig.write(&mut publisher, [key(100), audio(60), audio(80), audio(100), video(140)]);
    assert_eq!(rig.got(&mut rig.read()), "K100 A100 V140");
}

#[test]
fn without_video_first_audio_keeps_its_place() {
    let (rig, mut publisher) = rig();
    let options = ReadOptions { video_first: false, ..unpaced() };
    rig.write(&mut publisher, [key(0), audio(80), key(100), audio(90), audio(140)]);
    assert_eq!(rig.got(&mut rig.read_with(options.clone())), "K100 A90 A140");
    rig.write(&mut publisher, [audio(190), audio(210), key(200), audio(230)]);
    assert_eq!(rig.got(&mut rig.read_with(options)), "A210 K200 A230");
}

#[test]
fn reader_behind_live_starts_at_the_keyframe_before_that_point() {
    let (mut rig, mut publisher) = rig();
    two_gops(&mut rig, &mut publisher);
    let start_of = |millis| {
        let start = Start::Behind(Duration::from_millis(millis));
        let (got, _) = rig.drain(&mut rig.read_with(ReadOptions { start, ..unpaced() }));
        got[2].packet.dts.millis()
    };
    assert_eq!(start_of(0), 1000);
    assert_eq!(start_of(910), 1000, "the newest packet is at 1910");
    assert_eq!(start_of(911), 0);
    assert_eq!(start_of(60_000), 0, "as far back as there is something");
}

#[test]
fn reader_at_a_presentation_time_starts_at_that_keyframe() {
    let (rig, mut publisher) = rig();
    let at =
        |dts: i64, pts_micros: i64| Packet { pts: media::Time::from_nanos(pts_micros * 1000), ..key(dts) };
    rig.write(&mut publisher, [at(0, 66_667), at(1000, 1_066_667), at(2000, 2_066_667)]);
    let start_of = |millis| {
        let options = ReadOptions { start: Start::AtPts(ms(millis)), ..unpaced() };
        rig.drain(&mut rig.read_with(options)).0[0].packet.dts.millis()
    };
    assert_eq!(start_of(1066), 1000, "named by its milliseconds");
    assert_eq!(start_of(1065), 0);
    assert_eq!(start_of(1500), 1000);
    assert_eq!(start_of(99_000), 2000);
    assert_eq!(start_of(1), 2000, "nothing that early: the newest");
}

#[test]
fn joiner_without_a_keyframe_waits_and_asks_for_one_once() {
    let rig = Rig::new(Config { log_packets_max: 3, ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c"), key(0), video(40), video(80), video(120)]);
    let waker = rig.waker.waker();
    let mut cx = Context::from_waker(&waker);
    let mut reader = rig.read();
    assert_eq!(rig.drain(&mut reader).1, Rest::Pending);
    assert_eq!(publisher.poll_feedback(&mut cx), Poll::Ready(Feedback::KeyframeWanted));
    rig.write(&mut publisher, [video(160)]);
    assert_eq!(rig.got(&mut reader), "");
    assert_eq!(publisher.poll_feedback(&mut cx), Poll::Pending);
    rig.write(&mut publisher, [key(200)]);
    assert_eq!(rig.got(&mut reader), "[c] K200");
}

#[test]
fn other_video_tracks_begin_at_their_own_keyframe() {
    let (rig, mut publisher) = rig();
    let low = TrackId::video(1);
    rig.write(&mut publisher, [frame(low, 0, true), key(0), frame(low, 40, false), video(40)]);
    rig.write(
        &mut publisher,
        [key(80), frame(low, 80, false), frame(low, 120, true), frame(low, 160, false)],
    );
    assert_eq!(rig.got(&mut rig.read()), "K80 K/1:120 V/1:160");
}

#[test]
fn keyframe_of_another_track_just_before_the_start_is_not_missed() {
    let (rig, mut publisher) = rig();
    let low = TrackId::video(1);
    rig.write(
        &mut publisher,
        [key(0), frame(low, 0, true), frame(low, 80, true), key(80), frame(low, 120, false)],
    );
    assert_eq!(rig.got(&mut rig.read()), "K80 K/1:80 V/1:120");
}

#[test]
fn lowest_numbered_video_track_decides_where_to_join() {
    let (rig, mut publisher) = rig();
    let low = TrackId::video(1);
    rig.write(&mut publisher, [frame(low, 0, true), key(0), video(40), frame(low, 80, true), video(80)]);
    assert_eq!(rig.got(&mut rig.read()), "K0 K/1:0 V40 K/1:80 V80");
}

#[test]
fn joiner_of_an_audio_stream_starts_at_the_newest_frame() {
    let (mut rig, mut publisher) = rig();
    rig.write(&mut publisher, [config(TrackId::AUDIO, b"asc")]);
    rig.write(&mut publisher, (0..60).map(|i| audio(i * 20)));
    let mut reader = rig.read();
    assert_eq!(rig.got(&mut reader), "[asc] A1180");
    rig.pass(20);
    rig.write(&mut publisher, [audio(1200)]);
    assert_eq!(rig.got(&mut reader), "A1200");
}

#[test]
fn joiner_in_the_first_second_waits_for_a_sign_of_video() {
    let (rig, mut publisher) = rig();
    rig.write(&mut publisher, [config(TrackId::AUDIO, b"asc"), audio(0), audio(20)]);
    let mut reader = rig.read();
    assert_eq!(rig.got(&mut reader), "");
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"avcC"), audio(40), key(40), audio(60)]);
    assert_eq!(rig.got(&mut reader), "[avcC] [asc] K40 A40 A60");
}

#[test]
fn joiner_of_a_silent_second_without_video_is_woken_by_the_clock() {
    let (mut rig, mut publisher) = rig();
    rig.write(&mut publisher, [config(TrackId::AUDIO, b"asc"), audio(0), audio(20)]);
    let mut reader = rig.read();
    assert_eq!(rig.got(&mut reader), "");
    rig.pass(999);
    assert_eq!(rig.waker.wakes(), 0);
    rig.pass(1);
    assert_eq!(rig.waker.wakes(), 1);
    assert_eq!(rig.got(&mut reader), "[asc] A20");
}

#[test]
fn joiner_of_a_stream_whose_camera_is_off_hears_its_newest_audio() {
    let (mut rig, mut publisher) = rig();
    two_gops(&mut rig, &mut publisher);
    for i in 0..700 {
        rig.write(&mut publisher, [audio(2000 + i * 20)]);
        rig.pass(20);
    }
    let mut reader = rig.read();
    assert_eq!(rig.got(&mut reader), "[avcC] [asc] A15980");
    rig.write(&mut publisher, [video(16_000), key(16_040), video(16_080)]);
    assert_eq!(rig.got(&mut reader), "K16040 V16080", "pictures from a keyframe on");
}

#[test]
fn reader_without_video_starts_at_the_newest_audio_and_gets_no_pictures() {
    let (mut rig, mut publisher) = rig();
    two_gops(&mut rig, &mut publisher);
    let mut reader = rig.read_with(ReadOptions { video: false, ..unpaced() });
    assert_eq!(rig.got(&mut reader), "[asc] A1910");
    rig.write(&mut publisher, [key(2000), audio(2010)]);
    assert_eq!(rig.got(&mut reader), "A2010");
}

#[test]
fn reader_without_audio_gets_none() {
    let (rig, mut publisher) = rig();
    rig.write(&mut publisher, [config(TrackId::AUDIO, b"asc"), key(0), audio(0), video(40)]);
    assert_eq!(rig.got(&mut rig.read_with(ReadOptions { audio: false, ..unpaced() })), "K0 V40");
}

#[test]
fn backlog_comes_in_a_burst_and_then_at_its_pace() {
    let (mut rig, mut publisher) = rig();
    two_gops(&mut rig, &mut publisher);
    let mut reader =
        rig.read_with(ReadOptions { start: Start::Behind(Duration::from_secs(1)), ..ReadOptions::default() });
    let (got, rest) = rig.drain(&mut reader);
    assert!(short(&got).ends_with("V500"), "keyframe at 0 and 500 ms: {}", short(&got));
    assert_eq!(
        rest,
        Rest::Later(Duration::from_millis(10)),
        "audio at 510 after 5 ms, but not in steps below 10"
    );
    rig.pass(100);
    let (got, _) = rig.drain(&mut reader);
    assert_eq!(short(&got), "A510 V600 A610 V700");
    assert!(!reader.stats().live);
    rig.pass(605);
    assert!(rig.got(&mut reader).ends_with("V1900 A1910"));
    assert!(reader.stats().live);
    rig.write(&mut publisher, (0..100).map(|i| video(2000 + i * 10)));
    assert_eq!(rig.drain(&mut reader).0.len(), 100, "live from then on, not paced");
}

#[test]
fn gap_in_the_clock_does_not_hold_the_backlog_back() {
    let (rig, mut publisher) = rig();
    rig.write(&mut publisher, [key(0), audio(10), audio(3_600_000), video(3_600_000), video(3_600_040)]);
    let mut reader = rig.read_with(ReadOptions::default());
    assert_eq!(rig.got(&mut reader), "K0 A10 A3600000 V3600000 V3600040");
}

#[test]
fn pace_below_real_time_or_absurd_is_harmless() {
    for pace in [0.0, -1.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE] {
        let (mut rig, mut publisher) = rig();
        two_gops(&mut rig, &mut publisher);
        let mut reader = rig.read_with(ReadOptions { pace: Some(pace), ..ReadOptions::default() });
        for _ in 0..20 {
            rig.drain(&mut reader);
            rig.pass(100);
        }
        assert!(reader.stats().live, "{pace}");
    }
}

#[test]
fn batch_holds_one_packet_at_least_and_no_more_than_its_limits() {
    let (rig, mut publisher) = rig();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c"), key(0), video(40), video(80), audio(80)]);
    let mut reader = rig.read();
    let one = BatchLimits { packets_max: 0, bytes_max: 0 };
    let three = BatchLimits { packets_max: 3, bytes_max: 1 << 20 };
    assert_eq!(short(&rig.poll(&mut reader, one).1), "[c]");
    assert_eq!(short(&rig.poll(&mut reader, three).1), "K0 V40 V80");
    assert_eq!(short(&rig.poll(&mut reader, one).1), "A80");
    assert_eq!(rig.poll(&mut reader, one).0, Poll::Pending);
    let mut reader = rig.read();
    let bytes = BatchLimits { packets_max: 100, bytes_max: 1101 };
    assert_eq!(short(&rig.poll(&mut reader, bytes).1), "[c] K0 V40");
    assert_eq!(rig.poll(&mut reader, bytes).0, Poll::Ready(Next::Packets));
}

#[test]
fn joiner_may_read_what_is_not_shown_yet() {
    let rig = Rig::new(Config { batch: Duration::from_millis(50), ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0), video(40)]);
    let mut reader = rig.read();
    assert_eq!(rig.got(&mut reader), "K0 V40");
    rig.write(&mut publisher, [video(80)]);
    assert_eq!(rig.got(&mut reader), "");
}
