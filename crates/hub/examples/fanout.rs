//! What it costs to wake a reader and to let it pick: `cargo run --release -p rushlight-hub --example fanout`.
//!
//! Each round writes one packet and lets every reader pick it. The wakers stand for tasks of a runtime: waking one
//! pushes its number to its thread's queue. Figures are nanoseconds per reader and packet.

use bytes::Bytes;
use hub::{BatchLimits, Config, Entry, Next, Origin, Publisher, ReadOptions, Reader};
use media::{Codec, Flags, Packet, Role, StreamName, Time, TrackId};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// The run queue of one thread.
type Queue = Arc<Mutex<Vec<usize>>>;

struct Task {
    number: usize,
    queue: Queue,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.queue.lock().unwrap().push(self.number);
    }
}

fn packet(index: i64) -> Packet {
    Packet {
        track: TrackId::VIDEO,
        codec: Codec::H264,
        role: Role::Frame,
        flags: Flags { keyframe: index % 60 == 0, disposable: false },
        dts: Time::from_millis(index * 33),
        pts: Time::from_millis(index * 33),
        payload: Bytes::from_static(&[0; 5000]),
    }
}

struct Readers {
    readers: Vec<(Reader, Waker)>,
    queue: Queue,
    ready: Vec<usize>,
    batch: Vec<Arc<Entry>>,
}

impl Readers {
    fn join(origin: &Origin, name: &StreamName, count: usize, shard: usize, now: Instant) -> Self {
        let queue = Queue::default();
        let readers = (0..count)
            .map(|number| {
                let options = ReadOptions { shard, pace: None, ..ReadOptions::default() };
                let waker = Waker::from(Arc::new(Task { number, queue: queue.clone() }));
                (origin.read(name, options, now).expect("there is room"), waker)
            })
            .collect();
        Self { readers, queue, ready: (0..count).collect(), batch: Vec::new() }
    }

    /// Polls those that are ready until they wait; how many packets they got.
    fn run(&mut self, now: Instant) -> usize {
        self.ready.append(&mut self.queue.lock().unwrap());
        let mut packets = 0;
        for number in self.ready.drain(..) {
            let (reader, waker) = &mut self.readers[number];
            let mut cx = Context::from_waker(waker);
            while let Poll::Ready(Next::Packets) =
                reader.poll_next(now, &mut self.batch, BatchLimits::default(), &mut cx)
            {
                packets += self.batch.len();
                self.batch.clear();
            }
        }
        packets
    }
}

fn per_reader(total: Duration, readers: usize, rounds: usize) -> f64 {
    total.as_nanos() as f64 / (readers * rounds) as f64
}

/// One thread: the publisher wakes, then each reader picks.
fn one_thread(count: usize, packets_per_round: usize) {
    let (origin, name, start) = (Origin::new(Config::default()), stream(), Instant::now());
    let mut publisher = origin.publish(&name, start).expect("the name is free");
    for index in 0..60 {
        publisher.write(packet(index), start).expect("it is the only one");
    }
    let mut readers = Readers::join(&origin, &name, count, 0, start);
    let begun = Instant::now();
    let joined = readers.run(start);
    let join = per_reader(begun.elapsed(), count, 1);
    let (mut index, rounds) = (60, 400);
    let (mut wake, mut pick) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        let begun = Instant::now();
        for _ in 0..packets_per_round {
            publisher.write(packet(index), start).expect("it is the only one");
            index += 1;
        }
        let woken = Instant::now();
        let picked = readers.run(start);
        assert_eq!(picked, count * packets_per_round);
        wake += woken - begun;
        pick += woken.elapsed();
    }
    println!(
        "1 thread, {count} readers, {packets_per_round} packets: wake {:.0}, pick {:.0}; join {join:.0} for {}",
        per_reader(wake, count, rounds),
        per_reader(pick, count, rounds),
        joined / count
    );
}

/// As many reading threads as given, each with its shard, and one that writes as fast as they follow.
fn threads(count: usize, threads: usize) {
    let origin = Origin::new(Config { shards: threads, ..Config::default() });
    let (name, start, rounds) = (stream(), Instant::now(), 400);
    let mut publisher = origin.publish(&name, start).expect("the name is free");
    publisher.write(packet(0), start).expect("it is the only one");
    let (picked, busy) = (AtomicU64::new(0), AtomicU64::new(0));
    let write = std::thread::scope(|scope| {
        for index in 0..threads {
            let (origin, name, picked, busy) = (&origin, &name, &picked, &busy);
            scope.spawn(move || {
                follow(origin, name, index, count / threads, (rounds + 1) as u64, picked, busy)
            });
        }
        write_in_step(&mut publisher, rounds, (count / threads * threads) as u64, start, &picked)
    });
    println!(
        "{threads} threads with shards, {count} readers: write and wake {:.0} per packet, wake and pick {:.0} per reader",
        write.as_nanos() as f64 / rounds as f64,
        per_reader(Duration::from_nanos(busy.load(Ordering::Relaxed)), count, rounds),
    );
}

/// Writes the next packet when all readers have the last; the time spent in writing.
fn write_in_step(
    publisher: &mut Publisher,
    rounds: usize,
    readers: u64,
    now: Instant,
    picked: &AtomicU64,
) -> Duration {
    let mut spent = Duration::ZERO;
    for round in 0..rounds {
        while picked.load(Ordering::Acquire) < readers * (round as u64 + 1) {
            std::thread::yield_now();
        }
        let packet = packet(round as i64 + 1);
        let begun = Instant::now();
        publisher.write(packet, now).expect("it is the only one");
        spent += begun.elapsed();
    }
    spent
}

/// A thread with `count` readers, until each has `packets`.
fn follow(
    origin: &Origin,
    name: &StreamName,
    index: usize,
    count: usize,
    packets: u64,
    picked: &AtomicU64,
    busy: &AtomicU64,
) {
    let start = Instant::now();
    let mut shard = pin!(origin.shard(index).expect("one for each thread"));
    let mut readers = Readers::join(origin, name, count, index, start);
    let mut left = packets * count as u64;
    let shard_queue = Queue::default();
    let shard_waker = Waker::from(Arc::new(Task { number: 0, queue: shard_queue.clone() }));
    let mut spent = Duration::ZERO;
    while left > 0 {
        let begun = Instant::now();
        let woken = !std::mem::take(&mut *shard_queue.lock().unwrap()).is_empty();
        if woken || left == packets * count as u64 {
            assert!(shard.as_mut().poll(&mut Context::from_waker(&shard_waker)).is_pending());
        }
        let got = readers.run(start) as u64;
        if got > 0 {
            spent += begun.elapsed();
            left -= got;
            picked.fetch_add(got, Ordering::Release);
        } else {
            std::thread::yield_now();
        }
    }
    busy.fetch_add(spent.as_nanos() as u64, Ordering::Relaxed);
}

fn stream() -> StreamName {
    StreamName::parse("live", "fanout").expect("a good name")
}

fn main() {
    for count in [1000, 5000] {
        one_thread(count, 1);
        one_thread(count, 4);
    }
    for count in [1000, 5000] {
        threads(count, 1);
        threads(count, 2);
    }
    println!("a reader takes {} bytes", size_of::<Reader>());
}
