//! The tracks of a stream.

use crate::{TRACKS_MAX, WriteError};
use media::{Codec, Packet, Time, TrackId};
use std::time::Instant;

/// The tracks that a stream has had. Each keeps its slot (a small number) while it is in use.
#[derive(Debug)]
pub(crate) struct Tracks {
    slots: Vec<Track>,
    slots_max: usize,
}

/// One track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    /// The codec of its newest packet.
    pub(crate) codec: Codec,
    /// When its newest packet came.
    pub(crate) arrived: Instant,
    /// The decoding time of its newest frame.
    pub(crate) last: Option<Time>,
    /// Whether the present publisher has it. Others are remembered for their time until the place is needed.
    pub(crate) present: bool,
    /// Whether frames may enter: at once for audio and data, from the first keyframe on for video.
    pub(crate) open: bool,
}

impl Tracks {
    pub(crate) fn new(tracks_max: usize) -> Self {
        Self { slots: Vec::new(), slots_max: tracks_max.min(TRACKS_MAX) }
    }

    /// Forgets which tracks there are, for a new publisher. Their times stay: a track never goes back.
    pub(crate) fn begin_session(&mut self) {
        for track in &mut self.slots {
            (track.present, track.open) = (false, false);
        }
    }

    /// The slot of the track of `packet`, a new one if it has none.
    pub(crate) fn slot_of(&mut self, packet: &Packet, now: Instant) -> Result<usize, WriteError> {
        let slot = match self.slots.iter().position(|track| track.id == packet.track) {
            Some(slot) => slot,
            None => self.take_slot(packet, now)?,
        };
        let track = &mut self.slots[slot];
        (track.codec, track.arrived, track.present) = (packet.codec, now, true);
        Ok(slot)
    }

    fn take_slot(&mut self, packet: &Packet, now: Instant) -> Result<usize, WriteError> {
        let track = Track {
            id: packet.track,
            codec: packet.codec,
            arrived: now,
            last: None,
            present: true,
            open: false,
        };
        if self.slots.len() < self.slots_max {
            self.slots.push(track);
            return Ok(self.slots.len() - 1);
        }
        let unused = self.slots.iter().position(|track| !track.present);
        let slot = unused.ok_or(WriteError::TooManyTracks)?;
        self.slots[slot] = track;
        Ok(slot)
    }

    pub(crate) fn get_mut(&mut self, slot: usize) -> &mut Track {
        &mut self.slots[slot]
    }

    /// The tracks of the present publisher.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Track> {
        self.slots.iter().filter(|track| track.present)
    }

    pub(crate) fn find(&self, id: TrackId) -> Option<&Track> {
        self.slots.iter().find(|track| track.id == id)
    }
}
