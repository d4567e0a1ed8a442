//! Telling every task that the program ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Held by everything that must end with the program.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<State>);

/// Ends the program for all holders of its [`Shutdown`], at the latest when it is dropped.
#[derive(Debug)]
pub struct ShutdownTrigger(Arc<State>);

#[derive(Debug, Default)]
struct State {
    triggered: AtomicBool,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    places: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl State {
    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shutdown {
    /// A trigger and the handle that is cloned into tasks.
    pub fn new() -> (ShutdownTrigger, Shutdown) {
        let state = Arc::<State>::default();
        (ShutdownTrigger(state.clone()), Shutdown(state))
    }

    /// Whether the end was asked for.
    pub fn is_triggered(&self) -> bool {
        self.0.triggered.load(Ordering::Acquire)
    }

    /// Completes when the end is asked for.
    pub fn triggered(&self) -> Triggered {
        Triggered { state: self.0.clone(), place: None }
    }
}

impl ShutdownTrigger {
    /// Asks for the end. Later calls do nothing.
    pub fn trigger(&self) {
        self.0.triggered.store(true, Ordering::Release);
        let wakers: Vec<_> = self.0.waiters().places.iter_mut().filter_map(Option::take).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for ShutdownTrigger {
    fn drop(&mut self) {
        self.trigger();
    }
}

/// Completes when the end of the program is asked for.
///
/// A session polls it on every wake, thousands of times before the one that matters. So it registers once for each task,
/// and from then on a poll is one load from memory that nobody writes.
#[derive(Debug)]
pub struct Triggered {
    state: Arc<State>,
    /// The place among the waiters, and the waker that stands there.
    place: Option<(usize, Waker)>,
}

impl Future for Triggered {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.state.triggered.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if self.place.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let mut waiters = self.state.waiters();
        let free = self.place.as_ref().map(|(place, _)| *place).or_else(|| waiters.free.pop());
        let place = free.unwrap_or_else(|| {
            waiters.places.push(None);
            waiters.places.len() - 1
        });
        waiters.places[place] = Some(cx.waker().clone());
        drop(waiters);
        self.place = Some((place, cx.waker().clone()));
        // Triggered between the two: the waker may have come too late.
        if self.state.triggered.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Triggered {
    fn drop(&mut self) {
        if let Some((place, _)) = self.place {
            let mut waiters = self.state.waiters();
            waiters.places[place] = None;
            waiters.free.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::pin::pin;

    #[tokio::test]
    async fn all_holders_see_the_trigger_also_those_that_come_late() {
        let (trigger, shutdown) = Shutdown::new();
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.triggered().await }
        });
        tokio::task::yield_now().await;
        assert!(!shutdown.is_triggered());
        trigger.trigger();
        early.await.unwrap();
        shutdown.triggered().await;
        assert!(shutdown.is_triggered());
    }

    #[tokio::test]
    async fn a_trigger_that_is_dropped_has_triggered() {
        let (trigger, shutdown) = Shutdown::new();
        drop(trigger);
        shutdown.triggered().await;
    }

    #[tokio::test]
    async fn places_of_those_who_left_are_used_again() {
        let (_trigger, shutdown) = Shutdown::new();
        for _ in 0..100 {
            let mut waiting = pin!(shutdown.triggered());
            poll_fn(|cx| {
                assert!(waiting.as_mut().poll(cx).is_pending());
                assert!(waiting.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        assert_eq!(shutdown.0.waiters().places.len(), 1);
    }
}
