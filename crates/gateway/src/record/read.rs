//! Reading the files of recordings: the one way to their bytes, for whoever plays them.
//!
//! A file is opened and read in pieces, on threads that may wait for the disk. One that was opened stays what it was, even when
//! its final form takes its place, or when it is deleted: only those that open it anew see that.

use super::catalog::Entry;
use super::id::FileName;
use super::limits::{READ_AHEAD_BYTES, READ_BYTES_MAX, READS_MAX};
use super::remote::Remote;
use bytes::Bytes;
use http::HeaderValue;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

/// Files that are read at this moment. Those beyond wait, so that a disk that hangs holds few threads.
static READS: Semaphore = Semaphore::const_new(READS_MAX);

/// What a file was when it was opened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Version {
    /// Its bytes.
    pub(crate) bytes: u64,
    /// When it was written last, in nanoseconds since 1970; 0 if that is not known.
    modified_nanos: u128,
    /// Differs between a file that grows and the one that takes its place; `None` of a stored copy, which is of a finished file.
    identity: Option<u64>,
}

impl Version {
    fn of(found: &Metadata) -> Self {
        let nanos = |time: io::Result<SystemTime>| {
            time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default().as_nanos()
        };
        #[cfg(unix)]
        let identity = std::os::unix::fs::MetadataExt::ino(found);
        #[cfg(not(unix))]
        let identity = nanos(found.created()) as u64;
        Self { bytes: found.len(), modified_nanos: nanos(found.modified()), identity: Some(identity) }
    }

    /// Whether `self` is `earlier`, or what became of it by growing: the bytes that were there are still the same. So are those
    /// of a file and its stored copy, which takes over when the local one goes.
    pub(crate) fn continues(&self, earlier: &Self) -> bool {
        match (self.identity, earlier.identity) {
            (Some(now), Some(then)) => now == then && self.bytes >= earlier.bytes,
            _ => self.bytes == earlier.bytes,
        }
    }

    /// A strong tag (RFC 9110 section 8.8.3): files of recordings only grow or are replaced.
    pub(crate) fn etag(&self) -> HeaderValue {
        HeaderValue::try_from(format!("\"{:x}-{:x}\"", self.bytes, self.modified_nanos))
            .unwrap_or(HeaderValue::from_static("\"\""))
    }
}

/// A file of a recording that was opened.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    version: Version,
    place: Place,
}

/// Where its bytes are.
#[derive(Debug, Clone)]
enum Place {
    Local(Arc<Mutex<File>>),
    Remote(Arc<Far>),
}

/// A file in the object storage, and what was read of it last.
#[derive(Debug)]
struct Far {
    remote: Arc<Remote>,
    entry: Arc<Entry>,
    name: FileName,
    ahead: Mutex<(u64, Bytes)>,
}

/// Opens a file of a recording.
///
/// # Errors
///
/// `NotFound` if the recording has none of that name; what the system says otherwise.
pub(crate) async fn open(entry: &Arc<Entry>, name: &FileName) -> io::Result<Source> {
    let (entry, name) = (entry.clone(), name.clone());
    let (at, of) = (entry.clone(), name.clone());
    let local = waiting(move || {
        let file = at.open(&of).ok_or(io::ErrorKind::NotFound)?;
        let version = Version::of(&file.metadata()?);
        Ok(Source { version, place: Place::Local(Arc::new(Mutex::new(file))) })
    })
    .await;
    match (local, entry.remote()) {
        (Err(error), Some(remote)) if error.kind() == io::ErrorKind::NotFound && entry.is_stored(&name) => {
            let bytes = remote.size(&entry, &name).await?;
            // Nothing changes there.
            let version = Version { bytes, modified_nanos: 0, identity: None };
            let far = Far { remote: remote.clone(), entry: entry.clone(), name, ahead: Mutex::default() };
            Ok(Source { version, place: Place::Remote(Arc::new(far)) })
        }
        (local, _) => local,
    }
}

impl Far {
    /// Reads a part that the file has. Who goes on where the last part ended is read ahead for.
    async fn read(&self, range: Range<u64>, bytes: u64) -> io::Result<Bytes> {
        let goes_on = {
            let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            let (start, piece) = (ahead.0, &ahead.1);
            let end = start + piece.len() as u64;
            if start <= range.start && range.end <= end {
                let from = (range.start - start) as usize;
                return Ok(piece.slice(from..from + (range.end - range.start) as usize));
            }
            // Also who begins at the begin.
            (start..=end).contains(&range.start)
        };
        let wanted = range.end - range.start;
        let end = if goes_on { range.end.max(range.start + READ_AHEAD_BYTES).min(bytes) } else { range.end };
        let piece = self.remote.read(&self.entry, &self.name, range.start..end).await?;
        if (piece.len() as u64) < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let part = piece.slice(..wanted as usize);
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = (range.start, piece);
        Ok(part)
    }
}

impl Source {
    /// What it was when it was opened.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Its bytes when it was opened.
    pub(crate) fn bytes(&self) -> u64 {
        self.version.bytes
    }

    /// Reads `range`, all of it; at most [`READ_BYTES_MAX`] at once.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a larger range, `UnexpectedEof` where the file is shorter; what the system says otherwise.
    pub(crate) async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let bytes = range.end.saturating_sub(range.start);
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= READ_BYTES_MAX);
        let bytes = bytes.ok_or(io::ErrorKind::InvalidInput)?;
        let file = match &self.place {
            Place::Local(file) => file.clone(),
            Place::Remote(_) if range.is_empty() => return Ok(Bytes::new()),
            Place::Remote(_) if range.end > self.version.bytes => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Place::Remote(far) => return far.read(range, self.version.bytes).await,
        };
        waiting(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let mut piece = vec![0; bytes];
            file.seek(SeekFrom::Start(range.start))?;
            file.read_exact(&mut piece)?;
            Ok(Bytes::from(piece))
        })
        .await
    }
}

/// Does what may wait for the disk on a thread that may wait.
async fn waiting<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    // It is never closed.
    let _turn = READS.acquire().await.map_err(io::Error::other)?;
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::super::catalog::Catalog;
    use super::super::id::RecordingId;
    use super::*;
    use std::fs;

    /// A recording with a file of ten bytes, in a folder of its own.
    fn recording(test: &str) -> (std::path::PathBuf, Arc<Entry>, FileName) {
        let folder = std::env::temp_dir().join(format!("rushlight-read-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let name = media::StreamName::parse("live", "cam").unwrap();
        let id = RecordingId::new(UNIX_EPOCH, 1);
        let entry = Catalog::new(folder.clone()).add(id, &name, "1970-01-01T00:00:00Z".to_owned());
        let file = FileName::new(1, "mp4");
        entry.description().files.push(api::RecordedFile {
            name: file.as_str().to_owned(),
            format: "mp4".to_owned(),
            bytes: 0,
            start_ms: 0,
            duration_ms: 0,
            started_at: None,
            finished: false,
        });
        entry.save().unwrap();
        fs::write(entry.file_path(&file), b"0123456789").unwrap();
        (folder, entry, file)
    }

    #[tokio::test]
    async fn a_range_is_read_whole_or_not_at_all() {
        let (folder, entry, file) = recording("range");
        let source = open(&entry, &file).await.unwrap();
        assert_eq!(source.bytes(), 10);
        assert_eq!(source.read(2..5).await.unwrap(), "234");
        assert_eq!(source.read(10..10).await.unwrap(), "");
        assert_eq!(source.read(5..11).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let large = 0..READ_BYTES_MAX as u64 + 1;
        assert_eq!(source.read(large).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let other = open(&entry, &FileName::new(2, "mp4")).await;
        assert_eq!(other.unwrap_err().kind(), io::ErrorKind::NotFound);
        let _ = fs::remove_dir_all(folder);
    }

    #[tokio::test]
    async fn what_was_opened_stays_what_it_was_when_another_takes_its_place() {
        let (folder, entry, file) = recording("replaced");
        let path = entry.file_path(&file);
        let first = open(&entry, &file).await.unwrap();
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| io::Write::write_all(&mut file, b"ab"))
            .unwrap();
        let grown = open(&entry, &file).await.unwrap();
        assert_eq!((first.bytes(), grown.bytes()), (10, 12));
        fs::write(entry.unfinished_path(&file), b"finished file").unwrap();
        fs::rename(entry.unfinished_path(&file), &path).unwrap();
        let finished = open(&entry, &file).await.unwrap();
        assert_ne!(finished.version().etag(), grown.version().etag());
        assert_eq!(first.read(0..4).await.unwrap(), "0123");
        assert_eq!(finished.read(0..4).await.unwrap(), "fini");
        let _ = fs::remove_dir_all(folder);
    }
}
