use crate::testing::packet::{audio, config, key, video};
use crate::testing::{CountingWaker, Rest, Rig};
use crate::{Changed, Config, EndReason, Feedback, Presence, PublishError, Publisher, ReadOptions};
use crate::{SecondPublisher, Watch, WriteError};
use media::TrackId;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn rig() -> Rig {
    Rig::new(Config::default())
}

fn ranked(rig: &Rig, rank: u8) -> Publisher {
    rig.origin.publish_ranked(&rig.name, rank, rig.now).unwrap()
}

fn feedback(publisher: &mut Publisher) -> Vec<Feedback> {
    let mut all = Vec::new();
    while let Poll::Ready(feedback) = publisher.poll_feedback(&mut Context::from_waker(Waker::noop())) {
        all.push(feedback);
    }
    all
}

fn changes(watch: &mut Watch) -> Vec<Changed> {
    let mut all = Vec::new();
    while let Poll::Ready(changed) = watch.poll_changed(&mut Context::from_waker(Waker::noop())) {
        all.push(changed);
    }
    all
}

#[test]
fn publisher_of_higher_rank_takes_over_at_its_keyframe_without_a_gap() {
    let mut rig = rig();
    let mut relay = ranked(&rig, 1);
    rig.write(&mut relay, [config(TrackId::VIDEO, b"relay"), key(0), video(40)]);
    let mut reader = rig.read();
    assert_eq!(rig.got(&mut reader), "[relay] K0 V40");
    let mut local = rig.publish();
    assert!(local.is_standby());
    rig.pass(40);
    rig.write(&mut local, [config(TrackId::VIDEO, b"local"), video(5000)]);
    rig.write(&mut relay, [video(80)]);
    assert_eq!(rig.got(&mut reader), "V80", "the old one goes on until then");
    rig.pass(40);
    rig.write(&mut local, [key(5040), video(5080)]);
    assert_eq!(rig.got(&mut reader), "[local] K120 V160");
    assert_eq!(relay.write(video(120), rig.now), Err(WriteError::TakenOver));
    assert_eq!(feedback(&mut relay), [Feedback::TakenOver]);
    assert_eq!(feedback(&mut local), [Feedback::Promoted]);
    assert!(!local.is_standby());
    drop(relay);
    assert!(rig.origin.stream(&rig.name).unwrap().live);
}

#[test]
fn publisher_of_lower_rank_stands_by_and_the_highest_comes_next() {
    let rig = rig();
    let mut local = rig.publish();
    rig.write(&mut local, [key(0)]);
    let (mut low, mut high) = (ranked(&rig, 1), ranked(&rig, 2));
    assert!(low.is_standby() && high.is_standby(), "although a second one of the same rank is refused");
    assert_eq!(rig.origin.publish(&rig.name, rig.now).err(), Some(PublishError::Busy));
    rig.write(&mut low, [key(100)]);
    rig.write(&mut high, [key(200)]);
    let mut reader = rig.read();
    assert_eq!(rig.got(&mut reader), "K0");
    local.finish();
    assert_eq!(feedback(&mut high), [Feedback::Promoted, Feedback::KeyframeWanted]);
    rig.write(&mut low, [key(140)]);
    rig.write(&mut high, [video(240), key(280)]);
    assert_eq!(rig.got(&mut reader), "K20");
    high.finish();
    rig.write(&mut low, [key(180)]);
    assert_eq!(rig.got(&mut reader), "K40");
    low.finish();
    assert_eq!(rig.drain(&mut reader).1, Rest::Ended(EndReason::Finished));
}

#[test]
fn publishers_of_lower_rank_leave_room_for_those_above() {
    let rig = rig();
    let _relays: Vec<_> = (0..3).map(|_| rig.origin.publish_ranked(&rig.name, 1, rig.now)).collect();
    let (second, third) = (ranked(&rig, 2), ranked(&rig, 3));
    let local = rig.publish();
    assert!(second.is_standby() && third.is_standby() && local.is_standby());
    assert_eq!(
        rig.origin.publish(&rig.name, rig.now).err(),
        Some(PublishError::Busy),
        "a second local one is refused while the first still waits for its keyframe"
    );
}

#[test]
fn equals_that_wait_for_their_keyframe_follow_the_rule_too() {
    let rig = Rig::new(Config { second_publisher: SecondPublisher::TakeOver, ..Config::default() });
    let mut relay = ranked(&rig, 1);
    rig.write(&mut relay, [key(0)]);
    let mut first = rig.publish();
    let mut second = rig.publish();
    assert_eq!(feedback(&mut first), [Feedback::TakenOver]);
    assert_eq!(first.write(key(0), rig.now), Err(WriteError::TakenOver));
    rig.write(&mut second, [key(0)]);
    assert_eq!(feedback(&mut relay), [Feedback::TakenOver]);
}

#[test]
fn sound_takes_over_at_once() {
    let rig = rig();
    let mut relay = ranked(&rig, 1);
    rig.write(&mut relay, [audio(0)]);
    let mut local = rig.publish();
    rig.write(&mut local, [audio(0)]);
    assert!(!local.is_standby());
}

#[test]
fn watcher_is_told_of_begin_end_and_viewers() {
    let mut rig = rig();
    let mut watch = rig.origin.watch();
    let this = [Changed::Stream(rig.name.clone())];
    assert_eq!(changes(&mut watch), [Changed::Many], "what was there before it came");
    let viewer = rig.read();
    assert_eq!(changes(&mut watch), this);
    assert_eq!(rig.origin.presence(&rig.name), Presence { begun: false, rank: None, viewers: 1 });
    let second = rig.read();
    let relay = rig.read_with(ReadOptions { passive: true, ..ReadOptions::default() });
    assert_eq!(changes(&mut watch), []);
    assert_eq!(rig.origin.presence(&rig.name).viewers, 2);
    let publisher = ranked(&rig, 3);
    assert_eq!(changes(&mut watch), this);
    assert_eq!(rig.origin.presence(&rig.name), Presence { begun: true, rank: Some(3), viewers: 2 });
    drop((viewer, second));
    assert_eq!(changes(&mut watch), this);
    let status = rig.origin.stream(&rig.name).unwrap();
    assert_eq!((status.readers, status.viewers), (1, 0));
    drop(publisher);
    assert_eq!(changes(&mut watch), this);
    assert_eq!(rig.origin.presence(&rig.name), Presence { begun: true, rank: None, viewers: 0 });
    rig.pass(20_000);
    assert_eq!(changes(&mut watch), this);
    assert_eq!(rig.origin.presence(&rig.name), Presence::default());
    drop(relay);
    assert_eq!((changes(&mut watch), rig.origin.names()), (vec![], vec![]));
}

#[test]
fn watcher_that_falls_behind_is_told_to_look_at_all() {
    let rig = rig();
    let mut watch = rig.origin.watch();
    changes(&mut watch);
    let waker = CountingWaker::new();
    assert!(watch.poll_changed(&mut Context::from_waker(&waker.waker())).is_pending());
    let name = |i| media::StreamName::parse("live", &format!("n{i}")).unwrap();
    for i in 0..3000 {
        rig.origin.publish(&name(i), rig.now).unwrap().finish();
    }
    assert_eq!((waker.wakes(), changes(&mut watch)), (1, vec![Changed::Many]));
    rig.origin.publish(&name(1), rig.now).unwrap().finish();
    assert_eq!(changes(&mut watch), [Changed::Stream(name(1))]);
}

#[test]
fn reader_may_have_a_limit_of_its_own() {
    let rig = rig();
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    let options = |lag| ReadOptions { pace: None, lag_max: lag, ..ReadOptions::default() };
    let (mut patient, mut hasty) =
        (rig.read_with(options(None)), rig.read_with(options(Some(Duration::from_secs(1)))));
    assert_eq!((rig.got(&mut patient), rig.got(&mut hasty)), ("K0".to_owned(), "K0".to_owned()));
    rig.write(&mut publisher, [video(500), key(1000), video(1500), key(2000), video(2040)]);
    assert_eq!(rig.got(&mut patient), "V500 K1000 V1500 K2000 V2040");
    assert_eq!(rig.got(&mut hasty), "K2000 V2040");
}

#[test]
fn who_stands_in_for_a_lost_publisher_makes_way_for_it() {
    let mut rig = rig();
    assert!(rig.origin.stand_in(&rig.name, 0, rig.now).is_none(), "there is no stream");
    let mut lost = rig.publish();
    rig.write(&mut lost, [config(TrackId::VIDEO, b"lost"), key(0), video(40)]);
    let mut reader = rig.read();
    assert_eq!(rig.got(&mut reader), "[lost] K0 V40");
    assert!(rig.origin.stand_in(&rig.name, 0, rig.now).is_none(), "it has a publisher");
    drop(lost);
    rig.pass(460);
    let mut slate = rig.origin.stand_in(&rig.name, 0, rig.now).unwrap();
    assert!(rig.origin.stand_in(&rig.name, 0, rig.now).is_none(), "one is enough");
    assert_eq!(rig.origin.presence(&rig.name).rank, Some(0));
    rig.write(&mut slate, [config(TrackId::VIDEO, b"slate"), key(0), video(100)]);
    assert_eq!(rig.got(&mut reader), "[slate] K500 V600");
    rig.pass(100);
    let mut back = rig.publish();
    rig.write(&mut back, [config(TrackId::VIDEO, b"back"), video(7000)]);
    rig.write(&mut slate, [video(200)]);
    rig.write(&mut back, [key(7040), video(7080)]);
    assert_eq!(rig.got(&mut reader), "V700 [back] K720 V760");
    assert_eq!(feedback(&mut slate), [Feedback::TakenOver]);
    drop(slate);
    back.finish();
    assert_eq!(rig.drain(&mut reader).1, Rest::Ended(EndReason::Finished));
    assert!(rig.origin.stand_in(&rig.name, 0, rig.now).is_none(), "it has ended");
}

#[test]
fn packets_say_the_rank_of_who_wrote_them() {
    let rig = rig();
    let mut low = ranked(&rig, 3);
    rig.write(&mut low, [key(0)]);
    let mut reader = rig.read();
    let mut entries = rig.drain(&mut reader).0;
    let mut high = rig.publish();
    rig.write(&mut high, [config(TrackId::VIDEO, b"high"), key(40)]);
    entries.extend(rig.drain(&mut reader).0);
    // Who joins now gets the configuration that was kept.
    entries.extend(rig.drain(&mut rig.read()).0);
    let ranks: Vec<_> = entries.iter().map(|entry| entry.rank).collect();
    assert_eq!(ranks, [3, u8::MAX, u8::MAX, u8::MAX, u8::MAX]);
}
