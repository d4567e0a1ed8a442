//! How long recordings stay: until they are too old or too many, and on the local disk until they have been in the object
//! storage for a while, or their space is needed.

use super::catalog::{Entry, started_at};
use super::limits::{RETAIN, RETIRE_AGAIN};
use super::{DeleteError, RecordingId, delete_if};
use crate::Env;
use crate::disk::free_bytes;
use crate::http::rfc3339;
use api::{RecordingKind, RecordingState, UploadState};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tracing::{info, warn};

/// Looks after the space of recordings until the node shuts down.
pub(super) async fn run(env: Arc<Env>) {
    let shutdown = env.shutdown.clone();
    let mut failed = Failed::default();
    loop {
        sweep(&env, SystemTime::now(), &mut failed).await;
        tokio::select! {
            biased;
            () = shutdown.triggered() => return,
            () = env.recordings.retaining.notified() => {}
            () = tokio::time::sleep(RETAIN) => {}
        }
    }
}

/// What could not be deleted is left alone for a while, and told of no more often.
#[derive(Debug, Default)]
struct Failed {
    /// Recordings, and when that was.
    recordings: HashMap<RecordingId, Instant>,
    /// When the object storage deleted nothing.
    storage: Option<Instant>,
}

impl Failed {
    /// Whether `entry` is left alone now.
    fn includes(&self, entry: &Entry) -> bool {
        self.recordings.contains_key(&entry.id) || (self.storage.is_some() && entry.remote().is_some())
    }

    /// Forgets what may be tried again.
    fn expire(&mut self) {
        self.recordings.retain(|_, at| at.elapsed() < RETIRE_AGAIN);
        self.storage = self.storage.filter(|at| at.elapsed() < super::limits::STORE_RETRY_MAX);
    }
}

/// Removes what need not stay at `now`.
async fn sweep(env: &Arc<Env>, now: SystemTime, failed: &mut Failed) {
    let entries = env.recordings.catalog.oldest_first();
    let mut deleted = 0;
    failed.expire();
    let to_delete = to_delete(env, &entries, now);
    for (entry, why) in to_delete {
        if failed.includes(&entry) {
            continue;
        }
        let has_remote = entry.remote().is_some();
        match delete_if(env, &entry, |description| may_go(description, has_remote)).await {
            // Somebody wants it after all.
            Err(DeleteError::Kept | DeleteError::Going | DeleteError::Running) => {}
            Ok(()) => {
                deleted += 1;
                env.metrics.record().retired.inc();
                info!(stream = %entry.name, recording = %entry.id, why, "an old recording is deleted");
            }
            Err(error) => {
                warn!(recording = %entry.id, %error, "an old recording cannot be deleted");
                failed.recordings.insert(entry.id.clone(), Instant::now());
                // Most likely it is away, and others would fail in the same way.
                if matches!(error, DeleteError::Storage(_)) {
                    failed.storage = Some(Instant::now());
                }
            }
        }
    }
    if deleted > 0 {
        tracing::debug!(deleted, "recordings were deleted");
    }
    let to_clear = tokio::task::spawn_blocking({
        let env = env.clone();
        move || clear_spool(&env, &entries, now)
    });
    let _ = to_clear.await;
}

/// Those that are too old, and then the oldest ones until the others are few enough, each with the setting that says so.
fn to_delete(env: &Env, entries: &[Arc<Entry>], now: SystemTime) -> Vec<(Arc<Entry>, &'static str)> {
    let config = &env.config.record;
    let mut chosen = Vec::new();
    let mut left = Vec::new();
    let mut bytes = 0_u64;
    for entry in entries {
        let description = entry.description();
        let days = config.keep_days_of(&entry.name);
        // A clip is as old as its cut, whatever it shows.
        let end = match description.kind {
            RecordingKind::Clip => started_at(&entry.id),
            RecordingKind::Recording => {
                description.ended_at.clone().unwrap_or_else(|| description.started_at.clone())
            }
        };
        // Moments of this form are in the order of their letters.
        let is_old = days > 0 && end < rfc3339(now - Duration::from_secs(days * 24 * 3600));
        let size = description.bytes;
        let may_go = may_go(&description, entry.remote().is_some());
        drop(description);
        if is_old && may_go {
            chosen.push((entry.clone(), "record.keep_days"));
            continue;
        }
        bytes = bytes.saturating_add(size);
        if may_go {
            left.push((entry, size));
        }
    }
    if config.keep_bytes_max > 0 {
        for (entry, size) in left {
            if bytes <= config.keep_bytes_max {
                break;
            }
            bytes = bytes.saturating_sub(size);
            chosen.push((entry.clone(), "record.keep_bytes_max"));
        }
    }
    chosen
}

/// Whether nobody needs it any more: it has ended, is not to be kept, and has arrived where it was to go.
fn may_go(description: &api::Recording, has_remote: bool) -> bool {
    let is_done = description.upload.as_ref().is_some_and(|upload| upload.state == UploadState::Done);
    description.state == RecordingState::Complete && !description.keep && (!has_remote || is_done)
}

/// Removes local files that are in the object storage as well: those that have been for long enough, and the oldest of the
/// others while there is little space. Blocks.
fn clear_spool(env: &Env, entries: &[Arc<Entry>], now: SystemTime) {
    let config = &env.config.record;
    let long_ago = rfc3339(now - Duration::from_secs(config.spool_keep_minutes * 60));
    // Twice what is needed, so that recordings that are made do not come to the edge.
    let enough = config.free_bytes_min.saturating_mul(2);
    for entry in entries.iter().filter(|entry| entry.remote().is_some()) {
        let done_at = {
            let description = entry.description();
            let upload = description.upload.as_ref().filter(|upload| upload.local);
            upload.and_then(|upload| upload.done_at.clone())
        };
        let Some(done_at) = done_at else { continue };
        let is_needed = || free_bytes(entry.folder()).is_ok_and(|free| free < enough);
        if done_at > long_ago && !is_needed() {
            continue;
        }
        match entry.remove_local() {
            Ok(()) => {
                env.metrics.record().spool_removed.inc();
                tracing::debug!(recording = %entry.id, "a recording is in the object storage alone");
            }
            Err(error) => warn!(recording = %entry.id, %error, "local files cannot be removed"),
        }
    }
}

#[cfg(test)]
mod tests;
