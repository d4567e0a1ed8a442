//! What flows through Rushlight: packets of coded media, the tracks they belong to, and the names of streams.
//!
//! Nothing here knows a network protocol. [`container`] turns packets into bytes and back; [`codec`] reads the few
//! header fields that delivery needs (keyframe, size, sample rate) and never decodes a picture or a sound.

pub mod codec;
pub mod container;
#[doc(hidden)]
pub mod fuzz;
mod name;
mod packet;
mod time;

pub use codec::Codec;
pub use name::{NameError, StreamName};
pub use packet::{Flags, Kind, Packet, Role, TrackId};
pub use time::Time;

/// Bytes that do not follow their format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "malformed media: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

impl From<wire::Truncated> for Malformed {
    fn from(_: wire::Truncated) -> Self {
        Malformed("truncated")
    }
}
