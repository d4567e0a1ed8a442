//! H.264 (ITU-T H.264, ISO/IEC 14496-10): slices, parameter sets and the configuration record.

use super::bits::Bits;
use super::nal::{UNITS_BEFORE_SLICE_MAX, Units, unescape};
use super::sps::{Sampling, Signal, read_signal, read_window};
use super::{Color, Summary, limits};
use crate::Malformed;
use wire::Reader;

const UNIT_IDR: u8 = 5;
const UNIT_SEI: u8 = 6;

/// `nal_unit_type` of a coded slice (table 7-1): 1 non-IDR, 2 data partition A, 5 IDR.
fn is_slice(unit: &[u8]) -> bool {
    matches!(unit[0] & 0x1f, 1 | 2 | UNIT_IDR)
}

/// Whether no other picture refers to the one in `payload`: `nal_ref_idc` of its slices is 0 (section 7.4.1).
pub fn is_disposable(payload: &[u8], nal_length_size: u8) -> bool {
    Units::new(payload, nal_length_size)
        .take(UNITS_BEFORE_SLICE_MAX)
        .find(|unit| is_slice(unit))
        .is_some_and(|unit| unit[0] & 0x60 == 0)
}

/// Whether decoding can start at `payload`: an IDR picture, or one with a recovery point message, which encoders without
/// IDR pictures (open GOPs, gradual refresh) put where a decoder may join (section D.2.8).
pub fn is_keyframe(payload: &[u8], nal_length_size: u8) -> bool {
    for unit in Units::new(payload, nal_length_size).take(UNITS_BEFORE_SLICE_MAX) {
        if is_slice(unit) {
            return unit[0] & 0x1f == UNIT_IDR;
        }
        if unit[0] & 0x1f == UNIT_SEI && has_recovery_point(&unit[1..]) {
            return true;
        }
    }
    false
}

/// Looks for message type 6 among the SEI messages of `bytes` (section 7.3.2.3.1). Sizes are taken as they stand in the
/// stream, which emulation prevention bytes inside a message could shift; a message in front of the recovery point
/// is short (buffering period, picture timing) and hardly ever has any.
fn has_recovery_point(bytes: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    /// Type or size: bytes 0xff add 255 each, the first other byte ends it.
    fn number(reader: &mut Reader<'_>) -> Option<usize> {
        let mut sum = 0;
        loop {
            let byte = reader.u8().ok()?;
            sum += usize::from(byte);
            if byte != 0xff {
                return Some(sum);
            }
        }
    }
    let mut reader = Reader::new(bytes);
    while let Some(kind) = number(&mut reader) {
        if kind == RECOVERY_POINT {
            return true;
        }
        let Some(size) = number(&mut reader) else { return false };
        if reader.take(size).is_err() {
            return false;
        }
    }
    false
}

/// The fields of an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 section 5.3.3.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `profile_idc`.
    pub profile: u8,
    /// The constraint flags, as one byte.
    pub compatibility: u8,
    /// `level_idc`, ten times the level.
    pub level: u8,
    /// Bytes of the length in front of each NAL unit: 1, 2 or 4.
    pub nal_length_size: u8,
    /// The first sequence parameter set; `None` where there is none or it makes no sense.
    pub sps: Option<Sps>,
}

/// Reads an `avcC` record.
///
/// # Errors
///
/// Another version, or an end before the first parameter set is complete.
pub fn read_config(record: &[u8]) -> Result<Config, Malformed> {
    let mut reader = Reader::new(record);
    if reader.u8()? != 1 {
        return Err(Malformed("unknown avcC version"));
    }
    let [profile, compatibility, level, length_size, sps_count] = reader.array()?;
    let sps = if sps_count & 0x1f != 0 {
        let size = reader.u16()?;
        read_sps(reader.take(usize::from(size))?).ok()
    } else {
        None
    };
    Ok(Config { profile, compatibility, level, nal_length_size: (length_size & 3) + 1, sps })
}

impl Config {
    pub(super) fn summary(&self) -> Summary {
        let sps = self.sps.as_ref();
        Summary {
            mime: format!("avc1.{:02x}{:02x}{:02x}", self.profile, self.compatibility, self.level),
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

/// The fields of a sequence parameter set that delivery needs (section 7.3.2.1.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Sps {
    /// `profile_idc`.
    pub profile: u8,
    /// `level_idc`.
    pub level: u8,
    /// In pixels, after cropping.
    pub width: u32,
    /// In pixels, after cropping.
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
    /// `max_num_reorder_frames`; `None` where the stream does not restrict it.
    pub reorder_frames: Option<u32>,
    /// `pic_order_cnt_type`; 2 means that pictures are shown in the order they are decoded.
    pub poc_type: u32,
}

impl Sps {
    /// Whether pictures are shown in another order than they are decoded; `None` where the parameter set leaves it open.
    pub fn has_b_frames(&self) -> Option<bool> {
        const BASELINE: u8 = 66;
        if self.profile == BASELINE || self.poc_type == 2 {
            return Some(false);
        }
        self.reorder_frames.map(|frames| frames > 0)
    }
}

/// Reads a sequence parameter set, its NAL header included.
///
/// # Errors
///
/// Another kind of NAL unit, an early end, or a size beyond [`limits::PICTURE_SIDE_MAX`].
pub fn read_sps(unit: &[u8]) -> Result<Sps, Malformed> {
    const UNIT_SPS: u8 = 7;
    if unit.first().map(|byte| byte & 0x1f) != Some(UNIT_SPS) {
        return Err(Malformed("not a sequence parameter set"));
    }
    let bytes = unescape(&unit[1..unit.len().min(limits::PARAMETER_SET_BYTES_MAX)]);
    let mut bits = Bits::new(&bytes);
    let profile = bits.u8(8)?;
    bits.skip(8)?; // constraint flags
    let level = bits.u8(8)?;
    bits.ue()?; // seq_parameter_set_id
    let mut chroma_format = 1;
    let mut separate_planes = false;
    let (mut bit_depth_luma, mut bit_depth_chroma) = (8, 8);
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma_format = bits.ue()?;
        if chroma_format == 3 {
            separate_planes = bits.flag()?;
        }
        bit_depth_luma = limits::bit_depth(bits.ue()?)?;
        bit_depth_chroma = limits::bit_depth(bits.ue()?)?;
        bits.skip(1)?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            for index in 0..if chroma_format == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(&mut bits, if index < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.ue()?; // log2_max_frame_num_minus4
    let poc_type = bits.ue()?;
    match poc_type {
        0 => {
            bits.ue()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            bits.skip(1)?; // delta_pic_order_always_zero_flag
            bits.se()?; // offset_for_non_ref_pic
            bits.se()?; // offset_for_top_to_bottom_field
            for _ in 0..bits.ue()?.min(255) {
                bits.se()?; // offset_for_ref_frame
            }
        }
        _ => {}
    }
    bits.ue()?; // max_num_ref_frames
    bits.skip(1)?; // gaps_in_frame_num_value_allowed_flag
    let width_macroblocks = u64::from(bits.ue()?) + 1;
    let height_units = u64::from(bits.ue()?) + 1;
    let frame_only = bits.flag()?;
    if !frame_only {
        bits.skip(1)?; // mb_adaptive_frame_field_flag
    }
    bits.skip(1)?; // direct_8x8_inference_flag
    let sampling = Sampling { chroma_format, separate_planes, fields: if frame_only { 1 } else { 2 } };
    let coded_height = height_units * 16 * sampling.fields;
    let (width, height) = read_window(&mut bits, sampling, width_macroblocks * 16, coded_height)?;
    // Some encoders cut the usability information short; what came before it is good.
    let mut vui = Vui::default();
    if bits.flag().unwrap_or(false) {
        let _ = read_vui(&mut bits, &mut vui);
    }
    Ok(Sps {
        profile,
        level,
        width,
        height,
        pixel_aspect: vui.signal.pixel_aspect,
        color: vui.signal.color,
        chroma_format: chroma_format.min(3) as u8,
        bit_depth_luma,
        bit_depth_chroma,
        fps: vui.fps,
        reorder_frames: vui.reorder_frames,
        poc_type,
    })
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: usize) -> Result<(), Malformed> {
    let mut last = 8i64;
    let mut next = 8i64;
    for _ in 0..size {
        if next != 0 {
            next = (last + i64::from(bits.se()?)).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

#[derive(Default)]
struct Vui {
    signal: Signal,
    fps: Option<f64>,
    reorder_frames: Option<u32>,
}

/// Annex E.1.1.
fn read_vui(bits: &mut Bits<'_>, vui: &mut Vui) -> Result<(), Malformed> {
    read_signal(bits, &mut vui.signal)?;
    if bits.flag()? {
        let units_in_tick = bits.bits(32)?;
        let time_scale = bits.bits(32)?;
        bits.skip(1)?; // fixed_frame_rate_flag
        // A frame lasts two ticks, one for each field.
        vui.fps = limits::frame_rate(f64::from(time_scale), 2.0 * f64::from(units_in_tick));
    }
    let nal_hrd = bits.flag()?;
    if nal_hrd {
        skip_hrd(bits)?;
    }
    let vcl_hrd = bits.flag()?;
    if vcl_hrd {
        skip_hrd(bits)?;
    }
    if nal_hrd || vcl_hrd {
        bits.skip(1)?; // low_delay_hrd_flag
    }
    bits.skip(1)?; // pic_struct_present_flag
    if bits.flag()? {
        bits.skip(1)?; // motion_vectors_over_pic_boundaries_flag
        for _ in 0..4 {
            bits.ue()?; // max_bytes_per_pic_denom, max_bits_per_mb_denom, log2_max_mv_length_{horizontal,vertical}
        }
        vui.reorder_frames = Some(bits.ue()?);
    }
    Ok(())
}

/// Annex E.1.2.
fn skip_hrd(bits: &mut Bits<'_>) -> Result<(), Malformed> {
    let count = bits.ue()?.min(31) + 1;
    bits.skip(8)?; // bit_rate_scale, cpb_size_scale
    for _ in 0..count {
        bits.ue()?; // bit_rate_value_minus1
        bits.ue()?; // cpb_size_value_minus1
        bits.skip(1)?; // cbr_flag
    }
    bits.skip(20)?; // three delay lengths and time_offset_length
    Ok(())
}
