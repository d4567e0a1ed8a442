//! A recording as one presentation: its spans one after the other.

use super::index::{Form, Indexes};
use super::name::{Moment, SpanId, parse_rfc3339};
use super::pieces::PlannedFile;
use super::segments;
use super::span::Span;
use crate::record::{Entry, FileName};
use api::{RecordedFile, Recording, RecordingState};
use media::{Time, TrackId};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A span at its place in the recording.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) id: SpanId,
    pub(super) file: PlannedFile,
    pub(super) span: Arc<Span>,
    /// When it begins in the recording, in milliseconds.
    pub(super) start_ms: u64,
    /// The time of day at which it begins.
    pub(super) date: Option<SystemTime>,
}

impl Part {
    /// When it begins in the recording.
    pub(super) fn start(&self) -> Time {
        start(self.start_ms)
    }

    /// When it ends.
    pub(super) fn end(&self) -> Time {
        self.start() + self.span.length
    }

    /// A time of the recording on the clock of the span.
    pub(super) fn local(&self, window: &Range<Time>) -> Range<Time> {
        let local = |time: Time| Time::from_nanos(time - self.start());
        local(window.start)..local(window.end)
    }
}

/// When a span begins, of the milliseconds in names.
pub(super) fn start(start_ms: u64) -> Time {
    Time::from_millis(i64::try_from(start_ms).unwrap_or(i64::MAX))
}

/// A recording that is played.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) parts: Vec<Part>,
    /// Whether nothing more comes.
    pub(super) complete: bool,
    /// From the beginning of the clock, when something is decoded first, to when something is shown first.
    pub(super) opening: Duration,
}

impl Timeline {
    /// Of all files of a recording that `window` may be in: a time from what is shown first on. It is returned on the clock of the
    /// recording.
    pub(super) async fn load(
        indexes: &Arc<Indexes>,
        entry: &Arc<Entry>,
        window: impl Fn(&Recording) -> Range<Time>,
    ) -> io::Result<(Self, Range<Time>)> {
        /// What the description says of times is not exact.
        const MARGIN: Duration = Duration::from_secs(2);
        let description = entry.describe();
        let window = window(&description);
        let mut timeline =
            Self { parts: Vec::new(), complete: is_complete(&description), opening: Duration::ZERO };
        for (at, file) in description.files.iter().enumerate() {
            let begin = start(file.start_ms);
            let end = begin + Duration::from_millis(file.duration_ms);
            let is_last = at + 1 == description.files.len();
            // The first one says when it begins to be shown.
            let is_elsewhere = begin - MARGIN >= window.end || (end + MARGIN <= window.start && !is_last);
            if is_elsewhere && at > 0 {
                continue;
            }
            match parts(indexes, entry, &description, at).await {
                Ok(parts) => timeline.parts.extend(parts),
                // One that is being made may have nothing yet, and one that failed has nothing any more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let shown = |part: &Part| {
            let first = part.span.tracks.iter().map(|track| track.shown_at(0)).min();
            first.unwrap_or_default().since(Time::ZERO)
        };
        timeline.opening = timeline.parts.first().map(shown).unwrap_or_default();
        // What is before the first picture belongs to the beginning.
        let start = if window.start <= Time::ZERO { window.start } else { window.start + timeline.opening };
        let window = start..window.end + timeline.opening;
        timeline.parts.retain(|part| part.start() < window.end);
        Ok((timeline, window))
    }

    /// The tracks of all parts.
    pub(super) fn tracks(&self) -> Vec<TrackId> {
        let mut tracks: Vec<_> =
            self.parts.iter().flat_map(|part| part.span.tracks.iter().map(|track| track.media.id)).collect();
        tracks.sort_unstable();
        tracks.dedup();
        tracks
    }

    /// Where it ends, as far as there is something.
    pub(super) fn end(&self) -> Time {
        self.parts.last().map_or(Time::ZERO, Part::end)
    }
}

/// What is in the file at this place of the list, as far as there is something.
///
/// # Errors
///
/// Those of reading; `NotFound` where the file is not there, or not yet.
pub(super) async fn parts(
    indexes: &Arc<Indexes>,
    entry: &Arc<Entry>,
    description: &Recording,
    at: usize,
) -> io::Result<Vec<Part>> {
    let file = description.files.get(at).ok_or(io::ErrorKind::NotFound)?;
    let name = FileName::parse(&file.name);
    let Some((name, number)) = name.and_then(|name| Some((name.clone(), number(&name)?))) else {
        return Ok(Vec::new());
    };
    let form = form(description, file, at + 1 == description.files.len());
    let index = indexes.get(entry, &name, form).await?;
    let mut start_ms = file.start_ms;
    let mut parts = Vec::with_capacity(index.spans.len());
    for (span, number_of_span) in index.spans.iter().zip(0..) {
        let of_file = Duration::from_millis(start_ms - file.start_ms);
        parts.push(Part {
            id: SpanId { file: number, span: number_of_span },
            file: index.planned(),
            span: span.clone(),
            start_ms,
            date: date(description, file).map(|date| date + of_file + paused(description, file, start_ms)),
        });
        start_ms += u64::try_from(span.length.as_millis()).unwrap_or(u64::MAX).min(u64::MAX - start_ms);
    }
    Ok(parts)
}

/// What parts of a file are called by: its number, or 0 for all segments together.
pub(super) fn number(name: &FileName) -> Option<u32> {
    if name.is_playlist() { Some(0) } else { name.number() }
}

/// How long nothing was recorded before `start_ms`, in segments, which are one file. Others go on in the next one, which says when
/// it began.
fn paused(description: &Recording, file: &RecordedFile, start_ms: u64) -> Duration {
    /// What the description says of times is not exact.
    const MARGIN_MS: u64 = 500;
    if !is_in_segments(file) {
        return Duration::ZERO;
    }
    let gaps = description.gaps.iter().filter(|gap| gap.at_ms <= start_ms.saturating_add(MARGIN_MS));
    gaps.filter(|_| start_ms > 0).map(|gap| Duration::from_millis(gap.lasted_ms)).sum()
}

fn is_in_segments(file: &RecordedFile) -> bool {
    FileName::parse(&file.name).is_some_and(|name| name.is_playlist())
}

/// Whether nothing more comes.
pub(super) fn is_complete(description: &Recording) -> bool {
    matches!(description.state, RecordingState::Complete | RecordingState::Finishing)
}

/// How a file stands.
pub(super) fn form(description: &Recording, file: &RecordedFile, is_last: bool) -> Form {
    match file.finished {
        true => Form::Finished,
        false if is_last && !is_complete(description) => Form::Growing(file.bytes),
        false => Form::Ended,
    }
}

/// The time of day at which a file begins.
fn date(description: &Recording, file: &RecordedFile) -> Option<SystemTime> {
    let of_file = file.started_at.as_deref().and_then(parse_rfc3339);
    let of_all = || Some(parse_rfc3339(&description.started_at)? + Duration::from_millis(file.start_ms));
    of_file.or_else(of_all)
}

/// A moment on the clock of a recording.
pub(super) fn resolve(description: &Recording, moment: Moment) -> Time {
    if description.files.iter().any(is_in_segments) {
        return segments::resolve(description, moment);
    }
    let at = match moment {
        Moment::After(time) => return Time::ZERO + time,
        Moment::At(at) => at,
    };
    // In the last file that began before; what lies in no file is where the next one begins.
    let mut found = Time::ZERO;
    for file in &description.files {
        let Some(after) = date(description, file).and_then(|date| at.duration_since(date).ok()) else {
            break;
        };
        found = start(file.start_ms) + after;
        if file.duration_ms > 0 {
            found = found.min(start(file.start_ms) + Duration::from_millis(file.duration_ms));
        }
    }
    found
}
