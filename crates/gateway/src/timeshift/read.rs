//! Reading segments back, on threads that may wait for the disk.

use super::limits::{PIECE_BYTES, READS_MAX};
use super::{Entry, Timeshift};
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Reads at this moment.
static READS: Semaphore = Semaphore::const_new(READS_MAX);

/// Opens the file of a segment. What was opened stays, even when the file is removed.
///
/// # Errors
///
/// What the system says; `NotFound` where the segment has just left.
pub(crate) async fn open(timeshift: &Timeshift, entry: &Entry) -> io::Result<File> {
    let path = timeshift.folder.join(entry.to_string());
    noted(timeshift, entry, waiting(move || File::open(path)).await)
}

/// Reads all of a segment.
///
/// # Errors
///
/// What the system says; `NotFound` where the segment has just left.
pub(crate) async fn whole(timeshift: &Timeshift, entry: &Entry) -> io::Result<Bytes> {
    let file = open(timeshift, entry).await?;
    noted(timeshift, entry, piece(file, 0..entry.bytes).await).map(|(_, bytes)| bytes)
}

/// Notes that a segment cannot be had, where that will not be otherwise the next time.
fn noted<T>(timeshift: &Timeshift, entry: &Entry, read: io::Result<T>) -> io::Result<T> {
    use io::ErrorKind::{
        InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied, UnexpectedEof,
    };
    read.inspect_err(|error| match error.kind() {
        NotFound | PermissionDenied | IsADirectory | NotADirectory | InvalidData | UnexpectedEof => {
            timeshift.miss(entry);
        }
        // The system has no room, or no file handle, at the moment.
        _ => {}
    })
}

/// The bytes of `range`, in pieces: `None` after the last. They end without it where they cannot be read, or where the peer takes
/// nothing for too long.
pub(crate) fn body(
    mut file: File,
    range: Range<u64>,
    write_timeout: Duration,
    shutdown: net::Shutdown,
) -> mpsc::Receiver<Option<Bytes>> {
    let (pieces, rest) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut position = range.start;
        while position < range.end {
            let end = range.end.min(position + PIECE_BYTES);
            let Ok((returned, next)) = piece(file, position..end).await else { return };
            (file, position) = (returned, end);
            tokio::select! {
                biased;
                sent = tokio::time::timeout(write_timeout, pieces.send(Some(next))) => {
                    if !matches!(sent, Ok(Ok(()))) {
                        return;
                    }
                }
                () = shutdown.triggered() => return,
            }
        }
        // The peer may have gone in this moment; there is nothing left to tell it.
        let _ = tokio::time::timeout(write_timeout, pieces.send(None)).await;
    });
    rest
}

async fn piece(mut file: File, range: Range<u64>) -> io::Result<(File, Bytes)> {
    waiting(move || {
        let mut piece = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
        file.seek(SeekFrom::Start(range.start))?;
        file.read_exact(&mut piece)?;
        Ok((file, piece.into()))
    })
    .await
}

/// Does what may wait for the disk on a thread that may wait.
async fn waiting<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    // It is never closed.
    let _turn = READS.acquire().await.map_err(io::Error::other)?;
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
