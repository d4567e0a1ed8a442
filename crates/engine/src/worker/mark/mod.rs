//! Puts the marks of a rung over its pictures.

mod overlay;
mod pixels;
mod text;

pub(crate) use overlay::Component;

use crate::av::{Frame, decode_image};
use crate::mark::{Align, Content, Drawing, Mark, Marks};
use crate::picture::Picture;
use overlay::{Colors, Overlay};
use pixels::Pixels;
use std::time::{SystemTime, UNIX_EPOCH};

const SECOND_NANOS: i64 = 1_000_000_000;

/// The marks of one encoder.
pub(super) struct Painter {
    marks: Marks,
    /// Made for pictures like that.
    like: Option<Like>,
    /// As many as there are marks, once there was a picture.
    drawn: Vec<Drawn>,
    /// Unix time of time zero of the source, in nanoseconds.
    clock: Option<i64>,
}

/// What marks look like depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Like {
    /// In pixels.
    size: (u32, u32),
    colors: Colors,
    /// How much wider than high a pixel is.
    pixel_aspect: f32,
}

struct Drawn {
    overlay: Overlay,
    /// What it says, if that changes.
    says: Option<String>,
}

impl Painter {
    pub(super) fn new(marks: Marks) -> Self {
        Self { marks, like: None, drawn: Vec::new(), clock: None }
    }

    /// Says when time zero of the source was, in nanoseconds of Unix time.
    pub(super) fn set_clock(&mut self, zero: i64) {
        self.clock = Some(zero);
    }

    /// Puts the marks over `frame`, which is `picture` in the size of the rung.
    ///
    /// # Errors
    ///
    /// A mark is not drawn: its file is broken.
    pub(super) fn paint(&mut self, picture: &Picture, frame: &mut Frame) -> Result<(), String> {
        if self.marks.is_empty() {
            return Ok(());
        }
        let size = frame.size();
        let like = Like {
            size,
            colors: Colors::of(picture.matrix, picture.full_range, size),
            pixel_aspect: pixel_aspect(picture, size),
        };
        if self.like != Some(like) {
            self.like = Some(like);
            self.drawn.clear();
        }
        // Without a word of the server it is now.
        let clock = *self.clock.get_or_insert_with(|| now().saturating_sub(picture.pts));
        let marks = self.marks.list().iter().map(|mark| (mark, says(mark, picture.pts, clock)));
        redraw(&mut self.drawn, marks, |mark, says| place(mark, says, &like))?;
        frame
            .each_component(|index, mut component| {
                self.drawn.iter().for_each(|drawn| drawn.overlay.blend(index, &mut component));
            })
            .map_err(|error| error.to_string())
    }
}

/// Draws what says something else than it did, or is not drawn yet.
fn redraw<M>(
    drawn: &mut Vec<Drawn>,
    marks: impl Iterator<Item = (M, Option<String>)>,
    mut draw: impl FnMut(M, Option<&str>) -> Result<Overlay, String>,
) -> Result<(), String> {
    for (index, (mark, says)) in marks.enumerate() {
        if drawn.get(index).is_some_and(|drawn| drawn.says == says) {
            continue;
        }
        let new = Drawn { overlay: draw(mark, says.as_deref())?, says };
        match drawn.get_mut(index) {
            Some(old) => *old = new,
            None => drawn.push(new),
        }
    }
    Ok(())
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The shape of a pixel after scaling: the picture keeps its own. Sizes of rungs are rounded, so that square pixels stay square.
fn pixel_aspect(picture: &Picture, size: (u32, u32)) -> f32 {
    let (num, den) = picture.pixel_aspect;
    let ratio = |a: u32, b: u32| a.max(1) as f32 / b.max(1) as f32;
    if num == den {
        1.0
    } else {
        ratio(num, den) * ratio(picture.width, picture.height) / ratio(size.0, size.1)
    }
}

/// What a mark says at a time, if that changes.
fn says(mark: &Mark, pts: i64, clock: i64) -> Option<String> {
    let Drawing::Text { content, .. } = &mark.drawing else { return None };
    match content {
        Content::Literal(_) => None,
        Content::Clock { format, offset_minutes } => {
            Some(format.of_day(clock.saturating_add(pts).div_euclid(SECOND_NANOS), *offset_minutes))
        }
        Content::Stream(format) => Some(format.since(pts.div_euclid(SECOND_NANOS))),
    }
}

/// Draws a mark for pictures like that.
fn place(mark: &Mark, says: Option<&str>, like: &Like) -> Result<Overlay, String> {
    let size = like.size;
    let short = size.0.min(size.1) as f32;
    let margin = (short * mark.margin).round().max(0.0) as i64;
    let height = (short * mark.height).round().clamp(2.0, size.1 as f32) as usize;
    let width_max = (i64::from(size.0) - 2 * margin).max(2) as usize;
    let aspect = like.pixel_aspect.clamp(0.1, 10.0);
    let pixels = match (&mark.drawing, says) {
        (Drawing::Image(file), _) => {
            let (width, bytes) =
                decode_image(&file.0).map_err(|error| format!("the image is not decoded: {error}"))?;
            let image = Pixels::from_rgba(&bytes, width);
            let wide = height as f32 * image.width as f32 / image.height.max(1) as f32 / aspect;
            let fit = (width_max as f32 / wide).min(1.0);
            let side = |length: f32| (length * fit).round().max(1.0) as usize;
            image.scaled(side(wide), side(height as f32))
        }
        (Drawing::Text { content, font, color }, says) => {
            let literal = if let Content::Literal(text) = content { text } else { "" };
            let square = (width_max as f32 * aspect) as usize;
            let text = text::draw(&font.0, says.unwrap_or(literal), height, square, *color)?;
            let wide = (text.width as f32 / aspect).round().max(1.0) as usize;
            text.scaled(wide, text.height)
        }
    };
    let at = |align: Align, side: u32, length: usize| {
        let spare = i64::from(side) - length as i64;
        match align {
            Align::Start => margin,
            Align::Middle => spare / 2,
            Align::End => spare - margin,
        }
    };
    let at = (at(mark.place.across, size.0, pixels.width), at(mark.place.down, size.1, pixels.height));
    Ok(Overlay::new(&pixels, at, mark.opacity.clamp(0.0, 1.0), &like.colors, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_on_leaves_what_lies_over_it() {
        let colors = Colors::of(1, false, (64, 64));
        let dot = || Overlay::new(&Pixels::from_rgba(&[0; 4], 1), (0, 0), 1.0, &colors, (64, 64));
        let (mut drawn, mut times) = (Vec::new(), Vec::new());
        for clock in ["12:00:00", "12:00:00", "12:00:01"] {
            let marks = [("clock", Some(clock.to_owned())), ("logo", None)].into_iter();
            let draw = |mark, _: Option<&str>| {
                times.push(mark);
                Ok(dot())
            };
            redraw(&mut drawn, marks, draw).unwrap();
        }
        assert_eq!(times, ["clock", "logo", "clock"]);
        let says: Vec<_> = drawn.iter().map(|drawn| drawn.says.as_deref()).collect();
        assert_eq!(says, [Some("12:00:01"), None]);
    }
}
