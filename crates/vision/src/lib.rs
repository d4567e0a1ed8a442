//! Finds faces and text in pictures. Pure: samples in, boxes out.
//!
//! ```
//! let samples = vec![16; 64 * 64 * 3 / 2];
//! let picture = vision::Picture::new([&samples[..4096], &samples[4096..5120], &samples[5120..]], [64, 32, 32], (64, 64));
//! let mut detector = vision::face::Detector::new();
//! let faces = detector.faces(&picture.unwrap(), vision::face::SCORE_SURE);
//! assert!(faces.is_empty());
//! ```

mod area;
pub mod face;
mod picture;
pub mod text;

pub use area::Area;
pub use picture::{Picture, Plane};
