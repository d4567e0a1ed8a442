//! Where players can begin within a transport stream.

use super::demux::{Unwrap, read_pes_head};
use super::psi::{self, Sections};
use super::{CLOCK_HZ, PACKET_BYTES, PAT_PID, PID_MASK, SYNC};
use crate::{Codec, Time};

/// A place to begin at, behind the tables of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entrance {
    /// The bytes before it: whole packets.
    pub position: u64,
    /// When it is shown, unwrapped from the first one of the stream on.
    pub shown: Time,
}

/// Finds the access units of the first track of pictures, or else of sound, that say that decoding can begin with them
/// (`random_access_indicator`, section 2.4.3.5). Of a stream that [`Muxer`](super::Muxer) has written, everything before such a
/// place can be left out, except its tables.
///
/// ```
/// # use media::container::ts::Entrances;
/// let (mut entrances, mut found) = (Entrances::new(), Vec::new());
/// entrances.push(&[0x47; 188], &mut found);
/// assert!(found.is_empty() && entrances.tables_bytes() == 0);
/// ```
#[derive(Debug, Default)]
pub struct Entrances {
    position: u64,
    pat: Sections,
    pmt: Sections,
    pmt_pid: Option<u16>,
    main: Option<u16>,
    /// Until where there was nothing but tables.
    tables_bytes: u64,
    /// Whether something else has come.
    has_media: bool,
    clock: Unwrap,
}

impl Entrances {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at whole packets, and adds what is found in them to `found`, in order. What is no packet is passed over.
    pub fn push(&mut self, packets: &[u8], found: &mut Vec<Entrance>) {
        for packet in packets.chunks_exact(PACKET_BYTES) {
            if let Some(shown) = self.read(packet) {
                found.push(Entrance { position: self.position, shown });
            }
            self.position += PACKET_BYTES as u64;
            if !self.has_media {
                self.tables_bytes = self.position;
            }
        }
    }

    /// The bytes at the front of the stream that are tables: what belongs before any of the places.
    pub fn tables_bytes(&self) -> u64 {
        self.tables_bytes
    }

    /// When the access unit that begins in the packet is shown, if players can begin with it.
    fn read(&mut self, packet: &[u8]) -> Option<Time> {
        const START: u16 = 0x4000;
        const ADAPTATION: u8 = 0x20;
        const PAYLOAD: u8 = 0x10;
        const RANDOM_ACCESS: u8 = 0x40;
        let &[SYNC, high, low, control, ..] = packet else {
            self.has_media = true;
            return None;
        };
        let head = u16::from_be_bytes([high, low]);
        let (pid, is_start) = (head & PID_MASK, head & START != 0);
        let mut payload = &packet[4..];
        let mut can_start = false;
        if control & ADAPTATION != 0 {
            let (length, rest) = payload.split_first()?;
            let (adaptation, rest) = rest.split_at_checked(usize::from(*length))?;
            can_start = adaptation.first().is_some_and(|flags| flags & RANDOM_ACCESS != 0);
            payload = rest;
        }
        if control & PAYLOAD == 0 {
            self.has_media = true;
            return None;
        }
        if pid == PAT_PID {
            let found = &mut self.pmt_pid;
            self.pat.push(is_start, payload, |section| {
                *found = psi::read_pat(section).ok().flatten().or(*found);
            });
        } else if Some(pid) == self.pmt_pid {
            let found = &mut self.main;
            self.pmt.push(is_start, payload, |section| {
                let entries = psi::read_pmt(section).ok().flatten().unwrap_or_default();
                let is_video = |codec| matches!(codec, Codec::H264 | Codec::H265);
                let main = entries.iter().find(|entry| is_video(entry.codec)).or(entries.first());
                *found = main.map(|entry| entry.pid).or(*found);
            });
        } else {
            self.has_media = true;
            if Some(pid) == self.main && is_start && can_start {
                let ticks = read_pes_head(payload)?.pts?;
                return Some(Time::from_ticks(self.clock.unwrap(ticks), CLOCK_HZ));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mux, stream};
    use super::super::{Demuxer, PACKET_BYTES};
    use super::*;
    use crate::{Role, TrackId};

    #[test]
    fn behind_the_tables_the_stream_can_begin_at_each_entrance() {
        let bytes = mux(&stream());
        let (mut entrances, mut found) = (Entrances::new(), Vec::new());
        // However it is cut.
        let (front, back) = bytes.split_at(3 * PACKET_BYTES);
        entrances.push(front, &mut found);
        entrances.push(back, &mut found);
        let shown: Vec<_> = found.iter().map(|entrance| entrance.shown.millis()).collect();
        assert_eq!(shown, [1080, 1200]);
        assert_eq!(entrances.tables_bytes(), 2 * PACKET_BYTES as u64);
        let mut demuxer = Demuxer::new();
        demuxer.push(&bytes[..entrances.tables_bytes() as usize]);
        demuxer.push(&bytes[found[1].position as usize..]);
        demuxer.finish();
        let all: Vec<_> = std::iter::from_fn(|| demuxer.poll()).collect();
        let is_picture =
            |packet: &&crate::Packet| packet.track == TrackId::VIDEO && packet.role == Role::Frame;
        let pictures: Vec<_> = all.iter().filter(is_picture).map(|packet| packet.pts.millis()).collect();
        assert_eq!((pictures, demuxer.damages()), (vec![1200, 1240], 0));
    }
}
