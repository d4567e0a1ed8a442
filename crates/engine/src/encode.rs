//! What an encoder is asked for.

use crate::mark::Marks;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A codec that pictures are encoded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// H.264 / AVC.
    H264,
    /// H.265 / HEVC.
    H265,
    /// AV1.
    Av1,
}

/// The libraries and devices that encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Backend {
    /// H.264 on the processor, by x264.
    X264,
    /// H.265 on the processor, by x265.
    X265,
    /// AV1 on the processor, by SVT-AV1.
    SvtAv1,
    /// H.264 on the processor, by OpenH264.
    OpenH264,
    /// NVIDIA's encoder.
    Nvenc,
    /// VA-API: Intel and AMD on Linux.
    Vaapi,
    /// Intel Quick Sync.
    Qsv,
    /// The encoder of a system on a chip, by V4L2.
    V4l2,
    /// Apple's encoder.
    VideoToolbox,
}

impl Backend {
    /// All of them, devices first.
    pub const ALL: [Backend; 9] = [
        Backend::Nvenc,
        Backend::Qsv,
        Backend::Vaapi,
        Backend::VideoToolbox,
        Backend::V4l2,
        Backend::X264,
        Backend::X265,
        Backend::SvtAv1,
        Backend::OpenH264,
    ];

    /// Those that need no device, best first: who encodes where nothing else is said or works.
    pub const PROCESSOR: [Backend; 4] = [Backend::X264, Backend::OpenH264, Backend::SvtAv1, Backend::X265];

    /// Its name in configuration and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::X264 => "x264",
            Backend::X265 => "x265",
            Backend::SvtAv1 => "svt-av1",
            Backend::OpenH264 => "openh264",
            Backend::Nvenc => "nvenc",
            Backend::Vaapi => "vaapi",
            Backend::Qsv => "qsv",
            Backend::V4l2 => "v4l2",
            Backend::VideoToolbox => "videotoolbox",
        }
    }

    /// The back end called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.name() == name)
    }

    /// The codecs that it encodes.
    pub const fn codecs(self) -> &'static [Codec] {
        match self {
            Backend::X264 | Backend::OpenH264 | Backend::V4l2 => &[Codec::H264],
            Backend::X265 => &[Codec::H265],
            Backend::SvtAv1 => &[Codec::Av1],
            Backend::VideoToolbox => &[Codec::H264, Codec::H265],
            Backend::Nvenc | Backend::Vaapi | Backend::Qsv => &[Codec::H264, Codec::H265, Codec::Av1],
        }
    }

    /// Whether it has a constant quality. Others fill the bit rate.
    pub const fn has_quality(self) -> bool {
        matches!(self, Backend::X264 | Backend::X265 | Backend::SvtAv1 | Backend::Nvenc)
    }

    /// Whether it can be told to be more exact in parts of a picture.
    pub const fn takes_regions(self) -> bool {
        matches!(self, Backend::X264 | Backend::X265 | Backend::Vaapi | Backend::Qsv)
    }

    /// Whether it needs a device.
    pub const fn is_hardware(self) -> bool {
        !matches!(self, Backend::X264 | Backend::X265 | Backend::SvtAv1 | Backend::OpenH264)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Codec {
    /// As packets name it.
    pub const fn of_packets(self) -> media::Codec {
        match self {
            Codec::H264 => media::Codec::H264,
            Codec::H265 => media::Codec::H265,
            Codec::Av1 => media::Codec::Av1,
        }
    }
}

/// How much work an encoder puts into a picture, least first. Each back end maps them to its own names; SVT-AV1 takes one or two more for small
/// pictures, and fewer for large ones and for screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Preset {
    /// x264 `ultrafast`, SVT-AV1 13.
    Ultrafast,
    /// x264 `superfast`, SVT-AV1 12.
    Superfast,
    /// x264 `veryfast`, SVT-AV1 11.
    Veryfast,
    /// x264 `faster`, SVT-AV1 10.
    Faster,
    /// x264 `fast`, SVT-AV1 9.
    Fast,
    /// x264 `medium`, SVT-AV1 8.
    Medium,
}

impl Preset {
    /// All of them, least work first.
    pub const ALL: [Preset; 6] = [
        Preset::Ultrafast,
        Preset::Superfast,
        Preset::Veryfast,
        Preset::Faster,
        Preset::Fast,
        Preset::Medium,
    ];

    /// Its name in configuration: x264's.
    pub const fn name(self) -> &'static str {
        match self {
            Preset::Ultrafast => "ultrafast",
            Preset::Superfast => "superfast",
            Preset::Veryfast => "veryfast",
            Preset::Faster => "faster",
            Preset::Fast => "fast",
            Preset::Medium => "medium",
        }
    }

    /// The preset called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }
}

/// What a decoder of H.264 must be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Profile {
    /// Neither arithmetic coding nor frames that refer to later ones: for devices of before 2010.
    Baseline,
    /// All but transforms of eight by eight.
    Main,
    /// What everything of today decodes.
    High,
}

impl Profile {
    /// All of them, the simplest first.
    pub const ALL: [Profile; 3] = [Profile::Baseline, Profile::Main, Profile::High];

    /// Its name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Baseline => "baseline",
            Profile::Main => "main",
            Profile::High => "high",
        }
    }

    /// The profile called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

/// What pictures are like that x264 or x265 encodes. Without one they are encoded for the least bits at the same judgement of VMAF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tune {
    /// Camera pictures whose grain and texture are to stay; x264 alone.
    Film,
    /// Drawn pictures.
    Animation,
    /// All grain stays, for many bits.
    Grain,
    /// Slides; x264 alone.
    StillImage,
    /// For players that are slow: no filter of block edges.
    FastDecode,
}

impl Tune {
    /// All of them.
    pub const ALL: [Tune; 5] = [Tune::Film, Tune::Animation, Tune::Grain, Tune::StillImage, Tune::FastDecode];

    /// Its name in configuration: x264's.
    pub const fn name(self) -> &'static str {
        match self {
            Tune::Film => "film",
            Tune::Animation => "animation",
            Tune::Grain => "grain",
            Tune::StillImage => "stillimage",
            Tune::FastDecode => "fastdecode",
        }
    }

    /// The one called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tune| tune.name() == name)
    }

    /// Whether encoders of `codec` know it.
    pub const fn suits(self, codec: Codec) -> bool {
        match codec {
            Codec::H264 => true,
            Codec::H265 => !matches!(self, Tune::Film | Tune::StillImage),
            Codec::Av1 => false,
        }
    }
}

/// How far a live rung looks ahead: a third of a second at 30 pictures per second.
pub const LOOKAHEAD_LIVE: u8 = 10;

/// What one encoder makes of the pictures it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The codec of its packets.
    pub codec: Codec,
    /// Who encodes; `None` is the best that is at hand.
    pub backend: Option<Backend>,
    /// In pixels, even.
    pub width: u32,
    /// In pixels, even.
    pub height: u32,
    /// Pictures are left out evenly above this rate; `None` takes all.
    pub fps_max: Option<f64>,
    /// Bits per second: what is aimed at, or with `quality` the most.
    pub bitrate_bps: u32,
    /// Constant quality on the scale of the codec (x264's CRF), with `bitrate_bps` as the most; `None` fills the bit rate.
    pub quality: Option<f32>,
    /// On the scale of VMAF: `quality` is only where it begins, and follows what pictures look like; `None` stays with it.
    pub vmaf: Option<f32>,
    /// Keyframes at most this far apart, beside those where the source has them; `None` is only there.
    pub gop: Option<Duration>,
    /// Frames that refer to later ones, between two that do not. They cost delay.
    pub b_frames: u8,
    /// Pictures that rate control looks ahead, each of which holds back a picture; nothing without `b_frames`.
    pub lookahead: u8,
    /// How much work is put into a picture.
    pub preset: Preset,
    /// Of H.264; `None` leaves it to the back end.
    pub profile: Option<Profile>,
    /// What pictures are like, for x264 and x265.
    pub tune: Option<Tune>,
    /// Noise of cameras is taken out where there is much of it.
    pub denoise: bool,
    /// What people look at is kept sharper than the rest: faces and small text. Encoders that cannot do not ([`Backend::takes_regions`]).
    pub regions: bool,
    /// Threads; 0 is as many as pay at this size.
    pub threads: u8,
    /// What is put over the pictures.
    pub marks: Marks,
}

impl Config {
    /// What a back end is tried with.
    pub(crate) fn of_test(codec: Codec, backend: Backend, (width, height): (u32, u32)) -> Self {
        Self {
            codec,
            backend: Some(backend),
            width,
            height,
            fps_max: None,
            bitrate_bps: 2_500_000,
            quality: None,
            vmaf: None,
            gop: None,
            b_frames: if codec == Codec::H264 { 2 } else { 0 },
            lookahead: LOOKAHEAD_LIVE,
            preset: Preset::Superfast,
            profile: None,
            tune: None,
            denoise: false,
            regions: false,
            threads: 0,
            marks: Marks::default(),
        }
    }

    /// The same for a picture that stands the other way, such as that of a phone that was turned: sides are swapped where one picture is tall
    /// and the other one wide. What a rung is called after is its short side, which stays.
    #[must_use]
    pub fn standing_like(&self, width: u32, height: u32) -> Self {
        let (is_tall, is_wide) = (height > width, width > height);
        if (is_tall && self.width > self.height) || (is_wide && self.height > self.width) {
            return Self { width: self.height, height: self.width, ..self.clone() };
        }
        self.clone()
    }
}
