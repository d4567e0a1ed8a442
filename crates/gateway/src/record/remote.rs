//! Recordings in the object storage: those that have ended go up, one after the other, and are read and deleted there.
//!
//! A thread of its own does it. While the storage is away nothing is lost: the local folder keeps what has not arrived, and the
//! next recording in line is tried again, ever more slowly, for as long as it takes.
//!
//! ```text
//! PREFIX/APP/CHANNEL/ID/recording.json    arrives last: what has one is complete
//! PREFIX/APP/CHANNEL/ID/0001.mp4
//! ```

use super::catalog::Entry;
use super::id::{FileName, RecordingId};
use super::limits::{
    DELETED_AT_ONCE, DESCRIPTION_BYTES_MAX, FOUND_AT_ONCE, LISTED_MAX, STORE_RETRY, STORE_RETRY_MAX,
    UPLOADS_MAX,
};
use crate::Env;
use crate::http::rfc3339;
use api::{RecordingState, RecordingUpload, UploadState};
use bytes::Bytes;
use link::Backoff;
use media::StreamName;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};
use store::{Error, Go, Progress, Store};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{info, warn};

/// How often the time between two tries doubles at most.
const TRIES_MAX: u32 = 6;

/// The description of a recording.
const DESCRIPTION: &str = "recording.json";

/// The object storage of a node.
#[derive(Debug)]
pub(crate) struct Remote {
    store: Store,
    runtime: Handle,
    queue: Mutex<VecDeque<Arc<Entry>>>,
    queued: Notify,
    trouble: Mutex<Option<Trouble>>,
}

/// Why nothing goes up.
#[derive(Debug, Clone)]
struct Trouble {
    why: String,
    retry_at: Instant,
}

/// Opens the object storage, if there shall be one, and starts its thread.
pub(super) fn start(env: &Arc<Env>) -> io::Result<()> {
    let Some(settings) = env.config.record.to_store() else { return Ok(()) };
    let store = Store::open(&settings).map_err(|error| io::Error::other(format!("record.store: {error}")))?;
    // One more than there are uploads, whose notes wait for the disk: somebody may watch from the storage meanwhile.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(UPLOADS_MAX + 1)
        .enable_all()
        .max_blocking_threads(2 * UPLOADS_MAX)
        .thread_name("store-disk")
        .build()?;
    let remote = Arc::new(Remote {
        store,
        runtime: runtime.handle().clone(),
        queue: Mutex::default(),
        queued: Notify::new(),
        trouble: Mutex::default(),
    });
    env.recordings.catalog.attach(remote.clone());
    let env = env.clone();
    std::thread::Builder::new().name("store".to_owned()).spawn(move || {
        runtime.block_on(env.clone().keep_running("store", || run(env.clone(), remote.clone())));
        runtime.shutdown_background();
    })?;
    Ok(())
}

impl Remote {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<Entry>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a recording in line, if it is complete and not in line yet.
    pub(super) fn enqueue(&self, entry: &Arc<Entry>) {
        {
            let mut description = entry.description();
            if description.state != RecordingState::Complete {
                return;
            }
            let upload = description.upload.get_or_insert_with(waiting);
            // What is up already is described there anew.
            if upload.state == UploadState::Running {
                upload.state = UploadState::Waiting;
            }
        }
        let mut queue = self.queue();
        if !queue.iter().any(|other| Arc::ptr_eq(other, entry)) {
            queue.push_back(entry.clone());
        }
        drop(queue);
        self.queued.notify_one();
    }

    /// Why nothing goes up, and after how many seconds it is tried again.
    pub(super) fn problem(&self) -> Option<(String, u64)> {
        let trouble = self.trouble().clone()?;
        let wait = trouble.retry_at.saturating_duration_since(Instant::now());
        Some((trouble.why, wait.as_secs_f64().ceil() as u64))
    }

    /// Recordings that wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue().len()
    }

    /// Runs `work` where requests are made.
    async fn do_there<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> io::Result<T> {
        let done = self.runtime.spawn(work).await.map_err(io::Error::other)?;
        done.map_err(|error| match error {
            Error::NotFound => io::ErrorKind::NotFound.into(),
            other => io::Error::other(other),
        })
    }

    /// The bytes of a file of a recording.
    pub(super) async fn size(&self, entry: &Entry, file: &FileName) -> io::Result<u64> {
        let (store, name) = (self.store.clone(), object(entry, file.as_str()));
        self.do_there(async move { store.size(&name).await }).await
    }

    /// Reads a part of a file of a recording.
    pub(super) async fn read(&self, entry: &Entry, file: &FileName, range: Range<u64>) -> io::Result<Bytes> {
        let (store, name) = (self.store.clone(), object(entry, file.as_str()));
        self.do_there(async move { store.read(&name, range).await }).await
    }

    /// Removes all of a recording, its description last: what has one is complete.
    pub(super) async fn delete(&self, entry: &Entry) -> io::Result<()> {
        let (store, folder) = (self.store.clone(), folder(&entry.name, &entry.id));
        self.do_there(async move {
            let files = store.files(&folder).await?;
            let mut names = files.into_iter().map(|(name, _)| name).filter(|name| name != DESCRIPTION);
            let mut deletes = JoinSet::new();
            loop {
                while deletes.len() < DELETED_AT_ONCE
                    && let Some(name) = names.next()
                {
                    let (store, name) = (store.clone(), format!("{folder}/{name}"));
                    deletes.spawn(async move { store.delete(&name).await });
                }
                let Some(deleted) = deletes.join_next().await else { break };
                deleted.map_err(|error| Error::Failed(error.to_string()))??;
            }
            store.delete(&format!("{folder}/{DESCRIPTION}")).await
        })
        .await
    }

    /// Finds what is in the object storage and not in the local folder, from the newest, without holding up anything.
    pub(super) fn find(self: &Arc<Self>, env: &Arc<Env>) {
        let (env, remote) = (env.clone(), self.clone());
        self.runtime.spawn(async move {
            let mut backoff = Backoff::between(STORE_RETRY, STORE_RETRY_MAX, seed());
            while let Err(error) = find(&env, &remote).await {
                let wait = backoff.wait();
                warn!(%error, "recordings in the object storage are not listed yet, next try in {} s", wait.as_secs());
                tokio::select! {
                    () = env.shutdown.triggered() => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        });
    }
}

/// What was never tried.
fn waiting() -> RecordingUpload {
    RecordingUpload {
        state: UploadState::Waiting,
        files: 0,
        bytes: 0,
        done_at: None,
        local: true,
        problem: None,
        retry_in_s: None,
    }
}

/// Of a copy that may not be whole any more nothing counts: what is here goes up anew.
pub(super) fn forget_copy(entry: &Entry) {
    if let Some(upload) = entry.description().upload.as_mut().filter(|upload| upload.local) {
        *upload = waiting();
    }
}

fn folder(name: &StreamName, id: &RecordingId) -> String {
    format!("{}/{}/{id}", name.app(), name.channel())
}

/// The name of an object of a recording. Its parts were all checked before.
fn object(entry: &Entry, file: &str) -> String {
    format!("{}/{file}", folder(&entry.name, &entry.id))
}

fn seed() -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = crate::random_seed();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Uploads what is in line until the node shuts down.
async fn run(env: Arc<Env>, remote: Arc<Remote>) {
    let metrics = env.metrics.record();
    let mut backoff = Backoff::between(STORE_RETRY, STORE_RETRY_MAX, seed());
    let mut turns = JoinSet::new();
    let mut pause: Option<Instant> = None;
    // Those whose own files were in the way, until they are tried again.
    let mut later = JoinSet::new();
    let mut tries: HashMap<RecordingId, u32> = HashMap::new();
    loop {
        while pause.is_none() && turns.len() < UPLOADS_MAX {
            let Some(entry) = remote.queue().pop_front() else { break };
            let (env, remote) = (env.clone(), remote.clone());
            turns.spawn(async move {
                let turn = tokio::spawn({
                    let (env, entry) = (env.clone(), entry.clone());
                    async move { upload(&env, &remote, &entry).await }
                });
                let result = turn.await.unwrap_or_else(|error| {
                    env.metrics.panicked();
                    Err(Error::File(io::Error::other(error)))
                });
                (entry, result)
            });
        }
        metrics.uploads_waiting.set((remote.waiting() + turns.len() + later.len()) as i64);
        tokio::select! {
            biased;
            () = env.shutdown.triggered() => return,
            Some(turn) = turns.join_next() => match turn {
                Ok((entry, Ok(()))) => {
                    backoff.reset();
                    tries.remove(&entry.id);
                    *remote.trouble() = None;
                    metrics.uploaded.inc();
                    info!(stream = %entry.name, recording = %entry.id, "a recording is in the object storage");
                    env.recordings.retaining.notify_one();
                }
                Ok((entry, Err(Error::Stopped))) => drop(tries.remove(&entry.id)),
                Ok((entry, Err(error))) => {
                    metrics.upload_errors.inc();
                    match &error {
                        // Its own fault, and no reason for others to wait.
                        Error::File(why) if why.kind() != io::ErrorKind::NotFound => {
                            let tries = tries.entry(entry.id.clone()).or_default();
                            let wait = STORE_RETRY.saturating_mul(1 << *tries).min(STORE_RETRY_MAX);
                            *tries = (*tries + 1).min(TRIES_MAX);
                            warn!(recording = %entry.id, %error, "upload: waiting, next try in {} s", wait.as_secs());
                            set_state(&entry, UploadState::Waiting, Some(error.to_string()));
                            later.spawn(async move {
                                tokio::time::sleep(wait).await;
                                entry
                            });
                            continue;
                        }
                        Error::File(_) | Error::Name => {
                            tries.remove(&entry.id);
                            warn!(recording = %entry.id, %error, "a recording cannot be uploaded before the next start");
                            set_state(&entry, UploadState::Waiting, Some(error.to_string()));
                            continue;
                        }
                        _ => {}
                    }
                    set_state(&entry, UploadState::Waiting, None);
                    remote.queue().push_front(entry);
                    if pause.is_none() {
                        let wait = backoff.wait();
                        let retry_at = Instant::now() + wait;
                        (pause, *remote.trouble()) = (Some(retry_at), Some(Trouble { why: error.to_string(), retry_at }));
                        warn!("upload: waiting ({error}), next try in {} s", wait.as_secs_f64().ceil());
                    }
                }
                Err(_) => env.metrics.panicked(),
            },
            Some(Ok(entry)) = later.join_next() => remote.enqueue(&entry),
            () = remote.queued.notified() => {}
            () = tokio::time::sleep_until(pause.unwrap_or_else(Instant::now).into()), if pause.is_some() => pause = None,
        }
    }
}

fn set_state(entry: &Entry, state: UploadState, problem: Option<String>) {
    if let Some(upload) = &mut entry.description().upload {
        // Only its description is to go up again.
        if upload.done_at.is_none() {
            upload.state = state;
        }
        upload.problem = problem;
    }
}

/// Uploads one recording, from where it was.
async fn upload(env: &Arc<Env>, remote: &Remote, entry: &Arc<Entry>) -> Result<(), Error> {
    let _turn = entry.moving().lock().await;
    if entry.is_deleted() {
        return Err(Error::Stopped);
    }
    set_state(entry, UploadState::Running, None);
    let (names, arrived) = {
        let description = entry.description();
        let names: Vec<_> = description.files.iter().filter_map(|file| FileName::parse(&file.name)).collect();
        (names, description.upload.as_ref().map_or(0, |upload| upload.files))
    };
    let mut bytes: u64 = {
        let description = entry.description();
        description.files.iter().take(arrived).map(|file| file.bytes).sum()
    };
    for (number, name) in names.iter().enumerate().skip(arrived) {
        for segment in segments_of(entry, name).await? {
            let size = remote.size(entry, &segment).await;
            let local = std::fs::metadata(entry.file_path(&segment)).map_err(Error::File)?.len();
            // It arrived before a restart.
            if size.is_ok_and(|size| size == local) {
                bytes += local;
            } else {
                bytes += put_file(env, remote, entry, &segment, bytes).await?;
            }
        }
        let own = put_file(env, remote, entry, name, bytes).await?;
        if name.format() != "ts" {
            bytes += own;
        }
        if entry.is_deleted() {
            return Err(Error::Stopped);
        }
        if let Some(upload) = &mut entry.description().upload {
            upload.files = number + 1;
        }
        save(entry).await?;
    }
    if entry.is_deleted() {
        return Err(Error::Stopped);
    }
    let text = {
        let mut described = entry.describe();
        if let Some(upload) = &mut described.upload {
            (upload.state, upload.local) = (UploadState::Done, false);
            upload.done_at.get_or_insert_with(|| rfc3339(SystemTime::now()));
        }
        serde_json::to_vec_pretty(&described).map_err(|error| Error::File(error.into()))?
    };
    remote.store.put(&object(entry, DESCRIPTION), text.into()).await?;
    if let Some(upload) = &mut entry.description().upload {
        (upload.state, upload.problem) = (UploadState::Done, None);
        upload.done_at.get_or_insert_with(|| rfc3339(SystemTime::now()));
    }
    save(entry).await
}

/// The segments that a file lists.
async fn segments_of(entry: &Arc<Entry>, name: &FileName) -> Result<Vec<FileName>, Error> {
    if name.format() != "ts" {
        return Ok(Vec::new());
    }
    let entry = entry.clone();
    tokio::task::spawn_blocking(move || entry.segments())
        .await
        .map_err(|error| Error::File(io::Error::other(error)))
}

/// Uploads one file, and returns its bytes. `before` is how many of the recording had arrived.
async fn put_file(
    env: &Arc<Env>,
    remote: &Remote,
    entry: &Arc<Entry>,
    name: &FileName,
    before: u64,
) -> Result<u64, Error> {
    let notes = entry.progress_path(name);
    let mut progress: Progress =
        std::fs::read(&notes).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let metrics = env.metrics.record();
    let mut counted = progress.bytes_done();
    let watch = |progress: &Progress| {
        let done = progress.bytes_done();
        metrics.upload_bytes.inc_by(done.saturating_sub(counted));
        counted = done;
        if let Some(upload) = &mut entry.description().upload {
            upload.bytes = before + done;
        }
        keep_progress(&notes, progress);
        if entry.is_deleted() { Go::Stop } else { Go::On }
    };
    let put = remote
        .store
        .put_file(&object(entry, name.as_str()), &entry.file_path(name), &mut progress, watch)
        .await;
    match put {
        Ok(bytes) => {
            metrics.upload_bytes.inc_by(bytes.saturating_sub(counted));
            let _ = std::fs::remove_file(&notes);
            if let Some(upload) = &mut entry.description().upload {
                upload.bytes = before + bytes;
            }
            Ok(bytes)
        }
        Err(error) => {
            keep_progress(&notes, &progress);
            Err(error)
        }
    }
}

/// Without it the file begins anew after a restart; that is all.
fn keep_progress(notes: &PathBuf, progress: &Progress) {
    let kept =
        serde_json::to_vec(progress).map_err(io::Error::from).and_then(|text| std::fs::write(notes, text));
    if let Err(error) = kept {
        tracing::debug!(%error, "how far an upload is cannot be kept");
    }
}

async fn save(entry: &Arc<Entry>) -> Result<(), Error> {
    let entry = entry.clone();
    let saved = tokio::task::spawn_blocking(move || entry.save()).await.map_err(io::Error::other);
    saved.and_then(|saved| saved).map_err(Error::File)
}

/// Lists what is in the object storage, and adds what is new.
async fn find(env: &Arc<Env>, remote: &Arc<Remote>) -> Result<(), Error> {
    let catalog = &env.recordings.catalog;
    let mut found = BTreeMap::new();
    for app in remote.store.folders("").await? {
        for channel in remote.store.folders(&app).await? {
            let Ok(name) = StreamName::parse(&app, &channel) else { continue };
            for id in remote.store.folders(&format!("{app}/{channel}")).await? {
                let Some(id) = RecordingId::parse(&id).filter(|id| catalog.get(id).is_none()) else {
                    continue;
                };
                found.insert(id, name.clone());
                if found.len() > LISTED_MAX {
                    found.pop_first();
                }
            }
        }
    }
    let mut reads = JoinSet::new();
    let mut found = found.into_iter().rev();
    let mut count = 0;
    loop {
        while reads.len() < FOUND_AT_ONCE
            && let Some((id, name)) = found.next()
        {
            let store = remote.store.clone();
            reads.spawn(async move {
                let text = store
                    .read(&format!("{}/{DESCRIPTION}", folder(&name, &id)), 0..DESCRIPTION_BYTES_MAX)
                    .await;
                (id, name, text)
            });
        }
        match reads.join_next().await {
            None => break,
            Some(Ok((id, name, Ok(text)))) => {
                let Ok(description) = serde_json::from_slice(&text) else { continue };
                catalog.add_found(id, &name, description);
                count += 1;
            }
            // It is on its way up, or down.
            Some(Ok((_, _, Err(Error::NotFound)))) => {}
            Some(Ok((_, _, Err(error)))) => return Err(error),
            Some(Err(_)) => env.metrics.panicked(),
        }
    }
    info!(count, "recordings are in the object storage alone");
    Ok(())
}

#[cfg(test)]
mod tests;
