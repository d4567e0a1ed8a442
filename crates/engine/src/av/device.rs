//! Devices, and pictures in their memory.

use super::{Error, Frame, check, ffi};
use crate::decode;
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

/// A device of the system that is open.
pub(crate) struct Device {
    reference: Reference,
    /// What pictures in its memory are called.
    format: ffi::AVPixelFormat,
}

impl Device {
    fn create(kind: ffi::AVHWDeviceType, format: ffi::AVPixelFormat) -> Result<Self, Error> {
        let mut device = std::ptr::null_mut();
        // SAFETY: null names the first device; the result is ours after success.
        check(unsafe {
            ffi::av_hwdevice_ctx_create(&raw mut device, kind, std::ptr::null(), std::ptr::null_mut(), 0)
        })?;
        Ok(Self { reference: Reference::new(device)?, format })
    }

    /// Opens the first device of `by`; `None` where its decoders need none that is opened before.
    pub(crate) fn open(by: decode::Backend) -> Result<Option<Self>, String> {
        use decode::Backend;
        let (kind, format) = match by {
            Backend::Software | Backend::V4l2 => return Ok(None),
            Backend::Nvdec => {
                (ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA, ffi::AVPixelFormat::AV_PIX_FMT_CUDA)
            }
            Backend::Qsv => (ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_QSV, ffi::AVPixelFormat::AV_PIX_FMT_QSV),
            Backend::Vaapi => {
                (ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI, ffi::AVPixelFormat::AV_PIX_FMT_VAAPI)
            }
            Backend::VideoToolbox => (
                ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VIDEOTOOLBOX,
                ffi::AVPixelFormat::AV_PIX_FMT_VIDEOTOOLBOX,
            ),
        };
        let opened = Self::create(kind, format);
        opened.map(Some).map_err(|error| format!("the device of {by} does not open: {error}"))
    }

    /// What pictures in its memory are called.
    pub(super) fn format(&self) -> ffi::AVPixelFormat {
        self.format
    }

    /// Tells a decoder where to decode.
    pub(super) fn attach(&self, fields: &mut ffi::AVCodecContext) -> Result<(), Error> {
        // SAFETY: the reference lives; the decoder gives its own back.
        let own = unsafe { ffi::av_buffer_ref(self.reference.0.as_ptr()) };
        fields.hw_device_ctx = NonNull::new(own).ok_or(Error::NO_MEMORY)?.as_ptr();
        Ok(())
    }
}

/// Copies a picture out of the memory of its device, as what is shown of it.
pub(super) fn download(from: &mut Frame, to: &mut Frame) -> Result<(), Error> {
    to.clear();
    // SAFETY: both frames are ours; the second one is empty, so that it gets memory of its own.
    unsafe {
        check(ffi::av_hwframe_transfer_data(to.as_ptr(), from.as_ptr(), 0))?;
        check(ffi::av_frame_copy_props(to.as_ptr(), from.as_ptr()))?;
        // Of a picture in a device the library crops but the right and the bottom.
        check(ffi::av_frame_apply_cropping(to.as_ptr(), ffi::AV_FRAME_CROP_UNALIGNED as c_int))?;
    }
    from.clear();
    Ok(())
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
        let format = ffi::AVPixelFormat::AV_PIX_FMT_VAAPI;
        let device = Device::create(ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI, format)?;
        // SAFETY: the device is open; the frames take a reference of their own.
        let frames = Reference::new(unsafe { ffi::av_hwframe_ctx_alloc(device.reference.0.as_ptr()) })?;
        // SAFETY: the data of this reference is what the library says it is, and nobody else has it yet.
        unsafe {
            let fields = &mut *(*frames.0.as_ptr()).data.cast::<ffi::AVHWFramesContext>();
            fields.format = format;
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
