//! H.266 (ITU-T H.266, ISO/IEC 23090-3): slices and the configuration record.

use super::Summary;
use super::bits::Bits;
use super::limits;
use super::nal::{UNITS_BEFORE_SLICE_MAX, Units};
use crate::Malformed;

/// Bytes of a NAL unit's header.
const UNIT_HEADER_BYTES: usize = 2;
const UNIT_PICTURE_HEADER: u8 = 19;

/// `nal_unit_type` stands in the second byte (section 7.3.1.2).
fn unit_type(unit: &[u8]) -> Option<u8> {
    Some(unit.get(1)? >> 3)
}

/// Whether decoding can start at `payload`: an IDR or CRA picture, types 7 to 9 (table 5).
pub fn is_keyframe(payload: &[u8], nal_length_size: u8) -> bool {
    Units::new(payload, nal_length_size)
        .take(UNITS_BEFORE_SLICE_MAX)
        .filter_map(unit_type)
        .find(|unit_type| *unit_type <= 11)
        .is_some_and(|slice| (7..=9).contains(&slice))
}

/// Whether `ph_non_ref_pic_flag` of the picture in `payload` is set (section 7.3.2.8). The picture header is a NAL unit of
/// its own, or the front of the only slice.
pub fn is_disposable(payload: &[u8], nal_length_size: u8) -> bool {
    const NON_REFERENCE: u8 = 0x40;
    for unit in Units::new(payload, nal_length_size).take(UNITS_BEFORE_SLICE_MAX) {
        let (Some(unit_type), Some(first)) = (unit_type(unit), unit.get(UNIT_HEADER_BYTES)) else { continue };
        if unit_type == UNIT_PICTURE_HEADER {
            return first & NON_REFERENCE != 0;
        }
        if unit_type <= 11 {
            // sh_picture_header_in_slice_header_flag comes one bit before the picture header.
            return first & 0x80 != 0 && first & (NON_REFERENCE >> 1) != 0;
        }
    }
    false
}

/// The fields of a `VvcDecoderConfigurationRecord` (ISO/IEC 14496-15 section 11.2.4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Bytes of the length in front of each NAL unit: 1, 2 or 4.
    pub nal_length_size: u8,
    /// What the record says of profile and size, where it says it.
    pub profile: Option<Profile>,
}

/// The profile part of the configuration record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// `general_profile_idc`.
    pub profile: u8,
    /// Whether the tier is High and not Main.
    pub high_tier: bool,
    /// `general_level_idc`, sixteen times the level.
    pub level: u8,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// Reads a `vvcC` record.
///
/// # Errors
///
/// An early end, or a size beyond [`limits::PICTURE_SIDE_MAX`].
pub fn read_config(record: &[u8]) -> Result<Config, Malformed> {
    let mut bits = Bits::new(record);
    bits.skip(5)?;
    let nal_length_size = bits.u8(2)? + 1;
    if !bits.flag()? {
        return Ok(Config { nal_length_size, profile: None });
    }
    bits.skip(9)?; // ols_idx
    let sub_layers = bits.bits(3)?;
    bits.skip(4)?; // constant_frame_rate, chroma_format_idc
    bits.skip(8)?; // bit_depth_minus8
    bits.skip(2)?;
    let constraint_bytes = bits.bits(6)? as usize;
    let profile = bits.u8(7)?;
    let high_tier = bits.flag()?;
    let level = bits.u8(8)?;
    bits.skip(constraint_bytes * 8)?;
    if sub_layers > 1 {
        let present = bits.bits(8)?.count_ones() as usize;
        bits.skip(present * 8)?; // sublayer_level_idc
    }
    let sub_profiles = bits.bits(8)? as usize;
    bits.skip(sub_profiles * 32)?;
    let (width, height) = limits::picture_size(bits.bits(16)?.into(), bits.bits(16)?.into())?;
    Ok(Config { nal_length_size, profile: Some(Profile { profile, high_tier, level, width, height }) })
}

impl Config {
    pub(super) fn summary(&self) -> Summary {
        let Some(profile) = &self.profile else {
            return Summary { mime: "vvc1".into(), ..Summary::default() };
        };
        let tier = if profile.high_tier { 'H' } else { 'L' };
        Summary {
            mime: format!("vvc1.{}.{tier}{}", profile.profile, profile.level),
            profile: profile.profile,
            level: profile.level,
            width: Some(profile.width),
            height: Some(profile.height),
            ..Summary::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_header_tells_keyframes_and_disposable_pictures() {
        // A trailing picture (type 0) with its header in the slice, then one with a header of its own.
        assert!(is_disposable(&[0, 0, 0, 3, 0, 0x01, 0b1010_0000], 4));
        assert!(!is_disposable(&[0, 0, 0, 3, 0, 0x01, 0b1000_0000], 4));
        assert!(is_disposable(&[0, 0, 0, 3, 0, 0x99, 0x40, 0, 0, 0, 3, 0, 1, 0], 4));
        assert!(is_keyframe(&[0, 0, 0, 3, 0, 0x39, 0x80], 4), "IDR_W_RADL");
        assert!(!is_keyframe(&[0, 0, 0, 3, 0, 0x01, 0x80], 4));
    }

    #[test]
    fn config_gives_profile_and_size() {
        let record = [0xff, 0, 0x11, 0, 1, 1 << 1, 51, 0x80, 0, 0x05, 0, 0x02, 0xd0, 0, 0, 0];
        let summary = read_config(&record).unwrap().summary();
        assert_eq!(
            (summary.mime.as_str(), summary.width, summary.height),
            ("vvc1.1.L51", Some(1280), Some(720))
        );
    }
}
