//! The stream as MPEG-TS, pictures and sound together: what HLS players from before MP4 want, and boxes that take a stream over
//! HTTP.
//!
//! It is made of the parts in the window when somebody asks for it, by one task for all who do, and stays for as long as they. The
//! leading track (pictures, or else sound) gives the segments their borders; the first track of sound is put between by decoding times.

use super::channel::Channel;
use super::joined::{Due, Step};
use super::limits;
use super::name::File;
use super::playlist::{Terms, date_time};
use super::window::{Rendition, Segment};
use bytes::{Bytes, BytesMut};
use media::container::fmp4::Indexer;
use media::container::{Error, ts};
use media::{Codec, Kind, Packet, Time, TrackId};
use std::collections::VecDeque;
use std::fmt::Write;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tracing::debug;

/// What is added to times, so that the clock of the program, which is ahead of them, does not begin below zero.
const START: Duration = Duration::from_secs(10);

/// How often it is looked whether anybody still wants it.
const LOOK: Duration = Duration::from_secs(1);

/// The transport stream of a channel.
#[derive(Default)]
pub(super) struct Transport {
    /// Held while it is written, which takes a while: not for threads that carry media.
    maker: Mutex<Maker>,
    /// Held for a moment.
    made: Mutex<Made>,
    /// Counts how often all that was there has been written.
    rounds: watch::Sender<u64>,
}

/// What writes it.
#[derive(Default)]
struct Maker {
    cursor: Cursor,
    muxer: Option<(Vec<(TrackId, Codec)>, ts::Muxer)>,
    /// Counts muxers.
    programs: u64,
    /// Sound from beyond the newest part of the leading track.
    early: Vec<Packet>,
    newest: Option<Newest>,
}

/// The segment that was begun last.
#[derive(Debug, Clone, Copy)]
struct Newest {
    number: u64,
    /// Interruptions of the stream, and changes of its tracks, before it.
    discontinuities: u64,
    /// Those of the stream alone.
    of_stream: u64,
}

/// What there is of it.
#[derive(Default)]
struct Made {
    /// In order, numbered like those of the leading track.
    segments: VecDeque<TsSegment>,
    /// The oldest that is listed.
    first_listed: u64,
    ended: bool,
    /// All that was there when somebody asked is written.
    whole: bool,
    /// A task writes it.
    busy: bool,
    /// When somebody asked last.
    asked: Option<Instant>,
    /// Who reads the stream that does not end.
    readers: usize,
}

/// What was taken from the window so far.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    /// The segment of the leading track that is at hand, and its parts so far.
    lead: Option<(u64, usize)>,
    /// The segment of the sound that comes next, and its part.
    sound: (u64, usize),
    /// How far the sound goes that was taken, since the last interruption.
    heard: Option<Time>,
    /// Interruptions of the stream so far.
    discontinuities: u64,
}

struct TsSegment {
    number: u64,
    date: SystemTime,
    duration: Duration,
    /// Interruptions of the stream, and changes of its tracks, before it.
    discontinuities: u64,
    /// The muxer that made it.
    program: u64,
    /// One for each part of the leading track; the first begins with the tables.
    chunks: Vec<Bytes>,
    closed: bool,
}

/// A part of the leading track, with what is known of its segment and the sound that belongs to it.
struct Piece {
    number: u64,
    date: SystemTime,
    discontinuities: u64,
    duration: Duration,
    /// When its last frame ends; none where all there is of the sound belongs to it.
    end: Option<Time>,
    opens: bool,
    closes: bool,
    /// The leading one first.
    tracks: Vec<(TrackId, Codec)>,
    /// Parts with their initialization sections, those of the leading track first.
    parts: Vec<(TrackId, Bytes, Bytes)>,
}

/// Where a player is in the stream that does not end.
#[derive(Debug, Clone, Copy, Default)]
struct TsPlace(Option<(u64, u64, usize)>);

/// Whether a stream of these tracks has a form as a transport stream: its pictures have, or its sound where there are none.
pub(super) fn has_form(renditions: &[Rendition]) -> bool {
    lead(renditions).is_none_or(|lead| codec(lead).is_none_or(|codec| is_carried(lead.id, codec)))
}

fn is_carried(id: TrackId, codec: Codec) -> bool {
    ts::Muxer::new(&[(id, codec)]).is_ok()
}

fn codec(rendition: &Rendition) -> Option<Codec> {
    rendition.inits.last().map(|init| init.track.codec())
}

fn lead(renditions: &[Rendition]) -> Option<&Rendition> {
    let of = |kind| renditions.iter().find(move |rendition| rendition.id.kind == kind);
    of(Kind::Video).or_else(|| of(Kind::Audio))
}

/// The sound that goes with the pictures.
fn sound(renditions: &[Rendition]) -> Option<&Rendition> {
    let mut all = renditions.iter().filter(|rendition| rendition.id.kind == Kind::Audio);
    all.find(|rendition| codec(rendition).is_some_and(|codec| is_carried(rendition.id, codec)))
}

impl Transport {
    /// Makes what can be made by now. Takes a while where nobody has asked for long, so it is for threads that may be busy.
    fn advance(&self, channel: &Channel) {
        let mut maker = self.maker();
        loop {
            let (piece, window, ended) = channel.view(|renditions, ended, _| {
                let piece = maker.cursor.take(renditions, ended);
                let window = lead(renditions)
                    .map(|lead| (lead.segments.front().map_or(0, |first| first.number), lead.first_listed));
                (piece, window, ended)
            });
            let mut made = self.made();
            if let Some((kept, first_listed)) = window {
                made.segments.retain(|segment| segment.number >= kept);
                made.first_listed = first_listed;
            }
            made.ended = ended && piece.is_none();
            made.whole |= piece.is_none();
            drop(made);
            let Some(piece) = piece else { break };
            if let Some(written) = maker.write(&piece) {
                self.made().add(&piece, written);
            }
        }
        drop(maker);
        self.rounds.send_modify(|count| *count += 1);
    }

    /// Notes that somebody asks for what there is.
    pub(super) fn note_asked(&self, now: Instant) {
        self.made().asked = Some(now);
    }

    /// Follows what is made.
    pub(super) fn rounds(&self) -> watch::Receiver<u64> {
        self.rounds.subscribe()
    }

    /// Whether all is there that was in the window when somebody asked first.
    pub(super) fn is_whole(&self) -> bool {
        self.made().whole
    }

    /// Whether a task makes it.
    pub(super) fn is_being_made(&self) -> bool {
        self.made().busy
    }

    /// Gives up what nobody has asked for since so long. False where somebody has, or reads on.
    fn leave(&self, now: Instant, stay: Duration) -> bool {
        let mut maker = self.maker();
        let mut made = self.made();
        let is_fresh = |asked: Instant| now.saturating_duration_since(asked) < stay;
        if made.readers > 0 || made.asked.is_some_and(is_fresh) {
            return false;
        }
        reset(&mut maker, &mut made);
        true
    }

    /// The newest segment that is complete, and whether there will be no more.
    pub(super) fn edge(&self) -> (Option<u64>, bool) {
        let made = self.made();
        let newest = made.segments.iter().rev().find(|segment| segment.closed);
        (newest.map(|segment| segment.number), made.ended)
    }

    /// The media playlist; none without a complete segment.
    pub(super) fn playlist(&self, terms: &Terms) -> Option<String> {
        self.made().playlist(terms)
    }

    /// A segment that is complete, in pieces.
    pub(super) fn segment(&self, number: u64) -> Option<Vec<Bytes>> {
        let made = self.made();
        let segment = made.segments.iter().find(|segment| segment.number == number)?;
        segment.closed.then(|| segment.chunks.clone())
    }

    /// What has come since for a player at `place`. It begins with the newest segment, and ends where the tracks change.
    fn step(&self, place: &mut TsPlace) -> Step {
        let made = self.made();
        let mut due = Vec::new();
        loop {
            let Some((program, number, chunk)) = place.0 else {
                // The newest so far is an old one while the window is being written.
                let Some(newest) = made.segments.back().filter(|_| made.whole) else { break };
                place.0 = Some((newest.program, newest.number, 0));
                continue;
            };
            let Some(segment) = made.segments.iter().find(|segment| segment.number >= number) else { break };
            if segment.number > number || segment.program != program {
                return if due.is_empty() { Step::End } else { Step::Parts(due) };
            }
            let chunks = segment.chunks.iter().skip(chunk).cloned();
            due.extend(chunks.map(|bytes| Due { start: Time::ZERO, bytes }));
            if !segment.closed {
                place.0 = Some((program, number, segment.chunks.len()));
                break;
            }
            place.0 = Some((program, number + 1, 0));
        }
        if due.is_empty() && made.ended { Step::End } else { Step::Parts(due) }
    }

    fn maker(&self) -> MutexGuard<'_, Maker> {
        self.maker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets what was made. What comes later goes on in counting.
fn reset(maker: &mut Maker, made: &mut Made) {
    *maker = Maker { programs: maker.programs, newest: maker.newest, ..Maker::default() };
    *made = Made { readers: made.readers, ..Made::default() };
}

/// Has the transport stream of `channel` made from now on, by one task for all who ask, for as long as somebody does.
pub(super) fn want(channel: &Arc<Channel>, shutdown: &net::Shutdown, now: Instant) {
    let mut made = channel.transport.made();
    made.asked = Some(now);
    if !mem::replace(&mut made.busy, true) {
        tokio::spawn(make(channel.clone(), shutdown.clone()));
    }
}

async fn make(channel: Arc<Channel>, shutdown: net::Shutdown) {
    let mut making = Making { channel: channel.clone(), has_left: false };
    let mut changes = channel.changes();
    loop {
        changes.mark_unchanged();
        let advancing = channel.clone();
        if tokio::task::spawn_blocking(move || advancing.transport.advance(&advancing)).await.is_err() {
            return;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
            () = channel.stopped() => return,
            () = shutdown.triggered() => return,
        }
        // By then all that anybody has seen of it has left the list.
        if channel.transport.leave(Instant::now(), 2 * channel.listed_min()) {
            making.has_left = true;
            return;
        }
    }
}

/// The task that makes a transport stream. However it ends, nobody waits for what will not come.
struct Making {
    channel: Arc<Channel>,
    /// Another task may have begun since.
    has_left: bool,
}

impl Drop for Making {
    fn drop(&mut self) {
        let transport = &self.channel.transport;
        if !self.has_left {
            let mut maker = transport.maker();
            reset(&mut maker, &mut transport.made());
        }
        transport.rounds.send_modify(|count| *count += 1);
    }
}

/// A reader of the stream that does not end.
pub(super) struct TsReader {
    channel: Arc<Channel>,
    place: TsPlace,
}

impl TsReader {
    /// A reader from the newest segment on.
    pub(super) fn new(channel: Arc<Channel>, shutdown: &net::Shutdown, now: Instant) -> Self {
        want(&channel, shutdown, now);
        channel.transport.made().readers += 1;
        Self { channel, place: TsPlace::default() }
    }

    /// What has come since.
    pub(super) fn step(&mut self) -> Step {
        let transport = &self.channel.transport;
        let is_being_made = transport.is_being_made();
        match transport.step(&mut self.place) {
            Step::Parts(due) if due.is_empty() && !is_being_made => Step::End,
            step => step,
        }
    }
}

impl Drop for TsReader {
    fn drop(&mut self) {
        self.channel.transport.made().readers -= 1;
    }
}

/// A piece of a transport stream.
struct Written {
    /// What begins with it, and whether what came before is not followed by it.
    begins: Option<(TsSegment, bool)>,
    chunk: Bytes,
}

impl Maker {
    /// Writes `piece`; `None` if there is no form for its tracks.
    fn write(&mut self, piece: &Piece) -> Option<Written> {
        let begins = match piece.opens {
            true => Some(self.open(piece)?),
            false => None,
        };
        let lead = piece.tracks[0].0;
        let mut packets = mem::take(&mut self.early);
        for (id, init, part) in &piece.parts {
            match packets_of(*id, init, part) {
                Ok(found) => packets.extend(found),
                Err(error) => debug!(track = %id, %error, "a part is left out of the transport stream"),
            }
        }
        // Stable: a configuration stays in front of its frames.
        packets.sort_by_key(|packet| packet.dts);
        let (_, muxer) = self.muxer.as_mut()?;
        self.newest.filter(|newest| newest.number == piece.number)?;
        let mut out = BytesMut::new();
        if begins.is_some() {
            muxer.write_tables(&mut out);
        }
        for mut packet in packets {
            if packet.track != lead && piece.end.is_some_and(|end| packet.dts >= end) {
                self.early.push(packet);
                continue;
            }
            (packet.dts, packet.pts) = (packet.dts + START, packet.pts + START);
            if let Err(error) = muxer.write(&packet, &mut out) {
                debug!(track = %packet.track, %error, "a frame is left out of the transport stream");
            }
        }
        Some(Written { begins, chunk: out.freeze() })
    }

    /// Begins a segment; `None` if there is no form for its tracks.
    fn open(&mut self, piece: &Piece) -> Option<(TsSegment, bool)> {
        let is_same = self.muxer.as_ref().is_some_and(|(tracks, _)| *tracks == piece.tracks);
        if !is_same {
            let muxer = ts::Muxer::new(&piece.tracks).ok()?;
            self.muxer = Some((piece.tracks.clone(), muxer));
            self.programs += 1;
        }
        let mut discontinuities = piece.discontinuities;
        let mut is_apart = false;
        if let Some(before) = self.newest {
            is_apart = before.number + 1 != piece.number;
            let is_interrupted = !is_same || is_apart || before.of_stream != piece.discontinuities;
            discontinuities = before.discontinuities + u64::from(is_interrupted);
        }
        let of_stream = piece.discontinuities;
        self.newest = Some(Newest { number: piece.number, discontinuities, of_stream });
        let segment = TsSegment {
            number: piece.number,
            date: piece.date,
            duration: Duration::ZERO,
            discontinuities,
            program: self.programs,
            chunks: Vec::new(),
            closed: false,
        };
        Some((segment, is_apart))
    }
}

impl Made {
    fn add(&mut self, piece: &Piece, written: Written) {
        if let Some((segment, is_apart)) = written.begins {
            if is_apart {
                self.segments.clear();
            }
            if let Some(last) = self.segments.back_mut() {
                last.closed = true;
            }
            self.segments.push_back(segment);
        }
        let Some(segment) = self.segments.back_mut().filter(|segment| segment.number == piece.number) else {
            return;
        };
        segment.chunks.push(written.chunk);
        segment.duration += piece.duration;
        segment.closed = piece.closes;
    }

    fn playlist(&self, terms: &Terms) -> Option<String> {
        let Terms { target, query, .. } = terms;
        let listed =
            self.segments.iter().filter(|segment| segment.closed && segment.number >= self.first_listed);
        let first = listed.clone().next()?;
        let mut out = String::with_capacity(1024);
        let _ = write!(
            out,
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,HOLD-BACK={:.1}\n#EXT-X-MEDIA-SEQUENCE:{}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{}\n#EXT-X-INDEPENDENT-SEGMENTS\n",
            target.as_secs(),
            (3 * *target).as_secs_f64(),
            first.number,
            first.discontinuities,
        );
        let mut discontinuities = first.discontinuities;
        let mut key = None;
        for segment in listed {
            if mem::replace(&mut discontinuities, segment.discontinuities) != segment.discontinuities {
                out.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if let Some(keys) = &terms.keys {
                let next = Some(keys.number_for(segment.number));
                if let (true, Some(number)) = (mem::replace(&mut key, next) != next, next) {
                    let _ = writeln!(out, "{}", keys.tag(number, query));
                }
            }
            let _ = writeln!(
                out,
                "#EXT-X-PROGRAM-DATE-TIME:{}\n#EXTINF:{:.5},\n{}{query}",
                date_time(segment.date),
                segment.duration.as_secs_f64(),
                File::TsSegment(segment.number),
            );
        }
        if self.ended {
            out.push_str("#EXT-X-ENDLIST\n");
        }
        Some(out)
    }
}

/// The packets of a part, behind their configuration.
fn packets_of(id: TrackId, init: &Bytes, part: &Bytes) -> Result<Vec<Packet>, Error> {
    let file = Bytes::from([&init[..], &part[..]].concat());
    let mut indexer = Indexer::new(file.len() as u64);
    while let Some(range) = indexer.wants() {
        indexer.push(&file[range.start as usize..range.end as usize])?;
    }
    let mut packets = Vec::new();
    for track in indexer.finish().tracks {
        let first = track.samples.first().map_or(Time::ZERO, |sample| track.dts(sample));
        packets.extend(track.config_packet(first));
        for sample in &track.samples {
            let start = sample.position as usize;
            let Some(end) = start.checked_add(sample.size as usize).filter(|end| *end <= file.len()) else {
                continue;
            };
            packets.push(track.packet(sample, file.slice(start..end)));
        }
    }
    packets.iter_mut().for_each(|packet| packet.track = id);
    Ok(packets)
}

impl Cursor {
    /// The next part that can be written, if there is one.
    fn take(&mut self, renditions: &[Rendition], ended: bool) -> Option<Piece> {
        let mut next = *self;
        let piece = next.step(renditions, ended)?;
        *self = next;
        Some(piece)
    }

    fn step(&mut self, renditions: &[Rendition], ended: bool) -> Option<Piece> {
        let lead = lead(renditions)?;
        let is_first = self.lead.is_none();
        let (number, index, segment) = self.find(lead)?;
        let init = lead.init(segment.init)?;
        let codec = init.track.codec();
        if !is_carried(lead.id, codec) {
            return None;
        }
        if is_first || self.discontinuities != segment.discontinuities {
            (self.discontinuities, self.heard) = (segment.discontinuities, None);
        }
        let part = &segment.parts[index];
        let length: Duration = segment.parts.iter().take(index + 1).map(|part| part.duration).sum();
        let end = segment.start + length;
        let closes = segment.closed && index + 1 == segment.parts.len();
        let is_other = |next: &Segment| next.discontinuities != segment.discontinuities;
        let is_last = closes && lead.segment(number + 1).map_or(ended, is_other);
        let mut piece = Piece {
            number,
            date: segment.date,
            discontinuities: segment.discontinuities,
            duration: part.duration,
            end: (!is_last).then_some(end),
            opens: index == 0,
            closes,
            tracks: vec![(lead.id, codec)],
            parts: vec![(lead.id, init.bytes.clone(), part.bytes.clone())],
        };
        if let Some(sound) = sound(renditions).filter(|sound| sound.id != lead.id) {
            let has_all = self.take_sound(sound, is_first.then_some(segment.start), &mut piece);
            let newest = lead.segments.back().map_or(end, |last| last.start + last.duration());
            if !has_all && !ended && newest.since(end) < limits::SOUND_LATE {
                return None;
            }
        }
        self.lead = Some((number, index + 1));
        Some(piece)
    }

    /// The part of the leading track that comes next: its segment, and its place in there.
    fn find<'a>(&self, lead: &'a Rendition) -> Option<(u64, usize, &'a Segment)> {
        let first = lead.listed().next()?.number;
        let (mut number, mut index) = self.lead.unwrap_or((first, 0));
        loop {
            match lead.segment(number) {
                Some(segment) if index < segment.parts.len() => return Some((number, index, segment)),
                Some(segment) if segment.closed => (number, index) = (number + 1, 0),
                // It has left the window while nobody asked.
                None if number < first => (number, index) = (first, 0),
                _ => return None,
            }
        }
    }

    /// Takes the sound up to the end of `piece`, and not that from before `begin`. False if not all of it is there.
    fn take_sound(&mut self, sound: &Rendition, begin: Option<Time>, piece: &mut Piece) -> bool {
        if let Some(codec) = codec(sound) {
            piece.tracks.push((sound.id, codec));
        }
        let oldest = sound.segments.front().map_or(0, |first| first.number);
        if self.sound.0 < oldest {
            self.sound = (oldest, 0);
        }
        loop {
            if self.heard.zip(piece.end).is_some_and(|(heard, end)| heard >= end) {
                return true;
            }
            let is_all_wanted = piece.end.is_none();
            let Some(segment) = sound.segment(self.sound.0) else { return is_all_wanted };
            if segment.discontinuities > piece.discontinuities {
                return true;
            }
            let is_past = segment.discontinuities < piece.discontinuities;
            let Some(part) = segment.parts.get(self.sound.1).filter(|_| !is_past) else {
                if !segment.closed && !is_past {
                    return is_all_wanted;
                }
                self.sound = (self.sound.0 + 1, 0);
                continue;
            };
            self.sound.1 += 1;
            let length: Duration = segment.parts.iter().take(self.sound.1).map(|part| part.duration).sum();
            let end = segment.start + length;
            // Sound from before the first picture.
            if begin.is_some_and(|begin| end <= begin) {
                continue;
            }
            if let Some(init) = sound.init(segment.init) {
                piece.parts.push((sound.id, init.bytes.clone(), part.bytes.clone()));
            }
            self.heard = Some(end);
        }
    }
}

#[cfg(test)]
mod tests;
