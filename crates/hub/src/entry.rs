//! One packet in the log, with the wire forms made of it.

use bytes::Bytes;
use media::{Packet, Time};
use std::sync::OnceLock;
use std::time::Instant;

/// Names a wire form. The egress that builds a form chooses its key: forms with equal keys have equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FormKey {
    /// Which container.
    pub container: u16,
    /// What else its bytes depend on, whole: bits that are cut off a key are forms that are taken for each other.
    pub parameters: [u32; 2],
}

impl FormKey {
    /// The form of a container that looks the same for everybody.
    pub const fn of(container: u16) -> Self {
        Self { container, parameters: [0; 2] }
    }
}

/// The most forms that one entry keeps. A server has a handful (RTMP at a chunk size or two, FLV, fMP4); a peer that
/// could invent keys must not fill memory, so a form beyond this number is built each time.
pub const FORMS_MAX: usize = 16;

/// A packet in the log.
///
/// Shared by all readers, and so are the wire forms made from it.
#[derive(Debug)]
pub struct Entry {
    /// Its place in the log; the numbers of a log have no gaps. A configuration that is repeated for a joiner carries
    /// the number of the packet that the joiner starts at.
    pub seq: u64,
    /// The packet, with its times already on the stream's continuous clock.
    pub packet: Packet,
    /// When it came.
    pub arrived: Instant,
    /// The rank of the publisher that wrote it; see [`Origin::publish_ranked`](crate::Origin::publish_ranked).
    pub rank: u8,
    /// The newest decoding time of the stream when it came. Unlike its own it never decreases along the log.
    pub(crate) head: Time,
    /// The number of the group of pictures it belongs to.
    pub(crate) gop: u64,
    /// The generation of the kept state after this packet.
    pub(crate) kept_generation: u64,
    /// The slot of its track.
    pub(crate) slot: u8,
    first: OnceLock<Form>,
}

/// One form, and a link to the next: a list that only grows, so that looking up takes no lock.
#[derive(Debug)]
struct Form {
    key: FormKey,
    bytes: OnceLock<Bytes>,
    next: OnceLock<Box<Form>>,
}

impl Form {
    fn new(key: FormKey) -> Self {
        Self { key, bytes: OnceLock::new(), next: OnceLock::new() }
    }
}

impl Entry {
    pub(crate) fn new(seq: u64, packet: Packet, arrived: Instant) -> Self {
        let head = packet.dts;
        Self {
            seq,
            packet,
            arrived,
            rank: 0,
            head,
            gop: 0,
            kept_generation: 0,
            slot: 0,
            first: OnceLock::new(),
        }
    }

    /// The bytes of this packet in the form `key`, made by `build` on the first call and shared from then on.
    ///
    /// Two callers who come first at once may wait for each other, never anyone else.
    pub fn form(&self, key: FormKey, build: impl FnOnce(&Packet) -> Bytes) -> Bytes {
        let mut form = self.first.get_or_init(|| Form::new(key));
        for _ in 1..FORMS_MAX {
            if form.key == key {
                break;
            }
            form = form.next.get_or_init(|| Box::new(Form::new(key)));
        }
        if form.key != key {
            return build(&self.packet);
        }
        form.bytes.get_or_init(|| build(&self.packet)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::packet;
    use std::cell::Cell;

    fn entry() -> Entry {
        Entry::new(0, packet::audio(0), Instant::now())
    }

    #[test]
    fn form_is_built_once_for_each_key() {
        let (entry, built) = (entry(), Cell::new(0));
        for _ in 0..3 {
            for key in 0..FORMS_MAX as u16 {
                let bytes = entry.form(FormKey::of(key), |_| {
                    built.set(built.get() + 1);
                    Bytes::from(vec![key as u8])
                });
                assert_eq!(bytes[..], [key as u8]);
            }
        }
        assert_eq!(built.get(), FORMS_MAX);
    }

    #[test]
    fn forms_beyond_the_limit_are_built_and_not_kept() {
        let entry = entry();
        for key in 0..100 {
            entry.form(FormKey::of(key), |_| Bytes::new());
        }
        let (mut form, mut count) = (entry.first.get(), 0);
        while let Some(node) = form {
            count += 1;
            form = node.next.get().map(|next| &**next);
        }
        assert_eq!(count, FORMS_MAX);
    }

    #[test]
    fn threads_that_come_first_at_once_get_the_same_bytes() {
        let entry = entry();
        let pointers: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope
                        .spawn(|| entry.form(FormKey::of(7), |_| Bytes::from(vec![1; 100])).as_ptr() as usize)
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(pointers.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
