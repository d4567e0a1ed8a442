//! MP4 (ISO/IEC 14496-12): fragments as they are streamed (CMAF, ISO/IEC 23000-19) and recorded, and finished files.
//!
//! ```text
//! init segment    ftyp moov(mvhd trak... mvex(trex...))
//! media segment   [styp] [sidx] ([prft] [emsg...] moof(mfhd traf(tfhd tfdt trun)...) mdat)...
//! recording       init segment, fragments, [mfra(tfra... mfro)]
//! finished file   ftyp moov(mvhd trak(tkhd [edts] mdia(... stbl))...) mdat
//! box             size:u32 kind:u8[4] [size:u64 where size is 1] body
//! ```
//!
//! A [`Track`] is made of a stream's configuration; [`write_init`] and [`write_fragment`] make the bytes around media, and
//! the payloads of the packets are written behind them as they are, shared with everybody else who sends them.
//! [`write_progressive`] lays out a finished file from a list of [`Sample`]s.
//!
//! Reading is [`Indexer`]: it asks for the bytes that it needs and gives a [`Movie`], lists of samples with their places. So a
//! file on a disk, in memory or behind HTTP is read alike, and media only when it is played.
//!
//! ```
//! # use bytes::{Bytes, BytesMut};
//! # use media::{Codec, Packet, Time, TrackId, container::{Error, fmp4::{self, Run, Track}}};
//! /// The first bytes of a stream of AAC, and then those of some of its frames, in pieces to be written one after the other.
//! fn stream(config: &[u8], frames: &[Packet], end: Time) -> Result<Vec<Bytes>, Error> {
//!     let track = Track::new(1, TrackId::AUDIO, Codec::Aac, config, b"")?;
//!     let mut head = BytesMut::new();
//!     fmp4::write_init(std::slice::from_ref(&track), &mut head)?;
//!     let runs = [Run { track: &track, frames, end }];
//!     fmp4::write_fragment(1, &runs, &mut head)?;
//!     Ok([head.freeze()].into_iter().chain(fmp4::payloads(&runs)).collect())
//! }
//! # assert!(stream(b"", &[], Time::ZERO).is_err());
//! ```
//!
//! # What does not survive
//!
//! - Times are ticks of the track's timescale, rounded to the nearest.
//! - Of H.264 and H.265 there is one configuration per file: a stream that changes it needs a new init segment.
//! - Only fragments keep [`Flags::disposable`](crate::Flags::disposable) where the payload does not say so itself.
//! - Data tracks, channel layouts and HDR metadata outside of the codec's own bytes are not written.

mod boxes;
mod entry;
mod fragment;
mod index;
pub mod limits;
mod moov;
mod progressive;
mod read;
#[cfg(test)]
mod tests;
mod track;

pub use fragment::{
    Event, Run, SampleRun, payloads, write_empty_fragment, write_event, write_fragment, write_producer_time,
    write_sample_fragment, write_segment_type,
};
pub use index::{Entrance, Piece, write_random_access, write_segment_index};
pub use moov::write_init;
pub use progressive::{Chunk, Layout, Sample, write_excerpt, write_progressive};
pub use read::{Indexer, Movie, MovieTrack};
pub use track::{Track, sample};
