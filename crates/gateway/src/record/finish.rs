//! Bringing files into their final form: an MP4 file of fragments becomes one with its description in front, and an FLV file one
//! whose metadata leads to its keyframes, by writing it anew beside it. Until the new one takes its place, the other one is there
//! and plays.
//!
//! One file at a time: this reads and writes as fast as the disk can, and recordings that are being made go first.

mod flv;
mod ts;

use super::catalog::Entry;
use super::id::FileName;
use super::recording::sum_up;
use crate::Env;
use api::RecordingState;
use bytes::BytesMut;
use media::Time;
use media::container::Error;
use media::container::fmp4::{self, Indexer, Movie, MovieTrack, Sample, Track};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How long a file that could not be finished waits: somebody has to make room.
const RETRY: Duration = Duration::from_secs(60);
/// Bytes that are written together.
const BUFFER_BYTES: usize = 1 << 20;
/// Samples that are copied between two looks at whether the node shuts down.
const SAMPLES_AT_ONCE: usize = 1024;
/// Bytes that are.
const COPIED_AT_ONCE: u64 = 16 << 20;

/// Finishes recordings until the node shuts down.
pub(super) async fn run(env: Arc<Env>) {
    let recordings = &env.recordings;
    let mut failed: Vec<Arc<Entry>> = Vec::new();
    while !env.shutdown.is_triggered() {
        let Some(entry) = recordings.next_to_finish() else {
            tokio::select! {
                () = env.shutdown.triggered() => {}
                () = recordings.finishing.notified() => {}
                () = tokio::time::sleep(RETRY), if !failed.is_empty() => {
                    failed.drain(..).for_each(|entry| recordings.finish(&entry));
                }
            }
            continue;
        };
        let (worker, work) = (env.clone(), entry.clone());
        let finished = tokio::task::spawn_blocking(move || finish(&worker, &work)).await;
        if !matches!(finished, Ok(true)) && !env.shutdown.is_triggered() {
            failed.push(entry);
        }
    }
}

/// Finishes a recording, and says whether that is done. Blocks.
fn finish(env: &Env, entry: &Arc<Entry>) -> bool {
    let metrics = env.metrics.record();
    let names: Vec<_> = {
        let description = entry.description();
        let unfinished = description.files.iter().filter(|file| !file.finished);
        unfinished.filter_map(|file| FileName::parse(&file.name)).collect()
    };
    let mut problem = None;
    for name in names {
        match finish_file(env, entry, &name) {
            Ok(outcome) => {
                metrics.finished.inc();
                let mut description = entry.description();
                match outcome {
                    Some((bytes, duration)) => {
                        if let Some(file) =
                            description.files.iter_mut().find(|file| file.name == name.as_str())
                        {
                            file.finished = true;
                            (file.bytes, file.duration_ms) = (bytes, duration.as_millis() as u64);
                        }
                    }
                    None => description.files.retain(|file| file.name != name.as_str()),
                }
            }
            Err(_) if env.shutdown.is_triggered() => return false,
            Err(error) => {
                metrics.finish_errors.inc();
                warn!(recording = %entry.id, file = name.as_str(), %error, "a file stays in fragments for now");
                problem = Some(format!("{} is not finished: {error}", name.as_str()));
            }
        }
    }
    let is_done = problem.is_none();
    let written = last_written(entry);
    {
        let mut description = entry.description();
        sum_up(&mut description);
        description.problem = problem;
        if is_done {
            description.state = RecordingState::Complete;
            // After a crash: what is known is how long it was.
            description.ended_at = description.ended_at.take().or(written);
        }
    }
    if entry.description().files.is_empty() {
        return env.recordings.catalog.delete(entry).is_ok();
    }
    match entry.save() {
        Ok(()) => {
            if is_done {
                info!(stream = %entry.name, recording = %entry.id, "a recording is complete");
                if let Some(remote) = entry.remote() {
                    remote.enqueue(entry);
                }
                env.recordings.retaining.notify_one();
            }
            is_done
        }
        Err(error) => {
            warn!(recording = %entry.id, %error, "a recording is not described on the disk");
            false
        }
    }
}

/// When a file of the recording was written last.
fn last_written(entry: &Entry) -> Option<String> {
    let names = entry.describe().files;
    let files = names.iter().filter_map(|file| FileName::parse(&file.name));
    let times = files.filter_map(|file| fs::metadata(entry.file_path(&file)).ok()?.modified().ok());
    times.max().map(crate::http::rfc3339)
}

/// Finishes one file. Returns its bytes and its media time; `None` if there is nothing in it, and it is gone.
fn finish_file(env: &Env, entry: &Entry, name: &FileName) -> io::Result<Option<(u64, Duration)>> {
    let outcome = match name.format() {
        "mp4" => finish_mp4(env, entry, name)?,
        "flv" => finish_flv(env, entry, name)?,
        _ => ts::finish(entry)?,
    };
    if outcome.is_none()
        && let Err(error) = fs::remove_file(entry.file_path(name))
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    Ok(outcome)
}

fn finish_flv(env: &Env, entry: &Entry, name: &FileName) -> io::Result<Option<(u64, Duration)>> {
    let mut input = File::open(entry.file_path(name))?;
    let length = input.metadata()?.len();
    let contents = flv::read(&mut input, length)?;
    if contents.is_empty() {
        return Ok(None);
    }
    let duration = contents.duration();
    if contents.bytes == length && contents.is_finished() {
        return Ok(Some((length, duration)));
    }
    let bytes = replace(env, entry, name, contents.bytes, |out| {
        contents.write(out, |range, out| {
            let mut position = range.start;
            input.seek(SeekFrom::Start(position))?;
            while position < range.end {
                check_time(env)?;
                let count = (range.end - position).min(COPIED_AT_ONCE);
                copy_bytes(&mut input, count, out)?;
                position += count;
            }
            Ok(())
        })
    })?;
    Ok(Some((bytes, duration)))
}

/// Whether there is time left.
fn check_time(env: &Env) -> io::Result<()> {
    match env.shutdown.is_triggered() {
        true => Err(io::Error::other("the node shuts down")),
        false => Ok(()),
    }
}

/// Has `write` make a file beside one of about `length` bytes, and puts it in its place. Returns what `write` does: its bytes.
fn replace(
    env: &Env,
    entry: &Entry,
    name: &FileName,
    length: u64,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<u64>,
) -> io::Result<u64> {
    let (path, unfinished) = (entry.file_path(name), entry.unfinished_path(name));
    // What a crash has left of an earlier turn counts for nothing.
    let _ = fs::remove_file(&unfinished);
    crate::disk::check_free(entry.folder(), length, env.config.record.free_bytes_min)?;
    let written = (|| {
        let file = OpenOptions::new().write(true).create_new(true).open(&unfinished)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, &file);
        let bytes = write(&mut out)?;
        out.flush()?;
        drop(out);
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(entry.folder())?.sync_all()?;
        Ok(bytes)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn finish_mp4(env: &Env, entry: &Entry, name: &FileName) -> io::Result<Option<(u64, Duration)>> {
    let mut input = File::open(entry.file_path(name))?;
    let length = input.metadata()?.len();
    let mut movie = index(&mut input, length)?;
    for track in &mut movie.tracks {
        // Of a fragment that a crash cut off, what is there.
        track.samples.retain(|sample| sample.position.saturating_add(sample.size.into()) <= length);
        if let Some(last) = track.samples.last() {
            track.end = track.end.max(last.dts);
        }
    }
    movie.tracks.retain(|track| !track.samples.is_empty());
    if movie.tracks.is_empty() {
        return Ok(None);
    }
    let duration = duration(&movie);
    if movie.sequence == 0 {
        // Its turn ended between the new file and its description.
        return Ok(Some((length, duration)));
    }
    let bytes = replace(env, entry, name, length, |out| write_finished(env, &mut input, &movie, out))?;
    Ok(Some((bytes, duration)))
}

/// Reads what is in a file. Behind a crash that is what comes before the first thing that makes no sense.
fn index(input: &mut File, length: u64) -> io::Result<Movie> {
    let mut indexer = Indexer::new(length);
    let mut bytes = Vec::new();
    while let Some(range) = indexer.wants() {
        bytes.resize((range.end - range.start) as usize, 0);
        input.seek(SeekFrom::Start(range.start))?;
        input.read_exact(&mut bytes)?;
        match indexer.push(&bytes) {
            Ok(()) => {}
            // What comes next is there, and is more than is read here: the file stays as it is.
            Err(error @ Error::Unsupported(_)) => return Err(io::Error::other(error.to_string())),
            Err(_) => break,
        }
    }
    Ok(indexer.finish())
}

/// From the first thing shown to the end of the last.
fn duration(movie: &Movie) -> Duration {
    let time =
        |track: &MovieTrack, ticks: i64| Time::from_ticks(ticks.saturating_sub(track.start), track.timescale);
    let starts = movie.tracks.iter().filter_map(|track| Some(track.dts(track.samples.first()?)));
    let ends = movie.tracks.iter().map(|track| time(track, track.end));
    match (starts.min(), ends.max()) {
        (Some(start), Some(end)) => end.since(start),
        _ => Duration::ZERO,
    }
}

fn write_finished(env: &Env, input: &mut File, movie: &Movie, out: &mut impl Write) -> io::Result<u64> {
    let invalid = |error: Error| io::Error::other(error.to_string());
    let mut described = Vec::new();
    for (number, track) in (1..).zip(&movie.tracks) {
        let first = read_sample(input, &track.samples[0])?;
        let written = Track::new(number, track.id, track.codec, &track.config, &first).map_err(invalid)?;
        // The ticks stay what they are.
        described.push(written.with_timescale(track.timescale).map_err(invalid)?);
    }
    let tracks: Vec<_> = described
        .iter()
        .zip(&movie.tracks)
        .map(|(written, track)| (written, &track.samples[..], track.end))
        .collect();
    let mut head = BytesMut::new();
    let layout = fmp4::write_progressive(&tracks, &mut head).map_err(invalid)?;
    out.write_all(&head)?;
    for chunk in &layout.chunks {
        for samples in movie.tracks[chunk.track].samples[chunk.samples.clone()].chunks(SAMPLES_AT_ONCE) {
            check_time(env)?;
            for run in samples.chunk_by(|a, b| a.position + u64::from(a.size) == b.position) {
                copy(input, run, out)?;
            }
        }
    }
    Ok(head.len() as u64 + layout.payload_bytes)
}

fn read_sample(input: &mut File, sample: &Sample) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; sample.size as usize];
    input.seek(SeekFrom::Start(sample.position))?;
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Copies samples that lie together.
fn copy(input: &mut File, run: &[Sample], out: &mut impl Write) -> io::Result<()> {
    let Some(first) = run.first() else { return Ok(()) };
    let bytes = run.iter().map(|sample| u64::from(sample.size)).sum();
    input.seek(SeekFrom::Start(first.position))?;
    copy_bytes(input, bytes, out)
}

fn copy_bytes(input: &mut File, bytes: u64, out: &mut impl Write) -> io::Result<()> {
    let copied = io::copy(&mut input.take(bytes), out)?;
    if copied == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{Codec, Flags, Packet, Role, TrackId};

    /// A file of two fragments of sound; the second one claims `count` samples.
    fn fragments(count: u32) -> Vec<u8> {
        const AAC: &[u8] = &[0x12, 0x10];
        let track = Track::new(1, TrackId::AUDIO, Codec::Aac, AAC, &[]).unwrap();
        let mut out = BytesMut::new();
        fmp4::write_init(std::slice::from_ref(&track), &mut out).unwrap();
        let mut last = 0;
        for sequence in 1..=2 {
            let time = Time::from_millis(i64::from(sequence) * 20);
            let frame = Packet {
                track: TrackId::AUDIO,
                codec: Codec::Aac,
                role: Role::Frame,
                flags: Flags::default(),
                dts: time,
                pts: time,
                payload: bytes::Bytes::from_static(b"sound"),
            };
            let end = time + Duration::from_millis(20);
            let run = fmp4::Run { track: &track, frames: std::slice::from_ref(&frame), end };
            last = out.len();
            fmp4::write_fragment(sequence, std::slice::from_ref(&run), &mut out).unwrap();
            fmp4::payloads(std::slice::from_ref(&run)).for_each(|piece| out.extend_from_slice(&piece));
        }
        let at = last + out[last..].windows(4).position(|kind| kind == b"trun").unwrap() + 8;
        out[at..at + 4].copy_from_slice(&count.to_be_bytes());
        out.to_vec()
    }

    fn read(test: &str, bytes: &[u8]) -> io::Result<Movie> {
        let path = std::env::temp_dir().join(format!("rushlight-finish-{test}-{}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        let movie = index(&mut File::open(&path).unwrap(), bytes.len() as u64);
        let _ = fs::remove_file(path);
        movie
    }

    #[test]
    fn a_file_with_more_than_is_read_is_not_taken_for_one_that_a_crash_cut_off() {
        let samples = |movie: &Movie| movie.tracks[0].samples.len();
        assert_eq!(samples(&read("whole", &fragments(1)).unwrap()), 2);
        let error = read("too-many", &fragments(u32::MAX)).unwrap_err();
        assert!(error.to_string().contains("too many samples"), "{error}");
        let whole = fragments(1);
        assert_eq!(samples(&read("cut-off", &whole[..whole.len() - 8]).unwrap()), 1);
    }
}
