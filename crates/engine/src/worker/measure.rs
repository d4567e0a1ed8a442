//! Test encodes and test decodes: whether a back end works here, and how fast it is.

use super::content::Content;
use super::decoder::Maker;
use super::encoder::begins_anew;
use super::{Failed, Server, used};
use crate::av::{Encoder, Frame, fingerprint, flat};
use crate::decode;
use crate::encode::{Backend, Codec, Config, Preset};
use crate::ipc::{Coded, Report};
use crate::picture::Picture;
use std::time::{Duration, Instant};

/// Pictures of the test: two seconds.
const PICTURES: u32 = 60;

/// A keyframe is asked for so often.
const KEYFRAME_EVERY: u32 = 20;

const NANOS_PER_PICTURE: i64 = 33_333_333;

pub(super) fn encoder(server: &mut Server, config: &Config, backend: Backend) -> Result<(), Failed> {
    let failed = |error| Failed(format!("{backend} does not encode: {error}"));
    let mut encoder =
        Encoder::open(config, backend, &like(config), Content::default(), 30.0).map_err(Failed)?;
    let (begun, before) = (Instant::now(), used());
    let (mut frames, mut keyframes) = (0, 0);
    for index in 0..PICTURES {
        encoder.frame().paint_test(index).map_err(failed)?;
        encoder
            .send(i64::from(index) * NANOS_PER_PICTURE, index.is_multiple_of(KEYFRAME_EVERY), &[])
            .map_err(failed)?;
        while let Some(encoded) = encoder.receive().map_err(failed)? {
            (frames, keyframes) = (frames + 1, keyframes + u32::from(encoded.coded.keyframe));
        }
    }
    encoder.finish().map_err(failed)?;
    while let Some(encoded) = encoder.receive().map_err(failed)? {
        (frames, keyframes) = (frames + 1, keyframes + u32::from(encoded.coded.keyframe));
    }
    if keyframes != PICTURES / KEYFRAME_EVERY && !begins_anew(backend, config) {
        return Err(Failed(format!("{backend} makes no keyframes where it is asked to")));
    }
    if frames != PICTURES {
        return Err(Failed(format!("{backend} gave {frames} frames for {PICTURES} pictures")));
    }
    let cpu = used().saturating_sub(before);
    server.report(&Report::Measured { pictures: PICTURES, wall: begun.elapsed(), cpu })?;
    Ok(())
}

/// Decodes a test stream on `by`, and compares its pictures with those of the processor: codecs say what pictures are to the last bit.
pub(super) fn decoder(server: &mut Server, codec: Codec, by: decode::Backend) -> Result<(), Failed> {
    let (record, stream) = test_stream(codec)?;
    let decoded = |by| decoded(by, codec, &record, &stream);
    let found = decoded(by)?;
    if found.pictures.len() != stream.len() {
        return Err(Failed(format!(
            "{by} gave {} pictures for {} frames",
            found.pictures.len(),
            stream.len()
        )));
    }
    if by.is_hardware() {
        let expected = decoded(decode::Backend::Software)?.pictures;
        let differs = expected.iter().zip(&found.pictures).filter(|(expected, found)| expected != found);
        match differs.count() {
            0 => {}
            count => {
                let all = stream.len();
                return Err(Failed(format!(
                    "{by} gives other pictures than the processor: {count} of {all}"
                )));
            }
        }
    }
    let pictures = stream.len() as u32;
    server.report(&Report::Measured { pictures, wall: found.wall, cpu: found.cpu })?;
    Ok(())
}

/// What came of a test stream.
struct Decoded {
    /// Times and fingerprints of its pictures, as they are shown.
    pictures: Vec<(Option<i64>, u64)>,
    wall: Duration,
    cpu: Duration,
}

fn decoded(by: decode::Backend, codec: Codec, record: &[u8], stream: &[Coded]) -> Result<Decoded, Failed> {
    let failed = |error| Failed(format!("{by} does not decode: {error}"));
    let mut decoder = Maker::new(by, codec.of_packets(), 0).open(record).map_err(Failed)?;
    let mut frame = Frame::new().map_err(failed)?;
    let (mut scaler, mut flats) = (None, Vec::new());
    let (begun, before) = (Instant::now(), used());
    for coded in stream.iter().map(Some).chain([None]) {
        let sent = decoder.send(coded);
        if decoder.has_refused() {
            return Err(Failed(format!("{by} does not take {codec:?}")));
        }
        sent.map_err(failed)?;
        while decoder.receive(&mut frame).map_err(failed)? {
            flats.push((frame.pts(), flat(&mut scaler, &mut frame).map_err(failed)?));
        }
    }
    let (wall, cpu) = (begun.elapsed(), used().saturating_sub(before));
    let prints = flats.iter_mut().map(|(pts, flat)| Ok((*pts, fingerprint(flat).map_err(failed)?)));
    Ok(Decoded { pictures: prints.collect::<Result<_, Failed>>()?, wall, cpu })
}

/// A stream that the processor encodes, of a size that is not made of whole blocks, so that something is to be cropped. Each of its frames
/// is a picture.
fn test_stream(codec: Codec) -> Result<(Vec<u8>, Vec<Coded>), Failed> {
    let mut whys = Vec::new();
    for backend in Backend::PROCESSOR.into_iter().filter(|backend| backend.codecs().contains(&codec)) {
        let config = Config { preset: Preset::Ultrafast, ..Config::of_test(codec, backend, (1272, 714)) };
        match encoded(&config, backend) {
            Ok(stream) => return Ok(stream),
            Err(why) => whys.push(why),
        }
    }
    Err(Failed(format!("there is nothing to try {codec:?} with: {}", whys.join("; "))))
}

fn encoded(config: &Config, backend: Backend) -> Result<(Vec<u8>, Vec<Coded>), String> {
    let failed = |error| format!("{backend} does not encode: {error}");
    let mut encoder = Encoder::open(config, backend, &like(config), Content::default(), 30.0)?;
    let (mut record, mut stream) = (Vec::new(), Vec::new());
    for index in 0..=PICTURES {
        if index < PICTURES {
            encoder.frame().paint_test(index).map_err(failed)?;
            let keyframe = index.is_multiple_of(KEYFRAME_EVERY);
            encoder.send(i64::from(index) * NANOS_PER_PICTURE, keyframe, &[]).map_err(failed)?;
        } else {
            encoder.finish().map_err(failed)?;
        }
        while let Some(encoded) = encoder.receive().map_err(failed)? {
            // What decoders of AV1 need is in its keyframes.
            if record.is_empty() && config.codec != Codec::Av1 {
                record = encoded.extradata.to_vec();
            }
            stream.push(encoded.coded);
        }
    }
    match stream.len() == PICTURES as usize {
        true => Ok((record, stream)),
        false => Err(format!("{backend} gave {} frames for {PICTURES} pictures", stream.len())),
    }
}

/// What its pictures are like.
fn like(config: &Config) -> Picture {
    Picture {
        slot: 0,
        pts: 0,
        keyframe: true,
        width: config.width,
        height: config.height,
        pixel_aspect: (1, 1),
        primaries: 1,
        transfer: 1,
        matrix: 1,
        full_range: false,
    }
}
