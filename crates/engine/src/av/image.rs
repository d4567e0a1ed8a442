//! Image files.

use super::{Context, Error, Frame, Packet, Scaler, check, ffi};
use crate::limits::MARK_PIXELS_MAX;
use crate::mark::ImageKind;

/// The picture of a PNG, JPEG or WebP file: its width, and red, green, blue and opacity of each pixel, row by row.
pub(crate) fn decode_image(file: &[u8]) -> Result<(usize, Vec<u8>), Error> {
    let codec = match ImageKind::of(file).ok_or(Error::INVALID)? {
        ImageKind::Png => ffi::AVCodecID::AV_CODEC_ID_PNG,
        ImageKind::Jpeg => ffi::AVCodecID::AV_CODEC_ID_MJPEG,
        ImageKind::WebP => ffi::AVCodecID::AV_CODEC_ID_WEBP,
    };
    // SAFETY: it returns null or an entry of a static table.
    let found = unsafe { ffi::avcodec_find_decoder(codec) };
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
    if codec == ffi::AVCodecID::AV_CODEC_ID_WEBP {
        // VP8 inside has the colours of BT.601, 16 to 235 (RFC 6386 section 9.2), and the decoder does not say so.
        frame.fields().colorspace = ffi::AVColorSpace::AVCOL_SPC_SMPTE170M;
    } else {
        // All values, whatever it says.
        frame.fields().color_range = ffi::AVColorRange::AVCOL_RANGE_JPEG;
    }
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
