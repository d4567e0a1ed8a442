//! AAC (ISO/IEC 14496-3): the AudioSpecificConfig.

use super::Summary;
use super::bits::Bits;
use crate::Malformed;

const SBR: u8 = 5;
const PS: u8 = 29;

/// The fields of an AudioSpecificConfig (section 1.6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The audio object type that is named first: 2 for AAC LC, 5 with explicit SBR, 29 with explicit PS.
    pub object_type: u8,
    /// The audio object type of the core coder, which extensions are added to.
    pub core_type: u8,
    /// `channelConfiguration`; 0 where a program config element says it.
    pub channel_configuration: u8,
    /// Of the core coder, in Hz.
    pub core_sample_rate: u32,
    /// As played, in Hz: the rate of the SBR extension where one is signalled.
    pub sample_rate: u32,
    /// As played: 2 for a mono core with parametric stereo. `None` where only a program config element would tell.
    pub channels: Option<u8>,
}

/// Reads an AudioSpecificConfig, with the extensions that stand in front of it or after it.
///
/// # Errors
///
/// An early end, or a sampling frequency index that is reserved.
pub fn read_config(config: &[u8]) -> Result<Config, Malformed> {
    let mut bits = Bits::new(config);
    let object_type = read_object_type(&mut bits)?;
    let core_sample_rate = read_sample_rate(&mut bits)?;
    let channel_configuration = bits.u8(4)?;
    let mut sample_rate = core_sample_rate;
    let mut core_type = object_type;
    let mut parametric_stereo = object_type == PS;
    if matches!(object_type, SBR | PS) {
        sample_rate = read_sample_rate(&mut bits)?;
        core_type = read_object_type(&mut bits)?;
    } else if let Some((extended, stereo)) = read_extension(&mut bits, object_type, channel_configuration) {
        sample_rate = extended;
        parametric_stereo = stereo;
    }
    let channels = match channel_configuration {
        0 => read_program_channels(&mut bits, core_type),
        1 if parametric_stereo => Some(2),
        count @ 1..=6 => Some(count),
        7 | 12 | 14 => Some(8),
        11 => Some(7),
        13 => Some(24),
        _ => None,
    };
    Ok(Config { object_type, core_type, channel_configuration, core_sample_rate, sample_rate, channels })
}

impl Config {
    pub(super) fn summary(&self) -> Summary {
        Summary {
            mime: format!("mp4a.40.{}", self.object_type),
            profile: self.object_type,
            sample_rate: Some(self.sample_rate),
            channels: self.channels,
            ..Summary::default()
        }
    }
}

fn read_object_type(bits: &mut Bits<'_>) -> Result<u8, Malformed> {
    const ESCAPE: u8 = 31;
    match bits.u8(5)? {
        ESCAPE => Ok(32 + bits.u8(6)?),
        object_type => Ok(object_type),
    }
}

/// Sample rates in Hz by `samplingFrequencyIndex` (table 1.18).
pub const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

fn read_sample_rate(bits: &mut Bits<'_>) -> Result<u32, Malformed> {
    const EXPLICIT: u32 = 15;
    match bits.bits(4)? {
        EXPLICIT => Ok(bits.bits(24)?),
        index => SAMPLE_RATES.get(index as usize).copied().ok_or(Malformed("reserved sampling frequency")),
    }
}

/// Whether the config of `object_type` is a GASpecificConfig (section 4.4.1).
fn is_general_audio(object_type: u8) -> bool {
    matches!(object_type, 1..=4 | 6 | 7 | 17 | 19..=23)
}

/// Reads a GASpecificConfig up to the program config element.
fn skip_general_audio(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(1).ok()?; // frameLengthFlag
    if bits.flag().ok()? {
        bits.skip(14).ok()?; // coreCoderDelay
    }
    bits.skip(1).ok() // extensionFlag
}

/// Reads the extension that comes after the config, where old decoders do not look: the rate, and whether there is
/// parametric stereo.
fn read_extension(bits: &mut Bits<'_>, object_type: u8, channels: u8) -> Option<(u32, bool)> {
    const SYNC_SBR: u32 = 0x2b7;
    const SYNC_PS: u32 = 0x548;
    // Object types whose config goes on (scalable, error resilient) and program config elements are not followed.
    if !matches!(object_type, 1..=4) || channels == 0 {
        return None;
    }
    let mut bits = bits.clone();
    skip_general_audio(&mut bits)?;
    if bits.bits(11).ok()? != SYNC_SBR || read_object_type(&mut bits).ok()? != SBR || !bits.flag().ok()? {
        return None;
    }
    let sample_rate = read_sample_rate(&mut bits).ok()?;
    let stereo = bits.bits(11) == Ok(SYNC_PS) && bits.flag() == Ok(true);
    Some((sample_rate, stereo))
}

/// Counts the channels of a program config element (section 4.4.1.1).
fn read_program_channels(bits: &mut Bits<'_>, object_type: u8) -> Option<u8> {
    if !is_general_audio(object_type) {
        return None;
    }
    let mut bits = bits.clone();
    skip_general_audio(&mut bits)?;
    bits.skip(4 + 2 + 4).ok()?; // tag, object type, sampling frequency
    let front = bits.u8(4).ok()?;
    let side = bits.u8(4).ok()?;
    let back = bits.u8(4).ok()?;
    let low_frequency = bits.u8(2).ok()?;
    bits.skip(3 + 4).ok()?; // associated data and coupling elements
    for mixdown_bits in [4, 4, 3] {
        if bits.flag().ok()? {
            bits.skip(mixdown_bits).ok()?;
        }
    }
    let mut channels = low_frequency;
    for _ in 0..front + side + back {
        channels += 1 + u8::from(bits.flag().ok()?);
        bits.skip(4).ok()?;
    }
    Some(channels)
}
