//! Random histories, checked against a model that remembers everything that was written.

use crate::testing::packet::{config, frame};
use crate::testing::{CountingWaker, Rig};
use crate::{BatchLimits, Config, Entry, Next, Publisher, ReadOptions, Reader, SecondPublisher, Start};
use bytes::Bytes;
use media::{Kind, Packet, Role, Time, TrackId};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

const LOW: TrackId = TrackId::video(1);
const BYTES_MAX: usize = 20_000;
const PACKETS_MAX: usize = 120;

#[derive(Debug, Clone)]
enum Op {
    Publish,
    Lose,
    Video {
        low: bool,
        key: bool,
    },
    Audio,
    Config {
        track: TrackId,
        version: u8,
    },
    /// So many GOPs of ten frames with audio.
    Gops(u8),
    ClockStartsAnew,
    Pass(u64),
    Join {
        start: Start,
        paced: bool,
        video_first: bool,
        video: bool,
    },
    Leave(usize),
    /// One reader, so many packets at most.
    Poll(usize, usize),
    PollAll,
}

fn op() -> impl Strategy<Value = Op> {
    let track = prop_oneof![Just(TrackId::VIDEO), Just(TrackId::AUDIO), Just(LOW)];
    let start = prop_oneof![
        Just(Start::Live),
        (0..4000u64).prop_map(|ms| Start::Behind(Duration::from_millis(ms))),
        (0..10_000i64).prop_map(|ms| Start::AtPts(Time::from_millis(ms))),
    ];
    prop_oneof![
        1 => Just(Op::Publish),
        1 => Just(Op::Lose),
        6 => (any::<bool>(), prop::bool::weighted(0.3)).prop_map(|(low, key)| Op::Video { low, key }),
        4 => Just(Op::Audio),
        2 => (track, 0..4u8).prop_map(|(track, version)| Op::Config { track, version }),
        3 => (1..8u8).prop_map(Op::Gops),
        1 => Just(Op::ClockStartsAnew),
        2 => (0..6000u64).prop_map(Op::Pass),
        2 => (start, any::<bool>(), any::<bool>(), prop::bool::weighted(0.8))
            .prop_map(|(start, paced, video_first, video)| Op::Join { start, paced, video_first, video }),
        1 => any::<usize>().prop_map(Op::Leave),
        5 => (any::<usize>(), 1..20usize).prop_map(|(which, packets)| Op::Poll(which, packets)),
        3 => Just(Op::PollAll),
    ]
}

/// A packet that the hub must have admitted.
#[derive(Debug, Clone)]
struct Written {
    track: TrackId,
    key: bool,
    /// Its number among the frames of its track.
    of_track: usize,
    /// The configuration that it needs.
    config: Option<Bytes>,
}

/// What the model knows: every frame that was admitted, by the number that its payload begins with.
#[derive(Default)]
struct Model {
    frames: Vec<Written>,
    per_track: HashMap<TrackId, usize>,
    configs: HashMap<TrackId, Bytes>,
    open: Vec<TrackId>,
    /// The time that the hub gave each frame.
    dts: HashMap<usize, Time>,
}

impl Model {
    fn begin_session(&mut self) {
        self.configs.clear();
        self.open.clear();
    }

    /// Whether `packet` is to be admitted; a frame is marked with its number.
    fn admit(&mut self, packet: &mut Packet) -> bool {
        if packet.role == Role::Config {
            self.configs.insert(packet.track, packet.payload.clone());
            return true;
        }
        if packet.track.kind == Kind::Video {
            if !self.open.contains(&packet.track) && !packet.flags.keyframe {
                return false;
            }
            self.open.push(packet.track);
        }
        let mut payload = self.frames.len().to_le_bytes().to_vec();
        payload.resize(packet.payload.len(), 0);
        packet.payload = payload.into();
        let count = self.per_track.entry(packet.track).or_default();
        self.frames.push(Written {
            track: packet.track,
            key: packet.flags.keyframe,
            of_track: *count,
            config: self.configs.get(&packet.track).cloned(),
        });
        *count += 1;
        true
    }
}

/// A reader, and what it has seen.
struct Seen {
    reader: Reader,
    counter: Arc<CountingWaker>,
    /// It waits, and was woken so often before.
    pending: Option<usize>,
    ended: bool,
    last: HashMap<TrackId, (usize, Time)>,
    configs: HashMap<TrackId, Bytes>,
    video_first: bool,
}

impl Seen {
    fn poll(&mut self, rig: &Rig, model: &mut Model, packets_max: usize) -> bool {
        let (mut batch, waker) = (Vec::new(), self.counter.waker());
        let limits = BatchLimits { packets_max, bytes_max: BYTES_MAX };
        let next = self.reader.poll_next(rig.now, &mut batch, limits, &mut Context::from_waker(&waker));
        assert!(batch.len() <= packets_max);
        assert_eq!(batch.is_empty(), next != Poll::Ready(Next::Packets));
        self.pending = next.is_pending().then(|| self.counter.wakes());
        self.ended |= matches!(next, Poll::Ready(Next::Ended(_)));
        let skipped = self.reader.stats().packets_skipped;
        batch.iter().for_each(|entry| self.check(entry, model, skipped));
        next == Poll::Ready(Next::Packets)
    }

    fn check(&mut self, entry: &Entry, model: &mut Model, skipped: u64) {
        let packet = &entry.packet;
        if packet.role == Role::Config {
            self.configs.insert(packet.track, packet.payload.clone());
            return;
        }
        let number = usize::from_le_bytes(packet.payload[..8].try_into().unwrap());
        let written = &model.frames[number];
        assert_eq!(written.track, packet.track);
        assert_eq!(*model.dts.entry(number).or_insert(packet.dts), packet.dts, "one time for all readers");
        if let Some(config) = &written.config {
            assert_eq!(self.configs.get(&packet.track), Some(config), "frame {number} of {}", packet.track);
        }
        match self.last.insert(packet.track, (written.of_track, packet.dts)) {
            None => assert!(written.key || packet.track.kind != Kind::Video, "starts at a keyframe"),
            Some((last, dts)) => {
                assert!(packet.dts >= dts, "time goes back: {dts:?} {:?}", packet.dts);
                assert!(written.of_track > last, "out of order");
                if written.of_track > last + 1 {
                    assert!(written.key || packet.track.kind != Kind::Video, "a hole before a frame");
                    assert!(skipped > 0 || (self.video_first && packet.track.kind == Kind::Audio), "lost");
                }
            }
        }
    }
}

struct History {
    rig: Rig,
    model: Model,
    publisher: Option<Publisher>,
    begun: bool,
    clock: i64,
    readers: Vec<Seen>,
}

impl History {
    fn new() -> Self {
        let rig = Rig::new(Config {
            second_publisher: SecondPublisher::TakeOver,
            log_bytes_max: BYTES_MAX,
            log_packets_max: PACKETS_MAX,
            ..Config::default()
        });
        Self { rig, model: Model::default(), publisher: None, begun: false, clock: 0, readers: Vec::new() }
    }

    fn write(&mut self, mut packet: Packet) {
        let Some(publisher) = &mut self.publisher else {
            return;
        };
        if !std::mem::replace(&mut self.begun, true) {
            self.model.begin_session();
        }
        let admitted = self.model.admit(&mut packet);
        publisher.write(packet, self.rig.now).unwrap();
        if admitted {
            for seen in &mut self.readers {
                if let Some(before) = seen.pending.take() {
                    assert!(seen.counter.wakes() > before, "a waiting reader was not woken");
                }
            }
        }
        let log = self.rig.origin.stream(&self.rig.name).unwrap().log;
        assert!(log.bytes <= BYTES_MAX && log.packets <= PACKETS_MAX, "{log:?}");
    }

    fn frame(&mut self, track: TrackId, key: bool) {
        self.write(frame(track, self.clock, key));
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Publish => {
                // The old publisher is dropped after the new one has taken over.
                self.publisher = Some(self.rig.publish());
                (self.begun, self.clock) = (false, 0);
            }
            Op::Lose => self.publisher = None,
            Op::Video { low, key } => {
                self.clock += 20;
                self.frame(if low { LOW } else { TrackId::VIDEO }, key);
            }
            Op::Audio => {
                self.clock += 7;
                self.frame(TrackId::AUDIO, false);
            }
            Op::Config { track, version } => {
                let packet = config(track, &[version]);
                self.write(Packet { dts: Time::from_millis(self.clock), ..packet });
            }
            Op::Gops(count) => {
                for i in 0..u32::from(count) * 10 {
                    self.frame(TrackId::VIDEO, i % 10 == 0);
                    self.frame(TrackId::AUDIO, false);
                    self.clock += 100;
                }
            }
            Op::ClockStartsAnew => self.clock = 0,
            Op::Pass(millis) => self.rig.pass(millis),
            Op::Join { start, paced, video_first, video } => {
                let pace = paced.then_some(2.0);
                let options = ReadOptions { start, pace, video_first, video, ..ReadOptions::default() };
                self.readers.push(Seen {
                    reader: self.rig.read_with(options),
                    counter: CountingWaker::new(),
                    pending: None,
                    ended: false,
                    last: HashMap::new(),
                    configs: HashMap::new(),
                    video_first,
                });
            }
            Op::Leave(which) => {
                if !self.readers.is_empty() {
                    self.readers.swap_remove(which % self.readers.len());
                }
            }
            Op::Poll(which, packets) => {
                if !self.readers.is_empty() {
                    let which = which % self.readers.len();
                    self.readers[which].poll(&self.rig, &mut self.model, packets);
                }
            }
            Op::PollAll => self.poll_all(),
        }
    }

    fn poll_all(&mut self) {
        for seen in &mut self.readers {
            while seen.poll(&self.rig, &mut self.model, 1000) {}
        }
    }

    /// Lets the stream end, and all who read it.
    fn finish(mut self) {
        for _ in 0..20 {
            self.poll_all();
            self.rig.pass(1000);
        }
        if self.publisher.is_some() {
            self.check_arrived();
        }
        self.publisher = None;
        for _ in 0..20 {
            self.poll_all();
            self.rig.pass(1000);
        }
        assert!(self.readers.iter().all(|seen| seen.ended));
        self.readers.clear();
        assert!(self.rig.origin.streams().is_empty());
    }

    /// Everyone who has begun a track and has caught up has its last frame.
    fn check_arrived(&self) {
        for seen in self.readers.iter().filter(|seen| !seen.ended) {
            let stats = seen.reader.stats();
            // After a skip a track begins again at a keyframe, which may not have come.
            if !self.begun || stats.waiting || stats.packets_skipped > 0 {
                continue;
            }
            assert!(stats.live);
            for (track, (last, _)) in seen.last.iter().filter(|(track, _)| track.kind == Kind::Audio) {
                assert_eq!(last + 1, self.model.per_track[track], "{track}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_sees_whole_gops_in_order_with_their_configuration(ops in prop::collection::vec(op(), 1..120)) {
        let mut history = History::new();
        for op in ops {
            history.apply(op);
        }
        history.finish();
    }
}
