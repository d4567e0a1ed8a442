//! Recordings that are cut out of others, or out of the log of a stream.
//!
//! A clip becomes a recording like others when its file is there. One that fails, or that a crash interrupts, leaves nothing.

use super::catalog::Entry;
use super::id::FileName;
use super::limits::CLIP_BYTES_MAX;
use super::muxer::{FileLimits, Muxer};
use super::recording::sum_up;
use super::writer::Writer;
use crate::Env;
use crate::config::RecordFormat;
use crate::disk::check_free;
use crate::http::rfc3339;
use api::{ClipSource, RecordedFile, RecordedTrack, RecordingKind, RecordingState};
use bytes::Bytes;
use media::{Packet, StreamName};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use tracing::{info, warn};

/// What a clip consists of.
#[derive(Debug)]
pub(crate) enum Content {
    /// The bytes of an MP4 file, and what is in it.
    File { pieces: mpsc::Receiver<Bytes>, bytes: u64, duration: Duration, tracks: Vec<RecordedTrack> },
    /// Packets of a stream, from the configurations and a keyframe on.
    Packets(Vec<Packet>),
}

/// A clip to be made.
#[derive(Debug)]
pub(crate) struct Clip {
    pub(crate) name: StreamName,
    pub(crate) source: ClipSource,
    pub(crate) title: Option<String>,
    /// When its first frame came.
    pub(crate) started_at: SystemTime,
}

/// Why there is no clip.
#[derive(Debug)]
pub(crate) enum ClipError {
    /// It would have so many bytes.
    TooLarge(u64),
    /// What it is cut out of cannot be read.
    Source,
    /// What the disk says.
    Io(io::Error),
}

impl Clip {
    /// Makes it, and returns it when it is there; of packets, when all that is left is to give the file its final form. Goes on
    /// even if nobody waits for it.
    pub(crate) async fn make(self, env: Arc<Env>, content: Content) -> Result<Arc<Entry>, ClipError> {
        if let Content::File { bytes, .. } = &content
            && *bytes > CLIP_BYTES_MAX
        {
            return Err(ClipError::TooLarge(*bytes));
        }
        let made = tokio::task::spawn_blocking(move || {
            let entry = self.begin(&env);
            let written = match content {
                Content::File { pieces, bytes, duration, tracks } => write_file(&env, &entry, pieces, bytes)
                    .and_then(|()| {
                        describe(&entry, bytes, duration, tracks);
                        entry.save()
                    }),
                Content::Packets(packets) => write_packets(&env, &entry, &packets),
            };
            match written {
                Ok(()) => {
                    info!(stream = %entry.name, recording = %entry.id, "a clip was cut");
                    match entry.remote().filter(|_| entry.is_complete()) {
                        Some(remote) => remote.enqueue(&entry),
                        None if entry.is_complete() => {}
                        None => env.recordings.finish(&entry),
                    }
                    env.recordings.retaining.notify_one();
                    Ok(entry)
                }
                Err(error) => {
                    warn!(stream = %entry.name, %error, "a clip was not written");
                    // What is left of it is found by nobody.
                    let _ = env.recordings.catalog.delete(&entry);
                    // Less came than there is: it was not read.
                    Err(match error.kind() {
                        io::ErrorKind::UnexpectedEof => ClipError::Source,
                        _ => ClipError::Io(error),
                    })
                }
            }
        });
        made.await.unwrap_or_else(|error| Err(ClipError::Io(io::Error::other(error))))
    }

    fn begin(self, env: &Env) -> Arc<Entry> {
        let catalog = &env.recordings.catalog;
        let id = catalog.new_id(SystemTime::now());
        let entry = catalog.add(id, &self.name, rfc3339(self.started_at));
        let mut description = entry.description();
        description.kind = RecordingKind::Clip;
        description.state = RecordingState::Finishing;
        (description.title, description.source) = (self.title, Some(self.source));
        drop(description);
        entry
    }
}

/// Writes a file that has its final form.
fn write_file(env: &Env, entry: &Entry, mut pieces: mpsc::Receiver<Bytes>, bytes: u64) -> io::Result<()> {
    let name = FileName::new(1, "mp4");
    fs::create_dir_all(entry.folder())?;
    check_free(entry.folder(), bytes, env.config.record.free_bytes_min)?;
    let unfinished = entry.unfinished_path(&name);
    let file = File::create(&unfinished)?;
    let mut out = BufWriter::new(&file);
    let mut left = bytes;
    while let Some(piece) = pieces.blocking_recv() {
        left = left.checked_sub(piece.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
        out.write_all(&piece)?;
    }
    if left > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    out.flush()?;
    drop(out);
    file.sync_all()?;
    fs::rename(unfinished, entry.file_path(&name))
}

fn describe(entry: &Entry, bytes: u64, duration: Duration, tracks: Vec<RecordedTrack>) {
    let mut description = entry.description();
    description.tracks = tracks;
    let started_at = description.started_at.clone();
    description.files = vec![file(FileName::new(1, "mp4"), bytes, duration, started_at, true)];
    description.state = RecordingState::Complete;
    description.ended_at =
        crate::vod::parse_rfc3339(&description.started_at).map(|begun| rfc3339(begun + duration));
    sum_up(&mut description);
}

fn file(name: FileName, bytes: u64, duration: Duration, started_at: String, finished: bool) -> RecordedFile {
    RecordedFile {
        name: name.as_str().to_owned(),
        format: "mp4".to_owned(),
        bytes,
        start_ms: 0,
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        started_at: Some(started_at),
        finished,
    }
}

/// Writes fragments, which then get their final form like those of every recording.
fn write_packets(env: &Env, entry: &Arc<Entry>, packets: &[Packet]) -> io::Result<()> {
    let limits = FileLimits { media_max: env.config.record.segment_max(), bytes_max: CLIP_BYTES_MAX };
    let mut muxer = Muxer::new(RecordFormat::Mp4, limits);
    let now = Instant::now();
    let mut blocks = Vec::new();
    for packet in packets {
        blocks.extend(muxer.push(now, packet));
        blocks.extend(muxer.poll(now, false));
    }
    blocks.extend(muxer.end_file());
    let mut writer = Writer::new(entry.clone(), env.config.record.free_bytes_min);
    let turn = writer.write(blocks);
    if let Some(error) = turn.error {
        return Err(error);
    }
    writer.close()?;
    let mut description = entry.description();
    let begun = description.started_at.clone();
    for written in turn.written {
        if let Some(tracks) = written.begins {
            description.tracks = tracks;
            description.files.push(file(written.file, 0, Duration::ZERO, begun.clone(), false));
        }
        if let Some(last) = description.files.last_mut() {
            last.bytes += written.bytes as u64;
            last.duration_ms = u64::try_from(written.end.as_millis()).unwrap_or(u64::MAX);
        }
    }
    if description.files.is_empty() {
        return Err(io::Error::other("nothing of the stream has a form in MP4"));
    }
    description.ended_at = Some(rfc3339(SystemTime::now()));
    sum_up(&mut description);
    drop(description);
    entry.save()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Node;

    #[tokio::test]
    async fn a_clip_of_what_cannot_be_read_leaves_nothing_and_blames_no_disk() {
        let node = Node::new("clip", |config| config.record.free_bytes_min = 0);
        let env = &node.env;
        let clip = Clip {
            name: StreamName::parse("live", "cam").unwrap(),
            source: ClipSource { recording: None, from_ms: 0, to_ms: 1_000 },
            title: None,
            started_at: SystemTime::now(),
        };
        let (sender, pieces) = mpsc::channel(1);
        sender.try_send(Bytes::from_static(b"half")).unwrap();
        drop(sender);
        let content =
            Content::File { pieces, bytes: 8, duration: Duration::from_secs(1), tracks: Vec::new() };
        let made = clip.make(env.clone(), content).await;
        assert!(matches!(made, Err(ClipError::Source)), "{made:?}");
        assert!(env.recordings.catalog.oldest_first().is_empty());
        assert!(!node.folder.join("live").exists());
    }
}
