//! Recordings in segments of MPEG-TS as lists of samples. Pure.
//!
//! Frames do not lie in such a file as they are: they are cut into packets, and pictures have start codes. So the samples have
//! places in what comes out of the segments when they are taken apart, all of it in a row. It is never held: segments are cut into
//! blocks between frames, which say where they begin here and there, and whoever wants a frame takes its block apart again.

use super::collect::{Collector, Found};
use super::limits::{BLOCK_BYTES, BLOCK_BYTES_MAX, KNOWN_BYTES_MAX, KNOWN_SEARCHED};
use bytes::{Bytes, BytesMut};
use media::Role;
use media::container::ts::{Demuxer, Known, PACKET_BYTES, begins_pes};
use std::sync::Arc;

/// Some packets of a segment, and where what is in them begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Where its frames begin among those of all.
    at: u64,
    /// The number of its segment, and where in it the block is.
    pub(super) segment: u32,
    pub(super) offset: u64,
    pub(super) bytes: u32,
    /// What the blocks before it say of the stream, by its place in the list.
    known: u32,
}

/// The blocks of a recording.
#[derive(Debug, Clone, Default)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    known: Vec<Arc<Known>>,
    known_bytes: usize,
    /// The bytes of all frames.
    length: u64,
}

impl Blocks {
    /// The block that has the byte at `position`, and where its frames begin and end.
    pub(super) fn find(&self, position: u64) -> Option<(Block, u64, u64)> {
        let next = self.blocks.partition_point(|block| block.at <= position);
        let block = self.blocks.get(next.checked_sub(1)?)?;
        let end = self.blocks.get(next).map_or(self.length, |next| next.at);
        (position < end).then_some((*block, block.at, end))
    }

    /// What a demuxer has to know to take `block` apart.
    pub(super) fn known(&self, block: &Block) -> Option<Arc<Known>> {
        self.known.get(block.known as usize).cloned()
    }

    /// The place of `known` in the list, if there is room for it.
    fn place(&mut self, known: Known) -> Option<usize> {
        let place = self.known.iter().rev().take(KNOWN_SEARCHED).position(|other| **other == known);
        if let Some(back) = place {
            return Some(self.known.len() - 1 - back);
        }
        let bytes = self.known_bytes + known.bytes();
        if bytes > KNOWN_BYTES_MAX {
            return None;
        }
        self.known_bytes = bytes;
        self.known.push(Arc::new(known));
        Some(self.known.len() - 1)
    }

    /// The bytes that it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>() + self.known_bytes
    }
}

/// The frames in a block, one behind the other.
pub(super) fn take_apart(known: &Known, block: &[u8]) -> Bytes {
    let mut demuxer = Demuxer::resume(known);
    demuxer.push(block);
    demuxer.finish();
    let mut all = BytesMut::with_capacity(block.len());
    while let Some(packet) = demuxer.poll() {
        if packet.role == Role::Frame {
            all.extend_from_slice(&packet.payload);
        }
    }
    all.freeze()
}

/// Reads the segments of a recording, one after the other.
#[derive(Debug, Default)]
pub(super) struct Transport {
    demuxer: Demuxer,
    collector: Collector,
    blocks: Blocks,
    segment: u32,
    /// Where in the segment the block begins that is being read.
    offset: u64,
    /// The packets of it.
    block: BytesMut,
    /// Packets that are not whole.
    rest: BytesMut,
    /// No more is indexed: there is too much to know.
    is_full: bool,
    /// Segments that were read to their end.
    segments: usize,
    /// Where in the one behind them reading goes on, if it has begun.
    read: Option<u64>,
}

impl Transport {
    /// Segments that were read to their end.
    pub(super) fn segments(&self) -> usize {
        self.segments
    }

    /// Begins with a segment, unless that was done. Its times and tracks go on from those of the one before, unless there is a
    /// `discontinuity`. Returns where in it reading goes on.
    pub(super) fn begin(&mut self, number: u32, discontinuity: bool) -> u64 {
        let is_begun = self.read.is_some();
        if let Some(read) = self.read.filter(|_| self.segment == number) {
            return read;
        }
        if is_begun {
            // The one that was begun before is not in the list any more, or not yet.
            self.rest.clear();
            self.block.clear();
        }
        if discontinuity || is_begun {
            self.demuxer = Demuxer::new();
            self.collector.begin_anew();
        }
        (self.segment, self.offset, self.read) = (number, 0, Some(0));
        0
    }

    /// Reads on in the segment.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.read = self.read.map(|read| read + bytes.len() as u64);
        self.rest.extend_from_slice(bytes);
        while self.rest.len() >= PACKET_BYTES {
            let packet = self.rest.split_to(PACKET_BYTES);
            let is_due = self.block.len() >= BLOCK_BYTES && begins_pes(&packet);
            if is_due || self.block.len() >= BLOCK_BYTES_MAX {
                self.end_block();
            }
            self.block.extend_from_slice(&packet);
        }
    }

    /// The segment has no more by now, and what it has ends with a frame.
    pub(super) fn pause(&mut self) {
        if self.rest.is_empty() {
            self.end_block();
        }
    }

    /// The segment has no more.
    pub(super) fn end(&mut self) {
        self.end_block();
        self.rest.clear();
        self.read = None;
        self.segments += 1;
    }

    /// What was found: the tracks of each span.
    pub(super) fn spans(&self) -> Vec<Vec<Found>> {
        self.collector.spans().to_vec()
    }

    /// Where its samples are.
    pub(super) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    fn end_block(&mut self) {
        let bytes = std::mem::take(&mut self.block);
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        let known = if self.is_full { None } else { self.blocks.place(self.demuxer.known()) };
        let Some(known) = known else {
            self.is_full = true;
            return;
        };
        self.demuxer.push(&bytes);
        self.demuxer.cut();
        let Blocks { blocks, length, .. } = &mut self.blocks;
        let at = *length;
        while let Some(packet) = self.demuxer.poll() {
            self.collector.take(&packet, *length);
            if packet.role == Role::Frame {
                *length += packet.payload.len() as u64;
            }
        }
        if *length > at {
            blocks.push(Block {
                at,
                segment: self.segment,
                offset,
                bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                known: u32::try_from(known).unwrap_or(u32::MAX),
            });
        }
    }
}

/// What is in a segment of any bytes is found again where it is said to be.
pub(super) fn check_segment(bytes: &[u8]) -> Vec<Vec<Found>> {
    let mut transport = Transport::default();
    transport.begin(1, true);
    transport.push(bytes);
    transport.end();
    for found in transport.spans().iter().flatten() {
        for sample in found.samples.iter() {
            let found = transport.blocks().find(sample.position).and_then(|(block, begin, end)| {
                let (from, to) = (block.offset as usize, block.offset as usize + block.bytes as usize);
                let frames = take_apart(&*transport.blocks().known(&block)?, &bytes[from..to]);
                assert_eq!(frames.len() as u64, end - begin);
                let from = (sample.position - begin) as usize;
                frames.get(from..from + sample.size as usize).map(|_| ())
            });
            assert!(found.is_some());
        }
    }
    transport.spans()
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::container::ts::Muxer;
    use media::{Codec, Flags, Packet, Time, TrackId};

    fn sound(role: Role, ms: i64, payload: Vec<u8>) -> Packet {
        let (track, codec, dts) = (TrackId::AUDIO, Codec::Aac, Time::from_millis(ms));
        Packet { track, codec, role, flags: Flags::default(), dts, pts: dts, payload: payload.into() }
    }

    /// Frames of a thousand bytes from a time on, each 20 ms and of bytes of its own, as a segment that `muxer` writes.
    fn segment(muxer: &mut Muxer, begin_ms: i64, frames: u8) -> Vec<u8> {
        let mut out = BytesMut::new();
        muxer.write(&sound(Role::Config, 0, vec![0x12, 0x10]), &mut out).unwrap();
        muxer.write_tables(&mut out);
        for frame in 0..frames {
            let at = begin_ms + 20 * i64::from(frame);
            muxer.write(&sound(Role::Frame, at, vec![frame; 1000]), &mut out).unwrap();
        }
        out.to_vec()
    }

    /// The first bytes of all frames of each span, read where they are said to be, and the milliseconds of the first of them.
    fn read(transport: &Transport, segments: &[Vec<u8>]) -> Vec<(Vec<u8>, i64)> {
        let blocks = transport.blocks();
        let frame = |position: u64| {
            let (block, begin, _) = blocks.find(position).unwrap();
            let packets =
                &segments[block.segment as usize - 1][block.offset as usize..][..block.bytes as usize];
            take_apart(&blocks.known(&block).unwrap(), packets)[(position - begin) as usize]
        };
        let of_span = |tracks: &Vec<Found>| {
            let samples = &tracks[0].samples;
            let first = Time::from_ticks(samples.first().unwrap().dts, tracks[0].media.timescale);
            (samples.iter().map(|sample| frame(sample.position)).collect(), first.millis())
        };
        transport.spans().iter().map(of_span).collect()
    }

    #[test]
    fn what_is_known_is_kept_once_and_up_to_a_limit() {
        let known = |frequency: u8| {
            let mut muxer = Muxer::new(&[(TrackId::AUDIO, Codec::Aac)]).unwrap();
            let mut out = BytesMut::new();
            muxer.write(&sound(Role::Config, 0, vec![0x12 ^ frequency, 0x10]), &mut out).unwrap();
            muxer.write_tables(&mut out);
            muxer.write(&sound(Role::Frame, 0, vec![1; 100]), &mut out).unwrap();
            let mut demuxer = Demuxer::new();
            demuxer.push(&out);
            demuxer.finish();
            demuxer.known()
        };
        let mut blocks = Blocks::default();
        let places: Vec<_> = [0, 1, 0, 1].map(|which| blocks.place(known(which))).into();
        assert_eq!(places, [Some(0), Some(1), Some(0), Some(1)]);
        assert!(blocks.weight() >= known(0).bytes() + known(1).bytes());
        blocks.known_bytes = KNOWN_BYTES_MAX;
        assert_eq!((blocks.place(known(1)), blocks.place(Known::default())), (Some(1), None));
    }

    #[test]
    fn a_segment_that_is_passed_over_in_its_middle_lends_its_place_to_no_other() {
        let mut muxer = Muxer::new(&[(TrackId::AUDIO, Codec::Aac)]).unwrap();
        let segments = [segment(&mut muxer, 0, 5), segment(&mut muxer, 100, 5)];
        let mut transport = Transport::default();
        assert_eq!(transport.begin(1, true), 0);
        transport.push(&segments[0][..segments[0].len() / 188 / 2 * 188]);
        transport.pause();
        assert_eq!(transport.begin(2, false), 0, "it is read from its begin");
        transport.push(&segments[1]);
        transport.end();
        let spans = read(&transport, &segments);
        assert_eq!(spans.last().unwrap(), &(vec![0, 1, 2, 3, 4], 100));
    }

    #[test]
    fn every_frame_is_where_it_is_said_to_be_and_a_discontinuity_begins_a_span() {
        let new = || Muxer::new(&[(TrackId::AUDIO, Codec::Aac)]).unwrap();
        let mut muxer = new();
        // The first one has more than a block.
        let segments =
            [segment(&mut muxer, 1000, 200), segment(&mut muxer, 5000, 10), segment(&mut new(), 1000, 10)];
        let mut transport = Transport::default();
        for (number, bytes) in (1..).zip(&segments) {
            assert_eq!(transport.begin(number, number == 3), 0);
            bytes.chunks(1001).for_each(|piece| transport.push(piece));
            transport.end();
        }
        let (ten, all) = ((0..10).collect::<Vec<u8>>(), (0..200).collect::<Vec<u8>>());
        assert_eq!(read(&transport, &segments), [([all, ten.clone()].concat(), 1000), (ten, 1000)]);
        let found: Vec<_> = transport.blocks().blocks.iter().map(|block| block.segment).collect();
        assert_eq!(found, [1, 1, 2, 3]);
        assert_eq!(transport.blocks().known.len(), 2, "what is the same is kept once");
        assert_eq!(transport.blocks().find(220_000), None, "behind the last frame");
    }

    #[test]
    fn a_segment_that_grows_is_read_on() {
        let segments = [segment(&mut Muxer::new(&[(TrackId::AUDIO, Codec::Aac)]).unwrap(), 1000, 50)];
        let mut transport = Transport::default();
        let mut seen = 0;
        // Each frame has six packets, behind two of tables.
        for frames in [1, 2, 7, 50] {
            let end = (2 + 6 * frames) * PACKET_BYTES;
            let begin = transport.begin(1, false) as usize;
            transport.push(&segments[0][begin..end]);
            transport.pause();
            let read = read(&transport, &segments);
            assert_eq!(read, [((0..frames as u8).collect(), 1000)]);
            assert!(frames > seen);
            seen = frames;
        }
        transport.end();
        assert_eq!((transport.segments(), transport.blocks().blocks.len()), (1, 4));
    }
}
