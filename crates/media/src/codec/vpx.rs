//! VP8 (RFC 6386) and VP9 (VP9 Bitstream & Decoding Process Specification): frame headers and the configuration record
//! that both share.

use super::bits::Bits;
use super::{Codec, Color, Summary, limits};
use crate::Malformed;
use wire::Reader;

/// Whether `frame` is a VP8 key frame: the lowest bit of the frame tag is 0 (RFC 6386 section 9.1).
pub fn vp8_is_keyframe(frame: &[u8]) -> bool {
    frame.first().is_some_and(|byte| byte & 1 == 0)
}

/// Width and height in pixels of the VP8 key frame `frame`; `None` for other frames (RFC 6386 section 9.1).
pub fn vp8_size(frame: &[u8]) -> Option<(u32, u32)> {
    let &[tag, _, _, 0x9d, 0x01, 0x2a, width_low, width_high, height_low, height_high, ..] = frame else {
        return None;
    };
    // The two bits above the 14 of a side ask for upscaling.
    let side = |low, high| u64::from(u16::from_le_bytes([low, high]) & 0x3fff);
    if tag & 1 != 0 {
        return None;
    }
    limits::picture_size(side(width_low, width_high), side(height_low, height_high)).ok()
}

/// Whether `frame` is a VP9 key frame (section 6.2). Of a superframe, the first frame counts.
pub fn vp9_is_keyframe(frame: &[u8]) -> bool {
    vp9_keyframe_header(frame).is_some()
}

/// Width and height in pixels of the VP9 key frame `frame`; `None` for other frames (section 6.2).
pub fn vp9_size(frame: &[u8]) -> Option<(u32, u32)> {
    const SYNC_CODE: u32 = 0x49_83_42;
    const COLOR_SPACE_RGB: u32 = 7;
    let (mut bits, profile) = vp9_keyframe_header(frame)?;
    bits.skip(2).ok()?; // show_frame, error_resilient_mode
    if bits.bits(24).ok()? != SYNC_CODE {
        return None;
    }
    if profile >= 2 {
        bits.skip(1).ok()?; // ten_or_twelve_bit
    }
    let rgb = bits.bits(3).ok()? == COLOR_SPACE_RGB;
    match (rgb, profile & 1 == 1) {
        (false, true) => bits.skip(4), // color_range, two of subsampling, reserved
        (false, false) | (true, true) => bits.skip(1),
        (true, false) => Ok(()),
    }
    .ok()?;
    let width = bits.bits(16).ok()?;
    let height = bits.bits(16).ok()?;
    limits::picture_size(u64::from(width) + 1, u64::from(height) + 1).ok()
}

/// Reads a frame header up to `frame_type`; the reader after it and the profile if the frame is a key frame.
fn vp9_keyframe_header(frame: &[u8]) -> Option<(Bits<'_>, u8)> {
    const FRAME_MARKER: u32 = 2;
    const KEY_FRAME: u32 = 0;
    let mut bits = Bits::new(frame);
    if bits.bits(2).ok()? != FRAME_MARKER {
        return None;
    }
    let profile = bits.u8(1).ok()? | bits.u8(1).ok()? << 1;
    if profile == 3 {
        bits.skip(1).ok()?;
    }
    let show_existing_frame = bits.flag().ok()?;
    (!show_existing_frame && bits.bits(1).ok()? == KEY_FRAME).then_some((bits, profile))
}

/// The fields of a `VPCodecConfigurationRecord` (VP Codec ISO Media File Format Binding section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// 0..=3.
    pub profile: u8,
    /// Ten times the level.
    pub level: u8,
    /// 8, 10 or 12.
    pub bit_depth: u8,
    /// Colours; `None` where they are left out or unspecified.
    pub color: Option<Color>,
}

/// Reads a `vpcC` record, with or without the four bytes of version and flags that it has in MP4.
///
/// # Errors
///
/// An early end.
pub fn read_config(record: &[u8]) -> Result<Config, Malformed> {
    const VERSION_AND_FLAGS: &[u8] = &[1, 0, 0, 0];
    const UNSPECIFIED: [u8; 3] = [2; 3];
    let mut reader = Reader::new(record.strip_prefix(VERSION_AND_FLAGS).unwrap_or(record));
    let [profile, level, depth] = reader.array()?;
    let colors = reader.array::<3>().ok().filter(|colors| *colors != UNSPECIFIED);
    let color = colors.map(|[primaries, transfer, matrix]| Color {
        primaries,
        transfer,
        matrix,
        full_range: depth & 1 != 0,
    });
    Ok(Config { profile, level, bit_depth: depth >> 4, color })
}

impl Config {
    pub(super) fn summary(&self, codec: Codec) -> Summary {
        let name = if codec == Codec::Vp8 { "vp08" } else { "vp09" };
        Summary {
            mime: format!("{name}.{:02}.{:02}.{:02}", self.profile, self.level, self.bit_depth),
            profile: self.profile,
            level: self.level,
            color: self.color,
            ..Summary::default()
        }
    }
}
