//! The files of one recording on the disk. Blocks the calling thread, which is one that does nothing else.

use super::catalog::Entry;
use super::id::FileName;
use super::limits::SYNC;
use super::muxer::Block;
use super::playlist::{Playlist, Segment};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that are handed to the system together: frames of sound are small.
const BUFFER_BYTES: usize = 256 << 10;

/// What was written of a block.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) file: FileName,
    pub(super) begins: Option<Vec<api::RecordedTrack>>,
    pub(super) bytes: usize,
    pub(super) end: Duration,
    pub(super) is_discontinuity: bool,
}

/// The outcome of one turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// What was written.
    pub(super) written: Vec<Written>,
    /// Packets that were not, because of `error`.
    pub(super) lost: u64,
    /// Why there was an end.
    pub(super) error: Option<io::Error>,
}

/// Writes the blocks of one recording.
#[derive(Debug)]
pub(super) struct Writer {
    entry: Arc<Entry>,
    open: Option<Open>,
    /// The segments that have ended, and the one that is written.
    playlist: Playlist,
    segment: Option<Segment>,
    syncing: Arc<Mutex<Syncing>>,
    /// Nothing is written while fewer bytes are free.
    free_bytes_min: u64,
}

/// Whether the disk is about to keep what was written.
#[derive(Debug, Default)]
enum Syncing {
    #[default]
    Not,
    Runs,
    Failed(io::Error),
}

#[derive(Debug)]
struct Open {
    name: FileName,
    file: File,
    /// The bytes up to the end of the last whole block.
    good: u64,
    synced: Instant,
}

impl Writer {
    pub(super) fn new(entry: Arc<Entry>, free_bytes_min: u64) -> Self {
        Self {
            entry,
            open: None,
            playlist: Playlist::default(),
            segment: None,
            syncing: Arc::default(),
            free_bytes_min,
        }
    }

    /// Writes `blocks`, up to the first one that fails. After a failure the files end with whole blocks, and only a block
    /// that begins a file may follow.
    pub(super) fn write(&mut self, blocks: Vec<Block>) -> Turn {
        let mut turn = Turn::default();
        if !blocks.is_empty()
            && let Err(error) = crate::disk::check_free(self.entry.folder(), 0, self.free_bytes_min)
        {
            turn.error = Some(error);
            self.take_back();
        }
        for block in blocks {
            if turn.error.is_some() {
                turn.lost += block.packets;
                continue;
            }
            match self.write_block(&block) {
                Ok(()) => {
                    let Block { file, begins, bytes, end, is_discontinuity, .. } = block;
                    turn.written.push(Written { file, begins, bytes, end, is_discontinuity });
                }
                Err(error) => {
                    turn.lost += block.packets;
                    turn.error = Some(error);
                    self.take_back();
                }
            }
        }
        if turn.error.is_none()
            && let Err(error) = self.sync_if_due(Instant::now())
        {
            turn.error = Some(error);
            self.take_back();
        }
        turn
    }

    /// Makes sure that all of it stays.
    pub(super) fn close(&mut self) -> io::Result<()> {
        if let Some(open) = self.open.take() {
            open.file.sync_data()?;
        }
        if let Some(segment) = self.segment.take() {
            self.playlist.push(segment);
            let path = self.entry.file_path(&FileName::playlist());
            self.entry.write_beside(&path, self.playlist.render(false).as_bytes())?;
        }
        Ok(())
    }

    fn write_block(&mut self, block: &Block) -> io::Result<()> {
        if block.begins.is_some() {
            if let (Some(before), Some(after)) = (&mut self.segment, block.after) {
                // Or the sum of all would grow by the sound that lasts longer than the pictures of each.
                before.duration = before.duration.min(after);
            }
            self.close()?;
            std::fs::create_dir_all(self.entry.folder())?;
            let path = self.entry.file_path(&block.file);
            // Never one that is there already.
            let file = OpenOptions::new().write(true).create_new(true).open(path)?;
            self.open = Some(Open { name: block.file.clone(), file, good: 0, synced: Instant::now() });
        }
        let open = self.open.as_mut().filter(|open| open.name == block.file);
        let open = open.ok_or_else(|| io::Error::other("the file is not open"))?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES.min(block.bytes), &open.file);
        for piece in &block.pieces {
            out.write_all(piece)?;
        }
        out.flush()?;
        drop(out);
        open.good += block.bytes as u64;
        if block.file.is_segment() {
            let new = || Segment {
                name: block.file.clone(),
                duration: Duration::ZERO,
                discontinuity: block.is_discontinuity && !self.playlist.segments().is_empty(),
            };
            self.segment.get_or_insert_with(new).duration = block.end;
        }
        Ok(())
    }

    /// Has the disk keep what was written, on a thread of its own: a disk that is busy takes seconds for it, and what comes
    /// meanwhile would be in no file yet. Says how the last time ended.
    fn sync_if_due(&mut self, now: Instant) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if now.saturating_duration_since(open.synced) < SYNC {
            return Ok(());
        }
        let mut syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *syncing) {
            Syncing::Runs => {
                *syncing = Syncing::Runs;
                return Ok(());
            }
            Syncing::Failed(error) => return Err(error),
            Syncing::Not => {}
        }
        let (file, state) = (open.file.try_clone()?, self.syncing.clone());
        (open.synced, *syncing) = (now, Syncing::Runs);
        tokio::task::spawn_blocking(move || {
            let ended = file.sync_data().map_or_else(Syncing::Failed, |()| Syncing::Not);
            *state.lock().unwrap_or_else(PoisonError::into_inner) = ended;
        });
        Ok(())
    }

    /// Takes back what was written of a block in part. A file without a whole block is none.
    fn take_back(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let path = self.entry.file_path(&open.name);
        let taken = if open.good == 0 {
            std::fs::remove_file(path)
        } else {
            open.file.set_len(open.good).and_then(|()| open.file.seek(SeekFrom::Start(open.good)).map(drop))
        };
        if let Err(error) = taken {
            // A file that ends within a block plays up to it, and is put in order when it is finished.
            tracing::debug!(%error, "a block that was written in part stays");
        }
        if let Err(error) = self.close() {
            tracing::debug!(%error, "a playlist lacks its newest segment for now");
        }
    }
}
