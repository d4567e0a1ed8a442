//! The chunk stream (`RTMP` section 5.3): messages of several streams, cut into chunks and interleaved.
//!
//! ```text
//! basic header   1-3 bytes   2 bits fmt, 6 bits csid:  2..63 itself | 0: csid - 64 in one more byte
//!                                                      | 1: csid - 64 in two more bytes, little-endian
//! message header fmt 0: 11   timestamp(3) length(3) type(1) message stream id(4, little-endian)
//!                fmt 1:  7   delta(3)     length(3) type(1)
//!                fmt 2:  3   delta(3)
//!                fmt 3:  0
//! extended       0 | 4       if the timestamp or delta above is ffffff; repeated by every fmt 3 chunk after it
//! payload                    what is left of the message, at most one chunk size
//! ```

mod decoder;
mod encoder;

pub use decoder::Decoder;
pub use encoder::write_message;

/// The chunk size both directions start with (`RTMP` section 5.4.1).
pub const CHUNK_SIZE_INITIAL: u32 = 128;

/// The largest chunk size (`RTMP` section 5.4.1); the top bit must be zero.
pub const CHUNK_SIZE_MAX: u32 = 0x7fff_ffff;

/// The value of a 24-bit timestamp field that says: the real one follows in 32 bits.
const EXTENDED: u32 = 0xff_ffff;

#[cfg(test)]
mod tests;
