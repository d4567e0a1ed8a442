//! Largest sizes accepted, and why.

/// Bytes in the body of one FLV tag. The format allows 16 MiB; an intra frame of an 8K picture at 200 Mbit/s stays
/// under half of this, and a reader must hold a whole tag before it can pass it on.
pub const TAG_BODY_BYTES_MAX: usize = 8 << 20;

/// Bytes in the header of an FLV file. Every known writer uses 9; the field allows 4 GiB.
pub const FILE_HEADER_BYTES_MAX: usize = 1024;

/// Tracks in one multitrack message. Track ids have 8 bits, so more would name a track twice.
pub const TRACKS_PER_MESSAGE_MAX: usize = 256;

/// ModEx headers before the packet. The specification defines one kind, so this leaves room for kinds to come
/// while a message made only of ModEx headers is refused early.
pub const MOD_EX_PER_MESSAGE_MAX: usize = 16;
