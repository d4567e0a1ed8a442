//! Several pictures as an animated WebP file.

use super::still::fitting;
use super::{Context, Error, Frame, Options, Packet, Scaler, check, ffi};
use std::ffi::c_int;

/// What pictures of an animation are in: libwebp takes no other samples without converting them.
const SAMPLES: ffi::AVPixelFormat = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P;
/// The colours of WebP: BT.601 with limited range (RFC 9649 section 2.5, by way of RFC 6386 section 9.2).
const BT601: u8 = 5;
/// 0 to 100: what is seen for a moment, small.
const QUALITY: &str = "60";
/// Of 0 to 6: a quarter of the work of the default.
const EFFORT: &str = "2";

/// An animation that is being made.
pub(crate) struct Animation {
    context: Context,
    scaled: Frame,
    scaler: Option<Scaler>,
}

impl Animation {
    /// For pictures like `first`, each side at most `side_max` pixels long.
    pub(crate) fn open(first: &mut Frame, side_max: u32) -> Result<Self, Error> {
        // SAFETY: the name ends with a zero; it returns null or an entry of a static table.
        let found = unsafe { ffi::avcodec_find_encoder_by_name(c"libwebp_anim".as_ptr()) };
        if found.is_null() {
            return Err(Error::NO_ENCODER);
        }
        let (width, height) = fitting(first, side_max, side_max)?;
        let mut context = Context::new(found)?;
        let fields = context.fields();
        fields.width = c_int::try_from(width).map_err(|_| Error::INVALID)?;
        fields.height = c_int::try_from(height).map_err(|_| Error::INVALID)?;
        fields.pix_fmt = SAMPLES;
        // Milliseconds, the unit of the file.
        fields.time_base = ffi::AVRational { num: 1, den: 1000 };
        fields.thread_count = 1;
        let mut options = Options::new();
        options.set(c"quality", QUALITY)?;
        options.set(c"compression_level", EFFORT)?;
        // SAFETY: the context was made for this encoder.
        check(unsafe { ffi::avcodec_open2(context.0.as_ptr(), found, &raw mut options.0) })?;
        Ok(Self { context, scaled: Frame::with_size(width, height, SAMPLES)?, scaler: None })
    }

    /// One more picture, shown so many milliseconds after the first.
    pub(crate) fn add(&mut self, frame: &mut Frame, millis: i64) -> Result<(), Error> {
        self.scaled.make_writable()?;
        Scaler::convert(&mut self.scaler, frame, &mut self.scaled, Some((BT601, false)))?;
        self.scaled.fields().pts = millis;
        // SAFETY: the context is open; the frame is ours.
        check(unsafe { ffi::avcodec_send_frame(self.context.0.as_ptr(), self.scaled.as_ptr()) }).map(|_| ())
    }

    /// The file.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Error> {
        let mut packet = Packet::new()?;
        // SAFETY: the context is open, and the packet ours; a null frame ends it.
        unsafe {
            check(ffi::avcodec_send_frame(self.context.0.as_ptr(), std::ptr::null()))?;
            check(ffi::avcodec_receive_packet(self.context.0.as_ptr(), packet.0.as_ptr()))?;
        }
        Ok(packet.payload().to_vec())
    }
}
