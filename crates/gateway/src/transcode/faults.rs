//! Streams that are looked at for black and frozen pictures and for silence, whether or not they have rungs.

use super::judge::{Change, Fault, Judge};
use super::limits::{WATCH_FAILURES_MAX, WATCH_RETRY};
use crate::Env;
use crate::metrics::TranscodeMetrics;
use crate::slate::is_of_slate;
use engine::host::{Launch, Watcher};
use hub::{BatchLimits, Next, ReadOptions, Start};
use media::StreamName;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// One pick.
const BATCH: BatchLimits = BatchLimits { packets_max: 128, bytes_max: 4 << 20 };

/// What is wrong with a stream now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alert {
    pub(crate) fault: Fault,
    /// Since when that is known.
    pub(crate) since: Instant,
}

/// What is wrong with which stream now. As many as are watched have an entry.
#[derive(Debug, Default)]
pub(crate) struct Alerts(Mutex<BTreeMap<StreamName, Vec<Alert>>>);

impl Alerts {
    /// What is wrong with `name`.
    pub(crate) fn of(&self, name: &StreamName) -> Vec<Alert> {
        self.table().get(name).cloned().unwrap_or_default()
    }

    fn note(&self, name: &StreamName, change: Change, metrics: &TranscodeMetrics, now: Instant) {
        let mut table = self.table();
        let alerts = table.entry(name.clone()).or_default();
        alerts.retain(|alert| alert.fault != change.fault);
        if change.is_raised {
            alerts.push(Alert { fault: change.fault, since: now });
            metrics.alert(change.fault.name()).inc();
            metrics.alerts_raised.inc();
        } else {
            metrics.alert(change.fault.name()).dec();
        }
    }

    /// The stream is not watched any more.
    fn forget(&self, name: &StreamName, metrics: &TranscodeMetrics) {
        for alert in self.table().remove(name).unwrap_or_default() {
            metrics.alert(alert.fault.name()).dec();
        }
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<StreamName, Vec<Alert>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at a stream until it ends. False where that is not possible.
pub(super) async fn watch(env: &Arc<Env>, name: &StreamName, launch: &Launch) -> bool {
    let mut judge = Judge::new(env.config.transcode.watch_after());
    let mut failures = 0;
    let has_ended = loop {
        let Err(why) = look(env, name, launch, &mut judge).await else { break true };
        failures += 1;
        if failures >= WATCH_FAILURES_MAX {
            warn!(stream = %name, why, "a stream is not watched any more: what watches it fails again and again");
            break false;
        }
        warn!(stream = %name, why, "what watches a stream has failed and begins anew");
        tokio::select! {
            () = env.shutdown.triggered() => break true,
            () = tokio::time::sleep(WATCH_RETRY) => {}
        }
    };
    env.transcoding.alerts.forget(name, env.metrics.transcode());
    has_ended
}

/// Looks at a stream until it ends, or the process fails.
async fn look(env: &Env, name: &StreamName, launch: &Launch, judge: &mut Judge) -> Result<(), String> {
    let options = ReadOptions {
        start: Start::Live,
        pace: None,
        passive: true,
        wait_max: Duration::ZERO,
        ..ReadOptions::default()
    };
    let Ok(mut reader) = env.origin.read(name, options, Instant::now()) else { return Ok(()) };
    let mut watcher = Watcher::start(launch, env.config.transcode.nice)
        .map_err(|error| format!("it cannot be started: {error}"))?;
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = env.shutdown.triggered() => return Ok(()),
            sight = watcher.next() => {
                for change in judge.note(sight?) {
                    let fault = change.fault.name();
                    match change.is_raised {
                        true => warn!(stream = %name, fault, "something is wrong with the picture or the sound of a stream"),
                        false => info!(stream = %name, fault, "the picture or the sound of a stream is well again"),
                    }
                    env.transcoding.alerts.note(name, change, env.metrics.transcode(), Instant::now());
                }
            }
            next = poll_fn(|cx| reader.poll_next(Instant::now(), &mut batch, BATCH, cx)) => match next {
                // A slate stands and is silent, as it shall be.
                Next::Packets => batch
                    .drain(..)
                    .filter(|entry| !is_of_slate(entry))
                    .for_each(|entry| watcher.give(&entry.packet)),
                Next::Later(_) | Next::Dry => {}
                Next::Ended(_) => return Ok(()),
            },
        }
    }
}
