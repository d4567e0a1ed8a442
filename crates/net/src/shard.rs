//! One single-threaded runtime per core for media.
//!
//! A viewer's task never moves between threads: no work stealing, no cross-core cache traffic for its state, and
//! far fewer context switches than a work-stealing pool with the same load. Listeners are opened once per shard
//! with SO_REUSEPORT, so the kernel spreads connections.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;

/// Running shards.
#[derive(Debug)]
pub struct Shards(Vec<JoinHandle<()>>);

impl Shards {
    /// Waits until every shard has ended.
    pub fn join(self) {
        for thread in self.0 {
            // A shard that panicked has already printed why, and there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}

/// Starts `count` threads named `shard-N`, each driving the future that `main` makes for it on a current-thread runtime
/// until that future ends.
pub fn run_shards<M, F>(count: usize, main: M) -> io::Result<Shards>
where
    M: Fn(usize) -> F + Send + Sync + Clone + 'static,
    F: Future<Output = ()> + 'static,
{
    let mut threads = Vec::with_capacity(count);
    for index in 0..count {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // A turn serves this many tasks before it looks at sockets again: new joins must not wait behind a
            // wake of thousands of viewers.
            .event_interval(127)
            .build()?;
        let main = main.clone();
        threads.push(
            std::thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || runtime.block_on(main(index)))?,
        );
    }
    Ok(Shards(threads))
}
