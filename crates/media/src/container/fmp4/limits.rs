//! Largest sizes accepted, and why.

/// Bytes of media in one fragment. Offsets within it have 31 bits (`trun`, section 8.8.8); a fragment of live media has some
/// megabytes.
pub const FRAGMENT_BYTES_MAX: u64 = 1 << 30;

/// Bytes of one sample. That of a frame in the other containers ([`flv`](crate::container::flv::limits)), with room for an
/// intra frame of an editing codec.
pub const SAMPLE_BYTES_MAX: u32 = 64 << 20;

/// Tracks in one file: what [`TrackId`](crate::TrackId) can number, of sound and of pictures.
pub const TRACKS_MAX: usize = 512;

/// Bytes of a box that describes media (`moov`, `moof`) and is held in memory while it is read. Ten hours of video with
/// audio need about 20 MB of tables.
pub const HEADER_BYTES_MAX: u64 = 256 << 20;

/// Samples of one file, all tracks together: a day of 60 fps video with audio has 9 million. Each costs 32 bytes.
pub const SAMPLES_MAX: usize = 16 << 20;
