//! A TUN device: packets that the kernel routes to it are read from a file, and written ones enter the kernel.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use bytes::Bytes;

use super::system;

/// Room for one packet; the device's MTU is 1,500.
const PACKET_BYTES_MAX: usize = 2048;

/// A device that lives as long as this value.
#[derive(Debug)]
pub(super) struct Device {
    file: File,
    name: String,
}

impl Device {
    /// Makes a device in the caller's namespace, with a name that the kernel picks.
    pub(super) fn open() -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(system::TUN_PATH)?;
        let name = system::attach_tun(&file, "rushlight%d")?;
        Ok(Self { file, name })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The next packet that the kernel wants to send, if there is one.
    pub(super) fn read(&mut self) -> Option<Bytes> {
        let mut packet = [0; PACKET_BYTES_MAX];
        // An error is "nothing now", or a device that is down, which ends with the emulation.
        let length = self.file.read(&mut packet).ok()?;
        packet.get(..length).map(Bytes::copy_from_slice)
    }

    /// Hands a packet to the kernel. A kernel out of buffers drops it, as any network card would.
    pub(super) fn write(&mut self, packet: &[u8]) {
        let _ = self.file.write(packet);
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
