//! All recordings that there are, and their descriptions on the disk.
//!
//! ```text
//! FOLDER/APP/CHANNEL/ID/recording.json    what it is: api::Recording
//! FOLDER/APP/CHANNEL/ID/0001.mp4          its files
//! FOLDER/APP/CHANNEL/ID/0001.mp4.part     one that is being brought into its final form
//! ```
//!
//! A path is made of names that were checked, and of a request only to look something up. Links are not followed.

use super::id::{FileName, RecordingId};
use super::limits::{DESCRIPTION_BYTES_MAX, LISTED_MAX, LOOKED_AT_MAX};
use super::remote::Remote;
use api::{Recording, RecordingState, UploadState};
use media::StreamName;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::SystemTime;
use tracing::warn;

/// The file with the description.
const DESCRIPTION: &str = "recording.json";

/// What a file is called while it is written, beside what it will be called.
const UNFINISHED: &str = "part";

/// A recording.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: RecordingId,
    pub(crate) name: StreamName,
    folder: PathBuf,
    description: Mutex<Recording>,
    /// Held while the description is written.
    saving: Mutex<()>,
    /// The segment that is being written, which the playlist does not list yet.
    growing: Mutex<Option<GrowingSegment>>,
    /// It was deleted: nothing is written any more.
    deleted: AtomicBool,
    /// Where it goes when it is complete.
    remote: Option<Arc<Remote>>,
    /// Held while it goes up, and while it is deleted.
    moving: tokio::sync::Mutex<()>,
}

/// A segment that is being written.
#[derive(Debug, Clone)]
pub(crate) struct GrowingSegment {
    pub(crate) name: FileName,
    /// Its times, or its tracks, do not go on from those of the one before.
    pub(crate) discontinuity: bool,
    /// The bytes that were written: whole frames.
    pub(crate) bytes: u64,
}

impl Entry {
    /// What it is.
    pub(crate) fn describe(&self) -> Recording {
        let mut described = self.description().clone();
        if let Some(upload) = &mut described.upload
            && upload.state == UploadState::Waiting
            && let Some((why, seconds)) = self.remote.as_ref().and_then(|remote| remote.problem())
        {
            upload.retry_in_s = Some(seconds);
            let told = || format!("upload: waiting ({why}), next try in {seconds} s");
            described.problem.get_or_insert_with(told);
            upload.problem = Some(why);
        }
        described
    }

    /// Whether it consists of segments with a playlist.
    pub(crate) fn is_in_segments(&self) -> bool {
        self.description().files.iter().any(|file| file.name == FileName::playlist().as_str())
    }

    /// The segment that was written last, which may be in the playlist by now. Ask before that is read.
    pub(crate) fn growing_segment(&self) -> Option<GrowingSegment> {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Some more of a segment was written.
    pub(super) fn note_segment(&self, name: &FileName, discontinuity: bool, bytes: u64) {
        let mut growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *growing {
            Some(segment) if segment.name == *name => segment.bytes += bytes,
            growing => *growing = Some(GrowingSegment { name: name.clone(), discontinuity, bytes }),
        }
    }

    /// The object storage of its node.
    pub(super) fn remote(&self) -> Option<&Arc<Remote>> {
        self.remote.as_ref()
    }

    /// Held while it goes up, and while it is deleted.
    pub(super) fn moving(&self) -> &tokio::sync::Mutex<()> {
        &self.moving
    }

    /// Whether it shall be gone: who sends it up stops.
    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Says whether it shall be gone.
    pub(super) fn set_deleted(&self, deleted: bool) {
        self.deleted.store(deleted, Ordering::Release);
    }

    /// Whether the object storage has one of its files.
    pub(super) fn is_stored(&self, file: &FileName) -> bool {
        let description = self.description();
        let arrived = description.upload.as_ref().map_or(0, |upload| upload.files);
        let name = file.listed();
        description.files.iter().take(arrived).any(|listed| listed.name == name.as_str())
    }

    /// Where it is kept how far one of its files has come.
    pub(super) fn progress_path(&self, file: &FileName) -> PathBuf {
        self.folder.join(format!("{}.upload", file.as_str()))
    }

    /// Removes its files from the local folder, and leaves the description. Blocks.
    pub(super) fn remove_local(&self) -> io::Result<()> {
        let names: Vec<_> =
            self.description().files.iter().filter_map(|file| FileName::parse(&file.name)).collect();
        for name in names.into_iter().chain(self.segments()) {
            match fs::remove_file(self.file_path(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if let Some(upload) = &mut self.description().upload {
            upload.local = false;
        }
        self.save()
    }

    /// Whether it has ended, and its files have their final form.
    pub(crate) fn is_complete(&self) -> bool {
        self.description().state == RecordingState::Complete
    }

    /// Whether `words`, in lower case, are in its title or in the name of its stream.
    pub(crate) fn is_called(&self, words: &str) -> bool {
        let is_titled = |recording: &Recording| {
            recording.title.as_ref().is_some_and(|title| title.to_lowercase().contains(words))
        };
        self.name.as_str().to_lowercase().contains(words) || is_titled(&self.description())
    }

    pub(super) fn description(&self) -> MutexGuard<'_, Recording> {
        self.description.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where its files are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where one of its files is.
    pub(super) fn file_path(&self, file: &FileName) -> PathBuf {
        self.folder.join(file.as_str())
    }

    /// Where one of its files is made.
    pub(super) fn unfinished_path(&self, file: &FileName) -> PathBuf {
        self.folder.join(format!("{}.{UNFINISHED}", file.as_str()))
    }

    /// Opens one of its files to be read, if it has one of that name. Blocks.
    pub(crate) fn open(&self, file: &FileName) -> Option<File> {
        let name = file.listed();
        let is_listed = self.description().files.iter().any(|listed| listed.name == name.as_str());
        let path = self.file_path(file);
        // What is none of ours is not followed.
        let is_file = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_file());
        if !is_listed || !is_file(&path) { None } else { File::open(path).ok() }
    }

    /// The segments in its folder, in order. Blocks.
    pub(super) fn segments(&self) -> Vec<FileName> {
        let found = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = found.filter_map(|entry| FileName::parse(entry.file_name().to_str()?));
        let mut segments: Vec<_> = names.filter(FileName::is_segment).collect();
        segments.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        segments
    }

    /// Writes a file of its folder, which is there as it was, or as it is now. Blocks.
    pub(super) fn write_beside(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut unfinished = path.to_owned().into_os_string();
        unfinished.push(format!(".{UNFINISHED}"));
        let written = File::create(&unfinished).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        });
        let saved = written.and_then(|()| fs::rename(&unfinished, path));
        if saved.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        saved
    }

    /// Writes the description. It is there as it was, or as it is now. Blocks.
    pub(super) fn save(&self) -> io::Result<()> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        if self.deleted.load(Ordering::Acquire) {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&*self.description())?;
        fs::create_dir_all(&self.folder)?;
        self.write_beside(&self.folder.join(DESCRIPTION), &text)
    }

    fn remove(&self) -> io::Result<()> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        self.set_deleted(true);
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.set_deleted(false);
                return Err(error);
            }
            _ => {}
        }
        // The folders of channel and app go with their last recording; others stay, and that is no error.
        for folder in self.folder.ancestors().skip(1).take(2) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// All recordings of a node.
#[derive(Debug)]
pub(crate) struct Catalog {
    folder: PathBuf,
    entries: Mutex<BTreeMap<RecordingId, Arc<Entry>>>,
    remote: OnceLock<Arc<Remote>>,
}

impl Catalog {
    /// Of what lies in `folder`; see [`Catalog::scan`].
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, entries: Mutex::default(), remote: OnceLock::new() }
    }

    /// Has what is added from now on go to an object storage.
    pub(super) fn attach(&self, remote: Arc<Remote>) {
        let _ = self.remote.set(remote);
    }

    /// The object storage of the node.
    pub(super) fn remote(&self) -> Option<&Arc<Remote>> {
        self.remote.get()
    }

    /// All recordings, from the oldest to the newest.
    pub(super) fn oldest_first(&self) -> Vec<Arc<Entry>> {
        self.entries().values().cloned().collect()
    }

    /// Adds a recording that is in the object storage, unless it is known. Its description says what its place says.
    pub(super) fn add_found(&self, id: RecordingId, name: &StreamName, mut description: Recording) {
        if self.get(&id).is_some() {
            return;
        }
        (description.id, description.stream) = (id.to_string(), name.to_string());
        (description.state, description.problem) = (RecordingState::Complete, None);
        description.files.retain(|file| FileName::parse(&file.name).is_some());
        let Some(upload) = &mut description.upload else { return };
        (upload.state, upload.local, upload.files) = (UploadState::Done, false, description.files.len());
        self.insert(id, name.clone(), description);
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<RecordingId, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name that no recording has.
    pub(super) fn new_id(&self, begun: SystemTime) -> RecordingId {
        let random = |seed: [u8; 32]| u32::from_le_bytes([seed[0], seed[1], seed[2], seed[3]]);
        let id = std::iter::repeat_with(|| RecordingId::new(begun, random(crate::random_seed())))
            .find(|id| self.get(id).is_none());
        // There always is one: the iterator has no end.
        id.unwrap_or_else(|| RecordingId::new(begun, 0))
    }

    /// Adds a new recording. Nothing is written yet.
    pub(super) fn add(&self, id: RecordingId, name: &StreamName, started_at: String) -> Arc<Entry> {
        let description = Recording {
            id: id.to_string(),
            stream: name.to_string(),
            kind: api::RecordingKind::Recording,
            title: None,
            source: None,
            state: RecordingState::Recording,
            started_at,
            ended_at: None,
            duration_ms: 0,
            bytes: 0,
            tracks: Vec::new(),
            files: Vec::new(),
            gaps: Vec::new(),
            problem: None,
            keep: false,
            upload: None,
        };
        self.insert(id, name.clone(), description)
    }

    fn insert(&self, id: RecordingId, name: StreamName, description: Recording) -> Arc<Entry> {
        let folder = self.folder.join(name.app()).join(name.channel()).join(id.as_str());
        let entry = Arc::new(Entry {
            id: id.clone(),
            name,
            folder,
            description: Mutex::new(description),
            saving: Mutex::default(),
            growing: Mutex::default(),
            deleted: AtomicBool::new(false),
            remote: self.remote.get().cloned(),
            moving: tokio::sync::Mutex::default(),
        });
        let mut entries = self.entries();
        entries.insert(id, entry.clone());
        if entries.len() > LISTED_MAX {
            /// It is told once: it stays so.
            static TOLD: Once = Once::new();
            entries.pop_first();
            TOLD.call_once(|| {
                warn!(
                    "there are more than {LISTED_MAX} recordings: the oldest are not listed, and not deleted when \
                     record.keep_days or record.keep_bytes_max say so; move them elsewhere, or make both smaller"
                );
            });
        }
        entry
    }

    /// The recording of this name.
    pub(crate) fn get(&self, id: &RecordingId) -> Option<Arc<Entry>> {
        self.entries().get(id).cloned()
    }

    /// Recordings from the newest to the oldest: of those in `range` the ones that `fits` says, at most `limit`. And before which
    /// one it goes on, if there may be more.
    pub(crate) fn list(
        &self,
        range: (Bound<RecordingId>, Bound<RecordingId>),
        limit: usize,
        fits: impl Fn(&Entry) -> bool,
    ) -> (Vec<Arc<Entry>>, Option<RecordingId>) {
        // Others need the table, and what fits is not told at once.
        let looked_at: Vec<_> = self
            .entries()
            .range(range)
            .rev()
            .take(LOOKED_AT_MAX + 1)
            .map(|(_, entry)| entry.clone())
            .collect();
        let mut found = looked_at.iter().take(LOOKED_AT_MAX).filter(|entry| fits(entry));
        let listed: Vec<_> = found.by_ref().take(limit).cloned().collect();
        let next = if found.next().is_some() {
            listed.last()
        } else {
            looked_at.get(LOOKED_AT_MAX).and_then(|_| looked_at.get(LOOKED_AT_MAX - 1))
        };
        let next = next.map(|entry| entry.id.clone());
        (listed, next)
    }

    /// Forgets a recording and removes its files. Blocks.
    pub(super) fn delete(&self, entry: &Entry) -> io::Result<()> {
        entry.remove()?;
        self.entries().remove(&entry.id);
        Ok(())
    }

    /// Finds the recordings in the folder, and returns those that are not finished. Blocks.
    pub(super) fn scan(&self) -> Vec<Arc<Entry>> {
        let mut unfinished = Vec::new();
        for app in folders(&self.folder) {
            for channel in folders(&self.folder.join(&app)) {
                let Ok(name) = StreamName::parse(&app, &channel) else { continue };
                for id in folders(&self.folder.join(&app).join(&channel)) {
                    let Some(id) = RecordingId::parse(&id) else { continue };
                    if self.get(&id).is_some() {
                        continue;
                    }
                    let folder = self.folder.join(&app).join(&channel).join(id.as_str());
                    let Some(description) = read_description(&folder, &id, &name) else { continue };
                    let state = description.state;
                    let entry = self.insert(id, name.clone(), description);
                    if state != RecordingState::Complete {
                        unfinished.push(entry);
                    }
                }
            }
        }
        unfinished
    }
}

/// The names of the folders in `folder`. Links to folders are none.
fn folders(folder: &Path) -> Vec<String> {
    let Ok(found) = fs::read_dir(folder) else { return Vec::new() };
    found
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Reads what a recording is. One that a crash left without a description is known by its files.
fn read_description(folder: &Path, id: &RecordingId, name: &StreamName) -> Option<Recording> {
    let path = folder.join(DESCRIPTION);
    let mut text = Vec::new();
    if fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_file()) {
        File::open(&path).and_then(|file| file.take(DESCRIPTION_BYTES_MAX).read_to_end(&mut text)).ok()?;
    }
    let known = serde_json::from_slice::<Recording>(&text).ok();
    // It says what its folder says, whatever was written into it.
    let mut recording = known.unwrap_or_else(|| Recording {
        id: String::new(),
        stream: String::new(),
        kind: api::RecordingKind::Recording,
        title: None,
        source: None,
        state: RecordingState::Recording,
        started_at: started_at(id),
        ended_at: None,
        duration_ms: 0,
        bytes: 0,
        tracks: Vec::new(),
        files: Vec::new(),
        gaps: Vec::new(),
        problem: None,
        keep: false,
        upload: None,
    });
    (recording.id, recording.stream) = (id.to_string(), name.to_string());
    recording.files.retain(|file| FileName::parse(&file.name).is_some());
    if recording.state != RecordingState::Complete {
        list_files(folder, &mut recording);
    }
    Some(recording)
}

/// Adds the files that the description does not know of: it is brought up to date every few seconds only.
fn list_files(folder: &Path, recording: &mut Recording) {
    let Ok(found) = fs::read_dir(folder) else { return };
    let files = found.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    for name in files.filter_map(|entry| entry.file_name().into_string().ok()) {
        let Some(file) = FileName::parse(&name) else { continue };
        let file = file.listed();
        let name = file.as_str().to_owned();
        if !recording.files.iter().any(|listed| listed.name == name) {
            recording.files.push(api::RecordedFile {
                format: file.format().to_owned(),
                name,
                bytes: 0,
                start_ms: 0,
                duration_ms: 0,
                started_at: None,
                finished: false,
            });
        }
    }
    recording.files.sort_by(|a, b| a.name.cmp(&b.name));
}

/// When a recording began, as its name says.
pub(super) fn started_at(id: &RecordingId) -> String {
    let text = id.as_str();
    let part = |range| text.get(range).unwrap_or_default();
    let (date, time) = ([part(0..4), part(4..6), part(6..8)], [part(9..11), part(11..13), part(13..15)]);
    format!("{}T{}Z", date.join("-"), time.join(":"))
}

#[cfg(test)]
mod tests;
