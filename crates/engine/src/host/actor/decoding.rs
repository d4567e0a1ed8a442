//! Who decodes the source: the processor from the first moment on, and a device from a later keyframe on.
//!
//! A device takes up to seconds to open, and may not take a stream. So it makes itself ready in a process of its own, while the processor
//! decodes: it decodes a keyframe that the processor has shown, for nobody. If that goes well it takes over at the next one, when the
//! process before it has given out what it held. What goes wrong until then costs nobody a picture; where a device fails later, the
//! processor begins at the newest keyframe, as it does when a stream is joined.

use super::super::process::{Heard, Worker, WorkerId};
use super::super::rung::REPORTS_BURST_MAX;
use super::super::{Usage, lock};
use super::{Actor, coded};
use crate::decode::Backend;
use crate::ipc::{Order, Report, code_of};
use crate::limits::{
    DEVICE_BEHIND_MAX, DEVICE_OPEN_MAX, DEVICE_REST_MAX, ORDERS_QUEUED_MAX, PACKETS_AHEAD_MAX,
    PACKETS_UNANSWERED_MAX, REPORTS_PER_ORDER_MAX, REPORTS_UNASKED_MAX, SILENCE_FIRST_MAX, SILENCE_MAX,
    SLOTS, TIMES_MAX,
};
use media::{Codec, Packet};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

pub(super) struct Decoder {
    pub(super) worker: Worker,
    pub(super) by: Backend,
    pub(super) codec: Codec,
    pub(super) cpu: Duration,
    pub(super) heard: Instant,
    /// That it has shown.
    pub(super) pictures: u64,
    pub(super) unanswered: u32,
    /// Times of packets that it has not shown yet.
    pub(super) times: BTreeSet<i64>,
    /// How many reports it may still make.
    pub(super) reports_left: u32,
    /// How often it was told to begin anew at a keyframe, and has not said yet that it does: what it shows until then is of before.
    pub(super) rejoins: u32,
    /// It has said that it does not take this stream.
    pub(super) has_refused: bool,
    /// It was told to find what people look at.
    pub(super) finds: bool,
    backlog: Backlog,
}

impl Decoder {
    fn new(worker: Worker, by: Backend, codec: Codec) -> Self {
        Self {
            worker,
            by,
            codec,
            cpu: Duration::ZERO,
            heard: Instant::now(),
            pictures: 0,
            unanswered: 0,
            times: BTreeSet::new(),
            reports_left: REPORTS_UNASKED_MAX,
            rejoins: 0,
            has_refused: false,
            finds: false,
            backlog: Backlog::default(),
        }
    }

    pub(super) fn note_packet(&mut self, pts: i64, now: Instant) {
        if self.unanswered == 0 {
            // It is silent from now on, not since it had something to do before.
            self.heard = now;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        if self.times.len() >= TIMES_MAX {
            self.times.pop_first();
        }
        self.times.insert(pts);
        self.reports_left = self.reports_left.saturating_add(REPORTS_PER_ORDER_MAX).min(REPORTS_BURST_MAX);
    }

    pub(super) fn has_room(&self) -> bool {
        self.worker.room() + PACKETS_AHEAD_MAX > ORDERS_QUEUED_MAX
    }

    /// Whether it has something to do and does nothing. `is_leaving` says that it was told to end.
    pub(super) fn hangs(&mut self, is_leaving: bool, now: Instant) -> bool {
        let silence = now.saturating_duration_since(self.heard);
        let waits = self.worker.waits_for_processor(silence);
        let silence_max = if self.pictures > 0 { SILENCE_MAX } else { SILENCE_FIRST_MAX };
        let is_owing = self.unanswered > PACKETS_UNANSWERED_MAX || !self.has_room() || is_leaving;
        silence > silence_max && is_owing && !waits
    }
}

/// Since when more waits for a decoder than it takes.
#[derive(Debug, Default)]
struct Backlog(Option<Instant>);

impl Backlog {
    /// Looks at its queue. Whether it has been full for too long.
    fn note(&mut self, is_full: bool, now: Instant) -> bool {
        let since = is_full.then(|| self.0.unwrap_or(now));
        self.0 = since;
        since.is_some_and(|since| now.saturating_duration_since(since) > DEVICE_BEHIND_MAX)
    }
}

/// A device that makes itself ready.
struct Successor {
    decoder: Decoder,
    since: Instant,
    is_ready: bool,
}

/// What comes after the decoder of now.
#[derive(Default)]
pub(super) struct Succession {
    next: Option<Successor>,
    /// The newest keyframe.
    pub(super) keyframe: Option<Packet>,
    /// A keyframe that the next one begins with, as soon as the one before has given out what it holds.
    pub(super) held: Option<Packet>,
    /// Devices that do not take this stream, and since when that is known: no more than there are.
    refused: Vec<(Backend, Instant)>,
}

impl Succession {
    /// Nobody makes itself ready any more.
    pub(super) fn clear(&mut self, usage: &Mutex<Usage>) {
        (self.next, self.held) = (None, None);
        lock(usage).next_decoder = None;
    }

    /// What the stream is has changed: those that did not take it may do now.
    pub(super) fn begin_anew(&mut self, usage: &Mutex<Usage>) {
        // Who waits for its turn does so with the stream as it was.
        self.next = None;
        self.refused.clear();
        lock(usage).next_decoder = None;
    }

    fn refuse(&mut self, by: Backend, now: Instant) {
        self.refused.retain(|(refused, _)| *refused != by);
        self.refused.push((by, now));
    }

    fn has_refused(&self, by: Backend, now: Instant) -> bool {
        let lately = |at: Instant| now.saturating_duration_since(at) < DEVICE_REST_MAX;
        self.refused.iter().any(|(refused, at)| *refused == by && lately(*at))
    }

    pub(super) fn is(&self, id: WorkerId) -> bool {
        self.next.as_ref().is_some_and(|next| next.decoder.worker.id == id)
    }

    fn is_ready_for(&self, codec: Codec) -> bool {
        self.next.as_ref().is_some_and(|next| next.is_ready && next.decoder.codec == codec)
    }
}

impl Actor {
    /// Begins to decode: with the device that is ready, or with the processor.
    pub(super) fn start_decoder(&mut self, codec: Codec) -> bool {
        if self.succession.is_ready_for(codec)
            && let Some(next) = self.succession.next.take()
        {
            self.install(next.decoder);
            return true;
        }
        let Some(code) = code_of(codec) else {
            self.give_up(&format!("there is no decoder for {codec:?}"));
            return false;
        };
        let by = Backend::Software;
        let (threads, busy) = (self.options.decoder_threads, self.slots.used());
        let first = Order::Decode { codec: code, threads, busy, by };
        let worker = match self.start(&first, |memory| &memory.writable) {
            Ok(worker) => worker,
            Err(error) => {
                self.give_up(&format!("a decoder cannot be started: {error}"));
                return false;
            }
        };
        debug!(?codec, pid = worker.pid, "a decoder begins");
        self.tell_record(&worker, codec);
        self.note_decoder(worker.pid, by);
        self.decoder = Some(Decoder::new(worker, by, codec));
        self.find_what_is_needed();
        true
    }

    /// Says what the configuration of the source is, if there is one.
    fn tell_record(&self, worker: &Worker, codec: Codec) -> bool {
        let record = self.record.as_ref().filter(|record| record.codec == codec);
        record.is_none_or(|record| worker.tell(&Order::Configure(record.payload.to_vec())))
    }

    fn note_decoder(&self, pid: Option<u32>, by: Backend) {
        let mut usage = lock(&self.decoder_usage);
        (usage.pid, usage.decoder, usage.next_decoder) = (pid, Some(by), None);
    }

    /// A device that is ready decodes from here on.
    fn install(&mut self, mut decoder: Decoder) {
        // It was started with no slots, for the one before it had them.
        for slot in (0..SLOTS).filter(|slot| !self.slots.is_used(*slot)) {
            decoder.worker.tell(&Order::Free(slot));
        }
        (decoder.heard, decoder.reports_left) = (Instant::now(), REPORTS_UNASKED_MAX);
        info!(decoder = %decoder.by, codec = ?decoder.codec, pid = decoder.worker.pid, "a device decodes");
        self.note_decoder(decoder.worker.pid, decoder.by);
        self.decoder = Some(decoder);
        self.find_what_is_needed();
    }

    /// At a keyframe: has the decoder make way for a device that is ready, which `keyframe` then waits for. False if there is none.
    pub(super) fn hand_over(&mut self, keyframe: &Packet) -> bool {
        let Some(decoder) = &self.decoder else { return false };
        if !self.succession.is_ready_for(keyframe.codec) || !decoder.worker.tell(&Order::End) {
            return false;
        }
        self.succession.held = Some(keyframe.clone());
        true
    }

    /// The one that made way is gone: the next one begins. False if none made way.
    pub(super) fn finish_handover(&mut self) -> bool {
        let Some(keyframe) = self.succession.held.take() else { return false };
        self.drop_decoder();
        self.awaits_keyframe = false;
        self.feed(&keyframe);
        true
    }

    /// Has the decoder begin anew at the newest keyframe, for a rung that has just come.
    pub(super) fn rejoin(&mut self) {
        let device = self.decoder.as_mut().filter(|decoder| decoder.by.is_hardware());
        // A device is not opened again for that, which takes longer.
        match device.filter(|_| self.succession.held.is_none()) {
            Some(decoder) => {
                decoder.rejoins += 1;
                if !decoder.worker.tell(&Order::Rejoin) {
                    return self.lose_decoder("it does not listen");
                }
            }
            None => self.drop_decoder(),
        }
        self.join_anew();
    }

    /// Begins to make a device ready, where there is one that may take over, and ends one that takes too long for that.
    pub(super) fn look_for_device(&mut self, now: Instant) {
        if let Some(next) = &self.succession.next {
            if !next.is_ready && now.saturating_duration_since(next.since) > DEVICE_OPEN_MAX {
                self.lose_successor("it does not open");
            }
            return;
        }
        let may_follow =
            |decoder: &&Decoder| !decoder.by.is_hardware() && decoder.pictures > 0 && !self.is_ending;
        let Some(codec) = self.decoder.as_ref().filter(may_follow).map(|decoder| decoder.codec) else {
            return;
        };
        let Some(keyframe) = self.succession.keyframe.as_ref().filter(|keyframe| keyframe.codec == codec)
        else {
            return;
        };
        let found = self.options.devices.decoders(codec).into_iter();
        let named = self.options.decoders.iter().copied().take_while(|by| by.is_hardware());
        let mut able = found.chain(named).filter(|by| by.decodes(codec)).filter(|by| {
            !self.succession.has_refused(*by, now) && !self.options.devices.rests_decoding(*by, codec, now)
        });
        let (Some(by), Some(code)) = (able.next(), code_of(codec)) else { return };
        let rehearsal = Order::Look(coded(keyframe));
        let first = Order::Decode { codec: code, threads: 1, busy: (0..SLOTS).collect(), by };
        let worker = match self.start(&first, |memory| &memory.writable) {
            Ok(worker) => worker,
            Err(error) => {
                debug!(decoder = %by, %error, "a device is not tried");
                return self.succession.refuse(by, now);
            }
        };
        debug!(decoder = %by, pid = worker.pid, "a device makes itself ready to decode");
        if self.tell_record(&worker, codec) && worker.tell(&rehearsal) {
            let decoder = Decoder::new(worker, by, codec);
            self.succession.next = Some(Successor { decoder, since: now, is_ready: false });
        }
    }

    /// What a device says that makes itself ready.
    pub(super) fn hear_successor(&mut self, heard: Heard) {
        let Some(next) = &mut self.succession.next else { return };
        match heard {
            Heard::Report(Report::Ready) => {
                next.is_ready = true;
                debug!(decoder = %next.decoder.by, after = ?next.since.elapsed(), "a device is ready to decode");
                lock(&self.decoder_usage).next_decoder = Some(next.decoder.by);
            }
            // Its end follows, and says the same.
            Heard::Report(Report::Failed(_)) => {}
            Heard::Used(cpu) => next.decoder.cpu = cpu,
            Heard::Gone(why) => self.lose_successor(&why),
            Heard::Report(_) => self.lose_successor("it says what it is not asked"),
        }
    }

    fn lose_successor(&mut self, why: &str) {
        let Some(next) = self.succession.next.take() else { return };
        let by = next.decoder.by;
        warn!(decoder = %by, why, "a device does not decode this stream: the processor goes on");
        self.succession.refuse(by, Instant::now());
        let mut usage = lock(&self.decoder_usage);
        (usage.next_decoder, usage.error) = (None, Some(why.to_owned()));
    }

    /// A device was lost that decoded. Whether it was one: the processor begins at the newest keyframe then.
    pub(super) fn note_lost_device(&mut self, decoder: &Lost, why: &str) -> bool {
        let Lost { by, codec, pictures, has_refused } = *decoder;
        if !by.is_hardware() {
            return false;
        }
        let now = Instant::now();
        if has_refused || pictures == 0 {
            self.succession.refuse(by, now);
        } else {
            self.options.devices.note_lost_decoder(by, codec, pictures, now);
        }
        warn!(decoder = %by, why, "a device does not decode any more: the processor goes on at the newest keyframe");
        true
    }

    /// Whether the decoder is a device that is too slow for a live source. To be asked at every look.
    pub(super) fn is_behind(&mut self, now: Instant) -> bool {
        // Where encoders have all slots it is they who are slow.
        let is_live = self.options.is_live && self.slots.has_free();
        self.decoder.as_mut().is_some_and(|decoder| {
            let is_full = is_live && decoder.by.is_hardware() && !decoder.has_room();
            decoder.backlog.note(is_full, now)
        })
    }
}

/// What is to be known of a decoder that was lost.
pub(super) struct Lost {
    by: Backend,
    codec: Codec,
    pictures: u64,
    has_refused: bool,
}

impl From<&Decoder> for Lost {
    fn from(decoder: &Decoder) -> Self {
        let Decoder { by, codec, pictures, has_refused, .. } = *decoder;
        Self { by, codec, pictures, has_refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_is_full_now_and_then_is_no_backlog() {
        let (mut backlog, start) = (Backlog::default(), Instant::now());
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(!backlog.note(true, start));
        assert!(!backlog.note(true, start + DEVICE_BEHIND_MAX));
        assert!(!backlog.note(false, after(9)));
        assert!(!backlog.note(true, after(10)) && !backlog.note(true, after(18)));
        assert!(backlog.note(true, after(19)));
    }
}
