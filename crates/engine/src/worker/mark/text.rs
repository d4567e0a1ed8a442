//! Lines of text as pictures.

use super::pixels::Pixels;
use skrifa::instance::{LocationRef, Size};
use skrifa::outline::{DrawSettings, OutlinePen};
use skrifa::{FontRef, GlyphId, MetadataProvider};

/// Around letters is a dark line, so that they are read on any picture: this part of the line's height, and so dark.
const RIM_PART: f32 = 1.0 / 20.0;
const RIM_OPACITY: f32 = 0.6;
/// Rows of one pixel in which it is looked how much of it is covered. Across, that is exact.
const ROWS_PER_PIXEL: usize = 8;
/// Straight lines that a curve is drawn with: letters are some tens of pixels high.
const LINES_PER_CURVE: u8 = 8;

/// Draws `text` in a line of `height` pixels, or less so that it is at most `width_max` pixels wide.
///
/// # Errors
///
/// What is wrong with the font.
pub(super) fn draw(
    font: &[u8],
    text: &str,
    height: usize,
    width_max: usize,
    color: [u8; 3],
) -> Result<Pixels, String> {
    let font = FontRef::from_index(font, 0).map_err(|error| format!("the font is not read: {error}"))?;
    let metrics = font.metrics(Size::unscaled(), LocationRef::default());
    let line = metrics.ascent - metrics.descent;
    if !(line.is_finite() && line > 0.0) {
        return Err("the font does not say how high its lines are".to_owned());
    }
    let charmap = font.charmap();
    // What a font does not have is the box that it has for that.
    let glyphs: Vec<_> = text.chars().map(|letter| charmap.map(letter).unwrap_or(GlyphId::NOTDEF)).collect();
    let unscaled = font.glyph_metrics(Size::unscaled(), LocationRef::default());
    let advance = |glyph: &GlyphId| unscaled.advance_width(*glyph).unwrap_or(0.0).clamp(0.0, 4.0 * line);
    let length: f32 = glyphs.iter().map(advance).sum();
    let (height, width_max) = (height.max(2) as f32, width_max.max(2) as f32);
    // Lengths of the font are `line` high; the rim is on both sides.
    let wide = height * (length / line * (1.0 - 2.0 * RIM_PART) + 2.0 * RIM_PART);
    let height = if wide > width_max { height * width_max / wide } else { height };
    let rim = (height * RIM_PART).max(1.0);
    let scale = (height - 2.0 * rim).max(1.0) / line;
    let (width, height) = ((length * scale + 2.0 * rim).ceil() as usize, height.ceil() as usize);
    let upem = f32::from(metrics.units_per_em);
    let outlines = font.outline_glyphs();
    let mut pen = Pen { at: (rim, rim + metrics.ascent * scale), ..Pen::default() };
    for glyph in &glyphs {
        if let Some(outline) = outlines.get(*glyph) {
            let settings = DrawSettings::unhinted(Size::new(upem * scale), LocationRef::default());
            outline
                .draw(settings, &mut pen)
                .map_err(|error| format!("the font has a broken letter: {error}"))?;
        }
        pen.at.0 += advance(glyph) * scale;
    }
    let cover = fill(&pen.lines, width, height);
    Ok(compose(&cover, width, rim.round() as usize, color))
}

/// Turns outlines into straight lines.
#[derive(Default)]
struct Pen {
    /// Where the letter is: left, on the line that letters stand on.
    at: (f32, f32),
    begun: (f32, f32),
    last: (f32, f32),
    /// From, and to.
    lines: Vec<[(f32, f32); 2]>,
}

impl Pen {
    /// A point of the font, whose ordinates grow upwards, as a place of the picture.
    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (self.at.0 + x, self.at.1 - y)
    }

    fn line(&mut self, to: (f32, f32)) {
        let line = [self.last, to];
        if line.iter().all(|(x, y)| x.is_finite() && y.is_finite()) {
            self.lines.push(line);
        }
        self.last = to;
    }

    fn curve(&mut self, of: impl Fn(f32) -> (f32, f32)) {
        for step in 1..=LINES_PER_CURVE {
            self.line(of(f32::from(step) / f32::from(LINES_PER_CURVE)));
        }
    }
}

/// Between two points.
fn between(a: (f32, f32), b: (f32, f32), part: f32) -> (f32, f32) {
    (a.0 + (b.0 - a.0) * part, a.1 + (b.1 - a.1) * part)
}

impl OutlinePen for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.begun = self.place(x, y);
        self.last = self.begun;
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.line(self.place(x, y));
    }

    fn quad_to(&mut self, x: f32, y: f32, to_x: f32, to_y: f32) {
        let (a, b, c) = (self.last, self.place(x, y), self.place(to_x, to_y));
        self.curve(|part| between(between(a, b, part), between(b, c, part), part));
    }

    fn curve_to(&mut self, x: f32, y: f32, other_x: f32, other_y: f32, to_x: f32, to_y: f32) {
        let (a, b) = (self.last, self.place(x, y));
        let (c, d) = (self.place(other_x, other_y), self.place(to_x, to_y));
        self.curve(|part| {
            let (first, second) = (between(a, b, part), between(b, c, part));
            let third = between(c, d, part);
            between(between(first, second, part), between(second, third, part), part)
        });
    }

    fn close(&mut self) {
        self.line(self.begun);
    }
}

/// How much of each pixel is inside of closed lines, which run around more often in one direction than in the other.
fn fill(lines: &[[(f32, f32); 2]], width: usize, height: usize) -> Vec<f32> {
    let rows = height * ROWS_PER_PIXEL;
    let mut crossings: Vec<Vec<(f32, i32)>> = vec![Vec::new(); rows];
    for &[from, to] in lines {
        let (upper, lower, turn) = if from.1 <= to.1 { (from, to, 1) } else { (to, from, -1) };
        // Rows whose middle lies between both ends.
        let row = |y: f32| (y * ROWS_PER_PIXEL as f32 - 0.5).ceil().clamp(0.0, rows as f32) as usize;
        let slope = (lower.0 - upper.0) / (lower.1 - upper.1);
        for (index, crossings) in crossings.iter_mut().enumerate().take(row(lower.1)).skip(row(upper.1)) {
            let y = (index as f32 + 0.5) / ROWS_PER_PIXEL as f32;
            crossings.push((upper.0 + (y - upper.1) * slope, turn));
        }
    }
    let mut cover = vec![0.0; width * height];
    for (index, crossings) in crossings.iter_mut().enumerate() {
        crossings.sort_by(|a, b| a.0.total_cmp(&b.0));
        let row = (index / ROWS_PER_PIXEL) * width;
        let mut turns = 0;
        for pair in crossings.windows(2) {
            turns += pair[0].1;
            if turns != 0 {
                add_span(&mut cover[row..row + width], pair[0].0, pair[1].0);
            }
        }
    }
    cover
}

/// Adds one row of [`ROWS_PER_PIXEL`] from `from` to `to`.
fn add_span(cover: &mut [f32], from: f32, to: f32) {
    let end = cover.len() as f32;
    let (from, to) = (from.clamp(0.0, end), to.clamp(0.0, end));
    let (first, last) = (from as usize, to.ceil() as usize);
    for (index, cover) in cover.iter_mut().enumerate().take(last).skip(first) {
        let part = to.min(index as f32 + 1.0) - from.max(index as f32);
        *cover += part.max(0.0) / ROWS_PER_PIXEL as f32;
    }
}

/// Letters of `color` with a rim of so many pixels.
fn compose(cover: &[f32], width: usize, rim: usize, color: [u8; 3]) -> Pixels {
    let spread = |index: usize, step: usize, length: usize, of: &[f32]| {
        let at = (index / step) % length;
        let near = at.saturating_sub(rim)..=(at + rim).min(length - 1);
        near.map(|near| of[index + near * step - at * step]).fold(0.0, f32::max)
    };
    let height = cover.len() / width.max(1);
    let across: Vec<f32> = (0..cover.len()).map(|index| spread(index, 1, width, cover)).collect();
    let rgba = cover.iter().enumerate().map(|(index, cover)| {
        let letter = cover.clamp(0.0, 1.0);
        let dark = spread(index, width, height, &across).clamp(0.0, 1.0) * RIM_OPACITY;
        let [red, green, blue] = color.map(|value| f32::from(value) / 255.0 * letter);
        [red, green, blue, letter + (1.0 - letter) * dark]
    });
    Pixels { width, height, rgba: rgba.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(left: f32, top: f32, right: f32, bottom: f32) -> Vec<[(f32, f32); 2]> {
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        corners.windows(2).map(|pair| [pair[0], pair[1]]).collect()
    }

    #[test]
    fn pixels_are_covered_as_far_as_a_shape_reaches() {
        let cover = fill(&square(1.25, 1.0, 3.0, 2.5), 4, 4);
        let expected = [0.0, 0.0, 0.0, 0.0, 0.0, 0.75, 1.0, 0.0, 0.0, 0.375, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0];
        for (at, (cover, expected)) in cover.iter().zip(expected).enumerate() {
            assert!((cover - expected).abs() < 1e-5, "{at}: {cover}");
        }
    }

    #[test]
    fn shapes_that_overlap_cover_no_more_than_one() {
        let mut lines = square(0.0, 0.0, 2.0, 2.0);
        lines.extend(square(1.0, 0.0, 3.0, 2.0));
        assert!(fill(&lines, 3, 2).iter().all(|cover| (cover - 1.0).abs() < 1e-5));
        // A hole runs around the other way.
        let hole = square(1.0, 0.0, 2.0, 2.0).into_iter().map(|[from, to]| [to, from]);
        let lines: Vec<_> = square(0.0, 0.0, 3.0, 2.0).into_iter().chain(hole).collect();
        assert_eq!(fill(&lines, 3, 1), [1.0, 0.0, 1.0]);
    }

    #[test]
    fn what_reaches_beyond_the_picture_is_cut_off() {
        assert!(fill(&square(-9.0, -9.0, 9.0, 9.0), 3, 2).iter().all(|cover| (cover - 1.0).abs() < 1e-5));
        assert_eq!(fill(&square(5.0, 5.0, 9.0, 9.0), 3, 2), [0.0; 6]);
    }

    #[test]
    fn a_rim_is_around_letters_and_behind_them() {
        let mut cover = vec![0.0; 25];
        cover[12] = 1.0;
        let pixels = compose(&cover, 5, 1, [255, 128, 0]);
        assert_eq!(pixels.rgba[12], [1.0, 128.0 / 255.0, 0.0, 1.0]);
        assert_eq!((pixels.rgba[6], pixels.rgba[8]), ([0.0, 0.0, 0.0, 0.6], [0.0, 0.0, 0.0, 0.6]));
        assert_eq!(pixels.rgba[10], [0.0; 4]);
    }

    /// A font that tests can rely on.
    fn font() -> Vec<u8> {
        std::fs::read("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
            .expect("it is there: see ./test tools")
    }

    /// Pixels that are nearly white.
    fn bright(pixels: &Pixels) -> usize {
        pixels.rgba.iter().filter(|pixel| pixel[0] > 0.9).count()
    }

    #[test]
    fn letters_have_the_height_of_their_line_and_as_much_ink_as_they_need() {
        let font = font();
        let line = |text: &str, width_max| draw(&font, text, 40, width_max, [255; 3]).unwrap();
        let (narrow, wide) = (line("12:00:01", 1000), line("12:00:01 UTC", 1000));
        assert_eq!((narrow.height, wide.height), (40, 40));
        assert!(narrow.width > 120 && wide.width > narrow.width + 40, "{} {}", narrow.width, wide.width);
        assert!(bright(&wide) > bright(&narrow) && bright(&narrow) > 300, "{}", bright(&narrow));
        assert_ne!(narrow, line("12:00:02", 1000));
        assert_eq!(line("12:00:02", 1000).width, narrow.width, "digits are equally wide");
        assert_eq!(bright(&line("  ", 1000)), 0);
        // The middle of an I is a column from top to bottom, with a rim and nothing around it.
        let letter = line("I", 1000);
        let column =
            |x: usize| (0..letter.height).filter(|y| letter.rgba[y * letter.width + x][0] > 0.9).count();
        assert!((20..36).contains(&column(letter.width / 2)), "{}", column(letter.width / 2));
        assert_eq!((column(0), letter.rgba[0]), (0, [0.0; 4]));
    }

    #[test]
    fn a_text_that_is_too_wide_is_made_smaller() {
        let pixels = draw(&font(), "a text that is too wide", 40, 100, [255; 3]).unwrap();
        assert!(
            (90..=101).contains(&pixels.width) && pixels.height < 20,
            "{}x{}",
            pixels.width,
            pixels.height
        );
        let letters = "\u{10ffff}\u{4e2d}W".repeat(60);
        assert!(
            draw(&font(), &letters, 500, 4096, [255; 3]).is_ok(),
            "also of letters that it does not have"
        );
        assert!(draw(&font(), "?", 0, 0, [255; 3]).is_ok());
    }

    #[test]
    fn a_font_that_is_cut_off_anywhere_does_not_panic() {
        let font = font();
        for part in 1..64 {
            let _ = draw(&font[..font.len() * part / 64], "12:00:01", 20, 200, [255; 3]);
        }
    }

    #[test]
    fn what_is_no_font_is_an_error() {
        for bytes in [&b""[..], b"OTTO", b"\0\x01\0\0\0\x01\0\0\0\0\0\0head"] {
            assert!(draw(bytes, "12:00", 20, 200, [255; 3]).is_err());
        }
    }
}
