//! Sound and data of a stream, on their way to wait for its pictures. Pure.
//!
//! Pictures come out of an encoder later than the sound that belongs to them. A player that gets a stream with sound ahead of its
//! pictures must keep it for so long, and one that begins with a picture leaves out what comes before it. So what comes
//! early is held until the pictures have reached its time.

use super::limits::{HELD_MAX, SOUND_HELD};
use media::{Packet, Role, Time};
use std::collections::VecDeque;
use std::time::Instant;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Interleave {
    held: VecDeque<(Packet, Instant)>,
    /// How far the pictures have come.
    pictures: Option<Time>,
}

impl Interleave {
    /// Takes the next packet of sound or data.
    pub(super) fn push(&mut self, packet: Packet, now: Instant) {
        self.held.push_back((packet, now + SOUND_HELD));
    }

    /// Notes that pictures have come to `dts`.
    pub(super) fn note_pictures(&mut self, dts: Time) {
        self.pictures = self.pictures.max(Some(dts));
    }

    /// The next packet whose time has come: that of the pictures, or the end of its wait.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Packet> {
        let (packet, until) = self.held.front()?;
        // What is no frame has no time of its own: it goes with the frame that follows.
        let is_due = packet.role == Role::Frame
            && self.pictures.is_some_and(|pictures| packet.dts <= pictures)
            || (packet.role != Role::Frame && self.is_next_due());
        if is_due || *until <= now || self.held.len() > HELD_MAX {
            return self.held.pop_front().map(|(packet, _)| packet);
        }
        None
    }

    fn is_next_due(&self) -> bool {
        let next = self.held.iter().find(|(packet, _)| packet.role == Role::Frame);
        next.is_none_or(|(packet, _)| self.pictures.is_some_and(|pictures| packet.dts <= pictures))
    }

    /// When [`Interleave::pop`] has something although no picture comes.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.held.front().map(|(_, until)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::{Codec, Flags, TrackId};
    use std::time::Duration;

    fn packet(role: Role, millis: i64) -> Packet {
        let time = Time::from_nanos(millis * 1_000_000);
        Packet {
            track: TrackId::AUDIO,
            codec: Codec::Aac,
            role,
            flags: Flags::default(),
            dts: time,
            pts: time,
            payload: Bytes::new(),
        }
    }

    fn drain(interleave: &mut Interleave, now: Instant) -> Vec<(Role, i64)> {
        std::iter::from_fn(|| interleave.pop(now)).map(|packet| (packet.role, packet.dts.millis())).collect()
    }

    #[test]
    fn sound_waits_for_the_pictures_of_its_time() {
        let (mut interleave, now) = (Interleave::default(), Instant::now());
        [0, 20, 40].into_iter().for_each(|millis| interleave.push(packet(Role::Frame, millis), now));
        assert_eq!(drain(&mut interleave, now), []);
        interleave.note_pictures(Time::from_nanos(33_000_000));
        assert_eq!(drain(&mut interleave, now), [(Role::Frame, 0), (Role::Frame, 20)]);
        interleave.note_pictures(Time::ZERO);
        assert_eq!(drain(&mut interleave, now), [], "pictures do not go back");
    }

    #[test]
    fn sound_does_not_wait_for_ever() {
        let (mut interleave, now) = (Interleave::default(), Instant::now());
        interleave.push(packet(Role::Frame, 0), now);
        assert_eq!(interleave.due_at(), Some(now + SOUND_HELD));
        assert_eq!(drain(&mut interleave, now + SOUND_HELD - Duration::from_millis(1)), []);
        assert_eq!(drain(&mut interleave, now + SOUND_HELD), [(Role::Frame, 0)]);
        assert_eq!(interleave.due_at(), None);
    }

    #[test]
    fn a_configuration_goes_with_the_frame_that_follows_it() {
        let (mut interleave, now) = (Interleave::default(), Instant::now());
        interleave.note_pictures(Time::from_nanos(10_000_000));
        interleave.push(packet(Role::Config, 0), now);
        interleave.push(packet(Role::Frame, 20), now);
        assert_eq!(drain(&mut interleave, now), []);
        interleave.note_pictures(Time::from_nanos(20_000_000));
        assert_eq!(drain(&mut interleave, now), [(Role::Config, 0), (Role::Frame, 20)]);
    }

    #[test]
    fn no_more_than_so_many_packets_wait() {
        let (mut interleave, now) = (Interleave::default(), Instant::now());
        (0..2 * HELD_MAX as i64).for_each(|millis| interleave.push(packet(Role::Frame, millis), now));
        assert_eq!(drain(&mut interleave, now).len(), HELD_MAX);
    }
}
