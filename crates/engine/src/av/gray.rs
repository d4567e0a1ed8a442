//! A picture as a few samples, to see what is in it.

use super::{Error, Frame, Scaler, ffi};

/// Samples in a row, and rows: each is the mean of some hundred pixels, in which the noise of encoders is gone.
const WIDTH: u32 = 64;
const HEIGHT: u32 = 36;

/// The luma of `frame` in [`WIDTH`] times [`HEIGHT`] samples, 0 for black and 255 for white.
pub(crate) fn gray(frame: &mut Frame) -> Result<Vec<u8>, Error> {
    let mut small = Frame::with_size(WIDTH, HEIGHT, ffi::AVPixelFormat::AV_PIX_FMT_GRAY8)?;
    Scaler::to_full_range(frame, &mut small)?;
    let fields = small.fields();
    let stride = usize::try_from(fields.linesize[0]).map_err(|_| Error::INVALID)?;
    let mut samples = Vec::with_capacity((WIDTH * HEIGHT) as usize);
    for row in 0..HEIGHT as usize {
        // SAFETY: the plane has that many rows of at least as many bytes, and nobody else has it.
        let row = unsafe { std::slice::from_raw_parts(fields.data[0].add(row * stride), WIDTH as usize) };
        samples.extend_from_slice(row);
    }
    Ok(samples)
}
