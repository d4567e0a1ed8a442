//! ADTS (ISO/IEC 13818-7 section 6.2): AAC frames that each say how they are coded.

use super::aac;
use crate::Malformed;
use crate::codec::bits::Bits;

/// Bytes of the header that is written: one without a checksum.
pub const HEADER_BYTES: usize = 7;

/// The most bytes that a frame can have, its header included: the size has 13 bits.
pub const FRAME_BYTES_MAX: usize = (1 << 13) - 1;

/// Samples of one channel in a frame.
pub const FRAME_SAMPLES: u32 = 1024;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Audio object type, 1 to 4.
    pub object_type: u8,
    /// Index into [`aac::SAMPLE_RATES`].
    pub rate_index: u8,
    /// `channelConfiguration`, 3 bits; 0 where the frame itself says it.
    pub channel_configuration: u8,
    /// Bytes of the header: 7, or 9 with a checksum.
    pub header_bytes: usize,
    /// Bytes of the frame with its header.
    pub frame_bytes: usize,
    /// Raw data blocks of [`FRAME_SAMPLES`] in the frame, 1 to 4.
    pub blocks: u8,
}

impl Header {
    /// What frames of the stream that an AudioSpecificConfig describes have in common; `None` where ADTS has no form for it: other
    /// object types, other rates than those of the table, channels by a program config element.
    pub fn of_config(config: &[u8]) -> Option<Self> {
        let config = aac::read_config(config).ok()?;
        let rate_index = aac::SAMPLE_RATES.iter().position(|rate| *rate == config.core_sample_rate)?;
        if !(1..=4).contains(&config.core_type) || !(1..=7).contains(&config.channel_configuration) {
            return None;
        }
        Some(Self {
            object_type: config.core_type,
            rate_index: rate_index as u8,
            channel_configuration: config.channel_configuration,
            header_bytes: HEADER_BYTES,
            frame_bytes: HEADER_BYTES,
            blocks: 1,
        })
    }

    /// The header of a frame with `payload_bytes` behind it; `None` above [`FRAME_BYTES_MAX`].
    pub fn write(&self, payload_bytes: usize) -> Option<[u8; HEADER_BYTES]> {
        let size = payload_bytes.checked_add(HEADER_BYTES).filter(|size| *size <= FRAME_BYTES_MAX)?;
        // sync:12 id:1 layer:2 no_checksum:1 | profile:2 rate:4 private:1 channels:3 original:1 home:1 | copyright:2 size:13
        // fullness:11 blocks-1:2
        let mut bits = 0xfff1u64;
        bits = bits << 2 | u64::from(self.object_type.wrapping_sub(1) & 3);
        bits = bits << 4 | u64::from(self.rate_index & 15);
        bits = bits << 4 | u64::from(self.channel_configuration & 7);
        bits <<= 4;
        bits = bits << 13 | size as u64;
        bits = bits << 11 | 0x7ff; // the rate varies
        bits <<= 2;
        let [_, header @ ..] = bits.to_be_bytes();
        Some(header)
    }

    /// The AudioSpecificConfig that says the same (ISO/IEC 14496-3 section 1.6.2.1); `None` where channels are not said.
    pub fn config(&self) -> Option<[u8; 2]> {
        let fields = u16::from(self.object_type) << 11
            | u16::from(self.rate_index) << 7
            | u16::from(self.channel_configuration) << 3;
        (self.channel_configuration != 0).then_some(fields.to_be_bytes())
    }

    /// In Hz.
    pub fn sample_rate(&self) -> u32 {
        aac::SAMPLE_RATES.get(usize::from(self.rate_index)).copied().unwrap_or(48_000)
    }
}

/// Reads the header at the front of `frame`.
///
/// # Errors
///
/// No sync word, a reserved rate, a size smaller than the header, or an early end.
pub fn read_header(frame: &[u8]) -> Result<Header, Malformed> {
    let mut bits = Bits::new(frame);
    if bits.bits(12)? != 0xfff {
        return Err(Malformed("no ADTS sync word"));
    }
    bits.skip(1)?; // MPEG-2 or MPEG-4
    if bits.bits(2)? != 0 {
        return Err(Malformed("ADTS of another layer"));
    }
    let header_bytes = if bits.flag()? { HEADER_BYTES } else { HEADER_BYTES + 2 };
    let object_type = bits.u8(2)? + 1;
    let rate_index = bits.u8(4)?;
    if usize::from(rate_index) >= aac::SAMPLE_RATES.len() {
        return Err(Malformed("reserved sampling frequency"));
    }
    bits.skip(1)?;
    let channel_configuration = bits.u8(3)?;
    bits.skip(4)?;
    let frame_bytes = bits.bits(13)? as usize;
    bits.skip(11)?;
    let blocks = bits.u8(2)? + 1;
    if frame_bytes < header_bytes {
        return Err(Malformed("an ADTS frame smaller than its header"));
    }
    Ok(Header { object_type, rate_index, channel_configuration, header_bytes, frame_bytes, blocks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_config_say_the_same() {
        // AAC LC, 44.1 kHz, stereo, 371 bytes with the header: as ffmpeg writes it.
        let bytes = [0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f, 0xfc];
        let header = read_header(&bytes).unwrap();
        assert_eq!((header.object_type, header.sample_rate(), header.channel_configuration), (2, 44_100, 2));
        assert_eq!((header.header_bytes, header.frame_bytes, header.blocks), (7, 371, 1));
        assert_eq!(header.config(), Some([0x12, 0x10]));
        let of_config = Header::of_config(&[0x12, 0x10]).unwrap();
        assert_eq!(of_config.write(371 - 7), Some(bytes));
        assert_eq!(of_config.write(FRAME_BYTES_MAX), None);
        // SBR in front: the core is what ADTS says.
        assert_eq!(Header::of_config(&[0x2b, 0x92, 0x08, 0]).unwrap().config(), Some([0x13, 0x90]));
        assert_eq!(Header::of_config(&[0xf9, 0x46, 0x40]), None, "object type 42 has no form in ADTS");
    }

    #[test]
    fn what_is_no_header_is_refused() {
        assert!(read_header(&[0xff, 0xf1, 0x50, 0x80, 0x00, 0x1f, 0xfc]).is_err(), "size 0");
        assert!(read_header(&[0xff, 0xf1, 0x74, 0x80, 0x2e, 0x7f, 0xfc]).is_err(), "rate 13");
        assert!(read_header(&[0xff, 0xfb, 0x50, 0x80, 0x2e, 0x7f, 0xfc]).is_err(), "MP3");
        assert!(read_header(&[0xff, 0xf1, 0x50]).is_err());
    }
}
