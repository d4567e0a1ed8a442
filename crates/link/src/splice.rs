//! Going on with a stream on another connection, where the first one was left.
//!
//! Nothing says how the times of two connections relate, and the new one begins before the place where the old one is. But
//! both carry the same keyframes: one that came on either gives the difference of their times. From there on the new
//! connection is the stream, less what was delivered already.

use crate::Error;
use crate::limits::{KEYFRAMES_REMEMBERED, SPLICE_BYTES_MAX, SPLICE_WAIT_MAX};
use media::container::flv;
use media::{Packet, Role, Time, TrackId};
use rtmp::Message;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// What was delivered so far.
#[derive(Debug, Default)]
pub(crate) struct Played {
    hasher: RandomState,
    /// Of the newest keyframes: a hash, and the time.
    keyframes: VecDeque<(u64, u32)>,
    /// The time of the newest frame of each track.
    newest: Vec<(TrackId, u32)>,
    /// A hash of the newest packet of each track and role that lasts.
    kept: Vec<(TrackId, Role, u64)>,
    /// The time of the newest frame of all, and when it was read.
    latest: Option<(u32, Instant)>,
    scratch: Vec<Packet>,
}

impl Played {
    /// Remembers a message that is delivered.
    pub(crate) fn note(&mut self, message: &Message, now: Instant) {
        let mut packets = std::mem::take(&mut self.scratch);
        read(message, &mut packets);
        for packet in packets.drain(..) {
            if packet.role.is_kept() {
                let hash = self.hasher.hash_one(&packet.payload);
                match self.kept.iter_mut().find(|kept| (kept.0, kept.1) == (packet.track, packet.role)) {
                    Some(kept) => kept.2 = hash,
                    None => self.kept.push((packet.track, packet.role, hash)),
                }
            } else if packet.role == Role::Frame {
                self.note_frame(&packet, message.timestamp, now);
            }
        }
        self.scratch = packets;
    }

    fn note_frame(&mut self, packet: &Packet, time: u32, now: Instant) {
        if packet.is_video_keyframe() {
            if self.keyframes.len() == KEYFRAMES_REMEMBERED {
                self.keyframes.pop_front();
            }
            self.keyframes.push_back((self.hasher.hash_one(&packet.payload), time));
        }
        match self.newest.iter_mut().find(|(track, _)| *track == packet.track) {
            Some((_, newest)) => *newest = time,
            None => self.newest.push((packet.track, time)),
        }
        if self.latest.is_none_or(|(latest, _)| is_later(time, latest)) {
            self.latest = Some((time, now));
        }
    }
}

/// Messages of a new connection that wait for the place where they continue the old one.
#[derive(Debug)]
pub(crate) struct Splice {
    since: Instant,
    held: VecDeque<Message>,
    bytes: usize,
    /// Of the keyframes among them: index and payload.
    keyframes: Vec<(usize, bytes::Bytes)>,
    first_frame: Option<usize>,
    scratch: Vec<Packet>,
}

impl Splice {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            since: now,
            held: VecDeque::new(),
            bytes: 0,
            keyframes: Vec::new(),
            first_frame: None,
            scratch: Vec::new(),
        }
    }

    /// Takes the next message of the new connection.
    ///
    /// # Errors
    /// So much is held, and nothing of it is a frame: there is nothing to go on with.
    pub(crate) fn push(&mut self, message: Message) -> Result<(), Error> {
        let mut packets = std::mem::take(&mut self.scratch);
        read(&message, &mut packets);
        for packet in packets.drain(..) {
            if packet.is_video_keyframe() {
                self.keyframes.push((self.held.len(), packet.payload));
            } else if packet.role == Role::Frame {
                self.first_frame.get_or_insert(self.held.len());
            }
        }
        self.scratch = packets;
        self.bytes += message.payload.len() + size_of::<Message>();
        self.held.push_back(message);
        if self.bytes > SPLICE_BYTES_MAX && self.start().is_none() {
            return Err(rtmp::Error::Violation("much is sent, and no media").into());
        }
        Ok(())
    }

    /// The message that the new connection can begin with.
    fn start(&self) -> Option<usize> {
        self.keyframes.first().map(|(index, _)| *index).or(self.first_frame)
    }

    /// What to add to the times of the new connection, if a keyframe tells.
    pub(crate) fn find(&self, played: &Played) -> Option<u32> {
        self.keyframes.iter().find_map(|(index, payload)| {
            let hash = played.hasher.hash_one(payload);
            let (_, time) = played.keyframes.iter().rev().find(|known| known.0 == hash)?;
            Some(time.wrapping_sub(self.held[*index].timestamp))
        })
    }

    /// Whether waiting longer for a keyframe that both connections carry costs more than it brings.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.bytes > SPLICE_BYTES_MAX || now.saturating_duration_since(self.since) > SPLICE_WAIT_MAX
    }

    /// What to add to the times of the new connection, so that it goes on where the old one would be by now. `None` before
    /// there is anything to go on with.
    pub(crate) fn guess(&self, played: &Played, now: Instant) -> Option<u32> {
        let start = self.start()?;
        let Some((latest, read)) = played.latest else { return Some(0) };
        let elapsed = now.saturating_duration_since(read).max(Duration::from_millis(1));
        let target = latest.wrapping_add(elapsed.as_millis() as u32);
        Some(target.wrapping_sub(self.held[start].timestamp))
    }

    /// The messages that were held.
    pub(crate) fn into_held(self) -> VecDeque<Message> {
        self.held
    }
}

/// Leaves out what a connection repeats of the one before it.
#[derive(Debug)]
pub(crate) struct Overlap {
    /// Tracks whose first new frame has not come yet.
    tracks: Vec<TrackId>,
    scratch: Vec<Packet>,
}

impl Overlap {
    pub(crate) fn new(played: &Played) -> Self {
        Self { tracks: played.newest.iter().map(|(track, _)| *track).collect(), scratch: Vec::new() }
    }

    /// Whether all tracks have gone on, so that nothing can be repeated any more.
    pub(crate) fn is_over(&self) -> bool {
        self.tracks.is_empty()
    }

    /// Whether a message, with its time in the old connection's, is new. Must be asked before [`Played::note`].
    pub(crate) fn is_new(&mut self, message: &Message, played: &Played) -> bool {
        let mut packets = std::mem::take(&mut self.scratch);
        read(message, &mut packets);
        let is_new = packets.is_empty()
            || packets.iter().any(|packet| self.is_packet_new(packet, message.timestamp, played));
        if is_new {
            let carries =
                |track: &TrackId| packets.iter().any(|p| p.track == *track && p.role == Role::Frame);
            self.tracks.retain(|track| !carries(track));
        }
        packets.clear();
        self.scratch = packets;
        is_new
    }

    fn is_packet_new(&self, packet: &Packet, time: u32, played: &Played) -> bool {
        if packet.role.is_kept() {
            let hash = played.hasher.hash_one(&packet.payload);
            return !played.kept.contains(&(packet.track, packet.role, hash));
        }
        let newest = played.newest.iter().find(|(track, _)| *track == packet.track);
        newest.is_none_or(|(_, newest)| is_later(time, *newest))
    }
}

fn read(message: &Message, packets: &mut Vec<Packet>) {
    // Bytes that make no sense are for whoever plays them to refuse.
    let _ = flv::read_body(message.kind, Time::ZERO, &message.payload, packets);
}

/// Compares times that wrap (`RTMP` section 5.3.1.2).
fn is_later(time: u32, than: u32) -> bool {
    time != than && time.wrapping_sub(than) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use rtmp::message::{AUDIO, VIDEO};

    fn message(kind: u8, timestamp: u32, payload: Vec<u8>) -> Message {
        Message { kind, timestamp, stream_id: 1, payload: Bytes::from(payload) }
    }

    /// Picture `number` of a stream with a keyframe every ten, 40 ms each, and sound with it.
    fn picture(number: u32, zero: u32) -> [Message; 2] {
        let head = if number.is_multiple_of(10) { 0x17 } else { 0x27 };
        let time = zero.wrapping_add(number * 40);
        [
            message(VIDEO, time, vec![head, 1, 0, 0, 0, number as u8, 1, 2]),
            message(AUDIO, time.wrapping_add(7), vec![0xaf, 1, number as u8]),
        ]
    }

    fn settings() -> [Message; 2] {
        [message(VIDEO, 0, vec![0x17, 0, 0, 0, 0, 1, 2, 3]), message(AUDIO, 0, vec![0xaf, 0, 0x11, 0x90])]
    }

    /// Plays pictures `old` on one connection and then goes over to another that has pictures `new`. Returns the times, in
    /// milliseconds, of pictures as they were delivered, with their numbers.
    fn splice(
        old: std::ops::Range<u32>,
        new: std::ops::Range<u32>,
        zero: u32,
        guess: bool,
    ) -> Option<Vec<(u8, u32)>> {
        let now = Instant::now();
        let mut played = Played::default();
        let mut delivered = Vec::new();
        for message in settings().into_iter().chain(old.flat_map(|number| picture(number, 0))) {
            played.note(&message, now);
            delivered.push(message);
        }
        let mut splice = Splice::new(now);
        for message in settings().into_iter().chain(new.flat_map(|number| picture(number, zero))) {
            splice.push(message).unwrap();
        }
        let shift = match guess {
            true => splice.guess(&played, now + Duration::from_millis(40))?,
            false => splice.find(&played)?,
        };
        let mut overlap = Overlap::new(&played);
        for mut message in splice.into_held() {
            message.timestamp = message.timestamp.wrapping_add(shift);
            if overlap.is_new(&message, &played) {
                played.note(&message, now);
                delivered.push(message);
            }
        }
        let settings = delivered.iter().filter(|message| message.payload[1] == 0).count();
        assert_eq!(settings, 2, "what did not change is not repeated");
        let sound = delivered.iter().filter(|message| message.kind == AUDIO).count();
        let pictures: Vec<_> = delivered.iter().filter(|message| message.kind == VIDEO).skip(1).collect();
        assert_eq!(sound, pictures.len() + 1);
        Some(pictures.into_iter().map(|message| (message.payload[5], message.timestamp)).collect())
    }

    #[test]
    fn a_keyframe_of_both_connections_joins_them_without_gap_or_repetition() {
        // The new connection is behind the old one, ahead of it, and has times that wrap.
        for (old, new, zero) in [(0..17, 10..30, 5_000), (0..11, 10..30, 0), (0..25, 10..30, u32::MAX - 500)]
        {
            let expected: Vec<_> = (0..30).map(|number| (number as u8, number * 40)).collect();
            assert_eq!(splice(old, new, zero, false), Some(expected));
        }
    }

    #[test]
    fn without_a_keyframe_of_both_there_is_no_join_but_a_guess() {
        assert_eq!(splice(0..17, 20..30, 9_000, false), None);
        let times = splice(0..17, 20..30, 9_000, true).unwrap();
        // Picture 16 came at 640 ms.
        assert_eq!(times[16..19], [(16, 640), (20, 687), (21, 727)]);
    }

    #[test]
    fn nothing_is_guessed_before_there_is_a_frame_and_waiting_ends() {
        let now = Instant::now();
        let mut splice = Splice::new(now);
        splice.push(settings()[0].clone()).unwrap();
        assert_eq!(splice.guess(&Played::default(), now), None);
        assert!(!splice.is_overdue(now));
        assert!(splice.is_overdue(now + SPLICE_WAIT_MAX + Duration::from_secs(1)));
    }

    #[test]
    fn what_is_held_has_a_maximum_even_if_it_is_no_media() {
        let now = Instant::now();
        for length in [0, 6, 4096] {
            let payload = &[&[0x17, 0, 0, 0, 0][..], &[1; 4096]].concat()[..length];
            let message = Message { payload: Bytes::copy_from_slice(payload), ..settings()[0].clone() };
            let each = payload.len() + size_of::<Message>();
            let mut splice = Splice::new(now);
            let held =
                (0..2 * SPLICE_BYTES_MAX / each).take_while(|_| splice.push(message.clone()).is_ok()).count();
            assert_eq!(held, SPLICE_BYTES_MAX / each, "{length} bytes each");
        }
        // With a frame there is a place to go on from, and the one who moves does so at once.
        let mut splice = Splice::new(now);
        picture(0, 0).into_iter().for_each(|message| splice.push(message).unwrap());
        let large = Message { payload: Bytes::from(vec![0; SPLICE_BYTES_MAX]), ..settings()[0].clone() };
        splice.push(large).unwrap();
        assert!(splice.is_overdue(now) && splice.guess(&Played::default(), now).is_some());
    }

    #[test]
    fn settings_that_differ_are_delivered() {
        let now = Instant::now();
        let mut played = Played::default();
        let [video, audio] = settings();
        let mut other = video.clone();
        other.payload = Bytes::from_static(&[0x17, 0, 0, 0, 0, 9, 9, 9]);
        played.note(&video, now);
        played.note(&audio, now);
        picture(0, 0).iter().for_each(|message| played.note(message, now));
        let mut overlap = Overlap::new(&played);
        assert!(!overlap.is_new(&video, &played) && !overlap.is_new(&audio, &played));
        assert!(overlap.is_new(&other, &played));
    }
}
