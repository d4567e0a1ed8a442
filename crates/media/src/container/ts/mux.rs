//! Packets to a transport stream.

use super::{CLOCK_HZ, PACKET_BYTES, PAT_PID, SYNC, TIME_BITS, limits, psi, sound};
use crate::codec::{adts, annex_b, h264, h265, opus};
use crate::container::Error;
use crate::{Codec, Kind, Packet, Role, Time, TrackId, codec};
use bytes::{BufMut, Bytes, BytesMut};
use std::time::Duration;

const PROGRAM: u16 = 1;
/// The ids that ffmpeg gives, which make captures easy to read.
const PMT_PID: u16 = 0x1000;
const FIRST_PID: u16 = 0x100;
const ID3_PID: u16 = 0x1f0;

/// How much earlier than it is decoded the last byte of a frame has arrived, by the program clock: a buffer that a receiver with
/// a hardware clock can count on.
const LEAD: Duration = Duration::from_millis(100);

/// The program clock is said at least so often (section 2.7.2: 100 ms).
const CLOCK_PERIOD: Duration = Duration::from_millis(80);

/// From here on, a time before that of the clock is a new beginning, and not a track that is behind another.
const CLOCK_JUMP: Duration = Duration::from_secs(1);

/// Writes one program. Bytes are appended to what the caller passes, in whole packets.
#[derive(Debug)]
pub struct Muxer {
    streams: Vec<Stream>,
    /// The stream whose packets have the program clock.
    clock: usize,
    clock_at: Option<Time>,
    pat_counter: u8,
    pmt_counter: u8,
    /// The counter of timed ID3 tags, where the stream may have them.
    id3_counter: Option<u8>,
    /// The PES that is being written.
    scratch: BytesMut,
}

#[derive(Debug)]
struct Stream {
    track: TrackId,
    codec: Codec,
    pid: u16,
    stream_id: u8,
    counter: u8,
    nal_length_size: u8,
    parameter_sets: Vec<Bytes>,
    adts: Option<adts::Header>,
    channels: u8,
}

/// The stream id of what has none of its own (table 2-22).
const PRIVATE_1: u8 = 0xbd;

impl Muxer {
    /// A stream of these tracks. The first track of pictures carries the program clock, or else the first of sound.
    ///
    /// # Errors
    ///
    /// No track, more than [`limits::TRACKS_MAX`], or a codec that transport streams have no form for.
    pub fn new(tracks: &[(TrackId, Codec)]) -> Result<Self, Error> {
        if tracks.is_empty() || tracks.len() > limits::TRACKS_MAX {
            return Err(Error::Misuse("no track, or too many of them in one transport stream"));
        }
        let mut streams = Vec::with_capacity(tracks.len());
        for (pid, (track, codec)) in (FIRST_PID..).zip(tracks) {
            streams.push(Stream::new(*track, *codec, pid)?);
        }
        let clock = tracks.iter().position(|(track, _)| track.kind == Kind::Video).unwrap_or(0);
        Ok(Self {
            streams,
            clock,
            clock_at: None,
            pat_counter: 0,
            pmt_counter: 0,
            id3_counter: None,
            scratch: BytesMut::new(),
        })
    }

    /// Announces timed ID3 tags in the tables, which [`Muxer::write_id3`] then may write.
    pub fn with_id3(mut self) -> Self {
        self.id3_counter = Some(0);
        self
    }

    /// Writes an ID3 tag that is due at `time` (Apple, "Timed Metadata for HTTP Live Streaming").
    ///
    /// # Errors
    ///
    /// A stream that was made without [`Muxer::with_id3`], or a tag above 64 KiB.
    pub fn write_id3(&mut self, time: Time, tag: &[u8], out: &mut BytesMut) -> Result<(), Error> {
        let counter =
            self.id3_counter.as_mut().ok_or(Error::Misuse("ID3 in a stream that announces none"))?;
        self.scratch.clear();
        put_pes_head(PRIVATE_1, clock_ticks(time), None, &mut self.scratch);
        self.scratch.put_slice(tag);
        put_pes_size(&mut self.scratch).ok_or(Error::Misuse("an ID3 tag above 64 KiB"))?;
        write_packets(ID3_PID, counter, false, None, &self.scratch, out);
        Ok(())
    }

    /// Writes the tables that say what is what. They belong at the front of each segment, and before each keyframe of a stream
    /// that players join.
    pub fn write_tables(&mut self, out: &mut BytesMut) {
        write_section(PAT_PID, &mut self.pat_counter, &psi::write_pat(PROGRAM, PMT_PID), out);
        let entries = self.streams.iter().map(|stream| psi::Entry {
            pid: stream.pid,
            codec: stream.codec,
            channels: stream.channels,
        });
        let pmt =
            psi::write_pmt(PROGRAM, self.streams[self.clock].pid, entries, self.id3_counter.map(|_| ID3_PID));
        write_section(PMT_PID, &mut self.pmt_counter, &pmt, out);
    }

    /// Writes a frame, or takes the configuration of the frames that follow. Other packets, packets without a byte and packets of
    /// tracks that the stream does not have are passed over.
    ///
    /// # Errors
    ///
    /// A configuration that makes no sense or that the stream has no form for, a frame of another codec than its track, or a
    /// frame of AAC without a configuration or above 8 KiB.
    pub fn write(&mut self, packet: &Packet, out: &mut BytesMut) -> Result<(), Error> {
        let Some(index) = self.streams.iter().position(|stream| stream.track == packet.track) else {
            return Ok(());
        };
        if packet.payload.is_empty() || !matches!(packet.role, Role::Config | Role::Frame) {
            return Ok(());
        }
        if self.streams[index].codec != packet.codec {
            return Err(Error::Misuse("a packet of another codec than its track"));
        }
        if packet.role == Role::Config {
            return self.streams[index].configure(&packet.payload);
        }
        self.scratch.clear();
        self.streams[index].write_pes(packet, &mut self.scratch)?;
        let mut clock = None;
        // Where sound comes first, it may have said a later time already; the clock never goes back by a little (section 2.7.2).
        let is_said = self.clock_at.is_some_and(|at| at > packet.dts && at.since(packet.dts) < CLOCK_JUMP);
        if index == self.clock && !is_said {
            clock = Some(packet.dts - LEAD);
            self.clock_at = Some(packet.dts);
        } else if index != self.clock && self.clock_at.is_some_and(|at| packet.dts.since(at) >= CLOCK_PERIOD)
        {
            // Pictures come so seldom that the clock has to be said in between.
            write_clock(&self.streams[self.clock], packet.dts - LEAD, out);
            self.clock_at = Some(packet.dts);
        }
        let can_start = packet.flags.keyframe || packet.track.kind == Kind::Audio && index == self.clock;
        let stream = &mut self.streams[index];
        write_packets(stream.pid, &mut stream.counter, can_start, clock, &self.scratch, out);
        Ok(())
    }
}

impl Stream {
    fn new(track: TrackId, codec: Codec, pid: u16) -> Result<Self, Error> {
        const VIDEO: u8 = 0xe0;
        const AUDIO: u8 = 0xc0;
        let stream_id = match codec {
            Codec::H264 | Codec::H265 => VIDEO | track.index & 0x0f,
            Codec::Aac | Codec::Mp3 => AUDIO | track.index & 0x1f,
            Codec::Ac3 | Codec::Eac3 | Codec::Opus => PRIVATE_1,
            Codec::Av1 => return Err(Error::Unsupported("AV1 in a transport stream: no form is settled")),
            _ => return Err(Error::Unsupported("a codec that transport streams have no form for")),
        };
        Ok(Self {
            track,
            codec,
            pid,
            stream_id,
            counter: 0,
            nal_length_size: codec::NAL_LENGTH_SIZE_DEFAULT,
            parameter_sets: Vec::new(),
            adts: None,
            channels: 2,
        })
    }

    fn configure(&mut self, config: &[u8]) -> Result<(), Error> {
        match self.codec {
            Codec::H264 | Codec::H265 => {
                self.nal_length_size = match self.codec {
                    Codec::H264 => h264::read_config(config)?.nal_length_size,
                    _ => h265::read_config(config)?.nal_length_size,
                };
                let sets = annex_b::parameter_sets(self.codec, config)?;
                self.parameter_sets = sets.into_iter().map(Bytes::copy_from_slice).collect();
            }
            Codec::Aac => {
                let header = adts::Header::of_config(config);
                self.adts = Some(header.ok_or(Error::Unsupported("this kind of AAC in ADTS"))?);
            }
            Codec::Opus => {
                let channels = opus::read_config(config)?.channels.unwrap_or(2);
                if !(1..=8).contains(&channels) {
                    return Err(Error::Unsupported("Opus of more than 8 channels in a transport stream"));
                }
                self.channels = channels;
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes a PES packet.
    fn write_pes(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), Error> {
        let (pts, dts) = (clock_ticks(packet.pts), clock_ticks(packet.dts));
        put_pes_head(self.stream_id, pts, Some(dts).filter(|dts| *dts != pts), out);
        self.write_frame(packet, out)?;
        // Only video may leave the size open.
        if put_pes_size(out).is_none() && packet.track.kind != Kind::Video {
            return Err(Error::Misuse("a frame of sound above 64 KiB"));
        }
        Ok(())
    }

    fn write_frame(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), Error> {
        let payload = &packet.payload;
        match self.codec {
            Codec::H264 | Codec::H265 => {
                let sets: &[Bytes] = if packet.flags.keyframe { &self.parameter_sets } else { &[] };
                annex_b::write_access_unit(self.codec, payload, self.nal_length_size, sets, out);
            }
            Codec::Aac => {
                let adts = self.adts.ok_or(Error::Misuse("AAC without a configuration"))?;
                let header = adts.write(payload.len()).ok_or(Error::Misuse("a frame of AAC above 8 KiB"))?;
                out.put_slice(&header);
                out.put_slice(payload);
            }
            Codec::Opus => {
                sound::write_opus_head(payload.len(), out);
                out.put_slice(payload);
            }
            _ => out.put_slice(payload),
        }
        Ok(())
    }
}

/// Writes the head of a PES packet, its size left open (section 2.4.3.6). The payload begins with a frame.
fn put_pes_head(stream_id: u8, pts: u64, dts: Option<u64>, out: &mut BytesMut) {
    const MARKER_AND_ALIGNED: u8 = 0x84;
    const HAS_PTS: u8 = 0x80;
    const HAS_PTS_AND_DTS: u8 = 0xc0;
    out.put_slice(&[0, 0, 1, stream_id, 0, 0, MARKER_AND_ALIGNED]);
    match dts {
        None => {
            out.put_slice(&[HAS_PTS, 5]);
            put_time(0x2, pts, out);
        }
        Some(dts) => {
            out.put_slice(&[HAS_PTS_AND_DTS, 10]);
            put_time(0x3, pts, out);
            put_time(0x1, dts, out);
        }
    }
}

/// Fills in the size of the PES packet `pes`; `None` where 16 bits cannot say it.
fn put_pes_size(pes: &mut BytesMut) -> Option<()> {
    let size = u16::try_from(pes.len() - 6).ok()?;
    pes[4..6].copy_from_slice(&size.to_be_bytes());
    Some(())
}

/// Ticks of a clock that wraps.
fn clock_ticks(time: Time) -> u64 {
    time.to_ticks(CLOCK_HZ) as u64 & ((1 << TIME_BITS) - 1)
}

/// `prefix:4 time:3 1 time:15 1 time:15 1`
fn put_time(prefix: u64, time: u64, out: &mut BytesMut) {
    let fields = prefix << 36
        | (time >> 30) << 33
        | 1 << 32
        | ((time >> 15) & 0x7fff) << 17
        | 1 << 16
        | (time & 0x7fff) << 1
        | 1;
    out.put_uint(fields, 5);
}

/// Writes a section into packets of its own, filled up with bytes that no table begins with.
fn write_section(pid: u16, counter: &mut u8, section: &[u8], out: &mut BytesMut) {
    const PAYLOAD_BYTES: usize = PACKET_BYTES - 4;
    let whole = [&[0][..], section].concat();
    for (index, payload) in whole.chunks(PAYLOAD_BYTES).enumerate() {
        put_head(pid, index == 0, false, counter, out);
        out.put_slice(payload);
        out.put_bytes(0xff, PAYLOAD_BYTES - payload.len());
    }
}

/// The 4 bytes in front of each packet that has a payload.
fn put_head(pid: u16, start: bool, has_adaptation: bool, counter: &mut u8, out: &mut BytesMut) {
    const PAYLOAD: u8 = 0x10;
    const ADAPTATION: u8 = 0x20;
    out.put_u8(SYNC);
    out.put_u16(u16::from(start) << 14 | pid);
    out.put_u8(PAYLOAD | if has_adaptation { ADAPTATION } else { 0 } | *counter);
    *counter = (*counter + 1) & 0x0f;
}

const RANDOM_ACCESS: u8 = 0x40;
const HAS_CLOCK: u8 = 0x10;

/// `base:33 reserved:6 extension:9`
fn put_clock(time: Time, out: &mut BytesMut) {
    out.put_uint(clock_ticks(time) << 15 | 0x7e00, 6);
}

/// Writes a packet without payload that says the program clock. Its counter does not count.
fn write_clock(stream: &Stream, time: Time, out: &mut BytesMut) {
    const ADAPTATION_ONLY: u8 = 0x20;
    out.put_u8(SYNC);
    out.put_u16(stream.pid);
    out.put_u8(ADAPTATION_ONLY | stream.counter.wrapping_sub(1) & 0x0f);
    out.put_slice(&[183, HAS_CLOCK]);
    put_clock(time, out);
    out.put_bytes(0xff, 183 - 1 - 6);
}

/// Cuts a PES packet into packets. What is missing to fill the last one is stuffed in front of its payload.
fn write_packets(
    pid: u16,
    counter: &mut u8,
    can_start: bool,
    clock: Option<Time>,
    pes: &[u8],
    out: &mut BytesMut,
) {
    const BODY_BYTES: usize = PACKET_BYTES - 4;
    out.reserve((pes.len() / BODY_BYTES + 2) * PACKET_BYTES);
    let mut rest = pes;
    let mut start = true;
    while !rest.is_empty() {
        let clock = clock.filter(|_| start);
        let flags =
            if start && can_start { RANDOM_ACCESS } else { 0 } | if clock.is_some() { HAS_CLOCK } else { 0 };
        let wanted = match (clock, flags) {
            (Some(_), _) => 2 + 6,
            (None, 0) => 0,
            (None, _) => 2,
        };
        let payload = rest.len().min(BODY_BYTES - wanted);
        let adaptation = BODY_BYTES - payload;
        put_head(pid, start, adaptation > 0, counter, out);
        if adaptation > 0 {
            out.put_u8((adaptation - 1) as u8);
        }
        if adaptation > 1 {
            out.put_u8(flags);
            if let Some(time) = clock {
                put_clock(time, out);
            }
            out.put_bytes(0xff, adaptation - 2 - if clock.is_some() { 6 } else { 0 });
        }
        out.put_slice(&rest[..payload]);
        rest = &rest[payload..];
        start = false;
    }
}
