//! Pieces of the files of a recording, read ahead of who wants them.

use super::limits::PIECE_BYTES;
use crate::record::limits::READ_BYTES_MAX;
use crate::record::read::{self, Source, Version};
use crate::record::{Entry, FileName};
use bytes::{Bytes, BytesMut};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A file that pieces are of.
#[derive(Debug, Clone)]
pub(super) struct PlannedFile {
    pub(super) name: FileName,
    /// What it was when its index was made.
    pub(super) version: Version,
}

/// Reads pieces of the files of one recording, most of which follow one another.
#[derive(Debug)]
pub(super) struct Pieces {
    entry: Arc<Entry>,
    open: Option<(FileName, Source)>,
    /// What was read last of the file that is open: frames of pictures and of sound lie near one another, in two places.
    ahead: [Ahead; 2],
    /// Which of them is overwritten next.
    turn: usize,
}

#[derive(Debug, Default, Clone)]
struct Ahead {
    position: u64,
    bytes: Bytes,
}

impl Ahead {
    fn get(&self, position: u64, bytes: u64) -> Option<Bytes> {
        let start = position.checked_sub(self.position)?;
        let end = start.checked_add(bytes).filter(|end| *end <= self.bytes.len() as u64)?;
        Some(self.bytes.slice(start as usize..end as usize))
    }
}

impl Pieces {
    /// Of the files of `entry`.
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        Self { entry, open: None, ahead: Default::default(), turn: 0 }
    }

    /// Reads `bytes` from `position` on, all of them.
    ///
    /// # Errors
    ///
    /// Those of reading; a file that is another by now.
    pub(super) async fn get(&mut self, file: &PlannedFile, position: u64, bytes: u64) -> io::Result<Bytes> {
        let source = self.source(file, position.saturating_add(bytes)).await?;
        if let Some(piece) = self.ahead.iter().find_map(|ahead| ahead.get(position, bytes)) {
            return Ok(piece);
        }
        // The frames that follow are wanted next, most likely.
        let is_small = bytes < PIECE_BYTES / 4;
        let more = if is_small { PIECE_BYTES.min(source.bytes().saturating_sub(position)) } else { bytes };
        let read = read_large(&source, position..position.saturating_add(more.max(bytes))).await?;
        let piece = read.slice(..bytes as usize);
        if is_small {
            self.ahead[self.turn] = Ahead { position, bytes: read };
            self.turn = (self.turn + 1) % self.ahead.len();
        }
        Ok(piece)
    }

    /// The file, opened anew if what is open is another, or had not grown to `end` yet.
    async fn source(&mut self, file: &PlannedFile, end: u64) -> io::Result<Source> {
        let is_same = |name: &FileName, source: &Source| {
            let (open, planned) = (source.version(), &file.version);
            let is_one = open.continues(planned) || planned.continues(&open);
            *name == file.name && is_one && (end <= open.bytes || end > planned.bytes)
        };
        if let Some((_, source)) = self.open.as_ref().filter(|(name, source)| is_same(name, source)) {
            return Ok(source.clone());
        }
        let source = read::open(&self.entry, &file.name).await?;
        if !source.version().continues(&file.version) {
            return Err(io::Error::other("the file is another by now"));
        }
        self.ahead = Default::default();
        self.open = Some((file.name.clone(), source.clone()));
        Ok(source)
    }
}

/// Reads what may be larger than what is read at once.
pub(super) async fn read_large(source: &Source, range: Range<u64>) -> io::Result<Bytes> {
    if range.end - range.start <= READ_BYTES_MAX as u64 {
        return source.read(range).await;
    }
    let mut all = BytesMut::new();
    let mut position = range.start;
    while position < range.end {
        let end = range.end.min(position + READ_BYTES_MAX as u64);
        all.extend_from_slice(&source.read(position..end).await?);
        position = end;
    }
    Ok(all.freeze())
}
