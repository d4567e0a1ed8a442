//! From packets to blocks of bytes that a file takes one after the other.
//!
//! A file begins where a decoder can: at a keyframe, or where there is no video at any sound. An MP4 file has one
//! configuration for each of its tracks, so a stream that changes one, or has another track, goes on in a new file at the
//! next such place; FLV says changes in between. Knows no clock and no file.

use super::id::FileName;
use super::limits::{FILE_SAMPLES_MAX, FRAGMENT, FRAGMENT_BYTES_MAX, SEGMENT};
use crate::config::RecordFormat;
use bytes::{Bytes, BytesMut};
use media::container::{flv, fmp4, ts};
use media::{Codec, Flags, Kind, Packet, Role, Time, TrackId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A stream whose pictures have been away so long is taken for one without.
const VIDEO_GONE: Duration = Duration::from_secs(10);
/// How long the last frame of a track lasts that has only one.
const FRAME: Duration = Duration::from_millis(20);
/// Between frames that are further apart something is missing.
const FRAME_MAX: Duration = Duration::from_secs(2);
/// TS: where its times begin, so that the clock that runs ahead of them has room.
const TS_BASE: Duration = Duration::from_secs(1);
/// Room for the headers of a tag beside its payload.
const TAG_OVERHEAD: usize = 48;

/// Bytes that belong together: a file that ends behind one of them plays.
#[derive(Debug)]
pub(super) struct Block {
    /// The file that they go into.
    pub(super) file: FileName,
    /// It is the first one of its file, which has these tracks.
    pub(super) begins: Option<Vec<api::RecordedTrack>>,
    /// The bytes, shared with everybody else who sends them.
    pub(super) pieces: Vec<Bytes>,
    /// How many.
    pub(super) bytes: usize,
    /// Packets in it.
    pub(super) packets: u64,
    /// Media time of the file up to its end.
    pub(super) end: Duration,
    /// The times or the tracks of its segment do not go on from those of the one before.
    pub(super) is_discontinuity: bool,
    /// When it begins a segment whose times go on: how long after the one before it begins. Sound of that one may last longer.
    pub(super) after: Option<Duration>,
}

/// When a file is followed by the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileLimits {
    pub(super) media_max: Duration,
    pub(super) bytes_max: u64,
}

/// The file that is being written.
struct OpenFile {
    name: FileName,
    /// What is time zero in it.
    base: Time,
    /// MP4: its tracks.
    tracks: Vec<fmp4::Track>,
    /// MP4 and TS: what it takes.
    taken: Vec<(TrackId, Codec)>,
    /// TS: where it begins, from `base`.
    start: Duration,
    /// TS: how long after the segment before.
    after: Option<Duration>,
    is_discontinuity: bool,
    /// MP4 and TS: tracks that it cannot have.
    left_out: BTreeSet<TrackId>,
    /// MP4: fragments so far.
    sequence: u32,
    /// Packets in it.
    packets: u64,
    bytes: u64,
    end: Duration,
    /// The newest frame of each track.
    last: BTreeMap<TrackId, Time>,
}

/// TS: what goes on from segment to segment.
struct Run {
    muxer: ts::Muxer,
    tracks: Vec<(TrackId, Codec)>,
    configs: Vec<Bytes>,
    base: Time,
    /// Where the newest segment begins, from `base`.
    newest: Duration,
}

/// Makes the blocks of one recording.
pub(super) struct Muxer {
    format: RecordFormat,
    limits: FileLimits,
    /// MP4: packets of a file.
    packets_max: u64,
    /// What a decoder must know: the newest packet of each kind.
    kept: Vec<Packet>,
    /// What a decoder of the file must know before its first packet.
    preamble: Vec<Packet>,
    /// The configurations that the frames of this file go with.
    configs: BTreeMap<TrackId, Bytes>,
    /// Tracks whose configuration has changed since the file began.
    stale: BTreeSet<TrackId>,
    /// Tracks of pictures that have begun in this file.
    begun: BTreeSet<TrackId>,
    pending: Vec<Packet>,
    pending_bytes: usize,
    pending_since: Option<Instant>,
    file: Option<OpenFile>,
    run: Option<Run>,
    /// Files so far.
    files: u32,
    /// The track of pictures whose keyframes are entrances, and when it was seen last.
    main: Option<(TrackId, Instant)>,
    /// The next entrance begins a new file.
    roll: bool,
    /// Nothing is taken before the next entrance.
    resync: bool,
    /// Nothing is taken at all.
    suspended: bool,
    lost: u64,
}

impl Muxer {
    pub(super) fn new(format: RecordFormat, limits: FileLimits) -> Self {
        Self {
            format,
            limits,
            packets_max: FILE_SAMPLES_MAX,
            kept: Vec::new(),
            preamble: Vec::new(),
            configs: BTreeMap::new(),
            stale: BTreeSet::new(),
            begun: BTreeSet::new(),
            pending: Vec::new(),
            pending_bytes: 0,
            pending_since: None,
            file: None,
            run: None,
            files: 0,
            main: None,
            roll: false,
            resync: false,
            suspended: false,
            lost: 0,
        }
    }

    /// Takes a packet. What it gives back is the end of a file that the packet does not belong to.
    pub(super) fn push(&mut self, now: Instant, packet: &Packet) -> Option<Block> {
        if packet.role.is_kept() {
            self.keep(packet);
            return None;
        }
        if packet.role != Role::Frame {
            // Data messages, ends and commands have a form in FLV only, and no place where nothing else is.
            if self.format == RecordFormat::Flv && !self.is_waiting() && self.pending_since.is_some() {
                self.take(now, packet);
            }
            return None;
        }
        let is_entrance = self.is_entrance(now, packet);
        if self.suspended || (self.resync && !is_entrance) {
            self.lost += 1;
            return None;
        }
        self.resync = false;
        let mut rest = None;
        if is_entrance && (self.roll || self.is_full(packet)) {
            rest = self.end_file();
        }
        if self.fits(packet) {
            self.take(now, packet);
        } else if !self.is_left_out(packet.track) {
            self.lost += 1;
        }
        rest
    }

    /// What is due to be written; with `all`, whatever there is.
    pub(super) fn poll(&mut self, now: Instant, all: bool) -> Option<Block> {
        let since = self.pending_since?;
        let wait = if self.format == RecordFormat::Mp4 { FRAGMENT } else { Duration::ZERO };
        let is_due =
            all || now.saturating_duration_since(since) >= wait || self.pending_bytes >= FRAGMENT_BYTES_MAX;
        if is_due { self.cut() } else { None }
    }

    /// Ends the file. The next entrance begins another.
    pub(super) fn end_file(&mut self) -> Option<Block> {
        let rest = self.cut();
        self.abandon_file();
        rest
    }

    /// The next entrance begins a new file: what was made for this one is lost.
    pub(super) fn abandon_file(&mut self) {
        self.file = None;
        self.roll = false;
        self.configs.clear();
        self.stale.clear();
        self.begun.clear();
    }

    /// What comes is of another stream: ends the file, and forgets what was known.
    pub(super) fn begin_anew(&mut self) -> Option<Block> {
        let rest = self.end_file();
        self.kept.clear();
        (self.main, self.run) = (None, None);
        rest
    }

    /// What was made last was not written: goes on at the next entrance.
    pub(super) fn resync(&mut self) {
        self.drop_pending();
        self.begun.clear();
        self.resync = true;
    }

    /// Takes nothing until [`Muxer::resume`], and then begins a new file.
    pub(super) fn suspend(&mut self) {
        self.resync();
        self.abandon_file();
        self.run = None;
        self.suspended = true;
    }

    /// Goes on at the next entrance.
    pub(super) fn resume(&mut self) {
        self.suspended = false;
    }

    /// Whether packets are lost until the next entrance.
    pub(super) fn is_waiting(&self) -> bool {
        self.suspended || self.resync
    }

    /// How many packets were lost since it was asked last.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Files so far.
    pub(super) fn files(&self) -> usize {
        self.files as usize
    }

    /// Whether the file has enough, when `packet` may begin another.
    fn is_full(&self, packet: &Packet) -> bool {
        let media_max = match self.format {
            RecordFormat::Ts => SEGMENT.min(self.limits.media_max),
            RecordFormat::Mp4 | RecordFormat::Flv => self.limits.media_max,
        };
        self.file.as_ref().is_some_and(|file| {
            packet.dts.since(file.base).saturating_sub(file.start) >= media_max
                || file.bytes + self.pending_bytes as u64 >= self.limits.bytes_max
                || (self.format == RecordFormat::Mp4
                    && file.packets + self.pending.len() as u64 >= self.packets_max)
        })
    }

    fn is_entrance(&mut self, now: Instant, packet: &Packet) -> bool {
        match (packet.track.kind, self.main) {
            (Kind::Video, main) => {
                let is_main = main.is_none_or(|(id, seen)| {
                    packet.track <= id || now.saturating_duration_since(seen) > VIDEO_GONE
                });
                if is_main {
                    self.main = Some((packet.track, now));
                }
                is_main && packet.is_video_keyframe()
            }
            (_, Some((_, seen))) => now.saturating_duration_since(seen) > VIDEO_GONE,
            (_, None) => true,
        }
    }

    /// Keeps what a later file needs, and notices what this one cannot say.
    fn keep(&mut self, packet: &Packet) {
        let is_same = |other: &Packet| {
            (other.track, other.role) == (packet.track, packet.role)
                && (packet.track.kind != Kind::Data || other.data_name() == packet.data_name())
        };
        match self.kept.iter_mut().find(|other| is_same(other)) {
            Some(other) => *other = packet.clone(),
            None => self.kept.push(packet.clone()),
        }
        match self.format {
            RecordFormat::Flv => {
                if self.pending_since.is_some() || self.file.is_some() {
                    self.pending_bytes += packet.payload.len();
                    self.pending.push(packet.clone());
                }
            }
            RecordFormat::Mp4 | RecordFormat::Ts => {
                let used = self.configs.get(&packet.track);
                if packet.role == Role::Config && used.is_some_and(|used| *used != packet.payload) {
                    self.stale.insert(packet.track);
                    self.roll = true;
                }
            }
        }
    }

    /// Whether a frame can be in this file.
    fn fits(&mut self, packet: &Packet) -> bool {
        if packet.track.kind == Kind::Video && !self.begun.contains(&packet.track) {
            if !packet.flags.keyframe {
                return false;
            }
            self.begun.insert(packet.track);
        }
        if self.format == RecordFormat::Flv {
            return true;
        }
        if self.stale.contains(&packet.track) {
            return false;
        }
        let Some(file) = &self.file else { return true };
        let has_track = file.taken.contains(&(packet.track, packet.codec));
        if !has_track && !file.left_out.contains(&packet.track) {
            self.roll = true;
        }
        has_track && packet.dts >= file.base
    }

    fn is_left_out(&self, id: TrackId) -> bool {
        self.file.as_ref().is_some_and(|file| file.left_out.contains(&id))
    }

    fn take(&mut self, now: Instant, packet: &Packet) {
        if self.pending_since.is_none() {
            self.pending_since = Some(now);
            if self.file.is_none() {
                self.preamble = self.kept.clone();
            }
        }
        if packet.role == Role::Frame && !self.configs.contains_key(&packet.track) {
            let config = self.config_of(packet.track);
            self.configs.insert(packet.track, config);
        }
        self.pending_bytes += packet.payload.len();
        self.pending.push(packet.clone());
    }

    fn config_of(&self, id: TrackId) -> Bytes {
        let is_config = |packet: &&Packet| packet.track == id && packet.role == Role::Config;
        self.kept.iter().find(is_config).map(|packet| packet.payload.clone()).unwrap_or_default()
    }

    fn drop_pending(&mut self) {
        self.lost += frames(&self.pending);
        self.pending.clear();
        (self.pending_bytes, self.pending_since) = (0, None);
    }

    /// Makes a block of what is pending.
    fn cut(&mut self) -> Option<Block> {
        self.pending_since?;
        let mut packets = std::mem::take(&mut self.pending);
        (self.pending_bytes, self.pending_since) = (0, None);
        let mut out = BytesMut::new();
        let mut begins = None;
        if self.file.is_none() {
            match self.begin(&packets, &mut out) {
                Some((file, tracks)) => {
                    self.file = Some(file);
                    begins = Some(tracks);
                }
                None => {
                    self.lost += frames(&packets);
                    return None;
                }
            }
        }
        let file = self.file.as_mut()?;
        for packet in &mut packets {
            // What is kept may carry the time of another packet.
            let before_base = packet.dts < file.base;
            packet.pts = Time::from_nanos(if before_base { 0 } else { packet.pts - file.base });
            packet.dts = Time::from_nanos(if before_base { 0 } else { packet.dts - file.base });
        }
        let ends = ends(&packets, &mut file.last);
        let end = ends.values().map(|end| end.since(Time::ZERO)).max().unwrap_or_default();
        let end = end.saturating_sub(file.start).max(file.end);
        let mut pieces = vec![];
        let count = frames(&packets);
        match self.format {
            RecordFormat::Flv => {
                packets.iter().for_each(|packet| write_tag(packet, &mut out));
                pieces.push(out.freeze());
            }
            RecordFormat::Ts => {
                let run = self.run.as_mut()?;
                for packet in &packets {
                    let (pts, dts) = (packet.pts + TS_BASE, packet.dts + TS_BASE);
                    if let Err(error) = run.muxer.write(&Packet { pts, dts, ..packet.clone() }, &mut out) {
                        tracing::debug!(%error, "a packet cannot be written");
                        self.lost += frames(std::slice::from_ref(packet));
                    }
                }
                pieces.push(out.freeze());
            }
            RecordFormat::Mp4 => {
                // A silence without a byte is no sample, and what no track takes has no place.
                packets.retain(|packet| !packet.payload.is_empty());
                packets.sort_by_key(|packet| packet.track);
                let runs: Vec<_> = packets
                    .chunk_by(|a, b| a.track == b.track)
                    .filter_map(|frames| {
                        let track = file.tracks.iter().find(|track| track.id() == frames[0].track)?;
                        Some(fmp4::Run { track, frames, end: *ends.get(&frames[0].track)? })
                    })
                    .collect();
                if runs.is_empty() && begins.is_none() {
                    return None;
                }
                if !runs.is_empty() {
                    if let Err(error) = fmp4::write_fragment(file.sequence + 1, &runs, &mut out) {
                        tracing::debug!(%error, "a fragment cannot be written");
                        self.lost += count;
                        // What the file has so far stays; it may be nothing.
                        self.resync = true;
                        self.abandon_file();
                        return None;
                    }
                    file.sequence += 1;
                }
                pieces.push(out.freeze());
                pieces.extend(fmp4::payloads(&runs));
            }
        }
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        file.bytes += bytes as u64;
        file.packets += count;
        file.end = end;
        let OpenFile { is_discontinuity, after, .. } = *file;
        let file = file.name.clone();
        Some(Block { file, begins, pieces, bytes, packets: count, end, is_discontinuity, after })
    }

    /// Begins a file with `packets`, and writes its head. `None` if none of their tracks has a form in it.
    fn begin(
        &mut self,
        packets: &[Packet],
        out: &mut BytesMut,
    ) -> Option<(OpenFile, Vec<api::RecordedTrack>)> {
        let base =
            packets.iter().filter(|packet| packet.role == Role::Frame).map(|packet| packet.dts).min()?;
        let extension = match self.format {
            RecordFormat::Mp4 => "mp4",
            RecordFormat::Flv => "flv",
            RecordFormat::Ts => "ts",
        };
        let mut file = OpenFile {
            name: FileName::new(self.files + 1, extension),
            base,
            tracks: Vec::new(),
            taken: Vec::new(),
            start: Duration::ZERO,
            after: None,
            is_discontinuity: false,
            left_out: BTreeSet::new(),
            sequence: 0,
            packets: 0,
            bytes: 0,
            end: Duration::ZERO,
            last: BTreeMap::new(),
        };
        let mut described = Vec::new();
        let mut configs = Vec::new();
        for (id, first) in self.tracks_of(packets) {
            let config = self.configs.get(&id).cloned().unwrap_or_else(|| self.config_of(id));
            let payload = packets
                .iter()
                .find(|packet| packet.track == id && packet.role == Role::Frame && !packet.payload.is_empty())
                .map_or(&[][..], |packet| &packet.payload);
            let mut track = api::RecordedTrack {
                id: id.to_string(),
                codec: crate::http::codec_name(first.codec),
                mime: media::codec::summary(first.codec, &config).map(|summary| summary.mime),
                left_out: None,
            };
            if self.format == RecordFormat::Mp4 {
                let number = file.tracks.len() as u32 + 1;
                match fmp4::Track::new(number, id, first.codec, &config, payload) {
                    Ok(written) => {
                        track.mime = Some(written.summary().mime.clone());
                        file.tracks.push(written);
                        file.taken.push((id, first.codec));
                    }
                    // A track of which there is no frame yet may be known better by its first one.
                    Err(_) if payload.is_empty() => continue,
                    Err(why) => {
                        track.left_out = Some(why.to_string());
                        file.left_out.insert(id);
                    }
                }
            }
            if self.format == RecordFormat::Ts {
                match try_ts(id, first.codec, &config) {
                    Ok(()) => {
                        file.taken.push((id, first.codec));
                        configs.push(config);
                    }
                    Err(why) => {
                        track.left_out = Some(why.to_string());
                        file.left_out.insert(id);
                    }
                }
            }
            described.push(track);
        }
        match self.format {
            RecordFormat::Mp4 => fmp4::write_init(&file.tracks, out).ok()?,
            RecordFormat::Ts => self.begin_segment(&mut file, configs, out)?,
            RecordFormat::Flv => {
                let all = || self.preamble.iter().chain(packets);
                let has = |kind| all().any(|packet| packet.track.kind == kind);
                flv::write_file_header(has(Kind::Audio), has(Kind::Video), out);
                for packet in &self.preamble {
                    write_tag(&Packet { dts: Time::ZERO, pts: Time::ZERO, ..packet.clone() }, out);
                }
            }
        }
        self.files += 1;
        Some((file, described))
    }

    /// Begins a segment. Where its tracks are those of the one before, its times and its counters go on from there.
    fn begin_segment(&mut self, file: &mut OpenFile, configs: Vec<Bytes>, out: &mut BytesMut) -> Option<()> {
        let goes_on = self
            .run
            .as_ref()
            .is_some_and(|run| run.tracks == file.taken && run.configs == configs && run.base <= file.base);
        if !goes_on {
            let (muxer, tracks) = (ts::Muxer::new(&file.taken).ok()?, file.taken.clone());
            self.run = Some(Run { muxer, tracks, configs, base: file.base, newest: Duration::ZERO });
            file.is_discontinuity = self.files > 0;
        }
        let run = self.run.as_mut()?;
        file.start = file.base.since(run.base);
        file.after = goes_on.then(|| file.start.saturating_sub(run.newest));
        run.newest = file.start;
        file.base = run.base;
        for ((id, codec), config) in run.tracks.iter().zip(&run.configs) {
            run.muxer.write(&config_packet(*id, *codec, config), out).ok()?;
        }
        run.muxer.write_tables(out);
        Some(())
    }

    /// The tracks of a file that begins with `packets`, each with a packet of it.
    fn tracks_of<'a>(&'a self, packets: &'a [Packet]) -> BTreeMap<TrackId, &'a Packet> {
        let mut tracks = BTreeMap::new();
        let kept = self.kept.iter().filter(|packet| packet.role == Role::Config);
        for packet in packets.iter().filter(|packet| packet.role == Role::Frame).chain(kept) {
            tracks.entry(packet.track).or_insert(packet);
        }
        tracks
    }
}

/// Whether a transport stream has a form for a track.
fn try_ts(id: TrackId, codec: Codec, config: &Bytes) -> Result<(), media::container::Error> {
    ts::Muxer::new(&[(id, codec)])?.write(&config_packet(id, codec, config), &mut BytesMut::new())
}

fn config_packet(track: TrackId, codec: Codec, config: &Bytes) -> Packet {
    let (role, time) = (Role::Config, Time::ZERO);
    Packet { track, codec, role, flags: Flags::default(), dts: time, pts: time, payload: config.clone() }
}

fn frames(packets: &[Packet]) -> u64 {
    packets.iter().filter(|packet| packet.role == Role::Frame).count() as u64
}

/// When the last frame of each track ends: after as long as the one before it. `last` is when frames came before.
fn ends(packets: &[Packet], last: &mut BTreeMap<TrackId, Time>) -> BTreeMap<TrackId, Time> {
    let mut ends = BTreeMap::new();
    for packet in packets.iter().filter(|packet| packet.role == Role::Frame) {
        let step = last.insert(packet.track, packet.dts).map(|before| packet.dts.since(before));
        ends.insert(packet.track, packet.dts + step.filter(|step| *step <= FRAME_MAX).unwrap_or(FRAME));
    }
    ends
}

fn write_tag(packet: &Packet, out: &mut BytesMut) {
    out.reserve(packet.payload.len() + TAG_OVERHEAD);
    // It is about the whole stream: with another time, ffmpeg takes it for a text track of its own.
    if packet.is_on_meta_data() {
        flv::write_tag(&Packet { dts: Time::ZERO, pts: Time::ZERO, ..packet.clone() }, out);
    } else {
        flv::write_tag(packet, out);
    }
}

#[cfg(test)]
mod fidelity;
#[cfg(test)]
mod tests;
