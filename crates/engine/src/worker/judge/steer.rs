//! How good pictures look, and with which quality to go on. Pure.

use super::vif::SCALES;
use crate::encode::Codec;

/// What was found where an encoder was looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// As in [`super::vif::fidelity`], the mean of some pictures.
    pub(super) fidelity: [f32; SCALES],
    /// As in [`super::vif::Plane::change`], the mean of the same pictures.
    pub(super) change: f32,
}

/// How VMAF's judgement follows from them: a constant, the finest and the coarsest scale, motion, and motion where much of the finest is kept. Fitted
/// by least squares to faces, a street, a desktop, a game and animation between 176x144 and 1280x720, as x264 makes them with CRF 18 to 38. The mean
/// of two seconds, where that lies between 82 and 98, is met within 1.2 points (root mean square).
const WEIGHTS: [f32; 5] = [-65.99, 62.02, 101.0, 5.423, -4.809];
/// More motion than this makes no more difference.
const CHANGE_MAX: f32 = 12.0;

impl Seen {
    /// On VMAF's scale, 0 to 100.
    pub(super) fn vmaf(&self) -> f32 {
        let [fine, _, coarse] = self.fidelity;
        let change = self.change.min(CHANGE_MAX);
        let terms = [1.0, fine, coarse, change, change * fine];
        let sum: f32 = terms.iter().zip(WEIGHTS).map(|(term, weight)| term * weight).sum();
        sum.clamp(0.0, 100.0)
    }
}

/// Nearer to the goal than this is there: what is seen in two seconds is no more exact.
const NEAR: f32 = 0.7;
/// Farther than this is another picture.
const FAR: f32 = 2.0;
/// So many points of VMAF one step of quality makes, as long as it is not known of this scene: rather many, so that the goal is come to from
/// above.
const STEP_VMAF: f32 = 1.6;
/// What is learned about that: of pages that stand, and of games.
const STEP_VMAF_MIN: f32 = 0.5;
const STEP_VMAF_MAX: f32 = 2.5;
/// At most so many steps at once.
const STEPS_MAX: f32 = 3.0;
/// So many steps from where it began.
const BETTER_MAX: f32 = 6.0;
const WORSE_MAX: f32 = 10.0;
/// A step of x264's scale in steps of that of AV1, which is twice as fine.
const STEP_AV1: f32 = 2.0;

/// Quality that follows what pictures look like.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Steer {
    goal: f32,
    quality: f32,
    /// The first is the best.
    bounds: (f32, f32),
    /// What one step of x264's scale is here.
    step: f32,
    /// Below this it stays where it is: where another quality takes another encoder.
    least: f32,
    /// Quality and look before the last step.
    before: Option<(f32, f32)>,
}

impl Steer {
    /// `goal` on VMAF's scale, from `quality` on. `is_cheap` says that it can be changed while it runs.
    pub(super) fn new(goal: f32, quality: f32, codec: Codec, is_cheap: bool) -> Self {
        let (step, worst) = match codec {
            Codec::H264 | Codec::H265 => (1.0, 51.0_f32),
            Codec::Av1 => (STEP_AV1, 63.0),
        };
        let bounds = ((quality - BETTER_MAX * step).max(1.0), (quality + WORSE_MAX * step).min(worst));
        Self { goal, quality, bounds, step, least: if is_cheap { 0.1 } else { step }, before: None }
    }

    /// Whether what was seen is so far from the goal that the next step should be soon.
    pub(super) fn is_far(&self, vmaf: f32) -> bool {
        (vmaf - self.goal).abs() > FAR
    }

    /// With which quality to go on, if with another. `is_full` says that the bit rate leaves no room for a better one.
    pub(super) fn next(&mut self, vmaf: f32, is_full: bool) -> Option<f32> {
        let above = vmaf - self.goal;
        if above.abs() < NEAR || (above < 0.0 && is_full) {
            return None;
        }
        let learned =
            self.before.map(|(quality, look)| (look - vmaf) / ((self.quality - quality) / self.step));
        let learned = learned.filter(|step| step.is_finite()).unwrap_or(STEP_VMAF);
        let steps = above / learned.clamp(STEP_VMAF_MIN, STEP_VMAF_MAX);
        let next = self.quality + steps.clamp(-STEPS_MAX, STEPS_MAX) * self.step;
        let next = next.clamp(self.bounds.0, self.bounds.1);
        if (next - self.quality).abs() < self.least {
            return None;
        }
        self.before = Some((self.quality, vmaf));
        self.quality = next;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Where an encoder ends that makes `at(quality)` of a picture.
    fn ends(steer: &mut Steer, at: impl Fn(f32) -> f32) -> f32 {
        (0..20).for_each(|_| {
            steer.next(at(steer.quality), false);
        });
        at(steer.quality)
    }

    #[test]
    fn easy_and_hard_pictures_come_to_look_as_was_asked_for() {
        for (slope, at_24) in [(0.8, 96.0), (1.3, 94.0), (2.5, 90.0)] {
            let mut steer = Steer::new(93.0, 24.0, Codec::H264, true);
            let end = ends(&mut steer, |quality| at_24 - slope * (quality - 24.0));
            assert!((end - 93.0).abs() < NEAR, "{end} with {slope}");
        }
    }

    #[test]
    fn quality_stays_within_bounds_whatever_is_seen() {
        let mut steer = Steer::new(93.0, 24.0, Codec::H264, true);
        ends(&mut steer, |_| 100.0);
        assert_eq!(steer.quality, 34.0);
        ends(&mut steer, |_| 10.0);
        assert_eq!(steer.quality, 18.0);
    }

    #[test]
    fn where_the_rate_is_used_up_no_better_quality_is_asked_for() {
        let mut steer = Steer::new(93.0, 24.0, Codec::H264, true);
        assert_eq!(steer.next(80.0, true), None);
        assert!(steer.next(96.0, true).is_some(), "fewer bits can always be had");
    }

    #[test]
    fn an_encoder_that_has_to_begin_anew_does_so_for_whole_steps_only() {
        let mut steer = Steer::new(93.0, 40.0, Codec::Av1, false);
        assert_eq!(steer.next(94.0, false), None);
        assert_eq!(steer.next(96.0, false), Some(43.75));
    }

    #[test]
    fn an_equal_picture_is_judged_perfect_and_a_worse_one_lower() {
        let of = |fidelity: f32| Seen { fidelity: [fidelity; SCALES], change: 2.0 }.vmaf();
        assert!(of(1.0) > 97.0, "{}", of(1.0));
        assert!(of(0.98) > of(0.9) && of(0.9) > of(0.8) && of(0.8) > of(0.6));
    }

    proptest! {
        #[test]
        fn whatever_is_seen_the_judgement_is_on_the_scale(
            fidelity in proptest::array::uniform3(0.0f32..1.1),
            change in 0.0f32..255.0,
        ) {
            let vmaf = Seen { fidelity, change }.vmaf();
            prop_assert!((0.0..=100.0).contains(&vmaf));
        }
    }
}
