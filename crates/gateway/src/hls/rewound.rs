//! What there is of a stream in segments, in memory and on the disk, for those who read it back.

use super::channel::{Channel, Phase};
use super::window::{Line, Span};
use crate::timeshift::{self, Entry, Place, Timeshift};
use bytes::Bytes;
use media::{Time, TrackId};
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

/// The segments of one stream.
pub(crate) struct Rewound(Arc<Channel>);

/// What comes next of a track.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Following {
    /// A complete segment.
    Segment(Line),
    /// It is not complete yet.
    Later,
    /// There will be no more.
    End,
}

/// Where a segment is.
enum Stored {
    Memory(Vec<Bytes>),
    Shelf(Arc<Timeshift>, Arc<Entry>),
}

impl Rewound {
    /// Those of `channel`, if viewers can go back in it.
    pub(super) fn of(channel: Arc<Channel>) -> Option<Self> {
        (channel.can_rewind() && *channel.phase.borrow() == Phase::Ready).then_some(Self(channel))
    }

    /// Its tracks.
    pub(crate) fn tracks(&self) -> Vec<TrackId> {
        self.0.tracks()
    }

    /// Whether there will be no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// How far the stream has come, on the clock of its segments, which need not be that of its packets.
    pub(crate) fn newest(&self) -> Option<Time> {
        let ends = self.0.tracks().into_iter().filter_map(|track| {
            let end = |line: Line| line.start + line.duration;
            self.0.look(track, |rendition, _| rendition.lines(Span::Rewind).last().map(end))?
        });
        ends.max()
    }

    /// Follows what is added.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes()
    }

    /// Returns when nothing more is made of a stream that may go on.
    pub(crate) async fn stopped(&self) {
        self.0.stopped().await;
    }

    /// The newest complete segment of a track that begins at `time` or before, or the oldest.
    pub(crate) fn at(&self, track: TrackId, time: Time) -> Option<Line> {
        self.0.look(track, |rendition, _| {
            let closed = || rendition.lines(Span::Rewind).filter(|line| line.closed && !line.lost);
            closed().filter(|line| line.start <= time).last().or(closed().next())
        })?
    }

    /// Segment `number`, or the oldest that is there after it.
    pub(crate) fn following(&self, track: TrackId, number: u64) -> Following {
        let found = self.0.look(track, |rendition, ended| {
            match rendition
                .lines(Span::Rewind)
                .find(|line| line.closed && !line.lost && line.number >= number)
            {
                Some(line) => Following::Segment(line),
                None if ended => Following::End,
                None => Following::Later,
            }
        });
        found.unwrap_or(Following::End)
    }

    /// What a decoder must know first, and the segment.
    ///
    /// # Errors
    ///
    /// `NotFound` where it has left meanwhile; what the system says of its file otherwise.
    pub(crate) async fn read(&self, track: TrackId, line: &Line) -> io::Result<(Bytes, Bytes)> {
        let shelved = |channel: &Channel| {
            let (timeshift, entry) = channel.shelved(track, line.number)?;
            Some(Stored::Shelf(timeshift, entry))
        };
        let init = self.0.init(track, line.init).ok_or(io::ErrorKind::NotFound)?;
        let in_memory = self.0.segment(track, line.number, 0).filter(|media| media.closed);
        let stored = in_memory.map(|media| Stored::Memory(media.parts)).or_else(|| shelved(&self.0));
        let parts = match stored.ok_or(io::ErrorKind::NotFound)? {
            Stored::Memory(parts) => parts,
            Stored::Shelf(timeshift, entry) => match entry.place() {
                Place::Queue(parts) => parts,
                Place::File => vec![timeshift::whole(&timeshift, &entry).await?],
            },
        };
        Ok((init.bytes, parts.concat().into()))
    }
}
