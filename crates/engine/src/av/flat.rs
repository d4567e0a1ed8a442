//! Pictures as they are compared.

use super::{Error, Frame, Scaler, ffi};
use std::hash::{DefaultHasher, Hasher};

/// A decoded picture as I420 with 8 bits, which is how pictures are shared.
pub(crate) fn flat(scaler: &mut Option<Scaler>, frame: &mut Frame) -> Result<Frame, Error> {
    let (width, height) = frame.size();
    let mut flat = Frame::with_size(width, height, ffi::AVPixelFormat::AV_PIX_FMT_YUV420P)?;
    flat.take_colours(frame);
    Scaler::to_format(scaler, frame, &mut flat)?;
    Ok(flat)
}

/// A number that two pictures share if they are the same, sample by sample.
pub(crate) fn fingerprint(flat: &mut Frame) -> Result<u64, Error> {
    let (width, height) = flat.size();
    let mut hasher = DefaultHasher::new();
    hasher.write_u32(width);
    hasher.write_u32(height);
    for plane in flat.planes()? {
        (0..plane.shape.rows).for_each(|row| hasher.write(plane.row(row)));
    }
    Ok(hasher.finish())
}
