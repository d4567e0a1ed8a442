//! An encoder's own judgement of its pictures: some groups of pictures are decoded again, and compared with what was encoded.
//!
//! Bits for the same look differ by a factor of ten from scene to scene. What a picture looks like is seen by looking at it, so that is what
//! is done: a sixth of all groups of pictures is decoded, and of those every seventh picture compared. That takes about
//! a hundredth of what encoding takes.

mod steer;
mod vif;

use crate::av::{Decoder, Frame};
use crate::encode::Config;
use crate::ipc::Coded;
use std::collections::VecDeque;
use std::time::Duration;
use steer::{Seen, Steer};
use vif::{Plane, SCALES};

/// Pictures that are decoded in one look: two seconds of most streams.
const PICTURES_MAX: u32 = 60;
/// Every so many of them is compared.
const EVERY: u32 = 7;
/// One picture of so many may be decoded, on the whole.
const PART: f32 = 1.0 / 6.0;
/// Pictures that may be decoded at once: of the first groups, until the quality is found.
const CREDIT_MAX: f32 = 3.0 * PICTURES_MAX as f32;
/// What a group takes that was not looked at may be so many times what the last one took that was, or such a part of it; beyond that it is another
/// scene, which is looked at.
const SCENE: f64 = 1.6;
/// Where this part of the most bits is used there is no room for more.
const FULL: f64 = 0.9;

/// What became of a look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Verdict {
    /// What VMAF would say, about.
    pub(super) vmaf: f32,
    /// With which quality to go on, if with another.
    pub(super) quality: Option<f32>,
}

/// Looks at what an encoder makes.
pub(super) struct Judge {
    steer: Steer,
    codec: media::Codec,
    bitrate_bps: u32,
    /// Pictures that may be decoded.
    credit: f32,
    looking: Option<Look>,
    group: Group,
    /// What a picture of the last group took that was looked at, in bytes.
    bytes_seen: Option<f64>,
    frame: Frame,
}

/// One group of pictures that is looked at.
struct Look {
    start: i64,
    /// Pictures so far; from [`PICTURES_MAX`] on no more are kept.
    pictures: u32,
    before: Option<Plane>,
    /// What is to be compared, in the order in which it is shown.
    kept: VecDeque<(i64, Plane, f32)>,
    /// From the first packet on.
    decoder: Option<Decoder>,
    sum: [f32; SCALES],
    /// As in [`Plane::change`]. Their median counts: one cut between two scenes is no motion.
    changes: Vec<f32>,
}

/// Packets since the last keyframe.
#[derive(Default)]
struct Group {
    bytes: usize,
    packets: u32,
    first: i64,
    last: i64,
}

impl Judge {
    /// For an encoder with a goal; `None` if it has none. `is_cheap` as in [`Steer::new`].
    pub(super) fn of(config: &Config, is_cheap: bool) -> Option<Self> {
        let (goal, quality) = config.vmaf.zip(config.quality)?;
        let codec = config.codec.of_packets();
        let frame = Frame::new().ok()?;
        let steer = Steer::new(goal, quality, config.codec, is_cheap);
        Some(Self {
            steer,
            codec,
            bitrate_bps: config.bitrate_bps,
            credit: CREDIT_MAX,
            looking: None,
            group: Group::default(),
            bytes_seen: None,
            frame,
        })
    }

    /// Other pictures follow, such as turned ones, for which the quality is as good a beginning as any.
    pub(super) fn look_anew(&mut self) {
        (self.looking, self.bytes_seen, self.group) = (None, None, Group::default());
        self.credit = self.credit.max(PICTURES_MAX as f32);
    }

    /// The most bits per second are others by now.
    pub(super) fn set_bitrate(&mut self, bps: u32) {
        self.bitrate_bps = bps;
    }

    /// What is about to be encoded.
    pub(super) fn picture(&mut self, pts: i64, keyframe: bool, frame: &mut Frame) {
        self.credit = (self.credit + PART).min(CREDIT_MAX);
        // A keyframe that has not come out by the second one after it never will as one.
        let is_lost = |look: &mut Look| look.decoder.is_none() && look.pictures >= PICTURES_MAX;
        if keyframe && self.looking.as_mut().is_some_and(is_lost) {
            self.looking = None;
        }
        if keyframe && self.looking.is_none() && self.credit >= 1.0 {
            self.looking = Some(Look::new(pts));
        }
        let Some(look) = &mut self.looking else { return };
        if keyframe && look.start != pts {
            look.pictures = PICTURES_MAX;
        }
        if look.pictures >= PICTURES_MAX {
            return;
        }
        let place = look.pictures % EVERY;
        look.pictures += 1;
        if place < EVERY - 2 {
            return;
        }
        let Some(rows) = frame.luma() else { return };
        let plane = Plane::halved(rows);
        match look.before.take() {
            Some(before) if place == EVERY - 1 => {
                let change = plane.change(&before);
                look.kept.push_back((pts, plane, change));
            }
            _ => look.before = Some(plane),
        }
    }

    /// What came of it, with the configuration that it needs.
    pub(super) fn packet(&mut self, coded: &Coded, record: &[u8]) -> Option<Verdict> {
        let mut verdict = None;
        if coded.keyframe {
            verdict = self
                .looking
                .as_ref()
                .is_some_and(|look| look.decoder.is_some())
                .then(|| self.conclude())
                .flatten();
            self.note_group();
            self.group = Group { first: coded.dts, ..Group::default() };
        }
        self.group.bytes += coded.payload.len();
        self.group.packets += 1;
        self.group.last = coded.dts;
        let Some(look) = &mut self.looking else { return verdict };
        if look.decoder.is_none() && coded.keyframe && coded.pts == look.start {
            look.decoder = Decoder::open(self.codec, record, 1).ok();
            if look.decoder.is_none() {
                self.looking = None;
                return verdict;
            }
        }
        if look.decoder.is_some() {
            self.credit -= 1.0;
        }
        if look.compare(coded, &mut self.frame).is_none() {
            // What does not decode is for others to find; here it says nothing.
            self.looking = None;
            return verdict;
        }
        let is_over = look.pictures >= PICTURES_MAX && look.kept.is_empty();
        if is_over { self.conclude() } else { verdict }
    }

    /// A group has ended. If it takes much more or less than what was looked at, the next one is looked at.
    fn note_group(&mut self) {
        let Some(seen) = self.bytes_seen.filter(|_| self.looking.is_none() && self.group.packets > 0) else {
            return;
        };
        let ratio = self.group.bytes_per_picture() / seen.max(1.0);
        if !(1.0 / SCENE..SCENE).contains(&ratio) {
            self.credit = self.credit.max(PICTURES_MAX as f32);
        }
    }

    fn conclude(&mut self) -> Option<Verdict> {
        let Look { sum, mut changes, .. } = self.looking.take()?;
        changes.sort_by(f32::total_cmp);
        let change = *changes.get(changes.len() / 2)?;
        let count = changes.len() as f32;
        let seen = Seen { fidelity: sum.map(|sum| sum / count), change };
        self.bytes_seen = Some(self.group.bytes_per_picture());
        let vmaf = seen.vmaf();
        let is_full = self.group.bps().is_some_and(|bps| bps > FULL * f64::from(self.bitrate_bps));
        let quality = self.steer.next(vmaf, is_full);
        if quality.is_some() && self.steer.is_far(vmaf) {
            self.credit = self.credit.max(PICTURES_MAX as f32);
        }
        Some(Verdict { vmaf, quality })
    }
}

impl Look {
    fn new(start: i64) -> Self {
        Self {
            start,
            pictures: 0,
            before: None,
            kept: VecDeque::new(),
            decoder: None,
            sum: [0.0; SCALES],
            changes: Vec::new(),
        }
    }

    /// Decodes, and compares what is to be compared. `None` if that is impossible.
    fn compare(&mut self, coded: &Coded, frame: &mut Frame) -> Option<()> {
        let Some(decoder) = &mut self.decoder else { return Some(()) };
        decoder.send(Some(coded)).ok()?;
        while decoder.receive(frame).ok()? {
            let pts = frame.pts()?;
            // What was kept of pictures that do not come any more.
            while self.kept.front().is_some_and(|(kept, ..)| *kept < pts) {
                self.kept.pop_front();
            }
            if self.kept.front().is_none_or(|(kept, ..)| *kept != pts) {
                continue;
            }
            let (_, reference, change) = self.kept.pop_front()?;
            let found = vif::fidelity(&reference, &Plane::halved(frame.luma()?))?;
            self.sum.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
            self.changes.push(change);
        }
        Some(())
    }
}

impl Group {
    fn bytes_per_picture(&self) -> f64 {
        self.bytes as f64 / f64::from(self.packets.max(1))
    }

    /// Bits per second, of enough packets.
    fn bps(&self) -> Option<f64> {
        let length = Duration::from_nanos(u64::try_from(self.last.saturating_sub(self.first)).ok()?);
        let intervals = f64::from(self.packets.saturating_sub(1));
        (intervals >= 8.0 && !length.is_zero())
            .then(|| self.bytes_per_picture() * 8.0 * intervals / length.as_secs_f64())
    }
}
