//! Packagers that stay: those of streams that are packaged from their first frame to their last, whoever asks.

use crate::Env;
use hub::Changed;
use media::StreamName;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// How often all streams are looked at: a packager that has failed leaves a stream without one, and nothing tells of it.
const LOOK: Duration = Duration::from_secs(5);

/// Whether a stream has a packager for as long as it exists.
pub(super) fn is_kept(env: &Env, name: &StreamName) -> bool {
    env.config.timeshift.is_for(name) || env.config.hls.is_always(name)
}

/// Whether there may be such streams.
fn is_needed(env: &Env) -> bool {
    env.config.timeshift.minutes > 0 || !env.config.hls.always.is_empty()
}

/// Starts packagers that stay, until the node shuts down. Each of the threads that carry media, of which there are `shards`, has
/// those of some of the streams.
pub(crate) async fn attend(env: Arc<Env>, shard: usize, shards: usize) {
    if !is_needed(&env) {
        return;
    }
    let look_at = |name: &StreamName| {
        if shard_of(name, shards) != shard || !is_kept(&env, name) || !env.origin.presence(name).begun {
            return;
        }
        if let Err(error) = env.packagers.keep(&env, name) {
            warn!(stream = %name, %error, "not packaged");
        }
    };
    let mut watch = env.origin.watch();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = env.shutdown.triggered() => return,
            _ = look.tick() => env.origin.names().iter().for_each(look_at),
            changed = poll_fn(|cx| watch.poll_changed(cx)) => match changed {
                Changed::Stream(name) => look_at(&name),
                Changed::Many => env.origin.names().iter().for_each(look_at),
            },
        }
    }
}

/// The same thread for a stream each time.
fn shard_of(name: &StreamName, shards: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    (hasher.finish() % shards.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, TimeshiftConfig, parse_channel};
    use std::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_kept_has_a_packager_though_nobody_asks() {
        let timeshift =
            TimeshiftConfig { minutes: 1, streams: vec!["live/*".to_owned()], ..TimeshiftConfig::default() };
        let config = Config { timeshift, ..Config::default() };
        let policy = config.access.to_policy(None, None);
        let (trigger, shutdown) = net::Shutdown::new();
        let env = Env::new(config, policy, 1, shutdown);
        let [kept, other] = ["live/kept", "test/other"].map(|name| parse_channel(name).unwrap());
        let publish = |name: &StreamName| env.origin.publish(name, Instant::now()).unwrap();
        let _before = publish(&other);
        let attending = tokio::spawn(attend(env.clone(), 0, 1));
        tokio::task::yield_now().await;
        let _after = publish(&kept);
        // Far longer than what nobody asks for is packaged otherwise.
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(env.packagers.names(), [kept]);
        trigger.trigger();
        attending.await.unwrap();
    }
}
