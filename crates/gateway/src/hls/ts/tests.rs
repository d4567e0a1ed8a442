use super::*;
use crate::config::parse_channel;
use crate::hls::muxer::Muxer;
use crate::hls::segmenter::{Cut, Goals, Segmenter};
use crate::hls::window::Keep;
use media::{Flags, Role};
use std::time::{Instant, UNIX_EPOCH};

const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x28, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02,
    0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x0f, 0xa4, 0x00, 0x03, 0xa9, 0x80, 0x3c, 0x60, 0xc6, 0x58, 0x01,
    0x00, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8, 0x00,
];
const OPUS: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
/// A frame header of MPEG-1 Layer III at 128 kbit/s and 48 kHz, and one of AC-3 at 192 kbit/s and 48 kHz.
const MP3: (&[u8], usize) = (&[0xff, 0xfb, 0x94, 0xc4], 384);
const AC3: (&[u8], usize) = (&[0x0b, 0x77, 0x9e, 0x1a, 0x14, 0x40, 0x43], 768);

/// A stream with keyframes each second, times in milliseconds from `start` on.
struct Stream {
    start: i64,
    sound: Codec,
    /// Each picture is shown one frame after the one before it, or after the one behind it.
    reordered: bool,
}

impl Stream {
    fn packet(&self, track: TrackId, role: Role, dts: i64, payload: Vec<u8>) -> Packet {
        let codec = if track == TrackId::VIDEO { Codec::H264 } else { self.sound };
        let dts = Time::from_millis(self.start + dts);
        let flags = Flags::default();
        Packet { track, codec, role, flags, dts, pts: dts, payload: payload.into() }
    }

    fn config(&self, track: TrackId) -> Packet {
        let payload: &[u8] = match (track, self.sound) {
            (TrackId::VIDEO, _) => AVCC,
            (_, Codec::Aac) => &[0x11, 0x90],
            (_, Codec::Opus) => OPUS,
            _ => &[],
        };
        self.packet(track, Role::Config, 0, payload.to_vec())
    }

    fn pictures(&self, from: i64, to: i64) -> Vec<Packet> {
        let picture = |dts: i64| {
            let at = (dts - from) / 40;
            let is_key = at % 25 == 0;
            let head = if is_key { 0x65 } else { 0x41 };
            let unit: Vec<u8> = [head].into_iter().chain((0..90 + at % 150).map(|_| at as u8 | 2)).collect();
            let payload = [&(unit.len() as u32).to_be_bytes()[..], &unit].concat();
            let mut packet = self.packet(TrackId::VIDEO, Role::Frame, dts, payload);
            packet.flags.keyframe = is_key;
            if self.reordered {
                packet.pts = packet.pts + Duration::from_millis(if at % 2 == 1 { 80 } else { 40 });
            }
            packet
        };
        (from..to).step_by(40).map(picture).collect()
    }

    fn sounds(&self, from: i64, to: i64) -> Vec<Packet> {
        let step = match self.sound {
            Codec::Ac3 => 32,
            Codec::Mp3 => 24,
            _ => 20,
        };
        let payload = |at: i64| match self.sound {
            Codec::Ac3 => frame_of(AC3, at),
            Codec::Mp3 => frame_of(MP3, at),
            // Opus: one frame of 20 ms, stereo.
            Codec::Opus => [&[0xfc][..], &vec![at as u8; 60 + at as usize % 40]].concat(),
            _ => vec![at as u8 | 0x80; 100 + at as usize % 60],
        };
        let times = (from..to).step_by(step);
        times.map(|dts| self.packet(TrackId::AUDIO, Role::Frame, dts, payload(dts / step as i64))).collect()
    }
}

fn frame_of((head, size): (&[u8], usize), at: i64) -> Vec<u8> {
    let mut frame = head.to_vec();
    frame.resize(size, at as u8);
    frame
}

fn channel() -> Channel {
    let keep = Keep { listed: Duration::from_secs(60), bytes_max: usize::MAX };
    Channel::new(parse_channel("live/cam").unwrap(), keep, Instant::now())
}

fn segmenter() -> Segmenter {
    let goals = Goals { segment: Duration::from_secs(2), part: Duration::from_millis(334) };
    Segmenter::new(goals, None)
}

/// Packages `packets` in the order of their times, and ends.
fn package(packets: Vec<Packet>) -> Channel {
    let (channel, mut segmenter) = (channel(), segmenter());
    let mut muxer = Muxer::new((Time::ZERO, UNIX_EPOCH));
    let mut cuts = Vec::new();
    in_order(packets).into_iter().for_each(|packet| segmenter.push(packet, &mut cuts));
    segmenter.interrupt(&mut cuts);
    append(&channel, &mut muxer, cuts);
    channel.promise(segmenter.promise_segment_max(), Duration::from_millis(334));
    channel.end();
    channel
}

fn in_order(mut packets: Vec<Packet>) -> Vec<Packet> {
    packets.sort_by_key(|packet| (packet.dts, packet.role == Role::Frame));
    packets
}

fn append(channel: &Channel, muxer: &mut Muxer, cuts: Vec<Cut>) {
    for cut in cuts {
        channel.append(muxer.pack(&cut, 7).unwrap());
    }
}

/// Everything in the transport stream, with how often bytes were damaged.
fn read(channel: &Channel) -> (Vec<Packet>, u64) {
    channel.transport.advance(channel);
    let mut demuxer = ts::Demuxer::new();
    let made = channel.transport.made();
    made.segments.iter().flat_map(|segment| &segment.chunks).for_each(|chunk| demuxer.push(chunk));
    demuxer.finish();
    (std::iter::from_fn(|| demuxer.poll()).collect(), demuxer.damages())
}

/// Frames of one kind, with their times since the first one of the stream.
fn frames(packets: &[Packet], kind: Kind) -> Vec<(i64, i64, Bytes)> {
    let of_role = || packets.iter().filter(|packet| packet.role == Role::Frame);
    let first = of_role().map(|packet| packet.dts).min().unwrap_or_default();
    // Ticks of 90 kHz are rounded.
    let ticks = |time: Time| (time - first + 5_000).div_euclid(11_111);
    let of_kind = of_role().filter(|packet| packet.track.kind == kind);
    of_kind.map(|packet| (ticks(packet.dts), ticks(packet.pts), packet.payload.clone())).collect()
}

/// Milliseconds at which 33 bits of 90 kHz wrap.
const WRAP: i64 = (1 << 33) / 90;

#[test]
fn every_packet_that_comes_in_goes_out() {
    for (what, sound, start, reordered, has_pictures, has_sound) in [
        ("the common case", Codec::Aac, 0, true, true, true),
        ("nothing is reordered", Codec::Aac, 5_000, false, true, true),
        ("33 bits wrap", Codec::Aac, WRAP - 14_000, true, true, true),
        ("24 bits of milliseconds wrap", Codec::Aac, (1 << 24) - 3_000, true, true, true),
        ("32 bits of milliseconds wrap", Codec::Aac, (1 << 32) - 3_000, true, true, true),
        ("Opus", Codec::Opus, 0, true, true, true),
        ("MP3", Codec::Mp3, 0, true, true, true),
        ("AC-3", Codec::Ac3, 0, true, true, true),
        ("pictures alone", Codec::Aac, 0, true, true, false),
        ("sound alone", Codec::Aac, 0, true, false, true),
        ("sound alone, MP3", Codec::Mp3, WRAP - 13_000, true, false, true),
    ] {
        let stream = Stream { start, sound, reordered };
        let mut packets = Vec::new();
        if has_pictures {
            packets.push(stream.config(TrackId::VIDEO));
            packets.extend(stream.pictures(0, 9_000));
        }
        if has_sound {
            packets.push(stream.config(TrackId::AUDIO));
            packets.extend(stream.sounds(0, 9_000));
        }
        let channel = package(packets.clone());
        let (found, damages) = read(&channel);
        assert_eq!(damages, 0, "{what}");
        for kind in [Kind::Video, Kind::Audio] {
            assert_eq!(frames(&packets, kind), frames(&found, kind), "{what}");
        }
        let mut parts = Vec::new();
        channel.view(|renditions, _, _| {
            for rendition in renditions {
                for segment in &rendition.segments {
                    let init = &rendition.init(segment.init).unwrap().bytes;
                    let of_part =
                        |part: &super::super::window::Part| packets_of(rendition.id, init, &part.bytes);
                    parts.extend(segment.parts.iter().flat_map(|part| of_part(part).unwrap()));
                }
            }
        });
        for kind in [Kind::Video, Kind::Audio] {
            assert_eq!(frames(&packets, kind), frames(&parts, kind), "{what} in MP4");
        }
    }
}

#[test]
fn the_playlist_names_whole_segments_that_begin_with_tables_and_a_keyframe() {
    let stream = Stream { start: 0, sound: Codec::Aac, reordered: true };
    let packets = [stream.config(TrackId::VIDEO), stream.config(TrackId::AUDIO)];
    let packets = packets.into_iter().chain(stream.pictures(0, 9_000)).chain(stream.sounds(0, 9_000));
    let channel = package(packets.collect());
    assert_eq!(channel.transport.edge(), (None, false), "nobody has asked");
    channel.transport.advance(&channel);
    let terms = channel.view(|_, _, terms| Terms { query: "?key=x".to_owned(), ..terms.clone() });
    let written = channel.transport.playlist(&terms).unwrap();
    let head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,HOLD-BACK=6.0\n#EXT-X-MEDIA-SEQUENCE:7\n\
        #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.040Z\n#EXTINF:1.00000,\nts-7.ts?key=x\n";
    assert!(written.starts_with(head) && written.ends_with("ts-11.ts?key=x\n#EXT-X-ENDLIST\n"), "{written}");
    assert_eq!(channel.transport.edge(), (Some(11), true));
    for number in 7..=11 {
        let mut demuxer = ts::Demuxer::new();
        demuxer.push(&channel.transport.segment(number).unwrap().concat());
        demuxer.finish();
        let found: Vec<Packet> = std::iter::from_fn(|| demuxer.poll()).collect();
        assert!(found.iter().find(|packet| packet.role == Role::Frame).unwrap().flags.keyframe, "{number}");
        let of = |kind| found.iter().filter(move |packet| packet.track.kind == kind).map(|packet| packet.dts);
        let apart = |a: Option<Time>, b: Option<Time>| (a.unwrap() - b.unwrap()).abs();
        assert!(
            apart(of(Kind::Video).min(), of(Kind::Audio).min()) <= 80_000_000,
            "sound is where pictures are"
        );
    }
    assert!(channel.transport.segment(6).is_none() && channel.transport.segment(12).is_none());
}

#[test]
fn pictures_do_not_wait_for_sound_that_has_stopped() {
    let stream = Stream { start: 0, sound: Codec::Aac, reordered: false };
    let (channel, mut segmenter) = (channel(), segmenter());
    let mut muxer = Muxer::new((Time::ZERO, UNIX_EPOCH));
    let mut send = |packets: Vec<Packet>| {
        let mut cuts = Vec::new();
        in_order(packets).into_iter().for_each(|packet| segmenter.push(packet, &mut cuts));
        append(&channel, &mut muxer, cuts);
        channel.transport.advance(&channel);
        channel.transport.edge().0
    };
    let head = vec![stream.config(TrackId::VIDEO), stream.config(TrackId::AUDIO)];
    send([head, stream.pictures(0, 6_000), stream.sounds(0, 4_000)].concat());
    let later = send(stream.pictures(6_000, 12_000));
    assert!(later >= Some(11), "{later:?}");
    // What comes then is heard again.
    send([stream.pictures(12_000, 18_000), stream.sounds(12_000, 18_000)].concat());
    let sound = frames(&read(&channel).0, Kind::Audio);
    assert_eq!(sound.len(), sound.iter().filter(|(dts, ..)| *dts < 360_000 || *dts >= 1_080_000).count());
    assert!(sound.last().unwrap().0 > 17 * 90_000, "{:?}", sound.last());
}

#[test]
fn other_tracks_are_a_discontinuity_and_the_end_of_what_does_not_end() {
    let first = Stream { start: 0, sound: Codec::Aac, reordered: false };
    let second = Stream { start: 6_000, sound: Codec::Opus, reordered: false };
    let (channel, mut segmenter) = (channel(), segmenter());
    let mut muxer = Muxer::new((Time::ZERO, UNIX_EPOCH));
    let mut place = TsPlace::default();
    for stream in [first, second] {
        let mut cuts = Vec::new();
        let head = vec![stream.config(TrackId::VIDEO), stream.config(TrackId::AUDIO)];
        let packets = in_order([head, stream.pictures(0, 6_000), stream.sounds(0, 6_000)].concat());
        packets.into_iter().for_each(|packet| segmenter.push(packet, &mut cuts));
        segmenter.interrupt(&mut cuts);
        append(&channel, &mut muxer, cuts);
        channel.transport.advance(&channel);
        if stream.start == 0 {
            assert!(matches!(channel.transport.step(&mut place), Step::Parts(parts) if !parts.is_empty()));
        }
    }
    channel.end();
    channel.transport.advance(&channel);
    let written = channel.transport.playlist(&channel.view(|_, _, terms| terms.clone())).unwrap();
    assert_eq!(written.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{written}");
    while let Step::Parts(_) = channel.transport.step(&mut place) {}
    let TsPlace(Some((program, ..))) = place else { panic!("it has a place") };
    assert_eq!(program, 1, "the second one has other tables");
}

#[test]
fn codecs_without_a_form_are_said_to_have_none() {
    let mut stream = Stream { start: 0, sound: Codec::Flac, reordered: false }.config(TrackId::AUDIO);
    let block = [&b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x0b\xb8\x03\x70"[..], &[0; 20]].concat();
    stream.payload = block.into();
    let frame = |at: i64| Packet {
        role: Role::Frame,
        dts: Time::from_millis(20 * at),
        pts: Time::from_millis(20 * at),
        ..stream.clone()
    };
    let channel = package([stream.clone()].into_iter().chain((0..300).map(frame)).collect());
    channel.transport.advance(&channel);
    assert_eq!(channel.tracks(), [TrackId::AUDIO]);
    assert!(!channel.view(|renditions, _, _| has_form(renditions)));
    assert_eq!(channel.transport.edge().0, None);
}

fn ended() -> Arc<Channel> {
    let stream = Stream { start: 0, sound: Codec::Aac, reordered: false };
    let head = vec![stream.config(TrackId::VIDEO), stream.config(TrackId::AUDIO)];
    Arc::new(package([head, stream.pictures(0, 9_000), stream.sounds(0, 9_000)].concat()))
}

#[test]
fn what_is_being_written_keeps_nobody_waiting() {
    let channel = ended();
    let transport = &channel.transport;
    transport.advance(&channel);
    let _writing = transport.maker();
    assert!(transport.segment(7).is_some());
    assert!(transport.playlist(&channel.view(|_, _, terms| terms.clone())).is_some());
    assert!(matches!(transport.step(&mut TsPlace::default()), Step::Parts(due) if !due.is_empty()));
    assert_eq!(transport.edge(), (Some(11), true));
}

#[tokio::test]
async fn one_task_writes_for_all_who_ask() {
    let channel = ended();
    let (trigger, shutdown) = net::Shutdown::new();
    let mut rounds = channel.transport.rounds();
    (0..3).for_each(|_| want(&channel, &shutdown, Instant::now()));
    assert_eq!(Arc::strong_count(&channel), 2, "of the task, and the one here");
    let mut reader = TsReader::new(channel.clone(), &shutdown, Instant::now());
    assert!(matches!(reader.step(), Step::Parts(due) if due.is_empty()), "it waits for the newest segment");
    rounds.changed().await.unwrap();
    assert!(channel.transport.is_whole() && channel.transport.is_being_made());
    while let Step::Parts(due) = reader.step() {
        assert!(!due.is_empty());
    }
    trigger.trigger();
    rounds.changed().await.unwrap();
    assert!(!channel.transport.is_being_made());
}

#[test]
fn what_nobody_asks_for_any_more_is_given_up() {
    let channel = ended();
    let transport = &channel.transport;
    let (now, stay) = (Instant::now(), Duration::from_secs(60));
    let sequence = || {
        let written = transport.playlist(&channel.view(|_, _, terms| terms.clone()))?;
        let (_, rest) = written.split_once("#EXT-X-DISCONTINUITY-SEQUENCE:")?;
        rest.lines().next()?.parse::<u64>().ok()
    };
    transport.advance(&channel);
    let before = sequence().unwrap();
    transport.note_asked(now);
    assert!(!transport.leave(now + stay / 2, stay) && transport.segment(7).is_some());
    transport.made().readers = 1;
    assert!(!transport.leave(now + stay, stay), "somebody reads on");
    transport.made().readers = 0;
    assert!(transport.leave(now + stay, stay) && transport.made().segments.is_empty());
    transport.advance(&channel);
    assert!(transport.segment(7).is_some() && sequence().unwrap() >= before);
}
