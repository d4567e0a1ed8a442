//! Marks that encoders put over pictures: an image, a text, or a clock.
//!
//! Sizes and places are parts of the picture, so that a mark looks the same on every rung. A mark travels to its encoder with the
//! bytes of its files: a worker has none of its own, and decodes them where what is wrong with them cannot get far.

mod file;
mod time;

pub use file::{ImageKind, check_font, check_image, check_picture};
pub use time::TimeFormat;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// What is put over a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// What there is to see.
    pub drawing: Drawing,
    /// Where it is.
    pub place: Place,
    /// How far it is from the borders that it is at, as a part of the short side of the picture.
    pub margin: f32,
    /// How high it is, as a part of the short side of the picture. What is too wide for the picture then is made smaller.
    pub height: f32,
    /// From 0, which is nothing, to 1, which hides what is behind it where it is opaque itself.
    pub opacity: f32,
}

/// What a mark shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Drawing {
    /// A PNG, JPEG or WebP file. What is transparent in it stays so.
    Image(File),
    /// A line of text.
    Text {
        /// What it says.
        content: Content,
        /// A TrueType or OpenType font.
        font: File,
        /// Red, green and blue.
        color: [u8; 3],
    },
}

/// What a text says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Content {
    /// Always the same.
    Literal(String),
    /// What time it was when the picture came.
    Clock {
        /// How it is written.
        format: TimeFormat,
        /// East of Greenwich, in minutes.
        offset_minutes: i32,
    },
    /// The time on the clock of the stream, which begins with it.
    Stream(TimeFormat),
}

/// A border or a corner of the picture, or its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// From left to right.
    pub across: Align,
    /// From top to bottom.
    pub down: Align,
}

/// Where something is along one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Align {
    /// Left, or at the top.
    Start,
    /// In the middle.
    Middle,
    /// Right, or at the bottom.
    End,
}

/// The bytes of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct File(pub Bytes);

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({} bytes)", self.0.len())
    }
}

impl Serialize for File {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_bytes::ByteBuf::deserialize(deserializer).map(|bytes| Self(bytes.into_vec().into()))
    }
}

/// The marks of a rung, the lowest first. They are shared, and cheap to compare with themselves.
#[derive(Debug, Clone, Default)]
pub struct Marks(Arc<[Mark]>);

impl Marks {
    /// The marks of `list`.
    pub fn new(list: Vec<Mark>) -> Self {
        Self(list.into())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, the lowest first.
    pub fn list(&self) -> &[Mark] {
        &self.0
    }
}

impl PartialEq for Marks {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Serialize for Marks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Marks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::new)
    }
}
