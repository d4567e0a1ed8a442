//! Decoded pictures in memory that workers share.
//!
//! A picture is I420 with 8 bits: three planes one after the other, luma first. Their strides follow from the width, so that a
//! message need not name them and nobody has to believe it.

use crate::limits::PICTURE_PIXELS_MAX;
use serde::{Deserialize, Serialize};

/// What is said of a picture beside its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Which slot of the shared memory it is in.
    pub slot: u8,
    /// When it is shown, in nanoseconds of the source's clock.
    pub pts: i64,
    /// The source can be joined here.
    pub keyframe: bool,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Width and height of one pixel as shown; 1:1 where nothing is said.
    pub pixel_aspect: (u32, u32),
    /// Colours, in the code points of ISO/IEC 23091-2; 2 is "unspecified".
    pub primaries: u8,
    /// See `primaries`.
    pub transfer: u8,
    /// See `primaries`.
    pub matrix: u8,
    /// Luma uses all values and not 16 to 235.
    pub full_range: bool,
}

/// Where the planes of a picture are in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes from one row to the next, of luma and of chroma.
    pub strides: [usize; 3],
    /// Rows of each plane.
    pub rows: [usize; 3],
}

/// Rows begin at multiples of this many bytes, which vector instructions like.
const ALIGNMENT: usize = 64;

impl Layout {
    /// The layout for a size in pixels; `None` for a picture that is empty or beyond [`PICTURE_PIXELS_MAX`].
    pub fn of(width: u32, height: u32) -> Option<Self> {
        let pixels = u64::from(width) * u64::from(height);
        // A side that long is no picture, whatever the other one is.
        if pixels == 0 || pixels > u64::from(PICTURE_PIXELS_MAX) || width.max(height) > 16_384 {
            return None;
        }
        let (width, height) = (width as usize, height as usize);
        let luma = width.next_multiple_of(2 * ALIGNMENT);
        let rows = height.div_ceil(2);
        Some(Self { strides: [luma, luma / 2, luma / 2], rows: [2 * rows, rows, rows] })
    }

    /// Where each plane begins.
    pub fn offsets(&self) -> [usize; 3] {
        let luma = self.strides[0] * self.rows[0];
        [0, luma, luma + self.strides[1] * self.rows[1]]
    }

    /// Bytes of all planes.
    pub fn bytes(&self) -> usize {
        self.offsets()[2] + self.strides[2] * self.rows[2]
    }
}

/// Bytes of one slot: the largest picture, with rows of the widest alignment.
pub const SLOT_BYTES: usize =
    (PICTURE_PIXELS_MAX as usize * 3 / 2 + (16_384 * 4 * ALIGNMENT)).next_multiple_of(1 << 16);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_that_are_no_pictures_have_no_layout() {
        for (width, height) in [(0, 720), (1280, 0), (16_385, 2), (4096, 2305), (u32::MAX, u32::MAX)] {
            assert_eq!(Layout::of(width, height), None, "{width}x{height}");
        }
    }

    proptest! {
        #[test]
        fn every_picture_fits_into_a_slot(width in 1u32..=16_384, height in 1u32..=16_384) {
            if let Some(layout) = Layout::of(width, height) {
                prop_assert!(layout.bytes() <= SLOT_BYTES);
                prop_assert!(layout.strides[0] >= width as usize && layout.rows[0] >= height as usize);
                prop_assert!(layout.strides[1] * 2 >= width as usize && layout.rows[1] * 2 >= height as usize);
            }
        }
    }
}
