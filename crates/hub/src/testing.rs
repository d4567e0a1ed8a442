//! What the tests share.

use crate::{BatchLimits, Config, EndReason, Entry, Next, Origin, Publisher, ReadOptions, Reader};
use media::{Kind, Packet, Role, StreamName, Time};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

pub(crate) fn ms(millis: i64) -> Time {
    Time::from_millis(millis)
}

/// A waker that counts.
pub(crate) struct CountingWaker(AtomicUsize);

impl CountingWaker {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(0)))
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(self.clone())
    }

    pub(crate) fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// An origin on a virtual clock, with one stream that matters.
pub(crate) struct Rig {
    pub(crate) origin: Origin,
    pub(crate) name: StreamName,
    pub(crate) now: Instant,
    pub(crate) waker: Arc<CountingWaker>,
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            origin: Origin::new(config),
            name: StreamName::parse("live", "test").unwrap(),
            now: Instant::now(),
            waker: CountingWaker::new(),
        }
    }

    pub(crate) fn publish(&self) -> Publisher {
        self.origin.publish(&self.name, self.now).unwrap()
    }

    /// A reader that is not paced.
    pub(crate) fn read(&self) -> Reader {
        self.read_with(ReadOptions { pace: None, ..ReadOptions::default() })
    }

    pub(crate) fn read_with(&self, options: ReadOptions) -> Reader {
        self.origin.read(&self.name, options, self.now).unwrap()
    }

    /// Writes packets that the hub takes.
    pub(crate) fn write(&self, publisher: &mut Publisher, packets: impl IntoIterator<Item = Packet>) {
        for packet in packets {
            publisher.write(packet, self.now).unwrap();
        }
    }

    /// Lets time pass, with the ticks of a driver.
    pub(crate) fn pass(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while let Some(at) = self.origin.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.origin.handle_timeout(self.now);
        }
        self.now = until;
    }

    /// Polls once.
    pub(crate) fn poll(&self, reader: &mut Reader, limits: BatchLimits) -> (Poll<Next>, Vec<Arc<Entry>>) {
        let mut batch = Vec::new();
        let waker = self.waker.waker();
        let next = reader.poll_next(self.now, &mut batch, limits, &mut Context::from_waker(&waker));
        assert_eq!(matches!(next, Poll::Ready(Next::Packets)), !batch.is_empty());
        (next, batch)
    }

    /// Polls until there is no more, and tells why.
    pub(crate) fn drain(&self, reader: &mut Reader) -> (Vec<Arc<Entry>>, Rest) {
        let mut all = Vec::new();
        loop {
            match self.poll(reader, BatchLimits::default()) {
                (Poll::Ready(Next::Packets), batch) => all.extend(batch),
                (Poll::Ready(Next::Later(at)), _) => return (all, Rest::Later(at - self.now)),
                (Poll::Ready(Next::Ended(reason)), _) => return (all, Rest::Ended(reason)),
                (Poll::Ready(Next::Dry), _) => {}
                (Poll::Pending, _) => return (all, Rest::Pending),
            }
        }
    }

    /// What a reader gets until it has to wait, in short: see [`short`].
    pub(crate) fn got(&self, reader: &mut Reader) -> String {
        short(&self.drain(reader).0)
    }
}

/// Why there is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    Pending,
    Later(Duration),
    Ended(EndReason),
}

/// Packets in short: `K` keyframe, `V` video frame, `A` audio frame, each with its index if that is not 0 and its time in
/// milliseconds; other packets as their payload in brackets.
pub(crate) fn short(entries: &[Arc<Entry>]) -> String {
    let one = |entry: &Arc<Entry>| {
        let packet = &entry.packet;
        if packet.role != Role::Frame {
            return format!("[{}]", String::from_utf8_lossy(&packet.payload));
        }
        let kind = match packet.track.kind {
            Kind::Video if packet.flags.keyframe => "K",
            Kind::Video => "V",
            Kind::Audio => "A",
            Kind::Data => "D",
        };
        let index = match packet.track.index {
            0 => String::new(),
            index => format!("/{index}:"),
        };
        format!("{kind}{index}{}", packet.dts.millis())
    };
    entries.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Packets, with times in milliseconds.
pub(crate) mod packet {
    use super::ms;
    use bytes::Bytes;
    use media::{Codec, Flags, Kind, Packet, Role, TrackId};

    pub(crate) fn frame(track: TrackId, dts: i64, keyframe: bool) -> Packet {
        Packet {
            track,
            codec: if track.kind == Kind::Video { Codec::H264 } else { Codec::Aac },
            role: Role::Frame,
            flags: Flags { keyframe, disposable: false },
            dts: ms(dts),
            pts: ms(dts),
            payload: Bytes::from(vec![0; if keyframe { 1000 } else { 100 }]),
        }
    }

    pub(crate) fn key(dts: i64) -> Packet {
        frame(TrackId::VIDEO, dts, true)
    }

    pub(crate) fn video(dts: i64) -> Packet {
        frame(TrackId::VIDEO, dts, false)
    }

    pub(crate) fn audio(dts: i64) -> Packet {
        frame(TrackId::AUDIO, dts, false)
    }

    pub(crate) fn kept(track: TrackId, role: Role, payload: &[u8]) -> Packet {
        Packet { role, payload: Bytes::copy_from_slice(payload), ..frame(track, 0, false) }
    }

    pub(crate) fn config(track: TrackId, payload: &[u8]) -> Packet {
        kept(track, Role::Config, payload)
    }
}
