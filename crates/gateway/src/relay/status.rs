//! What relays tell about themselves.

use super::progress::Progress;
use super::{Relays, Target};
use crate::Env;
use crate::metrics::RelayState;
use media::StreamName;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

impl Relays {
    /// All relays of streams that `may_see` allows; `None` asks for patterns.
    pub(crate) fn to_api(&self, env: &Env, may_see: impl Fn(Option<&StreamName>) -> bool) -> api::Relays {
        let table = self.table();
        let mut push = Vec::new();
        for target in &table.targets {
            let of_target = table.pushes.iter().filter(|((id, _), _)| *id == target.id);
            let mut streams: Vec<_> = of_target.map(|((_, name), entry)| (name, &entry.progress)).collect();
            streams.sort_unstable_by_key(|(name, _)| *name);
            let exact = target.pattern.exact();
            if streams.is_empty() && may_see(exact.as_ref()) {
                push.push(push_target(target, exact.as_ref(), None));
            }
            let visible = streams.into_iter().filter(|(name, _)| may_see(Some(name)));
            push.extend(visible.map(|(name, progress)| push_target(target, Some(name), Some(progress))));
        }
        let mut pull = Vec::new();
        for sources in &self.sources {
            let of_sources =
                table.pulls.iter().filter(|(_, entry)| std::sync::Arc::ptr_eq(&entry.sources, sources));
            let mut streams: Vec<_> = of_sources.collect();
            streams.sort_unstable_by_key(|(name, _)| *name);
            let exact = sources.pattern.exact();
            let stream = |name: Option<&StreamName>, entry: Option<&super::PullEntry>| api::PullStream {
                stream: name.map_or_else(|| sources.pattern.to_string(), StreamName::to_string),
                mode: sources.mode.as_str().to_owned(),
                published_here: name.is_some_and(|name| env.origin.presence(name).rank == Some(u8::MAX)),
                active: entry.and_then(|entry| entry.running.as_ref()?.1.active()).map(|index| index as u64),
                sources: sources
                    .addresses
                    .iter()
                    .enumerate()
                    .map(|(index, address)| api::PullSource {
                        url: address.shown(name),
                        progress: progress(entry.and_then(|entry| entry.progress.get(index))),
                    })
                    .collect(),
            };
            if streams.is_empty() && may_see(exact.as_ref()) {
                pull.push(stream(exact.as_ref(), None));
            }
            let visible = streams.into_iter().filter(|(name, _)| may_see(Some(name)));
            pull.extend(visible.map(|(name, entry)| stream(Some(name), Some(entry))));
        }
        api::Relays { push, pull }
    }
}

/// A target that has just been added.
pub(crate) fn new_target(target: &Target) -> api::PushTarget {
    push_target(target, target.pattern.exact().as_ref(), None)
}

fn push_target(
    target: &Target,
    name: Option<&StreamName>,
    of: Option<&std::sync::Arc<Progress>>,
) -> api::PushTarget {
    api::PushTarget {
        id: target.id.to_string(),
        name: target.name.clone(),
        stream: name.map_or_else(|| target.pattern.to_string(), StreamName::to_string),
        url: target.address.shown(name),
        added: target.added,
        progress: progress(of.map(|progress| &**progress)),
    }
}

/// How a relay goes; one that has never run waits.
fn progress(progress: Option<&Progress>) -> api::RelayProgress {
    let Some(progress) = progress else {
        return api::RelayProgress {
            state: api::RelayState::Waiting,
            since_ms: 0,
            next_attempt_ms: None,
            last_failure: None,
            connections: 0,
            bytes: 0,
            frames: 0,
            dropped: 0,
        };
    };
    let (stage, now) = (progress.stage(), Instant::now());
    api::RelayProgress {
        state: match stage.state {
            RelayState::Waiting => api::RelayState::Waiting,
            RelayState::Connecting => api::RelayState::Connecting,
            RelayState::Live => api::RelayState::Live,
            RelayState::Ready => api::RelayState::Ready,
            RelayState::Retrying => api::RelayState::Retrying,
            RelayState::Refused => api::RelayState::Refused,
            RelayState::Stopped => api::RelayState::Stopped,
        },
        since_ms: millis(now.saturating_duration_since(stage.since)),
        next_attempt_ms: stage.next_attempt.map(|at| millis(at.saturating_duration_since(now))),
        last_failure: stage
            .last_failure
            .map(|(at, why)| api::RelayFailure { why, ago_ms: millis(now.saturating_duration_since(at)) }),
        connections: progress.connections.load(Relaxed),
        bytes: progress.bytes.load(Relaxed),
        frames: progress.frames.load(Relaxed),
        dropped: progress.dropped.load(Relaxed),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
