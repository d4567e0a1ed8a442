//! MPEG audio (ISO/IEC 11172-3 and 13818-3): the frame header.

/// What the header of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// 1, 2 or 3.
    pub layer: u8,
    /// In Hz.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u8,
    /// In bits per second; `None` for the free format.
    pub bitrate_bps: Option<u32>,
    /// Samples of one channel in the frame.
    pub samples: u32,
    /// Bytes of the whole frame; `None` for the free format.
    pub frame_bytes: Option<usize>,
    /// Whether it is MPEG-1, and not one of the lower sample rates of MPEG-2 and MPEG-2.5.
    pub mpeg1: bool,
}

/// Reads the 4-byte header at the front of `frame`. `None` where it is no MPEG audio frame.
///
/// ```text
/// sync:11 version:2 layer:2 no_crc:1 bitrate:4 rate:2 padding:1 private:1 mode:2 extension:2 ...
/// ```
pub fn read_header(frame: &[u8]) -> Option<Header> {
    // kbit/s by [MPEG-1 layer 1, 2, 3, MPEG-2 layer 1, MPEG-2 layers 2 and 3].
    const KILOBITS: [[u16; 14]; 5] = [
        [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    let &[sync, kind, rates, mode, ..] = frame else { return None };
    if sync != 0xff || kind & 0xe0 != 0xe0 {
        return None;
    }
    let (divide, mpeg1) = match (kind >> 3) & 3 {
        0 => (4, false), // MPEG-2.5
        2 => (2, false),
        3 => (1, true),
        _ => return None,
    };
    let layer = match (kind >> 1) & 3 {
        1 => 3,
        2 => 2,
        3 => 1,
        _ => return None,
    };
    let sample_rate = *[44_100, 48_000, 32_000].get(usize::from((rates >> 2) & 3))? / divide;
    let row = match (mpeg1, layer) {
        (true, layer) => usize::from(layer) - 1,
        (false, 1) => 3,
        (false, _) => 4,
    };
    let bitrate_bps = match usize::from(rates >> 4) {
        0 => None,
        index => Some(u32::from(*KILOBITS[row].get(index - 1)?) * 1000),
    };
    let channels = if mode >> 6 == 3 { 1 } else { 2 };
    let samples = match (layer, mpeg1) {
        (1, _) => 384,
        (3, false) => 576,
        _ => 1152,
    };
    // In slots, which padding adds one of: 4 bytes in layer 1, else 1 (ISO/IEC 11172-3 section 2.4.3.1).
    let slot_bytes = if layer == 1 { 4 } else { 1 };
    let padding = u32::from((rates >> 1) & 1);
    let frame_bytes = bitrate_bps
        .map(|bps| ((samples / 8 / slot_bytes * bps / sample_rate + padding) * slot_bytes) as usize);
    Some(Header { layer, sample_rate, channels, bitrate_bps, samples, frame_bytes, mpeg1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_gives_rate_channels_and_bitrate() {
        let stereo = Header {
            layer: 3,
            sample_rate: 44_100,
            channels: 2,
            bitrate_bps: Some(128_000),
            samples: 1152,
            frame_bytes: Some(417),
            mpeg1: true,
        };
        assert_eq!(read_header(&[0xff, 0xfb, 0x90, 0x44]), Some(stereo));
        let mono = Header {
            layer: 3,
            sample_rate: 22_050,
            channels: 1,
            bitrate_bps: Some(64_000),
            samples: 576,
            frame_bytes: Some(208),
            mpeg1: false,
        };
        assert_eq!(read_header(&[0xff, 0xf3, 0x80, 0xc4]), Some(mono));
        assert_eq!(read_header(&[0xff, 0xe3, 0x08, 0x00]).map(|h| h.sample_rate), Some(8_000));
    }

    #[test]
    fn anything_else_is_no_header() {
        assert_eq!(read_header(&[0xff, 0xfb, 0x90]), None);
        assert_eq!(read_header(&[0xff, 0xfb, 0xf0, 0]), None, "bitrate 15 is forbidden");
        assert_eq!(read_header(&[0xff, 0xfb, 0x9c, 0]), None, "rate 3 is reserved");
        assert_eq!(read_header(&[0xff, 0xf1, 0x50, 0]), None, "ADTS has layer 0");
    }
}
