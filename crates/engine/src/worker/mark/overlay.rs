//! A mark as it is put over pictures of one size: samples and how much of the picture stays, made once.

use super::pixels::Pixels;

/// How colours become samples: those of the pictures that a mark is put over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Colors {
    /// What red and blue have of luma (ISO/IEC 23091-2 section 8.3).
    red: f32,
    blue: f32,
    full_range: bool,
}

impl Colors {
    /// Those of a picture that says `matrix`, or of one of `size` that does not.
    pub(super) fn of(matrix: u8, full_range: bool, size: (u32, u32)) -> Self {
        /// Players take larger pictures that say nothing for BT.709, and smaller ones for BT.601.
        const SMALL: (u32, u32) = (1279, 576);
        let (red, blue) = match matrix {
            1 => (0.2126, 0.0722),
            4 => (0.30, 0.11),
            5 | 6 => (0.299, 0.114),
            7 => (0.212, 0.087),
            9 | 10 => (0.2627, 0.0593),
            _ if size.0 <= SMALL.0 && size.1 <= SMALL.1 => (0.299, 0.114),
            _ => (0.2126, 0.0722),
        };
        Self { red, blue, full_range }
    }

    /// Luma and both chromas, 0 to 255, of a colour from 0 to 1.
    fn samples(&self, [red, green, blue]: [f32; 3]) -> [f32; 3] {
        let luma = self.red * red + (1.0 - self.red - self.blue) * green + self.blue * blue;
        let chroma = [(blue - luma) / (2.0 * (1.0 - self.blue)), (red - luma) / (2.0 * (1.0 - self.red))];
        let (black, lumas, chromas) =
            if self.full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        [black + lumas * luma, 128.0 + chromas * chroma[0], 128.0 + chromas * chroma[1]]
    }
}

/// What is put over one component.
#[derive(Debug, Default)]
struct Layer {
    x: usize,
    y: usize,
    width: usize,
    /// For each sample 255 times its value times its opacity, so that nothing is rounded twice.
    add: Vec<u16>,
    /// How much of the picture stays: 255 is all of it.
    keep: Vec<u8>,
}

/// A mark in its place.
#[derive(Debug)]
pub(super) struct Overlay {
    layers: [Layer; 3],
}

/// Luma, or a chroma, of a picture.
pub(crate) struct Component<'a> {
    /// From its first sample to its last.
    pub(crate) samples: &'a mut [u8],
    /// Bytes from one row to the next.
    pub(crate) stride: usize,
    /// Bytes from one sample to the next.
    pub(crate) step: usize,
}

impl Overlay {
    /// `pixels` with their left upper corner `at` pixels from that of a picture of `size`. What is outside is cut off.
    pub(super) fn new(
        pixels: &Pixels,
        at: (i64, i64),
        opacity: f32,
        colors: &Colors,
        size: (u32, u32),
    ) -> Self {
        let inside = |from: i64, length: usize, side: u32| {
            let end = from.saturating_add(length as i64).clamp(0, i64::from(side));
            (from.clamp(0, i64::from(side)) as usize, end as usize)
        };
        let (left, right) = inside(at.0, pixels.width, size.0);
        let (top, bottom) = inside(at.1, pixels.height, size.1);
        // What there is of the mark at a place of the picture.
        let pixel = |x: usize, y: usize| {
            let is_inside = (left..right).contains(&x) && (top..bottom).contains(&y);
            let index = (y as i64 - at.1) * pixels.width as i64 + (x as i64 - at.0);
            if is_inside { pixels.rgba[index as usize].map(|value| value * opacity) } else { [0.0; 4] }
        };
        let luma = Layer::new((left, right), (top, bottom), |x, y| {
            let [red, green, blue, alpha] = pixel(x, y);
            (alpha, colors.samples(plain([red, green, blue], alpha))[0])
        });
        let halves = ((left / 2, right.div_ceil(2)), (top / 2, bottom.div_ceil(2)));
        let chroma = |index: usize| {
            Layer::new(halves.0, halves.1, |x, y| {
                let mut mean = [0.0; 4];
                for (x, y) in [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| (2 * x + dx, 2 * y + dy)) {
                    for (mean, value) in mean.iter_mut().zip(pixel(x, y)) {
                        *mean += value / 4.0;
                    }
                }
                let [red, green, blue, alpha] = mean;
                (alpha, colors.samples(plain([red, green, blue], alpha))[index])
            })
        };
        Self { layers: [luma, chroma(1), chroma(2)] }
    }

    /// Puts it over component `index` of a picture: 0 is luma.
    pub(super) fn blend(&self, index: usize, component: &mut Component<'_>) {
        let Some(layer) = self.layers.get(index).filter(|layer| layer.width > 0) else { return };
        let rows = layer.add.chunks_exact(layer.width).zip(layer.keep.chunks_exact(layer.width));
        for (row, (add, keep)) in rows.enumerate() {
            let first = (layer.y + row) * component.stride + layer.x * component.step;
            let Some(samples) = component.samples.get_mut(first..) else { return };
            let parts = add.iter().zip(keep);
            if component.step == 1 {
                // Apart, so that the compiler makes vector instructions of it.
                samples
                    .iter_mut()
                    .zip(parts)
                    .for_each(|(sample, (add, keep))| *sample = mix(*sample, *add, *keep));
            } else {
                let samples = samples.iter_mut().step_by(component.step.max(1));
                samples.zip(parts).for_each(|(sample, (add, keep))| *sample = mix(*sample, *add, *keep));
            }
        }
    }
}

impl Layer {
    /// `of` says opacity and value of the sample in a column and a row.
    fn new(
        (left, right): (usize, usize),
        (top, bottom): (usize, usize),
        of: impl Fn(usize, usize) -> (f32, f32),
    ) -> Self {
        let mut layer = Self { x: left, y: top, width: right.saturating_sub(left), ..Self::default() };
        for y in top..bottom {
            for x in left..right {
                let (alpha, value) = of(x, y);
                let alpha = (alpha.clamp(0.0, 1.0) * 255.0).round();
                layer.add.push((value.clamp(0.0, 255.0) * alpha).round() as u16);
                layer.keep.push(255 - alpha as u8);
            }
        }
        layer
    }
}

/// A colour that is not multiplied by its opacity any more.
fn plain(color: [f32; 3], alpha: f32) -> [f32; 3] {
    if alpha > 0.0 { color.map(|value| (value / alpha).min(1.0)) } else { color }
}

/// A sample with a mark over it, rounded to the nearest. `add` is at most 255 times what `keep` leaves to it, so that nothing overflows.
fn mix(sample: u8, add: u16, keep: u8) -> u8 {
    let sum = add + u16::from(sample) * u16::from(keep) + 128;
    // Divided by 255: exact for all that there can be.
    ((sum + (sum >> 8)) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITED: Colors = Colors { red: 0.2126, blue: 0.0722, full_range: false };

    /// A gray picture of 16 by 8 pixels with `overlay` over it.
    fn over(overlay: &Overlay) -> [Vec<u8>; 3] {
        let mut planes = [vec![100; 16 * 8], vec![90; 8 * 4], vec![160; 8 * 4]];
        for (index, samples) in planes.iter_mut().enumerate() {
            let stride = if index == 0 { 16 } else { 8 };
            overlay.blend(index, &mut Component { samples, stride, step: 1 });
        }
        planes
    }

    fn block(color: [u8; 4], width: usize, height: usize) -> Pixels {
        Pixels::from_rgba(&color.repeat(width * height), width)
    }

    fn mark(color: [u8; 4], size: (usize, usize), at: (i64, i64), opacity: f32) -> [Vec<u8>; 3] {
        over(&Overlay::new(&block(color, size.0, size.1), at, opacity, &LIMITED, (16, 8)))
    }

    const RED: [u8; 4] = [255, 0, 0, 255];

    #[test]
    fn colours_become_the_samples_of_the_picture() {
        let of = |colors: Colors, color: [f32; 3]| colors.samples(color).map(|value| value.round() as u8);
        assert_eq!(of(LIMITED, [1.0, 1.0, 1.0]), [235, 128, 128]);
        assert_eq!(of(LIMITED, [0.0, 0.0, 0.0]), [16, 128, 128]);
        assert_eq!(of(LIMITED, [1.0, 0.0, 0.0]), [63, 102, 240]);
        let full = Colors { full_range: true, ..LIMITED };
        assert_eq!(of(full, [1.0, 1.0, 1.0]), [255, 128, 128]);
        let small = Colors::of(2, false, (640, 360));
        assert_eq!(of(small, [1.0, 0.0, 0.0]), [81, 90, 240], "BT.601");
        assert_eq!(Colors::of(2, false, (1280, 720)), LIMITED);
        assert_eq!(Colors::of(1, false, (640, 360)), LIMITED, "what it says counts");
    }

    #[test]
    fn an_opaque_mark_hides_what_is_behind_it_and_touches_nothing_else() {
        let [luma, blue, red] = mark(RED, (4, 2), (2, 4), 1.0);
        for (at, sample) in luma.iter().enumerate() {
            let is_inside = (2..6).contains(&(at % 16)) && (4..6).contains(&(at / 16));
            assert_eq!(*sample, if is_inside { 63 } else { 100 }, "{at}");
        }
        for at in 0..8 * 4 {
            let is_inside = (1..3).contains(&(at % 8)) && at / 8 == 2;
            assert_eq!((blue[at], red[at]), if is_inside { (102, 240) } else { (90, 160) }, "{at}");
        }
    }

    #[test]
    fn at_an_odd_place_chroma_is_covered_as_far_as_its_pixels_are() {
        let [luma, blue, red] = mark(RED, (2, 2), (3, 3), 1.0);
        assert_eq!((luma[3 * 16 + 3], luma[4 * 16 + 4], luma[3 * 16 + 5]), (63, 63, 100));
        // Each of four samples has one of its four pixels covered.
        for at in [8 + 1, 8 + 2, 2 * 8 + 1, 2 * 8 + 2] {
            assert_eq!((blue[at], red[at]), (93, 180), "a quarter of the way");
        }
        assert_eq!((blue[0], blue[8 + 3]), (90, 90));
    }

    #[test]
    fn opacity_goes_from_nothing_to_all() {
        let untouched = [vec![100; 16 * 8], vec![90; 8 * 4], vec![160; 8 * 4]];
        assert_eq!(mark(RED, (4, 4), (2, 2), 0.0), untouched);
        assert_eq!(mark([255, 255, 255, 0], (4, 4), (2, 2), 1.0), untouched);
        let [luma, blue, _] = mark([255, 255, 255, 255], (4, 4), (2, 2), 0.5);
        // 255 / 2 is rounded to 128 parts of 255.
        assert_eq!((luma[2 * 16 + 2], blue[8 + 1]), (168, 109));
    }

    #[test]
    fn what_is_outside_of_the_picture_is_cut_off() {
        let [luma, _, red] = mark(RED, (6, 6), (-3, -3), 1.0);
        assert_eq!((luma[0], luma[2 * 16 + 2], luma[3], luma[3 * 16]), (63, 63, 100, 100));
        assert_eq!((red[0], red[1], red[2]), (240, 200, 160));
        let [luma, ..] = mark(RED, (6, 6), (13, 5), 1.0);
        assert_eq!((luma[7 * 16 + 15], luma[7 * 16 + 12], luma[4 * 16 + 15]), (63, 100, 100));
        let untouched = vec![100; 16 * 8];
        assert_eq!(mark(RED, (6, 6), (16, 0), 1.0)[0], untouched);
        assert_eq!(mark(RED, (6, 6), (i64::MAX, i64::MIN), 1.0)[0], untouched);
    }

    #[test]
    fn planes_that_hold_two_colours_get_both() {
        let overlay = Overlay::new(&block(RED, 2, 2), (2, 2), 1.0, &LIMITED, (16, 8));
        let mut both = vec![7; 16 * 4];
        overlay.blend(1, &mut Component { samples: &mut both, stride: 16, step: 2 });
        overlay.blend(2, &mut Component { samples: &mut both[1..], stride: 16, step: 2 });
        assert_eq!(both[16..22], [7, 7, 102, 240, 7, 7]);
    }

    proptest! {
        #[test]
        fn samples_are_mixed_to_the_nearest(sample: u8, value in 0.0f32..=255.0, alpha: u8) {
            let add = (value * f32::from(alpha)).round() as u16;
            let exact = (f64::from(add) + f64::from(sample) * f64::from(255 - alpha)) / 255.0;
            prop_assert!((f64::from(mix(sample, add, 255 - alpha)) - exact).abs() <= 0.5);
        }

        #[test]
        fn no_place_is_outside_of_memory(x in -40i64..40, y in -40i64..40, width in 1usize..30, height in 1usize..30) {
            let _ = mark(RED, (width, height), (x, y), 0.7);
        }
    }
}
