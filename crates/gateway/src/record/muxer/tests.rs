use super::*;
use media::container::fmp4::{Indexer, Movie};
use media::{Codec, Flags};

/// An `avcC` of 640x360, High profile, and one that differs from it in its level.
const CONFIG: &[u8] = &[
    1, 0x64, 0, 0x1e, 0xff, 0xe1, 0, 0x18, 0x67, 0x64, 0, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x70,
    0x11, 0, 0, 3, 0, 1, 0, 0, 3, 0, 0x32, 0x0f, 0x16, 0x2d, 0x96, 1, 0, 6, 0x68, 0xeb, 0xe3, 0xcb, 0x22,
    0xc0,
];
const AAC: &[u8] = &[0x12, 0x10];

pub(super) fn limits() -> FileLimits {
    FileLimits { media_max: Duration::from_secs(3600), bytes_max: 1 << 30 }
}

fn packet(track: TrackId, role: Role, ms: i64, payload: &'static [u8]) -> Packet {
    let codec = if track.kind == Kind::Video { Codec::H264 } else { Codec::Aac };
    let time = Time::from_millis(ms);
    let payload = Bytes::from_static(payload);
    Packet { track, codec, role, flags: Flags::default(), dts: time, pts: time, payload }
}

fn config() -> Packet {
    packet(TrackId::VIDEO, Role::Config, 0, CONFIG)
}

fn picture(ms: i64, keyframe: bool) -> Packet {
    let payload: &[u8] = if keyframe { &[0, 0, 0, 2, 0x65, 0x88] } else { &[0, 0, 0, 2, 0x41, 0x9a] };
    Packet {
        flags: Flags { keyframe, disposable: false },
        ..packet(TrackId::VIDEO, Role::Frame, ms, payload)
    }
}

fn sound(ms: i64) -> Packet {
    packet(TrackId::AUDIO, Role::Frame, ms, &[0x21, 0x10, 4])
}

/// What all blocks make, by file, and how many packets were lost.
pub(super) fn record(muxer: &mut Muxer, packets: &[Packet]) -> BTreeMap<String, Vec<u8>> {
    let now = Instant::now();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut write = |block: Option<Block>| {
        let Some(block) = block else { return };
        let file = files.entry(block.file.as_str().to_owned()).or_default();
        assert_eq!(block.begins.is_some(), file.is_empty());
        let bytes = block.pieces.concat();
        assert_eq!(bytes.len(), block.bytes);
        file.extend_from_slice(&bytes);
    };
    for (packet, count) in packets.iter().zip(1..) {
        write(muxer.push(now, packet));
        // Half a second of media now and then.
        if count % 10 == 0 {
            write(muxer.poll(now + FRAGMENT, false));
        }
    }
    write(muxer.end_file());
    files
}

pub(super) fn movie(bytes: &[u8]) -> Movie {
    let mut indexer = Indexer::new(bytes.len() as u64);
    while let Some(range) = indexer.wants() {
        indexer.push(&bytes[range.start as usize..range.end as usize]).unwrap();
    }
    let movie = indexer.finish();
    assert_eq!(movie.complete_bytes, bytes.len() as u64);
    movie
}

fn samples(movie: &Movie) -> Vec<usize> {
    movie.tracks.iter().map(|track| track.samples.len()).collect()
}

/// A second with a keyframe and sound, from `start`.
fn second(start: i64) -> Vec<Packet> {
    (0..25).flat_map(|n| [picture(start + n * 40, n == 0), sound(start + n * 40 + 5)]).collect()
}

#[test]
fn every_packet_is_in_the_file_and_time_begins_at_zero() {
    let mut muxer = Muxer::new(RecordFormat::Mp4, limits());
    let mut packets = vec![config(), packet(TrackId::AUDIO, Role::Config, 0, AAC)];
    packets.extend(second(70_000).into_iter().chain(second(71_000)));
    let files = record(&mut muxer, &packets);
    let movie = movie(&files["0001.mp4"]);
    assert_eq!((files.len(), samples(&movie)), (1, vec![50, 50]));
    let first = &movie.tracks[0];
    assert_eq!((first.dts(&first.samples[0]), movie.sequence > 5), (Time::ZERO, true));
    assert_eq!(muxer.take_lost(), 0);
}

#[test]
fn another_configuration_begins_another_file_at_its_keyframe() {
    let mut other = CONFIG.to_vec();
    other[3] = 0x1f;
    let other = Packet { payload: other.into(), ..config() };
    let packets = [
        vec![config()],
        vec![packet(TrackId::AUDIO, Role::Config, 0, AAC)],
        second(0),
        vec![other],
        second(1000),
    ];
    let mut muxer = Muxer::new(RecordFormat::Mp4, limits());
    let files = record(&mut muxer, &packets.concat());
    assert_eq!(files.values().map(|file| samples(&movie(file))).collect::<Vec<_>>(), [[25, 25], [25, 25]]);
    let mut muxer = Muxer::new(RecordFormat::Flv, limits());
    assert_eq!(record(&mut muxer, &packets.concat()).len(), 1, "FLV says it in between");
}

#[test]
fn a_track_that_comes_late_is_in_the_next_file() {
    let pictures =
        |start| second(start).into_iter().filter(|packet| packet.track == TrackId::VIDEO).collect();
    let packets: [Vec<Packet>; 5] = [
        vec![config()],
        pictures(0),
        vec![packet(TrackId::AUDIO, Role::Config, 0, AAC)],
        second(1000),
        second(2000),
    ];
    let mut muxer = Muxer::new(RecordFormat::Mp4, limits());
    let files = record(&mut muxer, &packets.concat());
    let found: Vec<_> = files.values().map(|file| samples(&movie(file))).collect();
    assert_eq!(found, [vec![50], vec![25, 25]]);
    assert_eq!(muxer.take_lost(), 25, "the sound until then");
}

#[test]
fn a_full_file_ends_at_the_next_keyframe_and_nothing_is_lost() {
    let limits = FileLimits { media_max: Duration::from_millis(1500), ..limits() };
    let mut muxer = Muxer::new(RecordFormat::Mp4, limits);
    let packets = [vec![config()], second(0), second(1000), second(2000), second(3000)].concat();
    let files = record(&mut muxer, &packets);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["0001.mp4", "0002.mp4"]);
    let pictures: Vec<_> = files.values().map(|file| movie(file).tracks[0].samples.len()).collect();
    assert_eq!(pictures, [50, 50]);
}

#[test]
fn after_a_loss_it_goes_on_at_a_keyframe() {
    let now = Instant::now();
    let mut muxer = Muxer::new(RecordFormat::Flv, limits());
    muxer.push(now, &config());
    muxer.push(now, &picture(0, true));
    assert_eq!(muxer.poll(now, false).unwrap().packets, 1);
    muxer.push(now, &picture(40, false));
    muxer.resync();
    assert_eq!((muxer.take_lost(), muxer.is_waiting()), (1, true));
    muxer.push(now, &picture(80, false));
    muxer.push(now, &sound(85));
    assert_eq!(muxer.take_lost(), 2);
    muxer.push(now, &picture(120, true));
    let block = muxer.poll(now, false).unwrap();
    assert_eq!((block.packets, block.begins.is_some(), block.file.as_str()), (1, false, "0001.flv"));
    muxer.suspend();
    muxer.push(now, &picture(160, true));
    assert!(muxer.poll(now, true).is_none() && muxer.take_lost() == 1);
    muxer.resume();
    muxer.push(now, &picture(200, true));
    let block = muxer.poll(now, true).unwrap();
    assert_eq!((block.begins.is_some(), block.file.as_str()), (true, "0002.flv"));
}

#[test]
fn a_stream_without_a_track_that_mp4_has_is_not_recorded_as_mp4() {
    let mut muxer = Muxer::new(RecordFormat::Mp4, limits());
    let speech = |ms| Packet { codec: Codec::FlvAudio(0xb2), ..sound(ms) };
    assert!(record(&mut muxer, &[speech(0), speech(20)]).is_empty());
    assert_eq!(muxer.take_lost(), 2);
}

#[test]
fn an_mp4_file_ends_before_it_has_more_samples_than_are_read() {
    let mut muxer = Muxer::new(RecordFormat::Mp4, limits());
    muxer.packets_max = 30;
    let mut packets = vec![packet(TrackId::AUDIO, Role::Config, 0, AAC)];
    packets.extend((0..100).map(|index| sound(index * 23)));
    let files = record(&mut muxer, &packets);
    assert_eq!(files.len(), 4);
    assert_eq!(muxer.take_lost(), 0);
}
