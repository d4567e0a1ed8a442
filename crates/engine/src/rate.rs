//! How many bits one encoder saves against another at the same quality.
//!
//! Bjøntegaard's measure (VCEG-M33): over the range of quality that both curves have, the mean difference of the logarithms of their
//! rates. Between points a curve is the monotone cubic of Fritsch and Carlson, which, unlike one polynomial through all points,
//! does not swing where points lie close.

/// One encode: bits per second, and the quality that came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Bits per second.
    pub bps: f64,
    /// On any scale on which more is better.
    pub quality: f64,
}

/// The part of its bits by which `candidate` differs from `anchor`: -0.3 is a saving of 30 %. `None` if the curves have fewer than
/// two points or no quality in common.
pub fn bd_rate(anchor: &[Point], candidate: &[Point]) -> Option<f64> {
    let (anchor, candidate) = (Curve::new(anchor)?, Curve::new(candidate)?);
    let (from, to) = (anchor.first().max(candidate.first()), anchor.last().min(candidate.last()));
    if to <= from {
        return None;
    }
    const STEPS: u32 = 1000;
    let step = (to - from) / f64::from(STEPS);
    let sum: f64 = (0..STEPS)
        .map(|index| from + (f64::from(index) + 0.5) * step)
        .map(|quality| candidate.at(quality) - anchor.at(quality))
        .sum();
    Some((sum / f64::from(STEPS)).exp() - 1.0)
}

/// Bits per second at which a curve has `quality`; `None` outside of it.
pub fn bps_at(points: &[Point], quality: f64) -> Option<f64> {
    let curve = Curve::new(points)?;
    (curve.first()..=curve.last()).contains(&quality).then(|| curve.at(quality).exp())
}

/// Logarithms of rates over quality.
struct Curve {
    x: Vec<f64>,
    y: Vec<f64>,
    slopes: Vec<f64>,
}

impl Curve {
    fn new(points: &[Point]) -> Option<Self> {
        let is_sound = |point: &&Point| point.bps > 0.0 && point.bps.is_finite() && point.quality.is_finite();
        let mut points: Vec<_> = points.iter().filter(is_sound).copied().collect();
        points.sort_by(|a, b| a.quality.total_cmp(&b.quality));
        points.dedup_by(|a, b| a.quality == b.quality);
        if points.len() < 2 {
            return None;
        }
        let x: Vec<_> = points.iter().map(|point| point.quality).collect();
        let y: Vec<_> = points.iter().map(|point| point.bps.ln()).collect();
        let rises: Vec<_> =
            (1..x.len()).map(|index| (y[index] - y[index - 1]) / (x[index] - x[index - 1])).collect();
        let slopes = (0..x.len()).map(|index| {
            match (index.checked_sub(1).map(|before| rises[before]), rises.get(index)) {
                (Some(before), Some(&after)) if before * after > 0.0 => {
                    2.0 * before * after / (before + after)
                }
                (Some(_), Some(_)) => 0.0,
                (Some(only), None) => only,
                (None, after) => after.copied().unwrap_or(0.0),
            }
        });
        let slopes = slopes.collect();
        Some(Self { x, y, slopes })
    }

    fn first(&self) -> f64 {
        self.x.first().copied().unwrap_or(f64::NAN)
    }

    fn last(&self) -> f64 {
        self.x.last().copied().unwrap_or(f64::NAN)
    }

    /// The cubic of Hermite between the points around `quality`.
    fn at(&self, quality: f64) -> f64 {
        let after = self.x.partition_point(|x| *x <= quality).clamp(1, self.x.len() - 1);
        let before = after - 1;
        let width = self.x[after] - self.x[before];
        let t = (quality - self.x[before]) / width;
        let (t2, t3) = (t * t, t * t * t);
        (2.0 * t3 - 3.0 * t2 + 1.0) * self.y[before]
            + (t3 - 2.0 * t2 + t) * width * self.slopes[before]
            + (3.0 * t2 - 2.0 * t3) * self.y[after]
            + (t3 - t2) * width * self.slopes[after]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(all: &[(f64, f64)]) -> Vec<Point> {
        all.iter().map(|&(bps, quality)| Point { bps, quality }).collect()
    }

    #[test]
    fn half_the_bits_at_every_quality_is_minus_50_percent() {
        let anchor = points(&[(500e3, 80.0), (1e6, 88.0), (2e6, 94.0), (4e6, 97.0)]);
        let candidate: Vec<_> = anchor.iter().map(|point| Point { bps: point.bps / 2.0, ..*point }).collect();
        assert!((bd_rate(&anchor, &candidate).unwrap() + 0.5).abs() < 1e-9);
        assert!((bd_rate(&candidate, &anchor).unwrap() - 1.0).abs() < 1e-9);
        assert!((bps_at(&anchor, 88.0).unwrap() - 1e6).abs() < 1e-3);
    }

    #[test]
    fn curves_without_a_common_quality_cannot_be_compared() {
        let low = points(&[(1e5, 40.0), (2e5, 50.0)]);
        let high = points(&[(1e6, 90.0), (2e6, 95.0)]);
        assert_eq!(bd_rate(&low, &high), None);
        assert_eq!(bd_rate(&low[..1], &high), None);
        assert_eq!(bps_at(&low, 60.0), None);
    }

    proptest! {
        #[test]
        fn a_curve_against_itself_saves_nothing(
            all in proptest::collection::vec((1e4f64..1e8, 0f64..100.0), 2..8)
        ) {
            let points = points(&all);
            if let Some(rate) = bd_rate(&points, &points) {
                prop_assert!(rate.abs() < 1e-9);
            }
        }
    }
}
