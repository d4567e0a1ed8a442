//! What is sent and what is left out when the network cannot keep up, or came back.

use media::{Kind, Packet, Role};
use std::time::{Duration, Instant};

/// A packet this little behind its time is live again.
const FRESH: Duration = Duration::from_millis(250);

/// Lets packets through until one is too late, then none until a keyframe that is on time. Whole groups of pictures are
/// left out, never a single frame: what arrives can always be decoded.
#[derive(Debug)]
pub(crate) struct Gate {
    lag_max: Duration,
    open: bool,
    has_video: bool,
    /// The newest of each role and track, in the order they first came.
    kept: Vec<Packet>,
}

impl Gate {
    pub(crate) fn new(lag_max: Duration) -> Self {
        Self { lag_max, open: true, has_video: false, kept: Vec::new() }
    }

    /// Whether to send the packet that was due at `due`.
    pub(crate) fn admit(&mut self, packet: &Packet, now: Instant, due: Instant) -> bool {
        if packet.track.kind == Kind::Video {
            self.has_video = true;
        }
        if packet.role.is_kept() {
            self.keep(packet);
            return true;
        }
        let lag = now.saturating_duration_since(due);
        if self.open && lag > self.lag_max {
            self.open = false;
        }
        if !self.open && lag <= FRESH.min(self.lag_max) {
            self.open = self.may_start_with(packet);
        }
        self.open
    }

    /// Whether what was sent before a packet is not needed to decode it and all that follow.
    pub(crate) fn may_start_with(&self, packet: &Packet) -> bool {
        packet.is_video_keyframe() || (!self.has_video && packet.role == Role::Frame)
    }

    fn keep(&mut self, packet: &Packet) {
        match self.kept.iter_mut().find(|kept| kept.track == packet.track && kept.role == packet.role) {
            Some(kept) => *kept = packet.clone(),
            None => self.kept.push(packet.clone()),
        }
    }

    /// Waits for the next keyframe, for a new connection.
    pub(crate) fn start_over(&mut self) {
        self.open = self.kept.is_empty();
    }

    /// What a new connection must be told first.
    pub(crate) fn kept(&self) -> &[Packet] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::{Codec, Flags, Time, TrackId};

    fn video(role: Role, keyframe: bool) -> Packet {
        Packet {
            track: TrackId::VIDEO,
            codec: Codec::H264,
            role,
            flags: Flags { keyframe, disposable: false },
            dts: Time::ZERO,
            pts: Time::ZERO,
            payload: Bytes::new(),
        }
    }

    #[test]
    fn late_frames_are_left_out_up_to_a_keyframe_that_is_on_time() {
        let due = Instant::now();
        let late = due + Duration::from_secs(3);
        let mut gate = Gate::new(Duration::from_secs(2));
        assert!(gate.admit(&video(Role::Frame, true), due, due));
        assert!(!gate.admit(&video(Role::Frame, false), late, due));
        assert!(!gate.admit(&video(Role::Frame, true), late, due), "still late");
        assert!(!gate.admit(&video(Role::Frame, false), late, late), "not decodable");
        assert!(gate.admit(&video(Role::Config, false), late, due), "configuration always passes");
        assert!(gate.admit(&video(Role::Frame, true), late, late));
        assert!(gate.admit(&video(Role::Frame, false), late, late));
    }

    #[test]
    fn a_new_connection_gets_the_configuration_and_waits_for_a_keyframe() {
        let now = Instant::now();
        let mut gate = Gate::new(Duration::from_secs(2));
        gate.start_over();
        assert!(gate.kept().is_empty());
        assert!(gate.admit(&video(Role::Config, false), now, now));
        assert!(gate.admit(&video(Role::Frame, false), now, now), "the first connection takes what comes");
        gate.start_over();
        assert_eq!(gate.kept().len(), 1);
        assert!(!gate.admit(&video(Role::Frame, false), now, now));
        assert!(gate.admit(&video(Role::Frame, true), now, now));
    }
}
