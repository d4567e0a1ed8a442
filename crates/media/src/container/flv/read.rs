//! Tag bodies to packets.

use super::{
    AUDIO, AUDIO_ENHANCED, CLEAR_DATA_FRAME, MOD_EX, MOD_EX_NANOS, SCRIPT, SCRIPT_AMF3, VIDEO, audio_packet,
    fourcc, frame_type, legacy_audio, legacy_packet, legacy_video, limits, video_packet,
};
use crate::{Codec, Flags, Malformed, Packet, Role, Time, TrackId, codec};
use bytes::Bytes;
use wire::Reader;

/// Reads the body of an FLV tag, or the payload of an RTMP message, into packets appended to `out`.
///
/// `kind` is the tag type: [`AUDIO`], [`VIDEO`], [`SCRIPT`] or [`SCRIPT_AMF3`]. `dts` is the time of the tag. Payloads are
/// slices of `body`: nothing is copied. A multitrack message gives one packet for each of its tracks. What this
/// version does not know gives no packet and no error: other kinds, packet types, codecs and multitrack layouts.
///
/// # Errors
///
/// A field that ends early, or more tracks or ModEx headers than [`limits`] allow. `out` may then hold the packets that
/// were read before the fault.
pub fn read_body(kind: u8, dts: Time, body: &Bytes, out: &mut Vec<Packet>) -> Result<(), Malformed> {
    let mut input = Input { body, reader: Reader::new(body), dts, nanos: 0, out };
    match kind {
        AUDIO => input.audio(),
        VIDEO => input.video(),
        SCRIPT => input.script(),
        SCRIPT_AMF3 => {
            if input.reader.peek() == Some(0) {
                input.reader.u8()?;
            }
            input.script()
        }
        _ => Ok(()),
    }
}

struct Input<'a> {
    body: &'a Bytes,
    reader: Reader<'a>,
    dts: Time,
    /// The nanosecond offset of the message, 0..=999_999.
    nanos: u32,
    out: &'a mut Vec<Packet>,
}

impl Input<'_> {
    fn audio(&mut self) -> Result<(), Malformed> {
        if self.reader.is_empty() {
            // A message without a byte marks silence (E-RTMP v2, "AudioPacketType"). It names no codec.
            self.push(TrackId::AUDIO, Codec::FlvAudio(0), Role::Frame, Flags::default(), 0, self.body.len());
            return Ok(());
        }
        let first = self.reader.u8()?;
        let end = self.body.len();
        let (codec, role) = match first >> 4 {
            AUDIO_ENHANCED => return self.enhanced_audio(first & 0x0f),
            legacy_audio::AAC => match self.reader.u8()? {
                legacy_packet::CONFIG => (Codec::Aac, Role::Config),
                legacy_packet::FRAME => (Codec::Aac, Role::Frame),
                _ => return Ok(()),
            },
            legacy_audio::MP3 | legacy_audio::MP3_8K => (Codec::Mp3, Role::Frame),
            _ => (Codec::FlvAudio(first), Role::Frame),
        };
        self.push(TrackId::AUDIO, codec, role, Flags::default(), 0, end);
        Ok(())
    }

    fn video(&mut self) -> Result<(), Malformed> {
        if self.reader.is_empty() {
            return Ok(());
        }
        let first = self.reader.u8()?;
        let frame_type = (first >> 4) & 7;
        if first & 0x80 != 0 {
            return self.enhanced_video(frame_type, first & 0x0f);
        }
        let codec = match first & 0x0f {
            legacy_video::AVC => Codec::H264,
            legacy_video::HEVC => Codec::H265,
            id => Codec::FlvVideo(id),
        };
        if frame_type == frame_type::COMMAND {
            // Only AVC and the ids of old can be written back as a legacy command; the enhanced form names no codec.
            return self.command(if codec == Codec::H265 { Codec::FlvVideo(0) } else { codec });
        }
        let end = self.body.len();
        if let Codec::FlvVideo(_) = codec {
            let flags = self.frame_flags(codec, frame_type, end);
            self.push(TrackId::VIDEO, codec, Role::Frame, flags, 0, end);
            return Ok(());
        }
        let packet_type = self.reader.u8()?;
        let composition_time = match self.reader.i24() {
            Ok(millis) => millis,
            // Some encoders end the sequence without the composition time, which then means nothing anyway.
            Err(_) if packet_type == legacy_packet::END => 0,
            Err(error) => return Err(error.into()),
        };
        match packet_type {
            legacy_packet::CONFIG => {
                self.push(TrackId::VIDEO, codec, Role::Config, Flags::default(), 0, end);
            }
            legacy_packet::FRAME => {
                let flags = self.frame_flags(codec, frame_type, end);
                self.push(TrackId::VIDEO, codec, Role::Frame, flags, composition_time, end);
            }
            legacy_packet::END => {
                self.push(TrackId::VIDEO, codec, Role::End, Flags::default(), 0, end);
            }
            _ => {}
        }
        Ok(())
    }

    fn enhanced_audio(&mut self, packet_type: u8) -> Result<(), Malformed> {
        let packet_type = self.mod_ex(packet_type)?;
        self.tracks(packet_type, audio_packet::MULTITRACK, |input, packet_type, fourcc, index, end| {
            let Some(codec) = fourcc::audio_codec(fourcc) else { return Ok(()) };
            let role = match packet_type {
                audio_packet::SEQUENCE_START => Role::Config,
                audio_packet::CODED_FRAMES => Role::Frame,
                audio_packet::SEQUENCE_END => Role::End,
                audio_packet::MULTICHANNEL_CONFIG => Role::ConfigChannels,
                _ => return Ok(()),
            };
            input.push(TrackId::audio(index), codec, role, Flags::default(), 0, end);
            Ok(())
        })
    }

    fn enhanced_video(&mut self, frame_type: u8, packet_type: u8) -> Result<(), Malformed> {
        let packet_type = self.mod_ex(packet_type)?;
        if frame_type == frame_type::COMMAND && !self.is_metadata(packet_type) {
            // The enhanced form of a command names no codec.
            return self.command(Codec::FlvVideo(0));
        }
        self.tracks(packet_type, video_packet::MULTITRACK, |input, packet_type, fourcc, index, end| {
            let Some(codec) = fourcc::video_codec(fourcc) else { return Ok(()) };
            let track = TrackId::video(index);
            let role = match packet_type {
                video_packet::SEQUENCE_START => Role::Config,
                video_packet::SEQUENCE_END => Role::End,
                video_packet::METADATA => Role::Metadata,
                video_packet::MPEG2_TS_SEQUENCE_START => Role::ConfigTs,
                video_packet::CODED_FRAMES | video_packet::CODED_FRAMES_X => {
                    let timed =
                        packet_type == video_packet::CODED_FRAMES && fourcc::has_composition_time(codec);
                    let composition_time = if timed {
                        if end.saturating_sub(input.reader.position()) < 3 {
                            return Err(Malformed("track too short for its composition time"));
                        }
                        input.reader.i24()?
                    } else {
                        0
                    };
                    let flags = input.frame_flags(codec, frame_type, end);
                    input.push(track, codec, Role::Frame, flags, composition_time, end);
                    return Ok(());
                }
                _ => return Ok(()),
            };
            input.push(track, codec, role, Flags::default(), 0, end);
            Ok(())
        })
    }

    /// Whether a message of frame type 5 is metadata and not a command. The specification leaves no room for metadata of
    /// several tracks, but a command has one byte only, and metadata have a FourCC and a track after it.
    fn is_metadata(&self, packet_type: u8) -> bool {
        const HEADER_BYTES: usize = 1 + 4 + 1;
        let inner = match packet_type {
            video_packet::MULTITRACK if self.reader.remaining() >= HEADER_BYTES => self.reader.peek(),
            packet_type => Some(packet_type),
        };
        inner.is_some_and(|inner| inner & 0x0f == video_packet::METADATA)
    }

    /// Reads ModEx headers until another packet type comes, and returns that type.
    fn mod_ex(&mut self, mut packet_type: u8) -> Result<u8, Malformed> {
        let mut count = 0;
        while packet_type == MOD_EX {
            count += 1;
            if count > limits::MOD_EX_PER_MESSAGE_MAX {
                return Err(Malformed("too many ModEx headers"));
            }
            let mut size = usize::from(self.reader.u8()?) + 1;
            if size == 256 {
                size = usize::from(self.reader.u16()?) + 1;
            }
            let data = self.reader.take(size)?;
            let next = self.reader.u8()?;
            packet_type = next & 0x0f;
            if next >> 4 == MOD_EX_NANOS {
                // More than a millisecond would be a second way to write the composition time, so it is cut off.
                self.nanos = Reader::new(data).u24()?.min(999_999);
            }
        }
        Ok(packet_type)
    }

    /// Reads the FourCC and, where the packet type is `multitrack`, the header of each track. Calls `track` with the
    /// packet type, the FourCC, the track's index and the offset where its data ends; the reader stands where they begin.
    fn tracks(
        &mut self,
        packet_type: u8,
        multitrack: u8,
        track: impl Fn(&mut Self, u8, [u8; 4], u8, usize) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let whole = self.body.len();
        if packet_type != multitrack {
            let fourcc = self.reader.array()?;
            return track(self, packet_type, fourcc, 0, whole);
        }
        let layout = self.reader.u8()?;
        let (layout, packet_type) = (layout >> 4, layout & 0x0f);
        let shared_fourcc = match layout {
            0 | 1 => Some(self.reader.array()?),
            2 => None,
            _ => return Ok(()),
        };
        for _ in 0..limits::TRACKS_PER_MESSAGE_MAX {
            let fourcc = match shared_fourcc {
                Some(fourcc) => fourcc,
                None => self.reader.array()?,
            };
            let index = self.reader.u8()?;
            if layout == 0 {
                return track(self, packet_type, fourcc, index, whole);
            }
            let size = self.reader.u24()? as usize;
            let end = self.reader.position() + size;
            if end > whole {
                return Err(Malformed("track longer than its message"));
            }
            track(self, packet_type, fourcc, index, end)?;
            self.reader.take(end - self.reader.position())?;
            if self.reader.is_empty() {
                return Ok(());
            }
        }
        Err(Malformed("too many tracks in one message"))
    }

    /// The one byte of a video command (frame type 5).
    fn command(&mut self, codec: Codec) -> Result<(), Malformed> {
        let end = self.reader.position() + 1;
        if self.reader.is_empty() {
            return Err(Malformed("video command without its byte"));
        }
        self.push(TrackId::VIDEO, codec, Role::Command, Flags::default(), 0, end);
        Ok(())
    }

    fn script(&mut self) -> Result<(), Malformed> {
        const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";
        const ON_META_DATA: &[u8] = b"\x02\x00\x0aonMetaData";
        let mut is_set = false;
        while self.reader.rest().starts_with(SET_DATA_FRAME) {
            self.reader.take(SET_DATA_FRAME.len())?;
            is_set = true;
        }
        let mut role = match is_set || self.reader.rest().starts_with(ON_META_DATA) {
            true => Role::StreamMetadata,
            false => Role::Message,
        };
        if self.reader.rest().starts_with(CLEAR_DATA_FRAME) {
            self.reader.take(CLEAR_DATA_FRAME.len())?;
            role = Role::ClearStreamMetadata;
        }
        if self.reader.is_empty() {
            return Ok(());
        }
        self.push(TrackId::DATA, Codec::Amf, role, Flags::default(), 0, self.body.len());
        Ok(())
    }

    /// The flags of a frame whose data begin at the reader and end at offset `end`.
    fn frame_flags(&self, codec: Codec, frame_type: u8, end: usize) -> Flags {
        let payload = self.body.get(self.reader.position()..end).unwrap_or_default();
        let keyframe = matches!(frame_type, frame_type::KEY | frame_type::GENERATED_KEY);
        let disposable = !keyframe
            && (frame_type == frame_type::DISPOSABLE
                || codec::is_disposable(codec, payload, codec::NAL_LENGTH_SIZE_DEFAULT));
        Flags { keyframe, disposable }
    }

    /// Appends a packet whose payload goes from the reader to offset `end`.
    fn push(
        &mut self,
        track: TrackId,
        codec: Codec,
        role: Role,
        flags: Flags,
        composition_time: i32,
        end: usize,
    ) {
        let offset = if role == Role::Frame {
            i64::from(composition_time) * 1_000_000 + i64::from(self.nanos)
        } else {
            0
        };
        let pts = Time::from_nanos(self.dts.nanos().saturating_add(offset));
        let payload = self.body.slice(self.reader.position()..end);
        self.out.push(Packet { track, codec, role, flags, dts: self.dts, pts, payload });
    }
}
