//! Whether anything goes on on a connection that hyper has.
//!
//! HTTP/2 has no deadline for a peer that asks for nothing, and answers to pings keep it alive for ever. An answer of known
//! length is over for us when hyper has taken it, and may be on its way to a slow peer for minutes after that.

use crate::stall::PROGRESS_BYTES_MIN;
use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Counts what is in flight on one connection, and what is written to it.
#[derive(Debug, Clone)]
pub(super) struct Activity {
    requests: Arc<Requests>,
    written: Arc<AtomicU64>,
}

/// Counted without waking anybody: a player has several for each part.
#[derive(Debug)]
struct Requests {
    begun: Instant,
    in_flight: AtomicUsize,
    /// When the last one ended, in nanoseconds after `begun`.
    last_end: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        let requests =
            Requests { begun: Instant::now(), in_flight: AtomicUsize::new(0), last_end: AtomicU64::new(0) };
        Self { requests: Arc::new(requests), written: Arc::default() }
    }
}

impl Activity {
    /// Something goes on until the guard is dropped.
    pub(super) fn begin(&self) -> InFlight {
        self.requests.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.requests.clone())
    }

    /// Counts what is written to `stream`.
    pub(super) fn watch<S>(&self, stream: S) -> Watched<S> {
        Watched { stream, written: self.written.clone() }
    }

    /// Completes when nothing has been in flight for `span`, and next to nothing was written: pings are not worth a
    /// connection.
    pub(super) async fn idle_for(&self, span: Duration) {
        let Requests { begun, in_flight, last_end } = &*self.requests;
        let mut since = Instant::now();
        let mut before = self.written.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep_until(since + span).await;
            let last_end = *begun + Duration::from_nanos(last_end.load(Ordering::Relaxed));
            let written = self.written.load(Ordering::Relaxed);
            if in_flight.load(Ordering::Relaxed) > 0 || written - before >= PROGRESS_BYTES_MIN {
                (since, before) = (Instant::now(), written);
            } else if last_end > since {
                since = last_end;
            } else {
                return;
            }
        }
    }
}

/// A request, or its answer.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Requests>);

impl InFlight {
    /// Keeps an answer that lasts, which is live media, in flight until its end. Of one whose length is known, the rest is
    /// what is written.
    pub(super) fn hold(self, body: Body) -> Body {
        match http_body::Body::size_hint(&body).exact() {
            Some(_) => body,
            None => Body::new(Held { body, _in_flight: self }),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Requests { begun, in_flight, last_end } = &*self.0;
        last_end.store(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose written bytes are counted.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    written: Arc<AtomicU64>,
}

impl<S> Watched<S> {
    /// The stream, of which nothing is counted any more.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    fn count(&self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = result {
            self.written.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.count(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
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
    use tokio::io::AsyncWriteExt;

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

    /// Writes so many bytes every 20 seconds, so many times.
    fn write(activity: &Activity, bytes: usize, times: u32) {
        let mut stream = activity.watch(tokio::io::sink());
        tokio::spawn(async move {
            for _ in 0..times {
                tokio::time::sleep(SPAN / 3).await;
                stream.write_all(&vec![0; bytes]).await.unwrap();
            }
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_download_goes_on_as_long_as_it_makes_progress() {
        let activity = Activity::default();
        write(&activity, PROGRESS_BYTES_MIN as usize, 14);
        assert_eq!(
            idle_after(&activity).await.as_secs(),
            360,
            "280 seconds, the rest of that span, and one more"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn pings_are_no_progress() {
        let activity = Activity::default();
        write(&activity, 17, 1000);
        assert_eq!(idle_after(&activity).await.as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_known_length_is_over_when_hyper_has_it() {
        let activity = Activity::default();
        hold_for(&activity, Duration::from_secs(1000), Body::from("answer"));
        assert_eq!(idle_after(&activity).await.as_secs(), 60);
    }
}
