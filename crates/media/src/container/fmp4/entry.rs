//! Sample entries: what the samples of a track are (`stsd`, ISO/IEC 14496-12 section 8.5.2), written.

use super::boxes::{Kind, write_box, write_full_box};
use crate::codec::{Summary, ac3, flac, mp3, opus};
use crate::container::Error;
use crate::{Codec, Malformed};
use bytes::{BufMut, Bytes, BytesMut};

/// Writes the sample entry for `codec`. What the configuration does not say comes from `frame`, and `summary` is what both say.
pub(super) fn write(codec: Codec, config: &[u8], frame: &[u8], summary: &Summary) -> Result<Bytes, Error> {
    let mut out = BytesMut::new();
    let out_ref = &mut out;
    match codec {
        Codec::Av1 | Codec::Vp9 if config.is_empty() => {
            return Err(Error::Unsupported("AV1 or VP9 without a configuration"));
        }
        Codec::H264 => visual(out_ref, b"avc1", summary, |out| {
            write_box(out, b"avcC", |out| out.put_slice(config));
        }),
        Codec::H265 => visual(out_ref, b"hvc1", summary, |out| {
            write_box(out, b"hvcC", |out| out.put_slice(config));
        }),
        Codec::H266 => visual(out_ref, b"vvc1", summary, |out| {
            write_full_box(out, b"vvcC", 0, 0, |out| out.put_slice(config));
        }),
        Codec::Av1 => visual(out_ref, b"av01", summary, |out| {
            write_box(out, b"av1C", |out| out.put_slice(av1_record(config)));
        }),
        Codec::Vp8 => visual(out_ref, b"vp08", summary, |out| vp_record(out, config)),
        Codec::Vp9 => visual(out_ref, b"vp09", summary, |out| vp_record(out, config)),
        Codec::Aac => audio(out_ref, b"mp4a", summary, |out| write_esds(out, OBJECT_MPEG4_AUDIO, config)),
        Codec::Mp3 => {
            let header = mp3::read_header(frame).ok_or(Malformed("no MPEG audio frame"))?;
            audio(out_ref, b"mp4a", summary, |out| write_esds(out, mp3_object(&header), &[]))
        }
        Codec::Opus => {
            let record = opus_record(config, summary.channels.unwrap_or(2))?;
            audio(out_ref, b"Opus", summary, |out| write_box(out, b"dOps", |out| out.put_slice(&record)))
        }
        Codec::Flac => {
            let block = stream_info(config)?;
            audio(out_ref, b"fLaC", summary, |out| {
                write_full_box(out, b"dfLa", 0, 0, |out| {
                    // The last metadata block, and of type STREAMINFO (RFC 9639 section 8.1).
                    out.put_slice(&[0x80, 0, 0, block.len() as u8]);
                    out.put_slice(block);
                });
            })
        }
        Codec::Ac3 => {
            let header = ac3::read_header(frame)?;
            audio(out_ref, b"ac-3", summary, |out| write_dac3(out, &header))
        }
        Codec::Eac3 => {
            let record = dec3_record(frame)?;
            audio(out_ref, b"ec-3", summary, |out| write_box(out, b"dec3", |out| out.put_slice(&record)))
        }
        Codec::FlvVideo(_) | Codec::FlvAudio(_) => {
            return Err(Error::Unsupported("a codec that only FLV has, in MP4"));
        }
        Codec::Amf => return Err(Error::Unsupported("script data in MP4")),
    }
    Ok(out.freeze())
}

/// `objectTypeIndication` of MPEG-4 audio (ISO/IEC 14496-1 table 5).
pub(super) const OBJECT_MPEG4_AUDIO: u8 = 0x40;
/// That of MPEG-2 audio, which is the low sample rates of MP3.
pub(super) const OBJECT_MPEG2_MP3: u8 = 0x69;
/// That of MPEG-1 audio.
pub(super) const OBJECT_MPEG1_MP3: u8 = 0x6b;

/// The object type of the MP3 stream that `header` stands in.
pub(super) fn mp3_object(header: &mp3::Header) -> u8 {
    if header.mpeg1 { OBJECT_MPEG1_MP3 } else { OBJECT_MPEG2_MP3 }
}

/// Writes a `VisualSampleEntry` (section 12.1.3) with the boxes that `boxes` writes, and those for colours and shape of pixels.
fn visual(out: &mut BytesMut, kind: &Kind, summary: &Summary, boxes: impl FnOnce(&mut BytesMut)) {
    const RESOLUTION_72_DPI: u32 = 0x0048_0000;
    const DEPTH_24_BIT: u16 = 24;
    // 65535 is the most that the fields can say; sizes of pictures are below it.
    let side = |side: Option<u32>| u16::try_from(side.unwrap_or(0)).unwrap_or(u16::MAX);
    write_box(out, kind, |out| {
        entry_head(out);
        out.put_bytes(0, 16);
        out.put_u16(side(summary.width));
        out.put_u16(side(summary.height));
        out.put_u32(RESOLUTION_72_DPI);
        out.put_u32(RESOLUTION_72_DPI);
        out.put_u32(0);
        out.put_u16(1); // frames per sample
        out.put_bytes(0, 32); // name of the compressor
        out.put_u16(DEPTH_24_BIT);
        out.put_i16(-1);
        boxes(out);
        if let Some(color) = summary.color {
            write_box(out, b"colr", |out| {
                out.put_slice(b"nclx");
                for code in [color.primaries, color.transfer, color.matrix] {
                    out.put_u16(code.into());
                }
                out.put_u8(u8::from(color.full_range) << 7);
            });
        }
        if let Some((width, height)) = summary.pixel_aspect.filter(|(width, height)| width != height) {
            write_box(out, b"pasp", |out| {
                out.put_u32(width);
                out.put_u32(height);
            });
        }
    });
}

/// Writes an `AudioSampleEntry` (section 12.2.3) with the boxes that `boxes` writes.
fn audio(out: &mut BytesMut, kind: &Kind, summary: &Summary, boxes: impl FnOnce(&mut BytesMut)) {
    const SAMPLE_BITS: u16 = 16;
    let mut rate = summary.sample_rate.unwrap_or(0);
    // 16 bits before the point. Of a higher rate, the greatest regular division (FLAC in ISOBMFF, sample entry).
    while rate > u32::from(u16::MAX) {
        rate /= 2;
    }
    write_box(out, kind, |out| {
        entry_head(out);
        out.put_bytes(0, 8);
        out.put_u16(summary.channels.unwrap_or(2).into());
        out.put_u16(SAMPLE_BITS);
        out.put_u32(0);
        out.put_u32(rate << 16);
        boxes(out);
    });
}

fn entry_head(out: &mut BytesMut) {
    out.put_bytes(0, 6);
    out.put_u16(1); // data_reference_index
}

/// The record without the head that it has as a descriptor of MPEG-2 TS.
fn av1_record(config: &[u8]) -> &[u8] {
    const TS_DESCRIPTOR: u8 = 0x80;
    match config {
        [TS_DESCRIPTOR, _, record @ ..] => record,
        record => record,
    }
}

/// VP Codec ISO Media File Format Binding section 2.2. A stream of VP8 can only be what the default record says.
fn vp_record(out: &mut BytesMut, config: &[u8]) {
    const VERSION_AND_FLAGS: &[u8] = &[1, 0, 0, 0];
    // Profile 0, level 1, 8 bits of 4:2:0, colours unspecified.
    const VP8: &[u8] = &[0, 10, 0x82, 2, 2, 2, 0, 0];
    write_box(out, b"vpcC", |out| {
        out.put_slice(VERSION_AND_FLAGS);
        out.put_slice(match config.strip_prefix(VERSION_AND_FLAGS).unwrap_or(config) {
            [] => VP8,
            record => record,
        });
    });
}

/// Writes an `esds` box (ISO/IEC 14496-14 section 3.1.2, ISO/IEC 14496-1 section 7.2.6).
fn write_esds(out: &mut BytesMut, object_type: u8, config: &[u8]) {
    const ES: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;
    const SYNC_LAYER: u8 = 6;
    /// Stream type 5, audio, and a reserved bit that is 1.
    const AUDIO_STREAM: u8 = 5 << 2 | 1;
    let specific = match config {
        [] => BytesMut::new(),
        config => descriptor(DECODER_SPECIFIC, config),
    };
    let mut decoder = BytesMut::new();
    decoder.put_slice(&[object_type, AUDIO_STREAM]);
    decoder.put_bytes(0, 3 + 4 + 4); // buffer size, largest and average bit rate: unknown
    decoder.put_slice(&specific);
    let mut stream = BytesMut::new();
    stream.put_slice(&[0, 0, 0]); // ES_ID, flags
    stream.put_slice(&descriptor(DECODER_CONFIG, &decoder));
    stream.put_slice(&descriptor(SYNC_LAYER, &[2])); // reserved for use in MP4 files
    write_full_box(out, b"esds", 0, 0, |out| out.put_slice(&descriptor(ES, &stream)));
}

/// A descriptor: tag, size in groups of 7 bits, body (ISO/IEC 14496-1 section 8.3.3).
fn descriptor(tag: u8, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(body.len() + 5);
    out.put_u8(tag);
    let mut groups = 1;
    while groups < 4 && body.len() >> (7 * groups) != 0 {
        groups += 1;
    }
    for group in (0..groups).rev() {
        let more = if group > 0 { 0x80 } else { 0 };
        out.put_u8((body.len() >> (7 * group)) as u8 & 0x7f | more);
    }
    out.put_slice(body);
    out
}

/// The body of `dOps` (Opus in ISOBMFF section 4.3.2): the fields of an OpusHead in the other byte order.
fn opus_record(head: &[u8], channels: u8) -> Result<BytesMut, Malformed> {
    let config = opus::read_config(head)?;
    let mut out = BytesMut::new();
    out.put_u8(0); // version
    out.put_u8(config.channels.unwrap_or(channels));
    out.put_u16(config.pre_skip);
    match head {
        [] => {
            out.put_u32(opus::SAMPLE_RATE);
            out.put_slice(&[0, 0, 0]); // gain, mapping family
        }
        head => {
            let mut reader = wire::Reader::new(head);
            reader.take(12)?; // signature, version, channels, pre-skip
            out.put_u32(reader.u32_le()?);
            let [low, high] = reader.array()?;
            out.put_slice(&[high, low]);
            // The mapping family, and for other families than 0 the table, which are bytes in both.
            let family = reader.u8()?;
            out.put_u8(family);
            if family != 0 {
                out.put_slice(reader.take(2 + usize::from(config.channels.unwrap_or(0)))?);
            }
        }
    }
    Ok(out)
}

/// The body of the STREAMINFO block in a FLAC configuration.
fn stream_info(config: &[u8]) -> Result<&[u8], Malformed> {
    const MARKER_AND_BLOCK_HEAD: usize = 8;
    const BYTES: usize = 34;
    flac::read_config(config)?;
    let start = if config.starts_with(b"fLaC") { MARKER_AND_BLOCK_HEAD } else { 0 };
    config.get(start..start + BYTES).ok_or(Malformed("STREAMINFO is cut off"))
}

/// ETSI TS 102 366 section F.4: `fscod:2 bsid:5 bsmod:3 acmod:3 lfeon:1 bit_rate_code:5 reserved:5`.
fn write_dac3(out: &mut BytesMut, header: &ac3::Header) {
    let fields = u32::from(header.rate_code) << 22
        | u32::from(header.identification & 0x1f) << 17
        | u32::from(header.service & 7) << 14
        | u32::from(header.mode & 7) << 11
        | u32::from(header.low_frequency) << 10
        | u32::from(header.bitrate_code & 0x1f) << 5;
    write_box(out, b"dac3", |out| out.put_uint(fields.into(), 3));
}

/// Independent substreams of E-AC-3, each with those that depend on it.
const SUBSTREAMS_MAX: usize = 8;

/// The body of `dec3` for the sync frames of one access unit (ETSI TS 102 366 section F.6).
fn dec3_record(frame: &[u8]) -> Result<BytesMut, Malformed> {
    /// An independent substream, how many depend on it, and where their channels are.
    struct Substream {
        header: ac3::Header,
        dependent: u8,
        places: u16,
    }
    let mut substreams: Vec<Substream> = Vec::new();
    let (mut bits, mut blocks) = (0u64, 0u64);
    let mut rest = frame;
    while let Ok(header) = ac3::read_header(rest) {
        bits += header.frame_bytes as u64 * 8;
        if !header.dependent && header.substream == 0 {
            blocks += u64::from(header.blocks);
        }
        // Blocks of the same substream may follow in the same access unit: they are described already.
        let is_known =
            !header.dependent && substreams.iter().any(|known| known.header.substream == header.substream);
        let is_full = substreams.len() == SUBSTREAMS_MAX;
        if header.dependent {
            if let Some(parent) = substreams.last_mut() {
                parent.dependent = (parent.dependent + 1).min(15);
                parent.places |= places(header.channel_map.unwrap_or(0));
            }
        } else if !is_known && !is_full {
            substreams.push(Substream { header, dependent: 0, places: 0 });
        }
        match rest.get(header.frame_bytes..) {
            Some(after) if !after.is_empty() => rest = after,
            _ => break,
        }
    }
    let first = substreams.first().ok_or(Malformed("no E-AC-3 sync frame"))?.header;
    let samples = blocks.max(1) * u64::from(ac3::BLOCK_SAMPLES);
    let kilobits = (bits * u64::from(first.sample_rate) / samples / 1000).min(0x1fff) as u16;
    let mut out = BytesMut::new();
    out.put_u16(kilobits << 3 | (substreams.len() - 1) as u16);
    for Substream { header, dependent, places } in &substreams {
        // fscod:2 bsid:5 reserved:1 asvc:1 bsmod:3 acmod:3 lfeon:1
        let fields = u16::from(header.rate_code) << 14
            | u16::from(header.identification & 0x1f) << 9
            | u16::from(header.service & 7) << 4
            | u16::from(header.mode & 7) << 1
            | u16::from(header.low_frequency);
        out.put_u16(fields);
        // reserved:3 num_dep_sub:4, then chan_loc:9 or reserved:1.
        match dependent {
            0 => out.put_u8(0),
            count => out.put_u16(u16::from(*count) << 9 | places),
        }
    }
    Ok(out)
}

/// `chan_loc` (section F.6) of a `chanmap` (section E.1.2.2): the pair Lc/Rc in the lowest bit.
fn places(channel_map: u16) -> u16 {
    const FIRST: usize = 5; // Lc/Rc in the channel map, counted from the highest bit
    const LOW_FREQUENCY_2: usize = 14;
    let is_set = |place: usize| channel_map >> (15 - place) & 1;
    let pairs = (0..8).map(|bit| is_set(FIRST + bit) << bit).sum::<u16>();
    pairs | is_set(LOW_FREQUENCY_2) << 8
}
