//! Link emulation for tests and benches.
//!
//! - [`link`]: one direction of a network path as a pure machine on a caller's clock: delay, jitter, random and
//!   bursty loss, reordering, a fixed or recorded rate, and a drop-tail queue.
//! - [`emulation`]: two network namespaces joined by two such links, for programs that bring their own sockets
//!   (browsers, FFmpeg, a server under test). Linux only; needs `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`.

#[cfg(target_os = "linux")]
pub mod emulation;
#[doc(hidden)]
pub mod fuzz;
pub mod link;
