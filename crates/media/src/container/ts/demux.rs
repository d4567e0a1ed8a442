//! Transport streams to packets.

use super::psi::{self, Entry, Sections};
use super::sound::{self, Front};
use super::{CLOCK_HZ, PACKET_BYTES, PAT_PID, PID_MASK, SYNC, TIME_BITS, limits};
use crate::codec::annex_b;
use crate::{Codec, Flags, Kind, Packet, Role, Time, TrackId, codec};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::time::Duration;
use wire::Reader;

/// Takes a transport stream apart as it arrives, and the first program in it.
///
/// It never fails: what is damaged is passed over, counted, and reading goes on with the next packet that makes sense.
///
/// ```
/// # use media::container::ts::Demuxer;
/// let mut demuxer = Demuxer::new();
/// demuxer.push(b"any bytes");
/// while let Some(packet) = demuxer.poll() {
///     println!("{} at {} ms", packet.track, packet.dts.millis());
/// }
/// ```
#[derive(Debug, Default)]
pub struct Demuxer {
    /// Bytes that are not a whole packet yet.
    input: BytesMut,
    /// Whether `input` is known to begin with a packet.
    in_step: bool,
    pat: Table,
    pmt: Table,
    pmt_pid: Option<u16>,
    streams: Vec<Stream>,
    /// The packet id of the newest packet.
    newest_pid: u16,
    clock: Unwrap,
    ready: VecDeque<Packet>,
    damages: u64,
}

/// What a demuxer has found out about a stream: with it, another one reads on in the middle, where no PES is in progress. It says
/// nothing of times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pmt_pid: Option<u16>,
    streams: Vec<KnownStream>,
}

impl Known {
    /// The bytes that it holds.
    pub fn bytes(&self) -> usize {
        let of_stream =
            |stream: &KnownStream| size_of::<KnownStream>() + stream.collector.bytes() + stream.config.len();
        size_of::<Self>() + self.streams.iter().map(of_stream).sum::<usize>()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct KnownStream {
    entry: Entry,
    track: TrackId,
    collector: annex_b::Collector,
    config: Bytes,
}

/// A table that is read from packets of one id.
#[derive(Debug, Default)]
struct Table {
    sections: Sections,
    counter: Option<u8>,
    /// The section in force.
    newest: Vec<u8>,
}

/// An elementary stream.
#[derive(Debug)]
struct Stream {
    entry: Entry,
    track: TrackId,
    counter: Option<u8>,
    /// The PES that is being put together; empty before the first start and after damage.
    pes: BytesMut,
    collector: annex_b::Collector,
    /// Sound that waits for the rest of its frame.
    sound: BytesMut,
    /// When the next frame of sound is due.
    sound_due: Option<Time>,
    config: Bytes,
}

/// A payload with what its packet says of it.
struct Piece<'a> {
    start: bool,
    discontinuity: bool,
    counter: u8,
    payload: &'a [u8],
}

impl Demuxer {
    /// Expects anything; packets come as soon as the tables were seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes, in pieces of any size. Afterwards [`Demuxer::poll`] has what they complete.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let mut input = std::mem::take(&mut self.input);
        while self.find_packet(&mut input, false) {
            let packet = input.split_to(PACKET_BYTES);
            self.read_packet(&packet);
        }
        self.input = input;
    }

    /// The stream ends here: what does not say its size is taken as complete.
    pub fn finish(&mut self) {
        let mut input = std::mem::take(&mut self.input);
        while self.find_packet(&mut input, true) {
            let packet = input.split_to(PACKET_BYTES);
            self.read_packet(&packet);
        }
        for index in 0..self.streams.len() {
            self.end_pes(index);
        }
    }

    /// What it knows of the stream by now, for [`Demuxer::resume`].
    pub fn known(&self) -> Known {
        let known = |stream: &Stream| KnownStream {
            entry: stream.entry,
            track: stream.track,
            collector: stream.collector.clone(),
            config: stream.config.clone(),
        };
        Known { pmt_pid: self.pmt_pid, streams: self.streams.iter().map(known).collect() }
    }

    /// Reads on in the middle of a stream, as the demuxer does of which this is [`Demuxer::known`] after a [`Demuxer::cut`] there.
    /// Times are unwrapped from the first one on that comes.
    pub fn resume(known: &Known) -> Self {
        let stream = |known: &KnownStream| Stream {
            collector: known.collector.clone(),
            config: known.config.clone(),
            ..Stream::new(known.entry, known.track)
        };
        Self {
            pmt_pid: known.pmt_pid,
            streams: known.streams.iter().map(stream).collect(),
            ..Self::default()
        }
    }

    /// A piece of the stream ends here, between two PES: what is in progress is taken as complete, and what comes is read without
    /// regard to what came before, except for times. So a piece gives the same packets whether or not those before it are read.
    pub fn cut(&mut self) {
        self.finish();
        let before = std::mem::replace(self, Self::resume(&self.known()));
        (self.clock, self.ready, self.damages) = (before.clock, before.ready, before.damages);
    }

    /// The next packet: a configuration where it is new, then the frames that it describes. Times are those of the stream,
    /// counted on past 2^33 ticks.
    pub fn poll(&mut self) -> Option<Packet> {
        self.ready.pop_front()
    }

    /// How often something was lost or made no sense.
    pub fn damages(&self) -> u64 {
        self.damages
    }

    /// Moves `input` to the next packet; false where more bytes are needed. Out of step, a packet is believed if another follows.
    fn find_packet(&mut self, input: &mut BytesMut, at_end: bool) -> bool {
        loop {
            if input.len() < PACKET_BYTES {
                return false;
            }
            if input[0] == SYNC {
                match input.get(PACKET_BYTES) {
                    _ if self.in_step => return true,
                    Some(&SYNC) => {
                        self.in_step = true;
                        return true;
                    }
                    None => return at_end,
                    Some(_) => {}
                }
            } else if self.in_step {
                self.in_step = false;
                self.damages += 1;
                // Bytes came or went within the packet before, most likely, and it has no checksum that would show it.
                let suspect = |stream: &&mut Stream| stream.entry.pid == self.newest_pid;
                if let Some(stream) = self.streams.iter_mut().find(suspect) {
                    stream.pes.clear();
                }
            }
            let next = input[1..].iter().position(|byte| *byte == SYNC);
            let skipped = next.map_or(input.len(), |next| next + 1);
            let _ = input.split_to(skipped);
        }
    }

    fn read_packet(&mut self, packet: &[u8]) {
        if self.try_read_packet(packet).is_none() {
            self.damages += 1;
        }
    }

    /// `None` where the packet makes no sense.
    fn try_read_packet(&mut self, packet: &[u8]) -> Option<()> {
        const ERROR: u16 = 0x8000;
        const START: u16 = 0x4000;
        const SCRAMBLED: u8 = 0xc0;
        const ADAPTATION: u8 = 0x20;
        const PAYLOAD: u8 = 0x10;
        const DISCONTINUITY: u8 = 0x80;
        let mut reader = Reader::new(packet);
        reader.u8().ok()?;
        let head = reader.u16().ok()?;
        let control = reader.u8().ok()?;
        if head & ERROR != 0 {
            return None;
        }
        let mut discontinuity = false;
        if control & ADAPTATION != 0 {
            let length = reader.u8().ok()?;
            let adaptation = reader.take(length.into()).ok()?;
            discontinuity = adaptation.first().is_some_and(|flags| flags & DISCONTINUITY != 0);
        }
        if control & SCRAMBLED != 0 || control & PAYLOAD == 0 {
            return Some(());
        }
        let piece = Piece {
            start: head & START != 0,
            discontinuity,
            counter: control & 0x0f,
            payload: reader.rest(),
        };
        let pid = head & PID_MASK;
        self.newest_pid = pid;
        if pid == PAT_PID {
            self.read_pat(&piece);
        } else if Some(pid) == self.pmt_pid {
            self.read_pmt(&piece);
        } else if let Some(index) = self.streams.iter().position(|stream| stream.entry.pid == pid) {
            self.read_stream(index, &piece);
        }
        Some(())
    }

    fn read_pat(&mut self, piece: &Piece<'_>) {
        let Some(section) = self.pat.read(piece, &mut self.damages) else { return };
        if let Ok(Some(pid)) = psi::read_pat(&section)
            && self.pmt_pid != Some(pid)
        {
            self.pmt_pid = Some(pid);
            self.pmt = Table::default();
        }
    }

    fn read_pmt(&mut self, piece: &Piece<'_>) {
        let Some(section) = self.pmt.read(piece, &mut self.damages) else { return };
        let Ok(Some(entries)) = psi::read_pmt(&section) else {
            self.damages += 1;
            return;
        };
        // Frames of streams that go end here.
        for index in 0..self.streams.len() {
            self.end_pes(index);
        }
        let mut old = std::mem::take(&mut self.streams);
        for entry in entries {
            let kind = match entry.codec {
                Codec::H264 | Codec::H265 => Kind::Video,
                _ => Kind::Audio,
            };
            let taken = self.streams.iter().filter(|stream| stream.track.kind == kind).count();
            let track = TrackId { kind, index: taken as u8 };
            // A stream that stays keeps its state.
            let known = old.iter().position(|stream| stream.entry == entry && stream.track == track);
            self.streams.push(match known {
                Some(index) => old.swap_remove(index),
                None => Stream::new(entry, track),
            });
        }
    }

    fn read_stream(&mut self, index: usize, piece: &Piece<'_>) {
        match follow(&mut self.streams[index].counter, piece) {
            Step::Repeated => return,
            Step::Lost => {
                self.damages += 1;
                // What is missing may be the end of it, or the whole of the next.
                self.streams[index].pes.clear();
                self.streams[index].sound.clear();
            }
            Step::Joined => {
                self.end_pes(index);
                self.streams[index].sound.clear();
            }
            Step::Next => {}
        }
        if piece.start {
            self.end_pes(index);
        } else if self.streams[index].pes.is_empty() {
            return;
        }
        let stream = &mut self.streams[index];
        if stream.pes.len() + piece.payload.len() > limits::ACCESS_UNIT_BYTES_MAX {
            self.damages += 1;
            stream.pes.clear();
            return;
        }
        stream.pes.extend_from_slice(piece.payload);
        // Where the size is said, there is no need to wait for the next one.
        if let Some(size) = pes_bytes(&stream.pes)
            && stream.pes.len() >= size
        {
            stream.pes.truncate(size);
            self.end_pes(index);
        }
    }

    /// Reads the PES that was put together.
    fn end_pes(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        let pes = std::mem::take(&mut stream.pes);
        if !pes.is_empty() {
            let is_cut = pes_bytes(&pes).is_some_and(|size| pes.len() < size);
            match read_pes_head(&pes).filter(|_| !is_cut) {
                Some(head) => {
                    let dts = head.dts.or(head.pts).map(|ticks| self.clock.unwrap(ticks));
                    let pts = dts.map(|dts| dts + signed(head.pts.unwrap_or(0).wrapping_sub(dts as u64)));
                    let times = dts
                        .zip(pts)
                        .map(|(dts, pts)| (Time::from_ticks(dts, CLOCK_HZ), Time::from_ticks(pts, CLOCK_HZ)));
                    let payload = &pes[head.bytes..];
                    let understood = match stream.track.kind {
                        Kind::Video => stream.read_pictures(times, payload, &mut self.ready),
                        _ => stream.read_sound(times.map(|(_, pts)| pts), payload, &mut self.ready),
                    };
                    self.damages += u64::from(!understood);
                }
                None => self.damages += 1,
            }
        }
    }
}

impl Table {
    /// A section that is complete, right, and not the one in force.
    fn read(&mut self, piece: &Piece<'_>, damages: &mut u64) -> Option<Vec<u8>> {
        match follow(&mut self.counter, piece) {
            Step::Repeated => return None,
            Step::Lost => {
                *damages += 1;
                self.sections.clear();
            }
            Step::Joined => self.sections.clear(),
            Step::Next => {}
        }
        let mut found = None;
        let damaged = self.sections.push(piece.start, piece.payload, |section| {
            if self.newest != section {
                self.newest = section.to_vec();
                found = Some(section.to_vec());
            }
        });
        *damages += u64::from(damaged);
        found
    }
}

enum Step {
    Next,
    /// The counter begins anew, as the sender says: parts of two streams that were joined.
    Joined,
    /// The packet was there before (section 2.4.3.3: it may be sent twice).
    Repeated,
    Lost,
}

/// Follows the counter of a packet id.
fn follow(counter: &mut Option<u8>, piece: &Piece<'_>) -> Step {
    match counter.replace(piece.counter) {
        None => Step::Next,
        Some(_) if piece.discontinuity => Step::Joined,
        Some(last) if last == piece.counter => Step::Repeated,
        Some(last) if (last + 1) & 0x0f == piece.counter => Step::Next,
        Some(_) => Step::Lost,
    }
}

/// Whether a PES begins in a packet: where one does, the stream can be cut if it has each of them in one piece, as those have that
/// [`Muxer`](super::Muxer) writes.
pub fn begins_pes(packet: &[u8]) -> bool {
    const START: u8 = 0x40;
    const ADAPTATION: u8 = 0x20;
    const PAYLOAD: u8 = 0x10;
    let &[SYNC, high, _, control, first, ..] = packet else { return false };
    if high & START == 0 || control & PAYLOAD == 0 {
        return false;
    }
    let adaptation = if control & ADAPTATION != 0 { 1 + usize::from(first) } else { 0 };
    packet.get(4 + adaptation..).is_some_and(|payload| payload.starts_with(&[0, 0, 1]))
}

/// Bytes of a PES packet, where it says so (section 2.4.3.7); video may leave it open.
fn pes_bytes(pes: &[u8]) -> Option<usize> {
    match *pes {
        [_, _, _, _, 0, 0, ..] => None,
        [_, _, _, _, high, low, ..] => Some(6 + (usize::from(high) << 8 | usize::from(low))),
        _ => None,
    }
}

/// The head of a PES packet.
pub(super) struct PesHead {
    bytes: usize,
    pub(super) pts: Option<u64>,
    dts: Option<u64>,
}

pub(super) fn read_pes_head(pes: &[u8]) -> Option<PesHead> {
    let mut reader = Reader::new(pes);
    if reader.array().ok()? != [0, 0, 1] {
        return None;
    }
    reader.take(3).ok()?; // stream id, length
    if reader.u8().ok()? & 0xc0 != 0x80 {
        return None;
    }
    let flags = reader.u8().ok()?;
    let length = reader.u8().ok()?;
    let mut fields = Reader::new(reader.take(length.into()).ok()?);
    let mut time = |flag: u8| (flags & flag != 0).then(|| read_time(&mut fields)).flatten();
    let pts = time(0x80);
    // A decode time alone is forbidden.
    let dts = time(if pts.is_some() { 0x40 } else { 0 });
    Some(PesHead { bytes: reader.position(), pts, dts })
}

fn read_time(reader: &mut Reader<'_>) -> Option<u64> {
    let [a, b, c, d, e] = reader.array::<5>().ok()?.map(u64::from);
    Some((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
}

/// A difference of times, as the nearest of those that look alike.
fn signed(ticks: u64) -> i64 {
    const UNUSED_BITS: u32 = 64 - TIME_BITS;
    ((ticks << UNUSED_BITS) as i64) >> UNUSED_BITS
}

/// Times that wrap, of all streams together: they are never far from each other.
#[derive(Debug, Default)]
pub(super) struct Unwrap(Option<i64>);

impl Unwrap {
    pub(super) fn unwrap(&mut self, ticks: u64) -> i64 {
        let next = match self.0 {
            None => ticks as i64,
            Some(last) => last + signed(ticks.wrapping_sub(last as u64)),
        };
        self.0 = Some(next);
        next
    }
}

impl Stream {
    fn new(entry: Entry, track: TrackId) -> Self {
        Self {
            entry,
            track,
            counter: None,
            pes: BytesMut::new(),
            collector: annex_b::Collector::new(entry.codec),
            sound: BytesMut::new(),
            sound_due: None,
            config: Bytes::new(),
        }
    }

    fn packet(&self, role: Role, flags: Flags, dts: Time, pts: Time, payload: Bytes) -> Packet {
        Packet { track: self.track, codec: self.entry.codec, role, flags, dts, pts, payload }
    }

    /// Reads the access unit of one PES. Says whether it could be used.
    fn read_pictures(
        &mut self,
        times: Option<(Time, Time)>,
        bytes: &[u8],
        ready: &mut VecDeque<Packet>,
    ) -> bool {
        let codec = self.entry.codec;
        let (payload, changed) = self.collector.frame(bytes);
        let Some((dts, pts)) = times else { return false };
        if changed {
            let record = self.collector.record().clone();
            ready.push_back(self.packet(Role::Config, Flags::default(), dts, dts, record));
        }
        if payload.is_empty() || self.collector.record().is_empty() {
            // Before the first parameter sets nothing can be decoded, and that is no damage.
            return true;
        }
        let keyframe = codec::is_keyframe(codec, &payload, codec::NAL_LENGTH_SIZE_DEFAULT);
        let disposable = !keyframe && codec::is_disposable(codec, &payload, codec::NAL_LENGTH_SIZE_DEFAULT);
        ready.push_back(self.packet(Role::Frame, Flags { keyframe, disposable }, dts, pts, payload));
        true
    }

    /// Reads the sound of one PES. Its time is that of the first frame that begins in it.
    fn read_sound(&mut self, time: Option<Time>, bytes: &[u8], ready: &mut VecDeque<Packet>) -> bool {
        // What is left of the one before is the front of a frame that ends in this one.
        let mut understood = true;
        let mut left = self.sound.len();
        self.sound.extend_from_slice(bytes);
        if self.sound.len() > limits::SOUND_BYTES_MAX {
            self.sound.clear();
            return false;
        }
        if left == 0 {
            self.sound_due = time.or(self.sound_due);
        }
        loop {
            let before = self.sound.len();
            match self.next_frame(ready) {
                Some(good) => understood &= good,
                None => return understood,
            }
            let used = before - self.sound.len();
            if left > 0 && used >= left {
                self.sound_due = time.or(self.sound_due);
            }
            left = left.saturating_sub(used);
        }
    }

    /// Takes one frame, or bytes that are none, off the front of the sound; `None` where more is needed, else whether it was a
    /// frame.
    fn next_frame(&mut self, ready: &mut VecDeque<Packet>) -> Option<bool> {
        if self.sound.is_empty() {
            return None;
        }
        match sound::front(self.entry.codec, self.entry.channels, &self.sound) {
            Front::More => None,
            Front::Garbage => {
                // To where a frame could begin: all of them begin with one of these.
                let begins = |byte: &u8| matches!(byte, 0xff | 0x0b | 0x7f);
                let next = self.sound[1..].iter().position(begins).map_or(self.sound.len(), |next| next + 1);
                let _ = self.sound.split_to(next);
                Some(false)
            }
            Front::Frame(frame) => {
                let payload = self.sound.split_to(frame.bytes).freeze().slice(frame.head_bytes..);
                // Without a time there is nothing to place it at.
                let Some(due) = self.sound_due else { return Some(true) };
                if let Some(config) = frame.config
                    && config != self.config
                {
                    self.config = config.clone();
                    ready.push_back(self.packet(Role::Config, Flags::default(), due, due, config));
                }
                let nanos = u64::from(frame.samples) * 1_000_000_000 / u64::from(frame.sample_rate.max(1));
                self.sound_due = Some(due + Duration::from_nanos(nanos));
                if !payload.is_empty() {
                    ready.push_back(self.packet(Role::Frame, Flags::default(), due, due, payload));
                }
                Some(true)
            }
        }
    }
}
