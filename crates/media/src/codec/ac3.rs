//! AC-3 and E-AC-3 (ETSI TS 102 366): the header of a sync frame.

use super::bits::Bits;
use crate::Malformed;

/// What the header of a sync frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether it is E-AC-3.
    pub enhanced: bool,
    /// In Hz.
    pub sample_rate: u32,
    /// With the low frequency channel. Of E-AC-3, those of this substream.
    pub channels: u8,
}

/// Reads the header at the front of `frame` (sections 4.3.1, 4.3.2 and E.1.2.2).
///
/// # Errors
///
/// No sync word, a reserved value, or an early end.
pub fn read_header(frame: &[u8]) -> Result<Header, Malformed> {
    const SYNC: u32 = 0x0b77;
    const RATES: [u32; 3] = [48_000, 44_100, 32_000];
    /// Channels by `acmod`, without the low frequency one.
    const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
    let rate = |code: u32| RATES.get(code as usize).copied().ok_or(Malformed("reserved AC-3 sample rate"));
    let mut bits = Bits::new(frame);
    if bits.bits(16)? != SYNC {
        return Err(Malformed("no AC-3 sync word"));
    }
    // Both kinds have the bit stream identification after 40 bits.
    let mut ahead = bits.clone();
    ahead.skip(24)?;
    let identification = ahead.bits(5)?;
    let enhanced = match identification {
        0..=10 => false,
        11..=16 => true,
        _ => return Err(Malformed("unknown AC-3 bit stream identification")),
    };
    let (sample_rate, mode) = if enhanced {
        bits.skip(2 + 3 + 11)?; // strmtyp, substreamid, frmsiz
        let sample_rate = match bits.bits(2)? {
            3 => rate(bits.bits(2)?)? / 2,
            code => {
                bits.skip(2)?; // numblkscod
                rate(code)?
            }
        };
        (sample_rate, bits.bits(3)?)
    } else {
        bits.skip(16)?; // crc1
        let code = bits.bits(2)?;
        bits.skip(6 + 5 + 3)?; // frmsizecod, bsid, bsmod
        let mode = bits.bits(3)?;
        // cmixlev, surmixlev and dsurmod are there only where they mean something.
        let mix_bits = match mode {
            1 => 0,
            2 => 2,
            _ => 2 * usize::from(mode & 1 != 0) + 2 * usize::from(mode & 4 != 0),
        };
        bits.skip(mix_bits)?;
        // Identifications 9 and 10 mean half and a quarter of the rate.
        (rate(code)? >> identification.saturating_sub(8), mode)
    };
    let low_frequency = bits.u8(1)?;
    Ok(Header { enhanced, sample_rate, channels: CHANNELS[mode as usize] + low_frequency })
}
