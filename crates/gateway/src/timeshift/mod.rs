//! Rewinding live streams: segments of HLS that leave the memory stay on the disk for a while.
//!
//! Every segment that is complete goes on a shelf (`shelf`), one for each track, and into a bounded queue for one thread (`disk`)
//! that writes it into a file of its own. Playlists and manifests list what is on the shelf before what is in memory. Until
//! it is written, a segment is served from the queue. One that cannot be written, or read again, keeps its place in playlists as a gap
//! (RFC 8216bis section 4.4.4.7), until all before it have left. A disk that is slow, full or broken costs viewers what it has
//! lost and nothing else.
//!
//! `replay` reads segments back into packets, for players of FLV that begin in the past.
//!
//! When the lists are longer than the disk has room for, the oldest segments of all streams leave first. What is on the disk is
//! known in memory alone: a start removes the files of the run before.

mod clock;
mod disk;
mod limits;
mod moment;
mod problem;
mod read;
mod replay;
mod shelf;

pub(crate) use disk::start;
pub(crate) use moment::{asked, is_asked};
pub(crate) use read::{body, open, whole};
pub(crate) use replay::Replay;
pub(crate) use shelf::Shelf;

use crate::config::Config;
use crate::metrics::{Metrics, TimeshiftMetrics};
use bytes::Bytes;
use problem::{Problem, Problems};
use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The last minutes of all streams of a node.
#[derive(Debug)]
pub(crate) struct Timeshift {
    folder: PathBuf,
    window: Duration,
    bytes_max: u64,
    free_bytes_min: u64,
    queue_bytes_max: usize,
    queue: Mutex<Queue>,
    /// There is something in the queue.
    filled: Condvar,
    problems: Mutex<Problems>,
    metrics: Metrics,
    /// The thread has something to do, if only at the end.
    active: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    /// In the order of their numbers.
    waiting: VecDeque<Arc<Entry>>,
    /// Bytes of those.
    bytes: usize,
    /// Files that are on no shelf any more.
    released: Vec<u64>,
    /// The number of the next file.
    next: u64,
}

/// A segment on a shelf.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its file. Older ones have smaller numbers.
    number: u64,
    bytes: u64,
    place: Mutex<Place>,
    /// It is not there any more, or never was.
    gone: AtomicBool,
    /// It is on no shelf any more.
    released: AtomicBool,
}

/// Where a segment is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In memory, on its way to the disk.
    Queue(Vec<Bytes>),
    /// In its file.
    File,
}

impl Entry {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where it is.
    pub(crate) fn place(&self) -> Place {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_place(&self, place: Place) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    /// Whether it cannot be had any more.
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
        // Nobody who asks from now on gets it, so nothing is held for them.
        self.set_place(Place::File);
    }

    fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }
}

impl Timeshift {
    /// Of a node with this configuration. Nothing is written before [`start`].
    pub(crate) fn new(config: &Config, metrics: Metrics) -> Self {
        let timeshift = &config.timeshift;
        Self {
            folder: timeshift.folder.clone().unwrap_or_else(|| config.data_dir.join("timeshift")),
            window: timeshift.window(),
            bytes_max: timeshift.bytes_max,
            free_bytes_min: timeshift.free_bytes_min,
            queue_bytes_max: timeshift.queue_bytes_max,
            queue: Mutex::default(),
            filled: Condvar::new(),
            problems: Mutex::default(),
            metrics,
            active: AtomicBool::new(false),
        }
    }

    /// How far viewers can go back, where everything goes well.
    pub(crate) fn window(&self) -> Duration {
        self.window
    }

    /// What is wrong now, in words.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).describe()
    }

    /// Whether files are still written or removed.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Takes a segment. It is gone at once where the disk is too far behind. Never waits for the disk.
    fn put(&self, pieces: Vec<Bytes>) -> Arc<Entry> {
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        let mut queue = self.queue();
        let is_lost = queue.bytes + bytes > self.queue_bytes_max;
        let number = queue.next;
        queue.next += 1;
        let entry = Arc::new(Entry {
            number,
            bytes: bytes as u64,
            place: Mutex::new(if is_lost { Place::File } else { Place::Queue(pieces) }),
            gone: AtomicBool::new(is_lost),
            released: AtomicBool::new(false),
        });
        if !is_lost {
            queue.bytes += bytes;
            queue.waiting.push_back(entry.clone());
            self.metrics().queued_bytes.set(queue.bytes as i64);
        }
        drop(queue);
        match is_lost {
            true => self.lose(Problem::Slow),
            false => self.filled.notify_one(),
        }
        entry
    }

    /// Nobody will ask for `entry` any more: its file may leave.
    fn release(&self, entry: &Entry) {
        entry.released.store(true, Ordering::Release);
        // Also where it is missing: the disk counts it until it is told, and removes what is there.
        self.queue().released.push(entry.number);
    }

    /// Notes a segment that is not kept.
    fn lose(&self, why: Problem) {
        self.metrics().lost_segments.inc();
        self.note(why);
    }

    /// The file of a segment is not there any more, or not all of it: somebody else has changed the folder.
    fn miss(&self, entry: &Entry) {
        // What leaves in the ordinary way was gone before its file was.
        if !entry.is_gone() {
            entry.set_gone();
            self.lose(Problem::Failed("a segment is missing in its folder, or damaged".to_owned()));
        }
    }

    fn note(&self, problem: Problem) {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).note(problem, Instant::now());
    }

    fn metrics(&self) -> &TimeshiftMetrics {
        self.metrics.timeshift()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.m4s", self.number)
    }
}

#[cfg(test)]
mod tests;
