//! Packets to tags.

use super::{
    AUDIO, AUDIO_ENHANCED, CLEAR_DATA_FRAME, MOD_EX, MOD_EX_NANOS, SCRIPT, VIDEO, audio_packet, fourcc,
    frame_type, legacy_audio, legacy_packet, legacy_video, video_packet,
};
use crate::{Codec, Kind, Packet, Role, Time, codec};
use bytes::{BufMut, BytesMut};

/// Bytes of a tag before its body.
pub(super) const TAG_HEADER_BYTES: usize = 11;

const COMPOSITION_TIME_MAX: i64 = (1 << 23) - 1;
const COMPOSITION_TIME_MIN: i64 = -(1 << 23);

/// The tag type, which is also the RTMP message type, that carries `packet`: [`AUDIO`], [`VIDEO`] or [`SCRIPT`].
pub fn kind_of(packet: &Packet) -> u8 {
    match packet.track.kind {
        Kind::Audio => AUDIO,
        Kind::Video => VIDEO,
        Kind::Data => SCRIPT,
    }
}

/// Writes the header of an FLV file, 13 bytes with the size of the tag before the first one (zero).
pub fn write_file_header(has_audio: bool, has_video: bool, out: &mut BytesMut) {
    out.put_slice(b"FLV\x01");
    out.put_u8(u8::from(has_audio) << 2 | u8::from(has_video));
    out.put_u32(9);
    out.put_u32(0);
}

/// Writes `packet` as a tag of an FLV file: 11 bytes of header, the body, and the 4 bytes of size that follow it.
///
/// The timestamp is `dts` in milliseconds modulo 2^32.
pub fn write_tag(packet: &Packet, out: &mut BytesMut) {
    out.reserve(TAG_HEADER_BYTES + 24 + packet.payload.len());
    let start = out.len();
    let time = packet.dts.millis() as u32;
    out.put_u8(kind_of(packet));
    out.put_slice(&[0; 3]);
    out.put_uint(u64::from(time & 0x00ff_ffff), 3);
    out.put_u8((time >> 24) as u8);
    out.put_slice(&[0; 3]);
    write_body_head(packet, out);
    out.put_slice(&packet.payload);
    let tag_size = (out.len() - start) as u32;
    let body_size = tag_size - TAG_HEADER_BYTES as u32;
    out[start + 1..start + 4].copy_from_slice(&body_size.to_be_bytes()[1..]);
    out.put_u32(tag_size);
}

/// Writes the bytes that precede [`Packet::payload`] in the body of a tag: at most 20.
///
/// The body of the tag, and the payload of the RTMP message, is these bytes and then the payload.
pub fn write_body_head(packet: &Packet, out: &mut BytesMut) {
    match packet.track.kind {
        Kind::Audio => audio_head(packet, out),
        Kind::Video => video_head(packet, out),
        Kind::Data if packet.role == Role::ClearStreamMetadata => out.put_slice(CLEAR_DATA_FRAME),
        Kind::Data => {}
    }
}

fn audio_head(packet: &Packet, out: &mut BytesMut) {
    let default_track = packet.track.index == 0;
    match (packet.codec, packet.role) {
        // 44 kHz, 16 bit, stereo: for AAC the bits are always these, the truth is in the configuration.
        (Codec::Aac, Role::Config) if default_track => {
            out.put_slice(&[legacy_audio::AAC << 4 | 0x0f, legacy_packet::CONFIG]);
        }
        (Codec::Aac, Role::Frame) if default_track => {
            out.put_slice(&[legacy_audio::AAC << 4 | 0x0f, legacy_packet::FRAME]);
        }
        (Codec::Mp3, Role::Frame) if default_track => out.put_u8(mp3_first_byte(&packet.payload)),
        // Silence is a message without a byte.
        (Codec::FlvAudio(0), _) if packet.payload.is_empty() => {}
        (Codec::FlvAudio(first), _) => out.put_u8(first),
        (codec, role) => {
            let packet_type = match role {
                Role::Config => audio_packet::SEQUENCE_START,
                Role::End => audio_packet::SEQUENCE_END,
                Role::ConfigChannels => audio_packet::MULTICHANNEL_CONFIG,
                _ => audio_packet::CODED_FRAMES,
            };
            let header =
                Enhanced { first: AUDIO_ENHANCED << 4, packet_type, multitrack: audio_packet::MULTITRACK };
            header.write(packet, offset(packet).1, fourcc::of(codec).unwrap_or_default(), out);
        }
    }
}

fn video_head(packet: &Packet, out: &mut BytesMut) {
    let frame_type = frame_type_of(packet);
    let legacy_id = match packet.codec {
        Codec::H264 if packet.track.index == 0 => Some(legacy_video::AVC),
        Codec::FlvVideo(id) => Some(id & 0x0f),
        _ => None,
    };
    if packet.role == Role::Command {
        return out.put_u8(match legacy_id {
            Some(id) => frame_type << 4 | id,
            None => 0x80 | frame_type << 4 | video_packet::CODED_FRAMES,
        });
    }
    let (millis, nanos) = offset(packet);
    match (packet.codec, legacy_id, packet.role) {
        (Codec::FlvVideo(_), Some(id), _) => return out.put_u8(frame_type << 4 | id),
        (_, Some(id), Role::Config | Role::Frame | Role::End) => {
            let packet_type = match packet.role {
                Role::Config => legacy_packet::CONFIG,
                Role::End => legacy_packet::END,
                _ => legacy_packet::FRAME,
            };
            out.put_slice(&[frame_type << 4 | id, packet_type]);
            return out.put_int(millis, 3);
        }
        _ => {}
    }
    let has_composition_time = millis != 0 && fourcc::has_composition_time(packet.codec);
    let packet_type = match packet.role {
        Role::Config => video_packet::SEQUENCE_START,
        Role::ConfigTs => video_packet::MPEG2_TS_SEQUENCE_START,
        Role::Metadata => video_packet::METADATA,
        Role::End => video_packet::SEQUENCE_END,
        _ if has_composition_time || !fourcc::has_composition_time(packet.codec) => {
            video_packet::CODED_FRAMES
        }
        _ => video_packet::CODED_FRAMES_X,
    };
    let header =
        Enhanced { first: 0x80 | frame_type << 4, packet_type, multitrack: video_packet::MULTITRACK };
    header.write(packet, nanos, fourcc::of(packet.codec).unwrap_or_default(), out);
    if has_composition_time {
        out.put_int(millis, 3);
    }
}

/// The header of an enhanced tag up to the FourCC and the track.
struct Enhanced {
    /// The first byte without its packet type.
    first: u8,
    packet_type: u8,
    /// The packet type that means multitrack.
    multitrack: u8,
}

impl Enhanced {
    fn write(&self, packet: &Packet, nanos: u32, fourcc: [u8; 4], out: &mut BytesMut) {
        let index = packet.track.index;
        let outer_type = if index == 0 { self.packet_type } else { self.multitrack };
        if nanos == 0 {
            out.put_u8(self.first | outer_type);
        } else {
            let [_, a, b, c] = nanos.to_be_bytes();
            out.put_slice(&[self.first | MOD_EX, 3 - 1, a, b, c, MOD_EX_NANOS << 4 | outer_type]);
        }
        if index != 0 {
            // The high bits stay 0: a message of one track, which needs no size.
            out.put_u8(self.packet_type);
        }
        out.put_slice(&fourcc);
        if index != 0 {
            out.put_u8(index);
        }
    }
}

/// From the time that the tag can hold to `pts`: milliseconds that fit 24 bits, and the nanoseconds beyond. Zero for
/// anything but frames.
fn offset(packet: &Packet) -> (i64, u32) {
    if packet.role != Role::Frame {
        return (0, 0);
    }
    let offset = Time::from_nanos(packet.pts - Time::from_millis(packet.dts.millis()));
    (offset.millis().clamp(COMPOSITION_TIME_MIN, COMPOSITION_TIME_MAX), offset.nanos_of_milli())
}

fn frame_type_of(packet: &Packet) -> u8 {
    match packet.role {
        Role::Frame if packet.flags.keyframe => frame_type::KEY,
        // Where the payload itself says so the usual type is written, which no player stumbles over.
        Role::Frame if packet.flags.disposable => {
            if codec::is_disposable(packet.codec, &packet.payload, codec::NAL_LENGTH_SIZE_DEFAULT) {
                frame_type::INTER
            } else {
                frame_type::DISPOSABLE
            }
        }
        Role::Frame => frame_type::INTER,
        Role::Command => frame_type::COMMAND,
        // Players that know nothing of metadata skip commands. So does ffmpeg 9 with the metadata of tracks other than 0,
        // which it would otherwise take for a frame.
        Role::Metadata => frame_type::COMMAND,
        _ => frame_type::KEY,
    }
}

/// The first byte of a legacy MP3 tag. Its rate and channel bits repeat what the frame header says; 44 kHz also
/// stands for the rates that the two bits cannot name.
fn mp3_first_byte(frame: &[u8]) -> u8 {
    const SIZE_16_BIT: u8 = 2;
    let (format, rate, stereo) = match codec::mp3::read_header(frame) {
        Some(header) => {
            let (format, rate) = match header.sample_rate {
                8_000 => (legacy_audio::MP3_8K, 0),
                11_025 => (legacy_audio::MP3, 1),
                22_050 => (legacy_audio::MP3, 2),
                _ => (legacy_audio::MP3, 3),
            };
            (format, rate, header.channels == 2)
        }
        None => (legacy_audio::MP3, 3, true),
    };
    format << 4 | rate << 2 | SIZE_16_BIT | u8::from(stereo)
}
