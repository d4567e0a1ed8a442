//! Drives real programs against the real server.
//!
//! A test starts its own [`Server`] on free ports, publishes a generated [`clip`] with one program, plays it with
//! another and compares what arrived with what was sent. The readers here ([`flv`], [`http`], [`framehash`]) share no
//! code with the server, so that a mistake cannot cancel itself out.
//!
//! A program that is not installed makes its test [`skip`], loudly: `./test` lists every skip at the end.

pub mod browser;
pub mod clip;
pub mod flv;
pub mod foreign;
pub mod framehash;
pub mod he_aac;
pub mod hls;
pub mod http;
pub mod mp4;
pub mod nginx;
pub mod process;
pub mod program;
pub mod rules;
pub mod s3;
pub mod sender;
pub mod server;
pub mod wait;

pub use nginx::Nginx;
pub use process::Process;
pub use server::Server;
pub use wait::{stays, until};

use std::io::Write;

/// Says that the running test cannot run here, and why: on stderr, and as a line of the file `RUSHLIGHT_SKIPS` names.
pub fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("e2e").to_owned();
    eprintln!("SKIPPED: {why}");
    if let Some(path) = std::env::var_os("RUSHLIGHT_SKIPS")
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        // One write per line, so that tests in parallel do not mix theirs.
        let _ = file.write_all(format!("{test}: {why}\n").as_bytes());
    }
}

/// The value of an `Ok`; an `Err` with its reason [`skip`]s the test.
#[macro_export]
macro_rules! need {
    ($what:expr) => {
        match $what {
            Ok(value) => value,
            Err(why) => return $crate::skip(&why),
        }
    };
}
