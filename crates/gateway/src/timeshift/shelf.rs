//! The segments of one track that are kept on the disk, or are on the way there.

use super::limits::GRACE;
use super::{Entry, Timeshift};
use crate::hls::Line;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Segments in order, without a gap. It forgets those that have left the lists for a while.
#[derive(Debug)]
pub(crate) struct Shelf {
    timeshift: Arc<Timeshift>,
    kept: VecDeque<Kept>,
    /// The oldest that is listed.
    first_listed: u64,
    /// How long those last that are listed.
    listed: Duration,
    /// How long the others last.
    unlisted: Duration,
}

#[derive(Debug)]
struct Kept {
    line: Line,
    entry: Arc<Entry>,
}

impl Shelf {
    /// An empty shelf.
    pub(crate) fn new(timeshift: Arc<Timeshift>) -> Self {
        Self {
            timeshift,
            kept: VecDeque::new(),
            first_listed: 0,
            listed: Duration::ZERO,
            unlisted: Duration::ZERO,
        }
    }

    /// Puts a segment on the shelf that is complete. What has been lost since, and what comes before it, leaves.
    pub(crate) fn put(&mut self, line: Line, pieces: Vec<Bytes>) {
        let is_next = self.kept.back().is_none_or(|last| last.line.number + 1 == line.number);
        let left = if is_next { self.first_whole() } else { self.kept.len() };
        (0..left).for_each(|_| self.drop_first());
        let entry = self.timeshift.put(pieces);
        self.kept.push_back(Kept { line, entry });
        self.listed += line.duration;
        let window = self.timeshift.window();
        for kept in &self.kept {
            let (number, rest) = (kept.line.number, self.listed.saturating_sub(kept.line.duration));
            if number < self.first_listed {
                continue;
            }
            if rest < window {
                break;
            }
            (self.first_listed, self.listed) = (number + 1, rest);
            self.unlisted += kept.line.duration;
        }
        while let Some(first) = self.kept.front()
            && first.line.number < self.first_listed
            && self.unlisted.saturating_sub(first.line.duration) >= GRACE
        {
            self.drop_first();
        }
    }

    /// Those of the listed segments that come before segment `number`, and lead up to it; all of them where there is no `number`.
    pub(crate) fn lines(&self, number: Option<u64>) -> impl Iterator<Item = Line> {
        let whole = self.kept.range(self.first_whole()..).map(|kept| kept.line);
        let leads_up = match (number, self.kept.back()) {
            (Some(number), Some(last)) => last.line.number + 1 >= number,
            _ => true,
        };
        let is_listed = move |line: &Line| {
            leads_up && line.number >= self.first_listed && number.is_none_or(|number| line.number < number)
        };
        whole.filter(is_listed)
    }

    /// A segment that is still there.
    pub(crate) fn entry(&self, number: u64) -> Option<Arc<Entry>> {
        let first = self.kept.front()?.line.number;
        let kept = self.kept.get(usize::try_from(number.checked_sub(first)?).ok()?)?;
        (!kept.entry.is_gone()).then(|| kept.entry.clone())
    }

    /// The number of the segment that goes on where these end.
    pub(crate) fn next(&self) -> Option<u64> {
        self.kept.back().map(|last| last.line.number + 1)
    }

    /// The oldest segment that is there, listed or not.
    pub(crate) fn first(&self) -> Option<Line> {
        self.kept.front().map(|kept| kept.line)
    }

    /// The index of the first segment after which none is gone.
    fn first_whole(&self) -> usize {
        self.kept.iter().rposition(|kept| kept.entry.is_gone()).map_or(0, |lost| lost + 1)
    }

    fn drop_first(&mut self) {
        let Some(Kept { line, entry }) = self.kept.pop_front() else { return };
        match line.number < self.first_listed {
            true => self.unlisted = self.unlisted.saturating_sub(line.duration),
            false => self.listed = self.listed.saturating_sub(line.duration),
        }
        self.first_listed = self.first_listed.max(line.number + 1);
        self.timeshift.release(&entry);
    }
}

impl Drop for Shelf {
    /// The files leave with what they are listed by.
    fn drop(&mut self) {
        self.kept.iter().for_each(|kept| self.timeshift.release(&kept.entry));
    }
}
