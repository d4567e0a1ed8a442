//! Waking many readers at little cost to the one who writes.
//!
//! Readers that have nothing to read stand in the wait list of their shard, one list per stream and reading thread.
//! A wake takes the whole list out under its lock and wakes outside it, so neither side waits for the other longer
//! than it takes to swap two vectors.
//!
//! Waking a task of another thread costs a lock and often a system call *per task*. So a thread may run a [`Shard`]:
//! the publisher then wakes that one task, and the shard wakes the readers of its thread from within, where it is a push
//! to a local queue.

use crate::stream::Stream;
use crate::{Origin, lock};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Wakers that were taken out of a list, on their way to be woken. Kept by the waking side for its capacity.
pub(crate) type Taken = Vec<Option<Waker>>;

/// A reader's place in a wait list; stale once the list has been taken.
#[derive(Debug, Default)]
pub(crate) struct Ticket {
    generation: u64,
    place: u32,
}

/// The readers of one stream and one shard that wait.
///
/// On its own cache lines: each is written by another thread.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WaitList {
    waiters: Mutex<Waiters>,
    /// Whether `waiters` holds anyone. Written under its lock, read without it.
    occupied: AtomicBool,
    /// Whether the stream stands in the queue of the shard.
    queued: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiters {
    /// Counts how often the list was taken, so that a [`Ticket`] of an earlier list is known to be stale.
    taken: u64,
    places: Vec<Option<Waker>>,
    free: Vec<u32>,
}

impl WaitList {
    /// Puts `waker` into the list, at the place of `ticket` if that is still in it.
    ///
    /// The caller has found nothing to read and holds the stream's lock, so that whatever is published later finds it here;
    /// or looks once more afterwards.
    pub(crate) fn register(&self, ticket: &mut Ticket, waker: &Waker) {
        let mut waiters = lock(&self.waiters);
        let waiters = &mut *waiters;
        if ticket.generation == waiters.taken + 1 {
            let place = &mut waiters.places[ticket.place as usize];
            if !place.as_ref().is_some_and(|old| old.will_wake(waker)) {
                *place = Some(waker.clone());
            }
            return;
        }
        let place = match waiters.free.pop() {
            Some(place) => {
                waiters.places[place as usize] = Some(waker.clone());
                place
            }
            None => {
                waiters.places.push(Some(waker.clone()));
                (waiters.places.len() - 1) as u32
            }
        };
        *ticket = Ticket { generation: waiters.taken + 1, place };
        self.occupied.store(true, Ordering::Relaxed);
    }

    /// Takes the waker of `ticket` out, if it is still in.
    pub(crate) fn deregister(&self, ticket: &mut Ticket) {
        let mut waiters = lock(&self.waiters);
        if ticket.generation == waiters.taken + 1 {
            waiters.places[ticket.place as usize] = None;
            waiters.free.push(ticket.place);
        }
        *ticket = Ticket::default();
    }

    /// Moves all wakers into the empty `taken`.
    fn take(&self, taken: &mut Taken) {
        let mut waiters = lock(&self.waiters);
        waiters.taken += 1;
        waiters.free.clear();
        std::mem::swap(&mut waiters.places, taken);
        self.occupied.store(false, Ordering::Relaxed);
    }

    /// Wakes everyone in it, one by one.
    pub(crate) fn wake(&self, taken: &mut Taken) {
        self.take(taken);
        taken.drain(..).flatten().for_each(Waker::wake);
    }
}

/// Wakes everyone who waits in `lists`, the lists of `stream`, by way of their shards where those run.
pub(crate) fn wake_all(stream: &Arc<Stream>, lists: &[WaitList], shards: &[ShardQueue], taken: &mut Taken) {
    for (list, shard) in lists.iter().zip(shards) {
        if !list.occupied.load(Ordering::Relaxed) {
            continue;
        }
        // If the stream is in the queue already, the shard has yet to clear the flag and take the list: it will
        // find everyone that is in it now.
        if list.queued.swap(true, Ordering::AcqRel) {
            continue;
        }
        if !shard.push(stream) {
            list.queued.store(false, Ordering::Release);
            list.wake(taken);
        }
    }
}

/// Streams whose readers on one thread are to be woken.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct ShardQueue(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    attached: bool,
    streams: Vec<Arc<Stream>>,
    waker: Option<Waker>,
}

impl ShardQueue {
    fn push(&self, stream: &Arc<Stream>) -> bool {
        let waker = {
            let mut queue = lock(&self.0);
            if !queue.attached {
                return false;
            }
            queue.streams.push(stream.clone());
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

/// Wakes the readers of one thread, on that thread: a future that never completes.
///
/// Optional. A driver with one single-threaded runtime per core spawns one on each, and gives readers of that runtime its
/// number in [`ReadOptions::shard`](crate::ReadOptions::shard). Readers whose shard does not run are woken by the
/// publisher, one by one.
pub struct Shard {
    queues: Arc<[ShardQueue]>,
    index: usize,
    streams: Vec<Arc<Stream>>,
    taken: Taken,
}

impl Shard {
    pub(crate) fn attach(queues: &Arc<[ShardQueue]>, index: usize) -> Option<Self> {
        let mut queue = lock(&queues.get(index)?.0);
        if queue.attached {
            return None;
        }
        queue.attached = true;
        drop(queue);
        Some(Self { queues: queues.clone(), index, streams: Vec::new(), taken: Vec::new() })
    }

    fn wake_queued(&mut self) {
        for stream in self.streams.drain(..) {
            let list = stream.wait_list(self.index);
            // Before the list is taken, so that a publisher that finds the flag set knows it will be.
            list.queued.swap(false, Ordering::AcqRel);
            list.wake(&mut self.taken);
        }
    }
}

impl Future for Shard {
    type Output = Infallible;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Infallible> {
        let shard = &mut *self;
        {
            let mut queue = lock(&shard.queues[shard.index].0);
            if !queue.waker.as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
                queue.waker = Some(cx.waker().clone());
            }
            std::mem::swap(&mut queue.streams, &mut shard.streams);
        }
        shard.wake_queued();
        Poll::Pending
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        {
            let mut queue = lock(&self.queues[self.index].0);
            queue.attached = false;
            queue.waker = None;
            self.streams.append(&mut queue.streams);
        }
        self.wake_queued();
    }
}

impl Origin {
    /// The waker of thread `index`. `None` if it is in use already or `index` is not below
    /// [`Config::shards`](crate::Config::shards).
    pub fn shard(&self, index: usize) -> Option<Shard> {
        Shard::attach(&self.inner.shards, index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::CountingWaker;

    #[test]
    fn waker_that_registers_again_takes_no_second_place() {
        let (list, counter) = (WaitList::default(), CountingWaker::new());
        let mut ticket = Ticket::default();
        for _ in 0..3 {
            list.register(&mut ticket, &counter.waker());
        }
        list.wake(&mut Vec::new());
        assert_eq!(counter.wakes(), 1);
        list.wake(&mut Vec::new());
        assert_eq!(counter.wakes(), 1, "it has to register again");
    }

    #[test]
    fn another_waker_replaces_the_first_at_its_place() {
        let (list, first, second) = (WaitList::default(), CountingWaker::new(), CountingWaker::new());
        let mut ticket = Ticket::default();
        list.register(&mut ticket, &first.waker());
        list.register(&mut ticket, &second.waker());
        list.wake(&mut Vec::new());
        assert_eq!((first.wakes(), second.wakes()), (0, 1));
    }

    #[test]
    fn places_of_those_who_left_are_used_again() {
        let (list, counter) = (WaitList::default(), CountingWaker::new());
        for _ in 0..1000 {
            let mut ticket = Ticket::default();
            list.register(&mut ticket, &counter.waker());
            list.deregister(&mut ticket);
        }
        assert_eq!(lock(&list.waiters).places.len(), 1);
        list.wake(&mut Vec::new());
        assert_eq!(counter.wakes(), 0);
    }

    #[test]
    fn stale_ticket_does_not_touch_the_place_of_another() {
        let (list, first, second) = (WaitList::default(), CountingWaker::new(), CountingWaker::new());
        let (mut stale, mut fresh) = (Ticket::default(), Ticket::default());
        list.register(&mut stale, &first.waker());
        list.wake(&mut Vec::new());
        list.register(&mut fresh, &second.waker());
        list.deregister(&mut stale);
        list.wake(&mut Vec::new());
        assert_eq!((first.wakes(), second.wakes()), (1, 1));
    }
}
