//! Pictures to look at.

/// Samples of 8 bits in rows.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    samples: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl<'a> Plane<'a> {
    /// `height` rows of `width` samples, each `stride` after the one before; `None` if `samples` has fewer, or there is nothing in it.
    pub fn new(samples: &'a [u8], stride: usize, (width, height): (usize, usize)) -> Option<Self> {
        let bytes = height.checked_sub(1)?.checked_mul(stride)?.checked_add(width)?;
        (width > 0 && width <= stride && bytes <= samples.len()).then_some(Self {
            samples,
            stride,
            width,
            height,
        })
    }

    /// Samples of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// A row, or the last one for those behind it.
    pub fn row(&self, row: usize) -> &'a [u8] {
        let start = row.min(self.height - 1) * self.stride;
        &self.samples[start..start + self.width]
    }
}

/// A picture of I420: luma, and two chromas of half its size. Its range is 16 to 235.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    planes: [Plane<'a>; 3],
}

impl<'a> Picture<'a> {
    /// Planes with their strides; `size` is that of luma in pixels. `None` if there are too few samples.
    pub fn new(planes: [&'a [u8]; 3], strides: [usize; 3], size: (usize, usize)) -> Option<Self> {
        let (width, height) = size;
        let half = (width.div_ceil(2), height.div_ceil(2));
        let [luma, blue, red] = planes;
        Some(Self {
            planes: [
                Plane::new(luma, strides[0], size)?,
                Plane::new(blue, strides[1], half)?,
                Plane::new(red, strides[2], half)?,
            ],
        })
    }

    /// The plane of brightness.
    pub fn luma(&self) -> Plane<'a> {
        self.planes[0]
    }

    /// The colour of a pixel, red, green and blue from 0 to 1 by BT.709, or a little beyond.
    pub(crate) fn colour(&self, luma: f32, x: usize, y: usize) -> [f32; 3] {
        let chroma = |plane: &Plane<'_>| {
            let row = plane.row(y / 2);
            f32::from(row[(x / 2).min(row.len() - 1)]) - 128.0
        };
        let (blue, red) = (chroma(&self.planes[1]) / 224.0, chroma(&self.planes[2]) / 224.0);
        let luma = (luma - 16.0) / 219.0;
        [luma + 1.5748 * red, luma - 0.1873 * blue - 0.4681 * red, luma + 1.8556 * blue]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_of_a_plane_that_is_one_are_all_there(
            length in 0usize..400,
            stride in 0usize..40,
            width in 0usize..40,
            height in 0usize..20,
        ) {
            let samples = vec![7; length];
            if let Some(plane) = Plane::new(&samples, stride, (width, height)) {
                prop_assert!((0..height + 2).all(|row| plane.row(row).len() == width));
            }
        }
    }
}
