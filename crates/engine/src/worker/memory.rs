//! The memory of pictures, as a worker sees it.
//!
//! Another process may write there at any time, so that no reference to it is ever made: libav gets addresses, and reads or writes
//! samples, of which any value is one.

use crate::limits::SLOTS;
use crate::picture::SLOT_BYTES;
use memmap2::{MmapOptions, MmapRaw};
use std::io;
use std::os::fd::OwnedFd;

/// All slots.
pub(super) struct Shared(MmapRaw);

/// Where a slot is. It is as long as [`SLOT_BYTES`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot(pub(crate) *mut u8);

/// Bytes of all slots.
const BYTES: usize = SLOT_BYTES * SLOTS as usize;

impl Shared {
    /// To write pictures into.
    pub(super) fn writable(memory: &OwnedFd) -> io::Result<Self> {
        MmapOptions::new().len(BYTES).map_raw(memory).map(Self)
    }

    /// To read pictures from.
    pub(super) fn readable(memory: &OwnedFd) -> io::Result<Self> {
        MmapOptions::new().len(BYTES).map_raw_read_only(memory).map(Self)
    }

    /// One slot.
    pub(super) fn slot(&self, slot: u8) -> Option<Slot> {
        (slot < SLOTS).then(|| Slot(self.0.as_mut_ptr().wrapping_add(SLOT_BYTES * usize::from(slot))))
    }
}
