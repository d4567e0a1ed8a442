//! Files on their way up, in parts.

use crate::limits::{PART_BYTES_MIN, PARTS_MAX};
use crate::{Error, Kind, Store};
use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Whether an upload shall go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// It shall.
    On,
    /// It shall not, and what has arrived is not needed.
    Stop,
}

/// How far a file has come. Kept, it lets the upload go on where it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What the store calls the upload; none before it has begun.
    id: Option<String>,
    /// Bytes of the file. One of another size is another file.
    bytes: u64,
    /// Bytes of each part but the last.
    part_bytes: u64,
    /// What the store calls the parts that have arrived.
    parts: Vec<String>,
}

impl Progress {
    /// Bytes that have arrived.
    pub fn bytes_done(&self) -> u64 {
        (self.parts.len() as u64).saturating_mul(self.part_bytes).min(self.bytes)
    }
}

impl Store {
    /// Puts a file up as `name`, in place of what had that name, and returns its bytes. `progress` is how far it had come; it is
    /// brought up to date with each part that arrives, and then shown to `watch`, which says whether to go on. After a failure
    /// the same call goes on where it was.
    ///
    /// # Errors
    ///
    /// The store is not to be had or does not take it, the file cannot be read, or [`Go::Stop`].
    pub async fn put_file(
        &self,
        name: &str,
        file: &std::path::Path,
        progress: &mut Progress,
        mut watch: impl FnMut(&Progress) -> Go,
    ) -> Result<u64, Error> {
        let path = self.path(name)?;
        let file = Source::open(file).await?;
        match &self.kind {
            Kind::S3(store) => to_s3(store.as_ref(), &path, &file, progress, &mut watch).await?,
            Kind::Folder(store) => to_folder(store.as_ref(), &path, &file, progress, &mut watch).await?,
        }
        Ok(file.bytes)
    }
}

/// Bytes of each part of a file: as few as may be.
fn part_bytes(bytes: u64) -> u64 {
    const STEP: u64 = 1 << 20;
    bytes.div_ceil(PARTS_MAX).div_ceil(STEP).saturating_mul(STEP).max(PART_BYTES_MIN)
}

async fn to_s3(
    store: &(impl ObjectStore + MultipartStore),
    path: &Path,
    file: &Source,
    progress: &mut Progress,
    watch: &mut impl FnMut(&Progress) -> Go,
) -> Result<(), Error> {
    let part = part_bytes(file.bytes);
    if (progress.bytes, progress.part_bytes) != (file.bytes, part) {
        *progress = Progress { bytes: file.bytes, part_bytes: part, ..Progress::default() };
    }
    // One part is no upload of parts.
    if file.bytes <= part {
        let bytes = file.read(0, file.bytes).await?;
        store.put(path, PutPayload::from_bytes(bytes)).await?;
        return Ok(());
    }
    let id = match &progress.id {
        Some(id) => id.clone(),
        None => {
            let id = store.create_multipart(path).await?;
            progress.id = Some(id.clone());
            id
        }
    };
    let result = put_parts(store, path, &id, file, progress, watch).await;
    match &result {
        // The store has forgotten it: the next call begins anew. It may also have been the end of it that was not heard.
        Err(Error::NotFound) => {
            let is_there = store.head(path).await.is_ok_and(|found| found.size == file.bytes);
            let has_all = progress.bytes_done() == file.bytes;
            *progress = Progress::default();
            if is_there && has_all {
                return Ok(());
            }
            return Err(Error::Failed("the store has forgotten the upload, which begins anew".to_owned()));
        }
        Err(Error::Stopped) => {
            // Who pays for the parts is glad; a store that is away removes them when it is told to by its own rules.
            let _ = store.abort_multipart(path, &id).await;
            *progress = Progress::default();
        }
        _ => {}
    }
    result
}

async fn put_parts(
    store: &impl MultipartStore,
    path: &Path,
    id: &String,
    file: &Source,
    progress: &mut Progress,
    watch: &mut impl FnMut(&Progress) -> Go,
) -> Result<(), Error> {
    loop {
        if watch(progress) == Go::Stop {
            return Err(Error::Stopped);
        }
        let start = progress.bytes_done();
        if start >= file.bytes {
            break;
        }
        let bytes = file.read(start, progress.part_bytes.min(file.bytes - start)).await?;
        let part = store.put_part(path, id, progress.parts.len(), PutPayload::from_bytes(bytes)).await?;
        progress.parts.push(part.content_id);
    }
    let parts = progress.parts.iter().map(|id| PartId { content_id: id.clone() }).collect();
    store.complete_multipart(path, id, parts).await?;
    Ok(())
}

/// A copy on a file system goes from its begin to its end, and is there when it is whole.
async fn to_folder(
    store: &impl ObjectStore,
    path: &Path,
    file: &Source,
    progress: &mut Progress,
    watch: &mut impl FnMut(&Progress) -> Go,
) -> Result<(), Error> {
    let part_bytes = part_bytes(file.bytes);
    *progress = Progress { bytes: file.bytes, part_bytes, ..Progress::default() };
    let mut upload = store.put_multipart(path).await?;
    let copied: Result<(), Error> = async {
        loop {
            if watch(progress) == Go::Stop {
                return Err(Error::Stopped);
            }
            let start = progress.bytes_done();
            if start >= file.bytes {
                return Ok(());
            }
            let bytes = file.read(start, part_bytes.min(file.bytes - start)).await?;
            upload.put_part(PutPayload::from_bytes(bytes)).await?;
            progress.parts.push(String::new());
        }
    }
    .await;
    match copied {
        Ok(()) => upload.complete().await.map(drop).map_err(Error::from),
        Err(error) => {
            let _ = upload.abort().await;
            Err(error)
        }
    }
}

/// The file on this side.
struct Source {
    file: Arc<File>,
    bytes: u64,
}

impl Source {
    async fn open(path: &std::path::Path) -> Result<Self, Error> {
        let path = path.to_owned();
        on_disk(move || {
            let file = File::open(path)?;
            Ok(Self { bytes: file.metadata()?.len(), file: Arc::new(file) })
        })
        .await
    }

    async fn read(&self, start: u64, count: u64) -> Result<Bytes, Error> {
        let file = self.file.clone();
        on_disk(move || {
            let count = usize::try_from(count).map_err(io::Error::other)?;
            let mut bytes = vec![0; count];
            file.read_exact_at(&mut bytes, start)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }
}

/// Runs `work` where it may wait for the disk.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done =
        tokio::task::spawn_blocking(work).await.map_err(|error| Error::File(io::Error::other(error)))?;
    done.map_err(Error::File)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    struct Temporary(std::path::PathBuf);

    impl Temporary {
        /// A file of parts and a bit.
        fn new(name: &str, bytes: usize) -> (Self, Vec<u8>) {
            let path = std::env::temp_dir().join(format!("rushlight-upload-{name}-{}", std::process::id()));
            let content: Vec<u8> = (0..bytes).map(|at| (at / 7 + at / 1_000_003) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            (Self(path), content)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_file_has_no_more_parts_than_a_store_takes() {
        for bytes in
            [0, 1, PART_BYTES_MIN, PART_BYTES_MIN * PARTS_MAX, PART_BYTES_MIN * PARTS_MAX + 1, 5 << 40]
        {
            let part = part_bytes(bytes);
            assert!(part >= PART_BYTES_MIN && bytes.div_ceil(part) <= PARTS_MAX, "{bytes}: {part}");
        }
    }

    #[tokio::test]
    async fn an_upload_that_failed_goes_on_where_it_was() {
        let (file, content) = Temporary::new("failed", (2 * PART_BYTES_MIN + 5) as usize);
        let (store, path) = (InMemory::new(), Path::from("a/b"));
        let source = Source::open(&file.0).await.unwrap();
        // One part has arrived when the file cannot be read any more.
        let mut progress = Progress::default();
        let broken = Source { file: Arc::new(File::open("/dev/null").unwrap()), bytes: source.bytes };
        let begun = async |source: &Source, progress: &mut Progress| {
            let mut starts = Vec::new();
            let mut watch = |now: &Progress| {
                starts.push(now.bytes_done());
                Go::On
            };
            let result = to_s3(&store, &path, source, progress, &mut watch).await;
            (starts, result)
        };
        let (starts, result) = begun(&broken, &mut progress).await;
        assert!(starts == [0] && matches!(result, Err(Error::File(_))));
        let id = progress.id.clone().unwrap();
        let first = source.read(0, PART_BYTES_MIN).await.unwrap();
        let part = store.put_part(&path, &id, 0, PutPayload::from_bytes(first)).await.unwrap();
        progress.parts.push(part.content_id);

        let (starts, result) = begun(&source, &mut progress).await;
        result.unwrap();
        assert_eq!(starts, [PART_BYTES_MIN, 2 * PART_BYTES_MIN, source.bytes]);
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), content);
    }

    #[tokio::test]
    async fn an_upload_that_is_not_wanted_any_more_stops() {
        let (file, _) = Temporary::new("stopped", (PART_BYTES_MIN + 5) as usize);
        let (store, path) = (InMemory::new(), Path::from("a/b"));
        let source = Source::open(&file.0).await.unwrap();
        let mut progress = Progress::default();
        let stopped = to_s3(&store, &path, &source, &mut progress, &mut |_| Go::Stop).await;
        assert!(matches!(stopped, Err(Error::Stopped)) && progress == Progress::default());
        assert!(store.head(&path).await.is_err());
    }
}
