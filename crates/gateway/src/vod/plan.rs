//! What an answer consists of: bytes that were made for it, and pieces of files between them. So its length is known before any
//! media is read, and a part of it can be asked for.

use super::limits::PIECE_BYTES;
use super::pieces::{Pieces, PlannedFile};
use crate::feed::ReadPieces;
use crate::record::Entry;
use bytes::{Bytes, BytesMut};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Where the bytes of a piece are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Made(usize),
    File { file: u32, position: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// Where it begins in the answer.
    at: u64,
    bytes: u64,
    place: Place,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Plan {
    made: BytesMut,
    pieces: Vec<Piece>,
    files: Vec<PlannedFile>,
    bytes: u64,
    /// The memory that it counts for, where that is bounded.
    _room: Option<OwnedSemaphorePermit>,
}

impl Plan {
    /// Of pieces of these files.
    pub(super) fn of(files: Vec<PlannedFile>) -> Self {
        Self { files, ..Self::default() }
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// It is complete, and takes `room` until it is dropped.
    pub(super) fn within(mut self, room: OwnedSemaphorePermit) -> Self {
        self.pieces.shrink_to_fit();
        Self { _room: Some(room), ..self }
    }

    /// The bytes that it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        self.made.capacity() + self.pieces.capacity() * size_of::<Piece>() + size_of::<Self>()
    }

    /// Adds bytes that `write` makes.
    pub(super) fn make<T>(&mut self, write: impl FnOnce(&mut BytesMut) -> T) -> T {
        let before = self.made.len();
        let result = write(&mut self.made);
        let bytes = (self.made.len() - before) as u64;
        match self.pieces.last_mut() {
            // What was made last is right before it.
            Some(Piece { bytes: last, place: Place::Made(_), .. }) => *last += bytes,
            _ if bytes > 0 => {
                self.pieces.push(Piece { at: self.bytes, bytes, place: Place::Made(before) });
            }
            _ => {}
        }
        self.bytes += bytes;
        result
    }

    /// Adds bytes of one of the files.
    pub(super) fn copy(&mut self, file: usize, position: u64, bytes: u64) {
        let file = file as u32;
        match self.pieces.last_mut() {
            Some(Piece { bytes: last, place: Place::File { file: of, position: at }, .. })
                if *of == file && *at + *last == position =>
            {
                *last += bytes;
            }
            _ => self.pieces.push(Piece { at: self.bytes, bytes, place: Place::File { file, position } }),
        }
        self.bytes += bytes;
    }

    /// The pieces of `range`.
    fn pieces(&self, range: &Range<u64>) -> impl Iterator<Item = (Place, u64)> {
        let first = self.pieces.partition_point(|piece| piece.at + piece.bytes <= range.start);
        let Range { start, end } = *range;
        self.pieces.iter().skip(first).take_while(move |piece| piece.at < end).map(move |piece| {
            let skip = start.saturating_sub(piece.at);
            let bytes = piece.bytes.min(end - piece.at) - skip;
            let place = match piece.place {
                Place::Made(at) => Place::Made(at + skip as usize),
                Place::File { file, position } => Place::File { file, position: position + skip },
            };
            (place, bytes)
        })
    }
}

/// Reads what a plan says.
#[derive(Debug)]
pub(super) struct PlanReader {
    plan: Arc<Plan>,
    pieces: Pieces,
}

impl PlanReader {
    /// Reads of the files of `entry`.
    pub(super) fn new(plan: Arc<Plan>, entry: Arc<Entry>) -> Self {
        Self { plan, pieces: Pieces::new(entry) }
    }

    /// Reads `range` from its beginning on: about [`PIECE_BYTES`] of it, and never nothing of what there is.
    ///
    /// # Errors
    ///
    /// Those of [`Pieces::get`].
    pub(super) async fn read(&mut self, range: Range<u64>) -> io::Result<Bytes> {
        let plan = self.plan.clone();
        let mut all = BytesMut::new();
        for (place, bytes) in plan.pieces(&range) {
            let bytes = bytes.min(PIECE_BYTES);
            let piece = match place {
                Place::Made(at) => Bytes::copy_from_slice(&plan.made[at..at + bytes as usize]),
                Place::File { file, position } => {
                    let file = plan.files.get(file as usize).ok_or(io::ErrorKind::NotFound)?;
                    self.pieces.get(file, position, bytes).await?
                }
            };
            if all.is_empty() && bytes >= PIECE_BYTES / 2 {
                return Ok(piece);
            }
            all.extend_from_slice(&piece);
            // Behind a piece that was cut comes its rest.
            if all.len() as u64 >= PIECE_BYTES / 2 {
                break;
            }
        }
        Ok(all.freeze())
    }
}

impl ReadPieces for PlanReader {
    async fn read_piece(&mut self, range: Range<u64>) -> io::Result<Bytes> {
        self.read(range).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_part_of_a_plan_has_its_bytes(
            pieces in prop::collection::vec((any::<bool>(), 0u64..6, 0u64..40), 0..12),
            start in 0u64..40,
            count in 1u64..40,
        ) {
            let file: Vec<u8> = (0..64).collect();
            let (mut plan, mut whole, mut next) = (Plan::default(), Vec::new(), 100u8);
            for (made, bytes, position) in pieces {
                if made {
                    let new: Vec<u8> = (0..bytes).map(|_| { next = next.wrapping_add(1); next }).collect();
                    plan.make(|out| out.extend_from_slice(&new));
                    whole.extend(new);
                } else {
                    plan.copy(0, position, bytes);
                    whole.extend_from_slice(&file[position as usize..(position + bytes) as usize]);
                }
            }
            prop_assert_eq!(plan.bytes(), whole.len() as u64);
            let end = (start + count).min(plan.bytes());
            let part: Vec<u8> = plan.pieces(&(start..end)).flat_map(|(place, bytes)| match place {
                Place::Made(at) => plan.made[at..at + bytes as usize].to_vec(),
                Place::File { position, .. } => file[position as usize..(position + bytes) as usize].to_vec(),
            }).collect();
            prop_assert_eq!(&part[..], whole.get(start as usize..end as usize).unwrap_or_default());
        }
    }
}
