//! What stands in for a stream whose publisher is away: a picture that is encoded once, and shown again and again.

use crate::mark::Marks;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What a slate is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// In pixels, even.
    pub width: u32,
    /// In pixels, even.
    pub height: u32,
    /// Pictures per second, 1 or more.
    pub fps: u32,
    /// How many of them, 1 to [`SLATE_FRAMES_MAX`](crate::limits::SLATE_FRAMES_MAX); the first one is the keyframe.
    pub frames: u32,
    /// What is to be seen over a dark gray.
    pub marks: Marks,
}

/// A slate as H.264: a keyframe, and what follows it, which may be followed by the keyframe again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slate {
    /// The configuration record (`avcC`).
    pub record: Bytes,
    /// As in packets, in the order in which they are decoded and shown. The first one is the keyframe.
    pub frames: Vec<Bytes>,
}
