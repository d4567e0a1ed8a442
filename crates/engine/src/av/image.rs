//! Image files.

use super::{Context, Error, Frame, Packet, Scaler, check, ffi};
use crate::limits::MARK_PIXELS_MAX;

/// The picture of a PNG file: its width, and red, green, blue and opacity of each pixel, row by row.
pub(crate) fn decode_png(file: &[u8]) -> Result<(usize, Vec<u8>), Error> {
    // SAFETY: it returns null or an entry of a static table.
    let found = unsafe { ffi::avcodec_find_decoder(ffi::AVCodecID::AV_CODEC_ID_PNG) };
    if found.is_null() {
        return Err(Error::INVALID);
    }
    let mut context = Context::new(found)?;
    let fields = context.fields();
    fields.max_pixels = i64::from(MARK_PIXELS_MAX);
    fields.thread_count = 1;
    let (mut packet, mut frame) = (Packet::new()?, Frame::new()?);
    packet.fill(file)?;
    // SAFETY: the context was made for this decoder; packet and frame are ours.
    unsafe {
        check(ffi::avcodec_open2(context.0.as_ptr(), found, std::ptr::null_mut()))?;
        check(ffi::avcodec_send_packet(context.0.as_ptr(), packet.0.as_ptr()))?;
        check(ffi::avcodec_send_packet(context.0.as_ptr(), std::ptr::null()))?;
        check(ffi::avcodec_receive_frame(context.0.as_ptr(), frame.as_ptr()))?;
    }
    let (width, height) = frame.size();
    let mut rgba = Frame::with_size(width, height, ffi::AVPixelFormat::AV_PIX_FMT_RGBA)?;
    Scaler::to_rgba(&mut frame, &mut rgba)?;
    let fields = rgba.fields();
    let stride = usize::try_from(fields.linesize[0]).map_err(|_| Error::INVALID)?;
    let mut bytes = Vec::with_capacity(4 * width as usize * height as usize);
    for row in 0..height as usize {
        // SAFETY: the plane has that many rows of at least as many bytes, and nobody else has it.
        let row = unsafe { std::slice::from_raw_parts(fields.data[0].add(row * stride), 4 * width as usize) };
        bytes.extend_from_slice(row);
    }
    Ok((width as usize, bytes))
}
