//! Visual information fidelity: how much of what can be seen in a picture is still to be seen in its copy. Pure.
//!
//! After H. R. Sheikh and A. C. Bovik, "Image information and visual quality" (IEEE Transactions on Image Processing 15, 2006), on samples
//! instead of wavelets, with the windows that VMAF takes. Its finest scale is left out: it takes three quarters of the time, and says what the
//! next one says.

/// Scales: a half, a quarter and an eighth of the picture's sides.
pub(super) const SCALES: usize = 3;

/// Variance of the noise that eyes themselves add, in squares of 255 parts of white.
const NOISE: f32 = 2.0;
/// Below this a variance is a rounding error.
const NONE: f32 = 1e-10;
/// The most by which a copy is taken to have more contrast.
const GAIN_MAX: f32 = 100.0;
/// What variance that was not there takes away.
const ADDED: f32 = 4.0 / (255.0 * 255.0);

/// Gaussian windows of 9, 5 and 3 samples, a fifth of that wide.
const WINDOWS: [&[f32]; SCALES] = [
    &[0.018978, 0.055898, 0.120921, 0.192116, 0.224174, 0.192116, 0.120921, 0.055898, 0.018978],
    &[0.054489, 0.244201, 0.40262, 0.244201, 0.054489],
    &[0.166379, 0.667242, 0.166379],
];

/// The luma of a picture at one scale.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plane {
    width: usize,
    height: usize,
    samples: Vec<f32>,
}

impl Plane {
    /// At half the size, from rows of bytes.
    pub(super) fn halved<'a>(rows: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut plane = Self { width: 0, height: 0, samples: Vec::new() };
        for row in rows {
            (plane.width, plane.height) = (row.len(), plane.height + 1);
            plane.samples.extend(row.iter().map(|sample| f32::from(*sample)));
        }
        plane.smaller(WINDOWS[0])
    }

    fn row(&self, index: usize) -> &[f32] {
        &self.samples[index * self.width..][..self.width]
    }

    /// The row `index` rows below the first one; beyond the border the picture is its mirror.
    fn mirrored(&self, index: isize) -> &[f32] {
        self.row(mirror(index, self.height))
    }

    /// Every second sample of every second row, of what is around it in `window`.
    fn smaller(&self, window: &[f32]) -> Self {
        let reach = window.len() / 2;
        let (width, height) = (self.width / 2, self.height / 2);
        let mut samples = Vec::with_capacity(width * height);
        let mut line = vec![0.0; self.width + 2 * reach];
        for y in 0..height {
            let within = &mut line[reach..reach + self.width];
            within.fill(0.0);
            for (tap, weight) in window.iter().enumerate() {
                let row = self.mirrored((2 * y + tap) as isize - reach as isize);
                within.iter_mut().zip(row).for_each(|(sum, sample)| *sum += weight * sample);
            }
            extend(&mut line, reach);
            samples.extend((0..width).map(|x| weighted(&line[2 * x..], window)));
        }
        Self { width, height, samples }
    }

    /// How much the picture has changed since `before`: the mean difference of their samples.
    pub(super) fn change(&self, before: &Self) -> f32 {
        let sum: f32 = self.samples.iter().zip(&before.samples).map(|(a, b)| (a - b).abs()).sum();
        sum / self.samples.len().max(1) as f32
    }
}

fn mirror(index: isize, length: usize) -> usize {
    let last = length as isize - 1;
    let inner = if index < 0 { -index } else { index };
    let inner = if inner > last { 2 * last - inner } else { inner };
    inner.clamp(0, last.max(0)) as usize
}

/// Fills the margins of a line with the mirror of what is within.
fn extend(line: &mut [f32], reach: usize) {
    let width = line.len() - 2 * reach;
    for step in 1..=reach {
        line[reach - step] = line[reach + mirror(step as isize, width)];
        line[reach + width + step - 1] = line[reach + mirror((width + step - 1) as isize, width)];
    }
}

fn weighted(samples: &[f32], window: &[f32]) -> f32 {
    samples.iter().zip(window).map(|(sample, weight)| sample * weight).sum()
}

/// The part of what is to be seen in `reference` that `copy` has, at each scale from the finest to the coarsest; 1 is all of it. Both come
/// from [`Plane::halved`] of pictures of one size; `None` if they do not, or are too small to judge.
pub(super) fn fidelity(reference: &Plane, copy: &Plane) -> Option<[f32; SCALES]> {
    let is_one_size = (reference.width, reference.height) == (copy.width, copy.height);
    // The coarsest scale has a quarter of these, and a window of three.
    if !is_one_size || reference.width.min(reference.height) < 16 {
        return None;
    }
    let mut found = [0.0; SCALES];
    let (mut reference, mut copy) = (reference.clone(), copy.clone());
    for (scale, window) in WINDOWS.iter().enumerate() {
        if scale > 0 {
            (reference, copy) = (reference.smaller(window), copy.smaller(window));
        }
        found[scale] = at_one_scale(&reference, &copy, window);
    }
    Some(found)
}

/// Means around each sample: of both pictures, of their squares, and of their product.
struct Around([Vec<f32>; 5]);

impl Around {
    fn new(width: usize, reach: usize) -> Self {
        Self(std::array::from_fn(|_| vec![0.0; width + 2 * reach]))
    }

    /// Those of the samples above and below each other, around row `y`.
    fn gather(&mut self, a: &Plane, b: &Plane, y: usize, window: &[f32]) {
        let reach = window.len() / 2;
        let [of_a, of_b, of_aa, of_bb, of_ab] = &mut self.0;
        for line in [&mut *of_a, of_b, of_aa, of_bb, of_ab] {
            line.fill(0.0);
        }
        let width = a.width;
        for (tap, &weight) in window.iter().enumerate() {
            let index = (y + tap) as isize - reach as isize;
            let (row_a, row_b) = (&a.mirrored(index)[..width], &b.mirrored(index)[..width]);
            let within = reach..reach + width;
            let (of_a, of_b) = (&mut of_a[within.clone()], &mut of_b[within.clone()]);
            let (of_aa, of_bb) = (&mut of_aa[within.clone()], &mut of_bb[within.clone()]);
            let of_ab = &mut of_ab[within];
            for x in 0..width {
                let (a, b) = (row_a[x], row_b[x]);
                let (wa, wb) = (weight * a, weight * b);
                of_a[x] += wa;
                of_b[x] += wb;
                of_aa[x] += wa * a;
                of_bb[x] += wb * b;
                of_ab[x] += wa * b;
            }
        }
        for line in &mut self.0 {
            extend(line, reach);
        }
    }
}

fn at_one_scale(a: &Plane, b: &Plane, window: &[f32]) -> f32 {
    let reach = window.len() / 2;
    let mut around = Around::new(a.width, reach);
    let (mut seen, mut there) = (0.0_f64, 0.0_f64);
    for y in 0..a.height {
        around.gather(a, b, y, window);
        let (mut seen_here, mut there_here) = (0.0_f32, 0.0_f32);
        for x in 0..a.width {
            let mean = |index: usize| weighted(&around.0[index][x..], window);
            let (mean_a, mean_b) = (mean(0), mean(1));
            let variance_a = (mean(2) - mean_a * mean_a).max(0.0);
            let variance_b = (mean(3) - mean_b * mean_b).max(0.0);
            let covariance = mean(4) - mean_a * mean_b;
            let (seen, there) = information(variance_a, variance_b, covariance);
            seen_here += seen;
            there_here += there;
        }
        seen += f64::from(seen_here);
        there += f64::from(there_here);
    }
    if there > 0.0 { (seen / there) as f32 } else { 1.0 }
}

/// What of the first picture is seen in the second, and in itself, in bits.
fn information(variance_a: f32, variance_b: f32, covariance: f32) -> (f32, f32) {
    if variance_a < NOISE {
        // Flat parts have nothing to be seen; what a copy has there was added.
        return (1.0 - variance_b * ADDED, 1.0);
    }
    let there = (1.0 + variance_a / NOISE).log2();
    if covariance <= 0.0 || variance_b < NONE {
        return (0.0, there);
    }
    let gain = covariance / variance_a;
    let added = (variance_b - gain * covariance).max(NONE);
    let gain = gain.min(GAIN_MAX);
    ((1.0 + gain * gain * variance_a / (added + NOISE)).log2(), there)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIDE: usize = 64;

    fn plane(at: impl Fn(usize, usize) -> u8) -> Plane {
        let rows: Vec<Vec<u8>> = (0..SIDE).map(|y| (0..SIDE).map(|x| at(x, y)).collect()).collect();
        Plane::halved(rows.iter().map(Vec::as_slice))
    }

    /// Something with detail of all sizes.
    fn detail(x: usize, y: usize) -> u8 {
        (x * x + 3 * y * y + x * y / 5).to_le_bytes()[0]
    }

    #[test]
    fn a_copy_that_is_equal_has_all_of_it() {
        let picture = plane(detail);
        for found in fidelity(&picture, &picture).unwrap() {
            assert!((found - 1.0).abs() < 1e-3, "{found}");
        }
    }

    #[test]
    fn the_coarser_a_copy_is_the_less_of_it_is_seen() {
        let picture = plane(detail);
        let at_steps = |step: u8| fidelity(&picture, &plane(|x, y| detail(x, y) / step * step)).unwrap();
        let (fine, coarse) = (at_steps(8), at_steps(64));
        for scale in 0..SCALES {
            assert!(fine[scale] > coarse[scale] && fine[scale] < 1.01, "{fine:?} {coarse:?}");
        }
    }

    #[test]
    fn a_blurred_copy_loses_its_finest_scale_first() {
        let mean = |x: usize, y: usize| {
            let around = [(0, 0), (1, 0), (0, 1), (1, 1)];
            let sum: u32 = around.iter().map(|(dx, dy)| u32::from(detail(x + dx, y + dy))).sum();
            (sum / 4) as u8
        };
        let found = fidelity(&plane(detail), &plane(mean)).unwrap();
        assert!(found[0] < found[2], "{found:?}");
    }

    #[test]
    fn windows_weigh_one_in_all() {
        for window in WINDOWS {
            assert!((window.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn what_moves_changes_and_what_stands_does_not() {
        let picture = plane(detail);
        assert_eq!(picture.change(&picture), 0.0);
        assert!(picture.change(&plane(|x, y| detail(x + 1, y))) > 1.0);
    }

    #[test]
    fn pictures_of_different_or_tiny_sizes_are_not_judged() {
        let tiny = Plane::halved([[0u8; 8].as_slice(); 8].into_iter());
        assert_eq!(fidelity(&tiny, &tiny), None);
        assert_eq!(fidelity(&plane(detail), &tiny), None);
    }

    proptest! {
        #[test]
        fn no_pictures_make_it_panic(
            width in 1usize..70,
            height in 1usize..70,
            seed in any::<u32>(),
        ) {
            let of = |salt: u32| {
                let at = |index: usize| (index as u32).wrapping_mul(seed ^ salt).to_be_bytes()[0];
                let samples: Vec<u8> = (0..width * height).map(at).collect();
                Plane::halved(samples.chunks(width))
            };
            if let Some(found) = fidelity(&of(1), &of(0x9e37)) {
                prop_assert!(found.iter().all(|found| found.is_finite()));
            }
        }
    }
}
