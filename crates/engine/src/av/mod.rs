//! libav, as far as the workers need it: owned frames and packets, and errors as texts.
#![allow(unsafe_code, reason = "libav is a C library; each call says why it is sound")]

mod animation;
mod decode;
mod device;
mod encode;
mod flat;
mod frame;
mod gray;
mod image;
mod normal;
mod scale;
mod sound;
mod still;

pub(crate) use animation::Animation;
pub(crate) use decode::Decoder;
pub(crate) use device::Device;
pub(crate) use encode::Encoder;
pub(crate) use flat::{fingerprint, flat};
pub(crate) use frame::{Frame, View};
pub(crate) use gray::gray;
pub(crate) use image::decode_image;
pub(crate) use normal::Normalizer;
pub(crate) use scale::Scaler;
pub(crate) use sound::{Resampler, SoundEncoder};
pub(crate) use still::jpeg;

use ffmpeg_sys_next as ffi;
use std::ffi::{CStr, c_int};
use std::fmt;
use std::ptr::NonNull;

/// What libav says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Error(c_int);

impl Error {
    pub(crate) const NO_MEMORY: Error = Error(ffi::AVERROR(ffi::ENOMEM));
    const NO_ENCODER: Error = Error(ffi::AVERROR_ENCODER_NOT_FOUND);
    pub(crate) const INVALID: Error = Error(ffi::AVERROR(ffi::EINVAL));

    /// More input is needed first, or output must be taken first.
    fn is_again(self) -> bool {
        self.0 == ffi::AVERROR(ffi::EAGAIN)
    }

    fn is_end(self) -> bool {
        self.0 == ffi::AVERROR_EOF
    }

    /// The stream is broken there, and not the decoder.
    pub(crate) fn is_of_stream(self) -> bool {
        self.0 == ffi::AVERROR_INVALIDDATA
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; ffi::AV_ERROR_MAX_STRING_SIZE];
        // SAFETY: it writes at most as many bytes as it is told, and ends them with a zero.
        let known = unsafe { ffi::av_strerror(self.0, text.as_mut_ptr(), text.len()) };
        if known < 0 {
            return write!(f, "error {}", self.0);
        }
        // SAFETY: see above.
        f.write_str(&unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy())
    }
}

fn check(code: c_int) -> Result<c_int, Error> {
    if code < 0 { Err(Error(code)) } else { Ok(code) }
}

/// Keeps the library from writing to the server's terminal: what matters comes as errors.
pub(crate) fn silence() {
    // SAFETY: it sets a number.
    unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) };
}

/// Nanoseconds, the unit of every time here.
const TIME_BASE: ffi::AVRational = ffi::AVRational { num: 1, den: 1_000_000_000 };

/// A codec context, opened or not.
struct Context(NonNull<ffi::AVCodecContext>);

impl Context {
    fn new(codec: *const ffi::AVCodec) -> Result<Self, Error> {
        // SAFETY: `codec` is of the library's static table.
        NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) }).map(Self).ok_or(Error::NO_MEMORY)
    }

    fn fields(&mut self) -> &mut ffi::AVCodecContext {
        // SAFETY: it lives as long as `self`, which nobody else has.
        unsafe { self.0.as_mut() }
    }

    /// Gives it bytes of configuration before it is opened.
    fn set_extradata(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let padding = ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
        // SAFETY: the memory is the library's own, zeroed, and large enough; the context frees it.
        unsafe {
            let memory = ffi::av_mallocz(bytes.len() + padding).cast::<u8>();
            if memory.is_null() {
                return Err(Error::NO_MEMORY);
            }
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory, bytes.len());
            ffi::av_freep((&raw mut self.fields().extradata).cast());
            self.fields().extradata = memory;
        }
        self.fields().extradata_size = c_int::try_from(bytes.len()).map_err(|_| Error::INVALID)?;
        Ok(())
    }

    fn extradata(&mut self) -> &[u8] {
        let fields = self.fields();
        if fields.extradata.is_null() || fields.extradata_size <= 0 {
            return &[];
        }
        // SAFETY: the library says so.
        unsafe { std::slice::from_raw_parts(fields.extradata, fields.extradata_size as usize) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut context = self.0.as_ptr();
        // SAFETY: it was allocated by the library and is freed once.
        unsafe { ffi::avcodec_free_context(&raw mut context) };
    }
}

/// A coded packet of the library.
struct Packet(NonNull<ffi::AVPacket>);

impl Packet {
    fn new() -> Result<Self, Error> {
        // SAFETY: no preconditions.
        NonNull::new(unsafe { ffi::av_packet_alloc() }).map(Self).ok_or(Error::NO_MEMORY)
    }

    /// A copy of `payload`, with the padding that decoders want.
    fn fill(&mut self, payload: &[u8]) -> Result<(), Error> {
        let size = c_int::try_from(payload.len()).map_err(|_| Error::INVALID)?;
        // SAFETY: the packet is ours; after success its data has `size` bytes.
        unsafe {
            ffi::av_packet_unref(self.0.as_ptr());
            check(ffi::av_new_packet(self.0.as_ptr(), size))?;
            std::ptr::copy_nonoverlapping(payload.as_ptr(), self.fields().data, payload.len());
        }
        Ok(())
    }

    fn fields(&mut self) -> &mut ffi::AVPacket {
        // SAFETY: it lives as long as `self`, which nobody else has.
        unsafe { self.0.as_mut() }
    }

    fn payload(&mut self) -> &[u8] {
        let fields = self.fields();
        if fields.data.is_null() || fields.size <= 0 {
            return &[];
        }
        // SAFETY: the library says so.
        unsafe { std::slice::from_raw_parts(fields.data, fields.size as usize) }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let mut packet = self.0.as_ptr();
        // SAFETY: it was allocated by the library and is freed once.
        unsafe { ffi::av_packet_free(&raw mut packet) };
    }
}

/// Options by name, as the command line of ffmpeg has them.
struct Options(*mut ffi::AVDictionary);

impl Options {
    fn new() -> Self {
        Self(std::ptr::null_mut())
    }

    fn set(&mut self, name: &CStr, value: &str) -> Result<(), Error> {
        let value = std::ffi::CString::new(value).map_err(|_| Error::INVALID)?;
        // SAFETY: both texts end with a zero and are copied.
        check(unsafe { ffi::av_dict_set(&raw mut self.0, name.as_ptr(), value.as_ptr(), 0) }).map(|_| ())
    }

    /// The first option that was not taken.
    fn left(&self) -> Option<String> {
        // SAFETY: the entry belongs to the dictionary, which lives.
        unsafe {
            let entry = ffi::av_dict_get(self.0, c"".as_ptr(), std::ptr::null(), ffi::AV_DICT_IGNORE_SUFFIX);
            (!entry.is_null()).then(|| CStr::from_ptr((*entry).key).to_string_lossy().into_owned())
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the library allocated it, or it is null, which is allowed.
        unsafe { ffi::av_dict_free(&raw mut self.0) };
    }
}
