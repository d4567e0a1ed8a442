//! Telling apart why a task was woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

/// Separates the rare wakes of a viewer's task, by its socket or a timer, from the many by the hub.
///
/// A viewer is woken by the hub dozens of times a second, and all it has to do then is to pick and write. Looking at
/// the socket for input and at timers each time would cost as much again. So those are polled with the waker from
/// here, which leaves a mark, and only when the mark is there.
#[derive(Debug, Default)]
pub struct Control(Option<(Arc<Mark>, Waker)>);

#[derive(Debug)]
struct Mark {
    woken: AtomicBool,
    task: Waker,
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the task is woken, so that it finds the mark.
        self.woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl Control {
    /// Whether the waker from here was used since the last call. True on the first call, and whenever `cx` belongs to
    /// another task than before: whatever was registered then must be registered anew.
    pub fn take(&mut self, cx: &Context<'_>) -> bool {
        if let Some((mark, _)) = &self.0
            && mark.task.will_wake(cx.waker())
        {
            return mark.woken.load(Ordering::Relaxed) && mark.woken.swap(false, Ordering::AcqRel);
        }
        let mark = Arc::new(Mark { woken: AtomicBool::new(false), task: cx.waker().clone() });
        self.0 = Some((mark.clone(), Waker::from(mark)));
        true
    }

    /// The waker for sockets and timers; a waker that does nothing before the first [`Control::take`].
    pub fn waker(&self) -> Waker {
        self.0.as_ref().map_or_else(|| Waker::noop().clone(), |(_, waker)| waker.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_waker_from_here_leaves_the_mark_and_only_once() {
        struct Task;
        impl Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let task = Waker::from(Arc::new(Task));
        let cx = Context::from_waker(&task);
        let mut control = Control::default();
        assert!(control.take(&cx), "nothing is registered yet");
        assert!(!control.take(&cx));
        control.waker().wake();
        assert!(control.take(&cx));
        task.wake_by_ref();
        assert!(!control.take(&cx));
    }
}
