//! Pause, resume and seek.

use super::{Begin, Cause, Cursor, Stage, View};
use crate::SeekError;
use crate::join::From;
use crate::log::Log;
use media::Time;
use std::time::Instant;

impl Cursor {
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Remembers the position as numbers: a paused reader keeps no packet alive.
    pub(crate) fn pause(&mut self) {
        self.paused = true;
        self.pacing = None;
        if let Stage::Opening(opening) = &self.stage
            && (opening.preamble.is_some() || opening.key.is_some())
        {
            // Nothing that can be decoded has been delivered, so it begins again at the same keyframe.
            let back_from = opening.back.start;
            let begin = Begin { from: From::Dts(opening.dts), cause: Cause::Resume, back_from };
            self.stage = Stage::Begin(Box::new(begin));
        }
    }

    /// Goes on. A position that has left the log meanwhile is given up for the oldest there is.
    pub(crate) fn resume(&mut self, view: View<'_>) {
        self.paused = false;
        if matches!(self.stage, Stage::Begin(_)) {
            return;
        }
        if self.next < view.log.first() {
            let oldest = From::Dts(Time::from_nanos(i64::MIN));
            self.stage = Stage::Begin(Box::new(Begin { from: oldest, cause: Cause::Resume, back_from: 0 }));
        } else if let Some(entry) = view.log.get(self.next) {
            self.pace_from(entry.packet.dts, view);
        }
    }

    /// Goes to the last place that is not later than `dts`, and returns its time.
    pub(crate) fn seek(&mut self, dts: Time, view: View<'_>) -> Result<Time, SeekError> {
        let (first, last) = self.reach(view.log, view.now).ok_or(SeekError::Nothing)?;
        if dts < first || dts > last {
            return Err(SeekError::Outside { first, last, nearest: dts.clamp(first, last) });
        }
        let place = view.log.find(From::Dts(dts), self.wants_video, view.now);
        let found = place.map_err(|_| SeekError::Nothing)?.dts;
        // Looked up again by the next pick, which may be long after, so that nothing is held until then.
        self.stage =
            Stage::Begin(Box::new(Begin { from: From::Dts(found), cause: Cause::Seek, back_from: 0 }));
        self.live = false;
        Ok(found)
    }

    /// The times that can be gone to, the first and the last.
    pub(crate) fn reach(&self, log: &Log, now: Instant) -> Option<(Time, Time)> {
        log.reach(self.wants_video, now).filter(|_| self.joined)
    }
}
