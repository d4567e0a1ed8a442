//! The most of what slates use, and how they are made.

use std::time::Duration;

/// Pictures per second. They are all the same; parts of HLS of a third of a second hold three.
pub(super) const FPS: u32 = 10;

/// Frames from one keyframe to the next: who joins waits for a second at most.
pub(super) const FRAMES: u32 = 10;

/// Sizes that are remembered. Each has a keyframe and little more, about a hundred kilobytes.
pub(super) const SIZES_MAX: usize = 16;

/// The longest side of a slate, and its most pixels: 3840x2160, in whatever shape.
pub(super) const SIDE_MAX: u32 = 4096;
pub(super) const PIXELS_MAX: u64 = 3840 * 2160;

/// The size where that of the stream is not known.
pub(super) const SIZE_UNKNOWN: (u32, u32) = (1280, 720);

/// How far a slate may be behind the clock before it leaves out what is missing: the machine was asleep, and nobody watched that.
pub(super) const LATE_MAX: Duration = Duration::from_secs(2);
