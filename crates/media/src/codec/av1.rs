//! AV1 (AV1 Bitstream & Decoding Process Specification): OBUs, the sequence header and the configuration record.

use super::bits::Bits;
use super::{Color, Summary, limits};
use crate::Malformed;
use wire::Reader;

const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_FRAME_HEADER: u8 = 3;
const OBU_FRAME: u8 = 6;

/// OBUs that are looked at in search of the first frame. A temporal unit has a delimiter, a sequence header and a few
/// metadata OBUs before it.
const OBUS_BEFORE_FRAME_MAX: usize = 64;

/// Iterates over OBUs of the low-overhead format (section 5.2): type and payload. Ends at the first that makes no sense.
#[derive(Debug, Clone)]
pub struct Obus<'a> {
    reader: Reader<'a>,
}

impl<'a> Obus<'a> {
    /// Over the OBUs of a temporal unit.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { reader: Reader::new(payload) }
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const HAS_EXTENSION: u8 = 4;
        const HAS_SIZE: u8 = 2;
        let header = self.reader.u8().ok()?;
        if header & 0x80 != 0 {
            return None;
        }
        if header & HAS_EXTENSION != 0 {
            self.reader.u8().ok()?;
        }
        let size = match header & HAS_SIZE {
            0 => self.reader.remaining(),
            _ => read_leb128(&mut self.reader)?,
        };
        Some(((header >> 3) & 0xf, self.reader.take(size).ok()?))
    }
}

/// Section 4.10.5. Values above 32 bits are forbidden.
fn read_leb128(reader: &mut Reader<'_>) -> Option<usize> {
    let mut value = 0u64;
    for index in 0..8 {
        let byte = reader.u8().ok()?;
        value |= u64::from(byte & 0x7f) << (index * 7);
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok().map(|value| value as usize);
        }
    }
    None
}

/// Whether decoding can start at `payload`: its first frame is a shown key frame (section 7.6.1, key frame random access
/// point).
pub fn is_keyframe(payload: &[u8]) -> bool {
    const KEY_FRAME: u32 = 0;
    let read = |reduced: bool, frame: &[u8]| -> Option<bool> {
        if reduced {
            return Some(true);
        }
        let mut bits = Bits::new(frame);
        let show_existing_frame = bits.flag().ok()?;
        let frame_type = bits.bits(2).ok()?;
        let show_frame = bits.flag().ok()?;
        Some(!show_existing_frame && frame_type == KEY_FRAME && show_frame)
    };
    // Still pictures have no such fields: each frame is a key frame.
    let mut reduced = false;
    for (obu_type, obu) in Obus::new(payload).take(OBUS_BEFORE_FRAME_MAX) {
        match obu_type {
            OBU_SEQUENCE_HEADER => reduced = obu.first().is_some_and(|byte| byte & 0x08 != 0),
            OBU_FRAME | OBU_FRAME_HEADER => return read(reduced, obu).unwrap_or(false),
            _ => {}
        }
    }
    false
}

/// The fields of an `AV1CodecConfigurationRecord` (AV1 in ISO Base Media section 2.3.3).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `seq_profile`, 0..=2.
    pub profile: u8,
    /// `seq_level_idx_0`.
    pub level: u8,
    /// Whether the tier is High and not Main.
    pub high_tier: bool,
    /// 8, 10 or 12.
    pub bit_depth: u8,
    /// The sequence header; `None` where the record has none or it makes no sense.
    pub sequence: Option<Sequence>,
}

/// Reads an `av1C` record, or the MPEG-2 TS descriptor with the same fields (AV1 in MPEG-2 TS section 2.2).
///
/// # Errors
///
/// Another version or an early end.
pub fn read_config(record: &[u8]) -> Result<Config, Malformed> {
    const VERSION_1: u8 = 0x81;
    const TS_DESCRIPTOR: u8 = 0x80;
    let mut reader = Reader::new(record);
    if reader.peek() == Some(TS_DESCRIPTOR) {
        reader.take(2)?; // tag, length
    }
    let [version, profile, depth, _] = reader.array()?;
    if version != VERSION_1 {
        return Err(Malformed("unknown av1C version"));
    }
    let bit_depth = match (depth & 0x40 != 0, depth & 0x20 != 0) {
        (true, true) => 12,
        (true, false) => 10,
        (false, _) => 8,
    };
    let sequence = find_sequence(reader.rest());
    Ok(Config {
        profile: profile >> 5,
        level: profile & 0x1f,
        high_tier: depth & 0x80 != 0,
        bit_depth,
        sequence,
    })
}

impl Config {
    pub(super) fn summary(&self) -> Summary {
        let sequence = self.sequence.as_ref();
        let tier = if self.high_tier { 'H' } else { 'M' };
        Summary {
            mime: format!("av01.{}.{:02}{tier}.{:02}", self.profile, self.level, self.bit_depth),
            profile: self.profile,
            level: self.level,
            width: sequence.map(|sequence| sequence.width),
            height: sequence.map(|sequence| sequence.height),
            color: sequence.and_then(|sequence| sequence.color),
            fps: sequence.and_then(|sequence| sequence.fps),
            ..Summary::default()
        }
    }
}

/// The fields of a sequence header that delivery needs (section 5.5).
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// `seq_profile`.
    pub profile: u8,
    /// The largest width, in pixels.
    pub width: u32,
    /// The largest height, in pixels.
    pub height: u32,
    /// Colours; `None` where nothing is said.
    pub color: Option<Color>,
    /// From the timing information; `None` where there is none or the interval varies.
    pub fps: Option<f64>,
}

/// Finds and reads the sequence header among the OBUs of `payload`; `None` where there is none or it makes no sense.
pub fn find_sequence(payload: &[u8]) -> Option<Sequence> {
    Obus::new(payload)
        .take(OBUS_BEFORE_FRAME_MAX)
        .find(|(obu_type, _)| *obu_type == OBU_SEQUENCE_HEADER)
        .and_then(|(_, obu)| read_sequence(obu).ok())
}

/// Reads the payload of a sequence header OBU.
///
/// # Errors
///
/// An early end or a size beyond [`limits::PICTURE_SIDE_MAX`].
pub fn read_sequence(obu: &[u8]) -> Result<Sequence, Malformed> {
    let mut bits = Bits::new(obu);
    let profile = bits.u8(3)?;
    bits.skip(1)?; // still_picture
    let mut fps = None;
    let reduced = bits.flag()?;
    if reduced {
        bits.skip(5)?; // seq_level_idx
    } else {
        fps = skip_operating_points(&mut bits)?;
    }
    let width_bits = bits.bits(4)? + 1;
    let height_bits = bits.bits(4)? + 1;
    let width = u64::from(bits.bits(width_bits)?) + 1;
    let height = u64::from(bits.bits(height_bits)?) + 1;
    let (width, height) = limits::picture_size(width, height)?;
    // Some encoders cut the header short; what came before the colours is good.
    let color = read_color(&mut bits, profile, reduced).unwrap_or_default();
    Ok(Sequence { profile, width, height, color, fps })
}

/// Reads on from the frame size to the colours (sections 5.5.1 and 5.5.2).
fn read_color(bits: &mut Bits<'_>, profile: u8, reduced: bool) -> Result<Option<Color>, Malformed> {
    const SRGB: u8 = 13;
    const IDENTITY: u8 = 0;
    const BT709: u8 = 1;
    if !reduced && bits.flag()? {
        bits.skip(4 + 3)?; // delta_frame_id_length_minus_2, additional_frame_id_length_minus_1
    }
    bits.skip(3)?; // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if !reduced {
        bits.skip(4)?; // interintra, masked compound, warped motion, dual filter
        let order_hint = bits.flag()?;
        if order_hint {
            bits.skip(2)?; // enable_jnt_comp, enable_ref_frame_mvs
        }
        // seq_choose_screen_content_tools, and the choice where it is made here; 2 leaves it to each frame.
        let screen_content = if bits.flag()? { 2 } else { bits.bits(1)? };
        if screen_content > 0 && !bits.flag()? {
            bits.skip(1)?; // seq_force_integer_mv
        }
        if order_hint {
            bits.skip(3)?; // order_hint_bits_minus_1
        }
    }
    bits.skip(3)?; // enable_superres, enable_cdef, enable_restoration
    let high_bit_depth = bits.flag()?;
    if profile == 2 && high_bit_depth {
        bits.skip(1)?; // twelve_bit
    }
    let monochrome = profile != 1 && bits.flag()?;
    if !bits.flag()? {
        return Ok(None);
    }
    let (primaries, transfer, matrix) = (bits.u8(8)?, bits.u8(8)?, bits.u8(8)?);
    let rgb = !monochrome && (primaries, transfer, matrix) == (BT709, SRGB, IDENTITY);
    let full_range = rgb || bits.flag()?;
    Ok(Some(Color { primaries, transfer, matrix, full_range }))
}

/// Reads timing information, decoder model and operating points; returns the frame rate.
fn skip_operating_points(bits: &mut Bits<'_>) -> Result<Option<f64>, Malformed> {
    let mut fps = None;
    let mut delay_bits = None;
    if bits.flag()? {
        let units_in_tick = bits.bits(32)?;
        let time_scale = bits.bits(32)?;
        if bits.flag()? {
            let ticks_per_picture = f64::from(bits.ue()?) + 1.0;
            fps = limits::frame_rate(f64::from(time_scale), f64::from(units_in_tick) * ticks_per_picture);
        }
        if bits.flag()? {
            delay_bits = Some(bits.bits(5)? as usize + 1);
            bits.skip(32 + 5 + 5)?; // num_units_in_decoding_tick and two lengths
        }
    }
    let initial_display_delay = bits.flag()?;
    for _ in 0..=bits.bits(5)? {
        bits.skip(12)?; // operating_point_idc
        if bits.bits(5)? > 7 {
            bits.skip(1)?; // seq_tier
        }
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay_bits + 1)?; // two delays and low_delay_mode_flag
        }
        if initial_display_delay && bits.flag()? {
            bits.skip(4)?; // initial_display_delay_minus_1
        }
    }
    Ok(fps)
}
