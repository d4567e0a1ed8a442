//! Encoders.

use super::device::Surfaces;
use super::{Context, Error, Frame, Options, Packet, TIME_BASE, check, ffi};
use crate::encode::{Backend, Codec, Config, Preset, Profile, Tune};
use crate::ipc::Coded;
use crate::picture::{Picture, Region};
use crate::worker::content::Content;
use std::ffi::{CStr, c_int};

/// Farther apart than any stream has them: keyframes are where they are asked for.
const GOP_ENDLESS: c_int = 1 << 20;

/// What the library calls the encoder of a back end.
fn name_of(backend: Backend, codec: Codec) -> Option<&'static CStr> {
    Some(match (backend, codec) {
        (Backend::X264, Codec::H264) => c"libx264",
        (Backend::OpenH264, Codec::H264) => c"libopenh264",
        (Backend::X265, Codec::H265) => c"libx265",
        (Backend::SvtAv1, Codec::Av1) => c"libsvtav1",
        (Backend::Nvenc, Codec::H264) => c"h264_nvenc",
        (Backend::Nvenc, Codec::H265) => c"hevc_nvenc",
        (Backend::Nvenc, Codec::Av1) => c"av1_nvenc",
        (Backend::Vaapi, Codec::H264) => c"h264_vaapi",
        (Backend::Vaapi, Codec::H265) => c"hevc_vaapi",
        (Backend::Vaapi, Codec::Av1) => c"av1_vaapi",
        (Backend::Qsv, Codec::H264) => c"h264_qsv",
        (Backend::Qsv, Codec::H265) => c"hevc_qsv",
        (Backend::Qsv, Codec::Av1) => c"av1_qsv",
        (Backend::V4l2, Codec::H264) => c"h264_v4l2m2m",
        (Backend::VideoToolbox, Codec::H264) => c"h264_videotoolbox",
        (Backend::VideoToolbox, Codec::H265) => c"hevc_videotoolbox",
        _ => return None,
    })
}

/// Encodes pictures of one size.
pub(crate) struct Encoder {
    context: Context,
    packet: Packet,
    /// What pictures are scaled into.
    frame: Frame,
    /// Pictures have regions even where there are none.
    always_has_regions: bool,
    /// There if the device takes pictures from its own memory.
    surfaces: Option<Surfaces>,
}

/// What an encoder gives.
pub(crate) struct Encoded<'a> {
    pub(crate) coded: Coded,
    /// What it said when it was opened.
    pub(crate) extradata: &'a [u8],
}

impl Encoder {
    /// Opens `backend` for `config`. `like` has the colours of what comes, which is of `content`; `fps` is what may be expected.
    pub(crate) fn open(
        config: &Config,
        backend: Backend,
        like: &Picture,
        content: Content,
        fps: f64,
    ) -> Result<Self, String> {
        let name = name_of(backend, config.codec)
            .ok_or_else(|| format!("{backend} does not encode {:?}", config.codec))?;
        // SAFETY: the name ends with a zero.
        let found = unsafe { ffi::avcodec_find_encoder_by_name(name.as_ptr()) };
        if found.is_null() {
            return Err(format!("this libav has no {}", name.to_string_lossy()));
        }
        let mut left = None;
        let mut open = || {
            let mut context = Context::new(found)?;
            describe(context.fields(), config, backend, like, fps)?;
            if backend == Backend::SvtAv1 {
                // Without it keyframes are only where it begins.
                context.fields().flags |= ffi::AV_CODEC_FLAG_CLOSED_GOP as c_int;
                if config.quality.is_none() {
                    // It takes a ceiling with constant quality alone.
                    (context.fields().rc_max_rate, context.fields().rc_buffer_size) = (0, 0);
                }
            }
            let surfaces = match backend {
                Backend::Vaapi => Some(Surfaces::open(context.fields().width, context.fields().height)?),
                _ => None,
            };
            let samples = match backend {
                Backend::Vaapi | Backend::Qsv => ffi::AVPixelFormat::AV_PIX_FMT_NV12,
                _ => ffi::AVPixelFormat::AV_PIX_FMT_YUV420P,
            };
            context.fields().pix_fmt = samples;
            if let Some(surfaces) = &surfaces {
                surfaces.attach(context.fields())?;
            }
            let mut options = options(config, backend, content)?;
            // SAFETY: the context was made for this encoder.
            check(unsafe { ffi::avcodec_open2(context.0.as_ptr(), found, &raw mut options.0) })?;
            left = options.left();
            let mut frame = Frame::with_size(config.width, config.height, samples)?;
            paint(frame.fields(), like);
            // x265 3.5 makes room for them with its first pictures, or never, and crashes then.
            let always_has_regions = backend == Backend::X265 && config.regions;
            Ok(Self { context, packet: Packet::new()?, frame, always_has_regions, surfaces })
        };
        let encoder = open().map_err(|error: Error| format!("{backend} does not open: {error}"))?;
        match left {
            Some(option) => Err(format!("{backend} does not know the option {option}")),
            None => Ok(encoder),
        }
    }

    /// What the next picture is to be written into.
    pub(crate) fn frame(&mut self) -> &mut Frame {
        &mut self.frame
    }

    /// Encodes what is in [`Encoder::frame`], and `regions` of it, in its pixels, more exactly than the rest.
    pub(crate) fn send(&mut self, pts: i64, keyframe: bool, regions: &[Region]) -> Result<(), Error> {
        let frame = match &mut self.surfaces {
            Some(surfaces) => surfaces.upload(&mut self.frame)?,
            None => &mut self.frame,
        };
        if regions.is_empty() && self.always_has_regions {
            frame.set_regions(&[Region { x: 0, y: 0, width: 16, height: 16 }], 0)?;
        } else {
            frame.set_regions(regions, FINER_HUNDREDTHS)?;
        }
        let fields = frame.fields();
        fields.pts = pts;
        fields.pict_type = if keyframe {
            ffi::AVPictureType::AV_PICTURE_TYPE_I
        } else {
            ffi::AVPictureType::AV_PICTURE_TYPE_NONE
        };
        // SAFETY: the context is open, and the frame ours.
        check(unsafe { ffi::avcodec_send_frame(self.context.0.as_ptr(), frame.as_ptr()) }).map(|_| ())
    }

    /// Says that nothing follows.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        // SAFETY: the context is open; a null frame ends it.
        check(unsafe { ffi::avcodec_send_frame(self.context.0.as_ptr(), std::ptr::null()) }).map(|_| ())
    }

    /// The next coded frame, if there is one.
    pub(crate) fn receive(&mut self) -> Result<Option<Encoded<'_>>, Error> {
        // SAFETY: the context is open, and the packet ours.
        match check(unsafe { ffi::avcodec_receive_packet(self.context.0.as_ptr(), self.packet.0.as_ptr()) }) {
            Err(error) if error.is_again() || error.is_end() => return Ok(None),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let payload = self.packet.payload().to_vec();
        let fields = self.packet.fields();
        let coded = Coded {
            pts: fields.pts,
            dts: fields.dts,
            keyframe: fields.flags & ffi::AV_PKT_FLAG_KEY != 0,
            disposable: fields.flags & ffi::AV_PKT_FLAG_DISPOSABLE != 0,
            payload,
        };
        Ok(Some(Encoded { coded, extradata: self.context.extradata() }))
    }

    /// Another bit rate from the next picture on. x264 and the encoders of devices take it while they run.
    pub(crate) fn set_bitrate(&mut self, bps: u32, has_quality: bool) {
        let fields = self.context.fields();
        if !has_quality {
            fields.bit_rate = i64::from(bps);
        }
        fields.rc_max_rate = i64::from(bps);
        fields.rc_buffer_size = buffer(bps);
    }
}

impl Encoder {
    /// Another constant quality from the next picture on. Only x264 takes it while it runs.
    pub(crate) fn set_quality(&mut self, quality: f32) -> Result<(), Error> {
        // SAFETY: the context is open, and so has its private options; the name ends with a zero.
        check(unsafe {
            ffi::av_opt_set_double(self.context.fields().priv_data, c"crf".as_ptr(), f64::from(quality), 0)
        })
        .map(|_| ())
    }
}

/// How much finer than the rest what people look at is quantised, in hundredths of the whole scale of the codec: 4 of x264's 51 steps. A quarter
/// more takes half as much again of the other parts of a picture for a fifth more of what is gained.
const FINER_HUNDREDTHS: c_int = 8;

/// One second: what players hold at least.
fn buffer(bps: u32) -> c_int {
    c_int::try_from(bps).unwrap_or(c_int::MAX)
}

/// The shape of a pixel after scaling: the picture keeps its own. Sizes of rungs are rounded, so that square pixels stay square.
fn aspect(config: &Config, like: &Picture) -> ffi::AVRational {
    let (num, den) = like.pixel_aspect;
    if num == den {
        return ffi::AVRational { num: 1, den: 1 };
    }
    let wide = i64::from(num).saturating_mul(i64::from(like.width) * i64::from(config.height));
    let tall = i64::from(den).saturating_mul(i64::from(like.height) * i64::from(config.width));
    let mut reduced = ffi::AVRational { num: 1, den: 1 };
    const LARGEST: i64 = 65_535;
    // SAFETY: it writes to two numbers.
    unsafe { ffi::av_reduce(&raw mut reduced.num, &raw mut reduced.den, wide, tall, LARGEST) };
    reduced
}

fn describe(
    fields: &mut ffi::AVCodecContext,
    config: &Config,
    backend: Backend,
    like: &Picture,
    fps: f64,
) -> Result<(), Error> {
    fields.width = c_int::try_from(config.width).map_err(|_| Error::INVALID)?;
    fields.height = c_int::try_from(config.height).map_err(|_| Error::INVALID)?;
    fields.time_base = TIME_BASE;
    fields.framerate = ffi::AVRational { num: (fps * 1000.0).round().max(1.0) as c_int, den: 1000 };
    fields.gop_size = GOP_ENDLESS;
    fields.max_b_frames = c_int::from(config.b_frames);
    fields.thread_count = c_int::from(threads(config));
    fields.flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as c_int;
    fields.rc_max_rate = i64::from(config.bitrate_bps);
    fields.rc_buffer_size = buffer(config.bitrate_bps);
    if config.quality.is_none() || !backend.has_quality() {
        fields.bit_rate = i64::from(config.bitrate_bps);
    }
    fields.color_range = if like.full_range {
        ffi::AVColorRange::AVCOL_RANGE_JPEG
    } else {
        ffi::AVColorRange::AVCOL_RANGE_MPEG
    };
    fields.sample_aspect_ratio = aspect(config, like);
    if let Some(profile) = config.profile {
        fields.profile = match profile {
            Profile::Baseline => ffi::FF_PROFILE_H264_BASELINE as c_int,
            Profile::Main => ffi::FF_PROFILE_H264_MAIN as c_int,
            Profile::High => ffi::FF_PROFILE_H264_HIGH as c_int,
        };
        if profile == Profile::Baseline {
            fields.max_b_frames = 0;
        }
    }
    // SAFETY: the tables have only numbers that the enumerations have names for.
    unsafe {
        fields.color_primaries =
            std::mem::transmute::<u32, ffi::AVColorPrimaries>(known(like.primaries, &PRIMARIES));
        fields.color_trc =
            std::mem::transmute::<u32, ffi::AVColorTransferCharacteristic>(known(like.transfer, &TRANSFERS));
        fields.colorspace = std::mem::transmute::<u32, ffi::AVColorSpace>(known(like.matrix, &MATRICES));
    }
    Ok(())
}

/// Code points that the library has names for; any other one is "unspecified".
const PRIMARIES: [u8; 8] = [1, 4, 5, 6, 7, 9, 11, 12];
const TRANSFERS: [u8; 9] = [1, 4, 5, 6, 7, 13, 14, 16, 18];
const MATRICES: [u8; 6] = [1, 4, 5, 6, 7, 9];
const UNSPECIFIED: u32 = 2;

fn known(code: u8, table: &[u8]) -> u32 {
    if table.contains(&code) { u32::from(code) } else { UNSPECIFIED }
}

/// Each thread more holds back a picture and costs a little of quality; one is enough for what is small.
fn threads(config: &Config) -> u8 {
    const SMALL_PIXELS: u64 = 1280 * 720;
    match config.threads {
        0 if u64::from(config.width) * u64::from(config.height) < SMALL_PIXELS => 1,
        0 => 2,
        threads => threads,
    }
}

fn paint(frame: &mut ffi::AVFrame, like: &Picture) {
    frame.color_range = if like.full_range {
        ffi::AVColorRange::AVCOL_RANGE_JPEG
    } else {
        ffi::AVColorRange::AVCOL_RANGE_MPEG
    };
}

/// What pays where quality is what is asked for, and bits are what is saved: a little goes from busy parts to dark and flat ones, and
/// none into grain that only looks like detail. The usual strength of 1 gives flat parts more than is seen.
const NARROW_X264: &str = ":aq-mode=3:aq-strength=0.3:no-psy=1";

/// What pays beside it in presets that have the time: half of what `medium` saves for a third of its work.
const NARROW_X264_SLOW: &str = ":ref=3:subme=5";

/// With constant quality SVT-AV1 puts keyframes where it is asked to. Here it does not mix a picture with its neighbours
/// before it encodes it (`enable-tf`), which costs games and text, leaves out the filter that costs most (`enable-cdef`), which VMAF does not miss,
/// and gives fewer bits to fine detail where it is not seen (`tune`, `enable-qm`). Where it may go 40 % beyond the most bits for a while it comes
/// out at them on the whole; where it may go less far it throws away what it was given.
const NARROW_SVT_AV1: &str = ":enable-force-key-frames=1:tune=0:enable-tf=0:enable-cdef=0:enable-qm=1:qm-min=0\
    :mbr-overshoot-pct=40";

/// Lower numbers are more work. Small pictures take little of it whatever the preset, and lose most by a fast one; with large ones it is the
/// other way round. Screens take half more for the tools that are for them (palettes, and copies from the same picture), which save more than a
/// slower preset does.
fn preset_svt_av1(config: &Config, content: Content) -> i32 {
    const TINY_PIXELS: u64 = 426 * 240;
    const SMALL_PIXELS: u64 = 640 * 360;
    const LARGE_PIXELS: u64 = 1280 * 720;
    const FASTEST: i32 = 13;
    let preset = match config.preset {
        Preset::Ultrafast => FASTEST,
        Preset::Superfast => 12,
        Preset::Veryfast => 11,
        Preset::Faster => 10,
        Preset::Fast => 9,
        Preset::Medium => 8,
    };
    let pixels = u64::from(config.width) * u64::from(config.height);
    let slower = match content {
        _ if config.quality.is_none() || config.preset == Preset::Ultrafast => 0,
        Content::Screen => -2,
        Content::Scene if pixels <= TINY_PIXELS => 2,
        Content::Scene if pixels <= SMALL_PIXELS => 1,
        Content::Scene if pixels >= LARGE_PIXELS => -1,
        Content::Scene => 0,
    };
    (preset - slower).min(FASTEST)
}

fn options(config: &Config, backend: Backend, content: Content) -> Result<Options, Error> {
    let mut options = Options::new();
    let is_immediate = config.b_frames == 0;
    match backend {
        Backend::X264 | Backend::X265 => {
            options.set(c"preset", config.preset.name())?;
            options.set(c"forced-idr", "1")?;
            let tunes = config.tune.map(Tune::name).into_iter().chain(is_immediate.then_some("zerolatency"));
            // x265 knows but one.
            let tunes =
                tunes.take(if backend == Backend::X264 { 2 } else { 1 }).collect::<Vec<_>>().join(",");
            if !tunes.is_empty() {
                options.set(c"tune", &tunes)?;
            }
            if let Some(quality) = config.quality {
                options.set(c"crf", &quality.to_string())?;
            }
            // Keyframes come from the source.
            let lookahead = config.lookahead;
            if backend == Backend::X264 {
                let mut parameters = "scenecut=0:open-gop=0:stitchable=1".to_owned();
                if is_immediate {
                    parameters.push_str(":sliced-threads=0");
                } else {
                    parameters.push_str(&format!(":rc-lookahead={lookahead}:sync-lookahead=0"));
                }
                // Who names what pictures are like gets what x264 thinks of that.
                if config.quality.is_some() && config.tune.is_none() {
                    parameters.push_str(NARROW_X264);
                    if config.preset >= Preset::Faster {
                        parameters.push_str(NARROW_X264_SLOW);
                    }
                }
                options.set(c"x264-params", &parameters)?;
            } else {
                // What "zerolatency" is made of, for another tune is in its place.
                let delay = match is_immediate {
                    true => "bframes=0:b-adapt=0:rc-lookahead=0:cutree=0:frame-threads=1".to_owned(),
                    false => format!("rc-lookahead={lookahead}"),
                };
                let mut parameters = format!("scenecut=0:open-gop=0:log-level=none:repeat-headers=0:{delay}");
                // These leave out the means by which blocks differ; so little of it does nothing else.
                if config.regions && config.preset <= Preset::Superfast {
                    parameters.push_str(":aq-mode=1:aq-strength=0.01");
                }
                options.set(c"x265-params", &parameters)?;
            }
        }
        Backend::SvtAv1 => {
            options.set(c"preset", &preset_svt_av1(config, content).to_string())?;
            let mut parameters = format!("lp={}", threads(config));
            if config.quality.is_some() {
                parameters.push_str(NARROW_SVT_AV1);
                if content == Content::Screen {
                    parameters.push_str(":scm=1");
                }
            }
            options.set(c"svtav1-params", &parameters)?;
            if let Some(quality) = config.quality {
                options.set(c"crf", &quality.round().to_string())?;
            }
        }
        Backend::Nvenc => {
            options.set(c"forced-idr", "1")?;
            if let Some(profile) = config.profile {
                options.set(c"profile", profile.name())?;
            }
            options.set(c"zerolatency", if is_immediate { "1" } else { "0" })?;
            if let Some(quality) = config.quality {
                options.set(c"cq", &quality.to_string())?;
            }
        }
        Backend::Qsv => options.set(c"forced_idr", "1")?,
        Backend::OpenH264 | Backend::Vaapi | Backend::V4l2 | Backend::VideoToolbox => {}
    }
    Ok(options)
}
