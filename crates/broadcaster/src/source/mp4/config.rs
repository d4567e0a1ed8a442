//! Sample entries turned into the codec configuration that FLV carries.

use super::boxes::{children_of, leaf};
use bytes::{BufMut, Bytes, BytesMut};
use media::{Codec, codec};
use mp4_atom::{Dops, Esds, FourCC};

/// Bytes of a sample entry before its boxes (ISO/IEC 14496-12 sections 12.1.3 and 12.2.3).
const VISUAL_HEAD: usize = 78;
const AUDIO_HEAD: usize = 28;
/// What the sound descriptions of QuickTime add to that, by their version; ISO files have version 0.
const QUICKTIME_HEADS: [usize; 3] = [0, 16, 36];

/// `objectTypeIndication` (ISO/IEC 14496-1 table 5): MPEG-4 audio, the MPEG-2 AAC profiles, and both MP3s.
const OBJECT_AAC: [u8; 4] = [0x40, 0x66, 0x67, 0x68];
const OBJECT_MP3: [u8; 2] = [0x69, 0x6b];

/// The codec of a sample entry and its configuration record, or why it cannot be published.
pub(super) fn read(kind: FourCC, entry: &[u8]) -> Result<(Codec, Option<Bytes>), String> {
    let video = |codec, name| Ok((codec, Some(record(codec, video_box(entry, name)?)?)));
    match kind.as_ref() {
        b"avc1" | b"avc3" => video(Codec::H264, b"avcC"),
        b"hvc1" | b"hev1" => video(Codec::H265, b"hvcC"),
        b"av01" => video(Codec::Av1, b"av1C"),
        b"vp08" => Ok((Codec::Vp8, Some(record(Codec::Vp8, full(video_box(entry, b"vpcC")?)?)?))),
        b"vp09" => Ok((Codec::Vp9, Some(record(Codec::Vp9, full(video_box(entry, b"vpcC")?)?)?))),
        b"mp4a" => mp4a(&leaf(audio_box(entry, b"esds")?)?),
        b"Opus" => Ok((Codec::Opus, Some(opus_head(&leaf(audio_box(entry, b"dOps")?)?)))),
        b"fLaC" => Ok((Codec::Flac, Some(flac_header(full(audio_box(entry, b"dfLa")?)?)?))),
        b".mp3" => Ok((Codec::Mp3, None)),
        b"ac-3" => Ok((Codec::Ac3, None)),
        b"ec-3" => Ok((Codec::Eac3, None)),
        _ => Err(format!("the codec {kind} cannot be published over RTMP")),
    }
}

fn video_box<'a>(entry: &'a [u8], name: &[u8; 4]) -> Result<&'a [u8], String> {
    find(entry.get(VISUAL_HEAD..), name)
}

fn audio_box<'a>(entry: &'a [u8], name: &[u8; 4]) -> Result<&'a [u8], String> {
    let added = match entry {
        [_, _, _, _, _, _, _, _, 0, version, ..] => QUICKTIME_HEADS.get(usize::from(*version)),
        _ => None,
    };
    let boxes = added.and_then(|added| entry.get(AUDIO_HEAD + added..));
    // QuickTime puts it into a box of its own.
    find(boxes, name).or_else(|error| find(Some(find(boxes, b"wave").map_err(|_| error)?), name))
}

fn find<'a>(boxes: Option<&'a [u8]>, name: &[u8; 4]) -> Result<&'a [u8], String> {
    let boxes = boxes.ok_or("a sample entry is cut off")?;
    let name = FourCC::new(name);
    children_of(boxes, name).next().unwrap_or_else(|| Err(format!("a track has no {name} box")))
}

/// What a box holds behind its version and flags.
fn full(body: &[u8]) -> Result<&[u8], String> {
    body.get(4..).ok_or_else(|| "the codec configuration is cut off".to_owned())
}

/// A configuration record, if it is one.
fn record(codec: Codec, bytes: &[u8]) -> Result<Bytes, String> {
    codec::summary(codec, bytes).ok_or("the codec configuration is broken")?;
    Ok(Bytes::copy_from_slice(bytes))
}

fn mp4a(esds: &Esds) -> Result<(Codec, Option<Bytes>), String> {
    let config = &esds.es_desc.dec_config;
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

/// The stream marker and the STREAMINFO block, marked as the last one (RFC 9639 sections 8.1 and 8.2). That block is the
/// first one of `dfLa`.
fn flac_header(blocks: &[u8]) -> Result<Bytes, String> {
    const STREAMINFO: u8 = 0;
    const LAST: u8 = 0x80;
    let block = match blocks {
        [kind, 0, 0, length, ..] if kind & !LAST == STREAMINFO => blocks.get(1..4 + usize::from(*length)),
        _ => None,
    };
    let block = block.ok_or("the FLAC track has no STREAMINFO")?;
    record(Codec::Flac, &[b"fLaC", &[LAST | STREAMINFO][..], block].concat())
}
