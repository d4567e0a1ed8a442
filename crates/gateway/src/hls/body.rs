//! Bodies of answers: pieces that are there, and a segment that grows.

use super::answer::count;
use super::channel::Channel;
use super::viewers::ViewerKey;
use crate::Env;
use crate::metrics::ProtocolMetrics;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use media::TrackId;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// Pieces whose length is known, shared with the window.
pub(super) struct Chunks {
    pieces: VecDeque<Bytes>,
    left: u64,
}

impl Chunks {
    pub(super) fn new(pieces: Vec<Bytes>) -> Self {
        Self { left: pieces.iter().map(|piece| piece.len() as u64).sum(), pieces: pieces.into() }
    }
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.pop_front();
        self.left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A segment that is not complete: what is there at once, and each further part when it comes.
///
/// A task of its own feeds it, since hyper does not poll the body of a peer that takes nothing: here that has a deadline. A segment
/// that does not become complete ends with an error, so that neither players nor caches take what there is of it for the whole.
pub(super) fn growing(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    channel: Arc<Channel>,
    viewer: ViewerKey,
    track: TrackId,
    number: u64,
) -> Body {
    let (parts, rest) = mpsc::channel(1);
    tokio::spawn(async move {
        let Some(mut edge) = channel.follow(track) else { return };
        let write_timeout = env.config.http.write_timeout();
        let mut sent = 0;
        let send =
            async |piece| matches!(tokio::time::timeout(write_timeout, parts.send(piece)).await, Ok(Ok(())));
        loop {
            let has_ended = edge.borrow_and_update().ended;
            let Some(media) = channel.segment(track, number, sent) else { return };
            for part in media.parts {
                sent += 1;
                count(&metrics, &channel, viewer, part.len());
                if !send(Some(part)).await {
                    return;
                }
            }
            if media.closed {
                send(None).await;
                return;
            }
            if has_ended {
                return;
            }
            tokio::select! {
                changed = edge.changed() => if changed.is_err() { return },
                () = parts.closed() => return,
                () = channel.stopped() => return,
                () = env.shutdown.triggered() => return,
            }
        }
    });
    Body::new(Fed::new(rest))
}

/// What a task sends: pieces, and then that there are no more. A task that ends without saying so has failed.
pub(super) struct Fed {
    pieces: mpsc::Receiver<Option<Bytes>>,
    complete: bool,
}

impl Fed {
    pub(super) fn new(pieces: mpsc::Receiver<Option<Bytes>>) -> Self {
        Self { pieces, complete: false }
    }
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.complete {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.pieces.poll_recv(cx)) {
            Some(Some(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(None) => {
                self.complete = true;
                None
            }
            None => Some(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the segment does not become complete",
            ))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse_channel};
    use crate::hls::muxer::Packed;
    use crate::hls::window::{Keep, NewSegment, Part};
    use axum::http::HeaderMap;
    use media::Time;
    use std::net::Ipv4Addr;
    use std::time::{Duration, Instant, SystemTime};

    const KEEP: Keep = Keep { listed: Duration::from_secs(60), bytes_max: usize::MAX };

    fn part(is_first: bool, closes: bool) -> Packed {
        let new = is_first.then_some(NewSegment {
            init: None,
            number: 7,
            start: Time::ZERO,
            date: SystemTime::UNIX_EPOCH,
            discontinuities: 0,
        });
        let part = Part {
            bytes: "part".into(),
            duration: Duration::from_millis(300),
            frames: 9,
            independent: is_first,
        };
        Packed { track: TrackId::VIDEO, new, part, closes }
    }

    /// The body of a segment that has one part, after `then`.
    async fn body(then: impl FnOnce(&Channel, &net::ShutdownTrigger)) -> Result<Bytes, axum::Error> {
        let config = Config::default();
        let policy = config.access.to_policy(None, None);
        let (trigger, shutdown) = net::Shutdown::new();
        let env = Env::new(config, policy, 1, shutdown);
        let name = parse_channel("live/cam").unwrap();
        let channel = Arc::new(Channel::new(name, KEEP, Instant::now()));
        channel.append(part(true, false));
        let viewer = ViewerKey::of(Ipv4Addr::LOCALHOST.into(), "", &HeaderMap::new());
        let metrics = env.metrics.protocol("hls");
        let body = growing(env, metrics, channel.clone(), viewer, TrackId::VIDEO, 7);
        tokio::task::yield_now().await;
        then(&channel, &trigger);
        axum::body::to_bytes(body, usize::MAX).await
    }

    #[tokio::test]
    async fn a_segment_that_becomes_complete_has_all_its_parts() {
        let whole = body(|channel, _| channel.append(part(false, true))).await;
        assert_eq!(whole.unwrap(), "partpart");
    }

    #[tokio::test]
    async fn a_segment_that_is_cut_off_ends_with_an_error() {
        assert!(body(|_, trigger| trigger.trigger()).await.is_err(), "at shutdown");
        assert!(body(|channel, _| channel.end()).await.is_err(), "at an end that does not finish it");
        assert!(body(|channel, _| channel.stop()).await.is_err(), "when no more is made of it");
    }
}
