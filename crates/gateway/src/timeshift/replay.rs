//! Segments back to packets, of all tracks of a stream in the order of their decoding times.

use super::clock::{Clock, Stamp};
use crate::hls::{Following, Line, Rewound};
use bytes::Bytes;
use media::container::Error;
use media::container::fmp4::Indexer;
use media::{Codec, Kind, Packet, Time, TrackId};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tracing::debug;

/// A track that has nothing more for so long holds the others up no longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Plays a stream from a moment of the past on, and stays as far behind live.
pub(crate) struct Replay {
    source: Rewound,
    lanes: Vec<Lane>,
    clock: Clock,
    /// Since when a track has nothing.
    lacking: Option<Instant>,
}

/// One track.
struct Lane {
    track: TrackId,
    /// The number of the segment that is read next.
    next: u64,
    packets: VecDeque<(Packet, Stamp)>,
    /// The newest configuration.
    config: (Codec, Bytes),
    ended: bool,
}

impl Replay {
    /// Begins with the last keyframe up to `time` on the clock of the media, or with the oldest there is. `burst` of media is due
    /// at once. `None` where there is no media at all.
    pub(crate) async fn begin(source: Rewound, time: Time, burst: Duration) -> Option<Self> {
        let mut tracks = source.tracks();
        // Pictures come first, and have keyframes.
        tracks.sort_unstable();
        let mut lanes = Vec::new();
        let mut start = None;
        for track in tracks {
            let Some(line) = source.at(track, start.unwrap_or(time)) else { continue };
            let mut lane = Lane {
                track,
                next: line.number,
                packets: VecDeque::new(),
                config: (Codec::Amf, Bytes::new()),
                ended: false,
            };
            lane.read(&source, line).await;
            start = start.or_else(|| lane.entrance(time));
            if let Some(start) = start {
                lane.skip_to(start);
            }
            lanes.push(lane);
        }
        (!lanes.is_empty()).then(|| Self {
            source,
            lanes,
            clock: Clock::new(Instant::now(), burst),
            lacking: None,
        })
    }

    /// Whether it has tracks of this kind.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.lanes.iter().any(|lane| lane.track.kind == kind)
    }

    /// The next packet, and when it is due. `None` when the stream is over. Can be called again after it was given up.
    pub(crate) async fn next(&mut self) -> Option<(Packet, Instant)> {
        loop {
            let mut changes = self.source.changes();
            if let Some(lane) = self.fill().await {
                let (packet, stamp) = self.lanes[lane].packets.pop_front()?;
                return Some((packet, self.clock.due(stamp)));
            }
            if self.lanes.iter().all(|lane| lane.ended) {
                return None;
            }
            let since = *self.lacking.get_or_insert_with(Instant::now);
            let wait = PATIENCE.saturating_sub(since.elapsed()).max(Duration::from_millis(100));
            tokio::select! {
                // The sender is part of the channel, so that this does not fail.
                _ = changes.changed() => {}
                () = self.source.stopped() => return None,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Reads on where there is nothing left. Returns the track whose turn it is, if that can be said.
    async fn fill(&mut self) -> Option<usize> {
        let mut lacks = false;
        for lane in self.lanes.iter_mut().filter(|lane| lane.packets.is_empty()) {
            while lane.packets.is_empty() {
                match self.source.following(lane.track, lane.next) {
                    Following::Segment(line) => lane.read(&self.source, line).await,
                    Following::Later => {
                        lacks = true;
                        break;
                    }
                    Following::End => {
                        lane.ended = true;
                        break;
                    }
                }
            }
        }
        if !lacks {
            self.lacking = None;
        }
        let is_lost = self.lacking.is_some_and(|since| since.elapsed() >= PATIENCE);
        let filled = self.lanes.iter().enumerate();
        let first = filled.filter_map(|(index, lane)| Some((lane.packets.front()?.0.dts, index))).min();
        first.filter(|_| !lacks || is_lost).map(|(_, index)| index)
    }
}

impl Lane {
    /// Reads a segment. One that cannot be read is left out.
    async fn read(&mut self, source: &Rewound, line: Line) {
        let read = source.read(self.track, &line).await;
        // Only now: who gives up waiting begins anew with this one.
        self.next = line.number + 1;
        let Ok((init, media)) = read else { return };
        let file: Bytes = [init, media].concat().into();
        if let Err(error) = self.take(&line, &file) {
            debug!(track = %self.track, number = line.number, %error, "a segment cannot be read back");
        }
    }

    fn take(&mut self, line: &Line, file: &Bytes) -> Result<(), Error> {
        let mut indexer = Indexer::new(file.len() as u64);
        while let Some(range) = indexer.wants() {
            indexer.push(&file[range.start as usize..range.end as usize])?;
        }
        let movie = indexer.finish();
        let Some(found) = movie.tracks.first() else { return Ok(()) };
        let stamp = |packet: &Packet| {
            let ahead = line.date + packet.dts.since(line.start);
            let date = ahead.checked_sub(line.start.since(packet.dts)).unwrap_or(line.date);
            Stamp { dts: packet.dts, date, discontinuities: line.discontinuities }
        };
        let first = found.samples.first().map(|sample| in_millis(found.dts(sample)));
        if let Some(time) = first
            && (self.config.0, &self.config.1) != (found.codec, &found.config)
        {
            self.config = (found.codec, found.config.clone());
            if let Some(config) = found.config_packet(time) {
                let config = Packet { track: self.track, ..config };
                self.packets.push_back((config.clone(), stamp(&config)));
            }
        }
        for sample in &found.samples {
            let start = sample.position as usize;
            let payload = file.slice(start..start + sample.size as usize);
            let packet = found.packet(sample, payload);
            let (dts, pts) = (in_millis(packet.dts), in_millis(packet.pts));
            let packet = Packet { track: self.track, dts, pts, ..packet };
            self.packets.push_back((packet.clone(), stamp(&packet)));
        }
        Ok(())
    }

    /// The last packet up to `time` at which decoding can start, or the first.
    fn entrance(&self, time: Time) -> Option<Time> {
        let starts = |packet: &&Packet| {
            packet.role == media::Role::Frame && (packet.flags.keyframe || self.track.kind == Kind::Audio)
        };
        let packets = || self.packets.iter().map(|(packet, _)| packet).filter(starts);
        let found = packets().filter(|packet| packet.dts <= time).last().or(packets().next());
        found.map(|packet| packet.dts)
    }

    /// Leaves out the frames before `time`.
    fn skip_to(&mut self, time: Time) {
        self.packets.retain(|(packet, _)| packet.role == media::Role::Config || packet.dts >= time);
    }
}

/// The nearest millisecond: ticks of a sample rate are no whole ones, and what came in FLV had them.
fn in_millis(time: Time) -> Time {
    const HALF: Duration = Duration::from_micros(500);
    Time::from_millis((time + HALF).millis())
}
