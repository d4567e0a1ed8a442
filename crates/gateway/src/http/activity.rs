//! Whether anything goes on on a connection that hyper has.
//!
//! HTTP/2 has no deadline for a peer that asks for nothing, and answers to pings keep it alive for ever.

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;

/// Counts what is in flight on one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Activity(Arc<watch::Sender<usize>>);

impl Activity {
    /// Something goes on until the guard is dropped.
    pub(super) fn begin(&self) -> InFlight {
        self.0.send_modify(|count| *count += 1);
        InFlight(self.0.clone())
    }

    /// Completes when nothing has been in flight for `span`.
    pub(super) async fn idle_for(&self, span: Duration) {
        let mut count = self.0.subscribe();
        loop {
            // Its sender is here, so that waiting never fails.
            let _ = count.wait_for(|count| *count == 0).await;
            if tokio::time::timeout(span, count.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// A request, or its answer.
#[derive(Debug)]
pub(super) struct InFlight(Arc<watch::Sender<usize>>);

impl InFlight {
    /// Keeps an answer that lasts, which is live media, in flight until its end. One whose length is known is over when it
    /// is handed to hyper: a peer that then takes nothing of it is as good as idle.
    pub(super) fn hold(self, body: Body) -> Body {
        match http_body::Body::size_hint(&body).exact() {
            Some(_) => body,
            None => Body::new(Held { body, _in_flight: self }),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A body that is in flight.
struct Held {
    body: Body,
    _in_flight: InFlight,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const SPAN: Duration = Duration::from_secs(60);

    async fn idle_after(activity: &Activity) -> Duration {
        let begun = Instant::now();
        activity.idle_for(SPAN).await;
        begun.elapsed()
    }

    fn hold_for(activity: &Activity, span: Duration, body: Body) {
        let held = activity.begin().hold(body);
        tokio::spawn(async move {
            tokio::time::sleep(span).await;
            drop(held);
        });
    }

    #[tokio::test(start_paused = true)]
    async fn idling_begins_when_the_last_lasting_answer_ends() {
        let activity = Activity::default();
        assert_eq!(idle_after(&activity).await.as_secs(), 60);
        let endless = || Body::new(Held { body: Body::empty(), _in_flight: Activity::default().begin() });
        hold_for(&activity, Duration::from_secs(100), endless());
        hold_for(&activity, Duration::from_secs(130), endless());
        assert_eq!(idle_after(&activity).await.as_secs(), 190);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_known_length_is_over_when_hyper_has_it() {
        let activity = Activity::default();
        hold_for(&activity, Duration::from_secs(1000), Body::from("answer"));
        assert_eq!(idle_after(&activity).await.as_secs(), 60);
    }
}
