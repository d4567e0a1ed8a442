//! Keyframes that are asked for, and whether they come.

use crate::ipc::Coded;
use std::collections::VecDeque;

/// What an encoder makes of the wish for a keyframe. Rungs have those of their source at the same times, or players cannot change between
/// them; so an encoder that puts keyframes elsewhere is ended before each, and another one begins with it.
#[derive(Debug)]
pub(super) struct Keyframes {
    /// Times of those that have not come out; no more than the encoder holds back.
    asked: VecDeque<i64>,
    /// Whether each takes another encoder.
    pub(super) begin_anew: bool,
}

impl Keyframes {
    /// `begin_anew` is what is known before there is one. A library of another version may not know the wish, which shows where
    /// the first one comes out.
    pub(super) fn of(begin_anew: bool) -> Self {
        Self { asked: VecDeque::new(), begin_anew }
    }

    /// The picture at `pts` is to be one.
    pub(super) fn ask(&mut self, pts: i64) {
        if !self.begin_anew {
            self.asked.push_back(pts);
        }
    }

    /// What came out, in the order in which it is decoded: nothing of a later time comes before a keyframe.
    pub(super) fn note(&mut self, coded: &Coded) {
        if let Some(asked) = self.asked.pop_front_if(|asked| *asked <= coded.pts)
            && !(coded.keyframe && coded.pts == asked)
        {
            self.asked.clear();
            self.begin_anew = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(asked: &[i64], came: &[(i64, bool)]) -> bool {
        let mut keyframes = Keyframes::of(false);
        asked.iter().for_each(|pts| keyframes.ask(*pts));
        for &(pts, keyframe) in came {
            keyframes.note(&Coded { pts, dts: pts, keyframe, disposable: false, payload: Vec::new() });
        }
        keyframes.begin_anew
    }

    #[test]
    fn an_encoder_goes_on_where_keyframes_come_as_they_are_asked_for() {
        assert!(!after(&[0, 4], &[(0, true), (3, false), (1, false), (2, false), (4, true), (5, false)]));
    }

    #[test]
    fn an_encoder_that_makes_another_picture_of_a_keyframe_begins_anew_from_then_on() {
        assert!(after(&[0, 4], &[(0, true), (3, false), (1, false), (2, false), (4, false)]));
        assert!(
            after(&[0, 4], &[(0, true), (8, false), (4, false), (2, false)]),
            "it refers over the keyframe"
        );
        assert!(after(&[0, 4], &[(0, true), (1, false), (5, true)]), "another one");
    }
}
