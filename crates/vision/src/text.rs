//! Lines of small text that stand still, as in captions, scores and on desktops.
//!
//! Letters are strokes: brightness goes up and comes down again a few pixels later, by much, and what is between them is flat. Texture such
//! as leaves has steps of all sizes, and edges of things go one way. So blocks are text that have many strong steps both ways and much that is
//! flat, in rows of such blocks, if they were the same when they were looked at before.

use crate::{Area, Plane};

/// The side of a block, in pixels.
const BLOCK: usize = 16;
/// Every so many of its rows is looked at.
const ROWS: usize = 2;
/// From one pixel to the next: a strong step, and none.
const STRONG: u8 = 36;
const FLAT: u8 = 5;
/// Of the steps of a block so many are strong, up and down, and so many flat.
const STRONG_MIN: u32 = 8;
const FLAT_MIN: u32 = 24;
/// The pixels at strong steps of letters that stand change by less, on average, whatever moves behind them.
const CHANGE_MAX: u32 = 14;
/// A line of text is at least so many blocks long, of which single ones may be missing.
const LINE_BLOCKS_MIN: usize = 3;
/// Lines below each other that share so much of what both span are one area.
const SAME_COLUMN: f32 = 0.5;
/// Areas of one picture.
const AREAS_MAX: usize = 64;

/// Finds text. It is made once, and then looks at pictures of one stream, some tenths of a second apart.
#[derive(Debug, Clone, Default)]
pub struct Detector {
    before: Vec<Samples>,
    size: (usize, usize),
}

impl Detector {
    /// Where there is text, in whole blocks of 16 pixels, the largest area first. Nothing is found in the first picture, and in one
    /// of another size.
    pub fn areas(&mut self, luma: Plane<'_>) -> Vec<Area> {
        let size = (luma.width(), luma.height());
        let (across, down) = (size.0 / BLOCK, size.1 / BLOCK);
        let is_known = self.size == size;
        self.size = size;
        self.before.resize(across * down, [[0; BLOCK]; BLOCK / ROWS]);
        let mut areas: Vec<Area> = Vec::new();
        let mut blocks = vec![false; across];
        for y in 0..down {
            self.look(luma, y, &mut blocks);
            for (start, length) in lines(&blocks) {
                let line = Area {
                    x: (start * BLOCK) as f32,
                    y: (y * BLOCK) as f32,
                    width: (length * BLOCK) as f32,
                    height: BLOCK as f32,
                };
                match areas.iter().rposition(|area| continues(area, &line)) {
                    Some(above) => areas[above] = around(&areas[above], &line),
                    None if areas.len() < AREAS_MAX => areas.push(line),
                    None => {}
                }
            }
        }
        areas.sort_by(|a, b| b.pixels().total_cmp(&a.pixels()));
        if is_known { areas } else { Vec::new() }
    }

    /// Which blocks of a row are text.
    fn look(&mut self, luma: Plane<'_>, y: usize, blocks: &mut [bool]) {
        let rows: [&[u8]; BLOCK / ROWS] = std::array::from_fn(|row| luma.row(y * BLOCK + row * ROWS));
        let before = self.before[y * blocks.len()..].iter_mut();
        for (x, (is_text, before)) in blocks.iter_mut().zip(before).enumerate() {
            let now = rows.map(|row| {
                let mut samples = [0; BLOCK];
                samples.copy_from_slice(&row[x * BLOCK..(x + 1) * BLOCK]);
                samples
            });
            *is_text = Steps::of(&now, before).are_text();
            *before = now;
        }
    }
}

/// The rows of a block that are looked at.
type Samples = [[u8; BLOCK]; BLOCK / ROWS];

/// What a block has of steps from one pixel to the next.
struct Steps {
    up: u32,
    down: u32,
    flat: u32,
    /// How much the pixels at strong steps have changed, taken together.
    change: u32,
}

impl Steps {
    fn of(now: &Samples, before: &Samples) -> Self {
        // In lanes of bytes, which none of them fills.
        let (mut up, mut down, mut flat) = ([0u8; BLOCK], [0u8; BLOCK], [0u8; BLOCK]);
        let mut change = [0u16; BLOCK];
        for (now, before) in now.iter().zip(before) {
            let mut next = *now;
            next.copy_within(1.., 0);
            for index in 0..BLOCK {
                let (sample, next) = (now[index], next[index]);
                let rises = next.saturating_sub(sample) >= STRONG;
                let falls = sample.saturating_sub(next) >= STRONG;
                up[index] += u8::from(rises);
                down[index] += u8::from(falls);
                flat[index] += u8::from(sample.abs_diff(next) <= FLAT);
                let mask = if rises | falls { u8::MAX } else { 0 };
                change[index] += u16::from(sample.abs_diff(before[index]) & mask);
            }
        }
        let sum = |lanes: [u8; BLOCK]| lanes.iter().map(|lane| u32::from(*lane)).sum();
        let change = change.iter().map(|lane| u32::from(*lane)).sum();
        Self { up: sum(up), down: sum(down), flat: sum(flat), change }
    }

    fn are_text(&self) -> bool {
        let is_still = self.change < CHANGE_MAX * (self.up + self.down);
        is_still && self.up >= STRONG_MIN && self.down >= STRONG_MIN && self.flat >= FLAT_MIN
    }
}

/// Rows of blocks that are text: where they begin, and how long they are.
fn lines(blocks: &[bool]) -> Vec<(usize, usize)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < blocks.len() {
        let mut end = at;
        while blocks.get(end) == Some(&true) || (end > at && blocks.get(end + 1) == Some(&true)) {
            end += 1;
        }
        if end - at >= LINE_BLOCKS_MIN {
            found.push((at, end - at));
        }
        at = end.max(at + 1);
    }
    found
}

/// Whether `line` goes on below `area`.
fn continues(area: &Area, line: &Area) -> bool {
    let (left, right) = (area.x.max(line.x), (area.x + area.width).min(line.x + line.width));
    let both = around(area, line).width;
    area.y + area.height == line.y && right - left >= both * SAME_COLUMN
}

fn around(a: &Area, b: &Area) -> Area {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    let (right, bottom) = ((a.x + a.width).max(b.x + b.width), (a.y + a.height).max(b.y + b.height));
    Area { x, y, width: right - x, height: bottom - y }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTH: usize = 640;
    const HEIGHT: usize = 360;

    /// Strokes of two pixels, as letters have, in a box; all else is `background`.
    fn written(
        background: impl Fn(usize, usize) -> u8,
        (left, top): (usize, usize),
        (right, bottom): (usize, usize),
    ) -> Vec<u8> {
        const STROKES: &[u8] = b"#..#.##...#.#..#..##.#.#...#.";
        let letter = |x: usize, y: usize| STROKES[(x / 2 + y / 4 * 5) % STROKES.len()] == b'#' && y % 20 < 14;
        (0..WIDTH * HEIGHT)
            .map(|at| (at % WIDTH, at / WIDTH))
            .map(|(x, y)| {
                let is_within = (left..right).contains(&x) && (top..bottom).contains(&y);
                if is_within && letter(x - left, y - top) {
                    235
                } else if is_within {
                    40
                } else {
                    background(x, y)
                }
            })
            .collect()
    }

    fn found(pictures: &[&[u8]]) -> Vec<Area> {
        let mut detector = Detector::default();
        let looks =
            pictures.iter().map(|luma| detector.areas(Plane::new(luma, WIDTH, (WIDTH, HEIGHT)).unwrap()));
        looks.last().unwrap()
    }

    fn gradient(x: usize, y: usize) -> u8 {
        (x / 5 + y / 6) as u8
    }

    /// Steps of all sizes, as of leaves.
    fn texture(x: usize, y: usize) -> u8 {
        let mixed = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2c1b_3c6d);
        (mixed >> 24) as u8
    }

    #[test]
    fn a_caption_is_found_where_it_stands() {
        let caption = written(gradient, (160, 288), (480, 328));
        let areas = found(&[&caption, &caption]);
        let [area] = &areas[..] else { panic!("{areas:?}") };
        let whole = Area { x: 160.0, y: 288.0, width: 320.0, height: 40.0 };
        assert!(area.overlap(&whole) > 0.7, "{area:?}");
    }

    #[test]
    fn text_that_moves_and_text_that_was_not_there_before_is_none() {
        let (here, there) =
            (written(gradient, (160, 288), (480, 328)), written(gradient, (163, 288), (483, 328)));
        assert_eq!(found(&[&here]), []);
        assert_eq!(found(&[&there, &here]), []);
        assert_eq!(found(&[&here, &here, &there]), []);
    }

    #[test]
    fn texture_edges_and_patterns_are_no_text() {
        let edges = |x: usize, y: usize| if (x / 40 + y / 40).is_multiple_of(2) { 30 } else { 220 };
        let backgrounds: [&dyn Fn(usize, usize) -> u8; 3] = [&gradient, &texture, &edges];
        for (index, background) in backgrounds.iter().enumerate() {
            let picture = written(background, (0, 0), (0, 0));
            assert_eq!(found(&[&picture, &picture]), [], "{index}");
        }
    }

    #[test]
    fn single_blocks_may_be_missing_in_a_line_and_short_ones_are_none() {
        let line = |text: &str| lines(&text.chars().map(|block| block == '#').collect::<Vec<_>>());
        assert_eq!(line("..###.##..##..#"), [(2, 6)]);
        assert_eq!(line("#.#"), [(0, 3)]);
        assert_eq!(line("##..##"), []);
        assert_eq!(line("...#####"), [(3, 5)]);
    }

    proptest! {
        #[test]
        fn no_picture_makes_it_panic(sizes in proptest::collection::vec((1usize..90, 1usize..90), 1..4), seed in 0usize..1000) {
            let mut detector = Detector::default();
            for (width, height) in sizes {
                let luma: Vec<u8> = (0..width * height).map(|at| ((at * seed) >> 3) as u8).collect();
                for area in detector.areas(Plane::new(&luma, width, (width, height)).unwrap()) {
                    prop_assert!(area.x + area.width <= width as f32 && area.y + area.height <= height as f32);
                }
            }
        }
    }
}
