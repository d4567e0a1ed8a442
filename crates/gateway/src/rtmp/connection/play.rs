//! The playing side of a connection.

mod recorded;

use super::super::egress::ChunkForm;
use super::super::recorded::Recorded;
use super::{Connection, END_LINGER, Refusal};
use crate::egress::{Carrier, Egress, Select, Sent};
use crate::metrics::{JoinStage, Outcome, RejectReason, Role};
use crate::policy::Action;
use crate::relay::{Direction, Passage};
use crate::sessions::SessionGuard;
use crate::target::Target;
use bytes::{Bytes, BytesMut};
use hub::EndReason;
use media::Time;
use rtmp::server::{self, Session};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tracing::debug;

const FAILED: &str = "NetStream.Play.Failed";
const NOT_FOUND: &str = "NetStream.Play.StreamNotFound";

pub(super) struct Playing {
    pub(super) stream_id: u32,
    source: Source,
}

/// What is played.
enum Source {
    Live(Box<Live>),
    Recorded(Box<Recorded>),
}

struct Live {
    egress: Egress,
    /// The player was told that playback starts; it is told with the first packets, so that it is one write.
    started: bool,
    /// Since when it is paused.
    paused: Option<Instant>,
    /// The player was told that nothing comes for a while.
    dry: bool,
    /// Keeps known through which nodes the stream goes on from here, where it does.
    _passage: Option<Passage>,
}

impl Playing {
    /// The entry in the table of sessions.
    pub(super) fn guard(&mut self) -> &mut SessionGuard {
        match &mut self.source {
            Source::Live(live) => live.egress.guard(),
            Source::Recorded(recorded) => recorded.guard(),
        }
    }

    fn select(&mut self) -> &mut Select {
        match &mut self.source {
            Source::Live(live) => live.egress.select(),
            Source::Recorded(recorded) => recorded.select(),
        }
    }

    /// Since when the player has wanted nothing.
    fn idle_since(&self) -> Option<Instant> {
        match &self.source {
            Source::Live(live) => live.paused,
            Source::Recorded(recorded) => recorded.idle_since(),
        }
    }
}

impl Connection {
    pub(super) fn play(&mut self, request: server::Play, now: Instant) {
        let stream_id = request.stream_id;
        let before = self.playing.iter_mut().find(|playing| playing.stream_id == stream_id);
        match before.map(|playing| &mut playing.source) {
            // What comes without a reset comes behind a recording, and in the place of a live stream.
            Some(Source::Recorded(_)) if !request.reset => return self.queue(&request, now),
            _ if !request.reset => {
                self.stop_play(stream_id, now);
                self.session.replace_play(stream_id, &request.name);
            }
            _ => {}
        }
        match self.admit_play(&request, now) {
            Ok(source) => {
                self.carry();
                self.playing.push(Playing { stream_id, source });
            }
            Err(refusal) => {
                let Refusal { code, description, .. } = self.note_refused(refusal, now);
                self.session.reject_play(stream_id, code, &description);
            }
        }
    }

    fn note_refused(&mut self, refusal: Refusal, now: Instant) -> Refusal {
        self.metrics.rejected(Role::Play, refusal.reason);
        debug!(peer = %self.peer, description = refusal.description, "play refused");
        self.note_refusal(now);
        refusal
    }

    fn admit_play(&self, request: &server::Play, now: Instant) -> Result<Source, Refusal> {
        if let Some(entry) = self.find_recorded(&request.app, &request.name) {
            return Ok(Source::Recorded(Box::new(self.play_recorded(entry?, request)?)));
        }
        let target = Target::from_rtmp(&request.app, &request.name)
            .map_err(|error| Refusal::new(RejectReason::Name, NOT_FOUND, error))?;
        let grant = self
            .admit(Action::Play, &target)
            .map_err(|denied| Refusal::new(RejectReason::Key, FAILED, denied))?;
        let passage = self
            .env
            .relays
            .ways
            .enter(Direction::Out, grant.name(), &self.user_agent)
            .map_err(|looped| Refusal::new(RejectReason::Loop, FAILED, looped))?;
        self.metrics.join(JoinStage::Admit, now.elapsed());
        let guard = self
            .open_session(Role::Play, &target.name)
            .map_err(|full| Refusal::new(RejectReason::Limit, FAILED, full))?;
        let options = self.env.read_options(target.start());
        let reader = self
            .env
            .origin
            .read(grant.name(), options, now)
            .map_err(|error| Refusal::new(RejectReason::Limit, FAILED, error))?;
        debug!(session = %guard.id(), peer = %self.peer, stream = %target.name, program = %self.user_agent, "playing");
        let egress = Egress::new(reader, self.metrics.clone(), guard, now);
        let live = Live { egress, started: false, paused: None, dry: false, _passage: passage };
        Ok(Source::Live(Box::new(live)))
    }

    pub(super) fn stop_play(&mut self, stream_id: u32, now: Instant) {
        self.playing.retain_mut(|playing| {
            let stop = playing.stream_id == stream_id;
            if stop {
                playing.guard().set_outcome(Outcome::Finished);
            }
            !stop
        });
        self.close_if_unused(now + self.env.config.rtmp.handshake_timeout());
    }

    pub(super) fn pause(&mut self, stream_id: u32, paused: bool, now: Instant) {
        for playing in self.playing.iter_mut().filter(|playing| playing.stream_id == stream_id) {
            match &mut playing.source {
                Source::Live(live) => {
                    live.paused = paused.then_some(live.paused.unwrap_or(now));
                    live.egress.pause(paused);
                }
                Source::Recorded(recorded) => recorded.pause(paused, now),
            }
            debug!(session = %playing.guard().id(), paused, "pause");
        }
    }

    /// Ends what has been paused for too long, and tells when the next pause becomes too long.
    pub(super) fn end_long_pauses(&mut self, now: Instant) -> Option<Instant> {
        let pause_max = self.env.config.rtmp.pause_max();
        let end_of = |playing: &Playing| playing.idle_since().map(|since| since + pause_max);
        while let Some(index) = self.playing.iter().position(|it| end_of(it).is_some_and(|at| at <= now)) {
            let mut playing = self.playing.swap_remove(index);
            debug!(session = %playing.guard().id(), "paused for too long");
            playing.guard().set_outcome(Outcome::Timeout);
            self.session.end_play(playing.stream_id, "NetStream.Play.Stop");
            self.close_if_unused(now + END_LINGER);
        }
        self.playing.iter().filter_map(end_of).min()
    }

    pub(super) fn seek(&mut self, stream_id: u32, ms: u32) {
        let Some(playing) = self.playing.iter_mut().find(|playing| playing.stream_id == stream_id) else {
            return;
        };
        let egress = match &mut playing.source {
            Source::Live(live) => &mut live.egress,
            Source::Recorded(recorded) => return recorded.seek(ms),
        };
        debug!(session = %egress.guard().id(), ms, "seek");
        let shown = |time: Time| time.millis() as u32;
        match egress.time_of(ms).and_then(|wanted| egress.seek(wanted)) {
            Ok(found) => self.session.accept_seek(stream_id, shown(found)),
            Err(error) => match error.nearest().map(|nearest| egress.seek(nearest)) {
                Some(Ok(found)) => {
                    self.session.accept_seek_nearby(stream_id, shown(found), &error.to_string());
                }
                _ => self.session.reject_seek(stream_id, &error.to_string()),
            },
        }
    }

    pub(super) fn receive_audio(&mut self, stream_id: u32, on: bool) {
        for playing in self.playing.iter_mut().filter(|playing| playing.stream_id == stream_id) {
            playing.select().audio(on);
        }
    }

    pub(super) fn receive_video(&mut self, stream_id: u32, on: bool) {
        for playing in self.playing.iter_mut().filter(|playing| playing.stream_id == stream_id) {
            playing.select().video(on);
        }
    }

    /// Sends what is ready of one of the playbacks. `Ready` when something happened to it: then the one at `index` may be another.
    pub(super) fn poll_play(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
        now: Instant,
    ) -> Poll<io::Result<()>> {
        let Playing { stream_id, source } = &mut self.playing[index];
        let live = match source {
            Source::Live(live) => live,
            Source::Recorded(recorded) => {
                let told =
                    ready!(recorded.poll_send(cx, &mut self.stream, &mut self.outbox, &mut self.session))?;
                self.recorded_told(index, told, now);
                return Poll::Ready(Ok(()));
            }
        };
        let form = ChunkForm { chunk_size: self.session.out_chunk_size(), stream_id: *stream_id };
        let Live { egress, started, dry, .. } = &mut **live;
        let mut carrier = Playback { session: &mut self.session, stream_id: *stream_id, started, dry };
        let sent = ready!(egress.poll_send(cx, &mut self.stream, &mut self.outbox, &form, &mut carrier))?;
        match sent {
            // The publisher was lost, and everything before that was sent.
            Sent::Dry => {
                live.dry = true;
                self.session.stream_dry(*stream_id);
                self.queue_answers();
            }
            Sent::Ended(reason) => self.end_play(index, reason, now),
        }
        Poll::Ready(Ok(()))
    }

    /// The stream of a player has ended, and everything before its end was sent.
    fn end_play(&mut self, index: usize, reason: EndReason, now: Instant) {
        let mut playing = self.playing.swap_remove(index);
        let has_started = matches!(&playing.source, Source::Live(live) if live.started);
        let guard = playing.guard();
        guard.set_outcome(Outcome::Finished);
        if has_started {
            self.session.end_play(playing.stream_id, "NetStream.Play.UnpublishNotify");
        } else {
            let description = "nobody publishes this stream";
            self.session.reject_play(playing.stream_id, NOT_FOUND, description);
        }
        debug!(session = %playing.guard().id(), ?reason, "play ended");
        self.queue_answers();
        self.close_if_unused(now + END_LINGER);
    }

    fn queue_answers(&mut self) {
        while let Some(bytes) = self.session.poll_output() {
            self.outbox.push(bytes);
        }
    }
}

/// The session around the packets of one playback.
struct Playback<'a> {
    session: &'a mut Session,
    stream_id: u32,
    started: &'a mut bool,
    dry: &'a mut bool,
}

impl Carrier for Playback<'_> {
    fn head(&mut self, _: &[Arc<hub::Entry>]) -> Bytes {
        match (std::mem::replace(self.started, true), std::mem::take(self.dry)) {
            (false, _) => self.session.accept_play(self.stream_id),
            (true, true) => self.session.stream_begin(self.stream_id),
            (true, false) => return Bytes::new(),
        }
        let mut head = BytesMut::new();
        while let Some(bytes) = self.session.poll_output() {
            head.extend_from_slice(&bytes);
        }
        head.freeze()
    }

    fn seals(&self) -> bool {
        self.session.is_encrypted()
    }

    fn seal(&mut self, bytes: &mut [u8]) {
        self.session.seal(bytes);
    }
}
