//! Who puts slates in the place of publishers that were lost.

use super::RANK;
use super::feed::{Feed, Lost};
use super::limits::FPS;
use crate::Env;
use hub::{Changed, Feedback, Publisher};
use media::StreamName;
use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// Looks for streams that have lost their publisher until the node shuts down.
pub(crate) async fn supervise(env: Arc<Env>) {
    let mut watch = env.origin.watch();
    let shutdown = env.shutdown.clone();
    let mut tasks = JoinSet::new();
    let mut running = HashSet::new();
    loop {
        let look_at = tokio::select! {
            biased;
            () = shutdown.triggered() => return,
            Some(ended) = tasks.join_next() => match ended {
                Ok((name, end)) => {
                    running.remove(&name);
                    // Whoever came back may be lost again. Where there is no slate, there is none a moment later.
                    if end == End::NotMade { Vec::new() } else { vec![name] }
                }
                Err(_) => Vec::new(),
            },
            changed = poll_fn(|cx| watch.poll_changed(cx)) => match changed {
                Changed::Stream(name) => vec![name],
                Changed::Many => env.origin.names(),
            },
        };
        for name in look_at {
            if !is_lost(&env, &name) || !running.insert(name.clone()) {
                continue;
            }
            let env = env.clone();
            tasks.spawn(async move {
                let end = net::catch_panic(stand_in(&env, &name)).await.unwrap_or_else(|_| {
                    env.metrics.panicked();
                    warn!(stream = %name, "a slate panicked and was ended; this is a bug, please report it");
                    End::NotMade
                });
                (name, end)
            });
        }
    }
}

/// Whether a stream waits for its publisher, and has a slate for that.
fn is_lost(env: &Env, name: &StreamName) -> bool {
    let presence = env.origin.presence(name);
    presence.begun
        && presence.rank.is_none()
        && env.config.slate.is_for(name)
        && !env.transcoding.is_rung(name)
}

/// How a slate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// There was none.
    NotMade,
    /// There is no use for it, or it was shown for long enough.
    Over,
}

/// Shows the slate of a stream until its publisher is back, or it was shown for long enough.
async fn stand_in(env: &Env, name: &StreamName) -> End {
    let lost = env.origin.stream(name).map(|status| Lost::of(&status));
    let Some(lost) = lost.filter(|lost| !lost.is_nothing()) else { return End::NotMade };
    let made = async {
        match lost.size {
            Some(size) => env.slates.of(env, size).await.map(Some),
            None => Ok(None),
        }
    };
    let (made, ()) = tokio::join!(made, tokio::time::sleep(env.config.slate.after()));
    let slate = match made {
        Ok(slate) => slate,
        Err(why) => {
            warn!(stream = %name, why, "there is no slate for a stream whose publisher is away");
            return End::NotMade;
        }
    };
    // Who came back meanwhile, and was lost again, may have sent something else.
    if env.origin.stream(name).is_none_or(|status| Lost::of(&status) != lost) {
        return End::Over;
    }
    let Some(publisher) = env.origin.stand_in(name, RANK, Instant::now()) else { return End::Over };
    info!(stream = %name, "the publisher is away: viewers see a slate");
    show(env, name, Feed::new(slate, lost.silence), publisher).await;
    End::Over
}

async fn show(env: &Env, name: &StreamName, mut feed: Feed, mut publisher: Publisher) {
    let begun = Instant::now();
    let mut tick = interval(Duration::from_secs(1) / FPS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            () = env.shutdown.triggered() => return publisher.finish(),
            Feedback::TakenOver = poll_fn(|cx| publisher.poll_feedback(cx)) => break,
            _ = tick.tick() => {}
        }
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(begun);
        if elapsed >= env.config.slate.max() {
            info!(stream = %name, "the publisher did not come back: the stream ends");
            return publisher.finish();
        }
        for packet in feed.until(elapsed) {
            if let Err(hub::WriteError::TakenOver) = publisher.write(packet, now) {
                break;
            }
        }
        publisher.flush();
    }
    info!(stream = %name, after_ms = begun.elapsed().as_millis() as u64, "the publisher is back");
}
