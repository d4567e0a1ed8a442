//! MP4 files, plain and fragmented: the lists of samples that `media::container::fmp4` reads, played in decode order.

mod metadata;

use super::Source;
use crate::{Error, limits};
use bytes::Bytes;
use media::container;
use media::container::fmp4::{Indexer, Movie, MovieTrack};
use media::{Codec, Flags, Packet, Role, Time, TrackId};
use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};

/// Reads an MP4 file. Tracks are merged by decode time.
#[derive(Debug)]
pub struct Mp4Source<R> {
    file: R,
    tracks: Vec<Track>,
    head: VecDeque<Packet>,
}

/// A track, and which of its samples comes next.
#[derive(Debug)]
struct Track {
    media: MovieTrack,
    next: usize,
}

impl Track {
    fn due(&self) -> Option<Time> {
        self.media.samples.get(self.next).map(|sample| self.media.dts(sample))
    }
}

impl<R: Read + Seek> Mp4Source<R> {
    /// Reads the description of the file: all of its boxes except the media.
    pub fn new(mut file: R) -> Result<Self, Error> {
        let io = |error: std::io::Error| Error::Source(error.to_string());
        let broken = |why: container::Error| Error::Source(format!("the description is broken: {why}"));
        let mut indexer = Indexer::new(file.seek(SeekFrom::End(0)).map_err(io)?);
        let mut bytes = Vec::new();
        while let Some(range) = indexer.wants() {
            file.seek(SeekFrom::Start(range.start)).map_err(io)?;
            bytes.clear();
            (&mut file).take(range.end - range.start).read_to_end(&mut bytes).map_err(io)?;
            indexer.push(&bytes).map_err(broken)?;
        }
        let mut source = Self { file, tracks: tracks(indexer.finish())?, head: VecDeque::new() };
        source.head = source.head();
        Ok(source)
    }

    /// What comes before the first frame.
    fn head(&self) -> VecDeque<Packet> {
        let first = self.tracks.iter().filter_map(Track::due).min().unwrap_or_default();
        let tracks = || self.tracks.iter().map(|track| &track.media);
        let mut head = VecDeque::from([Packet {
            track: TrackId::DATA,
            codec: Codec::Amf,
            role: Role::StreamMetadata,
            flags: Flags::default(),
            dts: first,
            pts: first,
            payload: metadata::describe(tracks()),
        }]);
        head.extend(tracks().filter_map(|track| track.config_packet(first)));
        head
    }

    fn read_sample(&mut self, index: usize) -> Result<Packet, Error> {
        let track = &mut self.tracks[index];
        let sample = track.media.samples[track.next];
        track.next += 1;
        let mut payload = vec![0; sample.size as usize];
        self.file
            .seek(SeekFrom::Start(sample.position))
            .and_then(|_| self.file.read_exact(&mut payload))
            .map_err(|error| Error::Source(format!("the file ends within its media: {error}")))?;
        Ok(track.media.packet(&sample, Bytes::from(payload)))
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

/// The tracks that can be published, or why there is none.
fn tracks(movie: Movie) -> Result<Vec<Track>, Error> {
    let samples = |track: &&MovieTrack| !track.samples.is_empty();
    if let Some(track) = movie
        .tracks
        .iter()
        .find(|track| track.samples.iter().any(|sample| sample.size as usize > limits::FRAME_BYTES_MAX))
    {
        return Err(Error::Source(format!("a sample of {} is larger than an RTMP message can be", track.id)));
    }
    if !movie.tracks.iter().any(|track| samples(&track)) {
        return Err(Error::Source(match movie.refused.first() {
            Some(([0, 0, 0, 0], why)) => format!("a track is broken: {why}"),
            Some((name, container::Error::Malformed(why))) => {
                format!("a track of {} is broken: {why}", name.escape_ascii())
            }
            Some((name, _)) => format!("the codec {} cannot be published over RTMP", name.escape_ascii()),
            None => "the file has no video or audio".into(),
        }));
    }
    let tracks = movie.tracks.into_iter().filter(|track| samples(&track));
    Ok(tracks.map(|media| Track { media, next: 0 }).collect())
}

#[cfg(test)]
mod tests;
