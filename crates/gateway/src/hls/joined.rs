//! All tracks of a stream in one answer that does not end: what decoders must know, the newest segment, and each part when it
//! comes. A player has a picture after one request.

use super::answer::count;
use super::body::Fed;
use super::channel::Channel;
use super::ts::TsReader;
use super::viewers::ViewerKey;
use crate::Env;
use crate::metrics::ProtocolMetrics;
use axum::body::Body;
use bytes::Bytes;
use media::{Time, TrackId};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, watch};

/// Where a reader is in one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) track: TrackId,
    pub(super) segment: u64,
    pub(super) part: usize,
    /// Interruptions before the segment that it began with. It ends before the next one: what decoders must know may be
    /// different then.
    pub(super) discontinuities: u64,
}

/// A part on its way to a reader.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) start: Time,
    pub(super) bytes: Bytes,
}

/// What is due to a reader now.
#[derive(Debug)]
pub(super) enum Step {
    /// In the order of their times; maybe none.
    Parts(Vec<Due>),
    /// There will be no more for it.
    End,
}

/// All tracks as one MP4; `None` while there is no track to begin with.
pub(super) fn joined(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    channel: Arc<Channel>,
    viewer: ViewerKey,
) -> Option<Body> {
    let (init, mut places) = channel.join()?;
    let changes = channel.changes();
    Some(endless(env, metrics, channel, viewer, init, changes, move |channel| channel.step(&mut places)))
}

/// The transport stream.
pub(super) fn transport(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    channel: Arc<Channel>,
    viewer: ViewerKey,
) -> Body {
    let mut reader = TsReader::new(channel.clone(), &env.shutdown, Instant::now());
    let rounds = channel.transport.rounds();
    endless(env, metrics, channel, viewer, Bytes::new(), rounds, move |_| reader.step())
}

/// `first`, and what `step` finds each time that `changes` tells of something.
fn endless(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    channel: Arc<Channel>,
    viewer: ViewerKey,
    first: Bytes,
    mut changes: watch::Receiver<u64>,
    mut step: impl FnMut(&Channel) -> Step + Send + 'static,
) -> Body {
    let (pieces, rest) = mpsc::channel(1);
    tokio::spawn(async move {
        let write_timeout = env.config.http.write_timeout();
        let mut next = vec![first];
        loop {
            // One write for what is there at once.
            let bytes = Bytes::from(next.concat());
            if !bytes.is_empty() {
                count(&metrics, &channel, viewer, bytes.len());
                channel.note_asked(Instant::now());
                if !matches!(tokio::time::timeout(write_timeout, pieces.send(Some(bytes))).await, Ok(Ok(())))
                {
                    return;
                }
            }
            changes.mark_unchanged();
            let Step::Parts(parts) = step(&channel) else {
                let _ = tokio::time::timeout(write_timeout, pieces.send(None)).await;
                return;
            };
            next = parts.into_iter().map(|part| part.bytes).collect();
            if !next.is_empty() {
                continue;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = pieces.closed() => return,
                () = channel.stopped() => return,
                () = env.shutdown.triggered() => return,
            }
        }
    });
    Body::new(Fed::new(rest))
}
