//! AC-3 and E-AC-3 (ETSI TS 102 366): the header of a sync frame.

use super::bits::Bits;
use crate::Malformed;

/// Samples of one channel in a block.
pub const BLOCK_SAMPLES: u32 = 256;

/// What the header of a sync frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether it is E-AC-3.
    pub enhanced: bool,
    /// In Hz.
    pub sample_rate: u32,
    /// With the low frequency channel. Of E-AC-3, those of this substream.
    pub channels: u8,
    /// Bytes of this sync frame.
    pub frame_bytes: usize,
    /// Blocks of [`BLOCK_SAMPLES`] in this sync frame: 1, 2, 3 or 6.
    pub blocks: u8,
    /// `fscod`, 2 bits.
    pub rate_code: u8,
    /// `bsid`, 5 bits.
    pub identification: u8,
    /// `bsmod`, 3 bits; 0 (complete main) for E-AC-3, where it stands behind fields that are not read.
    pub service: u8,
    /// `acmod`, 3 bits.
    pub mode: u8,
    /// `lfeon`.
    pub low_frequency: bool,
    /// Half of `frmsizecod`, 5 bits; 0 for E-AC-3.
    pub bitrate_code: u8,
    /// E-AC-3: whether the substream adds to the one before it (`strmtyp` 1).
    pub dependent: bool,
    /// E-AC-3: `substreamid`, 3 bits.
    pub substream: u8,
    /// E-AC-3: where the channels of a dependent substream are (`chanmap`), the left one in the highest bit.
    pub channel_map: Option<u16>,
}

/// Reads the header at the front of `frame` (sections 4.3.1, 4.3.2 and E.1.2.2).
///
/// # Errors
///
/// No sync word, a reserved value, or an early end.
pub fn read_header(frame: &[u8]) -> Result<Header, Malformed> {
    const SYNC: u32 = 0x0b77;
    let mut bits = Bits::new(frame);
    if bits.bits(16)? != SYNC {
        return Err(Malformed("no AC-3 sync word"));
    }
    // Both kinds have the bit stream identification after 40 bits.
    let mut ahead = bits.clone();
    ahead.skip(24)?;
    match ahead.u8(5)? {
        identification @ 0..=10 => read_plain(&mut bits, identification),
        identification @ 11..=16 => read_enhanced(&mut bits, identification),
        _ => Err(Malformed("unknown AC-3 bit stream identification")),
    }
}

fn sample_rate(code: u8) -> Result<u32, Malformed> {
    const RATES: [u32; 3] = [48_000, 44_100, 32_000];
    RATES.get(usize::from(code)).copied().ok_or(Malformed("reserved AC-3 sample rate"))
}

/// The number of channels by `acmod`.
fn channels(mode: u8, low_frequency: bool) -> u8 {
    const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
    CHANNELS[usize::from(mode & 7)] + u8::from(low_frequency)
}

fn read_plain(bits: &mut Bits<'_>, identification: u8) -> Result<Header, Malformed> {
    /// kbit/s by half of `frmsizecod` (section 4.4.1.4).
    const KILOBITS: [usize; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    bits.skip(16)?; // crc1
    let rate_code = bits.u8(2)?;
    let size_code = bits.u8(6)?;
    bits.skip(5)?; // bsid
    let service = bits.u8(3)?;
    let mode = bits.u8(3)?;
    // cmixlev, surmixlev and dsurmod are there only where they mean something.
    let mix_bits = match mode {
        1 => 0,
        2 => 2,
        _ => 2 * usize::from(mode & 1 != 0) + 2 * usize::from(mode & 4 != 0),
    };
    bits.skip(mix_bits)?;
    let low_frequency = bits.flag()?;
    let bitrate_code = size_code >> 1;
    let kilobits =
        KILOBITS.get(usize::from(bitrate_code)).copied().ok_or(Malformed("reserved AC-3 frame size"))?;
    // In words of 16 bits, six blocks; at 44.1 kHz the lowest bit of the code adds one.
    let words = match rate_code {
        0 => kilobits * 2,
        1 => kilobits * 320 / 147 + usize::from(size_code & 1),
        _ => kilobits * 3,
    };
    Ok(Header {
        enhanced: false,
        // Identifications 9 and 10 mean half and a quarter of the rate.
        sample_rate: sample_rate(rate_code)? >> identification.saturating_sub(8),
        channels: channels(mode, low_frequency),
        frame_bytes: words * 2,
        blocks: 6,
        rate_code,
        identification,
        service,
        mode,
        low_frequency,
        bitrate_code,
        dependent: false,
        substream: 0,
        channel_map: None,
    })
}

fn read_enhanced(bits: &mut Bits<'_>, identification: u8) -> Result<Header, Malformed> {
    const DEPENDENT: u8 = 1;
    const BLOCKS: [u8; 4] = [1, 2, 3, 6];
    let dependent = bits.u8(2)? == DEPENDENT;
    let substream = bits.u8(3)?;
    let frame_bytes = (bits.bits(11)? as usize + 1) * 2;
    let rate_code = bits.u8(2)?;
    let second = bits.u8(2)?;
    let (sample_rate, blocks) = match rate_code {
        3 => (sample_rate(second)? / 2, 6),
        code => (sample_rate(code)?, BLOCKS[usize::from(second & 3)]),
    };
    let mode = bits.u8(3)?;
    let low_frequency = bits.flag()?;
    let channel_map = if dependent { read_channel_map(bits, mode)? } else { None };
    Ok(Header {
        enhanced: true,
        sample_rate,
        channels: channels(mode, low_frequency),
        frame_bytes,
        blocks,
        rate_code,
        identification,
        service: 0,
        mode,
        low_frequency,
        bitrate_code: 0,
        dependent,
        substream,
        channel_map,
    })
}

/// Reads on from `bsid` to `chanmap` (section E.1.2.2).
fn read_channel_map(bits: &mut Bits<'_>, mode: u8) -> Result<Option<u16>, Malformed> {
    bits.skip(5)?; // bsid
    for _ in 0..if mode == 0 { 2 } else { 1 } {
        bits.skip(5)?; // dialnorm
        if bits.flag()? {
            bits.skip(8)?; // compr
        }
    }
    Ok(if bits.flag()? { Some(bits.bits(16)? as u16) } else { None })
}
