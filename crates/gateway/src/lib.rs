//! Between sockets and the hub: one folder per protocol.
//!
//! A protocol is registered, not wired: [`registry::PROTOCOLS`] is the one table from which listeners, metric labels and
//! descriptions follow. Each protocol maps media in two places, `ingest` and `egress`; joining, pacing and writing are
//! shared (`egress`).

pub mod config;
mod egress;
mod env;
#[doc(hidden)]
pub mod fuzz;
pub mod http;
mod http_flv;
pub mod metrics;
pub mod policy;
pub mod registry;
mod rtmp;
mod run;
pub mod sessions;
mod target;
mod testing;
pub mod tls;

pub use config::Config;
pub use env::Env;
pub use run::{BindError, Bound, bind, run};

/// Seed for the random bytes of a handshake. Taken from the system once per thread and stretched by a counter: the bytes
/// identify nobody and protect nothing, they only must not repeat.
fn random_seed() -> [u8; 32] {
    use std::cell::Cell;
    use std::hash::{BuildHasher, RandomState};
    thread_local! {
        static STATE: (RandomState, Cell<u64>) = (RandomState::new(), Cell::new(0));
    }
    STATE.with(|(state, counter)| {
        let mut seed = [0; 32];
        for part in seed.chunks_exact_mut(8) {
            counter.set(counter.get() + 1);
            part.copy_from_slice(&state.hash_one(counter.get()).to_ne_bytes());
        }
        seed
    })
}
