//! From packets, wherever they are read, to lists of samples with their places. Pure.

use super::samples::Samples;
use super::span::Described;
use bytes::Bytes;
use media::container::fmp4::{self, MovieTrack, Sample};
use media::{Kind, Packet, Role, Time, TrackId};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is known of a track before the first frame is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// The track without its samples.
    pub(super) media: MovieTrack,
    pub(super) samples: Samples,
    /// How it is described, if that is known.
    pub(super) written: Option<fmp4::Track>,
}

impl Found {
    /// As a track of a span.
    pub(super) fn described(self, written: fmp4::Track) -> Described {
        Described { media: self.media, samples: self.samples, written }
    }
}

/// How long the last frame of a track lasts that has only one.
const FRAME: Duration = Duration::from_millis(20);

/// Makes spans of packets in the order of their file. A configuration that changes begins one, at the next keyframe.
#[derive(Debug, Default)]
pub(super) struct Collector {
    configs: BTreeMap<TrackId, Bytes>,
    /// The configurations that the span goes with.
    used: BTreeMap<TrackId, Bytes>,
    /// Another span begins at the next keyframe.
    roll: bool,
    /// Another span begins with whatever comes.
    anew: bool,
    spans: Vec<Vec<Found>>,
}

impl Collector {
    /// What was found: the tracks of each span.
    pub(super) fn spans(&self) -> &[Vec<Found>] {
        &self.spans
    }

    /// What comes goes on from nothing: its times and its tracks are others.
    pub(super) fn begin_anew(&mut self) {
        self.configs.clear();
        self.anew = true;
    }

    /// Takes a packet whose payload begins at `position`.
    pub(super) fn take(&mut self, packet: &Packet, position: u64) {
        match packet.role {
            Role::Config => {
                let is_other = self.used.get(&packet.track).is_some_and(|used| *used != packet.payload);
                self.roll |= is_other;
                self.configs.insert(packet.track, packet.payload.clone());
            }
            Role::Frame if !packet.payload.is_empty() && packet.track.kind != Kind::Data => {
                self.frame(packet, position);
            }
            _ => {}
        }
    }

    fn frame(&mut self, packet: &Packet, position: u64) {
        let span = self.spans.last();
        let known = |id| span.and_then(|span| span.iter().find(|found| found.media.id == id));
        let is_same = known(packet.track).is_none_or(|found| found.media.codec == packet.codec);
        self.roll |= !is_same;
        let has_video = span.is_some_and(|span| span.iter().any(|found| found.media.id.kind == Kind::Video));
        let is_entrance = packet.is_video_keyframe() || !has_video;
        if self.spans.is_empty() || self.anew || (self.roll && is_entrance) {
            self.spans.push(Vec::new());
            self.used.clear();
            (self.roll, self.anew) = (false, false);
        }
        // Some codecs have none.
        let config = self.configs.get(&packet.track).cloned().unwrap_or_default();
        // What goes with another configuration than that of the span has no place before the next.
        if self.used.get(&packet.track).is_some_and(|used| *used != config) {
            return;
        }
        let Some(span) = self.spans.last_mut() else { return };
        let at = match span.iter().position(|found| found.media.id == packet.track) {
            Some(at) => at,
            None => {
                let Some(track) = new_track(span.len(), packet, &config) else { return };
                self.used.insert(packet.track, config);
                span.push(track);
                span.len() - 1
            }
        };
        let Some(found) = span.get_mut(at).filter(|found| found.media.codec == packet.codec) else {
            return;
        };
        add_sample(found, packet, position);
    }
}

/// A track that begins with `packet`, if there is a form for it in MP4, and it begins with a keyframe.
fn new_track(before: usize, packet: &Packet, config: &Bytes) -> Option<Found> {
    if packet.track.kind == Kind::Video && !packet.flags.keyframe {
        return None;
    }
    let number = before as u32 + 1;
    let written = fmp4::Track::new(number, packet.track, packet.codec, config, &packet.payload).ok()?;
    let media = MovieTrack {
        number,
        id: packet.track,
        codec: packet.codec,
        config: config.clone(),
        timescale: written.timescale(),
        start: 0,
        samples: Vec::new(),
        end: 0,
    };
    Some(Found { media, samples: Samples::default(), written: Some(written) })
}

fn add_sample(found: &mut Found, packet: &Packet, position: u64) {
    let Found { media, samples, .. } = found;
    let payload = fmp4::sample(packet.codec, &packet.payload);
    let cut = (packet.payload.len() - payload.len()) as u64;
    let last = samples.last().map(|sample| sample.dts);
    // Times that go back have no form.
    let dts = packet.dts.to_ticks(media.timescale).max(last.unwrap_or(i64::MIN));
    let composition = packet.pts.to_ticks(media.timescale).saturating_sub(dts);
    let step = match last {
        Some(last) if dts > last => dts - last,
        _ => (Time::ZERO + FRAME).to_ticks(media.timescale),
    };
    samples.push(Sample {
        position: position + cut,
        size: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        dts,
        composition: i32::try_from(composition).unwrap_or(0),
        flags: packet.flags,
    });
    media.end = dts.saturating_add(step);
}
