//! Devices that take pictures only from their own memory.

use super::{Error, Frame, check, ffi};
use std::ffi::c_int;
use std::ptr::NonNull;

/// A counted reference of the library.
struct Reference(NonNull<ffi::AVBufferRef>);

impl Reference {
    fn new(pointer: *mut ffi::AVBufferRef) -> Result<Self, Error> {
        NonNull::new(pointer).map(Self).ok_or(Error::NO_MEMORY)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: it is ours, and given back once.
        unsafe { ffi::av_buffer_unref(&raw mut pointer) };
    }
}

/// Pictures in the memory of a VA-API device, and how they get there.
pub(super) struct Surfaces {
    frames: Reference,
    frame: Frame,
}

/// Surfaces that exist at once: what an encoder with B-frames holds, and a few.
const SURFACES: c_int = 20;

impl Surfaces {
    /// Opens the first device.
    pub(super) fn open(width: c_int, height: c_int) -> Result<Self, Error> {
        let mut device = std::ptr::null_mut();
        let kind = ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI;
        // SAFETY: null names the first device; the result is ours after success.
        check(unsafe {
            ffi::av_hwdevice_ctx_create(&raw mut device, kind, std::ptr::null(), std::ptr::null_mut(), 0)
        })?;
        let device = Reference::new(device)?;
        // SAFETY: the device is open; the frames take a reference of their own.
        let frames = Reference::new(unsafe { ffi::av_hwframe_ctx_alloc(device.0.as_ptr()) })?;
        // SAFETY: the data of this reference is what the library says it is, and nobody else has it yet.
        unsafe {
            let fields = &mut *(*frames.0.as_ptr()).data.cast::<ffi::AVHWFramesContext>();
            fields.format = ffi::AVPixelFormat::AV_PIX_FMT_VAAPI;
            fields.sw_format = ffi::AVPixelFormat::AV_PIX_FMT_NV12;
            (fields.width, fields.height, fields.initial_pool_size) = (width, height, SURFACES);
            check(ffi::av_hwframe_ctx_init(frames.0.as_ptr()))?;
        }
        Ok(Self { frames, frame: Frame::new()? })
    }

    /// Tells an encoder where its pictures will be.
    pub(super) fn attach(&self, fields: &mut ffi::AVCodecContext) -> Result<(), Error> {
        // SAFETY: the reference lives; the encoder gives its own back.
        let own = unsafe { ffi::av_buffer_ref(self.frames.0.as_ptr()) };
        fields.hw_frames_ctx = NonNull::new(own).ok_or(Error::NO_MEMORY)?.as_ptr();
        fields.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_VAAPI;
        Ok(())
    }

    /// Copies `from` into the device.
    pub(super) fn upload(&mut self, from: &mut Frame) -> Result<&mut Frame, Error> {
        self.frame.clear();
        // SAFETY: both frames are ours, and the surface has the size of the picture.
        unsafe {
            check(ffi::av_hwframe_get_buffer(self.frames.0.as_ptr(), self.frame.as_ptr(), 0))?;
            check(ffi::av_hwframe_transfer_data(self.frame.as_ptr(), from.as_ptr(), 0))?;
        }
        Ok(&mut self.frame)
    }
}
