//! Faces, found by BlazeFace: a small network for those that fill at least a tenth of what is looked at.

mod net;

use crate::{Area, Picture};
use net::{BOX, GRIDS, Net, SIDE};

/// A face for sure: at this score none was found in animation, games and desktops, and none missed that looks at the camera.
pub const SCORE_SURE: f32 = 0.7;
/// Two boxes that share so much are one face.
const SAME: f32 = 0.3;
/// Faces of one picture. More are a crowd.
const FACES_MAX: usize = 32;
/// Samples that are averaged for a pixel of what the network looks at, along each side.
const AVERAGED_MAX: usize = 4;

/// A face, in pixels of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// From the forehead to the chin, and from cheek to cheek.
    pub area: Area,
    /// How sure it is, from 0 to 1.
    pub score: f32,
    /// The middles of its right and left eye, nose, mouth, right and left ear.
    pub points: [(f32, f32); 6],
}

/// A square of a picture, which may reach beyond it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Square {
    x: f32,
    y: f32,
    side: f32,
}

/// Finds faces. It is made once, and then looks at one picture after the other.
#[derive(Debug, Clone)]
pub struct Detector {
    net: Net,
    pixels: Vec<f32>,
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector {
    /// Unpacks the network, which takes a millisecond.
    pub fn new() -> Self {
        Self { net: Net::new(), pixels: Vec::new() }
    }

    /// The faces of a picture with at least `score_min`, from 0 to 1, the surest first. Those that fill less than about a
    /// tenth of the long side are not found.
    pub fn faces(&mut self, picture: &Picture<'_>, score_min: f32) -> Vec<Face> {
        let (width, height) = (picture.luma().width() as f32, picture.luma().height() as f32);
        let side = width.max(height);
        self.look(picture, Square { x: (width - side) / 2.0, y: (height - side) / 2.0, side }, score_min)
    }

    fn look(&mut self, picture: &Picture<'_>, square: Square, score_min: f32) -> Vec<Face> {
        sample(picture, square, &mut self.pixels);
        let found = self.net.look(&self.pixels);
        let places = GRIDS.iter().flat_map(|(side, each)| {
            (0..side * side * each).map(move |index| {
                let (place, side) = (index / each, *side);
                let middle = |at: usize| (at as f32 + 0.5) / side as f32;
                (middle(place % side), middle(place / side))
            })
        });
        let mut faces: Vec<_> = places
            .zip(found.scores.iter().zip(found.boxes.chunks_exact(BOX)))
            .map(|(place, (score, numbers))| (place, 1.0 / (1.0 + (-score).exp()), numbers))
            .filter(|(_, score, _)| *score >= score_min)
            .filter_map(|(place, score, numbers)| face(square, place, score, numbers))
            .collect();
        faces.sort_by(|a, b| b.score.total_cmp(&a.score));
        merged(faces)
    }
}

fn face(square: Square, (x, y): (f32, f32), score: f32, numbers: &[f32]) -> Option<Face> {
    let length = |number: f32| number / SIDE as f32 * square.side;
    let point = |across: f32, down: f32| {
        (square.x + x * square.side + length(across), square.y + y * square.side + length(down))
    };
    let (middle, width, height) = (point(numbers[0], numbers[1]), length(numbers[2]), length(numbers[3]));
    let area = Area { x: middle.0 - width / 2.0, y: middle.1 - height / 2.0, width, height };
    let is_one =
        area.pixels() > 0.0 && [area.x, area.y, area.width, area.height].iter().all(|n| n.is_finite());
    let points = std::array::from_fn(|index| point(numbers[4 + 2 * index], numbers[5 + 2 * index]));
    is_one.then_some(Face { area, score, points })
}

/// Boxes of the same face as one: their mean, by their scores. `faces` has the surest first.
fn merged(mut faces: Vec<Face>) -> Vec<Face> {
    let mut kept = Vec::new();
    while !faces.is_empty() && kept.len() < FACES_MAX {
        let best = faces[0];
        let (same, others): (Vec<_>, Vec<_>) =
            faces.into_iter().partition(|face| *face == best || face.area.overlap(&best.area) > SAME);
        let all: f32 = same.iter().map(|face| face.score).sum();
        let mean =
            |of: &dyn Fn(&Face) -> f32| same.iter().map(|face| of(face) * face.score).sum::<f32>() / all;
        let area = Area {
            x: mean(&|face| face.area.x),
            y: mean(&|face| face.area.y),
            width: mean(&|face| face.area.width),
            height: mean(&|face| face.area.height),
        };
        let points = std::array::from_fn(|index| {
            (mean(&|face| face.points[index].0), mean(&|face| face.points[index].1))
        });
        kept.push(Face { area, score: best.score, points });
        faces = others;
    }
    kept
}

/// A square of a picture as the network wants it, black beyond the borders.
fn sample(picture: &Picture<'_>, square: Square, pixels: &mut Vec<f32>) {
    pixels.clear();
    pixels.reserve(SIDE * SIDE * 3);
    let luma = picture.luma();
    let step = square.side / SIDE as f32;
    let averaged = (step.ceil() as usize).clamp(1, AVERAGED_MAX);
    // Where to look along one side: for each pixel, `averaged` places, or none beyond the border.
    let places = |start: f32, length: usize| -> Vec<[usize; AVERAGED_MAX]> {
        let within = |at: f32| if at >= 0.0 && at < length as f32 { at as usize } else { usize::MAX };
        (0..SIDE)
            .map(|pixel| {
                std::array::from_fn(|index| {
                    let index = index.min(averaged - 1);
                    within(start + step * (pixel as f32 + (index as f32 + 0.5) / averaged as f32))
                })
            })
            .collect()
    };
    let (columns, rows) = (places(square.x, luma.width()), places(square.y, luma.height()));
    for rows in &rows {
        for columns in &columns {
            let (mut sum, mut count, mut at) = (0u32, 0u32, None);
            for y in rows[..averaged].iter().filter(|y| **y != usize::MAX) {
                let row = luma.row(*y);
                for x in columns[..averaged].iter().filter(|x| **x != usize::MAX) {
                    sum += u32::from(row[*x]);
                    count += 1;
                    at = Some((*x, *y));
                }
            }
            let colour = match at {
                Some((x, y)) => picture.colour(sum as f32 / count as f32, x, y),
                None => [0.0; 3],
            };
            pixels.extend(colour.map(|part| part.clamp(0.0, 1.0) * 2.0 - 1.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// See `tests/README.md`.
    const ASTRONAUT: &[u8; 38_400] = include_bytes!("../../tests/astronaut-160x160.i420");
    const PHOTO: usize = 160;

    /// The photograph, put at a place of a gray picture.
    fn placed(size: (usize, usize), at: (usize, usize), margin: usize) -> ([Vec<u8>; 3], [usize; 3]) {
        let strides = [size.0 + margin, size.0.div_ceil(2) + margin, size.0.div_ceil(2) + margin];
        let mut from = &ASTRONAUT[..];
        let planes = std::array::from_fn(|plane| {
            let half = if plane == 0 { 1 } else { 2 };
            let mut samples = vec![128; strides[plane] * size.1.div_ceil(half)];
            let (photo, rest) = from.split_at((PHOTO / half).pow(2));
            from = rest;
            for (y, row) in photo.chunks(PHOTO / half).enumerate() {
                let start = (at.1 / half + y) * strides[plane] + at.0 / half;
                samples[start..start + row.len()].copy_from_slice(row);
            }
            samples
        });
        (planes, strides)
    }

    fn faces_of(size: (usize, usize), at: (usize, usize)) -> Vec<Face> {
        let (planes, strides) = placed(size, at, 6);
        let picture = Picture::new(planes.each_ref().map(Vec::as_slice), strides, size).unwrap();
        Detector::new().faces(&picture, SCORE_SURE)
    }

    #[test]
    fn a_face_is_found_where_it_is() {
        for (size, at) in [((160, 160), (0, 0)), ((320, 180), (160, 10)), ((200, 300), (30, 130))] {
            let faces = faces_of(size, at);
            let [face] = &faces[..] else { panic!("{size:?} {at:?}: {faces:?}") };
            // Read off the photograph.
            let area = Area { x: 57.0 + at.0 as f32, y: 36.0 + at.1 as f32, width: 46.0, height: 46.0 };
            assert!(face.area.overlap(&area) > 0.55, "{size:?} {at:?}: {face:?}");
            let [right_eye, left_eye, nose, mouth, ..] = face.points;
            assert!(right_eye.0 < nose.0 && nose.0 < left_eye.0 && right_eye.1 < nose.1 && nose.1 < mouth.1);
        }
    }

    #[test]
    fn each_of_several_faces_is_found_once() {
        let (planes, strides) = placed((320, 200), (0, 20), 0);
        let (other, _) = placed((320, 200), (160, 30), 0);
        let both = [0, 1, 2].map(|plane| {
            let pairs = planes[plane].iter().zip(&other[plane]);
            pairs.map(|(a, b)| if *b == 128 { *a } else { *b }).collect::<Vec<_>>()
        });
        let picture = Picture::new(both.each_ref().map(Vec::as_slice), strides, (320, 200)).unwrap();
        let faces = Detector::new().faces(&picture, SCORE_SURE);
        assert_eq!(faces.len(), 2, "{faces:?}");
    }

    #[test]
    fn patterns_have_no_faces() {
        let patterns: [fn(usize, usize) -> u8; 3] = [
            |x, y| ((x / 16 + y / 16) % 2 * 200) as u8,
            |x, y| (x.wrapping_mul(y + 3).wrapping_mul(2_654_435_761) >> 13) as u8,
            |x, y| (x / 3 + y / 5) as u8,
        ];
        for (index, pattern) in patterns.into_iter().enumerate() {
            let luma: Vec<u8> = (0..180 * 320).map(|at| pattern(at % 320, at / 320)).collect();
            let chroma = vec![128; 90 * 160];
            let picture = Picture::new([&luma, &chroma, &chroma], [320, 160, 160], (320, 180)).unwrap();
            assert_eq!(Detector::new().faces(&picture, SCORE_SURE), [], "{index}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn no_picture_makes_it_panic(width in 1usize..200, height in 1usize..200, seed in 0usize..1000, score_min in 0f32..1.0) {
            let luma: Vec<u8> = (0..width * height).map(|at| ((at * seed) >> 3) as u8).collect();
            let half = (width.div_ceil(2), height.div_ceil(2));
            let chroma = vec![seed as u8; half.0 * half.1];
            let picture = Picture::new([&luma, &chroma, &chroma], [width, half.0, half.0], (width, height)).unwrap();
            let faces = Detector::new().faces(&picture, score_min);
            prop_assert!(faces.len() <= FACES_MAX);
            prop_assert!(faces.iter().all(|face| face.score >= score_min && face.area.pixels() > 0.0));
        }
    }
}
