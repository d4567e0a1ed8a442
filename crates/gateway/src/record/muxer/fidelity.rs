//! What comes out of a recording is what went in: every codec that a format has a form for, with B-frames, from any time on.

use super::tests::{limits, movie, record};
use super::*;
use media::container::ts::Demuxer;

/// A codec: its configuration in hex, how its frames begin, and how many bytes they have at least.
struct Row {
    codec: Codec,
    config: &'static str,
    key: &'static [u8],
    other: &'static [u8],
    bytes: usize,
    formats: &'static [RecordFormat],
}

const ALL: &[RecordFormat] = &[RecordFormat::Mp4, RecordFormat::Flv, RecordFormat::Ts];
const NOT_TS: &[RecordFormat] = &[RecordFormat::Mp4, RecordFormat::Flv];

const VIDEO: &[Row] = &[
    Row {
        codec: Codec::H264,
        config: "01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801000468ef8fcbfdf8f800",
        key: &[0, 0, 0, 3, 0x65, 0x88],
        other: &[0, 0, 0, 3, 0x41, 0x9a],
        bytes: 7,
        formats: ALL,
    },
    Row {
        codec: Codec::H265,
        config: "0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003003c959809a10001002b42010101600000030090000003000003003ca00a080b9f796566924caf01680800000300080000 0300f040a2000100074401c172b46240",
        key: &[0, 0, 0, 4, 0x26, 1, 0x80],
        other: &[0, 0, 0, 4, 0x02, 1, 0x80],
        bytes: 8,
        formats: ALL,
    },
    Row {
        codec: Codec::Av1,
        config: "81084c000a0c02000042955dfe1b805f0808",
        key: &[0x32, 2, 0x10],
        other: &[0x32, 2, 0x30],
        bytes: 4,
        formats: NOT_TS,
    },
    Row {
        codec: Codec::Vp9,
        config: "000b820202020000",
        key: &[0x82, 0x49, 0x83, 0x42, 0, 0x13, 0xf0, 0x0b, 0x36, 6, 0x38, 0x24],
        other: &[0x86, 0],
        bytes: 20,
        formats: NOT_TS,
    },
];

const AUDIO: &[Row] = &[
    Row { codec: Codec::Aac, config: "1190", key: &[0x21, 0x10], other: &[], bytes: 9, formats: ALL },
    Row {
        codec: Codec::Opus,
        config: "4f70757348656164010238018 0bb0000000000",
        key: &[0xfc, 0xff],
        other: &[],
        bytes: 40,
        formats: ALL,
    },
    Row {
        codec: Codec::Flac,
        config: "664c6143800000221000100000 00fc00018b0bb800f0000232800e9d7dce5ba2b3c21e0da827578eebfe",
        key: &[0xff, 0xf8],
        other: &[],
        bytes: 30,
        formats: NOT_TS,
    },
    Row {
        codec: Codec::Ac3,
        config: "",
        key: &[0x0b, 0x77, 0xb5, 0x0b, 0x1e, 0x40, 0xeb, 0xf8, 0x40, 0x3e, 0xff],
        other: &[],
        bytes: 1792,
        formats: ALL,
    },
    // 128 kbit/s at 44.1 kHz.
    Row {
        codec: Codec::Mp3,
        config: "",
        key: &[0xff, 0xfb, 0x90, 0x44],
        other: &[],
        bytes: 417,
        formats: ALL,
    },
];

fn hex(digits: &str) -> Bytes {
    let digits: Vec<u8> = digits.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

impl Row {
    fn track(&self) -> TrackId {
        let is_video = VIDEO.iter().any(|row| row.codec == self.codec);
        if is_video { TrackId::VIDEO } else { TrackId::AUDIO }
    }

    fn packet(&self, role: Role, ms: i64, delay: i64, keyframe: bool, payload: Bytes) -> Packet {
        let (dts, pts) = (Time::from_millis(ms), Time::from_millis(ms + delay));
        let flags = Flags { keyframe, disposable: false };
        Packet { track: self.track(), codec: self.codec, role, flags, dts, pts, payload }
    }

    fn config(&self) -> Option<Packet> {
        let config = hex(self.config);
        (!config.is_empty()).then(|| self.packet(Role::Config, 0, 0, false, config))
    }

    fn frame(&self, number: i64, ms: i64, delay: i64, keyframe: bool) -> Packet {
        let is_video = self.track() == TrackId::VIDEO;
        let mut payload = if keyframe || !is_video { self.key } else { self.other }.to_vec();
        while payload.len() < self.bytes {
            payload.push(0x80 | number as u8 & 0x3f);
        }
        if is_video && payload[..3] == [0; 3] {
            payload[3] = payload.len() as u8 - 4;
        }
        self.packet(Role::Frame, ms, delay, keyframe, payload.into())
    }
}

/// Three seconds of pictures with B-frames and of sound, from `start`.
fn stream(video: Option<&Row>, audio: Option<&Row>, start: i64) -> Vec<Packet> {
    let mut packets: Vec<_> = [video, audio].into_iter().flatten().filter_map(Row::config).collect();
    for number in 0..75 {
        let at = start + number * 40;
        // Pictures of AV1 and VP9 are shown in the order they come in.
        let delay = |row: &Row| if row.formats == ALL { 40 * (number % 3) } else { 0 };
        packets.extend(video.map(|row| row.frame(number, at, delay(row), number % 25 == 0)));
        for half in 0..2 {
            packets.extend(audio.map(|row| row.frame(2 * number + half, at + half * 20, 0, false)));
        }
    }
    packets
}

/// A frame as it is compared: whose it is, when it is decoded and shown, in milliseconds, whether it is a keyframe, its bytes.
type Seen = (Kind, i64, i64, bool, Bytes);

fn seen(packets: impl IntoIterator<Item = Packet>) -> Vec<Seen> {
    let frames: Vec<_> = packets.into_iter().filter(|packet| packet.role == Role::Frame).collect();
    let first = frames.iter().map(|packet| packet.dts).min().unwrap_or(Time::ZERO);
    let ms = |time: Time| (time - first + 500_000).div_euclid(1_000_000);
    let mut seen: Vec<_> = frames
        .into_iter()
        .map(|packet| {
            let is_key = packet.track.kind == Kind::Video && packet.flags.keyframe;
            (packet.track.kind, ms(packet.dts), ms(packet.pts), is_key, packet.payload)
        })
        .collect();
    seen.sort_by_key(|(kind, dts, ..)| (*kind, *dts));
    seen
}

fn read(format: RecordFormat, files: &BTreeMap<String, Vec<u8>>) -> Vec<Packet> {
    let mut packets = Vec::new();
    match format {
        RecordFormat::Mp4 => {
            for file in files.values() {
                for track in movie(file).tracks {
                    for sample in &track.samples {
                        let start = sample.position as usize;
                        let payload = Bytes::copy_from_slice(&file[start..start + sample.size as usize]);
                        packets.push(track.packet(sample, payload));
                    }
                }
            }
        }
        RecordFormat::Flv => {
            for file in files.values() {
                let (mut demuxer, mut input) = (flv::Demuxer::new(), BytesMut::from(&file[..]));
                packets.extend(std::iter::from_fn(|| demuxer.push(&mut input).unwrap()));
            }
        }
        RecordFormat::Ts => {
            let mut demuxer = Demuxer::new();
            for file in files.values() {
                assert_eq!(file.len() % 188, 0);
                for piece in file.chunks(64 << 10) {
                    demuxer.push(piece);
                    packets.extend(std::iter::from_fn(|| demuxer.poll()));
                }
            }
            demuxer.finish();
            packets.extend(std::iter::from_fn(|| demuxer.poll()));
            assert_eq!(demuxer.damages(), 0, "{:?}", packets.last());
        }
    }
    packets
}

/// Records what the format has a form for, and compares.
fn is_kept(format: RecordFormat, packets: &[Packet], what: &str) {
    let mut muxer = Muxer::new(format, limits());
    let files = record(&mut muxer, packets);
    assert_eq!(muxer.take_lost(), 0, "{what}");
    let (sent, found) = (seen(packets.to_vec()), seen(read(format, &files)));
    assert_eq!(sent.len(), found.len(), "{what}");
    for (sent, found) in sent.iter().zip(&found) {
        assert_eq!(sent, found, "{what}");
    }
}

#[test]
fn every_codec_is_kept_in_every_format_that_has_a_form_for_it() {
    for format in ALL {
        let has = |row: &&Row| row.formats.contains(format);
        let pairs = VIDEO.iter().filter(has).map(|video| (Some(video), AUDIO.first()));
        let pairs = pairs.chain(AUDIO.iter().filter(has).map(|audio| (VIDEO.first(), Some(audio))));
        let alone = [(VIDEO.first(), None), (None, AUDIO.first()), (None, AUDIO.get(1))];
        for (video, audio) in pairs.chain(alone) {
            let name = |row: Option<&Row>| row.map(|row| row.codec);
            let what = format!("{format:?} of {:?} and {:?}", name(video), name(audio));
            is_kept(*format, &stream(video, audio, 70_000), &what);
        }
    }
}

#[test]
fn what_a_format_has_no_form_for_is_left_out_and_named() {
    for (format, row) in
        [(RecordFormat::Ts, &VIDEO[2]), (RecordFormat::Ts, &VIDEO[3]), (RecordFormat::Ts, &AUDIO[2])]
    {
        let is_video = row.track() == TrackId::VIDEO;
        let packets = match is_video {
            true => stream(Some(row), AUDIO.first(), 0),
            false => stream(VIDEO.first(), Some(row), 0),
        };
        let mut muxer = Muxer::new(format, limits());
        let mut tracks = Vec::new();
        let now = Instant::now();
        for packet in &packets {
            muxer.push(now, packet);
            tracks.extend(muxer.poll(now, true).and_then(|block| block.begins));
        }
        let left_out: Vec<_> = tracks.iter().flatten().filter(|track| track.left_out.is_some()).collect();
        assert_eq!(left_out.len(), 1, "{:?}", row.codec);
        assert_eq!(left_out[0].id, row.track().to_string());
        assert_eq!(muxer.take_lost(), 0, "what was never to be there is not lost");
    }
}

#[test]
fn times_go_on_beyond_what_three_and_four_bytes_hold() {
    for format in ALL {
        for start in [0, (1 << 24) - 1_500, (1 << 32) - 1_500] {
            let packets = stream(VIDEO.first(), AUDIO.first(), start);
            is_kept(*format, &packets, &format!("{format:?} from {start} ms"));
        }
        // In one file: a keyframe each ten seconds for five hours.
        let row = &VIDEO[0];
        let pictures = (0..1_800).map(|number| row.frame(number, number * 10_000, 0, true));
        let packets: Vec<_> = row.config().into_iter().chain(pictures).collect();
        let mut muxer =
            Muxer::new(*format, FileLimits { media_max: Duration::from_secs(6 * 3600), ..limits() });
        let files = record(&mut muxer, &packets);
        assert_eq!(seen(packets), seen(read(*format, &files)), "{format:?}");
    }
}

#[test]
fn a_recording_in_segments_goes_on_without_a_break_and_breaks_at_another_configuration() {
    let row = &VIDEO[0];
    let second = |second: i64| (0..25).map(move |n| row.frame(n, second * 1000 + n * 40, 0, n == 0));
    let mut other = row.config().unwrap();
    // Another level.
    other.payload = hex(&row.config.replacen("640028", "640029", 1));
    let packets: Vec<_> = row
        .config()
        .into_iter()
        .chain((0..14).flat_map(second))
        .chain([other])
        .chain((14..16).flat_map(second))
        .collect();
    let (mut muxer, now) = (Muxer::new(RecordFormat::Ts, limits()), Instant::now());
    let mut files: BTreeMap<String, (Duration, bool, Option<Duration>)> = BTreeMap::new();
    let mut bytes: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut note = |block: Option<Block>| {
        let Some(block) = block else { return };
        let name = block.file.as_str().to_owned();
        files.insert(name.clone(), (block.end, block.is_discontinuity, block.after));
        bytes.entry(name).or_default().extend(block.pieces.concat());
    };
    for packet in &packets {
        note(muxer.push(now, packet));
        note(muxer.poll(now, false));
    }
    note(muxer.end_file());
    let ms = |time: Duration| time.as_millis();
    let files_ms: Vec<_> = files.values().map(|(end, new, after)| (ms(*end), *new, after.map(ms))).collect();
    let on = Some(6_000);
    assert_eq!(files_ms, [(6_000, false, None), (6_000, false, on), (2_000, false, on), (2_000, true, None)]);
    assert_eq!(files.keys().next().unwrap(), "000001.ts");
    // Up to the break it is one stream, whose counters and times go on.
    bytes.remove("000004.ts");
    assert_eq!(seen(read(RecordFormat::Ts, &bytes)), seen(packets[..=14 * 25].to_vec()));
}
