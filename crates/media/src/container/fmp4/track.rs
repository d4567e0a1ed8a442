//! The tracks of a file.

use super::entry;
use crate::codec::{self, Summary};
use crate::container::Error;
use crate::{Codec, Kind, Malformed, TrackId};
use bytes::Bytes;

/// The timescale of video: every usual frame rate and every millisecond is a whole number of its ticks.
const VIDEO_TIMESCALE: u32 = 90_000;

/// One track of a file that is written: what it is called, and what its samples are.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    pub(super) number: u32,
    pub(super) id: TrackId,
    pub(super) codec: Codec,
    pub(super) timescale: u32,
    pub(super) summary: Summary,
    /// The sample entry: a box.
    pub(super) entry: Bytes,
}

impl Track {
    /// Describes a track.
    ///
    /// `number` is its id in the file, from 1. `config` is the payload of its [`Role::Config`](crate::Role::Config) packet, empty
    /// where there is none; `frame` is its first frame, from which is taken what a configuration does not say: all of MP3,
    /// AC-3 and E-AC-3, and the size of VP8, VP9 and AV1. It may be empty for the others.
    ///
    /// # Errors
    ///
    /// A configuration or frame that makes no sense, a codec that MP4 has no form for, or `number` 0.
    pub fn new(number: u32, id: TrackId, codec: Codec, config: &[u8], frame: &[u8]) -> Result<Self, Error> {
        if number == 0 {
            return Err(Error::Misuse("track number 0"));
        }
        let summary = describe(codec, config, frame)?;
        let entry = entry::write(codec, config, frame, &summary)?;
        let timescale = match (id.kind, summary.sample_rate) {
            (Kind::Audio, Some(rate)) if rate > 0 => rate,
            _ => VIDEO_TIMESCALE,
        };
        Ok(Self { number, id, codec, timescale, summary, entry })
    }

    /// Says that H.264 and H.265 frames may hold parameter sets (`avc3`, `hev1`; ISO/IEC 14496-15 section 5.4.2.1). Players of
    /// Apple want them in the configuration alone, as it is without this.
    pub fn with_parameter_sets_in_band(mut self) -> Self {
        let names = match self.codec {
            Codec::H264 => Some(("avc1", "avc3")),
            Codec::H265 => Some(("hvc1", "hev1")),
            _ => None,
        };
        if let Some((out_of_band, in_band)) = names {
            let mut bytes = self.entry.to_vec();
            bytes[4..8].copy_from_slice(in_band.as_bytes());
            self.entry = bytes.into();
            self.summary.mime = self.summary.mime.replace(out_of_band, in_band);
        }
        self
    }

    /// Takes another timescale than 90 000 for video and the sample rate for audio: ticks in a second.
    ///
    /// # Errors
    ///
    /// A timescale of 0.
    pub fn with_timescale(mut self, timescale: u32) -> Result<Self, Error> {
        if timescale == 0 {
            return Err(Error::Misuse("a timescale of 0"));
        }
        self.timescale = timescale;
        Ok(self)
    }

    /// The number of the track in the file.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What the track is to the stream.
    pub fn id(&self) -> TrackId {
        self.id
    }

    /// The codec of its samples.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Ticks in a second.
    pub fn timescale(&self) -> u32 {
        self.timescale
    }

    /// What playlists say of the track: codec string (RFC 6381) as it is in MP4, size, frame rate, sample rate, channels.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

/// What configuration and first frame say together.
fn describe(codec: Codec, config: &[u8], frame: &[u8]) -> Result<Summary, Error> {
    let of_frame = codec::summary_of_frame(codec, frame);
    let mut summary = match codec::summary(codec, config) {
        Some(summary) => summary,
        None if config.is_empty() => of_frame.clone().ok_or(Malformed("a track without configuration"))?,
        None => return Err(Malformed("a codec configuration that makes no sense").into()),
    };
    if let Some(of_frame) = of_frame {
        summary.width = summary.width.or(of_frame.width);
        summary.height = summary.height.or(of_frame.height);
    }
    match codec {
        // The case of the sample entries, which is what the specifications of these name.
        Codec::Flac => summary.mime = "fLaC".into(),
        Codec::Mp3 => {
            let header = codec::mp3::read_header(frame).ok_or(Malformed("no MPEG audio frame"))?;
            summary.mime = format!("mp4a.{:X}", entry::mp3_object(&header));
        }
        // Without an OpusHead, the packet says whether it is stereo (RFC 6716 section 3.1).
        Codec::Opus if summary.channels.is_none() => {
            const STEREO: u8 = 4;
            let stereo = frame.first().is_none_or(|toc| toc & STEREO != 0);
            summary.channels = Some(if stereo { 2 } else { 1 });
        }
        Codec::Vp8 if config.is_empty() => summary.mime = "vp08.00.10.08".into(),
        _ => {}
    }
    let is_sized = summary.width.is_some() && summary.height.is_some();
    let is_picture =
        matches!(codec, Codec::H264 | Codec::H265 | Codec::H266 | Codec::Av1 | Codec::Vp8 | Codec::Vp9);
    if is_picture && !is_sized {
        return Err(Error::Unsupported("pictures of an unknown size"));
    }
    Ok(summary)
}

/// The bytes of a frame as a sample: those of `payload`, without the temporal delimiter that AV1 samples should not have
/// (AV1 in ISOBMFF section 2.4).
pub fn sample(codec: Codec, payload: &Bytes) -> Bytes {
    const TEMPORAL_DELIMITER: &[u8] = &[0x12, 0];
    if codec == Codec::Av1 && payload.starts_with(TEMPORAL_DELIMITER) {
        payload.slice(TEMPORAL_DELIMITER.len()..)
    } else {
        payload.clone()
    }
}
