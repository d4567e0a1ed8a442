//! Sample entries turned into the codec configuration that packets carry.

use crate::codec;
use crate::container::Error;
use crate::container::fmp4::boxes::{Kind, find, read_full};
use crate::container::fmp4::entry::{OBJECT_MPEG1_MP3, OBJECT_MPEG2_MP3, OBJECT_MPEG4_AUDIO};
use crate::{Codec, Malformed};
use bytes::{BufMut, Bytes, BytesMut};
use wire::Reader;

/// Bytes of a sample entry before its boxes (sections 12.1.3 and 12.2.3).
const VISUAL_HEAD: usize = 78;
const AUDIO_HEAD: usize = 28;
/// What the sound descriptions of QuickTime add to that, by their version; ISO files have version 0.
const QUICKTIME_HEADS: [usize; 3] = [0, 16, 36];

/// The MPEG-2 profiles of AAC (ISO/IEC 14496-1 table 5).
const OBJECT_MPEG2_AAC: [u8; 3] = [0x66, 0x67, 0x68];

/// The codec of a sample entry and its configuration, empty where the codec has none.
pub(super) fn read(kind: &Kind, entry: &[u8]) -> Result<(Codec, Bytes), Error> {
    let visual = |codec, name| Ok((codec, record(codec, child(entry.get(VISUAL_HEAD..), name)?)?));
    let full_visual = |codec, name| {
        let body = child(entry.get(VISUAL_HEAD..), name)?;
        Ok((codec, record(codec, read_full(body)?.2.rest())?))
    };
    match kind {
        b"avc1" | b"avc3" => visual(Codec::H264, b"avcC"),
        b"hvc1" | b"hev1" => visual(Codec::H265, b"hvcC"),
        b"vvc1" | b"vvi1" => full_visual(Codec::H266, b"vvcC"),
        b"av01" => visual(Codec::Av1, b"av1C"),
        b"vp08" => full_visual(Codec::Vp8, b"vpcC"),
        b"vp09" => full_visual(Codec::Vp9, b"vpcC"),
        b"mp4a" => read_esds(audio_child(entry, b"esds")?),
        b"Opus" => Ok((Codec::Opus, opus_head(audio_child(entry, b"dOps")?)?)),
        b"fLaC" => Ok((Codec::Flac, flac_header(audio_child(entry, b"dfLa")?)?)),
        b".mp3" => Ok((Codec::Mp3, Bytes::new())),
        b"ac-3" => Ok((Codec::Ac3, Bytes::new())),
        b"ec-3" => Ok((Codec::Eac3, Bytes::new())),
        _ => Err(Error::Unsupported("a codec that is not known")),
    }
}

fn child<'a>(boxes: Option<&'a [u8]>, name: &Kind) -> Result<&'a [u8], Malformed> {
    let boxes = boxes.ok_or(Malformed("a sample entry is cut off"))?;
    find(boxes, name)?.ok_or(Malformed("a track has no codec configuration"))
}

fn audio_child<'a>(entry: &'a [u8], name: &Kind) -> Result<&'a [u8], Malformed> {
    let added = match entry {
        [_, _, _, _, _, _, _, _, 0, version, ..] => QUICKTIME_HEADS.get(usize::from(*version)),
        _ => None,
    };
    let boxes = added.and_then(|added| entry.get(AUDIO_HEAD + added..));
    // QuickTime puts it into a box of its own.
    child(boxes, name).or_else(|error| child(Some(child(boxes, b"wave").map_err(|_| error)?), name))
}

/// A configuration record, if it is one.
fn record(codec: Codec, bytes: &[u8]) -> Result<Bytes, Malformed> {
    codec::summary(codec, bytes).ok_or(Malformed("a codec configuration that makes no sense"))?;
    Ok(Bytes::copy_from_slice(bytes))
}

/// The decoder configuration in an `esds` box (ISO/IEC 14496-1 section 7.2.6).
fn read_esds(body: &[u8]) -> Result<(Codec, Bytes), Error> {
    const ES: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;
    const DEPENDS_ON: u8 = 0x80;
    const HAS_URL: u8 = 0x40;
    const HAS_CLOCK: u8 = 0x20;
    let (_, _, mut reader) = read_full(body)?;
    let mut stream = read_descriptor(&mut reader, ES)?;
    stream.take(2)?; // ES_ID
    let flags = stream.u8()?;
    if flags & DEPENDS_ON != 0 {
        stream.take(2)?;
    }
    if flags & HAS_URL != 0 {
        let length = stream.u8()?;
        stream.take(length.into())?;
    }
    if flags & HAS_CLOCK != 0 {
        stream.take(2)?;
    }
    let mut decoder = read_descriptor(&mut stream, DECODER_CONFIG)?;
    let object = decoder.u8()?;
    decoder.take(12)?; // stream type, buffer size, bit rates
    match object {
        OBJECT_MPEG1_MP3 | OBJECT_MPEG2_MP3 => Ok((Codec::Mp3, Bytes::new())),
        object if object == OBJECT_MPEG4_AUDIO || OBJECT_MPEG2_AAC.contains(&object) => {
            let specific = read_descriptor(&mut decoder, DECODER_SPECIFIC)?;
            Ok((Codec::Aac, record(Codec::Aac, specific.rest())?))
        }
        _ => Err(Error::Unsupported("MPEG-4 audio that is neither AAC nor MP3")),
    }
}

/// Enters the first descriptor with `tag`, passing over others.
fn read_descriptor<'a>(reader: &mut Reader<'a>, tag: u8) -> Result<Reader<'a>, Malformed> {
    loop {
        let found = reader.u8()?;
        let mut size = 0usize;
        // At most four groups of 7 bits (ISO/IEC 14496-1 section 8.3.3).
        for _ in 0..4 {
            let group = reader.u8()?;
            size = size << 7 | usize::from(group & 0x7f);
            if group & 0x80 == 0 {
                break;
            }
        }
        let body = reader.take(size)?;
        if found == tag {
            return Ok(Reader::new(body));
        }
    }
}

/// The identification header of RFC 7845 section 5.1. `dOps` holds the same fields in big-endian order.
fn opus_head(body: &[u8]) -> Result<Bytes, Malformed> {
    let mut reader = Reader::new(body);
    reader.u8()?; // version
    let channels = reader.u8()?;
    let pre_skip = reader.u16()?;
    let sample_rate = reader.u32()?;
    let gain = reader.u16()?;
    let family = reader.u8()?;
    let mut head = BytesMut::with_capacity(21 + usize::from(channels));
    head.put_slice(b"OpusHead");
    head.put_slice(&[1, channels]);
    head.put_u16_le(pre_skip);
    head.put_u32_le(sample_rate);
    head.put_u16_le(gain);
    head.put_u8(family);
    if family != 0 {
        head.put_slice(reader.take(2 + usize::from(channels))?);
    }
    Ok(head.freeze())
}

/// The stream marker and the STREAMINFO block, marked as the last one (RFC 9639 sections 8.1 and 8.2). That block is the
/// first one of `dfLa`.
fn flac_header(body: &[u8]) -> Result<Bytes, Malformed> {
    const STREAMINFO: u8 = 0;
    const LAST: u8 = 0x80;
    let (_, _, mut reader) = read_full(body)?;
    if reader.u8()? & !LAST != STREAMINFO {
        return Err(Malformed("a FLAC track without STREAMINFO"));
    }
    let size = reader.u24()?;
    let block = reader.take(size as usize)?;
    let [_, high, middle, low] = size.to_be_bytes();
    record(Codec::Flac, &[b"fLaC", &[LAST | STREAMINFO, high, middle, low][..], block].concat())
}
