//! H.265 (ITU-T H.265, ISO/IEC 23008-2): slices, parameter sets and the configuration record.

use super::bits::Bits;
use super::nal::{UNITS_BEFORE_SLICE_MAX, Units, unescape};
use super::sps::{Sampling, Signal, read_signal, read_window};
use super::{Color, Summary, limits};
use crate::Malformed;
use std::fmt::Write;
use wire::Reader;

const UNIT_SPS: u8 = 33;

fn unit_type(unit: &[u8]) -> u8 {
    (unit[0] >> 1) & 0x3f
}

/// `nal_unit_type` of the first slice (table 7-1: the types of coded slices are below 32).
fn slice_type(payload: &[u8], nal_length_size: u8) -> Option<u8> {
    Units::new(payload, nal_length_size).take(UNITS_BEFORE_SLICE_MAX).map(unit_type).find(|slice| *slice < 32)
}

/// Whether decoding can start at `payload`: an IRAP picture, types 16 to 23 (section 3, "intra random access point").
pub fn is_keyframe(payload: &[u8], nal_length_size: u8) -> bool {
    slice_type(payload, nal_length_size).is_some_and(|slice| (16..=23).contains(&slice))
}

/// Whether the picture in `payload` is a sub-layer non-reference picture: an even type up to 14 (section 7.4.2.2).
///
/// The standard lets pictures of a *higher* temporal sub-layer refer to it. Encoders give this type only to pictures
/// that nothing refers to, so it is taken to mean that.
pub fn is_disposable(payload: &[u8], nal_length_size: u8) -> bool {
    slice_type(payload, nal_length_size).is_some_and(|slice| slice <= 14 && slice % 2 == 0)
}

/// The fields of an `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 section 8.3.3.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `general_profile_space`, 0..=3.
    pub profile_space: u8,
    /// Whether the tier is High and not Main.
    pub high_tier: bool,
    /// `general_profile_idc`.
    pub profile: u8,
    /// `general_profile_compatibility_flags`, flag 0 in the highest bit.
    pub compatibility: u32,
    /// The constraint flags.
    pub constraints: [u8; 6],
    /// `general_level_idc`, thirty times the level.
    pub level: u8,
    /// Bytes of the length in front of each NAL unit: 1, 2 or 4.
    pub nal_length_size: u8,
    /// The first sequence parameter set; `None` where there is none or it makes no sense.
    pub sps: Option<Sps>,
}

/// Reads an `hvcC` record.
///
/// # Errors
///
/// An end before the arrays of parameter sets are complete.
pub fn read_config(record: &[u8]) -> Result<Config, Malformed> {
    let mut reader = Reader::new(record);
    reader.u8()?; // configurationVersion: 1, but 0 was written by encoders of the drafts
    let profile = reader.u8()?;
    let compatibility = reader.u32()?;
    let constraints = reader.array()?;
    let level = reader.u8()?;
    reader.take(8)?; // segmentation, parallelism, chroma format, bit depths, average frame rate
    let length_size = reader.u8()?;
    let mut sps = None;
    for _ in 0..reader.u8()? {
        let array_type = reader.u8()? & 0x3f;
        for _ in 0..reader.u16()? {
            let size = reader.u16()?;
            let unit = reader.take(usize::from(size))?;
            if array_type == UNIT_SPS && sps.is_none() {
                sps = read_sps(unit).ok();
            }
        }
    }
    Ok(Config {
        profile_space: profile >> 6,
        high_tier: profile & 0x20 != 0,
        profile: profile & 0x1f,
        compatibility,
        constraints,
        level,
        nal_length_size: (length_size & 3) + 1,
        sps,
    })
}

impl Config {
    /// The `codecs` parameter (ISO/IEC 14496-15 annex E.3): `hvc1.1.6.L93.90`.
    fn mime(&self) -> String {
        let space = ["", "A", "B", "C"][usize::from(self.profile_space & 3)];
        let tier = if self.high_tier { 'H' } else { 'L' };
        let compatibility = self.compatibility.reverse_bits();
        let mut mime = format!("hvc1.{space}{}.{compatibility:X}.{tier}{}", self.profile, self.level);
        let used = self.constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for byte in &self.constraints[..used] {
            let _ = write!(mime, ".{byte:X}");
        }
        mime
    }

    pub(super) fn summary(&self) -> Summary {
        let sps = self.sps.as_ref();
        Summary {
            mime: self.mime(),
            profile: self.profile,
            level: self.level,
            width: sps.map(|sps| sps.width),
            height: sps.map(|sps| sps.height),
            pixel_aspect: sps.and_then(|sps| sps.pixel_aspect),
            color: sps.and_then(|sps| sps.color),
            fps: sps.and_then(|sps| sps.fps),
            ..Summary::default()
        }
    }
}

/// The fields of a sequence parameter set that delivery needs (section 7.3.2.2.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Sps {
    /// In pixels, after the conformance window.
    pub width: u32,
    /// In pixels, after the conformance window.
    pub height: u32,
    /// Width and height of one pixel as shown; `None` where nothing is said.
    pub pixel_aspect: Option<(u32, u32)>,
    /// Colours; `None` where nothing is said.
    pub color: Option<Color>,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits of a luma sample.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample.
    pub bit_depth_chroma: u8,
    /// From the timing information; `None` where there is none.
    pub fps: Option<f64>,
    /// `sps_max_num_reorder_pics` of the highest sub-layer.
    pub reorder_pictures: u32,
}

/// Reads a sequence parameter set, its NAL header included.
///
/// # Errors
///
/// Another kind of NAL unit, an early end, or a size beyond [`limits::PICTURE_SIDE_MAX`].
pub fn read_sps(unit: &[u8]) -> Result<Sps, Malformed> {
    if unit.len() < 2 || unit_type(unit) != UNIT_SPS {
        return Err(Malformed("not a sequence parameter set"));
    }
    let bytes = unescape(&unit[2..unit.len().min(limits::PARAMETER_SET_BYTES_MAX)]);
    let mut bits = Bits::new(&bytes);
    bits.skip(4)?; // sps_video_parameter_set_id
    let sub_layers = bits.bits(3)? + 1;
    bits.skip(1)?; // sps_temporal_id_nesting_flag
    skip_profile_tier_level(&mut bits, sub_layers)?;
    bits.ue()?; // sps_seq_parameter_set_id
    let chroma_format = bits.ue()?;
    let separate_planes = chroma_format == 3 && bits.flag()?;
    let sampling = Sampling { chroma_format, separate_planes, fields: 1 };
    let (width, height) = (u64::from(bits.ue()?), u64::from(bits.ue()?));
    let (width, height) = read_window(&mut bits, sampling, width, height)?;
    let bit_depth_luma = limits::bit_depth(bits.ue()?)?;
    let bit_depth_chroma = limits::bit_depth(bits.ue()?)?;
    let log2_poc = bits.ue()?.min(12) + 4;
    let every_sub_layer = bits.flag()?;
    let mut reorder_pictures = 0;
    for _ in 0..if every_sub_layer { sub_layers } else { 1 } {
        bits.ue()?; // sps_max_dec_pic_buffering_minus1
        reorder_pictures = bits.ue()?;
        bits.ue()?; // sps_max_latency_increase_plus1
    }
    let mut vui = Vui::default();
    let _ = read_rest(&mut bits, log2_poc, &mut vui);
    Ok(Sps {
        width,
        height,
        pixel_aspect: vui.signal.pixel_aspect,
        color: vui.signal.color,
        chroma_format: chroma_format.min(3) as u8,
        bit_depth_luma,
        bit_depth_chroma,
        fps: vui.fps,
        reorder_pictures,
    })
}

/// Section 7.3.3 with `profilePresentFlag` 1.
fn skip_profile_tier_level(bits: &mut Bits<'_>, sub_layers: u32) -> Result<(), Malformed> {
    const PROFILE_BITS: usize = 88;
    const LEVEL_BITS: usize = 8;
    bits.skip(PROFILE_BITS + LEVEL_BITS)?;
    if sub_layers == 1 {
        return Ok(());
    }
    let mut present = [(false, false); 8];
    for layer in &mut present[..sub_layers as usize - 1] {
        *layer = (bits.flag()?, bits.flag()?);
    }
    bits.skip(2 * (8 - (sub_layers as usize - 1)))?;
    for (profile, level) in present {
        if profile {
            bits.skip(PROFILE_BITS)?;
        }
        if level {
            bits.skip(LEVEL_BITS)?;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Vui {
    signal: Signal,
    fps: Option<f64>,
}

/// Reads on from the block sizes to the timing information. What was read before an early end stays in `vui`.
fn read_rest(bits: &mut Bits<'_>, log2_poc: u32, vui: &mut Vui) -> Result<(), Malformed> {
    for _ in 0..6 {
        bits.ue()?; // sizes of coding blocks and transform blocks, transform hierarchy depths
    }
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag()? {
        bits.skip(8)?; // PCM bit depths
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?; // pcm_loop_filter_disabled_flag
    }
    let set_count = bits.ue()?;
    if set_count > 64 {
        return Err(Malformed("too many reference picture sets"));
    }
    let mut deltas_of_last = 0;
    for index in 0..set_count {
        deltas_of_last = skip_reference_set(bits, index, deltas_of_last)?;
    }
    if bits.flag()? {
        for _ in 0..bits.ue()?.min(32) {
            bits.skip(log2_poc as usize + 1)?; // lt_ref_pic_poc_lsb_sps, used_by_curr_pic_lt_sps_flag
        }
    }
    bits.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if bits.flag()? { read_vui(bits, vui) } else { Ok(()) }
}

/// Section 7.3.4.
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Result<(), Malformed> {
    for size in 0..4u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.flag()? {
                bits.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            if size > 1 {
                bits.se()?; // scaling_list_dc_coef_minus8
            }
            for _ in 0..64.min(1 << (4 + (size << 1))) {
                bits.se()?;
            }
        }
    }
    Ok(())
}

/// Section 7.3.7 within a parameter set. Returns `NumDeltaPocs` of this set, of which the next one needs to know.
fn skip_reference_set(bits: &mut Bits<'_>, index: u32, deltas_of_last: u32) -> Result<u32, Malformed> {
    if index != 0 && bits.flag()? {
        bits.skip(1)?; // delta_rps_sign
        bits.ue()?; // abs_delta_rps_minus1
        let mut deltas = 0;
        for _ in 0..=deltas_of_last {
            let used = bits.flag()?;
            // use_delta_flag is inferred to be 1 where the picture is used.
            if used || bits.flag()? {
                deltas += 1;
            }
        }
        return Ok(deltas);
    }
    let negative = bits.ue()?;
    let positive = bits.ue()?;
    if negative > 16 || positive > 16 {
        return Err(Malformed("too many reference pictures"));
    }
    for _ in 0..negative + positive {
        bits.ue()?; // delta_poc_minus1
        bits.skip(1)?; // used_by_curr_pic_flag
    }
    Ok(negative + positive)
}

/// Annex E.2.1, as far as the timing information.
fn read_vui(bits: &mut Bits<'_>, vui: &mut Vui) -> Result<(), Malformed> {
    read_signal(bits, &mut vui.signal)?;
    bits.skip(3)?; // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    if bits.flag()? {
        for _ in 0..4 {
            bits.ue()?; // default display window
        }
    }
    if bits.flag()? {
        let units_in_tick = bits.bits(32)?;
        let time_scale = bits.bits(32)?;
        vui.fps = limits::frame_rate(f64::from(time_scale), f64::from(units_in_tick));
    }
    Ok(())
}
