//! Random histories, checked against a model that remembers everything that was written.

use crate::testing::packet::{config, frame};
use crate::testing::{CountingWaker, Rig};
use crate::{
    BatchLimits, Config, Entry, Next, Publisher, ReadOptions, Reader, SecondPublisher, SeekError, Start,
};
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
    Lose(usize),
    /// From the active publisher (0) or another.
    Video {
        which: usize,
        low: bool,
        key: bool,
    },
    Audio(usize),
    Config {
        which: usize,
        track: TrackId,
        version: u8,
    },
    /// So many GOPs of ten frames with audio, from the active one.
    Gops(u8),
    ClockStartsAnew,
    Flush,
    Pass(u64),
    Join {
        start: Start,
        paced: bool,
        video_first: bool,
        video: bool,
    },
    Leave(usize),
    Pause(usize),
    Resume(usize),
    /// One reader goes so many milliseconds back from the newest packet.
    Seek(usize, u64),
    /// One reader, so many packets at most.
    Poll(usize, usize),
    PollAll,
}

/// Mostly the active publisher.
fn which() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 1 => 1..3usize]
}

fn op() -> impl Strategy<Value = Op> {
    let track = prop_oneof![Just(TrackId::VIDEO), Just(TrackId::AUDIO), Just(LOW)];
    let start = prop_oneof![
        Just(Start::Live),
        (0..4000u64).prop_map(|ms| Start::Behind(Duration::from_millis(ms))),
        (0..10_000i64).prop_map(|ms| Start::AtPts(Time::from_millis(ms))),
    ];
    prop_oneof![
        2 => Just(Op::Publish),
        1 => any::<usize>().prop_map(Op::Lose),
        6 => (which(), any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(which, low, key)| Op::Video { which, low, key }),
        4 => which().prop_map(Op::Audio),
        2 => (which(), track, 0..4u8)
            .prop_map(|(which, track, version)| Op::Config { which, track, version }),
        3 => (1..8u8).prop_map(Op::Gops),
        1 => Just(Op::ClockStartsAnew),
        2 => Just(Op::Flush),
        2 => (0..6000u64).prop_map(Op::Pass),
        2 => (start, any::<bool>(), any::<bool>(), prop::bool::weighted(0.8))
            .prop_map(|(start, paced, video_first, video)| Op::Join { start, paced, video_first, video }),
        1 => any::<usize>().prop_map(Op::Leave),
        2 => any::<usize>().prop_map(Op::Pause),
        2 => any::<usize>().prop_map(Op::Resume),
        2 => (any::<usize>(), 0..5000u64).prop_map(|(which, back)| Op::Seek(which, back)),
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
    paused: bool,
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
        assert!(!self.paused || batch.is_empty(), "paused");
        // Only the end wakes one that is paused.
        self.pending = (next.is_pending() && !self.paused).then(|| self.counter.wakes());
        self.ended |= matches!(next, Poll::Ready(Next::Ended(_)));
        let skipped = self.reader.stats().packets_skipped;
        batch.iter().for_each(|entry| self.check(entry, model, skipped));
        matches!(next, Poll::Ready(Next::Packets | Next::Dry))
    }

    fn seek(&mut self, rig: &Rig, back: u64) {
        let Some((first, last)) = self.reader.reach(rig.now) else {
            return;
        };
        let dts = last - Duration::from_millis(back);
        match self.reader.seek(dts, rig.now) {
            Ok(found) => {
                assert!((first..=last).contains(&dts));
                self.last.clear();
                self.pending = None;
                assert!(found >= first && found <= last);
            }
            Err(SeekError::Outside { .. }) => assert!(dts < first),
            Err(SeekError::Nothing) => assert!(self.ended),
        }
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

/// A publisher, and what the model knows of it.
struct Source {
    publisher: Publisher,
    begun: bool,
    clock: i64,
    /// What it has said while it stood by: configurations, and whether there is video.
    held: Option<(HashMap<TrackId, Bytes>, bool)>,
}

struct History {
    rig: Rig,
    model: Model,
    config: Config,
    /// The active one first, then those on stand-by.
    sources: Vec<Source>,
    readers: Vec<Seen>,
}

impl History {
    fn new(second_publisher: SecondPublisher, batch: u64) -> Self {
        let config = Config {
            second_publisher,
            batch: Duration::from_millis(batch),
            log_bytes_max: BYTES_MAX,
            log_packets_max: PACKETS_MAX,
            ..Config::default()
        };
        let rig = Rig::new(config.clone());
        Self { rig, model: Model::default(), config, sources: Vec::new(), readers: Vec::new() }
    }

    fn publish(&mut self) {
        let stands_by = self.config.second_publisher == SecondPublisher::StandBy && !self.sources.is_empty();
        if stands_by && self.sources.len() > self.config.limits.standby_max {
            assert!(self.rig.origin.publish(&self.rig.name, self.rig.now).is_err());
            return;
        }
        let publisher = self.rig.publish();
        assert_eq!(publisher.is_standby(), stands_by);
        if !stands_by {
            // Dropped after the new one has taken over.
            self.sources.clear();
        }
        let held = stands_by.then(Default::default);
        self.sources.push(Source { publisher, begun: false, clock: 0, held });
    }

    /// Writes to the active publisher, or to another.
    fn write(&mut self, which: usize, mut packet: Packet) {
        let Some(source) = self.sources.get_mut(which) else {
            return;
        };
        let is_video = packet.track.kind == Kind::Video;
        if let Some((configs, video)) = &mut source.held {
            let opens = packet.is_video_keyframe()
                || (!*video && packet.track.kind == Kind::Audio && packet.role == Role::Frame);
            if which > 0 || !opens {
                *video |= is_video;
                if packet.role == Role::Config {
                    configs.insert(packet.track, packet.payload.clone());
                }
                source.publisher.write(packet, self.rig.now).unwrap();
                return;
            }
        }
        if !std::mem::replace(&mut source.begun, true) {
            self.model.begin_session();
            if let Some((configs, _)) = source.held.take() {
                self.model.configs = configs;
            }
        }
        let admitted = self.model.admit(&mut packet);
        source.publisher.write(packet, self.rig.now).unwrap();
        if admitted && source.publisher.flush_at().is_none() {
            self.check_woken();
        }
        let log = self.rig.origin.stream(&self.rig.name).unwrap().log;
        assert!(log.bytes <= BYTES_MAX && log.packets <= PACKETS_MAX, "{log:?}");
    }

    fn check_woken(&mut self) {
        for seen in &mut self.readers {
            if let Some(before) = seen.pending.take() {
                assert!(seen.counter.wakes() > before, "a waiting reader was not woken");
            }
        }
    }

    fn frame(&mut self, which: usize, step: i64, track: TrackId, key: bool) {
        if let Some(source) = self.sources.get_mut(which) {
            source.clock += step;
            let clock = source.clock;
            self.write(which, frame(track, clock, key));
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Publish => self.publish(),
            Op::Lose(which) => {
                if !self.sources.is_empty() {
                    self.sources.remove(which % self.sources.len());
                }
            }
            Op::Video { which, low, key } => {
                self.frame(which, 20, if low { LOW } else { TrackId::VIDEO }, key);
            }
            Op::Audio(which) => self.frame(which, 7, TrackId::AUDIO, false),
            Op::Config { which, track, version } => self.write(which, config(track, &[version])),
            Op::Gops(count) => {
                for i in 0..u32::from(count) * 10 {
                    self.frame(0, 100, TrackId::VIDEO, i % 10 == 0);
                    self.frame(0, 0, TrackId::AUDIO, false);
                }
            }
            Op::ClockStartsAnew => self.sources.iter_mut().for_each(|source| source.clock = 0),
            Op::Flush => {
                if let Some(source) = self.sources.first_mut()
                    && source.publisher.flush_at().is_some()
                {
                    source.publisher.flush();
                    self.check_woken();
                }
            }
            Op::Pass(millis) => self.rig.pass(millis),
            Op::Join { start, paced, video_first, video } => {
                let pace = paced.then_some(2.0);
                let options = ReadOptions { start, pace, video_first, video, ..ReadOptions::default() };
                self.readers.push(Seen {
                    reader: self.rig.read_with(options),
                    counter: CountingWaker::new(),
                    pending: None,
                    ended: false,
                    paused: false,
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
            Op::Pause(which) => {
                if let Some(seen) = self.pick(which) {
                    seen.reader.pause();
                    (seen.paused, seen.pending) = (true, None);
                }
            }
            Op::Resume(which) => {
                let now = self.rig.now;
                if let Some(seen) = self.pick(which) {
                    seen.reader.resume(now);
                    (seen.paused, seen.pending) = (false, None);
                }
            }
            Op::Seek(which, back) => {
                if !self.readers.is_empty() {
                    let which = which % self.readers.len();
                    self.readers[which].seek(&self.rig, back);
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

    fn pick(&mut self, which: usize) -> Option<&mut Seen> {
        let count = self.readers.len().max(1);
        self.readers.get_mut(which % count)
    }

    fn poll_all(&mut self) {
        for seen in &mut self.readers {
            while seen.poll(&self.rig, &mut self.model, 1000) {}
        }
    }

    /// Lets the stream end, and all who read it.
    fn finish(mut self) {
        self.apply(Op::Flush);
        for _ in 0..20 {
            self.poll_all();
            self.rig.pass(1000);
        }
        if self.sources.first().is_some_and(|source| source.begun) {
            self.check_arrived();
        }
        // Those on stand-by first, so that the stream is lost once.
        while self.sources.pop().is_some() {}
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
        for seen in self.readers.iter().filter(|seen| !seen.ended && !seen.paused) {
            let stats = seen.reader.stats();
            // After a skip a track begins again at a keyframe, which may not have come.
            if stats.waiting || stats.packets_skipped > 0 {
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
    fn every_reader_sees_whole_gops_in_order_with_their_configuration(
        second in prop_oneof![Just(SecondPublisher::TakeOver), Just(SecondPublisher::StandBy)],
        batch in prop_oneof![Just(0), Just(20u64)],
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut history = History::new(second, batch);
        for op in ops {
            history.apply(op);
        }
        history.finish();
    }
}
