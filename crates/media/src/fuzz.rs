//! Bodies of the fuzz targets. Each panics where an invariant breaks; ordinary tests run them on seeds.

use crate::container::flv::{self, Demuxer};
use crate::container::fmp4::{self, Indexer};
use crate::container::ts;
use crate::{Codec, Packet, Role, Time, TrackId, codec};
use bytes::{Bytes, BytesMut};

/// A tag body: the first byte is its kind. What was read must survive being written and read again.
pub fn flv_body(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let mut packets = Vec::new();
    let _ = flv::read_body(*kind, Time::from_millis(40), &Bytes::copy_from_slice(body), &mut packets);
    for packet in packets {
        let once = rewrite(&packet);
        let is_metadata = packet.role == Role::StreamMetadata && !packet.is_on_meta_data();
        let role = if is_metadata { Role::Message } else { packet.role };
        assert_eq!((once.track, once.codec, once.role), (packet.track, packet.codec, role));
        assert_eq!((once.flags, once.dts, &once.payload), (packet.flags, packet.dts, &packet.payload));
        // The legacy form rounds the presentation time down to a millisecond, once.
        assert_eq!(once.pts.millis(), packet.pts.millis());
        assert_eq!(rewrite(&once), once);
    }
}

/// Writes `packet` as a body and reads it back; exactly one packet must come.
fn rewrite(packet: &Packet) -> Packet {
    let mut body = BytesMut::new();
    flv::write_body_head(packet, &mut body);
    body.extend_from_slice(&packet.payload);
    let mut out = Vec::new();
    let read = flv::read_body(flv::kind_of(packet), packet.dts, &body.freeze(), &mut out);
    assert_eq!(read, Ok(()));
    assert_eq!(out.len(), 1);
    out.remove(0)
}

/// An FLV file: the same packets must come whether it arrives at once or byte by byte.
pub fn flv_file(data: &[u8]) {
    let mut whole = Vec::new();
    let mut demuxer = Demuxer::new();
    let mut input = BytesMut::from(data);
    let whole_end = drain(&mut demuxer, &mut input, &mut whole);
    let mut pieces = Vec::new();
    let mut demuxer = Demuxer::new();
    let mut input = BytesMut::new();
    let mut pieces_end = Ok(());
    for byte in data {
        input.extend_from_slice(&[*byte]);
        pieces_end = drain(&mut demuxer, &mut input, &mut pieces);
        if pieces_end.is_err() {
            break;
        }
    }
    assert_eq!((whole, whole_end), (pieces, pieces_end));
}

fn drain(demuxer: &mut Demuxer, input: &mut BytesMut, out: &mut Vec<Packet>) -> Result<(), crate::Malformed> {
    while let Some(packet) = demuxer.push(input)? {
        out.push(packet);
    }
    Ok(())
}

/// An MP4 file: every sample lies within it, and a finished file of the same samples has them all again.
pub fn fmp4(data: &[u8]) {
    let Some(movie) = index(data) else { return };
    assert!(movie.complete_bytes <= data.len() as u64);
    for track in &movie.tracks {
        let within = |sample: &fmp4::Sample| sample.position + u64::from(sample.size) <= data.len() as u64;
        assert!(track.samples.iter().all(within));
        assert!(track.samples.len() <= data.len());
        let Some(first) = track.samples.first() else { continue };
        let start = first.position as usize;
        let payload = &data[start..start + first.size as usize];
        let Ok(written) = fmp4::Track::new(1, track.id, track.codec, &track.config, payload) else {
            continue;
        };
        let Ok(written) = written.with_timescale(track.timescale) else { continue };
        // The bytes of the samples are not looked at here, so small ones stand for large ones.
        let small = |sample: &fmp4::Sample| fmp4::Sample { size: 1, ..*sample };
        let samples: Vec<_> = track.samples.iter().map(small).collect();
        let mut file = BytesMut::new();
        let Ok(layout) = fmp4::write_progressive(&[(&written, &samples, track.end)], &mut file) else {
            continue;
        };
        file.resize(file.len() + layout.payload_bytes as usize, 0);
        let again = index(&file).map(|movie| movie.tracks);
        let again = again.as_ref().and_then(|tracks| tracks.first()).map(|track| &track.samples);
        let distances = |samples: &[fmp4::Sample]| -> Vec<(i64, i32)> {
            samples.iter().map(|sample| (sample.dts - samples[0].dts, sample.composition)).collect()
        };
        assert_eq!(again.map(|samples| distances(samples)), Some(distances(&samples)));
    }
}

fn index(file: &[u8]) -> Option<fmp4::Movie> {
    let mut indexer = Indexer::new(file.len() as u64);
    while let Some(range) = indexer.wants() {
        assert!(range.start < range.end && range.end <= file.len() as u64);
        indexer.push(&file[range.start as usize..range.end as usize]).ok()?;
    }
    Some(indexer.finish())
}

/// A transport stream: the same packets must come whether it arrives at once or in pieces. Then the same bytes as payloads of
/// packets that the tables announce, since chance finds no checksums.
pub fn ts(data: &[u8]) {
    let whole = ts_packets(data, data.len());
    assert_eq!(ts_packets(data, 1 + data.len() / 7), whole);
    check_entrances(data);
    let tracks: Vec<_> = [Codec::H264, Codec::H265, Codec::Aac, Codec::Opus, Codec::Mp3, Codec::Eac3]
        .into_iter()
        .zip([0, 1, 0, 1, 2, 3])
        .map(|(codec, index)| match codec {
            Codec::H264 | Codec::H265 => (TrackId::video(index), codec),
            _ => (TrackId::audio(index), codec),
        })
        .collect();
    let Ok(mut muxer) = ts::Muxer::new(&tracks) else { return };
    let mut stream = BytesMut::new();
    muxer.write_tables(&mut stream);
    for (counter, payload) in (0u8..).zip(data.chunks(ts::PACKET_BYTES - 4).take(64)) {
        let pick = payload[0];
        stream.extend_from_slice(&[0x47, 0x01 | (pick & 0x80) >> 1, pick & 7, 0x10 | counter & 15]);
        stream.extend_from_slice(payload);
        stream.resize(stream.len().next_multiple_of(ts::PACKET_BYTES), 0xff);
    }
    check_entrances(&stream);
    check_pieces(&stream);
    for packet in ts_packets(&stream, stream.len()) {
        assert!(tracks.contains(&(packet.track, packet.codec)));
        assert!(!packet.payload.is_empty());
        assert!(!packet.flags.keyframe || !packet.flags.disposable);
        // What was read can be written, unless the stream says more than a muxer can.
        let _ = muxer.write(&packet, &mut BytesMut::new());
    }
}

fn check_entrances(data: &[u8]) {
    let (mut entrances, mut found) = (ts::Entrances::new(), Vec::new());
    entrances.push(data, &mut found);
    let positions: Vec<_> = found.iter().map(|entrance| entrance.position).collect();
    assert!(positions.is_sorted() && positions.iter().all(|at| at % ts::PACKET_BYTES as u64 == 0));
    let first = positions.first().copied().unwrap_or(data.len() as u64);
    assert!(entrances.tables_bytes() <= first);
}

/// A piece gives the same bytes to who reads on as to who begins with it.
fn check_pieces(data: &[u8]) {
    let mut demuxer = ts::Demuxer::new();
    for piece in data.chunks(3 * ts::PACKET_BYTES) {
        let mut alone = ts::Demuxer::resume(&demuxer.known());
        alone.push(piece);
        alone.finish();
        demuxer.push(piece);
        demuxer.cut();
        let payload = |packet: Packet| (packet.track, packet.role, packet.payload);
        let ready = |demuxer: &mut ts::Demuxer| -> Vec<_> {
            std::iter::from_fn(|| demuxer.poll()).map(payload).collect()
        };
        assert_eq!(ready(&mut alone), ready(&mut demuxer));
    }
}

fn ts_packets(data: &[u8], piece_bytes: usize) -> Vec<Packet> {
    let mut demuxer = ts::Demuxer::new();
    let mut packets = Vec::new();
    for piece in data.chunks(piece_bytes.max(1)) {
        demuxer.push(piece);
        packets.extend(std::iter::from_fn(|| demuxer.poll()));
    }
    demuxer.finish();
    packets.extend(std::iter::from_fn(|| demuxer.poll()));
    packets
}

/// Configurations and frames: the first byte picks the codec.
pub fn codec_headers(data: &[u8]) {
    const CODECS: [Codec; 12] = [
        Codec::H264,
        Codec::H265,
        Codec::H266,
        Codec::Av1,
        Codec::Vp8,
        Codec::Vp9,
        Codec::Aac,
        Codec::Opus,
        Codec::Mp3,
        Codec::Flac,
        Codec::Ac3,
        Codec::Eac3,
    ];
    let Some((pick, bytes)) = data.split_first() else { return };
    let codec = CODECS[usize::from(*pick) % CODECS.len()];
    for summary in [codec::summary(codec, bytes), codec::summary_of_frame(codec, bytes)].into_iter().flatten()
    {
        assert!(!summary.mime.is_empty());
        assert!(summary.width.is_none_or(|width| (1..=codec::limits::PICTURE_SIDE_MAX).contains(&width)));
        assert!(summary.fps.is_none_or(|fps| fps > 0.0 && fps <= codec::limits::FPS_MAX));
    }
    codec::has_b_frames(codec, bytes);
    for nal_length_size in 0..=5 {
        let keyframe = codec::is_keyframe(codec, bytes, nal_length_size);
        let disposable = codec::is_disposable(codec, bytes, nal_length_size);
        if codec == Codec::H265 {
            assert!(!(keyframe && disposable));
        }
    }
    // Parameter sets on their own reach further than through a record that has to be right first.
    let _ = codec::h264::read_sps(bytes);
    let _ = codec::h265::read_sps(bytes);
    let _ = codec::av1::read_sequence(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seeds_pass() {
        let seeds = [
            &b""[..],
            b"\x08",
            b"\x09\xd1\x00",
            b"\x12\x02\x00\x0d@setDataFrame\x02\x00\x0d@setDataFrame\x05",
            b"\x08\x9f\x00\x00\x00\x00\x01mp4a",
        ];
        for seed in seeds {
            flv_body(seed);
            flv_file(seed);
            fmp4(seed);
            ts(seed);
            codec_headers(seed);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_pass(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            flv_body(&data);
            flv_file(&data);
            fmp4(&data);
            ts(&data);
            codec_headers(&data);
        }

        #[test]
        fn enhanced_bodies_pass(
            video in any::<bool>(),
            first in any::<u8>(),
            layout in 0u8..3,
            pick in 0usize..8,
            data in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let fourcc = [b"avc1", b"hvc1", b"av01", b"vp09", b"mp4a", b"Opus", b".mp3", b"none"][pick];
            let mut body = if video { vec![flv::VIDEO, 0x80 | first] } else { vec![flv::AUDIO, 0x90 | first & 15] };
            body.push(layout << 4 | (first >> 4) & 1);
            body.extend_from_slice(fourcc);
            body.extend_from_slice(&data);
            flv_body(&body);
        }

        #[test]
        fn files_with_a_good_header_pass(data in proptest::collection::vec(0u8..20, 0..120)) {
            let mut file = b"FLV\x01\x05\x00\x00\x00\x09".to_vec();
            file.extend_from_slice(&data);
            flv_file(&file);
        }
    }
}
