//! The segments of one track that are kept on the disk, or are on the way there.

use super::limits::GRACE;
use super::{Entry, Timeshift};
use crate::hls::Line;
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Segments in order. Those that were lost keep their place between the others. It forgets those that have left the lists for a while.
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

    /// Puts a segment on the shelf that is complete. What is lost leaves when nothing is there before it any more.
    pub(crate) fn put(&mut self, line: Line, pieces: Vec<Bytes>) {
        let is_next = self.kept.back().is_none_or(|last| last.line.number + 1 == line.number);
        let left = if is_next { self.there_from(0) } else { self.kept.len() };
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

    /// Those of the listed segments, `from` or later, that come before segment `number`, and lead up to it; all of them where there is no
    /// `number`. The first one is there; of the others, each says whether it is.
    pub(crate) fn lines(&self, from: u64, number: Option<u64>) -> impl Iterator<Item = Line> {
        self.kept
            .range(self.indices(from, number))
            .map(|kept| Line { lost: kept.entry.is_gone(), ..kept.line })
    }

    /// How long all of those last.
    pub(crate) fn duration(&self, number: Option<u64>) -> Duration {
        let Some(first) = self.first() else { return Duration::ZERO };
        let indices = self.indices(0, number);
        if indices.is_empty() {
            return Duration::ZERO;
        }
        // Few: the lost ones, and those that are in memory too.
        let of = |indices: Range<usize>| -> Duration {
            self.kept.range(indices).map(|kept| kept.line.duration).sum()
        };
        let listed = self.first_listed.saturating_sub(first.number) as usize;
        self.listed.saturating_sub(of(listed..indices.start)).saturating_sub(of(indices.end..self.kept.len()))
    }

    fn indices(&self, from: u64, number: Option<u64>) -> Range<usize> {
        let Some((first, last)) = self.kept.front().zip(self.kept.back()) else { return 0..0 };
        let first = first.line.number;
        let end = match number {
            Some(number) if last.line.number + 1 < number => 0,
            Some(number) => (number.saturating_sub(first) as usize).min(self.kept.len()),
            None => self.kept.len(),
        };
        let start = from.max(self.first_listed).saturating_sub(first) as usize;
        self.there_from(start).min(end)..end
    }

    /// A segment that is still there.
    pub(crate) fn entry(&self, number: u64) -> Option<Arc<Entry>> {
        let first = self.kept.front()?.line.number;
        let kept = self.kept.get(usize::try_from(number.checked_sub(first)?).ok()?)?;
        (!kept.entry.is_gone()).then(|| kept.entry.clone())
    }

    /// A segment that is listed and not there any more.
    pub(crate) fn lost(&self, number: u64) -> Option<Line> {
        let first = self.first()?.number;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        let kept = self.kept.get(index).filter(|_| self.indices(0, None).contains(&index))?;
        kept.entry.is_gone().then_some(Line { lost: true, ..kept.line })
    }

    /// The number of the segment that goes on where these end.
    pub(crate) fn next(&self) -> Option<u64> {
        self.kept.back().map(|last| last.line.number + 1)
    }

    /// The oldest segment that is there, listed or not.
    pub(crate) fn first(&self) -> Option<Line> {
        self.kept.front().map(|kept| kept.line)
    }

    /// The index of the first segment that is there, from `start` on.
    fn there_from(&self, start: usize) -> usize {
        let lost = self.kept.iter().skip(start).take_while(|kept| kept.entry.is_gone());
        start + lost.count()
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
