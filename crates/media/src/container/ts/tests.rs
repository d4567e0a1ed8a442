use super::*;
use crate::container::Error;
use crate::{Codec, Flags, Packet, Role, Time, TrackId};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const AVCC: &str =
    "01640028ffe10019 67640028acd9407802 27e5c0440000 0fa40003a9803c60c658 01000468ef8fcbfdf8f800";
const HVCC: &str = "01016000000090000000 00003cf000fcfdf8f800000f 03
    a000010018 40010c01ffff01600000030090000003000003003c959809
    a10001002b 420101016000000300900000030000 03003ca00a080b9f79656692 4caf01680800000300080000 0300f040
    a200010007 4401c172b46240";

fn config(track: TrackId, codec: Codec, payload: &str) -> Packet {
    let time = Time::from_millis(1000);
    let payload = bytes(payload).into();
    Packet { track, codec, role: Role::Config, flags: Flags::default(), dts: time, pts: time, payload }
}

/// Times in milliseconds.
fn frame(track: TrackId, codec: Codec, dts: i64, pts: i64, keyframe: bool, payload: &[u8]) -> Packet {
    let flags = Flags { keyframe, disposable: false };
    let (dts, pts) = (Time::from_millis(dts), Time::from_millis(pts));
    Packet { track, codec, role: Role::Frame, flags, dts, pts, payload: Bytes::copy_from_slice(payload) }
}

fn unit(head: u8, size: usize) -> Vec<u8> {
    let mut out = (size as u32).to_be_bytes().to_vec();
    out.push(head);
    out.extend((1..size).map(|at| (at % 251) as u8 | 2));
    out
}

/// H.264 with reordering and AAC, each frame of another size.
pub(super) fn stream() -> Vec<Packet> {
    let video = |at: i64, keyframe, payload: Vec<u8>| {
        frame(TrackId::VIDEO, Codec::H264, 1000 + 40 * at, 1080 + 40 * at, keyframe, &payload)
    };
    let audio = |at: i64, size: usize| {
        let payload = vec![at as u8 | 0x80; size];
        frame(TrackId::AUDIO, Codec::Aac, 1000 + 20 * at, 1000 + 20 * at, false, &payload)
    };
    vec![
        config(TrackId::VIDEO, Codec::H264, AVCC),
        config(TrackId::AUDIO, Codec::Aac, "1190"),
        video(0, true, [unit(0x06, 9), unit(0x65, 1000)].concat()),
        audio(0, 100),
        audio(1, 160),
        video(1, false, unit(0x41, 130)),
        audio(2, 170),
        audio(3, 371),
        video(2, false, unit(0x41, 150)),
        audio(4, 1),
        video(3, true, unit(0x65, 184)),
        audio(5, 2000),
        video(4, false, unit(0x41, 2)),
    ]
}

fn tracks(packets: &[Packet]) -> Vec<(TrackId, Codec)> {
    let mut tracks = Vec::new();
    for packet in packets {
        if !tracks.contains(&(packet.track, packet.codec)) {
            tracks.push((packet.track, packet.codec));
        }
    }
    tracks
}

pub(super) fn mux(packets: &[Packet]) -> BytesMut {
    let mut muxer = Muxer::new(&tracks(packets)).unwrap();
    let mut out = BytesMut::new();
    let mut has_tables = false;
    for packet in packets {
        if packet.role == Role::Frame && (packet.flags.keyframe || !has_tables) {
            muxer.write_tables(&mut out);
            has_tables = true;
        }
        muxer.write(packet, &mut out).unwrap();
    }
    assert_eq!(out.len() % PACKET_BYTES, 0);
    out
}

fn demux(input: &[u8]) -> (Vec<Packet>, u64) {
    let mut demuxer = Demuxer::new();
    demuxer.push(input);
    demuxer.finish();
    (std::iter::from_fn(|| demuxer.poll()).collect(), demuxer.damages())
}

fn frames(packets: Vec<Packet>) -> Vec<Packet> {
    packets.into_iter().filter(|packet| packet.role == Role::Frame).collect()
}

/// Frames by track: what a reader of one track sees.
fn by_track(mut packets: Vec<Packet>) -> Vec<Packet> {
    packets.sort_by_key(|packet| packet.track);
    packets
}

#[test]
fn tables_and_a_keyframe_byte_by_byte() {
    let mut muxer = Muxer::new(&[(TrackId::VIDEO, Codec::H264), (TrackId::AUDIO, Codec::Opus)]).unwrap();
    let mut out = BytesMut::new();
    muxer.write_tables(&mut out);
    let pat = "47 4000 10 00  00 b00d 0001 c1 00 00  0001 f000  2ab104b2";
    assert_eq!(hex(&out[..21]), hex(&bytes(pat)));
    assert!(out[21..PACKET_BYTES].iter().all(|byte| *byte == 0xff));
    // The clock is with the pictures; Opus is private data with a registration and two channels.
    let pmt =
        "47 5000 10 00  02 b021 0001 c1 00 00  e100 f000  1b e100 f000  06 e101 f00a 0504 4f707573 7f028002";
    let pmt = bytes(pmt);
    assert_eq!(hex(&out[PACKET_BYTES..PACKET_BYTES + pmt.len()]), hex(&pmt));

    out.clear();
    muxer.write(&config(TrackId::VIDEO, Codec::H264, AVCC), &mut out).unwrap();
    assert!(out.is_empty());
    muxer
        .write(&frame(TrackId::VIDEO, Codec::H264, 1000, 1080, true, &[0, 0, 0, 2, 0x65, 0x88]), &mut out)
        .unwrap();
    // A start in packets 100, with adaptation and payload; 115 bytes of adaptation, random access, the clock at 900 ms.
    assert_eq!(hex(&out[..12]), hex(&bytes("47 4100 30  73 50 00009e347e00")));
    assert!(out[12..120].iter().all(|byte| *byte == 0xff));
    // 62 bytes, aligned, with both times: 97 200 and 90 000 ticks. Then delimiter, parameter sets, slice.
    let pes = "000001 e0 003e 84 c0 0a  31 0005f761 11 0005bf21  00000001 09f0
        00000001 67640028acd9407802 27e5c0440000 0fa40003a9803c60c658  00000001 68ef8fcb  00000001 6588";
    assert_eq!(hex(&out[120..]), hex(&bytes(pes)));
}

#[test]
fn id3_tags_have_a_stream_of_their_own() {
    let mut muxer = Muxer::new(&[(TrackId::AUDIO, Codec::Mp3)]).unwrap();
    let mut out = BytesMut::new();
    let time = Time::from_millis(1000);
    assert!(matches!(muxer.write_id3(time, b"ID3", &mut out), Err(Error::Misuse(_))), "not announced");
    let mut muxer = muxer.with_id3();
    muxer.write_tables(&mut out);
    let pmt = "47 5000 10 00  02 b037 0001 c1 00 00  e100 f011
        250f ffff 49443320 ff 49443320 00 1f 0001  03 e100 f000
        15 e1f0 f00f  260d ffff 49443320 ff 49443320 00 0f";
    let pmt = bytes(pmt);
    assert_eq!(hex(&out[PACKET_BYTES..PACKET_BYTES + pmt.len()]), hex(&pmt));
    muxer.write_id3(time, b"ID3\x04\0\0\0\0\0\0", &mut out).unwrap();
    let pes = bytes("000001 bd 0012 84 80 05 21 0005bf21  494433 04000000000000");
    assert!(out.ends_with(&pes), "{}", hex(&out[2 * PACKET_BYTES..]));
    assert!(muxer.write_id3(time, &[0; 70_000], &mut out).is_err());
    assert_eq!(demux(&out), (Vec::new(), 0));
}

#[test]
fn every_codec_comes_back() {
    let mp3 = bytes("ff fb 90 44").into_iter().chain([1; 413]).collect::<Vec<_>>();
    let ac3 = bytes("0b77b50b1e40ebf8403eff").into_iter().chain([1; 1792 - 11]).collect::<Vec<_>>();
    let eac3 = bytes("0b77003f3f87c00020f820").into_iter().chain([1; 128 - 11]).collect::<Vec<_>>();
    // A dependent substream belongs to the frame in front of it.
    let both = [&eac3[..], &bytes("0b77403f3f87c00020f820"), &[1; 128 - 11]].concat();
    let opus = format!("{} 01 02 0000 80bb0000 0000 00", hex(b"OpusHead"));
    let surround = format!("{} 01 06 0000 80bb0000 0000 01 0402 000401020305", hex(b"OpusHead"));
    let table: &[(Codec, &str, Vec<u8>)] = &[
        (Codec::H264, AVCC, unit(0x65, 3000)),
        (Codec::H265, HVCC, [unit(0x4e, 20), unit(0x26, 3000)].concat()),
        (Codec::Aac, "1210", vec![7; 300]),
        (Codec::Mp3, "", mp3),
        (Codec::Ac3, "", ac3),
        (Codec::Eac3, "", eac3),
        (Codec::Eac3, "", both),
        (Codec::Opus, &opus, vec![0xfc; 3]),
        (Codec::Opus, &surround, vec![0xfc; 1275]),
        (Codec::Opus, &opus, vec![0xfc; 255]),
    ];
    for (codec, record, payload) in table {
        let is_video = matches!(codec, Codec::H264 | Codec::H265);
        let track = if is_video { TrackId::VIDEO } else { TrackId::AUDIO };
        let mut packets = Vec::new();
        if !record.is_empty() {
            packets.push(config(track, *codec, record));
        }
        packets.push(frame(track, *codec, 1000, 1000, is_video, payload));
        packets.push(frame(track, *codec, 1040, 1040, is_video, payload));
        let (found, damages) = demux(&mux(&packets));
        assert_eq!((found, damages), (packets, 0), "{codec:?}");
    }
}

#[test]
fn a_stream_comes_back() {
    let (found, damages) = demux(&mux(&stream()));
    assert_eq!(damages, 0);
    assert_eq!(by_track(found), by_track(stream()));
}

#[test]
fn times_go_on_past_their_33_bits() {
    let wrap_ms = (1i64 << TIME_BITS) / 90;
    let packets: Vec<_> = (0..4)
        .map(|wrap| {
            frame(TrackId::AUDIO, Codec::Mp3, 0, 0, false, &[&bytes("fffb9044")[..], &[wrap; 413]].concat())
        })
        .zip([wrap_ms - 100, wrap_ms - 50, wrap_ms + 10, wrap_ms + 60])
        .map(|(packet, at)| Packet { dts: Time::from_millis(at), pts: Time::from_millis(at), ..packet })
        .collect();
    let (found, _) = demux(&mux(&packets));
    assert_eq!(found, packets);
    // One time before the wrap and one behind it, in the same frame.
    let picture = [
        config(TrackId::VIDEO, Codec::H264, AVCC),
        frame(TrackId::VIDEO, Codec::H264, wrap_ms - 10, wrap_ms + 70, true, &unit(0x65, 9)),
    ];
    let (found, _) = demux(&mux(&picture));
    assert_eq!((found[1].dts, found[1].pts), (picture[1].dts, picture[1].pts));
}

/// What the program clock says, in 90 kHz.
fn clocks(out: &[u8]) -> Vec<u64> {
    out.chunks(PACKET_BYTES)
        .filter(|packet| packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x10 != 0)
        .map(|packet| u64::from(u32::from_be_bytes([packet[6], packet[7], packet[8], packet[9]])) << 1)
        .collect()
}

#[test]
fn the_clock_does_not_go_back_where_sound_comes_first() {
    let mut packets = stream();
    packets.truncate(3);
    for at in 0..50 {
        let (sound, picture) = (1090 + 20 * at, 1000 + 20 * at);
        packets.push(frame(TrackId::AUDIO, Codec::Aac, sound, sound, false, &[1; 90]));
        packets.push(frame(TrackId::VIDEO, Codec::H264, picture, picture, false, &[0, 0, 0, 2, 0x41, 7]));
    }
    let clocks = clocks(&mux(&packets));
    assert!(clocks.len() > 10);
    assert!(clocks.windows(2).all(|pair| (1..=9000).contains(&(pair[1] - pair[0]))), "{clocks:?}");
}

#[test]
fn the_clock_is_said_where_pictures_are_rare() {
    let mut packets = stream();
    packets.truncate(3);
    let sound = |at: i64| frame(TrackId::AUDIO, Codec::Aac, 1000 + 20 * at, 1000 + 20 * at, false, &[1; 90]);
    packets.extend((0..50).map(sound));
    let out = mux(&packets);
    let clocks = clocks(&out);
    assert_eq!(clocks[0], 900 * 90);
    assert!(clocks.windows(2).all(|pair| (1..=9000).contains(&(pair[1] - pair[0]))), "{clocks:?}");
    assert_eq!(clocks.last(), Some(&(1860 * 90)));
    assert_eq!(demux(&out).1, 0, "packets without payload do not count");
}

#[test]
fn a_lost_packet_costs_the_frames_in_it_and_no_others() {
    let (whole, sent) = (mux(&stream()), frames(stream()));
    for lost in 0..whole.len() / PACKET_BYTES {
        let mut input = whole.to_vec();
        input.drain(lost * PACKET_BYTES..(lost + 1) * PACKET_BYTES);
        let found = frames(demux(&input).0);
        let strange: Vec<_> = found.iter().filter(|packet| !sent.contains(packet)).collect();
        assert!(strange.is_empty(), "{lost}: {strange:?}");
        // Tables and parameter sets come again with the second keyframe: without the first one, its group of pictures is lost.
        let least = if lost < 2 { 2 } else { sent.len() - 3 };
        assert!(found.len() >= least, "{lost}: {} frames", found.len());
    }
}

#[test]
fn a_stream_that_is_cut_off_ends_with_a_whole_frame() {
    let (whole, sent) = (mux(&stream()), frames(stream()));
    for packets in 0..whole.len() / PACKET_BYTES {
        let found = frames(demux(&whole[..packets * PACKET_BYTES]).0);
        assert_eq!(by_track(found.clone()), by_track(sent[..found.len()].to_vec()), "{packets}");
    }
}

#[test]
fn reading_falls_into_step_again() {
    let (whole, sent) = (mux(&stream()), frames(stream()));
    let garbage = bytes("47 00 12 47 47 ff");
    for at in [0, 5 * PACKET_BYTES, 5 * PACKET_BYTES + 77] {
        let input = [&whole[..at], &garbage, &whole[at..]].concat();
        let (found, damages) = demux(&input);
        let found = frames(found);
        assert!(found.iter().all(|packet| sent.contains(packet)), "{at}");
        assert!(found.len() >= sent.len() - 3, "{at}: {}", found.len());
        assert_eq!(damages > 0, at > 0, "{at}");
    }
}

#[test]
fn packets_that_are_sent_twice_count_once() {
    let whole = mux(&stream());
    let twice: Vec<u8> = whole.chunks(PACKET_BYTES).flat_map(|packet| [packet, packet].concat()).collect();
    assert_eq!(demux(&twice), demux(&whole));
}

#[test]
fn streams_that_are_joined_lose_nothing_where_that_is_said() {
    let whole = mux(&stream());
    let mut second = whole.to_vec();
    // The first packet of each id says so in its adaptation, where it has one; tables have none and their counters fit.
    let mut seen = Vec::new();
    for packet in second.chunks_mut(PACKET_BYTES) {
        let pid = u16::from_be_bytes([packet[1], packet[2]]) & PID_MASK;
        if !seen.contains(&pid) && packet[3] & 0x20 != 0 && packet[4] > 0 {
            seen.push(pid);
            packet[5] |= 0x80;
        }
        if pid == PAT_PID || pid == 0x1000 {
            packet[3] += 2;
        }
    }
    assert_eq!(seen, [0x100, 0x101]);
    let (found, damages) = demux(&[&whole[..], &second].concat());
    let twice = [frames(stream()), frames(stream())].concat();
    assert_eq!((by_track(frames(found)), damages), (by_track(twice), 0));
}

#[test]
fn a_changed_map_keeps_the_streams_that_stay() {
    let packets = stream();
    let mut first = Muxer::new(&tracks(&packets)).unwrap();
    let mut out = BytesMut::new();
    first.write_tables(&mut out);
    packets.iter().for_each(|packet| first.write(packet, &mut out).unwrap());
    // Another program map: pictures alone, in the packets that they had.
    let mut second = Muxer::new(&[(TrackId::VIDEO, Codec::H264)]).unwrap();
    second.write_tables(&mut out);
    second.write(&packets[0], &mut out).unwrap();
    let again = frame(TrackId::VIDEO, Codec::H264, 2000, 2080, true, &unit(0x65, 40));
    second.write(&again, &mut out).unwrap();
    let (found, _) = demux(&out);
    assert_eq!(found.last(), Some(&again));
    let configs = found.iter().filter(|p| p.role == Role::Config && p.track == TrackId::VIDEO).count();
    assert_eq!(configs, 1, "the same parameter sets are no news");
}

#[test]
fn sound_may_lie_across_pes_packets() {
    // Three frames of ADTS in two PES packets: one and a half in each.
    let header = crate::codec::adts::Header::of_config(&[0x12, 0x10]).unwrap().write(100).unwrap();
    let adts = [&header[..], &[5; 100]].concat().repeat(3);
    let (first, second) = adts.split_at(160);
    let whole = mux(&[
        config(TrackId::AUDIO, Codec::Aac, "1210"),
        frame(TrackId::AUDIO, Codec::Aac, 1000, 1000, false, &first[7..]),
        frame(TrackId::AUDIO, Codec::Aac, 1040, 1040, false, &second[7..]),
    ]);
    // The muxer has put a header in front of each half; what it wrote is replaced by the halves.
    let mut input = whole.to_vec();
    let replace = |input: &mut Vec<u8>, packet: usize, half: &[u8]| {
        let end = (packet + 1) * PACKET_BYTES;
        input[end - half.len()..end].copy_from_slice(half);
    };
    replace(&mut input, 2, first);
    replace(&mut input, 3, second);
    let (found, damages) = demux(&input);
    let times: Vec<i64> = found.iter().skip(1).map(|packet| packet.dts.nanos() / 1000).collect();
    // The second frame began in the first PES and lasts 1024 samples at 44.1 kHz; the third has the time of the second PES.
    assert_eq!((times, damages), (vec![1_000_000, 1_023_219, 1_040_000], 0));
}

#[test]
fn what_has_no_form_is_refused() {
    for codec in [Codec::Av1, Codec::Vp9, Codec::Vp8, Codec::H266, Codec::FlvVideo(4)] {
        assert!(matches!(Muxer::new(&[(TrackId::VIDEO, codec)]), Err(Error::Unsupported(_))), "{codec:?}");
    }
    for codec in [Codec::Flac, Codec::FlvAudio(0x82), Codec::Amf] {
        assert!(matches!(Muxer::new(&[(TrackId::AUDIO, codec)]), Err(Error::Unsupported(_))), "{codec:?}");
    }
    assert!(Muxer::new(&[]).is_err());
    let mut muxer = Muxer::new(&[(TrackId::AUDIO, Codec::Aac)]).unwrap();
    let mut out = BytesMut::new();
    let mut write = |packet: Packet| muxer.write(&packet, &mut out);
    assert!(write(frame(TrackId::AUDIO, Codec::Aac, 0, 0, false, b"x")).is_err(), "no configuration");
    assert!(write(config(TrackId::AUDIO, Codec::Aac, "f94640")).is_err(), "an object type beyond ADTS");
    assert!(write(frame(TrackId::AUDIO, Codec::Mp3, 0, 0, false, b"x")).is_err(), "another codec");
    assert_eq!(write(config(TrackId::AUDIO, Codec::Aac, "1210")), Ok(()));
    assert!(write(frame(TrackId::AUDIO, Codec::Aac, 0, 0, false, &[0; 8185])).is_err(), "above 13 bits");
    assert_eq!(
        write(frame(TrackId::VIDEO, Codec::H264, 0, 0, false, b"x")),
        Ok(()),
        "a track that is not there"
    );
    assert!(out.is_empty());
}

#[test]
fn pieces_that_are_cut_between_pes_give_together_what_the_whole_gives() {
    let whole = mux(&stream());
    let (all, _) = demux(&whole);
    for pieces_packets in 1..40 {
        let (mut demuxer, mut found) = (Demuxer::new(), Vec::new());
        let mut begin = 0;
        for at in (0..=whole.len()).step_by(PACKET_BYTES) {
            let is_end = at == whole.len() || begins_pes(&whole[at..at + PACKET_BYTES]);
            if !is_end || (at - begin < pieces_packets * PACKET_BYTES && at < whole.len()) {
                continue;
            }
            let mut alone = Demuxer::resume(&demuxer.known());
            alone.push(&whole[begin..at]);
            alone.finish();
            demuxer.push(&whole[begin..at]);
            demuxer.cut();
            while let Some(packet) = demuxer.poll() {
                assert_eq!(alone.poll().map(|packet| packet.payload).as_ref(), Some(&packet.payload));
                found.push(packet);
            }
            assert_eq!((alone.poll(), demuxer.damages()), (None, 0));
            begin = at;
        }
        assert_eq!(by_track(found), by_track(all.clone()), "{pieces_packets}");
    }
}

#[test]
fn seeds_of_the_fuzz_target_break_no_promise() {
    let whole = mux(&stream());
    for length in (0..whole.len()).step_by(97) {
        crate::fuzz::ts(&whole[..length]);
    }
    for at in (0..whole.len()).step_by(13) {
        for byte in [0, 0x47, 0xff] {
            let mut changed = whole.to_vec();
            changed[at] = byte;
            crate::fuzz::ts(&changed);
        }
    }
}

proptest! {
    #[test]
    fn any_pictures_and_sound_survive_the_round_trip(
        frames in prop::collection::vec((any::<bool>(), any::<bool>(), 2usize..700, 0i64..90), 1..30),
    ) {
        let mut packets = vec![
            config(TrackId::VIDEO, Codec::H264, AVCC),
            config(TrackId::AUDIO, Codec::Aac, "1190"),
            frame(TrackId::VIDEO, Codec::H264, 1000, 1000, true, &unit(0x65, 10)),
            frame(TrackId::AUDIO, Codec::Aac, 1000, 1000, false, b"first"),
        ];
        let mut dts = 1000;
        for (is_video, keyframe, size, offset) in frames {
            dts += 7;
            packets.push(if is_video {
                let payload = unit(if keyframe { 0x65 } else { 0x41 }, size);
                frame(TrackId::VIDEO, Codec::H264, dts, dts + offset, keyframe, &payload)
            } else {
                frame(TrackId::AUDIO, Codec::Aac, dts, dts, false, &vec![offset as u8; size])
            });
        }
        let (found, damages) = demux(&mux(&packets));
        prop_assert_eq!(damages, 0);
        prop_assert_eq!(by_track(found), by_track(packets));
    }

    #[test]
    fn any_packets_pass(data in prop::collection::vec(any::<u8>(), 0..1000)) {
        crate::fuzz::ts(&data);
    }
}
