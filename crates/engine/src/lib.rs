//! The media engine: decoding, scaling and encoding, in worker processes.
//!
//! A source is decoded once, by one process, into memory that its encoders share: one process for each rung. So bytes of
//! strangers never reach native code inside the server, and what crashes costs one rung, which another process takes up at
//! its next picture. [`host`] is the side of the server; it links no codec. `worker`, behind the feature `libav`, is
//! what the processes run.
//!
//! ```text
//! server                                   worker processes
//!   Inlet ── packets ──────────────────▶ decoder ── pictures ─▶ shared memory
//!   actor ◀─ "slot 3 has picture 1040 ms" ──┘                        │
//!     ├───── "encode slot 3" ──────────▶ encoder 720p ◀──────────────┤
//!     └───── "encode slot 3" ──────────▶ encoder 480p ◀──────────────┘
//!   Outlet ◀─ packets ────────────────────┘
//! ```

#[cfg(feature = "libav")]
mod av;
pub mod cost;
pub mod decode;
pub mod encode;
pub mod fuzz;
pub mod host;
mod ipc;
pub mod ladder;
pub mod limits;
pub mod mark;
pub mod picture;
pub mod rate;
#[cfg(feature = "libav")]
mod record;
pub mod slate;
pub mod sound;
#[cfg(feature = "libav")]
mod tone;
#[cfg(feature = "libav")]
mod turn;
#[cfg(feature = "libav")]
pub mod worker;
