//! Files, plain and fragmented, as lists of samples.

mod entry;
mod fragment;
mod tables;
mod trak;

use super::boxes::{HEAD_BYTES_MAX, Kind as BoxKind, children, children_of, read_head};
use super::limits;
use super::progressive::Sample;
use crate::container::Error;
use crate::{Codec, Flags, Kind, Malformed, Packet, Role, Time, TrackId, codec};
use bytes::Bytes;
use fragment::Defaults;
use std::ops::Range;
use trak::Trak;
use wire::Reader;

/// Reads the description of a file: all of its boxes except the media. It names no file: it says which bytes it wants, and
/// whoever holds them passes them.
///
/// ```
/// # use media::container::{Error, fmp4::{Indexer, Movie}};
/// fn index(file: &[u8]) -> Result<Movie, Error> {
///     let mut indexer = Indexer::new(file.len() as u64);
///     while let Some(range) = indexer.wants() {
///         indexer.push(&file[range.start as usize..range.end as usize])?;
///     }
///     Ok(indexer.finish())
/// }
/// # assert!(index(b"").unwrap().tracks.is_empty());
/// ```
#[derive(Debug)]
pub struct Indexer {
    length: u64,
    /// Where the head of the next box begins.
    position: u64,
    /// The description that comes next, its head read.
    body: Option<Body>,
    /// What fragments leave unsaid, by the number of the track.
    defaults: Vec<(u32, Defaults)>,
    /// How many more samples there may be, in all tracks and with the empty ones.
    samples_left: usize,
    movie: Movie,
}

/// A box that is wanted in whole.
#[derive(Debug, Clone)]
struct Body {
    kind: BoxKind,
    /// Where the box begins.
    at: u64,
    range: Range<u64>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Movie {
    /// The tracks of sound and pictures whose codec is known, in the order of the file.
    pub tracks: Vec<MovieTrack>,
    /// Tracks that were left out: what their samples are called (zeros where that could not be read), and why.
    pub refused: Vec<([u8; 4], Error)>,
    /// Bytes of the file up to the end of its last complete box. The rest of a recording that was cut off is the fragment that
    /// was being written: a writer that goes on after a crash begins here.
    pub complete_bytes: u64,
    /// The number of the newest fragment; 0 where there is none.
    pub sequence: u32,
}

/// A track of a file that is read.
#[derive(Debug, Clone, PartialEq)]
pub struct MovieTrack {
    /// Its number in the file.
    pub number: u32,
    /// Numbered among the tracks of its kind in the order of the file.
    pub id: TrackId,
    /// What its samples are.
    pub codec: Codec,
    /// The configuration as a packet has it; empty where the codec has none.
    pub config: Bytes,
    /// Ticks in a second.
    pub timescale: u32,
    /// The tick that is shown at presentation time zero (the edit list).
    pub start: i64,
    /// In decode order, without empty ones.
    pub samples: Vec<Sample>,
    /// The tick at which the last sample ends.
    pub end: i64,
}

impl MovieTrack {
    /// When `sample` is to be decoded, on the clock of the presentation.
    pub fn dts(&self, sample: &Sample) -> Time {
        Time::from_ticks(sample.dts.saturating_sub(self.start), self.timescale)
    }

    /// When `sample` is shown, on the clock of the presentation.
    pub fn pts(&self, sample: &Sample) -> Time {
        let shown = sample.dts.saturating_sub(self.start).saturating_add(sample.composition.into());
        Time::from_ticks(shown, self.timescale)
    }

    /// The packet of `sample`, whose bytes are `payload`.
    pub fn packet(&self, sample: &Sample, payload: Bytes) -> Packet {
        let keyframe = sample.flags.keyframe && self.id.kind == Kind::Video;
        let disposable = !keyframe
            && (sample.flags.disposable
                || codec::is_disposable(self.codec, &payload, codec::NAL_LENGTH_SIZE_DEFAULT));
        // Some writers leave in what belongs to other forms of AV1 only.
        let payload = super::sample(self.codec, &payload);
        Packet {
            track: self.id,
            codec: self.codec,
            role: Role::Frame,
            flags: Flags { keyframe, disposable },
            dts: self.dts(sample),
            pts: self.pts(sample),
            payload,
        }
    }

    /// The configuration as a packet that comes before the frames, at `time`; `None` where the codec has none.
    pub fn config_packet(&self, time: Time) -> Option<Packet> {
        (!self.config.is_empty()).then(|| Packet {
            track: self.id,
            codec: self.codec,
            role: Role::Config,
            flags: Flags::default(),
            dts: time,
            pts: time,
            payload: self.config.clone(),
        })
    }
}

impl Indexer {
    /// For a file of `length` bytes.
    pub fn new(length: u64) -> Self {
        Self {
            length,
            position: 0,
            body: None,
            defaults: Vec::new(),
            // A table of a few bytes can name the same media any number of times. No real file has more samples than bytes.
            samples_left: usize::try_from(length).unwrap_or(usize::MAX).min(limits::SAMPLES_MAX),
            movie: Movie::default(),
        }
    }

    /// The bytes that [`Indexer::push`] needs next; `None` where the description is complete. Never empty, never beyond
    /// the length of the file, at most [`limits::HEADER_BYTES_MAX`].
    pub fn wants(&self) -> Option<Range<u64>> {
        const SMALLEST_HEAD: u64 = 8;
        match &self.body {
            Some(body) => Some(body.range.clone()),
            None if self.length.saturating_sub(self.position) < SMALLEST_HEAD => None,
            None => Some(self.position..self.length.min(self.position + HEAD_BYTES_MAX as u64)),
        }
    }

    /// Reads the bytes that [`Indexer::wants`] named.
    ///
    /// # Errors
    ///
    /// A description that makes no sense, that the file ends within, or that is above the [`limits`]. Garbage behind complete
    /// boxes is no error, nor is a fragment that is cut off: there the file counts as ended.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self.body.take() {
            Some(body) => self.read_body(&body, bytes),
            None => self.read_head(bytes),
        }
    }

    /// The file has grown to `length` bytes, whole boxes as before: what is new is wanted next.
    pub fn grow(&mut self, length: u64) {
        let most = |length: u64| usize::try_from(length).unwrap_or(usize::MAX).min(limits::SAMPLES_MAX);
        self.samples_left += most(length).saturating_sub(most(self.length));
        self.length = self.length.max(length);
    }

    /// What was read so far.
    pub fn movie(&self) -> &Movie {
        &self.movie
    }

    /// Takes out the samples that were read since this was called last, by track, for who keeps those of a file that grows
    /// elsewhere: [`Indexer::movie`] says the rest of the tracks.
    pub fn take_samples(&mut self) -> impl Iterator<Item = (TrackId, Vec<Sample>)> {
        self.movie.tracks.iter_mut().map(|track| (track.id, std::mem::take(&mut track.samples)))
    }

    /// What was read.
    pub fn finish(self) -> Movie {
        self.movie
    }

    fn read_head(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Ok(head) = read_head(&mut Reader::new(bytes)) else {
            self.position = self.length;
            return Ok(());
        };
        let at = self.position;
        let start = at + head.head_bytes;
        let end = head.body_bytes.map_or(self.length, |size| start.saturating_add(size));
        let is_description = matches!(&head.kind, b"moov" | b"moof");
        if end > self.length || start > self.length {
            self.position = self.length;
            return match &head.kind {
                b"moov" => Err(Malformed("the file ends within its description (moov)").into()),
                _ => Ok(()),
            };
        }
        self.position = end;
        if !is_description || start == end {
            self.movie.complete_bytes = end;
            return Ok(());
        }
        if end - start > limits::HEADER_BYTES_MAX {
            return Err(Error::Unsupported("a description above the size limit"));
        }
        self.body = Some(Body { kind: head.kind, at, range: start..end });
        Ok(())
    }

    fn read_body(&mut self, body: &Body, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() as u64 != body.range.end - body.range.start {
            return Err(Error::Misuse("other bytes than were wanted"));
        }
        // A fragment counts as complete with its media, which is the box behind it.
        if body.kind == *b"moof" {
            return self.read_moof(body.at, bytes);
        }
        self.read_moov(bytes)?;
        self.movie.complete_bytes = body.range.end;
        Ok(())
    }

    /// What is wrong with a track does no harm to the others.
    fn read_moov(&mut self, moov: &[u8]) -> Result<(), Error> {
        let mut movie_timescale = 1000;
        let mut traks = Vec::new();
        for child in children(moov) {
            let (kind, body) = child?;
            match &kind {
                b"mvhd" => movie_timescale = trak::read_movie_timescale(body)?,
                b"mvex" => {
                    for trex in children_of(body, b"trex") {
                        self.defaults.push(fragment::read_trex(trex?)?);
                    }
                }
                b"trak" if traks.len() == limits::TRACKS_MAX => {
                    return Err(Error::Unsupported("more tracks than a file may have"));
                }
                b"trak" => match Trak::read(body) {
                    Ok(trak) => traks.push(trak),
                    Err(why) => self.movie.refused.push(([0; 4], why.into())),
                },
                _ => {}
            }
        }
        for trak in &traks {
            self.add_track(trak, movie_timescale)?;
        }
        Ok(())
    }

    fn add_track(&mut self, trak: &Trak<'_>, movie_timescale: u32) -> Result<(), Error> {
        let kind = match &trak.handler {
            b"vide" => Kind::Video,
            b"soun" => Kind::Audio,
            _ => return Ok(()),
        };
        let Some((entry_kind, entry)) = trak.entry else { return Ok(()) };
        let (codec, config) = match entry::read(&entry_kind, entry) {
            Ok(found) => found,
            Err(why) => {
                self.movie.refused.push((entry_kind, why));
                return Ok(());
            }
        };
        let taken = self.movie.tracks.iter().filter(|track| track.id.kind == kind).count();
        let Ok(index) = u8::try_from(taken) else { return Ok(()) };
        let timescale = trak.timescale.max(1);
        let (samples, end) = tables::samples(&trak.tables, self.length, &mut self.samples_left)?;
        self.movie.tracks.push(MovieTrack {
            number: trak.number,
            id: TrackId { kind, index },
            codec,
            config,
            timescale,
            start: tables::edit_start(trak.edits, movie_timescale, timescale)?,
            samples,
            end,
        });
        Ok(())
    }

    /// Adds the samples of the fragment whose `moof` begins at `position`.
    fn read_moof(&mut self, position: u64, moof: &[u8]) -> Result<(), Error> {
        // Without `default-base-is-moof` or an explicit offset, a track fragment continues where the one before ended; most
        // writers mean the moof all the same (section 8.8.7.1), and the first one is always relative to it.
        let mut base = position;
        for child in children(moof) {
            let (kind, body) = child?;
            match &kind {
                b"mfhd" => self.movie.sequence = fragment::read_sequence(body)?,
                b"traf" => {
                    let traf = fragment::Traf::read(body)?;
                    let number = traf.number;
                    let defaults = self.defaults.iter().find(|(known, _)| *known == number);
                    let defaults = traf.defaults(defaults.map(|(_, defaults)| *defaults));
                    let Some(track) = self.movie.tracks.iter_mut().find(|track| track.number == number)
                    else {
                        continue;
                    };
                    base = traf.base.unwrap_or(if traf.base_is_moof { position } else { base });
                    base = traf.append(track, &defaults, base, self.length, &mut self.samples_left)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
