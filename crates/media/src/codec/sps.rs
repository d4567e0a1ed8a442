//! What the sequence parameter sets of H.264 and H.265 have in common.

use super::bits::Bits;
use super::limits;
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

/// Passes over the beginning of the usability information (annex E of both): shape of samples, overscan, colours, and where
/// the chroma samples lie.
pub(super) fn skip_signal_description(bits: &mut Bits<'_>) -> Result<(), Malformed> {
    const EXTENDED_SAR: u32 = 255;
    if bits.flag()? && bits.bits(8)? == EXTENDED_SAR {
        bits.skip(32)?;
    }
    if bits.flag()? {
        bits.skip(1)?; // overscan_appropriate_flag
    }
    if bits.flag()? {
        bits.skip(4)?; // video_format, video_full_range_flag
        if bits.flag()? {
            bits.skip(24)?; // colour description
        }
    }
    if bits.flag()? {
        bits.ue()?; // chroma_sample_loc_type_top_field
        bits.ue()?; // chroma_sample_loc_type_bottom_field
    }
    Ok(())
}
