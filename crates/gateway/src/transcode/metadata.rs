//! What a stream says of itself, as its rung has to say it. Pure.

use bytes::BytesMut;
use engine::encode::{Codec, Config};
use engine::sound;
use media::Packet;
use rtmp::amf::{Object, Value, amf0};

/// `packet`, which is `onMetaData`, with what `config` makes different, and `sound` where it is encoded. Others, and what cannot be
/// read, stay as they are.
pub(super) fn adapted(packet: Packet, config: &Config, sound: Option<&sound::Config>) -> Packet {
    if !packet.is_on_meta_data() {
        return packet;
    }
    let Ok(values) = amf0::read_all(&packet.payload) else { return packet };
    let mut out = BytesMut::with_capacity(packet.payload.len() + 64);
    for value in values {
        let value = match value {
            Value::Object(object) => Value::Object(of_rung(&object, config, sound)),
            Value::EcmaArray(object) => Value::EcmaArray(of_rung(&object, config, sound)),
            other => other,
        };
        amf0::write(&mut out, &value);
    }
    Packet { payload: out.freeze(), ..packet }
}

fn of_rung(object: &Object, config: &Config, sound: Option<&sound::Config>) -> Object {
    let is_about_source =
        |key: &str| ["filesize", "videosize", "datasize", "duration", "encoder"].contains(&key);
    let mut rung = Object::new();
    for (key, value) in object.iter().filter(|(key, _)| !is_about_source(key)) {
        let value = match key {
            "width" | "displayWidth" => Value::from(config.width),
            "height" | "displayHeight" => Value::from(config.height),
            // In kilobits.
            "videodatarate" => Value::from(f64::from(config.bitrate_bps) / 1000.0),
            "framerate" | "fps" => match (config.fps_max, value.as_number()) {
                (Some(max), Some(fps)) => Value::from(fps.min(max)),
                _ => value.clone(),
            },
            "videocodecid" => Value::from(codec_id(config.codec)),
            _ => match sound.and_then(|sound| of_sound(key, sound)) {
                Some(value) => value,
                // Its encoder says it.
                None if sound.is_some() && key == "audiosamplerate" => continue,
                None => value.clone(),
            },
        };
        rung.push(key, value);
    }
    rung
}

/// What is said of sound that is encoded.
fn of_sound(key: &str, sound: &sound::Config) -> Option<Value> {
    Some(match key {
        "audiodatarate" => Value::from(f64::from(sound.bitrate_bps) / 1000.0),
        "audiochannels" => Value::from(f64::from(sound.channels)),
        "stereo" => Value::from(sound.channels == 2),
        "audiocodecid" => Value::from(match sound.codec {
            sound::Codec::Aac => 10.0,
            sound::Codec::Opus => f64::from(u32::from_be_bytes(*b"Opus")),
        }),
        _ => return None,
    })
}

/// `CodecID` of FLV for H.264, and the FourCC of Enhanced RTMP as a number for others (E-RTMP v2, "videocodecid").
fn codec_id(codec: Codec) -> f64 {
    let four = |code: [u8; 4]| f64::from(u32::from_be_bytes(code));
    match codec {
        Codec::H264 => 7.0,
        Codec::H265 => four(*b"hvc1"),
        Codec::Av1 => four(*b"av01"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::ladder::{Source, fit, standard};
    use media::{Flags, Role, Time, TrackId};

    fn config() -> Config {
        let source = Source { width: 1280, height: 720, codec: None, fps: Some(60.0), bitrate_bps: None };
        fit(&standard("480p").unwrap(), &source).unwrap()
    }

    fn on_meta_data(name: &str, object: Value) -> Packet {
        let mut payload = BytesMut::new();
        amf0::write(&mut payload, &Value::from(name));
        amf0::write(&mut payload, &object);
        Packet {
            track: TrackId::DATA,
            codec: media::Codec::Amf,
            role: Role::StreamMetadata,
            flags: Flags::default(),
            dts: Time::ZERO,
            pts: Time::ZERO,
            payload: payload.freeze(),
        }
    }

    #[test]
    fn size_and_rate_are_those_of_the_rung_and_the_rest_is_that_of_the_stream() {
        let object = Object::new()
            .with("width", 1280.0)
            .with("height", 720.0)
            .with("framerate", 60.0)
            .with("videodatarate", 6000.0)
            .with("videocodecid", "hvc1")
            .with("audiocodecid", 10.0)
            .with("title", "Cats")
            .with("filesize", 1.0);
        let adapted = adapted(on_meta_data("onMetaData", Value::EcmaArray(object.clone())), &config(), None);
        let values = amf0::read_all(&adapted.payload).unwrap();
        assert_eq!(values[0].as_str(), Some("onMetaData"));
        let number = |key: &str| values[1].get(key).and_then(Value::as_number);
        assert_eq!((number("width"), number("height")), (Some(854.0), Some(480.0)));
        assert_eq!((number("framerate"), number("videodatarate")), (Some(30.0), Some(1200.0)));
        assert_eq!((number("videocodecid"), number("audiocodecid")), (Some(7.0), Some(10.0)));
        assert_eq!(values[1].get("title").and_then(Value::as_str), Some("Cats"));
        assert_eq!(values[1].get("filesize"), None);
        let opus = sound::Config { codec: sound::Codec::Opus, bitrate_bps: 64_000, channels: 2 };
        let object = object.with("audiodatarate", 320.0).with("audiosamplerate", 44_100.0);
        let adapted =
            super::adapted(on_meta_data("onMetaData", Value::EcmaArray(object)), &config(), Some(&opus));
        let values = amf0::read_all(&adapted.payload).unwrap();
        let number = |key: &str| values[1].get(key).and_then(Value::as_number);
        assert_eq!((number("audiodatarate"), number("audiosamplerate")), (Some(64.0), None));
        assert_eq!(number("audiocodecid"), Some(f64::from(u32::from_be_bytes(*b"Opus"))));
    }

    #[test]
    fn what_is_no_description_of_the_stream_stays_as_it_is() {
        let cue = on_meta_data("onCuePoint", Value::Object(Object::new().with("width", 1.0)));
        assert_eq!(adapted(cue.clone(), &config(), None), cue);
        let torn = on_meta_data("onMetaData", Value::from("x"));
        let torn = Packet { payload: torn.payload.slice(..torn.payload.len() - 1), ..torn };
        assert_eq!(adapted(torn.clone(), &config(), None), torn);
    }
}
