//! What people look at in the pictures of a source: faces and small text. Found a few times in a second, and held until then.
//!
//! It is found once for all rungs, by the decoder, in its pictures as they came: an encoder gives those parts a finer quantiser.

use crate::av::View;
use crate::limits::REGIONS_MAX;
use crate::picture::{Picture, Region};
use std::time::Duration;
use vision::face::{Detector, Face, SCORE_SURE};
use vision::{Area, text};

/// From one look to the next while there is something, and while there is nothing.
const EVERY: Duration = Duration::from_millis(300);
const EVERY_IDLE: Duration = Duration::from_millis(600);

/// What is text for the greater part, such as a desktop, is sharp all over or nowhere.
const TEXT_PART_MAX: f32 = 0.2;

/// Looks a few times in a second.
#[derive(Default)]
pub(super) struct Finder {
    detector: Detector,
    samples: Vec<u8>,
    faces: Tracker,
    text: text::Detector,
    size: (u32, u32),
    looked: Option<i64>,
    /// Nothing was told yet: whoever is told may still have what was found before.
    told: Option<Vec<Region>>,
}

impl Finder {
    /// Looks at the next picture, if it is time to. What people look at in it and in those that follow, if that is something else than before.
    pub(super) fn look(&mut self, picture: &Picture, view: &View) -> Option<Vec<Region>> {
        let size = (picture.width, picture.height);
        let is_idle = self.told.as_ref().is_none_or(Vec::is_empty);
        let every = if is_idle { EVERY_IDLE } else { EVERY };
        let since =
            |looked: i64| Duration::from_nanos(picture.pts.saturating_sub(looked).max(0).cast_unsigned());
        if self.size == size && self.looked.is_some_and(|looked| since(looked) < every) {
            return None;
        }
        if self.size != size {
            (self.size, self.faces) = (size, Tracker::default());
        }
        self.looked = Some(picture.pts);
        view.copy(&mut self.samples);
        let layout = view.layout();
        let [luma, blue, red] = layout.offsets().map(|start| self.samples.get(start..).unwrap_or_default());
        let size = (picture.width as usize, picture.height as usize);
        let shown = vision::Picture::new([luma, blue, red], layout.strides, size)?;
        self.faces.take(&self.detector.faces(&shown, SCORE_LIKELY));
        let text = self.text.areas(shown.luma());
        let part = text.iter().map(Area::pixels).sum::<f32>() / (size.0 * size.1) as f32;
        let text = text.into_iter().filter(|_| part <= TEXT_PART_MAX);
        let all = self.faces.areas().chain(text).filter_map(|area| region(area, self.size));
        let regions: Vec<_> = all.take(REGIONS_MAX).collect();
        (self.told.as_ref() != Some(&regions)).then(|| self.told.insert(regions).clone())
    }
}

/// A box in whole pixels, as far as it is in the picture.
fn region(area: Area, (width, height): (u32, u32)) -> Option<Region> {
    let whole = Area { x: 0.0, y: 0.0, width: width as f32, height: height as f32 };
    let within = area.shared(&whole);
    let number = |length: f32| length.round().clamp(0.0, f32::from(u16::MAX)) as u16;
    (within.width >= 1.0 && within.height >= 1.0).then(|| Region {
        x: number(within.x),
        y: number(within.y),
        width: number(within.width),
        height: number(within.height),
    })
}

/// What was sure to be a face once stays one with this score.
const SCORE_LIKELY: f32 = 0.5;
/// Boxes of two looks that share so much are of the same face, which may have moved.
const SAME: f32 = 0.15;
/// If they share so much it stands still, and so does its region.
const STILL: f32 = 0.8;
/// Looks in which a face may be missed, such as one that turns away.
const MISSED_MAX: u8 = 2;
/// Of a face that moved, the new box counts so much.
const NEW: f32 = 0.7;

/// Faces over time.
#[derive(Debug, Default)]
struct Tracker(Vec<Track>);

#[derive(Debug)]
struct Track {
    area: Area,
    /// It was there in two looks.
    is_face: bool,
    missed: u8,
}

impl Tracker {
    /// What was found in the next look.
    fn take(&mut self, faces: &[Face]) {
        for track in &mut self.0 {
            track.missed = track.missed.saturating_add(1);
        }
        let has_room = self.0.len() < 2 * REGIONS_MAX;
        let mut new = Vec::new();
        for face in faces.iter().take(REGIONS_MAX) {
            let overlap = |track: &Track| track.area.overlap(&face.area);
            let known = self.0.iter_mut().filter(|track| track.missed > 0 && overlap(track) > SAME);
            match known.max_by(|a, b| overlap(a).total_cmp(&overlap(b))) {
                Some(track) => {
                    if overlap(track) < STILL {
                        track.area = between(&track.area, &face.area, NEW);
                    }
                    (track.is_face, track.missed) = (true, 0);
                }
                None if has_room && face.score >= SCORE_SURE => {
                    new.push(Track { area: face.area, is_face: false, missed: 0 });
                }
                None => {}
            }
        }
        self.0.extend(new);
        self.0.retain(|track| track.missed == 0 || (track.is_face && track.missed <= MISSED_MAX));
    }

    /// Those that are faces.
    fn areas(&self) -> impl Iterator<Item = Area> {
        self.0.iter().filter(|track| track.is_face).map(|track| track.area)
    }
}

fn between(from: &Area, to: &Area, part: f32) -> Area {
    let mean = |from: f32, to: f32| from + (to - from) * part;
    Area {
        x: mean(from.x, to.x),
        y: mean(from.y, to.y),
        width: mean(from.width, to.width),
        height: mean(from.height, to.height),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, score: f32) -> Face {
        Face { area: Area { x, y: 100.0, width: 100.0, height: 100.0 }, score, points: [(0.0, 0.0); 6] }
    }

    fn places(tracker: &Tracker) -> Vec<f32> {
        tracker.areas().map(|area| area.x + area.width / 2.0).collect()
    }

    #[test]
    fn what_looks_like_a_face_for_a_moment_is_none() {
        let mut tracker = Tracker::default();
        for faces in [&[face(100.0, 0.9)][..], &[], &[face(500.0, 0.9)], &[]] {
            tracker.take(faces);
            assert_eq!(places(&tracker), []);
        }
    }

    #[test]
    fn a_face_is_one_from_the_second_look_on_until_it_was_missed_in_three() {
        let mut tracker = Tracker::default();
        tracker.take(&[face(100.0, 0.9)]);
        tracker.take(&[face(102.0, 0.9)]);
        for _ in 0..3 {
            assert_eq!(places(&tracker).len(), 1);
            tracker.take(&[]);
        }
        assert_eq!(places(&tracker), []);
    }

    #[test]
    fn a_region_stays_while_its_face_stands_still_and_follows_it_when_it_moves() {
        let mut tracker = Tracker::default();
        for x in [100.0, 103.0, 99.0, 101.0] {
            tracker.take(&[face(x, 0.9)]);
        }
        assert_eq!(places(&tracker), [150.0]);
        tracker.take(&[face(150.0, 0.9)]);
        let moved = places(&tracker);
        assert!((180.0..=200.0).contains(&moved[0]), "{moved:?}");
    }

    #[test]
    fn two_faces_beside_each_other_stay_two_and_many_are_bounded() {
        let mut tracker = Tracker::default();
        for _ in 0..3 {
            tracker.take(&[face(100.0, 0.9), face(210.0, 0.8)]);
        }
        assert_eq!(places(&tracker), [150.0, 260.0]);
        let crowd: Vec<_> = (0..60).map(|index| face(110.0 * index as f32, 0.9)).collect();
        for _ in 0..10 {
            tracker.take(&crowd);
        }
        assert!(tracker.0.len() <= 3 * REGIONS_MAX);
    }

    #[test]
    fn regions_end_where_the_picture_does() {
        let area = Area { x: -20.0, y: 650.0, width: 50.0, height: 100.0 };
        let found = region(area, (1280, 720)).unwrap();
        assert_eq!((found.x, found.y, found.width, found.height), (0, 650, 30, 70));
        assert_eq!(region(Area { x: 1300.0, ..area }, (1280, 720)), None);
    }
}
