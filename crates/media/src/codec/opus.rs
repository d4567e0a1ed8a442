//! Opus: the identification header (RFC 7845 section 5.1).

use super::Summary;
use crate::Malformed;
use wire::Reader;

/// The rate at which Opus plays, whatever was recorded, in Hz.
pub const SAMPLE_RATE: u32 = 48_000;

/// The fields of an OpusHead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How many channels are played; `None` where the header is left out, as E-RTMP allows.
    pub channels: Option<u8>,
    /// Samples at 48 kHz to drop at the start.
    pub pre_skip: u16,
}

/// Reads an OpusHead, or nothing.
///
/// # Errors
///
/// Another signature or an early end.
pub fn read_config(head: &[u8]) -> Result<Config, Malformed> {
    if head.is_empty() {
        return Ok(Config { channels: None, pre_skip: 0 });
    }
    let mut reader = Reader::new(head);
    if reader.array()? != *b"OpusHead" {
        return Err(Malformed("no OpusHead"));
    }
    let [_version, channels, skip_low, skip_high] = reader.array()?;
    Ok(Config { channels: Some(channels), pre_skip: u16::from_le_bytes([skip_low, skip_high]) })
}

impl Config {
    pub(super) fn summary(&self) -> Summary {
        Summary {
            mime: "opus".into(),
            sample_rate: Some(SAMPLE_RATE),
            channels: self.channels,
            ..Summary::default()
        }
    }
}
