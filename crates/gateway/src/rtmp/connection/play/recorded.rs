//! Recordings on a connection: who may play which, and what becomes of them.

use super::super::super::recorded::{self, Asked, Recorded, State, Told};
use super::{Connection, END_LINGER, FAILED, NOT_FOUND, Playing, Refusal, Source};
use crate::metrics::{Outcome, RejectReason, Role};
use crate::policy::{Action, Request};
use crate::record::Entry;
use crate::sessions::NewSession;
use crate::target::Target;
use crate::vod::{self, Failure};
use rtmp::limits::STREAMS_MAX;
use rtmp::server;
use std::sync::Arc;
use std::time::Instant;
use tracing::debug;

impl Connection {
    /// The recording of this name, for whoever may play its stream. `None` if the name is that of a live stream.
    pub(super) fn find_recorded(&self, app: &str, name: &str) -> Option<Result<Arc<Entry>, Refusal>> {
        let Asked { id, key } = recorded::read(app, name)?;
        let Some(id) = id else {
            // Who publishes to an application of this name is played all the same.
            let is_live = |target: &Target| self.env.origin.presence(&target.name).rank.is_some();
            return match Target::from_rtmp(app, name) {
                Ok(target) if is_live(&target) => None,
                _ => Some(Err(absent(RejectReason::Name))),
            };
        };
        let Some(entry) = self.env.recordings.get(&id) else { return Some(Err(absent(RejectReason::Name))) };
        let request =
            Request { action: Action::Play, name: &entry.name, key: key.as_ref(), local: self.local };
        Some(match self.env.policy.admit(request) {
            Ok(_) => Ok(entry),
            Err(_) => Err(absent(RejectReason::Key)),
        })
    }

    pub(super) fn play_recorded(
        &self,
        entry: Arc<Entry>,
        request: &server::Play,
    ) -> Result<Recorded, Refusal> {
        let guard = self
            .open_session(Role::Play, &entry.name)
            .map_err(|full| Refusal::new(RejectReason::Limit, FAILED, full))?;
        debug!(session = %guard.id(), peer = %self.peer, recording = %entry.id, start = request.start, duration = request.duration, program = %self.user_agent, "playing");
        let of_stream = |(stream_id, _): &&(u32, u32)| *stream_id == request.stream_id;
        let buffer_ms = self.buffers.iter().find(of_stream).map(|(_, ms)| *ms);
        Ok(Recorded::new(self.env.clone(), self.metrics.clone(), guard, entry, request, buffer_ms))
    }

    /// Something is to come behind the recording that a stream plays.
    pub(super) fn queue(&mut self, request: &server::Play, now: Instant) {
        let found = match self.find_recorded(&request.app, &request.name) {
            Some(found) => found,
            None => Err(Refusal::new(
                RejectReason::Name,
                FAILED,
                "a live stream does not come behind a recording: play it with reset",
            )),
        };
        let of_stream = self.playing.iter_mut().find(|playing| playing.stream_id == request.stream_id);
        // It is looked at again when it is due.
        let queued = found.and_then(|_| match of_stream.map(|playing| &mut playing.source) {
            Some(Source::Recorded(recorded)) => {
                recorded.queue(request).map_err(|full| Refusal::new(RejectReason::Limit, FAILED, full))
            }
            _ => Ok(()),
        });
        let Err(refusal) = queued else { return };
        let Refusal { code, description, .. } = self.note_refused(refusal, now);
        self.session.reject_queued(request.stream_id, code, &description);
    }

    /// What a playback of a recording has come to.
    pub(super) fn recorded_told(&mut self, index: usize, told: Told, now: Instant) {
        // How long it may stay is looked at in a turn of its own.
        self.control.waker().wake_by_ref();
        match told {
            Told::Complete => {}
            Told::Next => {
                self.next_recorded(index, now);
                self.queue_answers();
            }
            Told::Failed(failure) => self.recorded_failed(index, failure, now),
        }
    }

    /// A recording does not begin, or does not go on. What is behind it in the playlist is played all the same.
    fn recorded_failed(&mut self, index: usize, failure: Failure, now: Instant) {
        let Some(Playing { stream_id, source: Source::Recorded(recorded) }) = self.playing.get_mut(index)
        else {
            return;
        };
        let (stream_id, state, has_next) = (*stream_id, recorded.state(), recorded.has_next());
        let (reason, code) = match failure {
            Failure::Unreadable => (RejectReason::Busy, FAILED),
            Failure::Empty | Failure::NotYet | Failure::NotLive => (RejectReason::NotFound, NOT_FOUND),
        };
        debug!(session = %recorded.guard().id(), %failure, "play ended");
        let description = match state {
            State::Asked | State::Switching => {
                self.note_refused(Refusal::new(reason, code, failure), now).description
            }
            State::Playing | State::Complete(_) => failure.to_string(),
        };
        match state {
            State::Asked => self.session.reject_play(stream_id, code, &description),
            State::Playing if !has_next => self.session.fail_play(stream_id, code, &description),
            _ => self.session.reject_queued(stream_id, code, &description),
        }
        let goes_on = self.next_recorded(index, now);
        if let Some(Playing { source: Source::Recorded(recorded), .. }) = self.playing.get_mut(index)
            && !goes_on
        {
            if state == State::Switching || has_next && state != State::Asked {
                recorded.give_up();
            } else {
                recorded.guard().set_outcome(Outcome::Finished);
                self.playing.swap_remove(index);
                self.close_if_unused(now + END_LINGER);
            }
        }
        self.queue_answers();
    }

    /// Begins with the first recording of the playlist that may still be played, and refuses those before it. Returns whether there
    /// is one.
    fn next_recorded(&mut self, index: usize, now: Instant) -> bool {
        loop {
            let Some(Playing { stream_id, source: Source::Recorded(recorded) }) = self.playing.get_mut(index)
            else {
                return false;
            };
            let (stream_id, is_asked) = (*stream_id, recorded.state() == State::Asked);
            let Some(request) = recorded.take_next() else { return false };
            let found = self.find_recorded(&request.app, &request.name);
            let found = found.unwrap_or_else(|| Err(absent(RejectReason::Name)));
            if is_asked {
                // It takes the place of what was refused.
                self.session.replace_play(stream_id, &request.name);
            }
            match (found, self.playing.get_mut(index).map(|playing| &mut playing.source)) {
                (Ok(entry), Some(Source::Recorded(recorded))) => {
                    let session = NewSession {
                        role: Role::Play,
                        stream: entry.name.clone(),
                        address: self.peer,
                        user_agent: Some(&*self.user_agent).filter(|text| !text.is_empty()),
                        started: self.accepted,
                    };
                    recorded.switch(session, entry, &request);
                    return true;
                }
                (Ok(_), _) => return false,
                (Err(refusal), _) => {
                    let Refusal { code, description, .. } = self.note_refused(refusal, now);
                    match is_asked {
                        true => self.session.reject_play(stream_id, code, &description),
                        false => self.session.reject_queued(stream_id, code, &description),
                    }
                }
            }
        }
    }

    /// A player has a buffer of this length. It may say so before it plays.
    pub(in super::super) fn buffer_length(&mut self, stream_id: u32, ms: u32) {
        self.buffers.retain(|(other, _)| *other != stream_id);
        // What was said first is forgotten first: it need not be about any stream.
        if self.buffers.len() >= STREAMS_MAX {
            self.buffers.remove(0);
        }
        self.buffers.push((stream_id, ms));
        for playing in self.playing.iter_mut().filter(|playing| playing.stream_id == stream_id) {
            if let Source::Recorded(recorded) = &mut playing.source {
                recorded.set_buffer(ms);
            }
        }
    }

    /// How long a stream is, in seconds. Live ones have no length, nor has what may not be played: to ask for that counts as to play it.
    pub(in super::super) fn stream_length(&mut self, asked: &server::StreamLength, now: Instant) -> f64 {
        match self.find_recorded(&asked.app, &asked.name) {
            Some(Ok(entry)) => vod::length(&entry).as_secs_f64(),
            Some(Err(refusal)) => {
                self.note_refused(refusal, now);
                0.0
            }
            None => 0.0,
        }
    }
}

/// The same words whether it is absent or not for this player: nobody finds out what exists.
fn absent(reason: RejectReason) -> Refusal {
    Refusal::new(reason, NOT_FOUND, "there is no such recording, or it needs a key: add ?key=... to its name")
}
