//! Between sockets and the hub: one folder per protocol.
//!
//! A protocol is registered, not wired: [`registry::PROTOCOLS`] is the one table from which listeners, metric labels and
//! descriptions follow. Each protocol maps media in two places, `ingest` and `egress`; joining, pacing and writing are
//! shared (`egress`).

pub mod acme;
mod allowance;
pub mod config;
mod disk;
mod egress;
mod env;
mod feed;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod hls;
pub mod http;
mod http_flv;
mod log_quota;
pub mod metrics;
mod pattern;
pub mod policy;
mod record;
pub mod registry;
mod relay;
mod rtmp;
mod run;
mod secret;
pub mod sessions;
mod shared_objects;
mod signature;
mod slate;
mod stall;
mod subscriber;
mod target;
mod testing;
mod timeshift;
pub mod tls;
mod transcode;
mod vod;

pub use config::Config;
pub use env::Env;
pub use run::{BindError, Bound, bind, run};
pub use secret::Secret;
pub use signature::signed_query;

/// Secret random bytes for one connection.
fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    // Fails where there is no generator at all; then no connection is safe to serve.
    getrandom::fill(&mut seed).expect("the system has a random number generator");
    seed
}
