use super::*;
use crate::container::Error;
use crate::{Codec, Flags, Malformed, Packet, Role, Time, TrackId};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use std::time::Duration;

/// Bytes of a table: hex digits, with text after `#` to the end of the line left out, and text in quotes as it is.
fn bytes(table: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in table.lines() {
        let line = line.split('#').next().unwrap_or_default();
        for (index, part) in line.split('"').enumerate() {
            if index % 2 == 1 {
                out.extend_from_slice(part.as_bytes());
                continue;
            }
            let digits: Vec<u8> =
                part.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
            out.extend(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
        }
    }
    out
}

const AVCC: &str =
    "01640028ffe10019 67640028acd9407802 27e5c0440000 0fa40003a9803c60c658 01000468ef8fcbfdf8f800";
const AAC: &str = "1190";

fn video() -> Track {
    Track::new(1, TrackId::VIDEO, Codec::H264, &bytes(AVCC), b"").unwrap()
}

fn audio() -> Track {
    Track::new(2, TrackId::AUDIO, Codec::Aac, &bytes(AAC), b"").unwrap()
}

/// Times in milliseconds.
fn frame(track: TrackId, codec: Codec, dts: i64, pts: i64, flags: Flags, payload: &[u8]) -> Packet {
    let (dts, pts) = (Time::from_millis(dts), Time::from_millis(pts));
    Packet { track, codec, role: Role::Frame, flags, dts, pts, payload: Bytes::copy_from_slice(payload) }
}

const KEY: Flags = Flags { keyframe: true, disposable: false };
const NONE: Flags = Flags { keyframe: false, disposable: false };
const DISPOSABLE: Flags = Flags { keyframe: false, disposable: true };

fn pictures() -> Vec<Packet> {
    let picture =
        |dts, pts, flags, payload: &[u8]| frame(TrackId::VIDEO, Codec::H264, dts, pts, flags, payload);
    vec![
        picture(1000, 1080, KEY, b"\0\0\0\x01\x65"),
        picture(1040, 1160, NONE, b"\0\0\0\x02\x61\x01"),
        picture(1080, 1120, DISPOSABLE, b"\0\0\0\x01\x01"),
    ]
}

fn sounds() -> Vec<Packet> {
    [1000, 1020].map(|dts| frame(TrackId::AUDIO, Codec::Aac, dts, dts, NONE, b"aac")).to_vec()
}

/// An init segment and one fragment.
fn recording() -> Vec<u8> {
    let (video, audio, pictures, sounds) = (video(), audio(), pictures(), sounds());
    let mut out = BytesMut::new();
    write_init(&[video.clone(), audio.clone()], &mut out).unwrap();
    let runs = [
        Run { track: &video, frames: &pictures, end: Time::from_millis(1120) },
        Run { track: &audio, frames: &sounds, end: Time::from_millis(1040) },
    ];
    write_fragment(7, &runs, &mut out).unwrap();
    payloads(&runs).for_each(|payload| out.extend_from_slice(&payload));
    out.to_vec()
}

fn index(file: &[u8]) -> Result<Movie, Error> {
    let mut indexer = Indexer::new(file.len() as u64);
    while let Some(range) = indexer.wants() {
        indexer.push(&file[range.start as usize..range.end as usize])?;
    }
    Ok(indexer.finish())
}

fn packets(file: &[u8], track: &MovieTrack) -> Vec<Packet> {
    let payload = |sample: &Sample| {
        let start = sample.position as usize;
        Bytes::copy_from_slice(&file[start..start + sample.size as usize])
    };
    track.samples.iter().map(|sample| track.packet(sample, payload(sample))).collect()
}

#[test]
fn a_fragment_says_once_what_its_samples_have_in_common() {
    let (video, audio, pictures, sounds) = (video(), audio(), pictures(), sounds());
    let runs = [
        Run { track: &video, frames: &pictures, end: Time::from_millis(1120) },
        Run { track: &audio, frames: &sounds, end: Time::from_millis(1040) },
    ];
    let mut out = BytesMut::new();
    assert_eq!(write_fragment(7, &runs, &mut out), Ok(22));
    let expected = r#"
        000000cc "moof"
        00000010 "mfhd" 00000000 00000007           # sequence
        00000068 "traf"
        00000014 "tfhd" 00020008 00000001 00000e10  # base is moof, duration; track, 40 ms
        00000014 "tfdt" 01000000 0000000000015f90   # 1000 ms
        00000038 "trun" 01000e01 00000003 000000d4  # offset, sizes, flags, composition; 3 samples
          00000005 02000000 00001c20                # keyframe, shown 80 ms later
          00000006 01010000 00002a30                # depends on others
          00000005 01810000 00000e10                # and nothing depends on it
        0000004c "traf"
        0000001c "tfhd" 00020038 00000002 000003c0 00000003 02000000  # duration 20 ms, size, flags
        00000014 "tfdt" 01000000 000000000000bb80
        00000014 "trun" 01000001 00000002 000000e4  # offset; 2 samples
        0000001e "mdat"
    "#;
    assert_eq!(hex(&out), hex(&bytes(expected)));
    let payload: Vec<u8> = payloads(&runs).flatten().collect();
    assert_eq!(payload, b"\0\0\0\x01\x65\0\0\0\x02\x61\x01\0\0\0\x01\x01aacaac");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What surrounds fragments, byte by byte.
#[test]
fn boxes_around_fragments() {
    let written = |write: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        write(&mut out);
        hex(&out)
    };
    let video = video();
    let second = Time::from_millis(1000);
    let two_seconds = Time::from_millis(2000);
    let styp = r#"00000018 "styp" "msdh" 00000000 "msdh" "cmfs""#;
    assert_eq!(written(&|out| write_segment_type(out)), hex(&bytes(styp)));
    let empty = r#"
        00000048 "moof"
            00000010 "mfhd" 00000000 00000001
            00000030 "traf"
                00000014 "tfhd" 00030008 00000001 0002bf20  # empty, base is moof; track 1, 2 s
                00000014 "tfdt" 01000000 0000000000015f90   # from 1 s on
    "#;
    assert_eq!(
        written(&|out| write_empty_fragment(&video, second, Duration::from_secs(2), out).unwrap()),
        hex(&bytes(empty))
    );
    let before_zero =
        write_empty_fragment(&video, Time::from_millis(-1), Duration::ZERO, &mut BytesMut::new());
    assert!(matches!(before_zero, Err(Error::Misuse(_))));
    let prft = r#"00000020 "prft" 01000018 00000001 ee8f4c1880000000 0000000000015f90"#;
    let ntp = 0xee8f_4c18_8000_0000;
    assert_eq!(written(&|out| write_producer_time(&video, ntp, second, out)), hex(&bytes(prft)));
    let emsg = r#"
        0000002d "emsg" 01000000
        00015f90 0000000000015f90 00002328 00000005     # timescale, at 1 s, for 100 ms, number 5
        "urn:x" 00 "v" 00 "hello"
    "#;
    let event = Event {
        scheme: "urn:x",
        value: "v",
        time: second,
        duration: Some(Duration::from_millis(100)),
        id: 5,
        data: b"hello",
    };
    assert_eq!(written(&|out| write_event(&event, out).unwrap()), hex(&bytes(emsg)));
    let sidx = r#"
        00000034 "sidx" 01000000 00000001 00015f90      # of track 1, 90 kHz
        0000000000015f90 0000000000000000 0000 0001     # from 1 s on, at once; 1 piece
        00000400 00015f90 90000000                      # 1024 bytes, 1 s, starts with SAP type 1
    "#;
    let piece = Piece { bytes: 1024, start: second, end: two_seconds, keyframe: true };
    assert_eq!(written(&|out| write_segment_index(&video, &[piece], out).unwrap()), hex(&bytes(sidx)));
    let mfra = r#"
        0000004c "mfra"
        00000034 "tfra" 01000000 00000001 0000003f 00000001
        0000000000015f90 0000000000000400 00000001 00000001 00000001
        00000010 "mfro" 00000000 0000004c
    "#;
    let entrance = Entrance { time: second, moof_position: 1024, traf_number: 1 };
    let write = |out: &mut BytesMut| write_random_access(&[(&video, &[entrance][..])], out).unwrap();
    assert_eq!(written(&write), hex(&bytes(mfra)));
}

/// A box in hex.
fn boxed(kind: &[u8; 4], body: &str) -> String {
    format!("{:08x} {} {body}", 8 + bytes(body).len(), hex(kind))
}

/// The configuration box at the end of each sample entry, the codec string, and that reading gives the configuration back.
#[test]
fn every_codec_has_its_sample_entry() {
    let opus = format!("{} 01 02 3801 80bb0000 0000 00", hex(b"OpusHead"));
    let surround = format!("{} 01 06 3801 80bb0000 0000 01 0402 000401020305", hex(b"OpusHead"));
    let flac = format!(
        "{} 80000022 10001000 0000fc00018b 0bb800f0 00023280 0e9d7dce5ba2b3c21e0da82757 8eebfe",
        hex(b"fLaC")
    );
    let hvcc = "01016000000090000000 00003cf000fcfdf8f800000f 01
        210001002b 420101016000000300900000030000 03003ca00a080b9f79656692 4caf01680800000300080000 0300f040";
    let av1c = "81084c00 0a0c02000042955dfe1b805f0808";
    type Row<'a> = (Codec, &'a str, &'a str, &'a str, &'a str, String);
    let table: &[Row<'_>] = &[
        (Codec::H264, AVCC, "", "avc1", "avc1.640028", boxed(b"avcC", AVCC)),
        (Codec::H265, hvcc, "", "hvc1", "hvc1.1.6.L60.90", boxed(b"hvcC", hvcc)),
        (Codec::Av1, av1c, "", "av01", "av01.0.08M.10", boxed(b"av1C", av1c)),
        (
            Codec::Vp9,
            "000b820202020000",
            "824983420013f00b36063824",
            "vp09",
            "vp09.00.11.08",
            boxed(b"vpcC", "01000000 000b820202020000"),
        ),
        (
            Codec::Vp8,
            "000a820202020000",
            "50a0009d012a4001b400",
            "vp08",
            "vp08.00.10.08",
            boxed(b"vpcC", "01000000 000a820202020000"),
        ),
        (
            Codec::Aac,
            AAC,
            "",
            "mp4a",
            "mp4a.40.2",
            // ES, its decoder configuration, the AudioSpecificConfig in that, and the sync layer.
            boxed(b"esds", "00000000 0319 000000 0411 4015 000000 00000000 00000000 0502 1190 0601 02"),
        ),
        (
            Codec::Mp3,
            "",
            "fffb9044",
            "mp4a",
            "mp4a.6B",
            boxed(b"esds", "00000000 0315 000000 040d 6b15 000000 00000000 00000000 0601 02"),
        ),
        (Codec::Opus, &opus, "", "Opus", "opus", boxed(b"dOps", "00 02 0138 0000bb80 0000 00")),
        (
            Codec::Opus,
            &surround,
            "",
            "Opus",
            "opus",
            boxed(b"dOps", "00 06 0138 0000bb80 0000 01 0402 000401020305"),
        ),
        (Codec::Flac, &flac, "", "fLaC", "fLaC", boxed(b"dfLa", &format!("00000000 {}", &flac[8..]))),
        // fscod 0, bsid 8, bsmod 0, acmod 7, lfeon 1, bit rate code 15.
        (Codec::Ac3, "", "0b77b50b1e40ebf8403eff", "ac-3", "ac-3", boxed(b"dac3", "103de0")),
        // 384 kbit/s, one substream: fscod 0, bsid 16, acmod 7, lfeon 1, none depends on it.
        (Codec::Eac3, "", "0b7702ff3f87c00020f820", "ec-3", "ec-3", boxed(b"dec3", "0c00 200f 00")),
    ];
    for (codec, config, frame, name, mime, tail) in table {
        let id = if matches!(codec, Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Vp8 | Codec::Vp9) {
            TrackId::VIDEO
        } else {
            TrackId::AUDIO
        };
        let track = Track::new(3, id, *codec, &bytes(config), &bytes(frame)).unwrap();
        assert_eq!(track.summary().mime, *mime);
        assert_eq!(&track.entry[4..8], name.as_bytes());
        let tail = hex(&bytes(tail));
        assert!(hex(&track.entry).contains(&tail), "{codec:?}: {} in {}", tail, hex(&track.entry));
        let mut file = BytesMut::new();
        write_init(&[track], &mut file).unwrap();
        let movie = index(&file).unwrap();
        assert_eq!(movie.refused, []);
        assert_eq!((movie.tracks[0].number, movie.tracks[0].codec), (3, *codec));
        assert_eq!(hex(&movie.tracks[0].config), hex(&bytes(config)));
    }
}

#[test]
fn shape_and_colours_of_pictures_are_written() {
    let box_of = |codec, config: &str, name: &[u8]| {
        let track = Track::new(1, TrackId::VIDEO, codec, &bytes(config), b"").unwrap();
        let at = track.entry.windows(4).position(|four| four == name)?;
        let size = usize::from(track.entry[at - 1]) - 8;
        Some(hex(&track.entry[at + 4..at + 4 + size]))
    };
    // x264 with pixels of 4:3, in BT.709.
    let wide = "0164000dffe1001b 676400 0dacd941419f9f0e6a02020280 0001f480 00753007 8a14cb 01000668ebe3cb22c0fdf8f800";
    assert_eq!(box_of(Codec::H264, wide, b"pasp").as_deref(), Some("0000000400000003"));
    assert_eq!(box_of(Codec::H264, wide, b"colr").as_deref(), Some("6e636c7800010001000100"));
    let plain = box_of(Codec::H264, AVCC, b"pasp");
    assert_eq!((plain, box_of(Codec::H264, AVCC, b"colr")), (None, None));
    let track = Track::new(1, TrackId::VIDEO, Codec::H264, &bytes(wide), b"").unwrap();
    let mut file = BytesMut::new();
    write_init(&[track], &mut file).unwrap();
    let tkhd = file.windows(4).position(|four| four == b"tkhd").unwrap();
    // 320 pixels are shown as 426 2/3, in 16.16.
    assert_eq!(hex(&file[tkhd + 80..tkhd + 88]), "01aaaaaa00b40000");
    // SVT-AV1 in BT.709, x265 in BT.2020 with PQ.
    let av1 = "81000c00 0a0e000000043cfecc02f81010101040";
    assert_eq!(box_of(Codec::Av1, av1, b"colr").as_deref(), Some("6e636c7800010001000100"));
    let pq = "0102200000009000000000003cf000fcfdfafa00000f 01
        210001002d 42010102200000030090000003000003003ca00a080b9f6d9656 5924caf016a122012080000003008000000c84";
    assert_eq!(box_of(Codec::H265, pq, b"colr").as_deref(), Some("6e636c7800090010000900"));
}

fn run<'a>(track: &'a Track, frames: &'a [Packet]) -> [Run<'a>; 1] {
    [Run { track, frames, end: Time::from_millis(1120) }]
}

#[test]
fn what_cannot_be_written_is_refused() {
    let (video, pictures) = (video(), pictures());
    let mut out = BytesMut::new();
    let misuse = |result: Result<u64, Error>| matches!(result, Err(Error::Misuse(_)));
    assert!(misuse(write_fragment(1, &[], &mut out)));
    assert!(misuse(write_fragment(1, &run(&video, &[]), &mut out)));
    assert!(misuse(write_fragment(1, &run(&video, &sounds()), &mut out)), "another codec");
    let backwards: Vec<_> = pictures.iter().rev().cloned().collect();
    assert!(misuse(write_fragment(1, &run(&video, &backwards), &mut out)));
    let early = [frame(TrackId::VIDEO, Codec::H264, -1, 0, KEY, b"x")];
    assert!(misuse(write_fragment(1, &run(&video, &early), &mut out)));
    assert!(out.is_empty(), "nothing is written before everything was looked at");
    assert_eq!(write_init(&[], &mut out), Err(Error::Misuse("a file without a track")));
    assert!(write_init(&[video.clone(), video.clone()], &mut out).is_err());
    assert!(Track::new(0, TrackId::VIDEO, Codec::H264, &bytes(AVCC), b"").is_err());
    for codec in
        [Codec::Aac, Codec::H264, Codec::Mp3, Codec::Ac3, Codec::Flac, Codec::FlvVideo(4), Codec::Amf]
    {
        assert!(Track::new(1, TrackId::AUDIO, codec, b"", b"").is_err(), "{codec:?}");
    }
    let vp9 = Track::new(1, TrackId::VIDEO, Codec::Vp9, b"", &bytes("824983420013f00b36063824"));
    assert!(matches!(vp9, Err(Error::Unsupported(_))));
}

#[test]
fn parameter_sets_in_band_have_another_name() {
    let track = video().with_parameter_sets_in_band();
    assert_eq!((&track.entry[4..8], track.summary().mime.as_str()), (&b"avc3"[..], "avc3.640028"));
    assert_eq!(audio().with_parameter_sets_in_band(), audio());
}

#[test]
fn av1_samples_have_no_temporal_delimiter() {
    let payload = Bytes::from_static(b"\x12\x00\x0a\x01\x00");
    assert_eq!(&sample(Codec::Av1, &payload)[..], b"\x0a\x01\x00");
    assert_eq!(sample(Codec::H264, &payload), payload);
}

#[test]
fn a_recording_is_read_back() {
    let file = recording();
    let movie = index(&file).unwrap();
    assert_eq!((movie.sequence, movie.complete_bytes), (7, file.len() as u64));
    assert_eq!(packets(&file, &movie.tracks[0]), pictures());
    assert_eq!(packets(&file, &movie.tracks[1]), sounds());
    assert_eq!(&movie.tracks[0].config_packet(Time::ZERO).unwrap().payload[..], bytes(AVCC));
}

#[test]
fn a_recording_that_was_cut_off_gives_what_is_whole() {
    let whole = recording();
    let init = whole.windows(4).position(|four| four == b"moof").unwrap() - 4;
    let mut file = whole.clone();
    file.extend_from_slice(&whole[init..]);
    for end in 0..file.len() {
        let Ok(movie) = index(&file[..end]) else {
            assert!(end < init, "only a description that is cut off is an error");
            continue;
        };
        let complete = match end {
            _ if end < init => continue,
            _ if end < whole.len() => init,
            _ => whole.len(),
        };
        assert_eq!(movie.complete_bytes, complete as u64, "cut at {end}");
        let samples: usize = movie.tracks.iter().map(|track| track.samples.len()).sum();
        assert!(samples >= if complete == whole.len() { 5 } else { 0 } && samples < 10, "cut at {end}");
    }
}

#[test]
fn a_recording_that_grows_is_read_on() {
    let whole = recording();
    let init = whole.windows(4).position(|four| four == b"moof").unwrap() - 4;
    let file = [&whole[..], &whole[init..]].concat();
    let mut indexer = Indexer::new(0);
    for end in [init, whole.len(), whole.len(), file.len()] {
        indexer.grow(end as u64);
        while let Some(range) = indexer.wants() {
            indexer.push(&file[range.start as usize..range.end as usize]).unwrap();
        }
    }
    assert_eq!(*indexer.movie(), index(&file).unwrap());
    assert_eq!(indexer.movie().tracks[0].samples.len(), 6);
}

#[test]
fn a_fragment_of_samples_is_that_of_their_packets() {
    let (video, pictures, file) = (video(), pictures(), recording());
    let samples = &index(&file).unwrap().tracks[0].samples;
    let (mut expected, mut out) = (BytesMut::new(), BytesMut::new());
    let runs = [Run { track: &video, frames: &pictures, end: Time::from_millis(1120) }];
    let bytes = write_fragment(1, &runs, &mut expected).unwrap();
    let shifted: Vec<_> = samples.iter().map(|sample| Sample { dts: sample.dts - 90, ..*sample }).collect();
    let run = SampleRun { track: &video, samples: &shifted, end: 1119 * 90, shift: 90 };
    assert_eq!(write_sample_fragment(1, &[run], &mut out).unwrap(), bytes);
    assert_eq!(hex(&out), hex(&expected));
    for wrong in
        [SampleRun { samples: &[], ..run }, SampleRun { shift: i64::MIN, ..run }, SampleRun { end: 0, ..run }]
    {
        assert!(write_sample_fragment(1, &[wrong], &mut out).is_err());
    }
}

#[test]
fn an_excerpt_shows_a_time_and_keeps_what_is_needed_for_it() {
    let video = video();
    let samples = index(&recording()).unwrap().tracks[0].samples.clone();
    let mut out = BytesMut::new();
    let shown = Time::from_millis(1100)..Time::from_millis(1130);
    let layout = write_excerpt(&[(&video, &samples, 1120 * 90)], shown, &mut out).unwrap();
    assert_eq!(layout.chunks, [Chunk { track: 0, samples: 0..3 }]);
    // 30 ms, from 100 ms behind the first decode time on.
    let elst = out.windows(4).position(|four| four == b"elst").unwrap();
    let edit = "00000000 00000001  00000a8c 00002328 00010000";
    assert_eq!(hex(&out[elst + 4..elst + 24]), hex(&bytes(edit)));
}

/// The samples of [`pictures`] and [`sounds`] as a finished file, and its bytes.
fn finished() -> Vec<u8> {
    let (video, audio, media) = (video(), audio(), [pictures(), sounds()]);
    let samples = [&video, &audio].map(|track| {
        let frames = if track.number() == 1 { &media[0] } else { &media[1] };
        let sample = |frame: &Packet| Sample {
            position: 0,
            size: frame.payload.len() as u32,
            dts: frame.dts.to_ticks(track.timescale()),
            composition: (frame.pts.to_ticks(track.timescale()) - frame.dts.to_ticks(track.timescale()))
                as i32,
            flags: frame.flags,
        };
        frames.iter().map(sample).collect::<Vec<_>>()
    });
    let tracks = [(&video, &samples[0][..], 1120 * 90), (&audio, &samples[1][..], 1040 * 48)];
    let mut out = BytesMut::new();
    let layout = write_progressive(&tracks, &mut out).unwrap();
    assert_eq!(layout.payload_bytes, 22);
    for chunk in layout.chunks {
        media[chunk.track][chunk.samples].iter().for_each(|frame| out.extend_from_slice(&frame.payload));
    }
    out.to_vec()
}

#[test]
fn a_finished_file_begins_with_what_is_shown_first() {
    let file = finished();
    let moov = file.windows(4).position(|four| four == b"moov").unwrap();
    assert!(moov < file.windows(4).position(|four| four == b"mdat").unwrap());
    let movie = index(&file).unwrap();
    // The sound began at 1000 ms, and that is the zero of the file. Pictures keep their distance from it.
    let shifted = |packets: Vec<Packet>| -> Vec<Packet> {
        let shift = |time: Time| time - Duration::from_secs(1);
        packets.into_iter().map(|p| Packet { dts: shift(p.dts), pts: shift(p.pts), ..p }).collect()
    };
    assert_eq!(packets(&file, &movie.tracks[0]), shifted(pictures()));
    assert_eq!(packets(&file, &movie.tracks[1]), shifted(sounds()));
    assert_eq!(movie.tracks[0].end, 120 * 90);
    // Nothing for 80 ms, then 120 ms of pictures from 80 ms on: the picture that is shown last is decoded before the last.
    let elst = file.windows(4).position(|four| four == b"elst").unwrap();
    let edits = "00000000 00000002  00001c20 ffffffff 00010000  00002a30 00001c20 00010000";
    assert_eq!(hex(&file[elst + 4..elst + 36]), hex(&bytes(edits)));
}

#[test]
fn a_description_that_lies_is_refused() {
    let patch = |kind: &[u8; 4], at: usize, value: u32| {
        let mut file = finished();
        let start = file.windows(4).position(|four| four == kind).unwrap() + 4 + at;
        file[start..start + 4].copy_from_slice(&value.to_be_bytes());
        index(&file)
    };
    let beyond = Malformed("a sample lies beyond the end of the file; was the download complete?");
    assert_eq!(patch(b"stco", 8, u32::MAX), Err(beyond.into()));
    assert_eq!(patch(b"stsz", 8, u32::MAX), Err(Malformed("the sample sizes are cut off").into()));
    assert!(patch(b"stsc", 12, 1).is_err(), "fewer samples in chunks than there are");
    // One size for all, and more of them than the file has bytes.
    assert_eq!(
        patch(b"stsz", 4, u32::MAX).unwrap_err(),
        Malformed("the samples are larger than the file").into()
    );
    let mut file = recording();
    let trun = file.windows(4).position(|four| four == b"trun").unwrap();
    file[trun + 8..trun + 12].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(index(&file), Err(Error::Unsupported("a file of too many samples")));
}

#[test]
fn unknown_tracks_are_named_and_do_no_harm() {
    let mut file = recording();
    let entry = file.windows(4).position(|four| four == b"avc1").unwrap();
    file[entry..entry + 4].copy_from_slice(b"zzzz");
    let movie = index(&file).unwrap();
    assert_eq!(movie.refused, [(*b"zzzz", Error::Unsupported("a codec that is not known"))]);
    assert_eq!(movie.tracks.len(), 1);
    assert_eq!(packets(&file, &movie.tracks[0]), sounds());
}

#[test]
fn seeds_of_the_fuzz_target_break_no_promise() {
    for seed in [recording(), finished()] {
        for length in (0..=seed.len()).step_by(7) {
            crate::fuzz::fmp4(&seed[..length]);
        }
        for at in 0..seed.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = seed.clone();
                changed[at] = byte;
                crate::fuzz::fmp4(&changed);
            }
        }
    }
}

prop_compose! {
    fn any_frames()(frames in prop::collection::vec(
        (1i64..2000, -100i64..100, any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 1..9)), 1..20,
    )) -> Vec<Packet> {
        let mut dts = 0;
        frames.into_iter().map(|(step, offset, keyframe, disposable, payload)| {
            dts += step;
            // What the payload says of itself counts as well; VP8 says nothing of the sort.
            let flags = Flags { keyframe, disposable: disposable && !keyframe };
            frame(TrackId::VIDEO, Codec::Vp8, dts, dts + offset, flags, &payload)
        }).collect()
    }
}

proptest! {
    #[test]
    fn any_fragments_survive_the_round_trip(fragments in prop::collection::vec(any_frames(), 1..4)) {
        let track = Track::new(1, TrackId::VIDEO, Codec::Vp8, b"", &bytes("50a0009d012a4001b400")).unwrap();
        let mut file = BytesMut::new();
        write_init(std::slice::from_ref(&track), &mut file).unwrap();
        for (sequence, frames) in (1..).zip(&fragments) {
            let end = frames.last().unwrap().dts + Duration::from_millis(40);
            let runs = [Run { track: &track, frames, end }];
            let bytes = write_fragment(sequence, &runs, &mut file).unwrap();
            let before = file.len() as u64;
            payloads(&runs).for_each(|payload| file.extend_from_slice(&payload));
            prop_assert_eq!(file.len() as u64, before + bytes);
        }
        let movie = index(&file).unwrap();
        prop_assert_eq!(packets(&file, &movie.tracks[0]), fragments.concat());
    }

    #[test]
    fn changed_files_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), fragmented: bool) {
        let mut file = if fragmented { recording() } else { finished() };
        for (place, value) in flips {
            let place = place.index(file.len());
            file[place] = value;
        }
        crate::fuzz::fmp4(&file);
    }
}
