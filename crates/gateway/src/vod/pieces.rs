//! Pieces of the files of a recording, read ahead of who wants them.

use super::limits::PIECE_BYTES;
use super::segments;
use super::transport::{Block, Blocks, take_apart};
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
    /// Of segments in MPEG-TS: positions are in what comes out of them.
    pub(super) blocks: Option<Arc<Blocks>>,
    /// In how many places it is read by turns, from 1 on.
    pub(super) tracks: usize,
}

impl PlannedFile {
    /// Whether positions in the one mean the same in the other.
    fn is_same(&self, other: &Self) -> bool {
        let are_same = match (&self.blocks, &other.blocks) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.name == other.name && are_same
    }
}

/// Segments that are open: where sound and pictures go on in the next one, they do not do so at once.
const SEGMENTS_OPEN_MAX: usize = 2;

/// Reads pieces of the files of one recording, most of which follow one another.
#[derive(Debug)]
pub(super) struct Pieces {
    entry: Arc<Entry>,
    open: Option<(FileName, Source)>,
    /// By their numbers, the one that was opened last at the end.
    segments: Vec<(u32, Source)>,
    /// The file that `ahead` is of.
    of: Option<PlannedFile>,
    /// What was read last of it, for each of its tracks: their frames lie near one another, those of several by turns.
    ahead: Vec<Ahead>,
    /// Counts what was asked for.
    clock: u64,
}

#[derive(Debug)]
struct Ahead {
    position: u64,
    bytes: Bytes,
    /// When it was used last.
    used: u64,
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
        Self { entry, open: None, segments: Vec::new(), of: None, ahead: Vec::new(), clock: 0 }
    }

    /// Reads `bytes` from `position` on, all of them.
    ///
    /// # Errors
    ///
    /// Those of reading; a file that is another by now.
    pub(super) async fn get(&mut self, file: &PlannedFile, position: u64, bytes: u64) -> io::Result<Bytes> {
        if self.of.as_ref().is_none_or(|of| !of.is_same(file)) {
            self.ahead.clear();
            self.of = Some(file.clone());
        }
        match &file.blocks {
            Some(blocks) => self.get_of_segments(file, blocks, position, bytes).await,
            None => self.get_of_file(file, position, bytes).await,
        }
    }

    async fn get_of_file(&mut self, file: &PlannedFile, position: u64, bytes: u64) -> io::Result<Bytes> {
        let source = self.source(file, position.saturating_add(bytes)).await?;
        if let Some(piece) = self.known(position, bytes) {
            return Ok(piece);
        }
        // The frames that follow are wanted next, most likely.
        let is_small = bytes < PIECE_BYTES / 4;
        let more = if is_small { PIECE_BYTES.min(source.bytes().saturating_sub(position)) } else { bytes };
        let read = read_large(&source, position..position.saturating_add(more.max(bytes))).await?;
        let piece = read.slice(..bytes as usize);
        if is_small {
            self.keep(file, position, read);
        }
        Ok(piece)
    }

    async fn get_of_segments(
        &mut self,
        file: &PlannedFile,
        blocks: &Blocks,
        position: u64,
        bytes: u64,
    ) -> io::Result<Bytes> {
        let end = position.saturating_add(bytes);
        let mut all = BytesMut::new();
        let mut at = position;
        while at < end {
            let (block, begin, ends) = blocks.find(at).ok_or(io::ErrorKind::UnexpectedEof)?;
            let wanted = end.min(ends) - at;
            let piece = match self.known(at, wanted) {
                Some(piece) => piece,
                None => {
                    let frames = self.read_block(blocks, block).await?;
                    if frames.len() as u64 != ends - begin {
                        return Err(io::Error::other("the segment is another by now"));
                    }
                    self.keep(file, begin, frames.clone());
                    frames.slice((at - begin) as usize..(at - begin + wanted) as usize)
                }
            };
            if wanted == bytes {
                return Ok(piece);
            }
            all.extend_from_slice(&piece);
            at += wanted;
        }
        Ok(all.freeze())
    }

    async fn read_block(&mut self, blocks: &Blocks, block: Block) -> io::Result<Bytes> {
        let known = blocks.known(&block).ok_or(io::ErrorKind::NotFound)?;
        let end = block.offset + u64::from(block.bytes);
        let opened = self.segments.iter().find(|(number, _)| *number == block.segment);
        let source = match opened {
            Some((_, source)) => source.clone(),
            None => {
                let (_, source) = segments::open(&self.entry, block.segment).await?;
                if self.segments.len() >= SEGMENTS_OPEN_MAX {
                    self.segments.remove(0);
                }
                self.segments.push((block.segment, source.clone()));
                source
            }
        };
        let packets = read_large(&source, block.offset..end).await?;
        let taken = tokio::task::spawn_blocking(move || take_apart(&known, &packets));
        taken.await.map_err(io::Error::other)
    }

    /// What was read already.
    fn known(&mut self, position: u64, bytes: u64) -> Option<Bytes> {
        self.clock += 1;
        let clock = self.clock;
        self.ahead.iter_mut().find_map(|ahead| {
            let piece = ahead.get(position, bytes)?;
            ahead.used = clock;
            Some(piece)
        })
    }

    /// Keeps what was read in place of what comes right before it, else of what was used longest ago.
    fn keep(&mut self, file: &PlannedFile, position: u64, bytes: Bytes) {
        let ahead = Ahead { position, bytes, used: self.clock };
        let ends_there = |ahead: &&mut Ahead| {
            let end = ahead.position + ahead.bytes.len() as u64;
            (ahead.position..=end).contains(&position)
        };
        if let Some(before) = self.ahead.iter_mut().find(ends_there) {
            *before = ahead;
        } else if self.ahead.len() < file.tracks {
            self.ahead.push(ahead);
        } else if let Some(oldest) = self.ahead.iter_mut().min_by_key(|ahead| ahead.used) {
            *oldest = ahead;
        }
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
        self.ahead.clear();
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
