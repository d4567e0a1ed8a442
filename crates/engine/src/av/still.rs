//! One picture as a JPEG file.

use super::{Context, Error, Frame, Packet, Scaler, check, ffi};
use std::ffi::c_int;

/// How coarse it is, on the encoder's scale of 2 to 31: a photograph of 1280 pixels takes about 100 KB.
const COARSENESS: c_int = 4;

/// `frame` as JPEG, at most `width_max` pixels wide, with square pixels.
pub(crate) fn jpeg(frame: &mut Frame, width_max: u32) -> Result<Vec<u8>, Error> {
    let mut scaled = square(frame, width_max)?;
    // SAFETY: it returns null or an entry of a static table.
    let found = unsafe { ffi::avcodec_find_encoder(ffi::AVCodecID::AV_CODEC_ID_MJPEG) };
    if found.is_null() {
        return Err(Error::INVALID);
    }
    let mut context = Context::new(found)?;
    let quality = COARSENESS * ffi::FF_QP2LAMBDA as c_int;
    let (fields, picture) = (context.fields(), scaled.fields());
    (fields.width, fields.height) = (picture.width, picture.height);
    fields.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_YUVJ420P;
    fields.color_range = ffi::AVColorRange::AVCOL_RANGE_JPEG;
    fields.time_base = ffi::AVRational { num: 1, den: 1 };
    fields.thread_count = 1;
    fields.flags |= ffi::AV_CODEC_FLAG_QSCALE as c_int;
    fields.global_quality = quality;
    (picture.pts, picture.quality) = (0, quality);
    // SAFETY: the context was made for this encoder; the frame is ours.
    unsafe {
        check(ffi::avcodec_open2(context.0.as_ptr(), found, std::ptr::null_mut()))?;
        check(ffi::avcodec_send_frame(context.0.as_ptr(), scaled.as_ptr()))?;
        check(ffi::avcodec_send_frame(context.0.as_ptr(), std::ptr::null()))?;
    }
    let mut packet = Packet::new()?;
    // SAFETY: the context is open, and the packet ours.
    check(unsafe { ffi::avcodec_receive_packet(context.0.as_ptr(), packet.0.as_ptr()) })?;
    Ok(packet.payload().to_vec())
}

/// `frame` with square pixels and full range, as JPEG has them.
fn square(frame: &mut Frame, width_max: u32) -> Result<Frame, Error> {
    let (width, height) = fitting(frame, width_max, SIDE_MAX)?;
    let mut scaled = Frame::with_size(width, height, ffi::AVPixelFormat::AV_PIX_FMT_YUVJ420P)?;
    Scaler::to_full_range(frame, &mut scaled)?;
    Ok(scaled)
}

/// The longest side of a picture that is made here.
const SIDE_MAX: u32 = 8192;

/// The even size in square pixels that a picture has within these limits. It is not made larger.
pub(super) fn fitting(frame: &mut Frame, width_max: u32, height_max: u32) -> Result<(u32, u32), Error> {
    let (width, height) = frame.size();
    if width == 0 || height == 0 {
        return Err(Error::INVALID);
    }
    let (num, den) = frame.describe(0, 0, false).pixel_aspect;
    let (wide, tall) = (f64::from(width) * f64::from(num) / f64::from(den), f64::from(height));
    let scale = (f64::from(width_max) / wide).min(f64::from(height_max) / tall).min(1.0);
    let even = |side: f64| (side.clamp(2.0, f64::from(SIDE_MAX)) / 2.0).round().max(1.0) as u32 * 2;
    Ok((even(wide * scale), even(tall * scale)))
}
