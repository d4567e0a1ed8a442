//! Sample entries turned into the codec configuration that FLV carries.

use bytes::{BufMut, Bytes, BytesMut};
use media::Codec;
use mp4_atom::{Dops, Encode, FlacMetadataBlock, Mp4a};

/// Bytes of a box before its body: size and type; a full box adds version and flags.
const BOX_HEAD: usize = 8;
const FULL_BOX_HEAD: usize = 12;

/// `objectTypeIndication` (ISO/IEC 14496-1 table 5): MPEG-4 audio, the MPEG-2 AAC profiles, and both MP3s.
const OBJECT_AAC: [u8; 4] = [0x40, 0x66, 0x67, 0x68];
const OBJECT_MP3: [u8; 2] = [0x69, 0x6b];

/// The codec of a sample entry and its configuration record, or why it cannot be published.
pub(super) fn read(entry: &mp4_atom::Codec) -> Result<(Codec, Option<Bytes>), String> {
    use mp4_atom::Codec as Entry;
    match entry {
        Entry::Avc1(entry) => Ok((Codec::H264, Some(body(&entry.avcc, BOX_HEAD)?))),
        Entry::Avc3(entry) => Ok((Codec::H264, Some(body(&entry.avcc, BOX_HEAD)?))),
        Entry::Hvc1(entry) => Ok((Codec::H265, Some(body(&entry.hvcc, BOX_HEAD)?))),
        Entry::Hev1(entry) => Ok((Codec::H265, Some(body(&entry.hvcc, BOX_HEAD)?))),
        Entry::Av01(entry) => Ok((Codec::Av1, Some(body(&entry.av1c, BOX_HEAD)?))),
        Entry::Vp08(entry) => Ok((Codec::Vp8, Some(body(&entry.vpcc, FULL_BOX_HEAD)?))),
        Entry::Vp09(entry) => Ok((Codec::Vp9, Some(body(&entry.vpcc, FULL_BOX_HEAD)?))),
        Entry::Mp4a(entry) => mp4a(entry),
        Entry::Mp3(_) => Ok((Codec::Mp3, None)),
        Entry::Opus(entry) => Ok((Codec::Opus, Some(opus_head(&entry.dops)))),
        Entry::Flac(entry) => Ok((Codec::Flac, Some(flac_header(&entry.dfla.blocks)?))),
        Entry::Ac3(_) => Ok((Codec::Ac3, None)),
        Entry::Eac3(_) => Ok((Codec::Eac3, None)),
        Entry::Unknown(kind, _) => Err(format!("the codec {kind} cannot be published over RTMP")),
        _ => Err("a track has a codec that cannot be published over RTMP".into()),
    }
}

fn body(atom: &impl Encode, head: usize) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    atom.encode(&mut bytes).map_err(|error| format!("the codec configuration is broken: {error}"))?;
    if bytes.len() < head {
        return Err("the codec configuration is empty".into());
    }
    Ok(Bytes::from(bytes).slice(head..))
}

fn mp4a(entry: &Mp4a) -> Result<(Codec, Option<Bytes>), String> {
    let config = &entry.esds.es_desc.dec_config;
    match config.object_type_indication {
        kind if OBJECT_AAC.contains(&kind) => match &config.dec_specific {
            Some(specific) if specific.raw.len() >= 2 => {
                Ok((Codec::Aac, Some(Bytes::copy_from_slice(&specific.raw))))
            }
            _ => Err("the AAC track has no AudioSpecificConfig".into()),
        },
        kind if OBJECT_MP3.contains(&kind) => Ok((Codec::Mp3, None)),
        kind => Err(format!("MPEG-4 audio of object type {kind:#x} cannot be published over RTMP")),
    }
}

/// The identification header of RFC 7845 section 5.1. `dOps` holds the same fields in big-endian order.
fn opus_head(dops: &Dops) -> Bytes {
    let mut head = BytesMut::with_capacity(21 + usize::from(dops.output_channel_count));
    head.put_slice(b"OpusHead");
    head.put_u8(1);
    head.put_u8(dops.output_channel_count);
    head.put_u16_le(dops.pre_skip);
    head.put_u32_le(dops.input_sample_rate);
    head.put_i16_le(dops.output_gain);
    match &dops.channel_mapping {
        None => head.put_u8(0),
        Some(mapping) => {
            head.put_u8(mapping.family);
            head.put_u8(mapping.stream_count);
            head.put_u8(mapping.coupled_count);
            head.put_slice(&mapping.channel_mapping);
        }
    }
    head.freeze()
}

/// The stream marker and the STREAMINFO block, marked as the last one (RFC 9639 sections 8.1 and 8.2).
fn flac_header(blocks: &[FlacMetadataBlock]) -> Result<Bytes, String> {
    let info = blocks.iter().find(|block| matches!(block, FlacMetadataBlock::StreamInfo { .. }));
    let info = info.cloned().ok_or("the FLAC track has no STREAMINFO")?;
    let block = body(&mp4_atom::Dfla { blocks: vec![info] }, FULL_BOX_HEAD)?;
    let mut header = BytesMut::with_capacity(4 + block.len());
    header.put_slice(b"fLaC");
    header.put_slice(&block);
    Ok(header.freeze())
}
