use crate::testing::packet::{audio, key, video};
use crate::testing::{CountingWaker, Rig};
use crate::{BatchLimits, Config, ReadOptions, Reader};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

fn poll(rig: &Rig, reader: &mut Reader, counter: &std::sync::Arc<CountingWaker>) -> usize {
    let (mut batch, waker) = (Vec::new(), counter.waker());
    while reader
        .poll_next(rig.now, &mut batch, BatchLimits::default(), &mut Context::from_waker(&waker))
        .is_ready()
    {}
    batch.len()
}

#[test]
fn waiting_reader_is_woken_once_by_a_write() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    let (mut reader, counter) = (rig.read(), CountingWaker::new());
    poll(&rig, &mut reader, &counter);
    poll(&rig, &mut reader, &counter);
    rig.write(&mut publisher, [video(40), video(80)]);
    assert_eq!(counter.wakes(), 1, "not again before it has looked");
    assert_eq!(poll(&rig, &mut reader, &counter), 2);
    rig.write(&mut publisher, [video(120)]);
    assert_eq!(counter.wakes(), 2);
}

#[test]
fn reader_that_is_gone_is_not_woken() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    let (mut reader, counter) = (rig.read(), CountingWaker::new());
    poll(&rig, &mut reader, &counter);
    drop(reader);
    rig.write(&mut publisher, [video(40)]);
    assert_eq!(counter.wakes(), 0);
}

#[test]
fn reader_that_moved_to_another_task_is_woken_there() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    let (mut reader, old, new) = (rig.read(), CountingWaker::new(), CountingWaker::new());
    poll(&rig, &mut reader, &old);
    poll(&rig, &mut reader, &new);
    rig.write(&mut publisher, [video(40)]);
    assert_eq!((old.wakes(), new.wakes()), (0, 1));
}

#[test]
fn paced_reader_is_not_woken_by_the_log() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, (0..50).map(|i| if i == 0 { key(0) } else { video(i * 40) }));
    let mut reader = rig.read_with(ReadOptions::default());
    rig.drain(&mut reader);
    rig.write(&mut publisher, [video(2000)]);
    assert_eq!(rig.waker.wakes(), 0);
}

#[test]
fn shard_wakes_its_readers_and_the_publisher_wakes_the_shard() {
    let rig = Rig::new(Config { shards: 2, ..Config::default() });
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    let mut readers: Vec<_> =
        (0..6).map(|i| rig.read_with(ReadOptions { shard: i % 2, ..ReadOptions::default() })).collect();
    let readers_woken = CountingWaker::new();
    assert!(readers.iter_mut().all(|reader| poll(&rig, reader, &readers_woken) == 1));

    let mut shard = pin!(rig.origin.shard(1).unwrap());
    assert!(rig.origin.shard(1).is_none(), "one each");
    assert!(rig.origin.shard(2).is_none());
    let shard_woken = CountingWaker::new();
    let waker = shard_woken.waker();
    let mut run = || assert!(matches!(shard.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
    run();

    rig.write(&mut publisher, [video(40), video(80)]);
    assert_eq!((readers_woken.wakes(), shard_woken.wakes()), (3, 1), "those without a shard at once");
    run();
    assert_eq!(readers_woken.wakes(), 6);
    assert!(readers.iter_mut().all(|reader| poll(&rig, reader, &readers_woken) == 2));
    rig.write(&mut publisher, [video(120)]);
    assert_eq!((readers_woken.wakes(), shard_woken.wakes()), (9, 2));
    run();
    assert_eq!(readers_woken.wakes(), 12);
    run();
    assert_eq!(readers_woken.wakes(), 12);
}

#[test]
fn shard_that_is_dropped_wakes_whom_it_owes_and_hands_over_to_the_publisher() {
    let rig = Rig::new(Config::default());
    let mut publisher = rig.publish();
    rig.write(&mut publisher, [key(0)]);
    let (mut reader, counter) = (rig.read(), CountingWaker::new());
    poll(&rig, &mut reader, &counter);
    let shard = rig.origin.shard(0).unwrap();
    rig.write(&mut publisher, [video(40)]);
    assert_eq!(counter.wakes(), 0);
    drop(shard);
    assert_eq!(counter.wakes(), 1);
    poll(&rig, &mut reader, &counter);
    rig.write(&mut publisher, [audio(40)]);
    assert_eq!(counter.wakes(), 2);
    assert!(rig.origin.shard(0).is_some());
}
