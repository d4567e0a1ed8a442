//! Where a live stream is cut: packets in, parts and segments out. Pure.
//!
//! One video track leads; without video, one of sound. Its segments begin at the first keyframe after the wanted length, so a
//! longer group of pictures makes a longer segment. The other tracks of pictures begin theirs where it began its own, and
//! tracks of sound with their next part after that: their parts are all filled, since players may take a segment for complete
//! that only a short part is missing of. The first segment ends at the first keyframe there is. What a part holds is decided by durations alone, and a frame has one when the next frame is there: so a
//! part is complete one frame after its last.

use super::limits;
use bytes::Bytes;
use media::{Codec, Kind, Packet, Role, Time, TrackId};
use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

/// The least that a part holds of the part target, unless it is the last of its segment (RFC 8216bis section 4.4.4.9), in
/// percent.
pub(super) const PART_FILL_PERCENT: u32 = 85;

/// The wanted lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goals {
    /// Of segments.
    pub(super) segment: Duration,
    /// Of parts.
    pub(super) part: Duration,
}

/// A run of frames that becomes a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    /// The track.
    pub(super) track: TrackId,
    /// In decode order, at least one.
    pub(super) frames: Vec<Packet>,
    /// When the last one ends.
    pub(super) end: Time,
    /// The part is the first of a segment.
    pub(super) opens: Option<Opening>,
    /// The part is the last of its segment.
    pub(super) closes: bool,
}

/// What is known of a segment when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    /// The codec of its frames.
    pub(super) codec: Codec,
    /// The configuration of its codec; empty where there is none.
    pub(super) config: Bytes,
    /// Interruptions of the stream before it: the discontinuity sequence number (RFC 8216bis section 3).
    pub(super) discontinuities: u64,
}

/// Cuts the tracks of one stream.
#[derive(Debug)]
pub(super) struct Segmenter {
    goals: Goals,
    /// What no part is longer than; none while frames are collected to choose it.
    part_target: Option<Duration>,
    collected: Vec<Packet>,
    collected_bytes: usize,
    tracks: Vec<Track>,
    /// The track that leads.
    leader: Option<TrackId>,
    /// Whether the leading track has begun its second segment.
    is_under_way: bool,
    /// The last times between keyframes of the leading track.
    gops: VecDeque<Duration>,
    /// How long segments shall not become longer than, once that was promised.
    segment_max: Option<Duration>,
    discontinuities: u64,
    /// Whether the next keyframe that leads begins a segment, if somebody else has decided that.
    cue: Option<bool>,
    /// Where the leading track has begun its newest segment.
    newest: Option<Time>,
}

#[derive(Debug)]
struct Track {
    id: TrackId,
    codec: Codec,
    config: Bytes,
    /// The next segment begins with another configuration.
    has_new_config: bool,
    /// The frames of the part at hand. How long the last one lasts is not known.
    frames: Vec<Packet>,
    /// The segment at hand: when it began, and its bytes.
    segment: Option<(Time, usize)>,
    /// What is to be said with its first part.
    opens: Option<Opening>,
    /// Interruptions before the segment at hand.
    discontinuities: u64,
    /// Where the leading track has begun segments and this one has not.
    boundaries: VecDeque<Time>,
    last_keyframe: Option<Time>,
    /// How long frames last, as far as is known.
    frame: Duration,
}

impl Segmenter {
    /// A segmenter. `gop` is the distance of keyframes, if it is known from before.
    pub(super) fn new(goals: Goals, gop: Option<Duration>) -> Self {
        Self {
            goals,
            part_target: None,
            collected: Vec::new(),
            collected_bytes: 0,
            tracks: Vec::new(),
            leader: None,
            is_under_way: false,
            gops: gop.filter(|gop| *gop < limits::SEGMENT_MAX).into_iter().collect(),
            segment_max: None,
            discontinuities: 0,
            cue: None,
            newest: None,
        }
    }

    /// Begins with so many interruptions before.
    pub(super) fn after(self, discontinuities: u64) -> Self {
        Self { discontinuities, ..self }
    }

    /// Says whether the leading track begins a segment with its next keyframe; None leaves it to the rules.
    pub(super) fn cue(&mut self, begins: Option<bool>) {
        self.cue = begins;
    }

    /// Whether the leading track has begun its newest segment with the frame that is shown at `pts`. None while
    /// frames are collected.
    pub(super) fn has_begun_at(&self, pts: Time) -> Option<bool> {
        self.part_target.map(|_| self.newest == Some(pts))
    }

    /// What no part is longer than: the part target duration. None before the first part.
    pub(super) fn part_target(&self) -> Option<Duration> {
        self.part_target
    }

    /// How long the segments become, as far as can be told. From now on keyframes that come early are used to keep to it.
    pub(super) fn promise_segment_max(&mut self) -> Duration {
        let has_pictures = self.leader.is_none_or(|leader| leader.kind == Kind::Video);
        let gop = match has_pictures {
            true => self.gop_expected(),
            false => Duration::ZERO,
        };
        let promise = self.goals.segment.max(gop);
        *self.segment_max.get_or_insert(promise)
    }

    /// Takes the next packet; adds to `out` what became complete.
    pub(super) fn push(&mut self, packet: Packet, out: &mut Vec<Cut>) {
        if packet.track.kind == Kind::Data || !matches!(packet.role, Role::Config | Role::Frame) {
            return;
        }
        if self.part_target.is_some() {
            return self.take(packet, out);
        }
        self.collected_bytes += packet.payload.len();
        self.collected.push(packet);
        if let Some(target) = self.choose_part_target() {
            self.part_target = Some(target);
            for packet in mem::take(&mut self.collected) {
                self.take(packet, out);
            }
        }
    }

    /// Whether `packet` is so far ahead of its track that the stream is to be taken for interrupted before it.
    pub(super) fn is_gap_before(&self, packet: &Packet) -> bool {
        let precedes = |frame: &&Packet| frame.track == packet.track && frame.role == Role::Frame;
        let taken = self.tracks.iter().filter_map(|track| track.frames.last());
        let mut newest_first = self.collected.iter().rev().chain(taken);
        packet.role == Role::Frame
            && newest_first.find(precedes).is_some_and(|last| packet.dts.since(last.dts) > limits::GAP_MAX)
    }

    /// The stream is interrupted, or ends: everything that is there becomes parts, and what comes next is a new beginning.
    pub(super) fn interrupt(&mut self, out: &mut Vec<Cut>) {
        if !self.collected.is_empty() {
            self.part_target = Some(self.goals.part);
            for packet in mem::take(&mut self.collected) {
                self.take(packet, out);
            }
        }
        for track in &mut self.tracks {
            if let Some(last) = track.frames.last() {
                let end = last.dts + track.frame;
                track.cut(end, true, out);
            }
            track.segment = None;
            track.boundaries.clear();
            track.last_keyframe = None;
        }
        self.discontinuities += 1;
        self.leader = None;
    }

    /// The part target that suits the frames collected so far; none while more of them are needed.
    fn choose_part_target(&self) -> Option<Duration> {
        let frames = |id: TrackId| {
            self.collected.iter().filter(move |packet| packet.role == Role::Frame && packet.track == id)
        };
        let first = self.collected.iter().find(|packet| packet.role == Role::Frame)?.track;
        let span = |id| {
            let mut times = frames(id).map(|packet| packet.dts);
            let first = times.next()?;
            let count = times.clone().count();
            times.last().map(|last| (last.since(first), count))
        };
        let mut ids: Vec<TrackId> = self.collected.iter().map(|packet| packet.track).collect();
        ids.sort_unstable();
        ids.dedup();
        let spanned = |id| span(id).map_or(Duration::ZERO, |(spanned, _)| spanned);
        let longest = ids.iter().map(|id| spanned(*id)).max().unwrap_or_default();
        let is_enough = spanned(first) >= self.goals.part
            || longest >= self.goals.part * limits::CALIBRATION_PARTS_MAX
            || self.collected.len() >= limits::CALIBRATION_FRAMES_MAX
            || self.collected_bytes >= limits::CALIBRATION_BYTES_MAX;
        if !is_enough {
            return None;
        }
        let frame = |id| span(id).map(|(spanned, count)| spanned / count as u32);
        let pictures = ids.iter().copied().find(|id| id.kind == Kind::Video).and_then(frame);
        let frames: Vec<Duration> = ids.into_iter().filter_map(frame).collect();
        Some(part_target(self.goals.part, &frames, pictures.map(|frame| (frame, self.segment_expected()))))
    }

    /// How long segments become, if keyframes stay as far apart as they were.
    fn segment_expected(&self) -> Duration {
        let goal = self.goals.segment;
        match self.gops.iter().max().filter(|gop| !gop.is_zero()) {
            Some(gop) => *gop * goal.as_nanos().div_ceil(gop.as_nanos()) as u32,
            None => goal,
        }
    }

    fn take(&mut self, packet: Packet, out: &mut Vec<Cut>) {
        let Some(index) = self.track(&packet) else { return };
        if packet.role == Role::Config {
            let track = &mut self.tracks[index];
            if track.config != packet.payload || track.codec != packet.codec {
                track.has_new_config = true;
                (track.codec, track.config) = (packet.codec, packet.payload);
            }
            return;
        }
        let track = &mut self.tracks[index];
        if track.codec != packet.codec {
            // A codec that has no configuration.
            (track.codec, track.config, track.has_new_config) = (packet.codec, Bytes::new(), true);
        }
        let is_keyframe = packet.is_video_keyframe();
        if packet.track.kind == Kind::Video && track.segment.is_none() && !is_keyframe {
            return;
        }
        // Pictures lead, also those that come later than the sound.
        let leads = match self.leader {
            Some(leader) if leader.kind == packet.track.kind || packet.track.kind == Kind::Audio => {
                leader == packet.track
            }
            _ => true,
        };
        if leads {
            self.leader = Some(packet.track);
        }
        if leads
            && is_keyframe
            && let Some(last) = track.last_keyframe.replace(packet.dts)
        {
            if self.gops.len() == limits::GOPS_RECENT {
                self.gops.pop_front();
            }
            self.gops.push_back(packet.dts.since(last).min(limits::SEGMENT_MAX));
        }
        let target = self.part_target.unwrap_or(self.goals.part);
        if let Some(last) = track.frames.last() {
            track.frame = packet.dts.since(last.dts).min(target);
        }
        track.split_before(packet.dts, target, out);
        let begins = match track.segment {
            None => true,
            Some((start, bytes)) => {
                let elapsed = packet.dts.since(start);
                elapsed >= limits::SEGMENT_MAX
                    || bytes >= limits::SEGMENT_BYTES_MAX
                    || self.begins_segment(index, &packet, leads, elapsed)
            }
        };
        if begins {
            self.begin_segment(index, &packet, leads, out);
        } else {
            let track = &mut self.tracks[index];
            track.end_part_at(packet.dts, target, out);
        }
        let track = &mut self.tracks[index];
        if let Some((_, bytes)) = &mut track.segment {
            *bytes += packet.payload.len();
        }
        track.frames.push(packet);
    }

    /// The index of the track of `packet`, if there is room for it.
    fn track(&mut self, packet: &Packet) -> Option<usize> {
        if let Some(index) = self.tracks.iter().position(|track| track.id == packet.track) {
            return Some(index);
        }
        if self.tracks.len() >= limits::RENDITIONS_MAX {
            return None;
        }
        self.tracks.push(Track {
            id: packet.track,
            codec: packet.codec,
            config: Bytes::new(),
            has_new_config: false,
            frames: Vec::new(),
            segment: None,
            opens: None,
            discontinuities: self.discontinuities,
            boundaries: VecDeque::new(),
            last_keyframe: None,
            frame: Duration::ZERO,
        });
        Some(self.tracks.len() - 1)
    }

    /// Whether a segment of track `index` ends before `packet`, `elapsed` after its beginning.
    fn begins_segment(&self, index: usize, packet: &Packet, leads: bool, elapsed: Duration) -> bool {
        let track = &self.tracks[index];
        let is_interrupted = track.has_new_config || track.discontinuities < self.discontinuities;
        let about = track.frame / 2;
        let target = self.part_target.unwrap_or(self.goals.part);
        let is_full = track.is_full_at(packet.dts, target);
        if leads {
            // The first one is short, so that players who know whole segments only can begin.
            let least = if self.is_under_way { self.goals.segment } else { self.goals.segment / 4 };
            let goal = elapsed + about >= least;
            return match packet.track.kind {
                Kind::Video if let Some(begins) = self.cue => {
                    packet.flags.keyframe && (is_interrupted || begins)
                }
                Kind::Video => {
                    packet.flags.keyframe && (is_interrupted || goal || self.would_break_promise(elapsed))
                }
                _ => is_interrupted || (goal && (is_full || elapsed >= least + target)),
            };
        }
        let boundary = track.boundaries.front().filter(|boundary| packet.pts + about >= **boundary);
        match packet.track.kind {
            Kind::Video => packet.flags.keyframe && (is_interrupted || boundary.is_some()),
            // A leading track that has stopped holds nobody back.
            _ => {
                is_interrupted
                    || boundary.is_some_and(|boundary| is_full || packet.pts >= *boundary + target)
                    || elapsed + track.frame > 2 * self.segment_max.unwrap_or_else(|| self.segment_expected())
            }
        }
    }

    /// The longest time between keyframes that is to be expected: the longest of the last ones.
    fn gop_expected(&self) -> Duration {
        self.gops.iter().max().copied().unwrap_or(limits::GOP_EXPECTED)
    }

    /// Whether the keyframe after this one might come too late for the promised length.
    fn would_break_promise(&self, elapsed: Duration) -> bool {
        self.segment_max.is_some_and(|longest| elapsed + self.gop_expected() > longest)
    }

    fn begin_segment(&mut self, index: usize, packet: &Packet, leads: bool, out: &mut Vec<Cut>) {
        let track = &mut self.tracks[index];
        let continues = !track.frames.is_empty();
        if continues {
            track.cut(packet.dts, true, out);
            // A change on one track is one in all: their numbers of discontinuities tell what belongs together.
            if track.has_new_config && track.discontinuities == self.discontinuities {
                self.discontinuities += 1;
            }
        }
        track.has_new_config = false;
        track.discontinuities = self.discontinuities;
        track.segment = Some((packet.dts, 0));
        track.opens = Some(Opening {
            codec: track.codec,
            config: track.config.clone(),
            discontinuities: track.discontinuities,
        });
        let about = track.frame / 2;
        while track.boundaries.front().is_some_and(|boundary| packet.pts + about >= *boundary) {
            track.boundaries.pop_front();
        }
        if leads {
            self.newest = Some(packet.pts);
            self.is_under_way |= continues;
            for other in
                self.tracks.iter_mut().filter(|other| other.id != packet.track && other.segment.is_some())
            {
                if other.boundaries.len() == limits::BOUNDARIES_MAX {
                    other.boundaries.pop_front();
                }
                other.boundaries.push_back(packet.pts);
            }
        }
    }
}

impl Track {
    /// Ends the part before its last frame if that frame, which lasts until `next`, makes it too long.
    fn split_before(&mut self, next: Time, target: Duration, out: &mut Vec<Cut>) {
        let Some(start) = self.frames.first().map(|frame| frame.dts) else { return };
        if self.frames.len() > 1
            && next.since(start) > target
            && let Some(last) = self.frames.pop()
        {
            self.cut(last.dts, false, out);
            self.frames.push(last);
        }
    }

    /// Whether the part is full at `now`, when the next frame begins.
    fn is_full_at(&self, now: Time, target: Duration) -> bool {
        let Some(start) = self.frames.first().map(|frame| frame.dts) else { return false };
        let duration = now.since(start);
        let is_filled = duration * 100 >= target * PART_FILL_PERCENT;
        (is_filled && duration + self.frame > target) || self.frames.len() >= limits::PART_FRAMES_MAX
    }

    /// Ends the part if it is full at `now`, when the next frame begins.
    fn end_part_at(&mut self, now: Time, target: Duration, out: &mut Vec<Cut>) {
        if self.is_full_at(now, target) {
            self.cut(now, false, out);
        }
    }

    fn cut(&mut self, end: Time, closes: bool, out: &mut Vec<Cut>) {
        let (opens, frames) = (self.opens.take(), mem::take(&mut self.frames));
        out.push(Cut { track: self.id, frames, end, opens, closes });
    }
}

/// The part target for tracks with frames of these durations: what `goal` comes to when parts are whole frames of all of
/// them, and none is filled to less than [`PART_FILL_PERCENT`]. `pictures` are the length of a frame of them and of their segments: if it can
/// be, the last part of each is not a short one. Of those that suit, the largest below `goal` or the next above it, whichever is
/// nearer.
fn part_target(goal: Duration, frames: &[Duration], pictures: Option<(Duration, Duration)>) -> Duration {
    const STEP: Duration = Duration::from_millis(1);
    /// Times of RTMP are whole milliseconds, so that a few frames may last this much longer than they should.
    const ROUNDING: Duration = Duration::from_millis(1);
    /// Frames are measured this exactly: one in so many may seem to be left over.
    const EXACT: u32 = 200;
    let filled = |target: Duration, frame: Duration| {
        frame * (target.saturating_sub(ROUNDING).as_nanos() / frame.as_nanos()) as u32
    };
    let suits = |target: Duration| {
        frames
            .iter()
            .filter(|frame| !frame.is_zero())
            .all(|frame| filled(target, *frame).saturating_sub(ROUNDING) * 100 >= target * PART_FILL_PERCENT)
    };
    let ends_well = |target: Duration| {
        pictures.filter(|(frame, _)| !frame.is_zero()).is_none_or(|(frame, segment)| {
            let part = filled(target, frame).max(frame);
            let last = Duration::from_nanos((segment.as_nanos() % part.as_nanos()) as u64);
            last <= segment / EXACT || last > limits::LAST_PART_MIN
        })
    };
    let goal = Duration::from_millis(goal.as_millis() as u64);
    let nearest = |suits: &dyn Fn(Duration) -> bool| {
        let below = std::iter::successors(Some(goal), |target| target.checked_sub(STEP))
            .take_while(|target| *target * 2 >= goal)
            .find(|target| suits(*target));
        let above = std::iter::successors(Some(goal), |target| Some(*target + STEP))
            .take_while(|target| *target <= goal * 4)
            .find(|target| suits(*target));
        (below, above)
    };
    match nearest(&|target| suits(target) && ends_well(target)) {
        (Some(below), Some(above)) if above.as_nanos() * below.as_nanos() < goal.as_nanos().pow(2) => above,
        (Some(below), _) => below,
        (None, Some(above)) if above * 2 <= goal * 3 => above,
        _ => {
            let (below, above) = nearest(&suits);
            below.or(above).unwrap_or(goal)
        }
    }
}

#[cfg(test)]
mod tests;
