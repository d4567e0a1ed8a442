//! What a codec configuration says, for status pages and for players that must be told before they start.

use super::{Codec, Color, aac, ac3, av1, flac, h264, h265, h266, mp3, opus, vpx};

/// The properties of a track.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// The codec as the `codecs` parameter of a media type (RFC 6381): `avc1.64001f`, `mp4a.40.2`, `opus`.
    pub mime: String,
    /// The codec's own number for its profile, for AAC the audio object type; 0 where it has none.
    pub profile: u8,
    /// The codec's own number for its level; 0 where it has none.
    pub level: u8,
    /// In pixels, after cropping.
    pub width: Option<u32>,
    /// In pixels, after cropping.
    pub height: Option<u32>,
    /// Width and height of one pixel as shown; `None` where nothing is said, which means square.
    pub pixel_aspect: Option<(u32, u32)>,
    /// Colours, where the stream tells.
    pub color: Option<Color>,
    /// Pictures per second that the stream promises.
    pub fps: Option<f64>,
    /// In Hz, as played: with spectral band replication, the doubled rate.
    pub sample_rate: Option<u32>,
    /// How many channels are played.
    pub channels: Option<u8>,
}

/// Reads the payload of a [`Role::Config`](crate::Role::Config) packet (or `ConfigTs`). `None` where it makes no sense or
/// `codec` has no configuration.
pub fn summary(codec: Codec, config: &[u8]) -> Option<Summary> {
    match codec {
        Codec::H264 => h264::read_config(config).ok().map(|config| config.summary()),
        Codec::H265 => h265::read_config(config).ok().map(|config| config.summary()),
        Codec::H266 => h266::read_config(config).ok().map(|config| config.summary()),
        Codec::Av1 => av1::read_config(config).ok().map(|config| config.summary()),
        Codec::Vp8 | Codec::Vp9 => vpx::read_config(config).ok().map(|config| config.summary(codec)),
        Codec::Aac => aac::read_config(config).ok().map(|config| config.summary()),
        Codec::Opus => opus::read_config(config).ok().map(|config| config.summary()),
        Codec::Flac => flac::read_config(config).ok().map(|config| config.summary()),
        Codec::Mp3 | Codec::Ac3 | Codec::Eac3 | Codec::FlvVideo(_) | Codec::FlvAudio(_) | Codec::Amf => None,
    }
}

/// Reads what the frame `payload` says of its track: for MP3, AC-3 and E-AC-3, which have no configuration, and for
/// keyframes of VP8, VP9 and AV1, whose configuration has no size or may leave it out.
pub fn summary_of_frame(codec: Codec, payload: &[u8]) -> Option<Summary> {
    let sound = |mime: &str, sample_rate, channels| Summary {
        mime: mime.into(),
        sample_rate: Some(sample_rate),
        channels: Some(channels),
        ..Summary::default()
    };
    let (mime, size) = match codec {
        Codec::Mp3 => {
            let header = mp3::read_header(payload)?;
            return Some(sound("mp3", header.sample_rate, header.channels));
        }
        Codec::Ac3 | Codec::Eac3 => {
            let header = ac3::read_header(payload).ok()?;
            let mime = if header.enhanced { "ec-3" } else { "ac-3" };
            return Some(sound(mime, header.sample_rate, header.channels));
        }
        Codec::Vp8 => ("vp8", vpx::vp8_size(payload)?),
        Codec::Vp9 => ("vp9", vpx::vp9_size(payload)?),
        Codec::Av1 => {
            let sequence = av1::find_sequence(payload)?;
            ("av01", (sequence.width, sequence.height))
        }
        _ => return None,
    };
    Some(Summary { mime: mime.into(), width: Some(size.0), height: Some(size.1), ..Summary::default() })
}

/// Whether pictures are shown in another order than they are decoded. `None` where the configuration does not tell.
pub fn has_b_frames(codec: Codec, config: &[u8]) -> Option<bool> {
    match codec {
        Codec::H264 => h264::read_config(config).ok()?.sps.and_then(|sps| sps.has_b_frames()),
        Codec::H265 => h265::read_config(config).ok()?.sps.map(|sps| sps.reorder_pictures > 0),
        // These reorder inside a packet at most.
        Codec::Av1 | Codec::Vp8 | Codec::Vp9 => Some(false),
        _ => None,
    }
}
