//! Pictures of marks: red, green, blue and opacity, each from 0 to 1, colours multiplied by the opacity.

/// A picture with transparency.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pixels {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Row by row.
    pub(super) rgba: Vec<[f32; 4]>,
}

impl Pixels {
    /// From bytes of four to a pixel, colours not multiplied yet. As many rows as there are.
    pub(super) fn from_rgba(bytes: &[u8], width: usize) -> Self {
        let rgba: Vec<_> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&[red, green, blue, alpha]| {
                let alpha = f32::from(alpha) / 255.0;
                let color = |value: u8| f32::from(value) / 255.0 * alpha;
                [color(red), color(green), color(blue), alpha]
            })
            .collect();
        Self { width, height: rgba.len() / width.max(1), rgba }
    }

    /// In another size. Each pixel of it is the mean of those that it covers, weighed by how near they are.
    pub(super) fn scaled(&self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let turned = across(&self.rgba, self.width, self.height, width);
        Self { width, height, rgba: across(&turned, self.height, width, height) }
    }
}

/// Scales rows of `width` pixels to `to`, and gives them as columns.
fn across(rgba: &[[f32; 4]], width: usize, height: usize, to: usize) -> Vec<[f32; 4]> {
    let mut turned = Vec::with_capacity(to * height);
    if width == 0 {
        return turned;
    }
    let step = width as f32 / to as f32;
    let reach = step.max(1.0);
    let mut weights = Vec::new();
    for column in 0..to {
        let middle = (column as f32 + 0.5) * step;
        let first = (middle - reach).floor().max(0.0) as usize;
        let end = ((middle + reach).ceil() as usize).min(width);
        weights.clear();
        weights.extend((first..end).map(|at| (1.0 - (at as f32 + 0.5 - middle).abs() / reach).max(0.0)));
        let all: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= all);
        for row in rgba.chunks_exact(width) {
            let mut sum = [0.0; 4];
            for (pixel, weight) in row[first..end].iter().zip(&weights) {
                for (sum, value) in sum.iter_mut().zip(pixel) {
                    *sum += value * weight;
                }
            }
            turned.push(sum);
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_colour_stays_that_in_every_size() {
        let green = Pixels::from_rgba(&[0, 255, 0, 128].repeat(7 * 5), 7);
        assert_eq!((green.width, green.height), (7, 5));
        for (width, height) in [(3, 2), (7, 5), (20, 31), (1, 1)] {
            let scaled = green.scaled(width, height);
            assert_eq!(scaled.rgba.len(), width * height);
            for [red, color, blue, alpha] in scaled.rgba {
                assert!(red == 0.0 && blue == 0.0 && (color - alpha).abs() < 1e-5, "{color} {alpha}");
                assert!((alpha - 128.0 / 255.0).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn what_is_transparent_gives_no_colour_to_its_neighbours() {
        // Opaque white beside transparent black: between them is white that is half transparent, and no gray.
        let edge = Pixels::from_rgba(&[255, 255, 255, 255, 0, 0, 0, 0].repeat(4), 2).scaled(1, 1);
        let [red, _, _, alpha] = edge.rgba[0];
        assert!((alpha - 0.5).abs() < 1e-5 && (red - alpha).abs() < 1e-5);
    }

    #[test]
    fn rows_stay_rows_and_columns_stay_columns() {
        let mut bytes = [0; 4 * 6];
        bytes[4 * 5..].copy_from_slice(&[255, 0, 0, 255]);
        let doubled = Pixels::from_rgba(&bytes, 3).scaled(6, 4);
        let red = |x: usize, y: usize| doubled.rgba[y * 6 + x][0];
        assert!(red(5, 3) > 0.9 && red(0, 3) == 0.0 && red(5, 0) == 0.0);
    }
}
