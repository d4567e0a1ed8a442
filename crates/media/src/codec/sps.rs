//! What the sequence parameter sets of H.264 and H.265 have in common.

use super::bits::Bits;
use super::{Color, limits};
use crate::Malformed;

/// How the samples of a picture are coded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sampling {
    /// `chroma_format_idc`.
    pub(super) chroma_format: u32,
    /// `separate_colour_plane_flag`.
    pub(super) separate_planes: bool,
    /// 2 where pictures may be coded as fields, else 1.
    pub(super) fields: u64,
}

/// Reads the window that is shown of a coded picture: frame cropping (H.264 equations 7-19 to 7-22), the conformance window
/// (H.265 section 7.4.3.2.1). Returns its width and height.
pub(super) fn read_window(
    bits: &mut Bits<'_>,
    sampling: Sampling,
    coded_width: u64,
    coded_height: u64,
) -> Result<(u32, u32), Malformed> {
    let (mut width, mut height) = (coded_width, coded_height);
    if bits.flag()? {
        // Counted in chroma samples, of one field where fields may be coded.
        let (unit_x, unit_y) = match sampling.chroma_format {
            _ if sampling.separate_planes => (1, 1),
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let [left, right, top, bottom] = [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?].map(u64::from);
        width = width.saturating_sub((left + right) * unit_x);
        height = height.saturating_sub((top + bottom) * unit_y * sampling.fields);
    }
    limits::picture_size(width, height)
}

/// What the beginning of the usability information says (annex E of both).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Signal {
    /// Width and height of a sample.
    pub(super) pixel_aspect: Option<(u32, u32)>,
    /// How sample values become light.
    pub(super) color: Option<Color>,
}

/// Reads the beginning of the usability information into `signal`: shape of samples, overscan, colours, and where the chroma
/// samples lie. What was read before an early end stays.
pub(super) fn read_signal(bits: &mut Bits<'_>, signal: &mut Signal) -> Result<(), Malformed> {
    const EXTENDED_SAR: u32 = 255;
    /// Table E-1, from index 1 on.
    const ASPECTS: [(u32, u32); 16] = [
        (1, 1),
        (12, 11),
        (10, 11),
        (16, 11),
        (40, 33),
        (24, 11),
        (20, 11),
        (32, 11),
        (80, 33),
        (18, 11),
        (15, 11),
        (64, 33),
        (160, 99),
        (4, 3),
        (3, 2),
        (2, 1),
    ];
    if bits.flag()? {
        let aspect = match bits.bits(8)? {
            EXTENDED_SAR => Some((bits.bits(16)?, bits.bits(16)?)),
            index => (index as usize).checked_sub(1).and_then(|index| ASPECTS.get(index).copied()),
        };
        signal.pixel_aspect = aspect.filter(|(width, height)| *width > 0 && *height > 0);
    }
    if bits.flag()? {
        bits.skip(1)?; // overscan_appropriate_flag
    }
    if bits.flag()? {
        bits.skip(3)?; // video_format
        let full_range = bits.flag()?;
        if bits.flag()? {
            signal.color = Some(Color {
                primaries: bits.u8(8)?,
                transfer: bits.u8(8)?,
                matrix: bits.u8(8)?,
                full_range,
            });
        }
    }
    if bits.flag()? {
        bits.ue()?; // chroma_sample_loc_type_top_field
        bits.ue()?; // chroma_sample_loc_type_bottom_field
    }
    Ok(())
}
