//! The worker processes: a decoder, one encoder, or one track of sound.
//!
//! A worker has a socket to the server in the place of its standard input, and the memory of pictures in that of its standard
//! output. It reads its first order, gives up every right that it does not need (`sandbox`), and works until the
//! socket ends. Nothing here is trusted by the server.

pub(crate) mod content;
mod decoder;
mod denoise;
mod encoder;
mod grid;
mod judge;
mod keyframes;
pub(crate) mod mark;
mod measure;
pub(crate) mod memory;
mod pace;
mod preview;
mod regions;
mod sandbox;
mod slate;
mod sound;
mod still;
mod watch;

use crate::ipc::{self, Order, Report};
use sandbox::Role;
use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Where libraries and drivers are found beside the places of the system.
const LIBRARY_PATHS: [&str; 2] = ["LD_LIBRARY_PATH", "LIBVA_DRIVERS_PATH"];

/// Why a worker ends.
#[derive(Debug)]
pub struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// The connection to the server.
struct Server(UnixStream);

impl Server {
    fn receive(&mut self) -> io::Result<Option<Order>> {
        ipc::receive(&mut self.0)
    }

    fn report(&mut self, report: &Report) -> io::Result<()> {
        self.0.write_all(&ipc::write(report))
    }

    /// Says what is wrong, cut to a length that fits into a log.
    fn complain(&mut self, why: &str) -> io::Result<()> {
        let why = why.chars().take(crate::limits::WHY_BYTES_MAX / 4).collect();
        self.report(&Report::Failed(why))
    }
}

/// Works until the server ends the connection.
///
/// # Errors
///
/// The process was not started by a server, or what it was asked for is impossible; the server has been told.
pub fn run() -> Result<(), Failed> {
    sandbox::close_inherited()?;
    let is_socket = |fd: std::os::fd::BorrowedFd<'_>| {
        rustix::fs::fstat(fd).is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_socket())
    };
    if !is_socket(io::stdin().as_fd()) {
        return Err(Failed("this is started by the server, which talks to it over a socket".to_owned()));
    }
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let mut server = Server(UnixStream::from(socket));
    let ended = work(&mut server);
    if let Err(failed) = &ended {
        // The server may be gone, which is why it failed.
        let _ = server.complain(&failed.0);
    }
    ended
}

fn work(server: &mut Server) -> Result<(), Failed> {
    crate::av::silence();
    let Some(first) = server.receive()? else { return Ok(()) };
    let memory = io::stdout().as_fd().try_clone_to_owned()?;
    match first {
        Order::Decode { codec, threads, busy, by } => {
            let codec = ipc::codec_of(codec).ok_or_else(|| Failed("no such codec".to_owned()))?;
            let memory = memory::Shared::writable(&memory)?;
            sandbox::enter(Role::of_decoder(by))?;
            decoder::run(server, memory, (by, codec, threads), &busy)
        }
        Order::Encode(config, backend) => {
            let memory = memory::Shared::readable(&memory)?;
            sandbox::enter(Role::of(backend))?;
            encoder::run(server, &memory, config, backend)
        }
        Order::Sound(config) => {
            sandbox::enter(Role::Decoder)?;
            sound::run(server, config)
        }
        Order::Still { codec, width_max } => {
            let codec = ipc::codec_of(codec).ok_or_else(|| Failed("no such codec".to_owned()))?;
            sandbox::enter(Role::Decoder)?;
            still::run(server, codec, width_max)
        }
        Order::Preview { codec, side_max } => {
            let codec = ipc::codec_of(codec).ok_or_else(|| Failed("no such codec".to_owned()))?;
            sandbox::enter(Role::Decoder)?;
            preview::run(server, codec, side_max)
        }
        Order::Slate(config) => {
            sandbox::enter(Role::of(slate::BACKENDS[0]))?;
            slate::run(server, &config)
        }
        Order::Watch => {
            sandbox::enter(Role::Decoder)?;
            watch::run(server)
        }
        Order::Measure(config, backend) => {
            sandbox::enter(Role::of(backend))?;
            measure::encoder(server, &config, backend)
        }
        Order::MeasureDecoder(codec, by) => {
            sandbox::enter(Role::of_measured_decoder(by))?;
            measure::decoder(server, codec, by)
        }
        _ => Err(Failed("the first order says what to be".to_owned())),
    }
}

/// The processor time that this process has used.
fn used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
