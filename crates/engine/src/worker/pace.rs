//! Which pictures are encoded, and which of them are keyframes.

use crate::encode::Config;

/// Leaves pictures out above a rate, and asks for keyframes.
#[derive(Debug)]
pub(super) struct Pace {
    fps_max: Option<f64>,
    gop_nanos: Option<i64>,
    /// The keyframe that distance counts from.
    keyframe: Option<i64>,
    /// The picture that rate counts from: a keyframe, or the last one of another rate.
    counted: Option<i64>,
    /// The place on the grid of the rate that was filled last.
    place: Option<i64>,
    /// The picture that was encoded last.
    previous: Option<i64>,
    /// The picture before this one, encoded or not.
    seen: Option<i64>,
}

/// What to do with a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// Leave it out.
    Skip,
    /// Encode it.
    Frame,
    /// Encode it so that decoding can start there.
    Keyframe,
}

/// How far before its place on the grid a picture may be, in places. Times of RTMP are rounded to milliseconds.
const EARLY: f64 = 0.25;

/// The longest time between two pictures that says something about the next.
const STEP_NANOS_MAX: i64 = 100_000_000;

fn valid(fps_max: Option<f64>) -> Option<f64> {
    fps_max.filter(|fps| fps.is_finite() && *fps > 0.0)
}

impl Pace {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            fps_max: valid(config.fps_max),
            gop_nanos: config.gop.map(|gop| i64::try_from(gop.as_nanos()).unwrap_or(i64::MAX)),
            keyframe: None,
            counted: None,
            place: None,
            previous: None,
            seen: None,
        }
    }

    /// Another rate from the next picture on.
    pub(super) fn set_fps_max(&mut self, fps_max: Option<f64>) {
        // Places on another grid say nothing: the picture before is the first of the new one.
        (self.fps_max, self.place, self.counted) = (valid(fps_max), Some(0), self.previous);
    }

    /// What to do with the picture at `pts`; `asked` says that it has to be a keyframe.
    pub(super) fn pick(&mut self, pts: i64, asked: bool) -> Pick {
        // Encoders refuse times that do not grow.
        if self.previous.is_some_and(|previous| pts <= previous) {
            return Pick::Skip;
        }
        let since = |from: i64| pts.saturating_sub(from);
        let step = self.seen.replace(pts).map_or(0, |seen| since(seen).clamp(0, STEP_NANOS_MAX));
        let due = match (self.keyframe, self.gop_nanos) {
            (None, _) => true,
            // The one that is nearest to the distance, not the first one after it.
            (Some(keyframe), Some(gop)) => since(keyframe).saturating_add(step / 2) >= gop,
            (Some(_), None) => false,
        };
        if asked || due {
            (self.keyframe, self.counted, self.place, self.previous) =
                (Some(pts), Some(pts), Some(0), Some(pts));
            return Pick::Keyframe;
        }
        if let (Some(fps), Some(counted)) = (self.fps_max, self.counted) {
            // No earlier than the picture that is nearest.
            let early = EARLY.min(step as f64 * fps / 2e9);
            let place = (since(counted) as f64 * fps / 1e9 + early).floor() as i64;
            if self.place.is_some_and(|last| place <= last) {
                return Pick::Skip;
            }
            self.place = Some(place);
        }
        self.previous = Some(pts);
        Pick::Frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Codec, Preset};
    use crate::mark::Marks;
    use std::time::Duration;

    fn pace(fps_max: Option<f64>, gop: Option<Duration>) -> Pace {
        let (codec, preset) = (Codec::H264, Preset::Veryfast);
        let (width, height, bitrate_bps, b_frames, threads) = (640, 360, 800_000, 0, 1);
        Pace::new(&Config {
            codec,
            backend: None,
            width,
            height,
            fps_max,
            bitrate_bps,
            quality: None,
            vmaf: None,
            gop,
            b_frames,
            lookahead: 0,
            preset,
            profile: None,
            tune: None,
            denoise: false,
            regions: false,
            threads,
            marks: Marks::default(),
        })
    }

    /// Times as RTMP has them.
    fn times(fps: u32, count: i64) -> impl Iterator<Item = i64> {
        (0..count).map(move |index| (index * 1000 / i64::from(fps)) * 1_000_000)
    }

    #[test]
    fn half_of_60_pictures_are_left_out_evenly() {
        let mut pace = pace(Some(30.0), None);
        let kept: Vec<_> = times(60, 600).filter(|pts| pace.pick(*pts, false) != Pick::Skip).collect();
        assert_eq!(kept.len(), 300);
        let gaps: Vec<_> = kept.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
        assert!(gaps.iter().all(|gap| (33..=34).contains(gap)), "{gaps:?}");
    }

    #[test]
    fn three_of_four_pictures_are_left_out_evenly() {
        let mut pace = pace(Some(15.0), None);
        let kept: Vec<_> = times(60, 240).filter(|pts| pace.pick(*pts, false) != Pick::Skip).collect();
        let gaps: Vec<_> = kept.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
        assert!(gaps.iter().all(|gap| (66..=67).contains(gap)), "{gaps:?}");
    }

    #[test]
    fn another_rate_takes_effect_at_once_and_evenly() {
        let mut pace = pace(None, None);
        let kept = |range: std::ops::Range<i64>, pace: &mut Pace| -> Vec<i64> {
            range.filter(|index| pace.pick(index * 1000 / 60 * 1_000_000, false) != Pick::Skip).collect()
        };
        assert_eq!(kept(0..31, &mut pace).len(), 31);
        pace.set_fps_max(Some(20.0));
        assert_eq!(kept(31..46, &mut pace), [33, 36, 39, 42, 45]);
        pace.set_fps_max(None);
        assert_eq!(kept(46..50, &mut pace), [46, 47, 48, 49]);
    }

    #[test]
    fn a_source_at_the_rate_keeps_every_picture() {
        for fps in [24, 25, 29, 30] {
            let mut pace = pace(Some(30.0), None);
            assert_eq!(
                times(fps, 500).filter(|pts| pace.pick(*pts, false) == Pick::Skip).count(),
                0,
                "{fps}"
            );
        }
    }

    #[test]
    fn the_source_says_where_keyframes_are() {
        let mut pace = pace(None, None);
        let picks: Vec<_> =
            times(30, 90).enumerate().map(|(index, pts)| pace.pick(pts, index % 40 == 7)).collect();
        let keyframes: Vec<_> = (0..90).filter(|index| picks[*index] == Pick::Keyframe).collect();
        assert_eq!(keyframes, [0, 7, 47, 87]);
    }

    #[test]
    fn keyframes_of_the_source_are_never_left_out_and_others_are_added() {
        let mut pace = pace(Some(15.0), Some(Duration::from_millis(500)));
        let picks: Vec<_> =
            times(30, 120).enumerate().map(|(index, pts)| (index, pace.pick(pts, index % 59 == 0))).collect();
        let keyframes: Vec<_> =
            picks.iter().filter(|(_, pick)| *pick == Pick::Keyframe).map(|(index, _)| *index).collect();
        assert_eq!(keyframes, [0, 15, 30, 45, 59, 74, 89, 104, 118]);
    }

    #[test]
    fn times_that_do_not_grow_are_left_out() {
        let mut pace = pace(None, None);
        let picks = [5, 5, 4, 6].map(|pts| pace.pick(pts, false));
        assert_eq!(picks, [Pick::Keyframe, Pick::Skip, Pick::Skip, Pick::Frame]);
    }
}
