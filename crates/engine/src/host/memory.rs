//! The memory of pictures, as the server makes it. The server itself never looks at a picture.

use crate::limits::SLOTS;
use crate::picture::SLOT_BYTES;
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Memory without a name that is handed to processes.
pub(super) struct Memory {
    /// For the decoder.
    pub(super) writable: OwnedFd,
    /// For encoders.
    pub(super) readable: OwnedFd,
}

impl Memory {
    /// All slots. Only what is written to takes memory.
    pub(super) fn new() -> io::Result<Self> {
        let writable =
            rustix::fs::memfd_create("rushlight-pictures", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&writable, SLOT_BYTES as u64 * u64::from(SLOTS))?;
        // A worker that made it shorter would end all others.
        rustix::fs::fcntl_add_seals(&writable, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let readable = File::open(format!("/proc/self/fd/{}", writable.as_raw_fd()))?;
        Ok(Self { writable, readable: readable.into() })
    }
}
