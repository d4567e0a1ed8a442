//! Who needs which picture.

use crate::limits::SLOTS;

/// The slots of the shared memory, and which readers still need what is in them.
#[derive(Debug, Default)]
pub(super) struct Slots {
    readers: [Vec<u64>; SLOTS as usize],
}

impl Slots {
    /// `reader` needs what is in `slot`.
    pub(super) fn hold(&mut self, slot: u8, reader: u64) {
        if let Some(readers) = self.readers.get_mut(usize::from(slot)) {
            readers.push(reader);
        }
    }

    /// `reader` does not need `slot` any more. Whether nobody does now; false where it did not need it.
    pub(super) fn release(&mut self, slot: u8, reader: u64) -> bool {
        let Some(readers) = self.readers.get_mut(usize::from(slot)) else { return false };
        let Some(index) = readers.iter().position(|held| *held == reader) else { return false };
        readers.swap_remove(index);
        readers.is_empty()
    }

    /// `reader` is gone. The slots that nobody needs now.
    pub(super) fn release_all(&mut self, reader: u64) -> Vec<u8> {
        (0..SLOTS).filter(|slot| self.release(*slot, reader)).collect()
    }

    /// How many `reader` needs.
    pub(super) fn held(&self, reader: u64) -> usize {
        self.readers.iter().filter(|readers| readers.contains(&reader)).count()
    }

    /// Those that somebody needs.
    pub(super) fn used(&self) -> Vec<u8> {
        (0..SLOTS).filter(|slot| self.is_used(*slot)).collect()
    }

    /// Whether there is one that nobody needs.
    pub(super) fn has_free(&self) -> bool {
        self.readers.iter().any(Vec::is_empty)
    }

    /// Whether somebody needs `slot`.
    pub(super) fn is_used(&self, slot: u8) -> bool {
        self.readers.get(usize::from(slot)).is_none_or(|readers| !readers.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_when_the_last_reader_gives_it_back() {
        let mut slots = Slots::default();
        slots.hold(3, 1);
        slots.hold(3, 2);
        slots.hold(4, 2);
        assert!(!slots.release(3, 1));
        assert!(!slots.release(3, 1), "twice");
        assert_eq!((slots.held(2), slots.used()), (2, vec![3, 4]));
        assert_eq!(slots.release_all(2), [3, 4]);
        assert!(slots.used().is_empty());
    }

    #[test]
    fn slots_that_do_not_exist_are_nobodys() {
        let mut slots = Slots::default();
        slots.hold(SLOTS, 1);
        assert!(!slots.release(SLOTS, 1) && slots.is_used(u8::MAX));
    }
}
