//! Recording: live streams as files.
//!
//! One thread of its own looks after all of it (`supervise`), so that a disk holds up no thread that carries media. A stream
//! that a rule is for gets a recorder: a passive reader of the hub, which looks at the log several times a second. Its packets
//! become blocks (`muxer`), which wait in a bounded queue for a thread that writes them (`writer`). A disk that is slow or full
//! costs the recording what does not fit, and nobody else anything; the description of the recording says what is missing.
//!
//! A recording that has ended is brought into its final form by one task for all of them (`finish`), which also takes what a
//! crash has left, at the next start.
//!
//! What is complete goes to the object storage where there is one (`remote`), and goes altogether when it is too old (`retain`).

mod catalog;
mod clip;
mod finish;
mod id;
pub(crate) mod limits;
mod muxer;
pub(crate) mod playlist;
pub(crate) mod read;
mod recorder;
mod recording;
mod remote;
mod retain;
mod supervise;
mod writer;

pub(crate) use catalog::{Entry, GrowingSegment};
pub(crate) use clip::{Clip, ClipError, Content};
pub(crate) use id::{FileName, RecordingId};
pub(crate) use supervise::start;

use crate::Env;
use crate::config::Config;
use api::RecordingState;
use catalog::Catalog;
use media::StreamName;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tracing::warn;

/// All recordings of a node, those that are made among them.
#[derive(Debug)]
pub(crate) struct Recordings {
    catalog: Arc<Catalog>,
    table: Mutex<Table>,
    /// Something in the table is to be looked at.
    rechecked: Notify,
    to_finish: Mutex<VecDeque<Arc<Entry>>>,
    finishing: Notify,
    /// Some recording may have become one too many.
    retaining: Notify,
    /// Tasks that have something to write.
    active: AtomicUsize,
}

#[derive(Debug, Default)]
struct Table {
    running: HashMap<StreamName, Arc<Control>>,
    /// Streams that the operator wants recorded.
    wanted: HashSet<StreamName>,
    /// Streams that the operator wants recorded no longer, until they end.
    unwanted: HashSet<StreamName>,
    recheck: HashSet<StreamName>,
}

/// What a recorder is told, and what it tells.
#[derive(Debug, Default)]
struct Control {
    stop: AtomicBool,
    recording: Mutex<Option<RecordingId>>,
}

impl Control {
    fn recording(&self) -> MutexGuard<'_, Option<RecordingId>> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a stream is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartError {
    /// No rule is for it.
    NoRule,
    /// Nobody publishes it.
    NotLive,
}

/// Why a recording is not deleted.
#[derive(Debug)]
pub(crate) enum DeleteError {
    /// It is being made.
    Running,
    /// Somebody does it already.
    Going,
    /// It shall stay.
    Kept,
    /// The object storage does not do it now.
    Storage(std::io::Error),
    /// The system does not let us.
    Failed(std::io::Error),
}

impl std::fmt::Display for DeleteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Running => f.write_str("it is being made"),
            Self::Going => f.write_str("it is being deleted already"),
            Self::Kept => f.write_str("it shall stay"),
            Self::Storage(error) => write!(f, "the object storage does not delete it: {error}"),
            Self::Failed(error) => write!(f, "the files cannot be removed: {error}"),
        }
    }
}

impl Recordings {
    pub(crate) fn new(config: &Config) -> Self {
        let folder = config.record.folder.clone().unwrap_or_else(|| config.data_dir.join("recordings"));
        Self {
            catalog: Arc::new(Catalog::new(folder)),
            table: Mutex::default(),
            rechecked: Notify::new(),
            to_finish: Mutex::default(),
            finishing: Notify::new(),
            retaining: Notify::new(),
            active: AtomicUsize::new(0),
        }
    }

    /// The recording of this name.
    pub(crate) fn get(&self, id: &RecordingId) -> Option<Arc<Entry>> {
        self.catalog.get(id)
    }

    /// The recording of a stream that is being made.
    pub(crate) fn running(&self, name: &StreamName) -> Option<Arc<Entry>> {
        let control = self.table().running.get(name)?.clone();
        let id = control.recording().clone()?;
        self.get(&id)
    }

    /// Recordings from the newest to the oldest: of those in `range` the ones that `fits` says, at most `limit`. And before which
    /// one it goes on, if there may be more. A range that ends before it begins has none.
    pub(crate) fn list(
        &self,
        range: (Bound<RecordingId>, Bound<RecordingId>),
        limit: usize,
        fits: impl Fn(&Entry) -> bool,
    ) -> (Vec<Arc<Entry>>, Option<RecordingId>) {
        if let (Bound::Included(first), Bound::Excluded(end)) = &range
            && first >= end
        {
            return (Vec::new(), None);
        }
        self.catalog.list(range, limit, fits)
    }

    /// How many tasks still have something to write.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// Records a stream from now on, until it ends.
    pub(crate) fn begin(&self, env: &Env, name: &StreamName) -> Result<(), StartError> {
        env.config.record.rule_of(name).ok_or(StartError::NoRule)?;
        if env.origin.presence(name).rank.is_none() {
            return Err(StartError::NotLive);
        }
        let mut table = self.table();
        table.unwanted.remove(name);
        table.wanted.insert(name.clone());
        table.recheck.insert(name.clone());
        drop(table);
        self.rechecked.notify_one();
        Ok(())
    }

    /// Ends a recording. False if it is none that is being made.
    pub(crate) fn stop(&self, id: &RecordingId) -> bool {
        let mut table = self.table();
        let running = table.running.iter().find(|(_, control)| control.recording().as_ref() == Some(id));
        let Some((name, control)) = running.map(|(name, control)| (name.clone(), control.clone())) else {
            return false;
        };
        table.wanted.remove(&name);
        table.unwanted.insert(name);
        control.stop.store(true, Ordering::Release);
        true
    }

    /// Changes what is given of a recording: whether it stays, however old it gets, and what it is called. Blocks.
    ///
    /// # Errors
    ///
    /// `NotFound` for one that is being deleted. The description cannot be written; until it is, it holds as long as the node
    /// runs.
    pub(crate) fn change(
        &self,
        entry: &Arc<Entry>,
        keep: Option<bool>,
        title: Option<Option<String>>,
    ) -> std::io::Result<()> {
        {
            let mut description = entry.description();
            // Who deletes asks for it under the same lock.
            if entry.is_deleted() {
                return Err(std::io::ErrorKind::NotFound.into());
            }
            description.keep = keep.unwrap_or(description.keep);
            if let Some(title) = title {
                description.title = title;
            }
        }
        entry.save()?;
        if let Some(remote) = entry.remote() {
            remote.enqueue(entry);
        }
        self.retaining.notify_one();
        Ok(())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings a recording, as far as it has ended, into its final form.
    fn finish(&self, entry: &Arc<Entry>) {
        let mut waiting = self.to_finish.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|other| Arc::ptr_eq(other, entry)) {
            waiting.push_back(entry.clone());
        }
        drop(waiting);
        self.finishing.notify_one();
    }

    fn next_to_finish(&self) -> Option<Arc<Entry>> {
        self.to_finish.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Deletes a recording with its files, wherever they are: in a task of its own, which goes on where nobody waits for it.
///
/// # Errors
///
/// As [`DeleteError`] says. Then it is there, as far as its files are.
pub(crate) async fn delete(env: &Arc<Env>, entry: &Arc<Entry>) -> Result<(), DeleteError> {
    let (env, entry) = (env.clone(), entry.clone());
    let deleted = tokio::spawn(async move {
        let deleted = delete_if(&env, &entry, |_| true).await;
        if let Err(error @ (DeleteError::Storage(_) | DeleteError::Failed(_))) = &deleted {
            warn!(recording = %entry.id, %error, "a recording is not deleted");
        }
        deleted
    });
    deleted.await.unwrap_or_else(|error| Err(DeleteError::Failed(std::io::Error::other(error))))
}

/// Deletes a recording of which `may` says that it may go, when nobody can change what is wanted of it any more.
async fn delete_if(
    env: &Arc<Env>,
    entry: &Arc<Entry>,
    may: impl FnOnce(&api::Recording) -> bool,
) -> Result<(), DeleteError> {
    let deletion = Deletion::begin(entry, may)?;
    if let Some(remote) = entry.remote() {
        let _moving = entry.moving().lock().await;
        let has_copy = entry.description().upload.is_some();
        if has_copy && let Err(error) = remote.delete(entry).await {
            remote::forget_copy(entry);
            drop(deletion);
            let entry = entry.clone();
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || entry.save()).await {
                tracing::debug!(%error, "a description cannot be written");
            }
            return Err(DeleteError::Storage(error));
        }
    }
    let (env, entry) = (env.clone(), entry.clone());
    let removed = tokio::task::spawn_blocking(move || env.recordings.catalog.delete(&entry)).await;
    let removed = removed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    removed.map_err(DeleteError::Failed)?;
    deletion.complete();
    Ok(())
}

/// While it exists, its recording shall be gone: who sends it up stops at the next part. One that was not completed takes that
/// back.
struct Deletion(Option<Arc<Entry>>);

impl Deletion {
    fn begin(entry: &Arc<Entry>, may: impl FnOnce(&api::Recording) -> bool) -> Result<Self, DeleteError> {
        let description = entry.description();
        match description.state {
            RecordingState::Complete | RecordingState::Finishing => {}
            RecordingState::Recording | RecordingState::Paused | RecordingState::Waiting => {
                return Err(DeleteError::Running);
            }
        }
        if entry.is_deleted() {
            return Err(DeleteError::Going);
        }
        if !may(&description) {
            return Err(DeleteError::Kept);
        }
        entry.set_deleted(true);
        drop(description);
        Ok(Self(Some(entry.clone())))
    }

    fn complete(mut self) {
        self.0 = None;
    }
}

impl Drop for Deletion {
    fn drop(&mut self) {
        let Some(entry) = self.0.take() else { return };
        entry.set_deleted(false);
        if let Some(remote) = entry.remote() {
            remote.enqueue(&entry);
        }
    }
}

/// What names a recording and a file of it is one step down in a path, and means itself.
pub(crate) fn check_request(id: &str, file: &str) {
    let is_step = |name: &str| {
        let mut steps = std::path::Path::new(name).components();
        let only = (steps.next(), steps.next());
        assert!(matches!(only, (Some(std::path::Component::Normal(step)), None) if step == name), "{name:?}");
    };
    if let Some(known) = RecordingId::parse(id) {
        is_step(known.as_str());
        assert_eq!(known.as_str(), id);
    }
    if let Some(known) = FileName::parse(file) {
        is_step(known.as_str());
        is_step(known.listed().as_str());
        assert_eq!(known.as_str(), file);
    }
}

/// What a playlist lists are segments, and what was read is written and read again.
pub(crate) fn check_playlist(text: &str) {
    let read = playlist::Playlist::parse(text);
    assert!(read.segments().iter().all(|segment| segment.name.is_segment()));
    let again = playlist::Playlist::parse(&read.render(true));
    assert_eq!(again.segments().len(), read.segments().len());
}

/// Counts a task while it exists.
struct Running(Arc<Env>);

impl Running {
    fn new(env: Arc<Env>) -> Self {
        env.recordings.active.fetch_add(1, Ordering::AcqRel);
        Self(env)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.recordings.active.fetch_sub(1, Ordering::AcqRel);
    }
}
