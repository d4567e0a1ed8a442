//! The thread of all recordings, and who starts and ends them.

use super::limits::{RECORDERS_MAX, WRITERS_MAX};
use super::recorder::Recorder;
use super::{Control, Running, finish, remote, retain};
use crate::Env;
use crate::config::RecordPolicy;
use hub::Changed;
use media::StreamName;
use std::collections::HashSet;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use tokio::task::JoinSet;
use tracing::{error, warn};

/// Starts the thread that records.
pub(crate) fn start(env: Arc<Env>) -> io::Result<()> {
    remote::start(&env)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(2 * WRITERS_MAX)
        .thread_name("record-disk")
        .build()?;
    let running = Running::new(env.clone());
    std::thread::Builder::new().name("record".to_owned()).spawn(move || {
        runtime.block_on(run(env));
        drop(running);
        // A disk that hangs keeps nobody from ending.
        runtime.shutdown_background();
    })?;
    Ok(())
}

/// Records until the node shuts down and all that was recorded is written.
pub(super) async fn run(env: Arc<Env>) {
    let scanned = env.clone();
    let scan = tokio::task::spawn_blocking(move || {
        for entry in scanned.recordings.catalog.scan() {
            entry.description().state = api::RecordingState::Finishing;
            scanned.recordings.finish(&entry);
        }
        let catalog = &scanned.recordings.catalog;
        if let Some(remote) = catalog.remote() {
            for entry in catalog.oldest_first() {
                if entry.description().upload.as_ref().is_none_or(|upload| upload.done_at.is_none()) {
                    remote.enqueue(&entry);
                }
            }
            remote.find(&scanned);
        }
    });
    let finisher = async {
        // Before it has ended there may be a recording that is not known yet; nothing waits for that.
        let _ = scan.await;
        finish::run(env.clone()).await;
    };
    tokio::join!(supervise(env.clone()), finisher, retain::run(env.clone()));
}

async fn supervise(env: Arc<Env>) {
    let mut watch = env.origin.watch();
    let shutdown = env.shutdown.clone();
    let mut recorders = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.triggered() => break,
            Some(ended) = recorders.join_next() => {
                if let Ok(name) = ended {
                    look_at(&env, &name, &mut recorders);
                }
            }
            () = env.recordings.rechecked.notified() => {
                let names = std::mem::take(&mut env.recordings.table().recheck);
                names.iter().for_each(|name| look_at(&env, name, &mut recorders));
            }
            changed = poll_fn(|cx| watch.poll_changed(cx)) => match changed {
                Changed::Stream(name) => look_at(&env, &name, &mut recorders),
                Changed::Many => all_names(&env).iter().for_each(|name| look_at(&env, name, &mut recorders)),
            },
        }
    }
    // They see the shutdown themselves.
    while recorders.join_next().await.is_some() {}
}

/// Every stream that exists, or that the operator has said something about.
fn all_names(env: &Env) -> HashSet<StreamName> {
    let mut names: HashSet<_> = env.origin.names().into_iter().collect();
    let table = env.recordings.table();
    names.extend(table.wanted.iter().cloned());
    names.extend(table.unwanted.iter().cloned());
    names
}

/// Starts the recorder of a stream if it shall have one. A recorder ends by itself.
fn look_at(env: &Arc<Env>, name: &StreamName, recorders: &mut JoinSet<StreamName>) {
    let presence = env.origin.presence(name);
    let mut table = env.recordings.table();
    if table.running.contains_key(name) {
        return;
    }
    if !presence.begun {
        table.unwanted.remove(name);
        table.wanted.remove(name);
        return;
    }
    // One that has lost its publisher has nothing new, and what it had is recorded.
    if presence.rank.is_none() || env.shows_slate(name) || table.unwanted.contains(name) {
        return;
    }
    if env.is_rung(name) {
        return;
    }
    let Some(rule) = env.config.record.rule_of(name) else { return };
    if rule.policy == RecordPolicy::OnDemand && !table.wanted.contains(name) {
        return;
    }
    if table.running.len() >= RECORDERS_MAX {
        warn!(stream = %name, "not recorded: {RECORDERS_MAX} streams are already");
        return;
    }
    let control = Arc::new(Control::default());
    table.running.insert(name.clone(), control.clone());
    drop(table);
    let recorder = Recorder::new(env.clone(), name.clone(), rule.clone(), control);
    let (env, name) = (env.clone(), name.clone());
    recorders.spawn(async move {
        let running = Running::new(env.clone());
        if net::catch_panic(recorder.run()).await.is_err() {
            env.metrics.panicked();
            error!(stream = %name, "a recorder panicked and was ended; this is a bug, please report it");
        }
        env.recordings.table().running.remove(&name);
        drop(running);
        name
    });
}
