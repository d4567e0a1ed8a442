//! FLAC: the STREAMINFO block (RFC 9639 section 8.2).

use super::Summary;
use super::bits::Bits;
use crate::Malformed;

/// The fields of a STREAMINFO block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// In Hz.
    pub sample_rate: u32,
    /// 1..=8.
    pub channels: u8,
    /// 4..=32.
    pub bits_per_sample: u8,
}

/// Reads `fLaC` and the metadata block after it, or the bare STREAMINFO block.
///
/// # Errors
///
/// An early end, another block in front, or a sample rate of 0.
pub fn read_config(config: &[u8]) -> Result<Config, Malformed> {
    const STREAMINFO: u32 = 0;
    let mut bits = Bits::new(config.strip_prefix(b"fLaC").unwrap_or(config));
    if config.starts_with(b"fLaC") {
        bits.skip(1)?; // whether it is the last block
        if bits.bits(7)? != STREAMINFO {
            return Err(Malformed("FLAC configuration without STREAMINFO"));
        }
        bits.skip(24)?; // size
    }
    bits.skip(2 * 16 + 2 * 24)?; // smallest and largest block and frame
    let sample_rate = bits.bits(20)?;
    let channels = bits.u8(3)? + 1;
    let bits_per_sample = bits.u8(5)? + 1;
    if sample_rate == 0 {
        return Err(Malformed("FLAC without a sample rate"));
    }
    Ok(Config { sample_rate, channels, bits_per_sample })
}

impl Config {
    pub(super) fn summary(&self) -> Summary {
        Summary {
            mime: "flac".into(),
            sample_rate: Some(self.sample_rate),
            channels: Some(self.channels),
            ..Summary::default()
        }
    }
}
