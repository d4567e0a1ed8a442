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
/// A task of its own feeds it, since hyper does not poll the body of a peer that takes nothing: here that has a deadline.
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
        loop {
            edge.mark_unchanged();
            let Some(media) = channel.segment(track, number, sent) else { return };
            for part in media.parts {
                sent += 1;
                count(&metrics, &channel, viewer, part.len());
                if !matches!(tokio::time::timeout(write_timeout, parts.send(part)).await, Ok(Ok(()))) {
                    return;
                }
            }
            if media.closed {
                return;
            }
            tokio::select! {
                changed = edge.changed() => if changed.is_err() { return },
                () = parts.closed() => return,
                () = env.shutdown.triggered() => return,
            }
        }
    });
    Body::new(Fed(rest))
}

/// What a task sends.
pub(super) struct Fed(pub(super) mpsc::Receiver<Bytes>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = ready!(self.0.poll_recv(cx));
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
