//! The memory of pictures, as a worker sees it.
#![allow(unsafe_code, reason = "memory that processes share is mapped; each call says why it is sound")]

use crate::limits::SLOTS;
use crate::picture::SLOT_BYTES;
use memmap2::{Mmap, MmapMut, MmapOptions};
use std::io;
use std::os::fd::OwnedFd;

/// All slots.
pub(super) struct Shared<M>(M);

/// Bytes of all slots.
const BYTES: usize = SLOT_BYTES * SLOTS as usize;

impl Shared<MmapMut> {
    /// To write pictures into.
    pub(super) fn writable(memory: &OwnedFd) -> io::Result<Self> {
        // SAFETY: the server has sealed the size. What others write there meanwhile are samples, and any value is one.
        unsafe { MmapOptions::new().len(BYTES).map_mut(memory) }.map(Self)
    }

    /// One slot.
    pub(super) fn slot_mut(&mut self, slot: u8) -> Option<&mut [u8]> {
        self.0.chunks_exact_mut(SLOT_BYTES).nth(slot.into())
    }
}

impl Shared<Mmap> {
    /// To read pictures from.
    pub(super) fn readable(memory: &OwnedFd) -> io::Result<Self> {
        // SAFETY: see `writable`. A picture is read once, by the scaler, which copes with any samples.
        unsafe { MmapOptions::new().len(BYTES).map(memory) }.map(Self)
    }

    /// One slot.
    pub(super) fn slot(&self, slot: u8) -> Option<&[u8]> {
        self.0.chunks_exact(SLOT_BYTES).nth(slot.into())
    }
}
