//! Noise of cameras, taken out where there is much of it. Pure.
//!
//! Noise is what cannot be foretold, so that it takes most bits of a dark room and makes it look no better. What a rung of constant quality is made of is
//! looked at once in a second: where nothing moves, two pictures in a row differ by their noise alone. If that is more than what encoders of
//! sources leave, what changes by about as much is drawn towards what was there before; what changes by more is motion, and stays.

use std::collections::VecDeque;

/// Pictures from one look to the next.
const EVERY: u32 = 30;
/// The least of so many looks counts: what moves now and then does not look like noise at all times.
const LOOKS: usize = 4;
/// Below this, in 255 parts of white (standard deviation), noise is not seen, and costs little.
const LEVEL_MIN: f32 = 2.0;
/// More is a picture that is noise.
const LEVEL_MAX: f32 = 12.0;
/// Blocks that are looked at: so many samples wide and high, and so far apart.
const BLOCK: usize = 8;
const APART: usize = 24;
/// In so small a picture there is nothing to be found out.
const BLOCKS_MIN: usize = 40;
/// The calmest block of so many is where nothing moves.
const CALM: usize = 10;
/// Darker and brighter than these noise is cut off.
const DARK: u32 = 24;
const BRIGHT: u32 = 228;
/// Mean difference of two samples whose noise has the standard deviation 1, which is 2 / sqrt(pi), in the calmest of ten blocks of 64: 0.88 of it.
const DIFFERENCE: f32 = 0.99;
/// Of a change that is noise this part is taken over, in 256 parts.
const PART: i32 = 96;
const WHOLE: i32 = 256;
/// Changes up to so many times the noise are noise, and those of so many times more are not.
const NOISE: f32 = 2.0;
const MOTION: f32 = 2.5;

/// Rows of samples of one plane.
pub(super) struct Plane<'a> {
    pub(super) samples: &'a mut [u8],
    /// Bytes of a row that are samples, and from one row to the next.
    pub(super) width: usize,
    pub(super) stride: usize,
}

impl Plane<'_> {
    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.samples.chunks(self.stride).map(|row| &row[..self.width.min(row.len())])
    }
}

/// Finds noise, and takes it out.
#[derive(Debug, Default)]
pub(super) struct Denoiser {
    pictures: u32,
    /// The luma of the picture before, where two are compared.
    before: Vec<u8>,
    looks: VecDeque<f32>,
    /// What the picture before has become, by plane; empty where nothing is taken out.
    kept: Vec<Vec<u8>>,
}

impl Denoiser {
    /// Standard deviation of the noise, if it is worth taking out.
    pub(super) fn level(&self) -> Option<f32> {
        let least = self.looks.iter().copied().fold(f32::INFINITY, f32::min);
        (self.looks.len() == LOOKS && (LEVEL_MIN..LEVEL_MAX).contains(&least)).then_some(least)
    }

    /// The next picture, of which the first plane is luma.
    pub(super) fn filter(&mut self, planes: &mut [Plane<'_>]) {
        if planes.iter().any(|plane| plane.width == 0 || plane.stride < plane.width) {
            return;
        }
        if let Some(luma) = planes.first() {
            self.look(luma);
        }
        let Some(level) = self.level() else {
            self.kept.clear();
            return;
        };
        let is_new = self.kept.len() != planes.len()
            || self
                .kept
                .iter()
                .zip(&*planes)
                .any(|(kept, plane)| kept.len() != plane.rows().map(<[u8]>::len).sum());
        if is_new {
            self.kept = planes.iter().map(|plane| plane.rows().flatten().copied().collect()).collect();
            return;
        }
        let (noise, slope) = (level * NOISE, (WHOLE - PART) as f32 / (level * MOTION));
        let (noise, slope) = (noise as i32, slope.ceil() as i32);
        for (plane, kept) in planes.iter_mut().zip(&mut self.kept) {
            let width = plane.width;
            for (row, kept) in plane.samples.chunks_mut(plane.stride).zip(kept.chunks_mut(width)) {
                for (sample, kept) in row.iter_mut().zip(kept) {
                    let change = i32::from(*sample) - i32::from(*kept);
                    let part = (PART + (change.abs() - noise).max(0) * slope).min(WHOLE);
                    // Between two samples, so that it is one.
                    *kept = (i32::from(*kept) + ((change * part + WHOLE / 2) >> 8)) as u8;
                    *sample = *kept;
                }
            }
        }
    }

    fn look(&mut self, luma: &Plane<'_>) {
        let place = self.pictures % EVERY;
        self.pictures = self.pictures.wrapping_add(1);
        // The first two of each round.
        if place == 0 {
            self.before.clear();
            luma.rows().for_each(|row| self.before.extend_from_slice(row));
        } else if place == 1 {
            let found = estimate(&std::mem::take(&mut self.before), luma);
            self.looks.push_back(found.unwrap_or(0.0));
            if self.looks.len() > LOOKS {
                self.looks.pop_front();
            }
        }
    }
}

/// Standard deviation of the noise by which two pictures differ; `None` if that cannot be told.
fn estimate(before: &[u8], luma: &Plane<'_>) -> Option<f32> {
    let width = luma.width;
    let rows: Vec<_> = luma.rows().collect();
    if width < BLOCK || before.len() != rows.iter().map(|row| row.len()).sum() {
        return None;
    }
    let mut differences = Vec::new();
    for y in (0..rows.len().saturating_sub(BLOCK - 1)).step_by(APART) {
        for x in (0..=width - BLOCK).step_by(APART) {
            let (mut sum, mut difference) = (0, 0);
            for (line, row) in rows.iter().enumerate().skip(y).take(BLOCK) {
                let (now, then) = (row.get(x..x + BLOCK)?, before.get(line * width + x..)?.get(..BLOCK)?);
                for (now, then) in now.iter().zip(then) {
                    sum += u32::from(*now);
                    difference += u32::from(now.abs_diff(*then));
                }
            }
            let samples = (BLOCK * BLOCK) as u32;
            if (DARK * samples..BRIGHT * samples).contains(&sum) {
                differences.push(difference);
            }
        }
    }
    if differences.len() < BLOCKS_MIN {
        return None;
    }
    let place = differences.len() / CALM;
    let (_, calm, _) = differences.select_nth_unstable(place);
    Some(*calm as f32 / (BLOCK * BLOCK) as f32 / DIFFERENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTH: usize = 320;
    const HEIGHT: usize = 240;
    const STRIDE: usize = 352;

    /// Noise that is about normal: the sum of four random bytes, of standard deviation `level`.
    struct Noise(u32);

    impl Noise {
        fn next(&mut self, level: f32) -> f32 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let sum: u32 = (self.0 >> 8).to_le_bytes().iter().take(3).map(|byte| u32::from(*byte)).sum();
            // Three bytes have a standard deviation of 128.
            (sum as f32 - 382.5) / 127.8 * level
        }
    }

    fn picture(level: f32, shift: usize, noise: &mut Noise) -> Vec<u8> {
        (0..HEIGHT * STRIDE)
            .map(|index| {
                let (x, y) = (index % STRIDE + shift, index / STRIDE);
                let clean = 60.0 + ((x / 40 + y / 40) % 4) as f32 * 30.0;
                (clean + noise.next(level)).round().clamp(0.0, 255.0) as u8
            })
            .collect()
    }

    fn filtered(denoiser: &mut Denoiser, mut samples: Vec<u8>) -> Vec<u8> {
        denoiser.filter(&mut [Plane { samples: &mut samples, width: WIDTH, stride: STRIDE }]);
        samples
    }

    fn rms(a: &[u8], b: &[u8]) -> f32 {
        let row = |index: usize| index % STRIDE < WIDTH;
        let pairs = a.iter().zip(b).enumerate().filter(|(index, _)| row(*index));
        let squares: f32 = pairs.map(|(_, (a, b))| f32::from(a.abs_diff(*b)).powi(2)).sum();
        (squares / (WIDTH * HEIGHT) as f32).sqrt()
    }

    #[test]
    fn noise_of_a_camera_is_found_and_nearly_half_of_it_taken_out() {
        let (mut denoiser, mut noise) = (Denoiser::default(), Noise(7));
        let clean = picture(0.0, 0, &mut noise);
        let mut last = Vec::new();
        for _ in 0..150 {
            last = filtered(&mut denoiser, picture(4.0, 0, &mut noise));
        }
        let level = denoiser.level().expect("there is noise");
        assert!((3.4..4.6).contains(&level), "{level}");
        assert!(rms(&last, &clean) < 2.5, "{}", rms(&last, &clean));
    }

    #[test]
    fn pictures_without_noise_stay_as_they_are_whether_they_move_or_not() {
        for step in [0, 3] {
            let (mut denoiser, mut noise) = (Denoiser::default(), Noise(7));
            for index in 0..150 {
                let picture = picture(0.8, index * step, &mut noise);
                assert_eq!(filtered(&mut denoiser, picture.clone()), picture, "step {step}");
            }
            assert_eq!(denoiser.level(), None);
        }
    }

    #[test]
    fn what_moves_in_a_noisy_picture_leaves_no_trail() {
        let (mut denoiser, mut noise) = (Denoiser::default(), Noise(7));
        for _ in 0..150 {
            filtered(&mut denoiser, picture(4.0, 0, &mut noise));
        }
        assert!(denoiser.level().is_some());
        let moved = picture(0.0, 40, &mut noise);
        let shown = filtered(&mut denoiser, picture(4.0, 40, &mut noise));
        assert!(rms(&shown, &moved) < 5.0, "{}", rms(&shown, &moved));
    }

    #[test]
    fn noise_that_ends_is_not_taken_for_longer() {
        let (mut denoiser, mut noise) = (Denoiser::default(), Noise(7));
        for _ in 0..150 {
            filtered(&mut denoiser, picture(4.0, 0, &mut noise));
        }
        for _ in 0..EVERY + 2 {
            filtered(&mut denoiser, picture(0.0, 0, &mut noise));
        }
        assert_eq!(denoiser.level(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_sizes_make_it_panic(
            width in 1usize..100,
            height in 0usize..100,
            margin in 0usize..9,
            other in 1usize..100,
        ) {
            let mut denoiser = Denoiser::default();
            for index in 0..130 {
                let width = if index == 125 { other } else { width };
                let mut samples: Vec<u8> = (0..height * (width + margin)).map(|at| (at * 7 + index * 31) as u8).collect();
                denoiser.filter(&mut [Plane { samples: &mut samples, width, stride: width + margin }]);
            }
        }
    }
}
