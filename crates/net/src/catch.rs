//! Panics stay inside the session they happen in.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs `session` to its end; a panic in it becomes `Err`, so that the caller can count it and go on.
pub async fn catch_panic<F: Future>(session: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut session = pin!(session);
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| session.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}
