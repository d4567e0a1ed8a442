use crate::testing::packet::{audio, config, key, video};
use crate::testing::{Rest, Rig};
use crate::{
    BatchLimits, Config, EndReason, Feedback, Limits, Next, PublishError, ReadError, ReadOptions,
    SecondPublisher, WriteError,
};
use media::{StreamName, TrackId};
use std::task::{Context, Poll};
use std::time::Duration;

fn rig(second_publisher: SecondPublisher) -> Rig {
    Rig::new(Config { second_publisher, ..Config::default() })
}

fn name(channel: &str) -> StreamName {
    StreamName::parse("live", channel).unwrap()
}

#[test]
fn finished_stream_ends_after_what_is_left() {
    let rig = rig(SecondPublisher::Reject);
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    let mut reader = rig.read();
    assert_eq!(rig.drain(&mut reader).1, Rest::Pending);
    rig.write(&mut publisher, [video(40)]);
    publisher.finish();
    let (got, rest) = rig.drain(&mut reader);
    assert_eq!((got.len(), rest), (1, Rest::Ended(EndReason::Finished)));
    assert_eq!(rig.drain(&mut reader).1, Rest::Ended(EndReason::Finished), "and stays so");
}

#[test]
fn packets_that_waited_for_a_batch_are_shown_at_the_end() {
    for finish in [true, false] {
        let rig = Rig::new(Config { batch: Duration::from_secs(1), ..Config::default() });
        let mut publisher = rig.publish();
        rig.write(&mut publisher, [key(0)]);
        let mut reader = rig.read();
        rig.got(&mut reader);
        rig.write(&mut publisher, [video(40)]);
        if finish {
            publisher.finish()
        } else {
            drop(publisher)
        }
        assert_eq!(rig.got(&mut reader), "V40");
    }
}

#[test]
fn stream_is_gone_with_its_last_reader() {
    let rig = rig(SecondPublisher::Reject);
    let publisher = rig.publish();
    let (first, second) = (rig.read(), rig.read());
    publisher.finish();
    drop(first);
    assert_eq!(rig.origin.streams().len(), 1);
    drop(second);
    assert_eq!(rig.origin.streams().len(), 0);
    rig.publish().finish();
    assert_eq!(rig.origin.streams().len(), 0, "at once if it has none");
}

#[test]
fn reader_of_a_lost_stream_waits_and_then_ends() {
    let mut rig = rig(SecondPublisher::Reject);
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    let mut reader = rig.read();
    rig.got(&mut reader);
    rig.pass(60_000);
    drop(publisher);
    rig.origin.handle_timeout(rig.now);
    assert_eq!(rig.drain(&mut reader).1, Rest::Pending);
    rig.pass(14_999);
    assert_eq!(rig.drain(&mut reader).1, Rest::Pending);
    let wakes = rig.waker.wakes();
    rig.pass(1);
    assert!(rig.waker.wakes() > wakes);
    assert_eq!(rig.drain(&mut reader).1, Rest::Ended(EndReason::PublisherLost));
    assert!(rig.origin.poll_timeout().is_none());
}

#[test]
fn lost_stream_without_readers_is_gone_after_its_grace() {
    let mut rig = rig(SecondPublisher::Reject);
    drop(rig.publish());
    rig.pass(14_000);
    assert_eq!(rig.origin.streams().len(), 1);
    assert!(!rig.origin.streams()[0].live);
    rig.pass(1_000);
    assert_eq!(rig.origin.streams().len(), 0);
}

#[test]
fn next_publisher_continues_the_log_and_the_clock() {
    let mut rig = rig(SecondPublisher::Reject);
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"old"), config(TrackId::AUDIO, b"asc"), key(5000)]);
    let mut reader = rig.read();
    assert_eq!(rig.got(&mut reader), "[old] [asc] K5000");
    drop(publisher);
    rig.pass(3000);
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"new"), video(60), key(100), video(140)]);
    assert_eq!(rig.got(&mut reader), "[new] K8000 V8040");
    assert_eq!(rig.got(&mut rig.read()), "[new] K8000 V8040", "the old audio track is not announced");
    rig.pass(20_000);
    assert_eq!(rig.drain(&mut reader).1, Rest::Pending, "the grace is over, but so is the loss");
    assert_eq!(rig.origin.stream(&rig.name).unwrap().counters.sessions, 2);
}

#[test]
fn publisher_after_the_end_begins_a_new_stream() {
    let rig = rig(SecondPublisher::Reject);
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(5000)]);
    let mut old = rig.read();
    publisher.finish();
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    assert_eq!(rig.got(&mut rig.read()), "K0");
    assert_eq!(rig.drain(&mut old).1, Rest::Ended(EndReason::Finished));
    drop(old);
    assert!(rig.origin.stream(&rig.name).unwrap().live, "the old stream's end does not touch the new one");
}

#[test]
fn reader_after_the_end_waits_for_the_next_publisher() {
    let rig = rig(SecondPublisher::Reject);
    let publisher = rig.publish();
    let old = rig.read();
    publisher.finish();
    let mut reader = rig.read();
    assert_eq!(rig.drain(&mut reader).1, Rest::Pending);
    drop(old);
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    assert_eq!(rig.got(&mut reader), "K0");
}

#[test]
fn second_publisher_is_refused() {
    let rig = rig(SecondPublisher::Reject);
    let mut publisher = rig.publish();
    assert_eq!(rig.origin.publish(&rig.name, rig.now).err(), Some(PublishError::Busy));
    rig.write(&mut publisher, [key(0)]);
}

#[test]
fn second_publisher_takes_over() {
    let rig = rig(SecondPublisher::TakeOver);
    let mut first = rig.publish();
    rig.write(&mut first, [key(1000), video(1040)]);
    let mut reader = rig.read();
    rig.got(&mut reader);
    let mut second = rig.publish();
    assert_eq!(first.write(video(1080), rig.now), Err(WriteError::TakenOver));
    let waker = rig.waker.waker();
    assert_eq!(first.poll_feedback(&mut Context::from_waker(&waker)), Poll::Ready(Feedback::TakenOver));
    rig.write(&mut second, [video(0), key(40), video(80)]);
    assert_eq!(rig.got(&mut reader), "K1060 V1100");
    drop(first);
    rig.write(&mut second, [video(120)]);
    assert_eq!(rig.got(&mut reader), "V1140", "the end of the first changes nothing");
}

#[test]
fn packets_that_waited_for_a_batch_are_shown_when_another_takes_over() {
    let second_publisher = SecondPublisher::TakeOver;
    let rig = Rig::new(Config { second_publisher, batch: Duration::from_secs(1), ..Config::default() });
    let mut first = rig.publish();
    rig.write(&mut first, [key(0)]);
    let mut reader = rig.read();
    rig.got(&mut reader);
    rig.write(&mut first, [video(40)]);
    let _second = rig.publish();
    assert_eq!(rig.waker.wakes(), 1);
    assert_eq!(rig.got(&mut reader), "V40");
}

#[test]
fn publisher_on_standby_continues_at_its_keyframe_with_its_configuration() {
    let mut rig = rig(SecondPublisher::StandBy);
    let mut first = rig.publish();
    rig.write(&mut first, [config(TrackId::VIDEO, b"one"), key(1000)]);
    let mut reader = rig.read();
    let mut second = rig.publish();
    assert!(second.is_standby() && !first.is_standby());
    rig.write(
        &mut second,
        [config(TrackId::VIDEO, b"two"), config(TrackId::AUDIO, b"asc"), key(0), audio(0)],
    );
    assert_eq!(rig.got(&mut reader), "[one] K1000");
    rig.pass(40);
    first.finish();
    assert!(!second.is_standby());
    let waker = rig.waker.waker();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(second.poll_feedback(&mut cx), Poll::Ready(Feedback::Promoted));
    assert_eq!(second.poll_feedback(&mut cx), Poll::Ready(Feedback::KeyframeWanted));
    rig.write(&mut second, [video(40), audio(40)]);
    assert_eq!(rig.got(&mut reader), "");
    rig.write(&mut second, [key(80), audio(80)]);
    assert_eq!(rig.got(&mut reader), "[two] [asc] K1040 A1040");
    assert_eq!(rig.got(&mut rig.read()), "[two] [asc] K1040 A1040");
}

#[test]
fn publisher_of_sound_on_standby_continues_at_once() {
    let rig = rig(SecondPublisher::StandBy);
    let mut first = rig.publish();
    rig.write(&mut first, (0..100).map(|i| audio(i * 20)));
    let mut reader = rig.read();
    rig.got(&mut reader);
    let mut second = rig.publish();
    rig.write(&mut second, [config(TrackId::AUDIO, b"asc"), audio(0)]);
    drop(first);
    rig.write(&mut second, [audio(20)]);
    assert_eq!(rig.got(&mut reader), "[asc] A2000");
}

#[test]
fn standby_places_are_limited_and_given_back() {
    let rig = rig(SecondPublisher::StandBy);
    let _active = rig.publish();
    let (second, _third) = (rig.publish(), rig.publish());
    assert_eq!(rig.origin.publish(&rig.name, rig.now).err(), Some(PublishError::Busy));
    assert_eq!(rig.origin.stream(&rig.name).unwrap().standby, 2);
    drop(second);
    assert!(rig.publish().is_standby());
}

#[test]
fn reader_waits_for_a_publisher_so_long_and_no_longer() {
    let mut rig = rig(SecondPublisher::Reject);
    let wait = |wait_max| ReadOptions { wait_max: Duration::from_millis(wait_max), ..ReadOptions::default() };
    let (mut short, mut long) = (rig.read_with(wait(1000)), rig.read_with(wait(5000)));
    assert_eq!((rig.drain(&mut short).1, rig.drain(&mut long).1), (Rest::Pending, Rest::Pending));
    rig.pass(1000);
    assert!(rig.waker.wakes() >= 1);
    assert_eq!(rig.drain(&mut short).1, Rest::Ended(EndReason::NoPublisher));
    assert_eq!(rig.drain(&mut long).1, Rest::Pending);
    rig.pass(4000);
    assert_eq!(rig.drain(&mut long).1, Rest::Ended(EndReason::NoPublisher));
    drop((short, long));
    assert!(rig.origin.streams().is_empty());
}

#[test]
fn reader_before_the_publisher_starts_with_its_first_keyframe() {
    let mut rig = rig(SecondPublisher::Reject);
    let mut reader = rig.read();
    assert_eq!(rig.drain(&mut reader).1, Rest::Pending);
    rig.pass(10_000);
    let mut publisher = rig.publish();
    rig.pass(10_000);
    assert_eq!(rig.drain(&mut reader).1, Rest::Pending, "it waits for a publisher, and there is one");
    rig.write(&mut publisher, [config(TrackId::VIDEO, b"c"), key(0)]);
    assert!(rig.waker.wakes() > 0);
    assert_eq!(rig.got(&mut reader), "[c] K0");
}

#[test]
fn many_waiting_readers_are_not_woken_for_each_deadline() {
    let mut rig = rig(SecondPublisher::Reject);
    let mut readers: Vec<_> = (0..100)
        .map(|i| {
            rig.read_with(ReadOptions { wait_max: Duration::from_millis(1000 + i), ..ReadOptions::default() })
        })
        .collect();
    for _ in 0..400 {
        readers.iter_mut().for_each(|reader| drop(rig.drain(reader)));
        rig.pass(5);
    }
    assert!(rig.waker.wakes() <= 200, "{}", rig.waker.wakes());
    let ended = Rest::Ended(EndReason::NoPublisher);
    assert!(readers.iter_mut().all(|reader| rig.drain(reader).1 == ended));
}

#[test]
fn numbers_of_streams_and_readers_are_limited() {
    let limits = Limits { streams_max: 3, waiting_streams_max: 2, readers_max: 2, ..Limits::default() };
    let rig = Rig::new(Config { limits, ..Config::default() });
    let read = |channel| rig.origin.read(&name(channel), ReadOptions::default(), rig.now);
    let publish = |channel| rig.origin.publish(&name(channel), rig.now);
    let first = read("a").unwrap();
    let _second = read("b").unwrap();
    assert_eq!(read("c").err(), Some(ReadError::TooManyStreams), "waiting streams leave room for publishers");
    let _publisher = publish("c").unwrap();
    assert_eq!(publish("d").err(), Some(PublishError::TooManyStreams));
    let _a = publish("a").unwrap();
    let _third = read("a").unwrap();
    assert_eq!(read("a").err(), Some(ReadError::TooManyReaders));
    assert_eq!(read("d").err(), Some(ReadError::TooManyStreams));
    drop(first);
    assert!(read("a").is_ok());
}

#[test]
fn origin_that_is_gone_leaves_its_readers_and_publishers_at_work() {
    let rig = rig(SecondPublisher::Reject);
    let (mut publisher, mut reader) = (rig.publish(), rig.read());
    let Rig { origin, now, waker, .. } = rig;
    drop(origin);
    publisher.write(key(0), now).unwrap();
    let mut batch = Vec::new();
    let waker = waker.waker();
    let next = reader.poll_next(now, &mut batch, BatchLimits::default(), &mut Context::from_waker(&waker));
    assert_eq!((next, batch.len()), (Poll::Ready(Next::Packets), 1));
    drop(publisher);
}

#[test]
fn readers_are_told_once_that_the_publisher_was_lost_and_again_when_the_next_one_is() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    let mut reader = rig.read();
    let mut next = || rig.poll(&mut reader, BatchLimits::default()).0;
    drop(publisher);
    let expected = [Poll::Ready(Next::Packets), Poll::Ready(Next::Dry), Poll::Pending, Poll::Pending];
    assert_eq!([next(), next(), next(), next()], expected);
    let mut publisher = rig.publish();
    assert_eq!(next(), Poll::Pending);
    rig.write(&mut publisher, [key(0)]);
    drop(publisher);
    assert_eq!([next(), next(), next(), next()], expected);
}
