//! A recording in segments in its final form: its playlist has all of them, and says that there are no more. What a crash has left
//! of a last packet is cut off.

use crate::record::catalog::Entry;
use crate::record::id::FileName;
use crate::record::playlist::{Playlist, Segment};
use media::container::ts::Demuxer;
use media::{Role, Time};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

/// The size of everything in a transport stream.
const PACKET_BYTES: u64 = 188;
/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;

/// Finishes the segments of a recording, and returns its bytes and its media time; `None` if there is nothing in it.
///
/// # Errors
///
/// What the system says of the files.
pub(super) fn finish(entry: &Entry) -> io::Result<Option<(u64, Duration)>> {
    let path = entry.file_path(&FileName::playlist());
    let known = match std::fs::read_to_string(&path) {
        Ok(text) => Playlist::parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Playlist::default(),
        Err(error) => return Err(error),
    };
    let listed: HashMap<_, _> =
        known.segments().iter().map(|segment| (segment.name.as_str(), segment)).collect();
    let mut playlist = Playlist::default();
    let mut bytes = 0;
    for name in entry.segments() {
        let path = entry.file_path(&name);
        let length = cut(&path)?;
        if length == 0 {
            std::fs::remove_file(path)?;
            continue;
        }
        bytes += length;
        let segment = match listed.get(name.as_str()) {
            Some(segment) => (*segment).clone(),
            // It was being written when there was an end. Whether it goes on is not known; players take it either way.
            None => Segment { name, duration: duration(&path)?, discontinuity: false },
        };
        playlist.push(segment);
    }
    if playlist.segments().is_empty() {
        return Ok(None);
    }
    entry.write_beside(&path, playlist.render(true).as_bytes())?;
    Ok(Some((bytes, playlist.duration())))
}

/// Cuts off what is no whole packet, and returns the bytes that are left.
fn cut(path: &Path) -> io::Result<u64> {
    let length = std::fs::metadata(path)?.len();
    let whole = length - length % PACKET_BYTES;
    if whole < length {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(whole)?;
        file.sync_data()?;
    }
    Ok(whole)
}

/// The media time from the first frame to the end of the last.
fn duration(path: &Path) -> io::Result<Duration> {
    let mut file = File::open(path)?;
    let mut demuxer = Demuxer::new();
    let (mut first, mut last, mut step) = (None::<Time>, None::<Time>, Duration::ZERO);
    let mut take = |demuxer: &mut Demuxer| {
        while let Some(packet) = demuxer.poll() {
            if packet.role == Role::Frame {
                first = Some(first.map_or(packet.dts, |first| first.min(packet.dts)));
                if let Some(last) = last.filter(|last| packet.dts > *last) {
                    step = packet.dts.since(last);
                }
                last = Some(last.map_or(packet.dts, |last| last.max(packet.dts)));
            }
        }
    };
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            break;
        }
        demuxer.push(&piece[..count]);
        take(&mut demuxer);
    }
    demuxer.finish();
    take(&mut demuxer);
    Ok(first.zip(last).map_or(Duration::ZERO, |(first, last)| last.since(first) + step))
}
