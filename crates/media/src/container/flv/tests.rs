use super::*;
use crate::{Codec, Flags, Kind, Malformed, Packet, Role, Time, TrackId};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

const DTS: Time = Time::from_millis(1000);

fn try_read(kind: u8, body: &[u8]) -> Result<Vec<Packet>, Malformed> {
    let mut out = Vec::new();
    read_body(kind, DTS, &Bytes::copy_from_slice(body), &mut out)?;
    Ok(out)
}

fn read(kind: u8, body: &[u8]) -> Vec<Packet> {
    try_read(kind, body).unwrap()
}

fn read_one(kind: u8, body: &[u8]) -> Packet {
    let mut packets = read(kind, body);
    assert_eq!(packets.len(), 1, "{body:02x?}");
    packets.remove(0)
}

fn body_of(packet: &Packet) -> Bytes {
    let mut out = BytesMut::new();
    write_body_head(packet, &mut out);
    out.extend_from_slice(&packet.payload);
    out.freeze()
}

/// `offset` from `dts` to `pts` in nanoseconds.
fn packet(track: TrackId, codec: Codec, role: Role, flags: Flags, offset: i64, payload: &[u8]) -> Packet {
    let pts = Time::from_nanos(DTS.nanos() + offset);
    Packet { track, codec, role, flags, dts: DTS, pts, payload: Bytes::copy_from_slice(payload) }
}

const NONE: Flags = Flags { keyframe: false, disposable: false };
const KEY: Flags = Flags { keyframe: true, disposable: false };
const DISPOSABLE: Flags = Flags { keyframe: false, disposable: true };
const MS: i64 = 1_000_000;

/// Bodies and the packets that they mean, one to one in both directions.
#[test]
fn bodies_and_packets_match() {
    use Codec::*;
    use Role::*;
    let video = TrackId::VIDEO;
    let audio = TrackId::AUDIO;
    let table: &[(u8, &[u8], Packet)] = &[
        // Legacy video: frame type and codec, packet type, composition time.
        (VIDEO, b"\x17\x00\x00\x00\x00avcC", packet(video, H264, Config, NONE, 0, b"avcC")),
        (
            VIDEO,
            b"\x17\x01\x00\x00\x50\0\0\0\x01\x65",
            packet(video, H264, Frame, KEY, 80 * MS, b"\0\0\0\x01\x65"),
        ),
        (
            VIDEO,
            b"\x27\x01\xff\xff\xfe\0\0\0\x01\x61",
            packet(video, H264, Frame, NONE, -2 * MS, b"\0\0\0\x01\x61"),
        ),
        // nal_ref_idc 0 makes it disposable; the frame type stays the usual one.
        (
            VIDEO,
            b"\x27\x01\0\0\0\0\0\0\x01\x01",
            packet(video, H264, Frame, DISPOSABLE, 0, b"\0\0\0\x01\x01"),
        ),
        (
            VIDEO,
            b"\x37\x01\0\0\0\0\0\0\x01\x61",
            packet(video, H264, Frame, DISPOSABLE, 0, b"\0\0\0\x01\x61"),
        ),
        (VIDEO, b"\x17\x02\x00\x00\x00", packet(video, H264, End, NONE, 0, b"")),
        (VIDEO, b"\x57\x00", packet(video, H264, Command, NONE, 0, b"\x00")),
        (VIDEO, b"\x12h263", packet(video, FlvVideo(2), Frame, KEY, 0, b"h263")),
        (VIDEO, b"\x34vp6", packet(video, FlvVideo(4), Frame, DISPOSABLE, 0, b"vp6")),
        // Legacy audio.
        (AUDIO, b"\xaf\x00\x11\x90", packet(audio, Aac, Config, NONE, 0, b"\x11\x90")),
        (AUDIO, b"\xaf\x01aac", packet(audio, Aac, Frame, NONE, 0, b"aac")),
        (AUDIO, b"\x2f\xff\xfb\x90\x44", packet(audio, Mp3, Frame, NONE, 0, b"\xff\xfb\x90\x44")),
        (AUDIO, b"\x2a\xff\xf3\x80\xc4", packet(audio, Mp3, Frame, NONE, 0, b"\xff\xf3\x80\xc4")),
        (AUDIO, b"\xe2\xff\xe3\x08\xc0", packet(audio, Mp3, Frame, NONE, 0, b"\xff\xe3\x08\xc0")),
        (AUDIO, b"\x82ulaw", packet(audio, FlvAudio(0x82), Frame, NONE, 0, b"ulaw")),
        (AUDIO, b"", packet(audio, FlvAudio(0), Frame, NONE, 0, b"")),
        // Enhanced video: coded frames with and without composition time.
        (VIDEO, b"\x90hvc1hvcC", packet(video, H265, Config, NONE, 0, b"hvcC")),
        (VIDEO, b"\x91hvc1\x00\x00\x28nal", packet(video, H265, Frame, KEY, 40 * MS, b"nal")),
        (VIDEO, b"\xa3hvc1nal", packet(video, H265, Frame, NONE, 0, b"nal")),
        (VIDEO, b"\xa3vvc1nal", packet(video, H266, Frame, NONE, 0, b"nal")),
        (VIDEO, b"\x91av01obu", packet(video, Av1, Frame, KEY, 0, b"obu")),
        (VIDEO, b"\xb1vp09vp9", packet(video, Vp9, Frame, DISPOSABLE, 0, b"vp9")),
        (VIDEO, b"\xa1vp08vp8", packet(video, Vp8, Frame, NONE, 0, b"vp8")),
        (VIDEO, b"\x92av01", packet(video, Av1, End, NONE, 0, b"")),
        (VIDEO, b"\x95av01\x80\x04", packet(video, Av1, ConfigTs, NONE, 0, b"\x80\x04")),
        (
            VIDEO,
            b"\xd4hvc1\x02\0\x09colorInfo",
            packet(video, H265, Metadata, NONE, 0, b"\x02\0\x09colorInfo"),
        ),
        (VIDEO, b"\xd6\x04hvc1\x01amf", packet(TrackId::video(1), H265, Metadata, NONE, 0, b"amf")),
        // Enhanced audio.
        (AUDIO, b"\x90OpusOpusHead", packet(audio, Opus, Config, NONE, 0, b"OpusHead")),
        (AUDIO, b"\x91Opusx", packet(audio, Opus, Frame, NONE, 0, b"x")),
        (AUDIO, b"\x91fLaCx", packet(audio, Flac, Frame, NONE, 0, b"x")),
        (AUDIO, b"\x91ac-3x", packet(audio, Ac3, Frame, NONE, 0, b"x")),
        (AUDIO, b"\x91ec-3x", packet(audio, Eac3, Frame, NONE, 0, b"x")),
        (AUDIO, b"\x92mp4a", packet(audio, Aac, End, NONE, 0, b"")),
        (
            AUDIO,
            b"\x94mp4a\x01\x02\0\0\0\x03",
            packet(audio, Aac, ConfigChannels, NONE, 0, b"\x01\x02\0\0\0\x03"),
        ),
        // Nanoseconds, in front of whatever comes.
        (VIDEO, b"\xa7\x02\x00\x00\x05\x01av01obu", packet(video, Av1, Frame, NONE, 5, b"obu")),
        (VIDEO, b"\xa7\x02\x00\x00\x05\x03hvc1nal", packet(video, H265, Frame, NONE, 5, b"nal")),
        (VIDEO, b"\xa7\x02\x0f\x42\x3f\x01hvc1\xff\xff\xffnal", packet(video, H265, Frame, NONE, -1, b"nal")),
        (AUDIO, b"\x97\x02\x00\x00\x05\x01Opusx", packet(audio, Opus, Frame, NONE, 5, b"x")),
        // Tracks other than the default.
        (VIDEO, b"\x96\x00avc1\x01avcC", packet(TrackId::video(1), H264, Config, NONE, 0, b"avcC")),
        (
            VIDEO,
            b"\xa6\x01hvc1\xff\x00\x00\x28nal",
            packet(TrackId::video(255), H265, Frame, NONE, 40 * MS, b"nal"),
        ),
        (
            VIDEO,
            b"\xa7\x02\0\0\x05\x06\x03hvc1\x02nal",
            packet(TrackId::video(2), H265, Frame, NONE, 5, b"nal"),
        ),
        (AUDIO, b"\x95\x01mp4a\x02aac", packet(TrackId::audio(2), Aac, Frame, NONE, 0, b"aac")),
        (
            AUDIO,
            b"\x95\x04.mp3\x02\0\x02",
            packet(TrackId::audio(2), Mp3, ConfigChannels, NONE, 0, b"\0\x02"),
        ),
        // Data.
        (
            SCRIPT,
            b"\x02\0\x0aonMetaData\x05",
            packet(TrackId::DATA, Amf, StreamMetadata, NONE, 0, b"\x02\0\x0aonMetaData\x05"),
        ),
        (
            SCRIPT,
            b"\x02\0\x05onCue\x05",
            packet(TrackId::DATA, Amf, Message, NONE, 0, b"\x02\0\x05onCue\x05"),
        ),
        (
            SCRIPT,
            b"\x02\0\x0f@clearDataFrame\x02\0\x05onCue",
            packet(TrackId::DATA, Amf, ClearStreamMetadata, NONE, 0, b"\x02\0\x05onCue"),
        ),
    ];
    for (kind, body, packet) in table {
        assert_eq!(&read_one(*kind, body), packet, "reading {body:02x?}");
        assert_eq!(kind_of(packet), *kind);
        assert_eq!(body_of(packet)[..], **body, "writing {packet:?}");
        let mut fuzz_seed = vec![*kind];
        fuzz_seed.extend_from_slice(body);
        crate::fuzz::flv_body(&fuzz_seed);
        for cut in 0..fuzz_seed.len() {
            crate::fuzz::flv_body(&fuzz_seed[..cut]);
        }
    }
}

#[test]
fn what_others_write_is_understood() {
    let same = [
        // AVC as FourCC is what track 0 has as a legacy tag.
        (VIDEO, &b"\x91avc1\x00\x00\x01\0\0\0\x01\x65"[..], &b"\x17\x01\x00\x00\x01\0\0\0\x01\x65"[..]),
        (AUDIO, b"\x90mp4a\x11\x90", b"\xaf\x00\x11\x90"),
        // Codec 12 is HEVC in a legacy tag.
        (VIDEO, b"\x1c\x00\x00\x00\x00hvcC", b"\x90hvc1hvcC"),
        (VIDEO, b"\x2c\x01\x00\x00\x00nal", b"\xa3hvc1nal"),
        // A generated key frame is one.
        (VIDEO, b"\x47\x01\x00\x00\x00nal", b"\x17\x01\x00\x00\x00nal"),
        // The default track may come as multitrack too.
        (VIDEO, b"\x96\x01av01\x00obu", b"\x91av01obu"),
        (SCRIPT, b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x05", b"\x02\0\x0aonMetaData\x05"),
        // Metadata of a track need no frame type 5; a command of one byte is one.
        (VIDEO, b"\xa6\x04hvc1\x01amf", b"\xd6\x04hvc1\x01amf"),
        (VIDEO, b"\xd6\x04", b"\x50\x04"),
        (VIDEO, b"\xd1\x01", b"\x50\x01"),
        // An end without composition time.
        (VIDEO, b"\x17\x02", b"\x17\x02\x00\x00\x00"),
    ];
    for (kind, body, ours) in same {
        assert_eq!(body_of(&read_one(kind, body))[..], *ours, "{body:02x?}");
    }
    assert_eq!(
        read(SCRIPT_AMF3, b"\x00\x02\0\x0aonMetaData\x05"),
        read(SCRIPT, b"\x02\0\x0aonMetaData\x05"),
        "the AMF3 format byte is skipped"
    );
}

#[test]
fn data_of_any_name_can_be_set_as_metadata() {
    let packet = read_one(SCRIPT, b"\x02\0\x0d@setDataFrame\x02\0\x05onCue\x05");
    assert_eq!((packet.role, packet.data_name()), (Role::StreamMetadata, Some(&b"onCue"[..])));
    assert!(!packet.is_on_meta_data());
    assert_eq!(read(SCRIPT, b"\x02\0\x0d@setDataFrame"), [], "nothing is set");
    assert_eq!(read(SCRIPT, b"\x02\0\x0f@clearDataFrame"), [], "nothing is cleared");
}

#[test]
fn one_message_can_hold_many_tracks() {
    let many = read(VIDEO, b"\x96\x11hvc1\x00\0\0\x06\0\0\x28one\x01\0\0\x06\0\0\0two");
    assert_eq!(
        many,
        [
            packet(TrackId::video(0), Codec::H265, Role::Frame, KEY, 40 * MS, b"one"),
            packet(TrackId::video(1), Codec::H265, Role::Frame, KEY, 0, b"two"),
        ]
    );
    let many_codecs = read(AUDIO, b"\x95\x20mp4a\x00\0\0\x02\x11\x90none\x09\0\0\x01?Opus\x07\0\0\0");
    assert_eq!(
        many_codecs,
        [
            packet(TrackId::audio(0), Codec::Aac, Role::Config, NONE, 0, b"\x11\x90"),
            packet(TrackId::audio(7), Codec::Opus, Role::Config, NONE, 0, b""),
        ]
    );
}

#[test]
fn mod_ex_of_any_size_is_read_past() {
    // A kind of the future with one byte, one with 300 bytes, then nanoseconds.
    let mut body = b"\xa7\x00\xaa\x17\xff\x01\x2b".to_vec();
    body.extend_from_slice(&[0xbb; 300]);
    body.extend_from_slice(b"\x17\x02\x00\x00\x09\x01av01obu");
    assert_eq!(read_one(VIDEO, &body), packet(TrackId::VIDEO, Codec::Av1, Role::Frame, NONE, 9, b"obu"));
    assert_eq!(
        try_read(VIDEO, b"\xa7\x01\x00\x00\x01av01obu"),
        Err(Malformed("truncated")),
        "two bytes of nanoseconds"
    );
    let endless = [&[0xa7][..], &[0x00, 0x00, 0x17].repeat(100)].concat();
    assert_eq!(try_read(VIDEO, &endless), Err(Malformed("too many ModEx headers")));
}

#[test]
fn unknown_things_give_no_packet() {
    let unknown = [
        (VIDEO, &b""[..]),
        (SCRIPT, b""),
        (SCRIPT_AMF3, b"\x00"),
        (22, b"aggregate"),
        (VIDEO, b"\x91xxxxdata"),
        (VIDEO, b"\x9favc1data"),
        (VIDEO, b"\x96\x31avc1\x01data"),
        (VIDEO, b"\x17\x09\0\0\0data"),
        (AUDIO, b"\xaf\x02data"),
        (AUDIO, b"\x93mp4adata"),
        (AUDIO, b"\x91avc1data"),
    ];
    for (kind, body) in unknown {
        assert_eq!(try_read(kind, body), Ok(vec![]), "{body:02x?}");
    }
}

#[test]
fn fields_that_end_early_are_errors() {
    let short = [
        (VIDEO, &b"\x17"[..]),
        (VIDEO, b"\x17\x01\0\0"),
        (VIDEO, b"\x57"),
        (VIDEO, b"\xd1"),
        (VIDEO, b"\x91av0"),
        (VIDEO, b"\x91hvc1\0\0"),
        (VIDEO, b"\x96\x11hvc1\x00\0\0\x09nal"),
        (VIDEO, b"\x96\x11hvc1\x00\0\0\x02\0\0\x01\0\0\x03\0\0\0"),
        (AUDIO, b"\xaf"),
        (AUDIO, b"\x95"),
        (AUDIO, b"\x95\x01mp4a"),
    ];
    for (kind, body) in short {
        assert!(try_read(kind, body).is_err(), "{body:02x?}");
    }
}

#[test]
fn more_tracks_than_ids_are_refused() {
    let body = [&b"\x95\x11mp4a"[..], &[0; 4].repeat(300)].concat();
    assert_eq!(try_read(AUDIO, &body), Err(Malformed("too many tracks in one message")));
}

#[test]
fn payloads_are_slices_of_the_input() {
    let body = Bytes::from_static(b"\x17\x01\x00\x00\x00\0\0\0\x01\x65");
    let mut out = Vec::new();
    read_body(VIDEO, DTS, &body, &mut out).unwrap();
    assert_eq!(out[0].payload.as_ptr(), body[5..].as_ptr());
}

#[test]
fn file_header_and_tag_have_the_layout_of_the_format() {
    let mut out = BytesMut::new();
    write_file_header(true, false, &mut out);
    assert_eq!(out[..], *b"FLV\x01\x04\0\0\0\x09\0\0\0\0");
    let mut out = BytesMut::new();
    let mut tagged = packet(TrackId::AUDIO, Codec::Aac, Role::Frame, NONE, 0, b"aac");
    tagged.dts = Time::from_millis(0x1_0203_0405);
    write_tag(&tagged, &mut out);
    assert_eq!(out[..], *b"\x08\0\0\x05\x03\x04\x05\x02\0\0\0\xaf\x01aac\0\0\0\x10");
}

#[test]
fn demuxer_counts_time_past_the_wrap() {
    let mut input = BytesMut::new();
    write_file_header(true, true, &mut input);
    let times = [0xffff_fff0, 0x1_0000_0005, 0xffff_fffb, 0x1_0000_0010].map(Time::from_millis);
    for dts in times {
        let mut packet = packet(TrackId::VIDEO, Codec::Av1, Role::Frame, NONE, 0, b"obu");
        packet.dts = dts;
        packet.pts = dts;
        write_tag(&packet, &mut input);
    }
    let mut demuxer = Demuxer::new();
    let read: Vec<_> =
        std::iter::from_fn(|| demuxer.push(&mut input).unwrap()).map(|packet| packet.dts).collect();
    assert_eq!(read, times);
}

#[test]
fn demuxer_passes_over_tags_that_it_does_not_know() {
    let mut input = BytesMut::from(&b"FLV\x01\x05\0\0\0\x0bXX\0\0\0\0"[..]);
    input.extend_from_slice(b"\x28\0\0\x02\0\0\0\0\0\0\0\xaf\x01\0\0\0\x0d"); // encrypted
    input.extend_from_slice(b"\x11\0\0\x01\0\0\0\0\0\0\0?\0\0\0\x0c");
    input.extend_from_slice(b"\x08\0\0\x03\0\0\0\0\0\0\0\xaf\x01a");
    let mut demuxer = Demuxer::new();
    assert_eq!(
        demuxer.push(&mut input).unwrap().unwrap().payload[..],
        *b"a",
        "without the size after the tag"
    );
    assert_eq!(demuxer.push(&mut input), Ok(None));
}

#[test]
fn demuxer_refuses_what_is_no_flv() {
    let bad = [
        &b"RIFF\0\0\0\0\0\0\0\0\0"[..],
        b"FLV\x02\x05\0\0\0\x09",
        b"FLV\x01\x05\0\0\0\x08",
        b"FLV\x01\x05\xff\0\0\x09",
        b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x09\xff\xff\xff\0\0\0\0\0\0\0",
    ];
    for bytes in bad {
        assert!(Demuxer::new().push(&mut BytesMut::from(bytes)).is_err(), "{bytes:02x?}");
    }
}

fn video_frame() -> impl Strategy<Value = (Codec, Role, Flags, i64)> {
    let codec = prop_oneof![
        Just(Codec::H264),
        Just(Codec::H265),
        Just(Codec::H266),
        Just(Codec::Av1),
        Just(Codec::Vp8),
        Just(Codec::Vp9)
    ];
    let flags = prop_oneof![Just(NONE), Just(KEY), Just(DISPOSABLE)];
    (codec, flags, -(1i64 << 23)..(1i64 << 23), 0i64..1_000_000).prop_map(|(codec, flags, millis, nanos)| {
        let millis = if fourcc::has_composition_time(codec) { millis } else { 0 };
        (codec, Role::Frame, flags, millis * MS + nanos)
    })
}

fn video_other() -> impl Strategy<Value = (Codec, Role, Flags, i64)> {
    let codec = prop_oneof![Just(Codec::H264), Just(Codec::H265), Just(Codec::Av1), Just(Codec::Vp9)];
    let role = prop_oneof![Just(Role::Config), Just(Role::ConfigTs), Just(Role::Metadata), Just(Role::End)];
    (codec, role).prop_map(|(codec, role)| (codec, role, NONE, 0))
}

fn audio() -> impl Strategy<Value = (Codec, Role, Flags, i64)> {
    let codec = prop_oneof![
        Just(Codec::Aac),
        Just(Codec::Opus),
        Just(Codec::Mp3),
        Just(Codec::Flac),
        Just(Codec::Ac3),
        Just(Codec::Eac3)
    ];
    let role = prop_oneof![
        (0i64..1_000_000).prop_map(|nanos| (Role::Frame, nanos)),
        Just((Role::Config, 0)),
        Just((Role::ConfigChannels, 0)),
        Just((Role::End, 0))
    ];
    (codec, role).prop_map(|(codec, (role, nanos))| (codec, role, NONE, nanos))
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let content = prop_oneof![
        video_frame().prop_map(|content| (Kind::Video, content)),
        video_other().prop_map(|content| (Kind::Video, content)),
        audio().prop_map(|content| (Kind::Audio, content)),
    ];
    // Small bytes make length prefixes that fit, so that slices are found.
    let payload =
        prop_oneof![proptest::collection::vec(any::<u8>(), 0..64), proptest::collection::vec(0u8..6, 0..64),];
    let index = prop_oneof![Just(0), any::<u8>()];
    (content, index, 0i64..1 << 40, payload).prop_map(|((kind, content), index, millis, payload)| {
        let (codec, role, flags, offset) = content;
        let track = TrackId { kind, index };
        let dts = Time::from_millis(millis);
        let mut packet = packet(track, codec, role, flags, 0, &payload);
        packet.dts = dts;
        packet.pts = Time::from_nanos(dts.nanos() + offset);
        // What the payload itself says cannot be unsaid.
        if role == Role::Frame && !flags.keyframe {
            packet.flags.disposable |= crate::codec::is_disposable(codec, &payload, 4);
        }
        packet
    })
}

/// Whether the packet goes into a legacy tag, which has no nanoseconds.
fn is_legacy(packet: &Packet) -> bool {
    packet.track.index == 0 && matches!(packet.codec, Codec::H264 | Codec::Aac | Codec::Mp3)
}

proptest! {
    #[test]
    fn our_own_writing_reads_back_as_the_same_packet(packets in proptest::collection::vec(any_packet(), 1..8)) {
        for packet in packets {
            let mut input = BytesMut::new();
            write_file_header(true, true, &mut input);
            write_tag(&packet, &mut input);
            let read = Demuxer::new().push(&mut input).unwrap().unwrap();
            // One tag alone cannot tell how often the clock wrapped.
            let offset = packet.pts - packet.dts;
            let expected_offset = if is_legacy(&packet) { offset.div_euclid(MS) * MS } else { offset };
            let dts = Time::from_millis(packet.dts.millis() & 0xffff_ffff);
            let expected = Packet { dts, pts: Time::from_nanos(dts.nanos() + expected_offset), ..packet };
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn times_finer_than_a_millisecond_keep_the_presentation_time(dts in 0i64..1 << 50, ahead in 0i64..1 << 32) {
        let mut packet = packet(TrackId::VIDEO, Codec::H265, Role::Frame, NONE, 0, b"");
        packet.dts = Time::from_nanos(dts);
        packet.pts = Time::from_nanos(dts + ahead);
        let mut out = Vec::new();
        read_body(VIDEO, Time::from_millis(packet.dts.millis()), &body_of(&packet), &mut out).unwrap();
        prop_assert_eq!(out[0].pts, packet.pts);
    }

    #[test]
    fn the_head_is_short(packet in any_packet()) {
        let mut out = BytesMut::new();
        write_body_head(&packet, &mut out);
        prop_assert!(out.len() <= 20);
    }
}
