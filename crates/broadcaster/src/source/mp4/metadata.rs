//! The `onMetaData` message that players of RTMP and FLV expect first.

use bytes::{Bytes, BytesMut};
use media::container::fmp4::MovieTrack;
use media::{Codec, Kind, TrackId};
use rtmp::amf::{Object, Value, amf0};

/// Describes the default tracks: size, rates and codecs (Adobe FLV 10.1 annex E.5).
pub(super) fn describe<'a>(tracks: impl Iterator<Item = &'a MovieTrack>) -> Bytes {
    let mut object = Object::new();
    for track in tracks.filter(|track| track.id == TrackId::VIDEO || track.id == TrackId::AUDIO) {
        let summary = media::codec::summary(track.codec, &track.config).unwrap_or_default();
        if track.id.kind == Kind::Video {
            if let (Some(width), Some(height)) = (summary.width, summary.height) {
                object.push("width", f64::from(width));
                object.push("height", f64::from(height));
            }
            if let Some(rate) = frame_rate(track) {
                object.push("framerate", rate);
            }
        } else {
            if let Some(rate) = summary.sample_rate {
                object.push("audiosamplerate", f64::from(rate));
            }
            if let Some(channels) = summary.channels {
                object.push("audiochannels", f64::from(channels));
                object.push("stereo", channels == 2);
            }
        }
        if let Some(id) = codec_id(track.codec) {
            object.push(if track.id.kind == Kind::Video { "videocodecid" } else { "audiocodecid" }, id);
        }
    }
    object.push("encoder", concat!("Rushlight ", env!("CARGO_PKG_VERSION")));
    let mut payload = BytesMut::new();
    amf0::write_str(&mut payload, "onMetaData");
    amf0::write(&mut payload, &Value::EcmaArray(object));
    payload.freeze()
}

/// Frames per second on average.
fn frame_rate(track: &MovieTrack) -> Option<f64> {
    let (first, last) = (track.samples.first()?, track.samples.last()?);
    let seconds = last.dts.saturating_sub(first.dts) as f64 / f64::from(track.timescale);
    // To the thousandth, where 30000/1001 is 29.97.
    let rate = (track.samples.len() - 1) as f64 / seconds;
    (seconds > 0.0).then(|| (rate * 1000.0).round() / 1000.0)
}

/// The number of a legacy codec, or the FourCC as a number (E-RTMP v2 "Metadata Frame").
fn codec_id(codec: Codec) -> Option<f64> {
    let four_cc = |text: &[u8; 4]| f64::from(u32::from_be_bytes(*text));
    Some(match codec {
        Codec::Mp3 => 2.0,
        Codec::H264 => 7.0,
        Codec::Aac => 10.0,
        Codec::H265 => four_cc(b"hvc1"),
        Codec::Av1 => four_cc(b"av01"),
        Codec::Vp8 => four_cc(b"vp08"),
        Codec::Vp9 => four_cc(b"vp09"),
        Codec::Opus => four_cc(b"Opus"),
        Codec::Flac => four_cc(b"fLaC"),
        Codec::Ac3 => four_cc(b"ac-3"),
        Codec::Eac3 => four_cc(b"ec-3"),
        _ => return None,
    })
}
