//! Packagers that stay: those of streams that are packaged from their first frame to their last, whoever asks.

use crate::Env;
use hub::Changed;
use media::StreamName;
use std::collections::HashSet;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// How often all streams are looked at: a packager that has failed leaves a stream without one, and nothing tells of it.
const LOOK: Duration = Duration::from_secs(5);

/// Names of streams that are remembered because they failed. When they are more, it is told of each once more.
const FAILING_MAX: usize = 1024;

/// Whether a stream has a packager for as long as it exists.
pub(super) fn is_kept(env: &Env, name: &StreamName) -> bool {
    let is_always = env.config.hls.is_always(name) && !env.is_rung(name);
    env.keeps_past(name) || is_always
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
    let mut failing = Failing::default();
    let mut look_at = |name: &StreamName| {
        if shard_of(name, shards) != shard || !is_kept(&env, name) || !env.origin.presence(name).begun {
            failing.succeed(name);
            return;
        }
        match env.packagers.keep(&env, name) {
            Ok(()) => failing.succeed(name),
            Err(error) if failing.begin(name) => warn!(stream = %name, %error, "not packaged; tried again"),
            Err(_) => {}
        }
    };
    let mut watch = env.origin.watch();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = env.shutdown.triggered() => return,
            _ = look.tick() => env.origin.names().iter().for_each(&mut look_at),
            changed = poll_fn(|cx| watch.poll_changed(cx)) => match changed {
                Changed::Stream(name) => look_at(&name),
                Changed::Many => env.origin.names().iter().for_each(&mut look_at),
            },
        }
    }
}

/// Streams that could not be packaged when they were looked at last. It is told once of each, however often it is tried.
#[derive(Debug, Default)]
struct Failing(HashSet<StreamName>);

impl Failing {
    /// It did not work; whether it worked before, or was not tried.
    fn begin(&mut self, name: &StreamName) -> bool {
        // A stream that ends in silence leaves its name.
        if self.0.len() >= FAILING_MAX {
            self.0.clear();
        }
        self.0.insert(name.clone())
    }

    /// It worked, or there is nothing to try.
    fn succeed(&mut self, name: &StreamName) {
        self.0.remove(name);
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

    #[test]
    fn it_is_told_once_of_a_stream_that_cannot_be_packaged() {
        let [one, other] = ["live/one", "live/other"].map(|name| parse_channel(name).unwrap());
        let mut failing = Failing::default();
        assert_eq!([&one, &one, &other, &one].map(|name| failing.begin(name)), [true, false, true, false]);
        failing.succeed(&one);
        assert_eq!([&one, &other].map(|name| failing.begin(name)), [true, false]);
        let many = (0..2 * FAILING_MAX).map(|index| parse_channel(&format!("live/{index}")).unwrap());
        for name in many {
            failing.begin(&name);
        }
        assert!(failing.0.len() <= FAILING_MAX);
    }

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
        tokio::time::sleep(2 * LOOK).await;
        assert_eq!(env.packagers.names(), [kept]);
        trigger.trigger();
        attending.await.unwrap();
    }
}
