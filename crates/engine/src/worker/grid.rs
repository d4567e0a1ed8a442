//! Where samples of sound belong: on a grid of frames that depends on nothing but time. Pure.
//!
//! Positions are counts of samples since time zero of the stream, and frames begin at multiples of their length. So all encoders of one
//! rate, also one that takes over from another, give packets of the same times. Times of sources are rounded (to milliseconds by
//! RTMP) and jump; what they say over seconds counts: the clock of a sound card is not that of a computer.

use media::Time;

/// A hole, or an overlap, that is mended at once: beyond what rounding and jitter do.
const JUMP_MS: i64 = 100;
/// One that is mended when so many frames in a row say so: some packets were lost.
const ASTRAY_MS: i64 = 30;
const ASTRAY_FRAMES: u8 = 4;
/// Beyond this, what follows begins anew, and players see the hole that the stream has.
const FILL_MS_MAX: i64 = 2000;
/// So far the sound may be from its time over many frames.
const DRIFT_MS_MAX: f64 = 3.0;
/// How much of the difference that a frame shows is believed: about a second makes an average.
const BELIEF: f64 = 1.0 / 32.0;
/// How often it is looked whether to stretch, and for how long it is then done.
const LOOK_SECONDS: i64 = 2;
/// The most by which sound is stretched: nobody hears half a percent.
const STRETCH_MAX: f64 = 0.005;

/// How the next decoded samples follow those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Directly.
    Next,
    /// Directly; and what follows becomes longer by `samples` over the next `distance`, or shorter.
    Stretch { samples: i32, distance: i32 },
    /// After so many samples of silence.
    Fill(usize),
    /// At a position of their own: what came before ends, and then [`Grid::begin`] is told.
    Anew(i64),
}

pub(super) struct Grid {
    rate: u32,
    /// Samples of a frame.
    frame: i64,
    /// The position of the next sample that is kept.
    next: Option<i64>,
    /// Samples still to be left out.
    skip: i64,
    /// How much later than their place samples say they are, over the last second.
    drift: f64,
    /// Frames in a row that are astray: later than their place, or, below zero, earlier.
    astray: i8,
    /// Samples since it was looked whether to stretch.
    unlooked: i64,
}

impl Grid {
    pub(super) fn new(rate: u32, frame: usize) -> Self {
        Self { rate, frame: frame.max(1) as i64, next: None, skip: 0, drift: 0.0, astray: 0, unlooked: 0 }
    }

    /// Places samples that say they begin at `nanos`. `pending` are those before them that the resampler holds.
    pub(super) fn place(&mut self, nanos: i64, pending: i64) -> Place {
        let at = Time::from_nanos(nanos).to_ticks(self.rate);
        let millis = |millis: i64| millis * i64::from(self.rate) / 1000;
        let Some(next) = self.next else { return Place::Anew(at) };
        let off = at.saturating_sub(next.saturating_sub(self.skip).saturating_add(pending));
        if off.unsigned_abs() > millis(FILL_MS_MAX).unsigned_abs() {
            return Place::Anew(at);
        }
        self.astray = match off.signum() as i8 {
            _ if off.abs() < millis(ASTRAY_MS) => 0,
            sign if self.astray.signum() == sign => self.astray.saturating_add(sign),
            sign => sign,
        };
        if off.abs() >= millis(JUMP_MS) || self.astray.unsigned_abs() >= ASTRAY_FRAMES {
            (self.drift, self.astray) = (0.0, 0);
            if off > 0 {
                return Place::Fill(off as usize);
            }
            self.skip -= off;
            return Place::Next;
        }
        self.drift += (off as f64 - self.drift) * BELIEF;
        let distance = i64::from(self.rate) * LOOK_SECONDS;
        if self.unlooked < distance {
            return Place::Next;
        }
        self.unlooked = 0;
        if self.drift.abs() * 1000.0 < DRIFT_MS_MAX * f64::from(self.rate) {
            return Place::Next;
        }
        let most = distance as f64 * STRETCH_MAX;
        Place::Stretch { samples: self.drift.clamp(-most, most) as i32, distance: distance as i32 }
    }

    /// The first whole frame begins at `at` or a little later.
    pub(super) fn begin(&mut self, at: i64) {
        let next = at.saturating_add(self.frame - 1).div_euclid(self.frame).saturating_mul(self.frame);
        (self.next, self.skip) = (Some(next), next.saturating_sub(at));
        (self.drift, self.astray, self.unlooked) = (0.0, 0, 0);
    }

    /// Of `count` samples that come, how many at the front are to be left out.
    pub(super) fn skip(&mut self, count: usize) -> usize {
        let skipped = self.skip.clamp(0, i64::try_from(count).unwrap_or(i64::MAX));
        self.skip -= skipped;
        skipped as usize
    }

    /// Notes that `count` samples were kept.
    pub(super) fn keep(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.next = self.next.map(|next| next.saturating_add(count));
        self.unlooked = self.unlooked.saturating_add(count);
    }

    /// The position of the first of the last `count` samples that were kept.
    pub(super) fn position(&self, count: usize) -> i64 {
        self.next.unwrap_or(0).saturating_sub(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: u32 = 48_000;

    /// What its user does.
    fn settle(grid: &mut Grid, place: Place) {
        match place {
            Place::Fill(count) => grid.keep(count),
            Place::Anew(at) => grid.begin(at),
            _ => {}
        }
    }

    /// Frames of 1024 samples with the times of `millis`; where each begins, and what was done.
    fn run(millis: &[i64]) -> (Grid, Vec<Place>) {
        let mut grid = Grid::new(RATE, 960);
        let places = millis.iter().map(|&millis| {
            let place = grid.place(millis * 1_000_000, 0);
            settle(&mut grid, place);
            let kept = 1024 - grid.skip(1024);
            grid.keep(kept);
            place
        });
        let places = places.collect();
        (grid, places)
    }

    #[test]
    fn frames_begin_at_multiples_of_their_length() {
        let mut grid = Grid::new(RATE, 960);
        let place = grid.place(1_000_000_001, 0);
        assert_eq!(place, Place::Anew(48_000));
        settle(&mut grid, place);
        let skipped = grid.skip(1024);
        assert_eq!((grid.position(0) % 960, grid.position(0) - skipped as i64), (0, 48_000));
    }

    #[test]
    fn rounded_times_are_no_holes() {
        let millis: Vec<_> = (0..500).map(|frame| frame * 1024 * 1000 / 48_000).collect();
        let (grid, places) = run(&millis);
        assert!(places[1..].iter().all(|place| *place == Place::Next), "{places:?}");
        assert_eq!(grid.position(0), 500 * 1024);
    }

    #[test]
    fn a_hole_is_filled_and_an_overlap_left_out() {
        let (grid, places) = run(&[0, 21, 1042]);
        assert_eq!(places, [Place::Anew(0), Place::Next, Place::Fill(50_016 - 2048)]);
        assert_eq!(grid.position(0), 50_016 + 1024);
        let (grid, places) = run(&[10_000, 10_021, 9_800]);
        assert_eq!(places[2], Place::Next);
        assert_eq!(grid.position(0) - grid.skip, 470_400 + 1024, "it was there already");
    }

    #[test]
    fn a_few_packets_that_were_lost_are_noticed_soon_and_one_that_is_late_is_not() {
        let (_, places) = run(&[0, 21, 43, 64 + 50, 85, 107]);
        assert!(places[1..].iter().all(|place| *place == Place::Next), "{places:?}");
        let late: Vec<_> = [0, 21].into_iter().chain((2..9).map(|frame| frame * 64 / 3 + 43)).collect();
        let (grid, places) = run(&late);
        let filled: Vec<_> = places.iter().filter(|place| matches!(place, Place::Fill(_))).collect();
        assert!(filled.len() == 1 && places[5] == *filled[0], "{places:?}");
        let end = Time::from_millis(8 * 64 / 3 + 43).to_ticks(RATE) + 1024;
        assert!((grid.position(0) - end).abs() < 48 * 2, "{}", grid.position(0) - end);
    }

    #[test]
    fn what_is_far_away_begins_anew() {
        let (grid, places) = run(&[0, 21, 60_000, 0]);
        assert_eq!(places, [Place::Anew(0), Place::Next, Place::Anew(2_880_000), Place::Anew(0)]);
        assert_eq!(grid.position(0), 1024);
    }

    #[test]
    fn a_clock_that_runs_slow_is_followed() {
        // A sound card that gives 0.1 % too little: each frame is 1.001 times as long as it should be.
        let mut grid = Grid::new(RATE, 1024);
        let (mut stretched, mut left) = (0, (0i64, 0i64));
        let mut worst = 0i64;
        for frame in 0..20_000i64 {
            let nanos = frame * 1024 * 1_001_000 / 48;
            let place = grid.place(nanos, 0);
            settle(&mut grid, place);
            if let Place::Stretch { samples, distance } = place {
                left = (samples.into(), distance.into());
                stretched += 1;
            }
            // As the resampler does it: evenly over the distance.
            let part = if left.1 > 0 { left.0 * 1024 / left.1 } else { 0 };
            left = (left.0 - part, left.1 - 1024);
            let kept = 1024 + part as usize;
            let skipped = grid.skip(kept);
            grid.keep(kept - skipped);
            if frame > 500 {
                worst = worst.max((grid.position(kept) - Time::from_nanos(nanos).to_ticks(RATE)).abs());
            }
        }
        assert!(stretched > 10);
        assert!(worst < 48 * 8, "never 8 ms away: {worst}");
    }

    proptest! {
        #[test]
        fn no_times_break_the_grid(times in proptest::collection::vec(any::<i64>(), 0..100), pending in any::<i16>()) {
            let mut grid = Grid::new(RATE, 1024);
            for nanos in times {
                let place = grid.place(nanos, pending.into());
                prop_assert!(!matches!(place, Place::Fill(count) if count > 2 * RATE as usize));
                settle(&mut grid, place);
                let skipped = grid.skip(1024);
                prop_assert!(skipped <= 1024);
                grid.keep(1024 - skipped);
            }
        }
    }
}
