//! Copies media from one container into another without coding it again.
//!
//! ```text
//! cargo run -p rushlight-media --example remux -- INPUT OUTPUT
//! ```
//!
//! What a file is follows from its name: `.flv`, `.mp4` (input: plain or fragmented; output: finished, description first), `.fmp4`
//! (output: fragments) and `.ts`. A cut-off recording gives what is whole in it.

use bytes::{Bytes, BytesMut};
use media::container::fmp4::{self, Indexer, Run, Sample, Track};
use media::container::{flv, ts};
use media::{Codec, Kind, Packet, Role, Time, TrackId};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [input, output] = &arguments[..] else {
        eprintln!("usage: remux INPUT OUTPUT (.flv, .mp4, .fmp4, .ts)");
        return ExitCode::from(2);
    };
    match remux(Path::new(input), Path::new(output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn remux(input: &Path, output: &Path) -> Result<(), Box<dyn Error>> {
    let bytes = Bytes::from(fs::read(input)?);
    let mut packets = match kind(input) {
        "flv" => read_flv(&bytes)?,
        "mp4" | "fmp4" => read_mp4(&bytes)?,
        "ts" => read_ts(&bytes)?,
        other => return Err(format!("cannot read {other:?} files").into()),
    };
    shift_to_zero(&mut packets);
    let out = BufWriter::new(File::create(output)?);
    match kind(output) {
        "flv" => write_flv(&packets, out),
        "mp4" => write_mp4(&streams(packets), out),
        "fmp4" => write_fragments(&streams(packets), out),
        "ts" => write_ts(&packets, out),
        other => Err(format!("cannot write {other:?} files").into()),
    }
}

/// Moves everything to zero or later: edit lists let reordered video begin before it, and FLV and fragments have no such times.
fn shift_to_zero(packets: &mut [Packet]) {
    let first = packets.iter().map(|packet| packet.dts).min().unwrap_or_default();
    if first < Time::ZERO {
        for packet in packets {
            packet.dts = Time::from_nanos(packet.dts - first);
            packet.pts = Time::from_nanos(packet.pts - first);
        }
    }
}

fn kind(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

fn read_flv(bytes: &Bytes) -> Result<Vec<Packet>, Box<dyn Error>> {
    let mut demuxer = flv::Demuxer::new();
    let mut input = BytesMut::from(&bytes[..]);
    let mut packets = Vec::new();
    while let Some(packet) = demuxer.push(&mut input)? {
        packets.push(packet);
    }
    Ok(packets)
}

fn read_ts(bytes: &Bytes) -> Result<Vec<Packet>, Box<dyn Error>> {
    let mut demuxer = ts::Demuxer::new();
    let mut packets = Vec::new();
    // In pieces, as a network would bring them.
    for piece in bytes.chunks(1316) {
        demuxer.push(piece);
        packets.extend(std::iter::from_fn(|| demuxer.poll()));
    }
    demuxer.finish();
    packets.extend(std::iter::from_fn(|| demuxer.poll()));
    Ok(packets)
}

fn read_mp4(bytes: &Bytes) -> Result<Vec<Packet>, Box<dyn Error>> {
    let mut indexer = Indexer::new(bytes.len() as u64);
    while let Some(range) = indexer.wants() {
        indexer.push(&bytes[range.start as usize..range.end as usize])?;
    }
    let movie = indexer.finish();
    for (name, why) in &movie.refused {
        eprintln!("a track of {:?} is left out: {why}", String::from_utf8_lossy(name));
    }
    let mut packets = Vec::new();
    for track in &movie.tracks {
        let first = track.samples.first().map_or(Time::ZERO, |sample| track.dts(sample));
        packets.extend(track.config_packet(first));
        for sample in &track.samples {
            let start = sample.position as usize;
            packets.push(track.packet(sample, bytes.slice(start..start + sample.size as usize)));
        }
    }
    // Stable: a configuration stays in front of its frames.
    packets.sort_by_key(|packet| packet.dts);
    Ok(packets)
}

fn write_flv(packets: &[Packet], mut out: impl Write) -> Result<(), Box<dyn Error>> {
    let has = |kind| packets.iter().any(|packet| packet.track.kind == kind);
    let mut bytes = BytesMut::new();
    flv::write_file_header(has(Kind::Audio), has(Kind::Video), &mut bytes);
    for packet in packets {
        flv::write_tag(packet, &mut bytes);
        out.write_all(&bytes)?;
        bytes.clear();
    }
    Ok(out.flush()?)
}

fn write_ts(packets: &[Packet], mut out: impl Write) -> Result<(), Box<dyn Error>> {
    let mut tracks: Vec<(TrackId, Codec)> = Vec::new();
    for packet in packets.iter().filter(|packet| packet.role == Role::Frame && !packet.payload.is_empty()) {
        if !tracks.iter().any(|(id, _)| *id == packet.track) {
            tracks.push((packet.track, packet.codec));
        }
    }
    let mut muxer = ts::Muxer::new(&tracks)?;
    let mut bytes = BytesMut::new();
    for packet in packets {
        // Tables again at each keyframe, where a player may join.
        if packet.is_video_keyframe() || bytes.is_empty() && packet.role == Role::Frame {
            muxer.write_tables(&mut bytes);
        }
        muxer.write(packet, &mut bytes)?;
        if bytes.len() > 1 << 20 {
            out.write_all(&bytes)?;
            bytes.clear();
        }
    }
    out.write_all(&bytes)?;
    Ok(out.flush()?)
}

/// The frames of one track with its description, and when the last of them ends.
struct Stream {
    track: Track,
    frames: Vec<Packet>,
    end: Time,
}

/// Packets by track. Tracks that MP4 has no form for are left out.
fn streams(packets: Vec<Packet>) -> Vec<Stream> {
    let mut tracks: Vec<(TrackId, Bytes, Vec<Packet>)> = Vec::new();
    for packet in packets {
        if packet.track.kind == Kind::Data {
            continue;
        }
        let known = tracks.iter().position(|(id, ..)| *id == packet.track);
        let at = known.unwrap_or_else(|| {
            tracks.push((packet.track, Bytes::new(), Vec::new()));
            tracks.len() - 1
        });
        let (_, config, frames) = &mut tracks[at];
        match packet.role {
            Role::Config if config.is_empty() => *config = packet.payload,
            Role::Frame if !packet.payload.is_empty() => frames.push(packet),
            _ => {}
        }
    }
    let mut streams = Vec::new();
    for (number, (id, config, frames)) in (1..).zip(tracks) {
        let Some(first) = frames.first() else { continue };
        let track = match Track::new(number, id, first.codec, &config, &first.payload) {
            Ok(track) => track,
            Err(why) => {
                eprintln!("{id} is left out: {why}");
                continue;
            }
        };
        let summary = track.summary();
        eprintln!("{id}: {} {:?}x{:?}", summary.mime, summary.width, summary.height);
        let end = match &frames[..] {
            [.., before, last] => last.dts + last.dts.since(before.dts),
            [only] => only.dts + Duration::from_millis(40),
            [] => Time::ZERO,
        };
        streams.push(Stream { track, frames, end });
    }
    streams
}

fn write_fragments(streams: &[Stream], mut out: impl Write) -> Result<(), Box<dyn Error>> {
    let mut head = BytesMut::new();
    let tracks: Vec<_> = streams.iter().map(|stream| stream.track.clone()).collect();
    fmp4::write_init(&tracks, &mut head)?;
    out.write_all(&head)?;
    let mut position = head.len() as u64;
    let mut entrances: Vec<Vec<fmp4::Entrance>> = vec![Vec::new(); streams.len()];
    for (sequence, (start, end)) in (1..).zip(cuts(streams)) {
        let mut runs = Vec::new();
        for (stream, entrances) in streams.iter().zip(&mut entrances) {
            let first = stream.frames.partition_point(|frame| frame.dts < start);
            let after = stream.frames.partition_point(|frame| frame.dts < end);
            if first == after {
                continue;
            }
            let end = stream.frames.get(after).map_or(stream.end, |frame| frame.dts);
            runs.push(Run { track: &stream.track, frames: &stream.frames[first..after], end });
            entrances.push(fmp4::Entrance {
                time: stream.frames[first].pts,
                moof_position: position,
                traf_number: runs.len() as u32,
            });
        }
        if runs.is_empty() {
            continue;
        }
        head.clear();
        let payload_bytes = fmp4::write_fragment(sequence, &runs, &mut head)?;
        out.write_all(&head)?;
        for payload in fmp4::payloads(&runs) {
            out.write_all(&payload)?;
        }
        position += head.len() as u64 + payload_bytes;
    }
    head.clear();
    let index: Vec<_> =
        streams.iter().zip(&entrances).map(|(stream, entrances)| (&stream.track, &entrances[..])).collect();
    fmp4::write_random_access(&index, &mut head)?;
    out.write_all(&head)?;
    Ok(out.flush()?)
}

/// From when to when each fragment goes: from keyframe to keyframe of the first track of pictures, or two seconds of sound.
fn cuts(streams: &[Stream]) -> Vec<(Time, Time)> {
    const LAST: Time = Time::from_nanos(i64::MAX);
    let first = Time::from_nanos(i64::MIN);
    let video = streams.iter().find(|stream| stream.track.id().kind == Kind::Video);
    let mut cuts: Vec<Time> = match (video, streams.first()) {
        (Some(video), _) => {
            video.frames.iter().filter(|frame| frame.flags.keyframe).map(|frame| frame.dts).skip(1).collect()
        }
        (None, Some(audio)) => {
            audio.frames.chunks(86).skip(1).filter_map(|chunk| Some(chunk.first()?.dts)).collect()
        }
        (None, None) => Vec::new(),
    };
    cuts.insert(0, first);
    cuts.push(LAST);
    cuts.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

fn write_mp4(streams: &[Stream], mut out: impl Write) -> Result<(), Box<dyn Error>> {
    let samples: Vec<(Vec<Sample>, i64)> = streams
        .iter()
        .map(|stream| {
            let ticks = |time: Time| time.to_ticks(stream.track.timescale());
            let sample = |frame: &Packet| Sample {
                position: 0,
                size: fmp4::sample(frame.codec, &frame.payload).len() as u32,
                dts: ticks(frame.dts),
                composition: (ticks(frame.pts) - ticks(frame.dts)) as i32,
                flags: frame.flags,
            };
            (stream.frames.iter().map(sample).collect(), ticks(stream.end))
        })
        .collect();
    let tracks: Vec<_> = streams
        .iter()
        .zip(&samples)
        .map(|(stream, (samples, end))| (&stream.track, &samples[..], *end))
        .collect();
    let mut head = BytesMut::new();
    let layout = fmp4::write_progressive(&tracks, &mut head)?;
    out.write_all(&head)?;
    for chunk in layout.chunks {
        for frame in &streams[chunk.track].frames[chunk.samples] {
            out.write_all(&fmp4::sample(frame.codec, &frame.payload))?;
        }
    }
    Ok(out.flush()?)
}
