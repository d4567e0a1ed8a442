//! Largest sizes accepted, and why.

/// Tracks in one stream: what stream ids can number of each kind (ISO/IEC 13818-1 table 2-22) and a table of one section can
/// hold with ease.
pub const TRACKS_MAX: usize = 16;

/// Bytes of one access unit while it is put together, those of an FLV tag ([`flv`](crate::container::flv::limits)): a stream
/// goes from the one into the other.
pub const ACCESS_UNIT_BYTES_MAX: usize = 8 << 20;

/// Bytes of one table section (section 2.4.4.1: 1021 behind the length for PAT and PMT).
pub const SECTION_BYTES_MAX: usize = 1024;

/// Bytes of sound that wait for the rest of a frame. The largest frame of any of the codecs has 16 KiB.
pub const SOUND_BYTES_MAX: usize = 256 << 10;
