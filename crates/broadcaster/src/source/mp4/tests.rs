//! Files as `mp4-atom` writes them, which shares no code with our reader.

use super::*;
use media::Kind;
use mp4_atom::{
    Avc1, Avcc, Co64, Codec as Entry, Ctts, CttsEntry, Edts, Elst, ElstEntry, Encode, Esds, FourCC, Mdhd,
    Moof, Moov, Mp4a, Mvex, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry, Tfdt, Tfhd,
    Traf, Trak, Trex, Trun, TrunEntry, TrunSamples, esds,
};
use proptest::prelude::*;
use std::io::Cursor;

fn video_entry() -> Entry {
    let avcc = Avcc::new(&[0x67, 0x42, 0xc0, 0x1f, 1], &[0x68, 2]).unwrap();
    Entry::Avc1(Avc1 { avcc, ..Avc1::default() })
}

fn audio_entry() -> Entry {
    let mut es = esds::EsDescriptor::default();
    es.dec_config.object_type_indication = 0x40;
    es.dec_config.dec_specific = Some(esds::DecoderSpecific { raw: vec![0x11, 0x90], ..Default::default() });
    let audio = mp4_atom::Audio {
        data_reference_index: 1,
        channel_count: 2,
        sample_size: 16,
        sample_rate: 48000.into(),
    };
    Entry::Mp4a(Mp4a { audio, esds: Esds { es_desc: es }, btrt: None, taic: None })
}

fn trak(number: u32, handler: &[u8; 4], timescale: u32, entry: Entry) -> Trak {
    let mut trak = Trak::default();
    trak.tkhd.track_id = number;
    trak.mdia.mdhd = Mdhd { timescale, language: "und".into(), ..Mdhd::default() };
    trak.mdia.hdlr.handler = FourCC::new(handler);
    trak.mdia.minf.stbl.stsd = Stsd { codecs: vec![entry] };
    trak
}

const MEDIA: &[u8] = b"IIIIPPbbXXYY";

/// The box head takes 8 bytes, so the media begins at 8.
fn file(moov: &Moov) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&(8 + MEDIA.len() as u32).to_be_bytes());
    out.extend_from_slice(b"mdat");
    out.extend_from_slice(MEDIA);
    moov.encode(&mut out).unwrap();
    out
}

/// Three frames in one chunk, decoded at -80, -40 and 0 ms, shown at 0, 80 and 40; two sounds in two chunks.
fn plain() -> Moov {
    let mut video = trak(1, b"vide", 25, video_entry());
    let stbl = &mut video.mdia.minf.stbl;
    stbl.stsz = Stsz { samples: StszSamples::Different { sizes: vec![4, 2, 2] } };
    stbl.stts = Stts { entries: vec![SttsEntry { sample_count: 3, sample_delta: 1 }] };
    let offsets = [2, 3, 1];
    let entries = offsets.map(|sample_offset| CttsEntry { sample_count: 1, sample_offset }).to_vec();
    stbl.ctts = Some(Ctts { entries });
    stbl.stss = Some(Stss { entries: vec![1] });
    stbl.stsc = Stsc {
        entries: vec![StscEntry { first_chunk: 1, samples_per_chunk: 3, sample_description_index: 1 }],
    };
    stbl.co64 = Some(Co64 { entries: vec![8] });
    let edit = ElstEntry { segment_duration: 0, media_time: Some(2), media_rate: 1.into() };
    video.edts = Some(Edts { elst: Some(Elst { entries: vec![edit] }) });

    let mut audio = trak(2, b"soun", 48_000, audio_entry());
    let stbl = &mut audio.mdia.minf.stbl;
    stbl.stsz = Stsz { samples: StszSamples::Identical { count: 2, size: 2 } };
    stbl.stts = Stts { entries: vec![SttsEntry { sample_count: 2, sample_delta: 1920 }] };
    stbl.stsc = Stsc {
        entries: vec![StscEntry { first_chunk: 1, samples_per_chunk: 1, sample_description_index: 1 }],
    };
    stbl.co64 = Some(Co64 { entries: vec![16, 18] });
    let wait = ElstEntry { segment_duration: 20, media_time: None, media_rate: 1.into() };
    let edit = ElstEntry { segment_duration: 80, media_time: Some(0), media_rate: 1.into() };
    audio.edts = Some(Edts { elst: Some(Elst { entries: vec![wait, edit] }) });

    let mut moov = Moov { trak: vec![video, audio], ..Moov::default() };
    moov.mvhd.timescale = 1000;
    moov
}

fn read_all(bytes: &[u8]) -> Result<Vec<Packet>, Error> {
    let mut source = Mp4Source::new(Cursor::new(bytes))?;
    let mut packets = Vec::new();
    while let Some(packet) = source.next()? {
        packets.push(packet);
    }
    Ok(packets)
}

fn summary(packets: &[Packet]) -> Vec<(Kind, i64, i64, bool, &[u8])> {
    let frames = packets.iter().filter(|packet| packet.role == Role::Frame);
    frames.map(|p| (p.track.kind, p.dts.millis(), p.pts.millis(), p.flags.keyframe, &p.payload[..])).collect()
}

#[test]
fn samples_come_in_decode_order_with_the_times_of_the_edit_list() {
    let packets = read_all(&file(&plain())).unwrap();
    assert_eq!(packets[0].role, Role::StreamMetadata);
    assert_eq!((packets[1].role, packets[1].codec), (Role::Config, Codec::H264));
    assert_eq!((packets[2].role, packets[2].codec), (Role::Config, Codec::Aac));
    assert_eq!(&packets[1].payload[..5], &[1, 0x42, 0xc0, 0x1f, 0xff]);
    assert_eq!(&packets[2].payload[..], &[0x11, 0x90]);
    assert_eq!(
        summary(&packets),
        [
            (Kind::Video, -80, 0, true, &b"IIII"[..]),
            (Kind::Video, -40, 80, false, b"PP"),
            (Kind::Video, 0, 40, false, b"bb"),
            (Kind::Audio, 20, 20, false, b"XX"),
            (Kind::Audio, 60, 60, false, b"YY"),
        ]
    );
}

#[test]
fn metadata_describes_the_tracks() {
    let packets = read_all(&file(&plain())).unwrap();
    let values = rtmp::amf::amf0::read_all(&packets[0].payload).unwrap();
    assert_eq!(values[0].as_str(), Some("onMetaData"));
    let number = |key: &str| values[1].get(key).and_then(rtmp::amf::Value::as_number);
    assert_eq!((number("framerate"), number("audiosamplerate")), (Some(25.0), Some(48_000.0)));
    assert_eq!((number("videocodecid"), number("audiocodecid")), (Some(7.0), Some(10.0)));
}

#[test]
fn a_rewound_file_plays_the_same_again() {
    let bytes = file(&plain());
    let mut source = Mp4Source::new(Cursor::new(&bytes)).unwrap();
    let once: Vec<_> = std::iter::from_fn(|| source.next().unwrap()).collect();
    source.rewind().unwrap();
    let again: Vec<_> = std::iter::from_fn(|| source.next().unwrap()).collect();
    assert_eq!(once, again);
}

fn fragmented() -> Vec<u8> {
    let video = trak(1, b"vide", 1000, video_entry());
    let trex = Trex {
        track_id: 1,
        default_sample_duration: 40,
        default_sample_flags: NON_SYNC_FLAGS,
        ..Trex::default()
    };
    let mut moov = Moov { trak: vec![video], ..Moov::default() };
    moov.mvex = Some(Mvex { mehd: None, trex: vec![trex] });
    let mut out = Vec::new();
    moov.encode(&mut out).unwrap();
    for (number, start) in [(1_u8, 0_u64), (2, 80)] {
        let entry = |size, flags| TrunEntry { size: Some(size), flags, ..TrunEntry::default() };
        let samples = vec![entry(4, Some(0)), entry(2, Some(NON_SYNC_FLAGS))];
        let mut moof = Moof::default();
        moof.traf.push(Traf {
            tfhd: Tfhd { track_id: 1, default_base_is_moof: true, ..Tfhd::default() },
            tfdt: Some(Tfdt { base_media_decode_time: start }),
            trun: vec![Trun { data_offset: Some(0), samples: TrunSamples::Explicit(samples) }],
            ..Traf::default()
        });
        let mut sized = Vec::new();
        moof.encode(&mut sized).unwrap();
        moof.traf[0].trun[0].data_offset = Some(sized.len() as i32 + 8);
        moof.encode(&mut out).unwrap();
        out.extend_from_slice(&14_u32.to_be_bytes());
        out.extend_from_slice(b"mdat");
        out.extend_from_slice(&[number; 6]);
    }
    out
}

const NON_SYNC_FLAGS: u32 = 0x0101_0000;

#[test]
fn fragments_continue_the_tracks() {
    let packets = read_all(&fragmented()).unwrap();
    assert_eq!(
        summary(&packets),
        [
            (Kind::Video, 0, 0, true, &[1, 1, 1, 1][..]),
            (Kind::Video, 40, 40, false, &[1, 1]),
            (Kind::Video, 80, 80, true, &[2, 2, 2, 2]),
            (Kind::Video, 120, 120, false, &[2, 2]),
        ]
    );
}

#[test]
fn a_recording_that_was_cut_off_plays_up_to_the_cut() {
    let mut bytes = fragmented();
    bytes.truncate(bytes.len() - 1);
    assert_eq!(summary(&read_all(&bytes).unwrap()).len(), 3);
}

#[test]
fn files_that_cannot_be_published_say_why() {
    let why = |bytes: &[u8]| read_all(bytes).unwrap_err().to_string();
    assert!(why(b"").contains("no video or audio"));
    let mut truncated = file(&plain());
    truncated.truncate(truncated.len() - 10);
    assert!(why(&truncated).contains("moov"), "{}", why(&truncated));
    let mut beyond = plain();
    beyond.trak[0].mdia.minf.stbl.co64 = Some(Co64 { entries: vec![1 << 40] });
    assert!(why(&file(&beyond)).contains("beyond the end"));
    let mut strange = file(&Moov { trak: vec![plain().trak.remove(0)], ..Moov::default() });
    let entry = strange.windows(4).position(|four| four == b"avc1").unwrap();
    strange[entry..entry + 4].copy_from_slice(b"zzzz");
    assert!(why(&strange).contains("zzzz"), "{}", why(&strange));
}

#[test]
fn a_huge_count_in_a_small_box_allocates_nothing() {
    let mut moov = plain();
    moov.trak[1].mdia.minf.stbl.stsz = Stsz { samples: StszSamples::Identical { count: u32::MAX, size: 2 } };
    assert!(read_all(&file(&moov)).unwrap_err().to_string().contains("larger than the file"));
}

#[test]
fn seeds_of_the_fuzz_target_break_no_promise() {
    for seed in [file(&plain()), fragmented()] {
        for length in 0..=seed.len() {
            crate::fuzz::mp4(&seed[..length]);
        }
        for at in 0..seed.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = seed.clone();
                changed[at] = byte;
                crate::fuzz::mp4(&changed);
            }
        }
    }
}

#[test]
fn times_at_the_end_of_their_range_stay_there() {
    let mut moov = plain();
    moov.mvhd.timescale = 1;
    moov.trak.truncate(1);
    moov.trak[0].mdia.mdhd.timescale = u32::MAX;
    let wait = ElstEntry { segment_duration: u64::MAX >> 1, media_time: None, media_rate: 1.into() };
    moov.trak[0].edts = Some(Edts { elst: Some(Elst { entries: vec![wait] }) });
    let entries = vec![CttsEntry { sample_count: 3, sample_offset: i32::MAX as _ }];
    moov.trak[0].mdia.minf.stbl.ctts = Some(Ctts { entries });
    let packets = read_all(&file(&moov)).unwrap();
    let (last, end) = (packets.last().unwrap(), Time::from_ticks(i64::MAX, u32::MAX));
    assert_eq!((last.dts, last.pts), (end, end));
}

#[test]
fn boxes_that_nobody_needs_are_not_read() {
    // A sample group description (version 0) that claims four billion entries and has none.
    let group = [&20_u32.to_be_bytes()[..], b"sgpd", &[0; 4], b"none", &u32::MAX.to_be_bytes()].concat();
    let clean = file(&plain());
    let mut bytes = clean.clone();
    for container in [b"moov", b"trak", b"mdia", b"minf", b"stbl"] {
        let kind = bytes.windows(4).position(|four| four == container).unwrap();
        let size = u32::from_be_bytes(bytes[kind - 4..kind].try_into().unwrap()) + group.len() as u32;
        bytes[kind - 4..kind].copy_from_slice(&size.to_be_bytes());
        if container == b"stbl" {
            bytes.splice(kind + 4..kind + 4, group.iter().copied());
        }
    }
    assert_eq!(read_all(&bytes).unwrap(), read_all(&clean).unwrap());
}

proptest! {
    #[test]
    fn broken_files_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), plain_file: bool) {
        let mut bytes = if plain_file { file(&plain()) } else { fragmented() };
        for (place, value) in flips {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let _ = read_all(&bytes);
    }
}
