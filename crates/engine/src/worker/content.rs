//! What pictures are of: screens have other pictures than cameras, and some encoders have tools for them alone. Pure.

/// What pictures are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Content {
    /// What cameras and games show, and drawings that move.
    #[default]
    Scene,
    /// Text on plain ground: pages, source code, desktops.
    Screen,
}

/// Sides of a block, in pixels.
const BLOCK: usize = 16;
/// A block is plain if its samples differ by no more than this,
const PLAIN_MAX: u8 = 4;
/// and may be written on if they differ by this at least,
const INK_MIN: u8 = 64;
/// while so many of its 256 samples are as one is, give or take a little: letters cover less than half of what they are written on.
const GROUND_MIN: u32 = 140;
const GROUND_NEAR: usize = 4;
/// Parts of a hundred blocks that are written on. Desktops have 32 and more, also at two thirds of their size, and what cameras see 15 at most.
const WRITTEN_MIN: usize = 22;
/// Parts of a hundred blocks that are plain or written on. Desktops have 55 and more.
const EITHER_MIN: usize = 45;
/// A screen stays one with this part of both, so that what is near them does not change at each look: an encoder begins anew for that.
const STAYS: (usize, usize) = (2, 3);

impl Content {
    /// What the picture is of whose luma has these rows, and the one before was of `self`. It takes about a millisecond for a picture of
    /// 1280x720.
    pub(super) fn next<'a>(self, rows: impl Iterator<Item = &'a [u8]>) -> Self {
        let rows: Vec<_> = rows.collect();
        let (mut blocks, mut plain, mut written) = (0, 0, 0);
        for rows in rows.chunks_exact(BLOCK) {
            let width = rows.iter().map(|row| row.len()).min().unwrap_or(0);
            for left in (0..width / BLOCK).map(|column| column * BLOCK) {
                blocks += 1;
                let block = || rows.iter().flat_map(|row| row[left..left + BLOCK].iter().copied());
                let (least, most) =
                    block().fold((u8::MAX, 0), |(least, most), sample| (sample.min(least), sample.max(most)));
                match most - least {
                    0..=PLAIN_MAX => plain += 1,
                    INK_MIN.. => written += usize::from(has_ground(block())),
                    _ => {}
                }
            }
        }
        let (part, whole) = if self == Content::Screen { STAYS } else { (1, 1) };
        let reaches = |found: usize, least: usize| found * 100 * whole >= blocks * least * part;
        let is_screen = reaches(written, WRITTEN_MIN) && reaches(plain + written, EITHER_MIN);
        if is_screen && blocks > 0 { Content::Screen } else { Content::Scene }
    }
}

fn has_ground(block: impl Iterator<Item = u8>) -> bool {
    let mut counts = [0u32; 256];
    block.for_each(|sample| counts[usize::from(sample)] += 1);
    let most = (0..counts.len()).max_by_key(|sample| counts[*sample]).unwrap_or(0);
    let near = most.saturating_sub(GROUND_NEAR)..(most + GROUND_NEAR + 1).min(counts.len());
    counts[near].iter().sum::<u32>() >= GROUND_MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTH: usize = 320;

    fn of(sample: impl Fn(usize, usize) -> u8) -> Content {
        after(Content::default(), sample)
    }

    fn after(before: Content, sample: impl Fn(usize, usize) -> u8) -> Content {
        let rows: Vec<Vec<u8>> = (0..180).map(|y| (0..WIDTH).map(|x| sample(x, y)).collect()).collect();
        before.next(rows.iter().map(Vec::as_slice))
    }

    #[test]
    fn what_is_written_on_in_part_stays_what_it_was() {
        // A quarter of the picture, and less than that.
        let page = |part: usize| {
            move |x: usize, y: usize| match y < 180 / 16 * 16 * part / 100 {
                true => {
                    if x % 7 < 2 && y % 12 < 8 {
                        30
                    } else {
                        235
                    }
                }
                false => (x * x * 31 + y * y * 17 + x * y) as u8,
            }
        };
        assert_eq!(after(Content::Scene, page(60)), Content::Screen);
        assert_eq!(after(Content::Scene, page(36)), Content::Scene);
        assert_eq!(after(Content::Screen, page(36)), Content::Screen);
        assert_eq!(after(Content::Screen, page(10)), Content::Scene);
    }

    #[test]
    fn a_page_with_lines_of_letters_is_a_screen_and_stays_one_with_the_noise_of_an_encoder() {
        let page = |x: usize, y: usize| {
            let is_ink = x < 200 && y % 12 < 8 && x % 7 < 2 && y % 12 != 4;
            if is_ink { 30 } else { 235 }
        };
        assert_eq!(of(page), Content::Screen);
        assert_eq!(of(|x, y| page(x, y) - ((x * 7 + y * 13) % 3) as u8), Content::Screen);
    }

    #[test]
    fn what_is_plain_what_is_smooth_and_what_is_rough_are_no_screens() {
        assert_eq!(of(|_, _| 128), Content::Scene, "a slate");
        assert_eq!(of(|x, y| ((x + y) / 2) as u8), Content::Scene, "a sky");
        assert_eq!(of(|x, y| (x * x * 31 + y * y * 17 + x * y) as u8), Content::Scene, "leaves");
        assert_eq!(of(|x, _| if x % 32 < 16 { 40 } else { 200 }), Content::Scene, "stripes");
    }

    proptest! {
        #[test]
        fn pictures_of_any_size_are_something(width in 0usize..70, height in 0usize..40, seed: u8) {
            let rows: Vec<Vec<u8>> =
                (0..height).map(|y| (0..width).map(|x| seed.wrapping_mul((x ^ y) as u8)).collect()).collect();
            Content::default().next(rows.iter().map(Vec::as_slice));
        }
    }
}
