//! What is in the files of recordings: made from the files when somebody plays them, and kept for a while.

use super::collect::Found;
use super::limits::{
    FIRST_BYTES_MAX, INDEX_AGE_MAX, INDEX_BYTES_MAX, INDEXERS_MAX, LOOK_BYTES, SCAN_BYTES, TRACKS_AHEAD_MAX,
};
use super::pieces::{PlannedFile, read_large};
use super::scan::{self, Scan};
use super::segments;
use super::span::Span;
use super::transport::{Blocks, Transport};
use crate::record::read::{self, Source, Version};
use crate::record::{Entry, FileName, GrowingSegment, RecordingId};
use bytes::Bytes;
use media::container::fmp4;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What is in a file.
#[derive(Debug)]
pub(super) struct FileIndex {
    pub(super) name: FileName,
    /// What the file was when it was read.
    pub(super) version: Version,
    pub(super) spans: Vec<Arc<Span>>,
    /// Of segments in MPEG-TS: where their samples are.
    blocks: Option<Arc<Blocks>>,
}

impl FileIndex {
    fn weight(&self) -> usize {
        let blocks = self.blocks.as_ref().map_or(0, |blocks| blocks.weight());
        self.spans.iter().map(|span| span.weight()).sum::<usize>() + blocks + size_of::<Self>()
    }

    /// The file, for who reads its samples.
    pub(super) fn planned(&self) -> PlannedFile {
        let tracks = self.spans.iter().map(|span| span.tracks.len()).max().unwrap_or_default();
        PlannedFile {
            name: self.name.clone(),
            version: self.version,
            blocks: self.blocks.clone(),
            tracks: tracks.clamp(1, TRACKS_AHEAD_MAX),
        }
    }
}

/// How a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// It has its final form, and changes no more.
    Finished,
    /// It has ended, and its final form will take its place.
    Ended,
    /// It grows, and has so many whole bytes.
    Growing(u64),
}

/// Indexes of files.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    table: Mutex<Table>,
    /// Who makes an index holds one of them, so that others who want it wait for it.
    making: [tokio::sync::Mutex<()>; INDEXERS_MAX],
}

#[derive(Debug, Default)]
struct Table {
    slots: HashMap<(RecordingId, String), Slot>,
    bytes: usize,
    /// Counts what was asked for.
    clock: u64,
}

#[derive(Debug)]
struct Slot {
    index: Arc<FileIndex>,
    form: Form,
    made: Instant,
    used: u64,
    bytes: usize,
    /// Of a file that grows: how far it was read.
    reading: Option<Reading>,
}

/// How far a file was read.
#[derive(Debug)]
enum Reading {
    File(Scan),
    Segments(Box<Transport>),
}

impl Reading {
    fn spans(&self) -> Vec<Vec<Found>> {
        match self {
            Self::File(scan) => scan.spans(),
            Self::Segments(transport) => transport.spans(),
        }
    }

    fn blocks(&self) -> Option<Arc<Blocks>> {
        match self {
            Self::File(_) => None,
            Self::Segments(transport) => Some(Arc::new(transport.blocks().clone())),
        }
    }
}

impl Table {
    /// Drops what was used longest ago until there is room.
    fn make_room(&mut self) {
        while self.bytes > INDEX_BYTES_MAX && self.slots.len() > 1 {
            let oldest = self.slots.iter().min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone());
            let Some(slot) = oldest.and_then(|key| self.slots.remove(&key)) else { return };
            self.bytes -= slot.bytes;
        }
    }
}

impl Indexes {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of a file. It is made in a task of its own, so that it is there for the next who asks even if this one goes.
    pub(super) async fn get(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        name: &FileName,
        form: Form,
    ) -> io::Result<Arc<FileIndex>> {
        if let Some(index) = self.known(entry, name, form) {
            return Ok(index);
        }
        let (indexes, entry, name) = (self.clone(), entry.clone(), name.clone());
        tokio::spawn(async move {
            let mut hasher = DefaultHasher::new();
            (&entry.id, name.as_str()).hash(&mut hasher);
            let turn = &indexes.making[(hasher.finish() % INDEXERS_MAX as u64) as usize];
            let _turn = turn.lock().await;
            match indexes.known(&entry, &name, form) {
                Some(index) => Ok(index),
                None => indexes.make(&entry, &name, form).await,
            }
        })
        .await
        .map_err(io::Error::other)?
    }

    fn known(&self, entry: &Entry, name: &FileName, form: Form) -> Option<Arc<FileIndex>> {
        let mut table = self.table();
        table.clock += 1;
        let clock = table.clock;
        let slot = table.slots.get_mut(&(entry.id.clone(), name.as_str().to_owned()))?;
        let is_new = match (slot.form, form) {
            (Form::Growing(_), Form::Growing(_)) => slot.form == form || slot.made.elapsed() < INDEX_AGE_MAX,
            (slot, form) => slot == form,
        };
        slot.used = clock;
        is_new.then(|| slot.index.clone())
    }

    async fn make(&self, entry: &Arc<Entry>, name: &FileName, form: Form) -> io::Result<Arc<FileIndex>> {
        let key = (entry.id.clone(), name.as_str().to_owned());
        let before = {
            let mut table = self.table();
            let slot = table.slots.remove(&key);
            table.bytes -= slot.as_ref().map_or(0, |slot| slot.bytes);
            slot
        };
        let (reading, source, version) = match name.is_playlist() {
            true => {
                let before = before.and_then(|slot| slot.reading).and_then(|reading| match reading {
                    Reading::Segments(transport) => Some(transport),
                    Reading::File(_) => None,
                });
                let (transport, version) = read_segments(entry, before.unwrap_or_default()).await?;
                (Reading::Segments(transport), None, version)
            }
            false => {
                let source = read::open(entry, name).await?;
                // A file that has grown is read on where it ended.
                let before = before.filter(|slot| source.version().continues(&slot.index.version));
                let scan = before.and_then(|slot| slot.reading).and_then(|reading| match reading {
                    Reading::File(scan) => Some(scan),
                    Reading::Segments(_) => None,
                });
                let scan = scan.unwrap_or_else(|| match name.is_mp4() {
                    true => Scan::mp4(),
                    false => Scan::flv(),
                });
                let length = match form {
                    Form::Growing(bytes) => bytes.min(source.bytes()),
                    Form::Finished | Form::Ended => source.bytes(),
                };
                let version = source.version();
                (Reading::File(read_on(&source, scan, length).await?), Some(source), version)
            }
        };
        let (found, blocks) = (reading.spans(), reading.blocks());
        // What is not read on is not needed any more.
        let reading = matches!(form, Form::Growing(_)).then_some(reading);
        let mut spans = Vec::with_capacity(found.len());
        let count = found.len();
        for (index, tracks) in found.into_iter().enumerate() {
            let is_closed = index + 1 < count || !matches!(form, Form::Growing(_));
            spans.extend(describe(source.as_ref(), tracks, is_closed).await?.map(Arc::new));
        }
        let index = Arc::new(FileIndex { name: name.clone(), version, spans, blocks });
        let mut table = self.table();
        table.clock += 1;
        let bytes = index.weight();
        let slot =
            Slot { index: index.clone(), form, made: Instant::now(), used: table.clock, bytes, reading };
        table.bytes += bytes;
        table.slots.insert(key, slot);
        table.make_room();
        Ok(index)
    }
}

/// Reads what is new in a file.
async fn read_on(source: &Source, mut scan: Scan, length: u64) -> io::Result<Scan> {
    scan.grow(length);
    let mut ahead = (0..0, Bytes::new());
    while let Some((wanted, more)) = scan.wants() {
        let bytes = match slice(&ahead, &wanted) {
            Some(bytes) => bytes,
            None => {
                let range = wanted.start..more.min(length).max(wanted.end);
                ahead = (range.clone(), read_large(source, range).await?);
                slice(&ahead, &wanted).ok_or(io::ErrorKind::UnexpectedEof)?
            }
        };
        let ended = match bytes.len() as u64 > LOOK_BYTES {
            true => {
                // Takes its time.
                let pushed = tokio::task::spawn_blocking(move || {
                    let ended = scan.push(&bytes).is_err();
                    (scan, ended)
                });
                let ended;
                (scan, ended) = pushed.await.map_err(io::Error::other)?;
                ended
            }
            false => scan.push(&bytes).is_err(),
        };
        // Of what makes no sense, what comes before it is played.
        if ended {
            break;
        }
    }
    Ok(scan)
}

/// Reads what was written to segments since. Returns what their playlist was then.
async fn read_segments(
    entry: &Arc<Entry>,
    mut transport: Box<Transport>,
) -> io::Result<(Box<Transport>, Version)> {
    // What it says is in the playlist by the time that this is read, or will be.
    let growing = entry.growing_segment();
    let (list, version) = match segments::List::read(entry).await {
        Ok(read) => read,
        // The first segment is being written.
        Err(error) if error.kind() == io::ErrorKind::NotFound && growing.is_some() => Default::default(),
        Err(error) => return Err(error),
    };
    for segment in list.segments().iter().skip(transport.segments()) {
        transport = read_segment(entry, transport, &segment.name, segment.discontinuity, u64::MAX).await?;
        transport.end();
    }
    let number = |name: &FileName| name.number().unwrap_or_default();
    let listed = list.segments().last().map_or(0, |last| number(&last.name));
    if let Some(GrowingSegment { name, discontinuity, bytes }) =
        // One behind a segment that is not listed yet waits for its turn.
        growing.filter(|growing| number(&growing.name) == listed + 1)
    {
        transport = read_segment(entry, transport, &name, discontinuity, bytes).await?;
        transport.pause();
    }
    Ok((transport, version))
}

/// Reads on in a segment, up to `bytes_max` of it.
async fn read_segment(
    entry: &Arc<Entry>,
    mut transport: Box<Transport>,
    name: &FileName,
    discontinuity: bool,
    bytes_max: u64,
) -> io::Result<Box<Transport>> {
    let source = read::open(entry, name).await?;
    let mut position = transport.begin(name.number().unwrap_or_default(), discontinuity);
    let bytes = source.bytes().min(bytes_max);
    while position < bytes {
        let end = bytes.min(position + SCAN_BYTES);
        let read = source.read(position..end).await?;
        position = end;
        // Takes its time.
        let pushed = tokio::task::spawn_blocking(move || {
            transport.push(&read);
            transport
        });
        transport = pushed.await.map_err(io::Error::other)?;
    }
    Ok(transport)
}

/// A part of what was read.
fn slice((at, bytes): &(Range<u64>, Bytes), wanted: &Range<u64>) -> Option<Bytes> {
    let is_within = at.start <= wanted.start && wanted.end <= at.end;
    is_within.then(|| bytes.slice((wanted.start - at.start) as usize..(wanted.end - at.start) as usize))
}

/// Makes a span of tracks that were found. A track that cannot be described is left out.
async fn describe(source: Option<&Source>, found: Vec<Found>, closed: bool) -> io::Result<Option<Span>> {
    let mut tracks = Vec::with_capacity(found.len());
    for (number, found) in (1..).zip(found) {
        let media = &found.media;
        let written = match &found.written {
            Some(written) => Some(written.clone()),
            None => {
                let is_needed = scan::needs_first_frame(media.codec);
                let first = found.samples.first().filter(|_| is_needed);
                let first = match first.zip(source) {
                    Some((sample, source)) => {
                        let bytes = u64::from(sample.size).min(FIRST_BYTES_MAX);
                        source.read(sample.position..sample.position + bytes).await?
                    }
                    None => Bytes::new(),
                };
                let written = fmp4::Track::new(number, media.id, media.codec, &media.config, &first);
                // The ticks stay what they are.
                written.and_then(|written| written.with_timescale(media.timescale)).ok()
            }
        };
        tracks.extend(written.map(|written| found.described(written)));
    }
    tokio::task::spawn_blocking(move || Span::new(tracks, closed)).await.map_err(io::Error::other)
}
