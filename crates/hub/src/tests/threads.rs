//! Real threads: a publisher and readers that park.

use crate::testing::Rig;
use crate::testing::packet::{audio, config, key, video};
use crate::{BatchLimits, Config, EndReason, FormKey, Next, Origin, ReadOptions, Reader};
use bytes::Bytes;
use media::{Kind, StreamName, TrackId};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

const PACKETS: i64 = 4_000;

struct Unpark(Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::Release);
        self.0.unpark();
    }
}

impl Unpark {
    fn here() -> Arc<Self> {
        Arc::new(Self(std::thread::current(), AtomicBool::new(false)))
    }

    fn wait(&self) {
        while !self.1.swap(false, Ordering::Acquire) {
            std::thread::park();
        }
    }
}

/// Reads to the end; the time of the last picture. Checks that video has no holes.
fn read_to_end(mut reader: Reader, start: Instant) -> Option<i64> {
    let unpark = Unpark::here();
    let waker = Waker::from(unpark.clone());
    let (mut batch, mut last) = (Vec::new(), None);
    loop {
        match reader.poll_next(start, &mut batch, BatchLimits::default(), &mut Context::from_waker(&waker)) {
            Poll::Ready(Next::Packets) => {
                for entry in batch.drain(..) {
                    let form =
                        entry.form(FormKey::of(1), |packet| Bytes::from(packet.dts.millis().to_string()));
                    assert_eq!(form, entry.packet.dts.millis().to_string());
                    if entry.packet.track.kind == Kind::Video && entry.packet.role == media::Role::Frame {
                        let dts = entry.packet.dts.millis();
                        assert!(entry.packet.flags.keyframe || last == Some(dts - 40), "{last:?} {dts}");
                        last = Some(dts);
                    }
                }
            }
            Poll::Ready(Next::Dry) => {}
            Poll::Ready(Next::Later(_)) => unreachable!("not paced"),
            Poll::Ready(Next::Ended(reason)) => {
                assert_eq!(reason, EndReason::Finished);
                return last;
            }
            Poll::Pending => unpark.wait(),
        }
    }
}

fn publish(origin: &Origin, name: &StreamName, start: Instant) {
    let mut publisher = origin.publish(name, start).unwrap();
    publisher.write(config(TrackId::VIDEO, b"c"), start).unwrap();
    for i in 0..PACKETS / 2 {
        publisher.write(if i % 50 == 0 { key(i * 40) } else { video(i * 40) }, start).unwrap();
        publisher.write(audio(i * 40), start).unwrap();
    }
    publisher.finish();
}

fn eight_readers(with_shards: bool) {
    let rig = Rig::new(Config { shards: 2, ..Config::default() });
    let (origin, name, start) = (&rig.origin, &rig.name, rig.now);
    let options = |shard| ReadOptions { pace: None, shard, ..ReadOptions::default() };
    // The readers are there first, so that none comes after the end.
    let readers: Vec<_> = (0..8).map(|i| origin.read(name, options(i), start).unwrap()).collect();
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let shards: Vec<_> = (0..2).filter(|_| with_shards).filter_map(|i| origin.shard(i)).collect();
        let shards: Vec<_> = shards
            .into_iter()
            .map(|shard| {
                scope.spawn(move || {
                    let unpark = Unpark::here();
                    let waker = Waker::from(unpark.clone());
                    let mut shard = pin!(shard);
                    while !done.load(Ordering::Acquire) {
                        assert!(shard.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                        unpark.wait();
                    }
                })
            })
            .collect();
        let readers: Vec<_> =
            readers.into_iter().map(|reader| scope.spawn(move || read_to_end(reader, start))).collect();
        publish(origin, name, start);
        let ends: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        done.store(true, Ordering::Release);
        // A shard that parks is woken by a stream that has a waiting reader.
        let mut waiting: Vec<_> = (0..2).map(|i| origin.read(name, options(i), start).unwrap()).collect();
        let waker = Waker::noop();
        for reader in &mut waiting {
            let mut batch = Vec::new();
            let next =
                reader.poll_next(start, &mut batch, BatchLimits::default(), &mut Context::from_waker(waker));
            assert!(next.is_pending());
        }
        publish(origin, name, start);
        shards.into_iter().for_each(|shard| shard.join().unwrap());
        for end in ends {
            assert_eq!(end.unwrap(), Some((PACKETS / 2 - 1) * 40), "everyone sees the last picture");
        }
    });
}

#[test]
fn eight_threads_read_what_one_publishes() {
    eight_readers(false);
}

#[test]
fn eight_threads_read_what_one_publishes_woken_by_shards() {
    eight_readers(true);
}
