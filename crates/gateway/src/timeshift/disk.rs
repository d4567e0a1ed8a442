//! The thread that writes segments into files and removes them again. It alone changes the folder.

use super::limits::LOOK;
use super::problem::Problem;
use super::{Entry, Place, Queue, Timeshift};
use crate::{Env, disk};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tracing::{debug, error, warn};

/// How long it stays away after a panic.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread, which ends when the node shuts down. What the run before has left is removed, also where viewers cannot
/// go back any more.
///
/// # Errors
///
/// The system has no thread for it.
pub(crate) fn start(env: Arc<Env>) -> io::Result<()> {
    let timeshift = env.timeshift.clone();
    timeshift.active.store(true, Ordering::Release);
    std::thread::Builder::new().name("timeshift".to_owned()).spawn(move || {
        let mut disk = Disk::new(timeshift.clone());
        let mut run = || {
            // After a panic there are some of this run, too.
            disk.remove_all();
            clear(&timeshift.folder);
            while !timeshift.window.is_zero() && !env.shutdown.is_triggered() {
                disk.turn();
            }
            disk.remove_all();
        };
        while catch_unwind(AssertUnwindSafe(&mut run)).is_err() {
            env.metrics.panicked();
            error!(
                task = "timeshift",
                "a part of the server panicked and is started again; this is a bug, please report it"
            );
            std::thread::park_timeout(RESTART_PAUSE);
        }
        timeshift.active.store(false, Ordering::Release);
    })?;
    Ok(())
}

/// What is on the disk.
pub(super) struct Disk {
    timeshift: Arc<Timeshift>,
    /// By their numbers, and so from the oldest to the newest.
    kept: BTreeMap<u64, Arc<Entry>>,
    bytes: u64,
}

impl Disk {
    pub(super) fn new(timeshift: Arc<Timeshift>) -> Self {
        Self { timeshift, kept: BTreeMap::new(), bytes: 0 }
    }

    /// Writes the next segment, if one comes soon, and removes what is on no shelf any more.
    pub(super) fn turn(&mut self) {
        let (next, released) = self.next();
        for number in released {
            self.remove(number);
        }
        if let Some(entry) = next.filter(|entry| !entry.is_released()) {
            self.keep(&entry);
        }
        let metrics = self.timeshift.metrics();
        metrics.bytes.set(self.bytes as i64);
        metrics.segments.set(self.kept.len() as i64);
        let mut problems = self.timeshift.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.settle(Instant::now());
    }

    fn next(&self) -> (Option<Arc<Entry>>, Vec<u64>) {
        let is_empty = |queue: &mut Queue| queue.waiting.is_empty() && queue.released.is_empty();
        let queue = self.timeshift.queue();
        let waited = self.timeshift.filled.wait_timeout_while(queue, LOOK, is_empty);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let next = queue.waiting.pop_front();
        queue.bytes -= next.as_ref().map_or(0, |entry| entry.bytes as usize);
        self.timeshift.metrics().queued_bytes.set(queue.bytes as i64);
        (next, std::mem::take(&mut queue.released))
    }

    /// Writes a segment. Older ones make room for it.
    fn keep(&mut self, entry: &Arc<Entry>) {
        if entry.bytes > self.timeshift.bytes_max {
            // Others would leave for nothing.
            self.timeshift.metrics().write_errors.inc();
            entry.set_gone();
            let why = "one segment is longer than timeshift.bytes_max".to_owned();
            return self.timeshift.lose(Problem::Failed(why));
        }
        while self.bytes + entry.bytes > self.timeshift.bytes_max && self.evict() {}
        while let Err(error) = self.write(entry) {
            self.timeshift.metrics().write_errors.inc();
            let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let problem = match (is_full, disk::LowSpace::of(&error)) {
                (true, Some(low)) => Problem::Full(low.to_string()),
                (true, None) => Problem::Full("disk full".to_owned()),
                (false, _) => Problem::Failed(error.to_string()),
            };
            if is_full && self.evict() {
                self.timeshift.note(problem);
                continue;
            }
            entry.set_gone();
            return self.timeshift.lose(problem);
        }
        entry.set_place(Place::File);
        self.kept.insert(entry.number, entry.clone());
        self.bytes += entry.bytes;
        self.timeshift.metrics().written_bytes.inc_by(entry.bytes);
    }

    fn write(&self, entry: &Entry) -> io::Result<()> {
        let timeshift = &self.timeshift;
        disk::check_free(&timeshift.folder, entry.bytes, timeshift.free_bytes_min)?;
        let Place::Queue(pieces) = entry.place() else {
            return Err(io::Error::other("the segment is not in memory"));
        };
        fs::create_dir_all(&timeshift.folder)?;
        let path = timeshift.folder.join(entry.to_string());
        let written = File::create(&path)
            .and_then(|mut file| pieces.iter().try_for_each(|piece| file.write_all(piece)));
        if written.is_err() {
            remove_file(&path);
        }
        written
    }

    /// Removes the oldest segment. False if there is none.
    fn evict(&mut self) -> bool {
        let Some((&number, _)) = self.kept.first_key_value() else { return false };
        self.timeshift.metrics().evicted_segments.inc();
        self.remove(number);
        true
    }

    fn remove(&mut self, number: u64) {
        let Some(entry) = self.kept.remove(&number) else { return };
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        entry.set_gone();
        remove_file(&self.timeshift.folder.join(entry.to_string()));
    }

    /// Removes everything: nobody finds it again.
    fn remove_all(&mut self) {
        while let Some((&number, _)) = self.kept.first_key_value() {
            self.remove(number);
        }
    }
}

/// Removes the segments that a run before has left in `folder`, and nothing else.
pub(super) fn clear(folder: &Path) {
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return warn!(folder = %folder.display(), %error, "cannot be emptied of old segments"),
    };
    for file in found.flatten() {
        if file.file_name().to_str().is_some_and(is_segment) {
            remove_file(&file.path());
        }
    }
}

/// Whether this is the name of a file of ours.
fn is_segment(name: &str) -> bool {
    let number = name.strip_suffix(".m4s").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn remove_file(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            debug!(file = %path.display(), %error, "a segment cannot be removed; the next start tries again");
        }
        _ => {}
    }
}
