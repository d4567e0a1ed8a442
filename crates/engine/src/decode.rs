//! Who decodes.

use crate::encode::Codec;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The processor, and the devices that decode pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Backend {
    /// The processor.
    Software,
    /// NVIDIA's decoder, which their cards for data centres have, too, that do not encode.
    Nvdec,
    /// Intel Quick Sync.
    Qsv,
    /// VA-API: Intel and AMD on Linux.
    Vaapi,
    /// Apple's decoder.
    VideoToolbox,
    /// The decoder of a system on a chip, by V4L2.
    V4l2,
}

impl Backend {
    /// All of them, the processor first.
    pub const ALL: [Backend; 6] = [
        Backend::Software,
        Backend::Nvdec,
        Backend::Qsv,
        Backend::Vaapi,
        Backend::VideoToolbox,
        Backend::V4l2,
    ];

    /// Its name in configuration and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Software => "software",
            Backend::Nvdec => "nvdec",
            Backend::Qsv => "qsv",
            Backend::Vaapi => "vaapi",
            Backend::VideoToolbox => "videotoolbox",
            Backend::V4l2 => "v4l2",
        }
    }

    /// The back end called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.name() == name)
    }

    /// The codecs that are asked of it, as far as there is an encoder to try it with. The processor decodes others, too.
    pub const fn codecs(self) -> &'static [Codec] {
        match self {
            Backend::VideoToolbox | Backend::V4l2 => &[Codec::H264, Codec::H265],
            Backend::Software | Backend::Nvdec | Backend::Qsv | Backend::Vaapi => {
                &[Codec::H264, Codec::H265, Codec::Av1]
            }
        }
    }

    /// Whether it is asked to decode packets of `codec`.
    pub fn decodes(self, codec: media::Codec) -> bool {
        self == Backend::Software || self.codecs().iter().any(|known| known.of_packets() == codec)
    }

    /// Whether it needs a device.
    pub const fn is_hardware(self) -> bool {
        !matches!(self, Backend::Software)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
