//! One clock for all that a source yields: it starts at zero and runs on over loops.

use super::Source;
use crate::Error;
use media::{Packet, Role, Time, TrackId};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Shifts the packets of a source so that the first decode time is zero, and repeats it if asked to.
///
/// Each repetition is shifted by the length of the whole clip: up to the end of whichever track ends last. So decode
/// times never go back on any track, and since `pts - dts` is left alone, reordered frames keep their places.
#[derive(Debug)]
pub struct Timeline<S> {
    source: S,
    looped: bool,
    /// Decode time of the first packet of the source.
    first: Option<Time>,
    /// Added to the source's time, on top of the shift to zero.
    offset: Duration,
    tracks: BTreeMap<TrackId, Progress>,
    configs: HashMap<(TrackId, Role), Packet>,
    frames_in_loop: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    last: Option<Time>,
    /// The distance of the last two frames: how long the last one is taken to last.
    step: Duration,
}

impl<S: Source> Timeline<S> {
    /// Reads `source`, again and again if `looped`.
    pub fn new(source: S, looped: bool) -> Self {
        Self {
            source,
            looped,
            first: None,
            offset: Duration::ZERO,
            tracks: BTreeMap::new(),
            configs: HashMap::new(),
            frames_in_loop: 0,
        }
    }

    /// Whether the packet tells a decoder something new. A repetition yields the same configuration again.
    fn is_news(&mut self, packet: &Packet) -> bool {
        if !packet.role.is_kept() {
            return true;
        }
        let known = self.configs.insert((packet.track, packet.role), packet.clone());
        known.is_none_or(|known| known.payload != packet.payload || known.codec != packet.codec)
    }

    fn length(&self, first: Time) -> Duration {
        let end_of = |track: &Progress| track.last.map(|last| last.since(first) + track.step);
        // A clip of one frame would repeat without end at one instant.
        self.tracks.values().filter_map(end_of).max().unwrap_or_default().max(Duration::from_millis(1))
    }
}

impl<S: Source> Source for Timeline<S> {
    fn next(&mut self) -> Result<Option<Packet>, Error> {
        loop {
            let Some(mut packet) = self.source.next()? else {
                let (true, Some(first)) = (self.looped && self.frames_in_loop > 0, self.first) else {
                    return Ok(None);
                };
                self.offset += self.length(first);
                self.tracks.clear();
                self.frames_in_loop = 0;
                self.source.rewind()?;
                continue;
            };
            if !self.is_news(&packet) {
                continue;
            }
            let first = *self.first.get_or_insert(packet.dts);
            if packet.role == Role::Frame {
                self.frames_in_loop += 1;
                let track = self.tracks.entry(packet.track).or_default();
                if let Some(last) = track.last {
                    track.step = packet.dts.since(last);
                }
                track.last = Some(track.last.map_or(packet.dts, |last| last.max(packet.dts)));
            }
            let shift = |time: Time| Time::from_nanos(time - first) + self.offset;
            packet.pts = shift(packet.pts);
            packet.dts = shift(packet.dts);
            return Ok(Some(packet));
        }
    }

    fn rewind(&mut self) -> Result<(), Error> {
        self.source.rewind()?;
        self.first = None;
        self.offset = Duration::ZERO;
        self.tracks.clear();
        self.configs.clear();
        self.frames_in_loop = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Replay;
    use bytes::Bytes;
    use media::{Codec, Flags};

    fn packet(track: TrackId, role: Role, dts: i64, pts: i64) -> Packet {
        Packet {
            track,
            codec: if track == TrackId::VIDEO { Codec::H264 } else { Codec::Aac },
            role,
            flags: Flags::default(),
            dts: Time::from_millis(dts),
            pts: Time::from_millis(pts),
            payload: Bytes::from_static(b"x"),
        }
    }

    fn clip() -> Replay {
        Replay::new(vec![
            packet(TrackId::VIDEO, Role::Config, -80, -80),
            packet(TrackId::VIDEO, Role::Frame, -80, 0),
            packet(TrackId::AUDIO, Role::Frame, -21, -21),
            packet(TrackId::VIDEO, Role::Frame, -40, 80),
            packet(TrackId::AUDIO, Role::Frame, 0, 0),
            packet(TrackId::VIDEO, Role::Frame, 0, 40),
        ])
    }

    #[test]
    fn time_starts_at_zero_and_never_goes_back_over_loops() {
        let mut timeline = Timeline::new(clip(), true);
        let mut last = BTreeMap::new();
        for _ in 0..40 {
            let packet = timeline.next().unwrap().unwrap();
            assert!(packet.pts >= packet.dts || packet.track == TrackId::AUDIO);
            if let Some(last) = last.insert(packet.track, packet.dts) {
                assert!(packet.dts >= last, "{} after {last:?}", packet.dts.millis());
            }
        }
    }

    #[test]
    fn a_loop_lasts_until_the_end_of_the_longest_track() {
        let mut timeline = Timeline::new(clip(), true);
        let frames: Vec<_> = std::iter::from_fn(|| timeline.next().unwrap())
            .filter(|packet| packet.track == TrackId::VIDEO && packet.role == Role::Frame)
            .take(6)
            .map(|packet| (packet.dts.millis(), (packet.pts - packet.dts) / 1_000_000))
            .collect();
        assert_eq!(frames, [(0, 80), (40, 120), (80, 40), (120, 80), (160, 120), (200, 40)]);
    }

    #[test]
    fn configuration_is_repeated_only_when_it_changes() {
        let mut timeline = Timeline::new(clip(), true);
        let configs = std::iter::from_fn(|| timeline.next().unwrap())
            .take(50)
            .filter(|packet| packet.role == Role::Config)
            .count();
        assert_eq!(configs, 1);
    }

    #[test]
    fn a_clip_without_frames_ends_instead_of_looping_forever() {
        let only_config = Replay::new(vec![packet(TrackId::VIDEO, Role::Config, 0, 0)]);
        let mut timeline = Timeline::new(only_config, true);
        assert!(timeline.next().unwrap().is_some());
        assert!(timeline.next().unwrap().is_none());
    }
}
