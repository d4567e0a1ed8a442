//! The path from the hub to a socket: pick, pack, write.
//!
//! One implementation for every protocol that sends packets over a TCP connection. The protocol supplies a [`Form`];
//! joining, pacing, batching, a full socket and skipping when behind are the same for all.

use crate::metrics::{JoinStage, ProtocolMetrics};
use crate::sessions::SessionGuard;
use bytes::{Bytes, BytesMut};
use hub::{BatchLimits, EndReason, Entry, FormKey, Next, Reader, SeekError};
use media::{Kind, Packet, Role, Time};
use net::{Outbox, Stream};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::time::Sleep;

/// How packets look on one kind of connection. Computed once per packet and key, shared by all readers.
pub(crate) trait Form {
    /// Names this form; equal keys mean equal bytes.
    fn key(&self) -> FormKey;
    /// Serialises a packet.
    fn build(&self, packet: &Packet) -> Bytes;
}

/// The time that a packet carries in FLV and RTMP. `onMetaData` is about the whole stream and carries zero: ffmpeg takes
/// it for a text track of its own otherwise.
pub(crate) fn tag_time(packet: &Packet) -> Time {
    if packet.is_on_meta_data() { Time::ZERO } else { packet.dts }
}

/// The newest time up to `last` that [`tag_time`] shows as `ms` modulo 2^32, or the oldest after it if that is nearer.
fn time_shown_as(ms: u32, last: Time) -> Time {
    let distance = ms.wrapping_sub(last.millis() as u32) as i32;
    if distance == 0 {
        return last;
    }
    // Its last nanosecond, since a packet is shown with the milliseconds below it.
    Time::from_nanos(Time::from_millis(last.millis() + i64::from(distance) + 1).nanos() - 1)
}

/// The containers of form keys, so that no two protocols can meet.
pub(crate) mod container {
    pub(crate) const FLV: u16 = 1;
    pub(crate) const FLV_WEBSOCKET: u16 = 2;
    pub(crate) const RTMP: u16 = 3;
}

/// One pick. Large enough for a third of a second of several tracks in one write, small enough that a reader that joins
/// with a long backlog lets the others of its thread run in between.
const BATCH: BatchLimits = BatchLimits { packets_max: 128, bytes_max: 512 * 1024 };

thread_local! {
    /// The packets of the batch at hand: one allocation per thread instead of one per viewer.
    static PICKED: RefCell<Vec<Arc<Entry>>> = const { RefCell::new(Vec::new()) };
}

/// What one connection adds to the packets that it carries. A closure is one that only adds a head.
pub(crate) trait Carrier {
    /// Makes what must precede the first packets (response head, file header), given the first batch; empty later.
    fn head(&mut self, batch: &[Arc<Entry>]) -> Bytes;

    /// Whether [`Carrier::seal`] does anything. If so, the connection gets a copy of each packet to itself.
    fn seals(&self) -> bool {
        false
    }

    /// Encrypts what is about to be sent, in order.
    fn seal(&mut self, _bytes: &mut [u8]) {}
}

impl<F: FnMut(&[Arc<Entry>]) -> Bytes> Carrier for F {
    fn head(&mut self, batch: &[Arc<Entry>]) -> Bytes {
        self(batch)
    }
}

/// Sends what one reader picks.
pub(crate) struct Egress {
    reader: Reader,
    metrics: ProtocolMetrics,
    guard: SessionGuard,
    /// Armed only while a backlog is paced.
    timer: Option<Pin<Box<Sleep>>>,
    join: Join,
    /// What of `ReaderStats` the metrics have already seen: packets and groups of pictures.
    skipped: (u64, u64),
    written: Written,
    select: Select,
}

/// Bytes and writes that the counters have not seen. They are shared by all threads: adding to them on every write would
/// move their cache line between cores thousands of times a second.
#[derive(Default)]
struct Written {
    bytes: u64,
    writes: u64,
}

/// Writes that are counted together: with 30 of them a second, the counters are half a second late.
const WRITES_REPORTED_TOGETHER: u64 = 16;

/// Which kinds the player wants now.
#[derive(Debug)]
pub(crate) struct Select {
    audio: bool,
    video: Video,
}

impl Default for Select {
    fn default() -> Self {
        Self { audio: true, video: Video::On }
    }
}

#[derive(Debug, PartialEq)]
enum Video {
    On,
    Off,
    /// Switched on again: from the next keyframe.
    FromKeyframe,
}

/// How far the join has come; the instant is when the play request was parsed.
#[derive(Clone, Copy, PartialEq)]
enum Join {
    Requested(Instant),
    /// The first keyframe was picked and is not wholly in the kernel yet.
    Picked(Instant),
    Done,
}

/// Why there is nothing more to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The publisher was lost, and may come back. Told once; call again.
    Dry,
    /// The stream has ended.
    Ended(EndReason),
}

enum Pick {
    Packets,
    Nothing(Sent),
}

impl Egress {
    /// `requested` is when the play request was parsed: the join stages count from there.
    pub(crate) fn new(
        reader: Reader,
        metrics: ProtocolMetrics,
        guard: SessionGuard,
        requested: Instant,
    ) -> Self {
        metrics.join(JoinStage::Attach, requested.elapsed());
        Self {
            reader,
            metrics,
            guard,
            timer: None,
            join: Join::Requested(requested),
            skipped: (0, 0),
            written: Written::default(),
            select: Select::default(),
        }
    }

    /// The entry in the table of sessions.
    pub(crate) fn guard(&mut self) -> &mut SessionGuard {
        &mut self.guard
    }

    /// Which kinds the player wants.
    pub(crate) fn select(&mut self) -> &mut Select {
        &mut self.select
    }

    /// Stops picking, or goes on. What was picked before still leaves.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.timer = None;
        match paused {
            true => self.reader.pause(),
            false => self.reader.resume(Instant::now()),
        }
    }

    /// The time that players know by `ms`, milliseconds modulo 2^32.
    pub(crate) fn time_of(&self, ms: u32) -> Result<Time, SeekError> {
        let (_, last) = self.reader.reach(Instant::now()).ok_or(SeekError::Nothing)?;
        Ok(time_shown_as(ms, last))
    }

    /// Goes to the last keyframe up to `dts`, and returns its time.
    pub(crate) fn seek(&mut self, dts: Time) -> Result<Time, SeekError> {
        self.timer = None;
        self.reader.seek(dts, Instant::now())
    }

    /// Sends whatever is ready. `Ready` when everything was sent and nothing more comes for now or ever, or when the
    /// connection failed.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        outbox: &mut Outbox,
        form: &impl Form,
        carrier: &mut dyn Carrier,
    ) -> Poll<io::Result<Sent>> {
        loop {
            ready!(self.poll_flush(cx, stream, outbox))?;
            let pick = PICKED.with_borrow_mut(|batch| {
                let pick = ready!(self.poll_pick(cx, batch));
                if let Pick::Packets = pick {
                    let head = Some(carrier.head(batch)).filter(|head| !head.is_empty());
                    let before = outbox.bytes_written();
                    outbox.try_write_batch(stream, |buffers| {
                        buffers.extend(head);
                        if carrier.seals() && !batch.is_empty() {
                            buffers.push(pack_sealed(form, batch, carrier));
                        } else {
                            buffers.extend(batch.iter().map(|entry| pack(form, entry)));
                        }
                    })?;
                    batch.clear();
                    self.note_written(before, outbox);
                }
                Poll::Ready(Ok::<_, io::Error>(pick))
            });
            if let Pick::Nothing(sent) = ready!(pick)? {
                return Poll::Ready(Ok(sent));
            }
        }
    }

    /// Picks the next batch as buffers, for a connection that somebody else writes (HTTP/2).
    pub(crate) fn poll_buffers(
        &mut self,
        cx: &mut Context<'_>,
        form: &impl Form,
        carrier: &mut dyn Carrier,
        buffers: &mut Vec<Bytes>,
    ) -> Poll<Option<EndReason>> {
        PICKED.with_borrow_mut(|batch| {
            loop {
                match ready!(self.poll_pick(cx, batch)) {
                    Pick::Packets => break,
                    Pick::Nothing(Sent::Dry) => {}
                    Pick::Nothing(Sent::Ended(reason)) => return Poll::Ready(Some(reason)),
                }
            }
            buffers.extend(Some(carrier.head(batch)).filter(|head| !head.is_empty()));
            buffers.extend(batch.drain(..).map(|entry| pack(form, &entry)));
            let bytes: usize = buffers.iter().map(Bytes::len).sum();
            self.guard.add_bytes_out(bytes as u64);
            self.note_keyframe_written();
            Poll::Ready(None)
        })
    }

    /// Writes what a full socket left behind.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        outbox: &mut Outbox,
    ) -> Poll<io::Result<()>> {
        if outbox.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let before = outbox.bytes_written();
        let done = outbox.poll_flush(cx, stream);
        self.note_written(before, outbox);
        done
    }

    fn poll_pick(&mut self, cx: &mut Context<'_>, batch: &mut Vec<Arc<Entry>>) -> Poll<Pick> {
        loop {
            batch.clear();
            match ready!(self.reader.poll_next(Instant::now(), batch, BATCH, cx)) {
                Next::Packets => {
                    self.timer = None;
                    self.note_picked(batch);
                    self.select.apply(batch);
                    return Poll::Ready(Pick::Packets);
                }
                Next::Ended(reason) => return Poll::Ready(Pick::Nothing(Sent::Ended(reason))),
                Next::Dry => return Poll::Ready(Pick::Nothing(Sent::Dry)),
                Next::Later(at) => {
                    let at = tokio::time::Instant::from_std(at);
                    let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
                    if timer.deadline() != at {
                        timer.as_mut().reset(at);
                    }
                    ready!(timer.as_mut().poll(cx));
                }
            }
        }
    }

    fn note_picked(&mut self, batch: &[Arc<Entry>]) {
        if let Join::Requested(requested) = self.join
            && batch.iter().any(|entry| entry.packet.is_video_keyframe())
        {
            self.metrics.join(JoinStage::KeyframePicked, requested.elapsed());
            self.join = Join::Picked(requested);
        }
        let stats = self.reader.stats();
        let skipped = (stats.packets_skipped, stats.gops_skipped);
        if skipped != self.skipped {
            self.metrics.skipped_packets.inc_by(skipped.0 - self.skipped.0);
            self.metrics.skipped_gops.inc_by(skipped.1 - self.skipped.1);
            self.skipped = skipped;
        }
    }

    fn note_written(&mut self, before: u64, outbox: &Outbox) {
        let sent = outbox.bytes_written() - before;
        if sent > 0 {
            self.written.bytes += sent;
            self.written.writes += 1;
            if self.written.writes >= WRITES_REPORTED_TOGETHER {
                self.report_written();
            }
        }
        if outbox.is_empty() {
            self.note_keyframe_written();
        }
    }

    fn report_written(&mut self) {
        let Written { bytes, writes } = std::mem::take(&mut self.written);
        self.guard.add_bytes_out(bytes);
        self.metrics.writes.inc_by(writes);
    }

    fn note_keyframe_written(&mut self) {
        if let Join::Picked(requested) = self.join {
            self.metrics.join(JoinStage::KeyframeWritten, requested.elapsed());
            self.join = Join::Done;
        }
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.report_written();
    }
}

impl Select {
    /// Switches audio off and on.
    pub(crate) fn audio(&mut self, on: bool) {
        self.audio = on;
    }

    /// Switches video off and on; it comes back with the next keyframe.
    pub(crate) fn video(&mut self, on: bool) {
        self.video = match (on, &self.video) {
            (false, _) => Video::Off,
            (true, Video::Off) => Video::FromKeyframe,
            (true, _) => return,
        };
    }

    /// Whether the player wants the next packet. Configuration stays: it must be known when a kind comes back.
    pub(crate) fn wants(&mut self, packet: &Packet) -> bool {
        match (packet.role, packet.track.kind) {
            (Role::Frame, Kind::Audio) => self.audio,
            (Role::Frame, Kind::Video) => {
                if self.video == Video::FromKeyframe && packet.flags.keyframe {
                    self.video = Video::On;
                }
                self.video == Video::On
            }
            _ => true,
        }
    }

    /// Takes what the player does not want out of a batch.
    fn apply(&mut self, batch: &mut Vec<Arc<Entry>>) {
        if !self.audio || self.video != Video::On {
            batch.retain(|entry| self.wants(&entry.packet));
        }
    }
}

fn pack(form: &impl Form, entry: &Entry) -> Bytes {
    entry.form(form.key(), |packet| form.build(packet))
}

/// The batch in one buffer that belongs to this connection alone.
fn pack_sealed(form: &impl Form, batch: &[Arc<Entry>], carrier: &mut dyn Carrier) -> Bytes {
    // Headers of messages and chunks make forms a little larger than their payloads.
    let payloads: usize = batch.iter().map(|entry| entry.packet.payload.len() + 64).sum();
    let mut sealed = BytesMut::with_capacity(payloads);
    for entry in batch {
        let start = sealed.len();
        sealed.extend_from_slice(&pack(form, entry));
        carrier.seal(&mut sealed[start..]);
    }
    sealed.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_a_player_names_is_the_one_nearest_to_the_newest() {
        let shown = |ms: u32, last_nanos: i64| {
            let time = time_shown_as(ms, Time::from_nanos(last_nanos));
            assert_eq!(time.millis() as u32, ms);
            time.millis()
        };
        assert_eq!(shown(1000, 5_000_000_000), 1000);
        assert_eq!(shown(9000, 5_000_000_000), 9000, "in the future");
        let wrapped = 1_000_000 * ((1_i64 << 32) + 500);
        assert_eq!(shown(400, wrapped), (1 << 32) + 400);
        assert_eq!(shown(u32::MAX, wrapped), (1 << 32) - 1, "before the wrap");
    }

    #[test]
    fn packet_is_found_by_the_milliseconds_it_was_shown_with() {
        let packet = Time::from_nanos(1_000_400_000);
        assert!(time_shown_as(1000, Time::from_millis(2000)) >= packet);
        assert_eq!(time_shown_as(1000, packet), packet, "not after the newest");
    }
}
