//! The playing side of a connection.

use super::super::egress::ChunkForm;
use super::{Connection, END_LINGER, Refusal};
use crate::egress::{Carrier, Egress, Sent};
use crate::metrics::{JoinStage, Outcome, RejectReason, Role};
use crate::policy::Action;
use crate::relay::{Direction, Passage};
use crate::target::Target;
use bytes::{Bytes, BytesMut};
use hub::EndReason;
use media::Time;
use rtmp::server::{self, Session};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tracing::debug;

pub(super) struct Playing {
    pub(super) stream_id: u32,
    pub(super) egress: Egress,
    /// The player was told that playback starts; it is told with the first packets, so that it is one write.
    pub(super) started: bool,
    /// Since when it is paused.
    paused: Option<Instant>,
    /// The player was told that nothing comes for a while.
    dry: bool,
    /// Keeps known through which nodes the stream goes on from here, where it does.
    _passage: Option<Passage>,
}

impl Connection {
    pub(super) fn play(&mut self, request: server::Play, now: Instant) {
        let stream_id = request.stream_id;
        match self.admit_play(&request, now) {
            Ok(playing) => {
                self.carry();
                self.playing.push(playing);
            }
            Err(refusal) => {
                self.metrics.rejected(Role::Play, refusal.reason);
                let Refusal { code, description, .. } = refusal;
                debug!(peer = %self.peer, description, "play refused");
                self.session.reject_play(stream_id, code, &description);
                self.note_refusal(now);
            }
        }
    }

    fn admit_play(&self, request: &server::Play, now: Instant) -> Result<Playing, Refusal> {
        const FAILED: &str = "NetStream.Play.Failed";
        let target = Target::from_rtmp(&request.app, &request.name)
            .map_err(|error| Refusal::new(RejectReason::Name, "NetStream.Play.StreamNotFound", error))?;
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
            .open_session(Role::Play, &target)
            .map_err(|full| Refusal::new(RejectReason::Limit, FAILED, full))?;
        let options = self.env.read_options(target.start());
        let reader = self
            .env
            .origin
            .read(grant.name(), options, now)
            .map_err(|error| Refusal::new(RejectReason::Limit, FAILED, error))?;
        debug!(session = %guard.id(), peer = %self.peer, stream = %target.name, program = %self.user_agent, "playing");
        let egress = Egress::new(reader, self.metrics.clone(), guard, now);
        Ok(Playing {
            stream_id: request.stream_id,
            egress,
            started: false,
            paused: None,
            dry: false,
            _passage: passage,
        })
    }

    pub(super) fn stop_play(&mut self, stream_id: u32, now: Instant) {
        self.playing.retain_mut(|playing| {
            let stop = playing.stream_id == stream_id;
            if stop {
                playing.egress.guard().set_outcome(Outcome::Finished);
            }
            !stop
        });
        self.close_if_unused(now + self.env.config.rtmp.handshake_timeout());
    }

    pub(super) fn pause(&mut self, stream_id: u32, paused: bool, now: Instant) {
        for playing in self.playing.iter_mut().filter(|playing| playing.stream_id == stream_id) {
            playing.paused = paused.then_some(playing.paused.unwrap_or(now));
            playing.egress.pause(paused);
            debug!(session = %playing.egress.guard().id(), paused, "pause");
        }
    }

    /// Ends what has been paused for too long, and tells when the next pause becomes too long.
    pub(super) fn end_long_pauses(&mut self, now: Instant) -> Option<Instant> {
        let pause_max = self.env.config.rtmp.pause_max();
        let end_of = |playing: &Playing| playing.paused.map(|since| since + pause_max);
        while let Some(index) = self.playing.iter().position(|it| end_of(it).is_some_and(|at| at <= now)) {
            let mut playing = self.playing.swap_remove(index);
            debug!(session = %playing.egress.guard().id(), "paused for too long");
            playing.egress.guard().set_outcome(Outcome::Timeout);
            self.session.end_play(playing.stream_id, "NetStream.Play.Stop");
            self.close_if_unused(now + END_LINGER);
        }
        self.playing.iter().filter_map(end_of).min()
    }

    pub(super) fn seek(&mut self, stream_id: u32, ms: u32) {
        let Some(playing) = self.playing.iter_mut().find(|playing| playing.stream_id == stream_id) else {
            return;
        };
        let egress = &mut playing.egress;
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
            playing.egress.select_audio(on);
        }
    }

    pub(super) fn receive_video(&mut self, stream_id: u32, on: bool) {
        for playing in self.playing.iter_mut().filter(|playing| playing.stream_id == stream_id) {
            playing.egress.select_video(on);
        }
    }

    pub(super) fn poll_play(&mut self, cx: &mut Context<'_>, index: usize) -> Poll<io::Result<Sent>> {
        let Playing { stream_id, egress, started, dry, .. } = &mut self.playing[index];
        let form = ChunkForm { chunk_size: self.session.out_chunk_size(), stream_id: *stream_id };
        let mut carrier = Playback { session: &mut self.session, stream_id: *stream_id, started, dry };
        egress.poll_send(cx, &mut self.stream, &mut self.outbox, &form, &mut carrier)
    }

    /// The publisher was lost, and everything before that was sent.
    pub(super) fn note_dry(&mut self, index: usize) {
        let playing = &mut self.playing[index];
        playing.dry = true;
        self.session.stream_dry(playing.stream_id);
        self.queue_answers();
    }

    /// The stream of a player has ended, and everything before its end was sent.
    pub(super) fn end_play(&mut self, index: usize, reason: EndReason, now: Instant) {
        let mut playing = self.playing.swap_remove(index);
        let guard = playing.egress.guard();
        if playing.started {
            guard.set_outcome(Outcome::Finished);
            self.session.end_play(playing.stream_id, "NetStream.Play.UnpublishNotify");
        } else {
            guard.set_outcome(Outcome::Finished);
            let description = "nobody publishes this stream";
            self.session.reject_play(playing.stream_id, "NetStream.Play.StreamNotFound", description);
        }
        debug!(session = %guard.id(), ?reason, "play ended");
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
