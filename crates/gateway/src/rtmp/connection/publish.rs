//! The publishing side of a connection.

use super::super::ingest::{Ingest, IngestError};
use super::{Connection, END_LINGER, Refusal};
use crate::metrics::{FeedbackKind, Outcome, RejectReason, Role};
use crate::policy::Action;
use crate::relay::{Direction, Passage};
use crate::sessions::SessionGuard;
use crate::target::Target;
use hub::{Feedback, PublishError};
use rtmp::server;
use std::task::{Context, Poll};
use std::time::Instant;
use tracing::info;

pub(super) struct Publishing {
    pub(super) stream_id: u32,
    pub(super) ingest: Ingest,
    pub(super) guard: SessionGuard,
    /// Keeps known through which nodes the stream has come, where it has come through any.
    _passage: Option<Passage>,
}

impl Connection {
    pub(super) fn publish(&mut self, request: server::Publish, now: Instant) {
        let stream_id = request.stream_id;
        match self.admit_publish(&request, now) {
            Ok(publishing) => {
                self.carry();
                self.session.accept_publish(stream_id);
                self.publishing.push(publishing);
            }
            Err(refusal) => {
                self.metrics.rejected(Role::Publish, refusal.reason);
                let Refusal { code, description, .. } = refusal;
                self.log_refusal(&request, &description, now);
                self.session.reject_publish(stream_id, code, &description);
                self.note_refusal(now);
            }
        }
    }

    /// Tells the operator. Who is refused is a stranger: a text of theirs is told only if it is a name, and no key.
    fn log_refusal(&self, request: &server::Publish, description: &str, now: Instant) {
        let Some(suppressed) = self.env.log_quota.take(self.peer.ip(), now) else { return };
        let target = Target::from_rtmp(&request.app, &request.name).ok();
        let stream = target.as_ref().filter(|target| !self.is_key(target)).map(|target| target.name.as_str());
        info!(peer = %self.peer, stream, description, suppressed, "publish refused");
    }

    /// Whether a part of the name is a key.
    fn is_key(&self, target: &Target) -> bool {
        [target.name.app(), target.name.channel()].iter().any(|part| self.env.policy.is_key(part))
    }

    fn admit_publish(&self, request: &server::Publish, now: Instant) -> Result<Publishing, Refusal> {
        const FAILED: &str = "NetStream.Publish.Failed";
        const BAD_NAME: &str = "NetStream.Publish.BadName";
        let target = Target::from_rtmp(&request.app, &request.name)
            .map_err(|error| Refusal::new(RejectReason::Name, BAD_NAME, error))?;
        // Everybody would see it in the list of channels.
        if self.is_key(&target) {
            let description = "this is a key and no name: write NAME?key=KEY";
            return Err(Refusal::new(RejectReason::Name, BAD_NAME, description));
        }
        let grant = self
            .admit(Action::Publish, &target)
            .map_err(|denied| Refusal::new(RejectReason::Key, "NetStream.Publish.Denied", denied))?;
        let passage = self
            .env
            .relays
            .ways
            .enter(Direction::In, grant.name(), &self.user_agent)
            .map_err(|looped| Refusal::new(RejectReason::Loop, BAD_NAME, looped))?;
        // Before the stream is touched: a publisher that is let in and turned away at once would count as lost.
        let guard = self
            .open_session(Role::Publish, &target.name)
            .map_err(|full| Refusal::new(RejectReason::Limit, FAILED, full))?;
        let publisher = self.env.origin.publish(grant.name(), now).map_err(|error| match error {
            PublishError::Busy => Refusal::new(RejectReason::Busy, BAD_NAME, error),
            PublishError::TooManyStreams => Refusal::new(RejectReason::Limit, FAILED, error),
        })?;
        info!(session = %guard.id(), peer = %self.peer, stream = %target.name, program = %self.user_agent,
            standby = publisher.is_standby(), "publishing");
        let ingest = Ingest::new(publisher, self.metrics.clone());
        Ok(Publishing { stream_id: request.stream_id, ingest, guard, _passage: passage })
    }

    pub(super) fn unpublish(&mut self, stream_id: u32, now: Instant) {
        self.publishing.extract_if(.., |publishing| publishing.stream_id == stream_id).for_each(
            |mut publishing| {
                publishing.guard.set_outcome(Outcome::Finished);
                info!(session = %publishing.guard.id(), "publisher finished");
                // One that is dropped and not finished counts as lost.
                if !self.env.config.slate.is_for_end_of(&publishing.guard.session().stream) {
                    publishing.ingest.publisher.finish();
                }
            },
        );
        self.close_if_unused(now + self.env.config.rtmp.handshake_timeout());
    }

    /// The publisher leaves on purpose.
    pub(super) fn unpublish_all(&mut self, now: Instant) {
        while let Some(stream_id) = self.publishing.first().map(|publishing| publishing.stream_id) {
            self.unpublish(stream_id, now);
        }
    }

    pub(super) fn message(&mut self, message: &rtmp::Message, now: Instant) {
        let Some(index) =
            self.publishing.iter().position(|publishing| publishing.stream_id == message.stream_id)
        else {
            // Media on a stream whose publish was refused or ended: the status that says so is on its way.
            return;
        };
        match self.publishing[index].ingest.message(message, now) {
            Ok(()) => {}
            Err(IngestError::TakenOver) => self.drop_replaced(index, now),
            Err(error @ IngestError::Malformed(_)) => {
                let description = error.to_string();
                self.drop_publisher(index, "NetStream.Publish.Failed", &description, Outcome::Violation, now);
            }
        }
    }

    /// Tells a publisher why its stream ends here, and gives it a moment to read that.
    fn drop_publisher(&mut self, index: usize, code: &str, why: &str, outcome: Outcome, now: Instant) {
        let mut publishing = self.publishing.swap_remove(index);
        publishing.guard.set_outcome(outcome);
        info!(session = %publishing.guard.id(), why, "publisher dropped");
        self.session.end_publish(publishing.stream_id, code, why);
        self.close_if_unused(now + END_LINGER);
    }

    fn drop_replaced(&mut self, index: usize, now: Instant) {
        let why = "another publisher took the stream over";
        self.drop_publisher(index, "NetStream.Publish.BadName", why, Outcome::TakenOver, now);
    }

    /// What readers tell the publisher. RTMP has no way to pass a wish for a keyframe on; being replaced ends the session.
    pub(super) fn poll_feedback(&mut self, cx: &mut Context<'_>, now: Instant) {
        let mut index = 0;
        while let Some(publishing) = self.publishing.get_mut(index) {
            let Poll::Ready(feedback) = publishing.ingest.publisher.poll_feedback(cx) else {
                index += 1;
                continue;
            };
            let kind = match feedback {
                Feedback::KeyframeWanted => FeedbackKind::KeyframeWanted,
                Feedback::Starved => FeedbackKind::Starved,
                Feedback::TakenOver => FeedbackKind::TakenOver,
                Feedback::Promoted => {
                    info!(session = %publishing.guard.id(), "stand-by publisher is live");
                    continue;
                }
            };
            self.env.metrics.feedback(kind);
            if feedback == Feedback::TakenOver {
                self.drop_replaced(index, now);
            }
        }
    }
}
