//! Asking players for their SWF before they play.

use std::time::Instant;

use super::{Event, Play, Session, StreamState};
use crate::limits;
use crate::message::{Control, UserControl};
use crate::swf::ANSWER_BYTES;

/// How far the peer is. It is asked at its first `play`, so that publishers are not.
#[derive(Debug)]
pub(super) struct Verification {
    /// The end of S1; `None` after a handshake without digests, which leaves nothing to verify with.
    key: Option<[u8; 32]>,
    state: State,
    /// What the peer wants to play and the driver has not heard of: one for each stream, and what is to come behind it.
    pub(super) plays: Vec<Play>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    NotAsked,
    /// The answer has to come until then.
    Asked(Instant),
    Verified,
    Failed,
}

impl Verification {
    pub(super) fn new(key: Option<[u8; 32]>) -> Self {
        Self { key, state: State::NotAsked, plays: Vec::new() }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if let State::Asked(deadline) = self.state { Some(deadline) } else { None }
    }
}

impl Session {
    /// Whether the peer may play: it has answered, or need not.
    pub(super) fn is_verified(&self) -> bool {
        self.verification.as_ref().is_none_or(|verification| verification.state == State::Verified)
    }

    /// Passes a `play` to the driver once the peer is verified.
    pub(super) fn play_verified(&mut self, play: Play) {
        let Some(verification) = &mut self.verification else {
            return self.events.push_back(Event::Play(play));
        };
        let exists = |id| self.streams.iter().any(|stream| stream.id == id);
        let stays = |held: &Play| exists(held.stream_id) && (held.stream_id != play.stream_id || !play.reset);
        verification.plays.retain(stays);
        if verification.plays.len() >= limits::PLAYLIST_MAX + limits::STREAMS_MAX {
            // Only what comes behind others fills it up, and those stay what they are.
            let description = "The playlist is full: add more as it is played.";
            return self.send_status(play.stream_id, "error", "NetStream.Play.Failed", description);
        }
        verification.plays.push(play);
        match (verification.state, verification.key) {
            (State::NotAsked, None) => self.conclude(false),
            (State::NotAsked, Some(_)) => {
                verification.state = State::Asked(self.link.last_heard + limits::SWF_TIMEOUT);
                self.link.control(Control::User(UserControl::SwfVerifyRequest));
            }
            (State::Asked(_) | State::Verified | State::Failed, _) => self.release_plays(),
        }
    }

    pub(super) fn take_swf_answer(&mut self, answer: &[u8; ANSWER_BYTES]) {
        let known = |key: &[u8; 32]| self.config.swf.iter().any(|swf| swf.is_answer(key, answer));
        let Some(verification) = &self.verification else { return };
        if verification.deadline().is_some() {
            self.conclude(verification.key.as_ref().is_some_and(known));
        }
    }

    /// The answer has come, or is overdue.
    pub(super) fn conclude(&mut self, verified: bool) {
        if let Some(verification) = &mut self.verification {
            verification.state = if verified { State::Verified } else { State::Failed };
            self.events.push_back(Event::SwfVerified(verified));
            self.release_plays();
        }
    }

    fn release_plays(&mut self) {
        let Some(verification) = &mut self.verification else { return };
        let verified = match verification.state {
            State::NotAsked | State::Asked(_) => return,
            State::Verified => true,
            State::Failed => false,
        };
        for play in std::mem::take(&mut verification.plays) {
            if !verified {
                let description = "This server lets known SWF files play; yours is not one of them.";
                self.reject_play(play.stream_id, "NetStream.Play.Failed", description);
                continue;
            }
            let is_wanted = self.stream(play.stream_id).is_some_and(|stream| match stream.state {
                StreamState::AskedToPlay => true,
                StreamState::Playing => !play.reset,
                _ => false,
            });
            if is_wanted {
                self.events.push_back(Event::Play(play));
            }
        }
    }
}
