//! Other sizes and other sample formats.

use super::frame::{View, is_i420};
use super::{Error, Frame, ffi};
use crate::picture::Picture;
use crate::worker::memory::Slot;
use std::ffi::c_int;
use std::ptr::NonNull;

/// Makes pictures of one size and format into those of another.
pub(crate) struct Scaler {
    context: NonNull<ffi::SwsContext>,
    key: Key,
}

/// What a context is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    from: (c_int, c_int, c_int),
    to: (c_int, c_int, c_int),
    matrix: u8,
    full_range: bool,
    to_full_range: bool,
    to_matrix: u8,
}

/// BT.709 in the library's tables of matrices, and what it takes for unknown ones.
const MATRIX_DEFAULT: c_int = ffi::SWS_CS_DEFAULT;

impl Scaler {
    fn new(key: Key) -> Result<Self, Error> {
        let format = |code: c_int| {
            if !(0..ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int).contains(&code) {
                return Err(Error::INVALID);
            }
            // SAFETY: all numbers below the last one have a name.
            Ok(unsafe { std::mem::transmute::<c_int, ffi::AVPixelFormat>(code) })
        };
        let (from, to) = (format(key.from.2)?, format(key.to.2)?);
        let flags = ffi::SWS_BICUBIC | ffi::SWS_ACCURATE_RND;
        // SAFETY: sizes and formats are checked by the call, which returns null for what it cannot do.
        let context = unsafe {
            ffi::sws_getContext(
                key.from.0,
                key.from.1,
                from,
                key.to.0,
                key.to.1,
                to,
                flags as c_int,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null(),
            )
        };
        let context = NonNull::new(context).ok_or(Error::INVALID)?;
        let matrix = |code: u8| match code {
            1 | 5 | 6 | 7 | 9 | 10 => c_int::from(code),
            _ => MATRIX_DEFAULT,
        };
        // SAFETY: the tables are static; without colour conversion the call does nothing and says so.
        unsafe {
            let table = ffi::sws_getCoefficients(matrix(key.matrix));
            let to_table = ffi::sws_getCoefficients(matrix(key.to_matrix));
            let (from, to) = (c_int::from(key.full_range), c_int::from(key.to_full_range));
            ffi::sws_setColorspaceDetails(context.as_ptr(), table, from, to_table, to, 0, 1 << 16, 1 << 16);
        }
        Ok(Self { context, key })
    }

    /// The one in `kept` if it fits, or else a new one in its place.
    fn for_key(kept: &mut Option<Self>, key: Key) -> Result<&Self, Error> {
        if kept.as_ref().is_none_or(|scaler| scaler.key != key) {
            *kept = Some(Self::new(key)?);
        }
        kept.as_ref().ok_or(Error::INVALID)
    }

    /// Scales a shared picture into `to`.
    pub(crate) fn scale(
        kept: &mut Option<Self>,
        picture: &Picture,
        view: &View,
        to: &mut Frame,
    ) -> Result<(), Error> {
        to.make_writable()?;
        let (planes, strides) = view.planes();
        let target = to.fields();
        let key = Key {
            from: (
                picture.width as c_int,
                picture.height as c_int,
                ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as c_int,
            ),
            to: (target.width, target.height, target.format),
            matrix: picture.matrix,
            full_range: picture.full_range,
            to_full_range: picture.full_range,
            to_matrix: picture.matrix,
        };
        let scaler = Self::for_key(kept, key)?;
        // SAFETY: the view has the planes of a picture of this size, and the frame those of the other.
        let rows = unsafe {
            ffi::sws_scale(
                scaler.context.as_ptr(),
                planes.as_ptr().cast(),
                strides.as_ptr(),
                0,
                key.from.1,
                target.data.as_ptr(),
                target.linesize.as_ptr(),
            )
        };
        if rows == target.height { Ok(()) } else { Err(Error::INVALID) }
    }

    /// Scales a decoded frame into `to` with the colours of JPEG: BT.601, and all values (ITU-T T.871 section 7).
    pub(crate) fn to_full_range(frame: &mut Frame, to: &mut Frame) -> Result<(), Error> {
        const BT601: u8 = 5;
        Self::convert(&mut None, frame, to, Some((BT601, true)))
    }

    /// Writes a decoded image into `to`, which has red, green and blue.
    pub(super) fn to_rgba(frame: &mut Frame, to: &mut Frame) -> Result<(), Error> {
        // There is no matrix in it: it is of no effect.
        const NONE: u8 = 0;
        Self::convert(&mut None, frame, to, Some((NONE, true)))
    }

    /// Scales a decoded frame into `to`, with the matrix and the range of the frame.
    pub(super) fn to_format(kept: &mut Option<Self>, frame: &mut Frame, to: &mut Frame) -> Result<(), Error> {
        Self::convert(kept, frame, to, None)
    }

    /// `colours` are the matrix and the range that `to` is to have, if they are others.
    pub(super) fn convert(
        kept: &mut Option<Self>,
        frame: &mut Frame,
        to: &mut Frame,
        colours: Option<(u8, bool)>,
    ) -> Result<(), Error> {
        let picture = frame.describe(0, 0, false);
        let (to_matrix, to_full_range) = colours.unwrap_or((picture.matrix, picture.full_range));
        let (from, target) = (frame.fields(), to.fields());
        let key = Key {
            from: (from.width, from.height, from.format),
            to: (target.width, target.height, target.format),
            matrix: picture.matrix,
            full_range: picture.full_range,
            to_full_range,
            to_matrix,
        };
        let scaler = Self::for_key(kept, key)?;
        // SAFETY: both frames have the planes of their formats and sizes, which the context was made for.
        let rows = unsafe {
            ffi::sws_scale(
                scaler.context.as_ptr(),
                from.data.as_ptr().cast(),
                from.linesize.as_ptr(),
                0,
                from.height,
                target.data.as_ptr(),
                target.linesize.as_ptr(),
            )
        };
        if rows == target.height { Ok(()) } else { Err(Error::INVALID) }
    }

    /// Writes a decoded frame into a slot as I420 with 8 bits.
    pub(crate) fn share(kept: &mut Option<Self>, frame: &mut Frame, slot: Slot) -> Result<(), Error> {
        let (width, height) = frame.size();
        let picture = frame.describe(0, 0, false);
        let (planes, strides) = Frame::over(&picture, slot).ok_or(Error::INVALID)?.planes();
        let fields = frame.fields();
        let i420 = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as c_int;
        if is_i420(fields.format) {
            for plane in 0..3 {
                let (width, height) =
                    if plane == 0 { (width, height) } else { (width.div_ceil(2), height.div_ceil(2)) };
                // SAFETY: both planes have that many rows of that many bytes.
                unsafe {
                    ffi::av_image_copy_plane(
                        planes[plane],
                        strides[plane],
                        fields.data[plane],
                        fields.linesize[plane],
                        width as c_int,
                        height as c_int,
                    );
                }
            }
            return Ok(());
        }
        let key = Key {
            from: (fields.width, fields.height, fields.format),
            to: (fields.width, fields.height, i420),
            matrix: picture.matrix,
            full_range: picture.full_range,
            to_full_range: picture.full_range,
            to_matrix: picture.matrix,
        };
        let scaler = Self::for_key(kept, key)?;
        // SAFETY: the frame has the planes of its format, and the slot those of I420.
        let rows = unsafe {
            ffi::sws_scale(
                scaler.context.as_ptr(),
                fields.data.as_ptr().cast(),
                fields.linesize.as_ptr(),
                0,
                fields.height,
                planes.as_ptr(),
                strides.as_ptr(),
            )
        };
        if rows == fields.height { Ok(()) } else { Err(Error::INVALID) }
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: it was allocated by the library and is freed once.
        unsafe { ffi::sws_freeContext(self.context.as_ptr()) };
    }
}
