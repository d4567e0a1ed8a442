//! MP4 files, plain and fragmented (ISO/IEC 14496-12).
//!
//! The boxes are read by `mp4-atom`. Both forms of file become the same thing here: per track a list of samples, each
//! with its place in the file and its times. Fragments are indexed at opening, without reading their media.

mod boxes;
mod config;
mod fragment;
mod metadata;
mod tables;

use super::Source;
use crate::{Error, limits};
use boxes::{Traf, Trak, children, children_of, leaf};
use bytes::Bytes;
use media::{Codec, Flags, Kind, Packet, Role, Time, TrackId};
use mp4_atom::{Atom, Header, Moof, Moov, Mvex, Mvhd, ReadFrom, Trex};
use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};

/// One sample: where it lies and when it is due, in units of the track's timescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    offset: u64,
    size: u32,
    keyframe: bool,
    dts: i64,
    /// `pts - dts`.
    reorder: i32,
}

#[derive(Debug)]
struct Track {
    number: u32,
    id: TrackId,
    codec: Codec,
    config: Option<Bytes>,
    timescale: u32,
    /// Media time shown at presentation time zero, from the edit list.
    start: i64,
    samples: Vec<Sample>,
    next: usize,
}

impl Track {
    /// Frames per second on average.
    fn frame_rate(&self) -> Option<f64> {
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        let seconds = (last.dts - first.dts) as f64 / f64::from(self.timescale);
        // To the thousandth, where 30000/1001 is 29.97.
        let rate = (self.samples.len() - 1) as f64 / seconds;
        (seconds > 0.0).then(|| (rate * 1000.0).round() / 1000.0)
    }

    /// The decode time of `sample` on the clock of the presentation, in ticks. Both numbers may be anything.
    fn shown(&self, sample: &Sample) -> i64 {
        sample.dts.saturating_sub(self.start)
    }

    fn due(&self) -> Option<Time> {
        self.samples.get(self.next).map(|sample| Time::from_ticks(self.shown(sample), self.timescale))
    }
}

/// Reads an MP4 file. Tracks are merged by decode time.
#[derive(Debug)]
pub struct Mp4Source<R> {
    file: R,
    tracks: Vec<Track>,
    head: VecDeque<Packet>,
}

impl<R: Read + Seek> Mp4Source<R> {
    /// Reads the description of the file: all of its boxes except the media.
    pub fn new(mut file: R) -> Result<Self, Error> {
        let length = file.seek(SeekFrom::End(0)).map_err(|error| Error::Source(error.to_string()))?;
        let mut index = Index { length, ..Index::default() };
        let mut position = 0;
        while position < length {
            position = index.read_box(&mut file, position)?;
        }
        let mut source = index.into_source(file)?;
        source.head = source.head();
        Ok(source)
    }

    /// What comes before the first frame.
    fn head(&self) -> VecDeque<Packet> {
        let first = self.tracks.iter().filter_map(Track::due).min().unwrap_or_default();
        let packet = |track, codec, role, payload| Packet {
            track,
            codec,
            role,
            flags: Flags::default(),
            dts: first,
            pts: first,
            payload,
        };
        let metadata = metadata::describe(&self.tracks);
        let mut head = VecDeque::from([packet(TrackId::DATA, Codec::Amf, Role::StreamMetadata, metadata)]);
        for track in &self.tracks {
            if let Some(config) = &track.config {
                head.push_back(packet(track.id, track.codec, Role::Config, config.clone()));
            }
        }
        head
    }

    fn read_sample(&mut self, index: usize) -> Result<Packet, Error> {
        let track = &mut self.tracks[index];
        let sample = track.samples[track.next];
        track.next += 1;
        let mut payload = vec![0; sample.size as usize];
        self.file
            .seek(SeekFrom::Start(sample.offset))
            .and_then(|_| self.file.read_exact(&mut payload))
            .map_err(|error| Error::Source(format!("the file ends within its media: {error}")))?;
        let dts = track.shown(&sample);
        Ok(Packet {
            track: track.id,
            codec: track.codec,
            role: Role::Frame,
            flags: Flags { keyframe: sample.keyframe && track.id.kind == Kind::Video, disposable: false },
            dts: Time::from_ticks(dts, track.timescale),
            pts: Time::from_ticks(dts.saturating_add(sample.reorder.into()), track.timescale),
            payload: payload.into(),
        })
    }
}

impl<R: Read + Seek + Send> Source for Mp4Source<R> {
    fn next(&mut self) -> Result<Option<Packet>, Error> {
        if let Some(packet) = self.head.pop_front() {
            return Ok(Some(packet));
        }
        let due = |(index, track): (usize, &Track)| track.due().map(|due| (due, index));
        match self.tracks.iter().enumerate().filter_map(due).min() {
            Some((_, index)) => self.read_sample(index).map(Some),
            None => Ok(None),
        }
    }

    fn rewind(&mut self) -> Result<(), Error> {
        for track in &mut self.tracks {
            track.next = 0;
        }
        self.head = self.head();
        Ok(())
    }
}

/// What the boxes of a file say, while they are being read.
#[derive(Debug, Default)]
struct Index {
    length: u64,
    mvhd: Option<Mvhd>,
    /// Defaults of the samples in fragments.
    trex: Vec<Trex>,
    tracks: Vec<Track>,
    samples: usize,
    /// Why tracks were left out, for the case that none remains.
    refused: Vec<String>,
}

impl Index {
    /// Reads the box at `position` and returns where the next one begins.
    fn read_box<R: Read + Seek>(&mut self, file: &mut R, position: u64) -> Result<u64, Error> {
        let io = |error: std::io::Error| Error::Source(error.to_string());
        file.seek(SeekFrom::Start(position)).map_err(io)?;
        let header = match Option::<Header>::read_from(file) {
            Ok(Some(header)) => header,
            // Trailing garbage after complete boxes is common; what counts is whether there were any tracks.
            Ok(None) | Err(_) => return Ok(self.length),
        };
        let body = file.stream_position().map_err(io)?;
        let end = match header.size {
            Some(size) => body.saturating_add(size as u64),
            None => self.length,
        };
        if header.kind == Moov::KIND {
            let moov = read_body(file, &header)?;
            self.read_moov(&moov).map_err(|why| broken(&header, &why))?;
        } else if header.kind == Moof::KIND {
            let moof = read_body(file, &header)?;
            let trafs = Traf::read_all(&moof).map_err(|why| broken(&header, &why))?;
            fragment::append(self, position, &trafs)?;
        }
        Ok(end.max(body))
    }

    /// What is wrong with a track does no harm to the others.
    fn read_moov(&mut self, moov: &[u8]) -> Result<(), String> {
        let mut traks = Vec::new();
        for child in children(moov) {
            let (kind, body) = child?;
            match kind {
                Mvhd::KIND => self.mvhd = Some(leaf(body)?),
                Mvex::KIND => {
                    for trex in children_of(body, Trex::KIND) {
                        self.trex.push(leaf(trex?)?);
                    }
                }
                mp4_atom::Trak::KIND => match Trak::read(body) {
                    Ok(trak) => traks.push(trak),
                    Err(why) => self.refused.push(format!("a track is broken: {why}")),
                },
                _ => {}
            }
        }
        for trak in &traks {
            self.add_track(trak)?;
        }
        Ok(())
    }

    fn add_track(&mut self, trak: &Trak<'_>) -> Result<(), String> {
        let (Some(tkhd), Some(mdhd), Some(hdlr)) = (&trak.tkhd, &trak.mdhd, &trak.hdlr) else {
            self.refused.push("a track is broken: it has no header".into());
            return Ok(());
        };
        let kind = match hdlr.handler.as_ref() {
            b"vide" => Kind::Video,
            b"soun" => Kind::Audio,
            _ => return Ok(()),
        };
        let Some((entry_kind, entry)) = trak.entry else { return Ok(()) };
        let (codec, config) = match config::read(entry_kind, entry) {
            Ok(found) => found,
            Err(why) => {
                self.refused.push(why);
                return Ok(());
            }
        };
        let taken = self.tracks.iter().filter(|track| track.id.kind == kind).count();
        let Ok(index) = u8::try_from(taken) else { return Ok(()) };
        let samples = tables::samples(&trak.stbl, self.length)?;
        self.count_samples(samples.len())?;
        let movie_timescale = self.mvhd.as_ref().map_or(1000, |mvhd| mvhd.timescale);
        let timescale = mdhd.timescale.max(1);
        self.tracks.push(Track {
            number: tkhd.track_id,
            id: TrackId { kind, index },
            codec,
            config,
            timescale,
            start: tables::edit_start(trak.elst.as_ref(), movie_timescale, timescale),
            samples,
            next: 0,
        });
        Ok(())
    }

    fn count_samples(&mut self, count: usize) -> Result<(), String> {
        self.samples = self.samples.saturating_add(count);
        if self.samples > limits::MP4_SAMPLES_MAX {
            return Err(format!("more than {} samples", limits::MP4_SAMPLES_MAX));
        }
        Ok(())
    }

    fn into_source<R>(self, file: R) -> Result<Mp4Source<R>, Error> {
        let tracks: Vec<_> = self.tracks.into_iter().filter(|track| !track.samples.is_empty()).collect();
        if tracks.is_empty() {
            return Err(Error::Source(match self.refused.first() {
                Some(why) => why.clone(),
                None => "the file has no video or audio".into(),
            }));
        }
        Ok(Mp4Source { file, tracks, head: VecDeque::new() })
    }
}

fn read_body<R: Read>(file: &mut R, header: &Header) -> Result<Vec<u8>, Error> {
    let size = match header.size {
        Some(size) if size <= limits::MOOV_BYTES_MAX => size,
        _ => return Err(broken(header, &format!("it is larger than {} bytes", limits::MOOV_BYTES_MAX))),
    };
    let mut bytes = Vec::new();
    file.take(size as u64).read_to_end(&mut bytes).map_err(|error| Error::Source(error.to_string()))?;
    if bytes.len() < size {
        return Err(broken(header, "the file ends within it; is the recording finished?"));
    }
    Ok(bytes)
}

fn broken(header: &Header, why: &str) -> Error {
    let what = if header.kind == Moov::KIND { "the description" } else { "a movie fragment" };
    Error::Source(format!("{what} ({}) is broken: {why}", header.kind))
}

#[cfg(test)]
mod tests;
