//! A test encode: whether a back end works here, and how fast it is.

use super::content::Content;
use super::encoder::begins_anew;
use super::{Failed, Server, used};
use crate::av::Encoder;
use crate::encode::{Backend, Config};
use crate::ipc::Report;
use crate::picture::Picture;
use std::time::Instant;

/// Pictures of the test: two seconds.
const PICTURES: u32 = 60;

/// A keyframe is asked for so often.
const KEYFRAME_EVERY: u32 = 20;

pub(super) fn run(server: &mut Server, config: &Config, backend: Backend) -> Result<(), Failed> {
    const NANOS_PER_PICTURE: i64 = 33_333_333;
    let like = Picture {
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
    };
    let failed = |error| Failed(format!("{backend} does not encode: {error}"));
    let mut encoder = Encoder::open(config, backend, &like, Content::default(), 30.0).map_err(Failed)?;
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
