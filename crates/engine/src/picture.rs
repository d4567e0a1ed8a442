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

/// A part of pictures that people look at, such as a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// The left border, in pixels of the picture.
    pub x: u16,
    /// The upper border.
    pub y: u16,
    /// How wide it is.
    pub width: u16,
    /// How high it is.
    pub height: u16,
}

impl Region {
    /// Where it is in a picture of another size, in whole blocks of [`BLOCK`] pixels: those of which about half belongs to it, and at least
    /// one. `None` if it is not in the picture at all.
    pub fn scaled(&self, from: (u32, u32), to: (u32, u32)) -> Option<Self> {
        let side = |start: u16, length: u16, from: u32, to: u32| {
            let nearest = |at: u64| {
                let at = at * u64::from(to) / u64::from(from.max(1));
                (at + u64::from(BLOCK / 2)) / u64::from(BLOCK) * u64::from(BLOCK)
            };
            let first = nearest(u64::from(start))
                .min(u64::from(to.saturating_sub(1)) / u64::from(BLOCK) * u64::from(BLOCK));
            let last = nearest(u64::from(start) + u64::from(length))
                .max(first + u64::from(BLOCK))
                .min(u64::from(to));
            let is_there = length > 0 && u32::from(start) < from && last > first;
            is_there.then_some((u16::try_from(first).ok()?, u16::try_from(last - first).ok()?))
        };
        let (x, width) = side(self.x, self.width, from.0, to.0)?;
        let (y, height) = side(self.y, self.height, from.1, to.1)?;
        Some(Self { x, y, width, height })
    }
}

/// Encoders choose how exact to be for blocks of so many pixels along each side.
pub const BLOCK: u32 = 16;

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

    #[test]
    fn a_region_is_where_it_was_in_a_picture_of_another_size() {
        let region = |x, y, width, height| Region { x, y, width, height };
        let face = region(600, 200, 250, 260);
        assert_eq!(face.scaled((1280, 720), (1280, 720)), Some(region(608, 208, 240, 256)));
        assert_eq!(face.scaled((1280, 720), (640, 360)), Some(region(304, 96, 128, 128)));
        assert_eq!(region(2, 2, 3, 3).scaled((1280, 720), (64, 36)), Some(region(0, 0, 16, 16)), "one block");
        assert_eq!(region(1270, 700, 90, 90).scaled((1280, 720), (640, 360)), Some(region(624, 352, 16, 8)));
        assert_eq!(region(1280, 0, 9, 9).scaled((1280, 720), (640, 360)), None);
        assert_eq!(region(0, 0, 0, 9).scaled((1280, 720), (640, 360)), None);
    }

    proptest! {
        #[test]
        fn no_region_reaches_beyond_the_picture(
            region: (u16, u16, u16, u16),
            from in (0u32..20_000, 0u32..20_000),
            to in (0u32..20_000, 0u32..20_000),
        ) {
            let (x, y, width, height) = region;
            let region = Region { x, y, width, height };
            if let Some(found) = region.scaled(from, to) {
                prop_assert!(found.width > 0 && u32::from(found.x) + u32::from(found.width) <= to.0);
                prop_assert!(found.height > 0 && u32::from(found.y) + u32::from(found.height) <= to.1);
            }
        }

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
