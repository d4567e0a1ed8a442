//! Decoders.

use super::device::download;
use super::{Context, Device, Error, Frame, Options, Packet, TIME_BASE, check, ffi};
use crate::decode;
use crate::ipc::Coded;
use crate::limits::PICTURE_PIXELS_MAX;
use crate::sound::{Plain, PlainFormat, Source};
use std::ffi::{CStr, c_int};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Threads where nothing is said. Each one more holds back a picture, and one core decodes a hundred of 1080p in a second: the
/// second is for catching up.
const THREADS_DEFAULT: u8 = 2;

/// Decodes one track.
pub(crate) struct Decoder {
    context: Context,
    packet: Packet,
    /// There if pictures come out in the memory of a device.
    surface: Option<Surface>,
}

/// A picture in the memory of a device, and who sees to it that it is there.
struct Surface {
    frame: Frame,
    /// What the context has a pointer to.
    choice: Arc<Choice>,
}

/// What formats a decoder may choose.
struct Choice {
    wanted: c_int,
    /// There was a stream for which the device has none.
    is_refused: AtomicBool,
}

/// What the library calls the decoder of a device.
fn name_of(by: decode::Backend, codec: media::Codec) -> Option<&'static CStr> {
    use decode::Backend;
    Some(match (by, codec) {
        // The library's own decoders read the headers, and leave the pictures to the device.
        (Backend::Nvdec | Backend::Vaapi | Backend::VideoToolbox, media::Codec::H264) => c"h264",
        (Backend::Nvdec | Backend::Vaapi | Backend::VideoToolbox, media::Codec::H265) => c"hevc",
        (Backend::Nvdec | Backend::Vaapi, media::Codec::Av1) => c"av1",
        (Backend::Qsv, media::Codec::H264) => c"h264_qsv",
        (Backend::Qsv, media::Codec::H265) => c"hevc_qsv",
        (Backend::Qsv, media::Codec::Av1) => c"av1_qsv",
        (Backend::V4l2, media::Codec::H264) => c"h264_v4l2m2m",
        (Backend::V4l2, media::Codec::H265) => c"hevc_v4l2m2m",
        _ => return None,
    })
}

/// Takes the format of the device, and nothing else: what the processor decodes belongs into a process that has no rights.
///
/// # Safety
///
/// For the library, as `get_format` of a context whose `opaque` is a [`Choice`].
unsafe extern "C" fn choose(
    context: *mut ffi::AVCodecContext,
    offered: *const ffi::AVPixelFormat,
) -> ffi::AVPixelFormat {
    // SAFETY: the decoder keeps it for as long as it has the context.
    let choice = unsafe { &*(*context).opaque.cast::<Choice>() };
    // They may be more than the bindings have names for.
    let mut offered = offered.cast::<c_int>();
    loop {
        // SAFETY: the list ends with a format that is none, and is not read beyond.
        let format = unsafe { offered.read() };
        if format == choice.wanted {
            // SAFETY: it was made of a format.
            return unsafe { std::mem::transmute::<c_int, ffi::AVPixelFormat>(format) };
        }
        if format == ffi::AVPixelFormat::AV_PIX_FMT_NONE as c_int {
            choice.is_refused.store(true, Ordering::Relaxed);
            return ffi::AVPixelFormat::AV_PIX_FMT_NONE;
        }
        // SAFETY: it was not the last one.
        offered = unsafe { offered.add(1) };
    }
}

impl Decoder {
    /// For `codec` with its configuration record, which may be empty for codecs that have none.
    pub(crate) fn open(codec: media::Codec, record: &[u8], threads: u8) -> Result<Self, String> {
        let id = match codec {
            media::Codec::H264 => ffi::AVCodecID::AV_CODEC_ID_H264,
            media::Codec::H265 => ffi::AVCodecID::AV_CODEC_ID_HEVC,
            media::Codec::Av1 => ffi::AVCodecID::AV_CODEC_ID_AV1,
            media::Codec::Vp8 => ffi::AVCodecID::AV_CODEC_ID_VP8,
            media::Codec::Vp9 => ffi::AVCodecID::AV_CODEC_ID_VP9,
            _ => return Err(format!("no decoder for {codec:?}")),
        };
        // The library's own AV1 decoder only drives hardware.
        let name = (codec == media::Codec::Av1).then_some(c"libdav1d");
        // SAFETY: the name ends with a zero; both return null or an entry of a static table.
        let found = unsafe {
            name.map(|name| ffi::avcodec_find_decoder_by_name(name.as_ptr()))
                .filter(|found| !found.is_null())
                .unwrap_or_else(|| ffi::avcodec_find_decoder(id))
        };
        if found.is_null() {
            return Err(format!("this libav has no decoder for {codec:?}"));
        }
        let open = || {
            let mut context = Context::new(found)?;
            context.set_extradata(record)?;
            let fields = context.fields();
            fields.max_pixels = i64::from(PICTURE_PIXELS_MAX);
            fields.pkt_timebase = TIME_BASE;
            fields.thread_count = c_int::from(if threads == 0 { THREADS_DEFAULT } else { threads });
            fields.thread_type = ffi::FF_THREAD_FRAME | ffi::FF_THREAD_SLICE;
            // SAFETY: the context was made for this decoder.
            check(unsafe { ffi::avcodec_open2(context.0.as_ptr(), found, std::ptr::null_mut()) })?;
            Ok(Self { context, packet: Packet::new()?, surface: None })
        };
        open().map_err(|error: Error| format!("the decoder of {codec:?} does not open: {error}"))
    }

    /// For `codec` on a device, which is open if `by` has one that is to be opened before.
    pub(crate) fn open_on(
        by: decode::Backend,
        device: Option<&Device>,
        codec: media::Codec,
        record: &[u8],
    ) -> Result<Self, String> {
        let name = name_of(by, codec).ok_or_else(|| format!("{by} does not decode {codec:?}"))?;
        // SAFETY: the name ends with a zero.
        let found = unsafe { ffi::avcodec_find_decoder_by_name(name.as_ptr()) };
        if found.is_null() {
            return Err(format!("this libav has no {}", name.to_string_lossy()));
        }
        let open = || {
            let mut context = Context::new(found)?;
            context.set_extradata(record)?;
            let fields = context.fields();
            fields.max_pixels = i64::from(PICTURE_PIXELS_MAX);
            fields.pkt_timebase = TIME_BASE;
            // Threads hold back pictures, and the device does the work.
            fields.thread_count = 1;
            let surface = match device {
                None => None,
                Some(device) => {
                    device.attach(fields)?;
                    let wanted = device.format() as c_int;
                    let choice = Arc::new(Choice { wanted, is_refused: AtomicBool::new(false) });
                    fields.opaque = Arc::as_ptr(&choice).cast_mut().cast();
                    fields.get_format = Some(choose);
                    Some(Surface { frame: Frame::new()?, choice })
                }
            };
            let mut options = Options::new();
            if by == decode::Backend::Qsv {
                // Others hold back no pictures of their own.
                options.set(c"async_depth", "1")?;
            }
            // SAFETY: the context was made for this decoder.
            check(unsafe { ffi::avcodec_open2(context.0.as_ptr(), found, &raw mut options.0) })?;
            Ok(Self { context, packet: Packet::new()?, surface })
        };
        open().map_err(|error: Error| format!("the decoder of {by} does not open: {error}"))
    }

    /// Whether the device has no way to decode what came.
    pub(crate) fn has_refused(&self) -> bool {
        self.surface.as_ref().is_some_and(|surface| surface.choice.is_refused.load(Ordering::Relaxed))
    }

    /// For sound of `source` with its configuration record, which may be empty for codecs that have none.
    pub(crate) fn open_sound(source: Source, record: &[u8]) -> Result<Self, String> {
        let (id, rate, channels) = match source {
            Source::Aac => (ffi::AVCodecID::AV_CODEC_ID_AAC, 0, 0),
            Source::Opus => (ffi::AVCodecID::AV_CODEC_ID_OPUS, 48_000, 2),
            Source::Mp3 => (ffi::AVCodecID::AV_CODEC_ID_MP3, 0, 0),
            Source::Flac => (ffi::AVCodecID::AV_CODEC_ID_FLAC, 0, 0),
            Source::Ac3 => (ffi::AVCodecID::AV_CODEC_ID_AC3, 0, 0),
            Source::Eac3 => (ffi::AVCodecID::AV_CODEC_ID_EAC3, 0, 0),
            Source::Speex => (ffi::AVCodecID::AV_CODEC_ID_SPEEX, 16_000, 1),
            Source::Nellymoser { rate } => (ffi::AVCodecID::AV_CODEC_ID_NELLYMOSER, rate, 1),
            Source::Plain(Plain { format, rate, channels }) => {
                let id = match format {
                    PlainFormat::U8 => ffi::AVCodecID::AV_CODEC_ID_PCM_U8,
                    PlainFormat::S16 => ffi::AVCodecID::AV_CODEC_ID_PCM_S16LE,
                    PlainFormat::Adpcm => ffi::AVCodecID::AV_CODEC_ID_ADPCM_SWF,
                    PlainFormat::ALaw => ffi::AVCodecID::AV_CODEC_ID_PCM_ALAW,
                    PlainFormat::MuLaw => ffi::AVCodecID::AV_CODEC_ID_PCM_MULAW,
                };
                (id, rate, channels)
            }
        };
        // SAFETY: it returns null or an entry of a static table.
        let found = unsafe { ffi::avcodec_find_decoder(id) };
        if found.is_null() {
            return Err(format!("this libav has no decoder for {source:?}"));
        }
        let open = || {
            let mut context = Context::new(found)?;
            context.set_extradata(record)?;
            let fields = context.fields();
            fields.pkt_timebase = TIME_BASE;
            fields.thread_count = 1;
            if rate > 0 {
                fields.sample_rate = c_int::try_from(rate).map_err(|_| Error::INVALID)?;
                // SAFETY: the layout belongs to the context.
                unsafe {
                    ffi::av_channel_layout_default(&raw mut fields.ch_layout, c_int::from(channels));
                }
            }
            // SAFETY: the context was made for this decoder.
            check(unsafe { ffi::avcodec_open2(context.0.as_ptr(), found, std::ptr::null_mut()) })?;
            Ok(Self { context, packet: Packet::new()?, surface: None })
        };
        open().map_err(|error: Error| format!("the decoder of {source:?} does not open: {error}"))
    }

    /// Gives it a frame; `None` says that nothing follows.
    pub(crate) fn send(&mut self, coded: Option<&Coded>) -> Result<(), Error> {
        let packet = match coded {
            None => std::ptr::null(),
            Some(coded) => {
                self.packet.fill(&coded.payload)?;
                let fields = self.packet.fields();
                (fields.pts, fields.dts) = (coded.pts, coded.dts);
                if coded.keyframe {
                    fields.flags |= ffi::AV_PKT_FLAG_KEY;
                }
                self.packet.0.as_ptr().cast_const()
            }
        };
        // SAFETY: the context is open, and the packet ours.
        check(unsafe { ffi::avcodec_send_packet(self.context.0.as_ptr(), packet) }).map(|_| ())
    }

    /// The next picture, if there is one.
    pub(crate) fn receive(&mut self, frame: &mut Frame) -> Result<bool, Error> {
        let surface = self.surface.as_mut().map(|surface| &mut surface.frame);
        let into = surface.map_or(frame.as_ptr(), Frame::as_ptr);
        // SAFETY: the context is open, and the frame ours.
        match check(unsafe { ffi::avcodec_receive_frame(self.context.0.as_ptr(), into) }) {
            Ok(_) => {}
            Err(error) if error.is_again() || error.is_end() => return Ok(false),
            Err(error) => return Err(error),
        }
        if let Some(surface) = &mut self.surface {
            download(&mut surface.frame, frame)?;
        }
        Ok(true)
    }

    /// Forgets what it holds, so that decoding can begin anew.
    pub(crate) fn flush(&mut self) {
        // SAFETY: the context is open.
        unsafe { ffi::avcodec_flush_buffers(self.context.0.as_ptr()) };
    }
}
