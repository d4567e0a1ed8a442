//! From the bytes of a file to its spans: which bytes are needed next, and what they say. Pure.

use super::collect::{Collector, Found};
use super::limits::{LOOK_BYTES, SCAN_BYTES};
use super::samples::Samples;
use bytes::Bytes;
use media::container::flv;
use media::container::fmp4::{Indexer, MovieTrack};
use media::{Codec, Packet, Time, TrackId};
use std::collections::BTreeMap;
use std::ops::Range;
use wire::Unwrap32;

/// Reads the description of a file.
#[derive(Debug)]
pub(super) enum Scan {
    Mp4(Mp4),
    Flv(Flv),
}

impl Scan {
    pub(super) fn mp4() -> Self {
        Self::Mp4(Mp4 { indexer: Indexer::new(0), samples: BTreeMap::new() })
    }

    pub(super) fn flv() -> Self {
        Self::Flv(Flv::default())
    }

    /// The file has so many bytes.
    pub(super) fn grow(&mut self, length: u64) {
        match self {
            Self::Mp4(mp4) => mp4.indexer.grow(length),
            Self::Flv(flv) => flv.length = length,
        }
    }

    /// The bytes that are needed next, and as many behind them as will most likely be.
    pub(super) fn wants(&self) -> Option<(Range<u64>, u64)> {
        match self {
            Self::Mp4(mp4) => {
                let range = mp4.indexer.wants()?;
                let more = range.end.max(range.start + LOOK_BYTES);
                Some((range, more))
            }
            Self::Flv(flv) => flv.wants().map(|range| (range.clone(), range.end)),
        }
    }

    /// Reads them. After an error the file counts as ended.
    pub(super) fn push(&mut self, bytes: &Bytes) -> Result<(), String> {
        match self {
            Self::Mp4(mp4) => mp4.push(bytes).map_err(|error| error.to_string()),
            Self::Flv(flv) => flv.push(bytes).map_err(|error| error.to_string()),
        }
    }

    /// What was found: the tracks of each span. Of a file that grows they share their samples with what is read later.
    pub(super) fn spans(&self) -> Vec<Vec<Found>> {
        match self {
            Self::Mp4(mp4) => vec![mp4.found()],
            Self::Flv(flv) => flv.collector.spans().to_vec(),
        }
    }
}

/// Reads an MP4 file.
#[derive(Debug)]
pub(super) struct Mp4 {
    indexer: Indexer,
    samples: BTreeMap<TrackId, Samples>,
}

impl Mp4 {
    fn push(&mut self, bytes: &[u8]) -> Result<(), media::container::Error> {
        let pushed = self.indexer.push(bytes);
        // Also after an error: what comes before it is played.
        for (track, samples) in self.indexer.take_samples() {
            self.samples.entry(track).or_default().extend(samples);
        }
        pushed
    }

    fn found(&self) -> Vec<Found> {
        let found = |media: &MovieTrack| {
            let samples = self.samples.get(&media.id).filter(|samples| !samples.is_empty())?;
            Some(Found { media: media.clone(), samples: samples.clone(), written: None })
        };
        self.indexer.movie().tracks.iter().filter_map(found).collect()
    }
}

/// The header of a file with the size that follows it.
const FILE_HEADER_BYTES: u64 = 13;
/// Bytes of a tag before its body, and behind it.
const TAG_HEADER_BYTES: usize = 11;
const TAG_TRAILER_BYTES: usize = 4;

/// Reads an FLV file tag by tag.
#[derive(Debug, Default)]
pub(super) struct Flv {
    length: u64,
    position: u64,
    /// Bytes of a tag that is larger than what is read at once.
    large: u64,
    clock: Unwrap32,
    collector: Collector,
    packets: Vec<Packet>,
}

impl Flv {
    fn wants(&self) -> Option<Range<u64>> {
        let start = self.position.max(FILE_HEADER_BYTES);
        let end = self.length.min(start + SCAN_BYTES.max(self.large));
        let is_there = end.saturating_sub(start) > (TAG_HEADER_BYTES + TAG_TRAILER_BYTES) as u64;
        (is_there && end - start >= self.large).then_some(start..end)
    }

    fn push(&mut self, bytes: &Bytes) -> Result<(), media::Malformed> {
        let start = self.position.max(FILE_HEADER_BYTES);
        self.large = 0;
        let mut at = 0;
        let read = self.push_tags(bytes, start, &mut at);
        // Also after an error, so that what comes before it is there once when the file grows.
        self.position = start + at as u64;
        read
    }

    /// Reads the tags of `bytes`, which begin at `start` in the file; `at` is where the next one begins.
    fn push_tags(&mut self, bytes: &Bytes, start: u64, at: &mut usize) -> Result<(), media::Malformed> {
        while let Some(&[kind, a, b, c, t1, t2, t3, t0, ..]) = bytes.get(*at..*at + TAG_HEADER_BYTES) {
            let body_bytes = u32::from_be_bytes([0, a, b, c]) as usize;
            if body_bytes > flv::limits::TAG_BODY_BYTES_MAX {
                return Err(media::Malformed("FLV tag above the size limit"));
            }
            let body_at = *at + TAG_HEADER_BYTES;
            let end = body_at + body_bytes + TAG_TRAILER_BYTES;
            if end > bytes.len() {
                self.large = (end - *at) as u64;
                break;
            }
            let body = bytes.slice(body_at..body_at + body_bytes);
            let dts = Time::from_millis(self.clock.unwrap(u32::from_be_bytes([t0, t1, t2, t3])));
            let mut packets = std::mem::take(&mut self.packets);
            flv::read_body(kind & 0x1f, dts, &body, &mut packets)?;
            for packet in packets.drain(..) {
                // Payloads are slices of the body.
                let within = (packet.payload.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
                self.collector.take(&packet, start + (body_at + within) as u64);
            }
            self.packets = packets;
            *at = end;
        }
        Ok(())
    }
}

/// Whether the codec says what it is only in its first frame.
pub(super) fn needs_first_frame(codec: Codec) -> bool {
    !matches!(codec, Codec::H264 | Codec::H265 | Codec::H266 | Codec::Aac | Codec::Flac)
}

/// Reads a file that is in memory.
pub(super) fn scan_bytes(mut scan: Scan, file: &[u8]) -> Vec<Vec<Found>> {
    let file = Bytes::copy_from_slice(file);
    scan.grow(file.len() as u64);
    while let Some((range, _)) = scan.wants() {
        if scan.push(&file.slice(range.start as usize..range.end as usize)).is_err() {
            break;
        }
    }
    scan.spans()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use media::Role;
    use media::container::fmp4::Sample;

    const CONFIG: &[u8] = &[0x12, 0x10];
    const OTHER_CONFIG: &[u8] = &[0x11, 0x90];

    fn sound(role: Role, millis: i64, payload: &[u8]) -> Packet {
        let time = Time::from_millis(millis);
        Packet {
            track: TrackId::AUDIO,
            codec: Codec::Aac,
            role,
            flags: media::Flags::default(),
            dts: time,
            pts: time,
            payload: Bytes::copy_from_slice(payload),
        }
    }

    fn file(packets: &[Packet]) -> Vec<u8> {
        let mut out = BytesMut::new();
        flv::write_file_header(true, false, &mut out);
        packets.iter().for_each(|packet| flv::write_tag(packet, &mut out));
        out.to_vec()
    }

    #[test]
    fn a_configuration_that_changes_begins_a_span() {
        let file = file(&[
            sound(Role::Config, 0, CONFIG),
            sound(Role::Frame, 0, b"first"),
            sound(Role::Frame, 23, b""),
            sound(Role::Config, 46, CONFIG),
            sound(Role::Frame, 46, b"second"),
            sound(Role::Config, 70, OTHER_CONFIG),
            sound(Role::Frame, 70, b"third"),
        ]);
        let spans = scan_bytes(Scan::flv(), &file);
        let payloads = |tracks: &Vec<Found>| -> Vec<Vec<u8>> {
            let payload = |s: &Sample| file[s.position as usize..][..s.size as usize].to_vec();
            tracks.iter().flat_map(|found| found.samples.iter().map(payload)).collect()
        };
        let found: Vec<_> = spans.iter().map(payloads).collect();
        assert_eq!(found, [vec![b"first".to_vec(), b"second".to_vec()], vec![b"third".to_vec()]]);
        assert_eq!((&spans[0][0].media.config[..], &spans[1][0].media.config[..]), (CONFIG, OTHER_CONFIG));
    }

    #[test]
    fn what_comes_before_an_error_is_there_once_when_the_file_grows() {
        let mut file = file(&[sound(Role::Config, 0, CONFIG), sound(Role::Frame, 0, b"first")]);
        // A tag above the size limit.
        file.extend_from_slice(&[8, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let mut scan = Scan::flv();
        for length in [file.len() - 2, file.len()] {
            scan.grow(length as u64);
            let (range, _) = scan.wants().unwrap();
            let bytes = Bytes::copy_from_slice(&file[range.start as usize..range.end as usize]);
            assert!(scan.push(&bytes).is_err());
        }
        assert_eq!(scan.spans()[0][0].samples.len(), 1);
    }

    #[test]
    fn a_file_that_grows_is_read_on_and_a_tag_that_is_cut_off_waits() {
        let file = file(&[
            sound(Role::Config, 0, CONFIG),
            sound(Role::Frame, 0, b"first"),
            sound(Role::Frame, 23, b"second"),
        ]);
        let mut scan = Scan::flv();
        for length in 0..=file.len() {
            scan.grow(length as u64);
            while let Some((range, _)) = scan.wants() {
                let bytes = Bytes::copy_from_slice(&file[range.start as usize..range.end as usize]);
                scan.push(&bytes).unwrap();
            }
        }
        assert_eq!(scan.spans(), scan_bytes(Scan::flv(), &file));
    }
}
