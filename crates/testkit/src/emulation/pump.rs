//! The thread that moves packets between the devices and the links.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::device::Device;
use super::system;
use crate::link::Link;

/// Packets read from one device before the other gets its turn.
const READ_BATCH_MAX: usize = 64;

/// Both directions.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) left_to_right: Link,
    pub(super) right_to_left: Link,
}

impl Links {
    fn poll_timeout(&self) -> Option<Instant> {
        [self.left_to_right.poll_timeout(), self.right_to_left.poll_timeout()].into_iter().flatten().min()
    }
}

/// The running thread; dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Pump {
    thread: Option<JoinHandle<()>>,
    /// Closing it wakes the thread for the last time.
    stop: Option<PipeWriter>,
}

impl Pump {
    pub(super) fn start(left: Device, right: Device, links: Arc<Mutex<Links>>) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let thread = thread::Builder::new().name("link-pump".to_owned()).spawn(move || {
            system::prefer_precise_timing();
            pump(left, right, &links, &stopped);
        })?;
        Ok(Self { thread: Some(thread), stop: Some(stop) })
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the link pump panicked");
        }
    }
}

fn pump(mut left: Device, mut right: Device, links: &Mutex<Links>, stopped: &PipeReader) {
    loop {
        let timeout = {
            let mut links = links.lock().unwrap_or_else(PoisonError::into_inner);
            carry(&mut left, &mut links.left_to_right, &mut right);
            carry(&mut right, &mut links.right_to_left, &mut left);
            links.poll_timeout()
        };
        let wait = timeout.map(|at| at.saturating_duration_since(Instant::now()));
        match system::wait_readable([left.as_fd(), right.as_fd(), stopped.as_fd()], wait) {
            Ok([_, _, false]) => {}
            Ok([_, _, true]) => return,
            Err(error) => {
                eprintln!("the link pump stops: {error}");
                return;
            }
        }
    }
}

fn carry(from: &mut Device, link: &mut Link, to: &mut Device) {
    for _ in 0..READ_BATCH_MAX {
        let Some(packet) = from.read() else { break };
        link.enqueue(Instant::now(), packet);
    }
    let now = Instant::now();
    while let Some(packet) = link.poll(now) {
        to.write(&packet);
    }
}
