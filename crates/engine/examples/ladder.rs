//! Runs the video of an FLV file through the encoders of a ladder and says what that costs.
//!
//! ```text
//! cargo run --release -p rushlight-engine --features libav --example ladder -- WORKER FILE.flv [--pace] SIZE:KBPS:PRESET:B ...
//! ```
//!
//! `WORKER` is the program `engine-worker`. With `--pace` packets come when they would live; otherwise as fast as they are taken.

use bytes::BytesMut;
use engine::encode::{Backend, Codec, Config, LOOKAHEAD_LIVE, Preset};
use engine::host::{Devices, Launch, Options, Outlet, Output, Transcoder};
use engine::mark::Marks;
use media::container::flv::Demuxer;
use media::{Kind, Packet, Role};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ladder: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let pace = arguments.iter().any(|argument| argument == "--pace");
    arguments.retain(|argument| argument != "--pace");
    let [worker, file, rungs @ ..] = &arguments[..] else {
        return Err("usage: ladder WORKER FILE.flv [--pace] WIDTHxHEIGHT:KBPS:PRESET:B-FRAMES ...".to_owned());
    };
    let packets = read(file)?;
    let options = Options {
        launch: Launch { program: worker.into(), arguments: Vec::new() },
        backends: vec![Backend::X264],
        devices: Devices::default(),
        decoders: Vec::new(),
        decoder_threads: 2,
        nice: 0,
        is_live: pace,
    };
    let (transcoder, mut inlet) = Transcoder::start(options);
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for rung in rungs {
        let outlet = transcoder.add(parse(rung).ok_or_else(|| format!("{rung} is no rung"))?);
        tasks.push((rung.clone(), tokio::spawn(collect(outlet, begun))));
    }
    let first = packets.first().map_or(0, |packet| packet.dts.nanos());
    for packet in packets {
        if pace {
            let at = Duration::from_nanos((packet.dts.nanos() - first).max(0).cast_unsigned());
            tokio::time::sleep_until((begun + at).into()).await;
        }
        inlet.push(packet).await.map_err(|error| error.to_string())?;
    }
    drop(inlet);
    for (rung, task) in tasks {
        let (frames, bytes, first, usage) = task.await.map_err(|error| error.to_string())?;
        println!(
            "{rung:<26} {frames:>6} frames {:>8} KB, first after {:>5.0} ms, {:>7.2} s of processor, {} dropped {}",
            bytes / 1000,
            first.as_secs_f64() * 1e3,
            usage.cpu.as_secs_f64(),
            usage.dropped,
            usage.error.unwrap_or_default()
        );
    }
    let decoder = transcoder.decoder();
    println!(
        "decoder {:.2} s of processor; {:.2} s in all",
        decoder.cpu.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

fn read(file: &str) -> Result<Vec<Packet>, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let (mut input, mut demuxer, mut packets) = (BytesMut::from(&bytes[..]), Demuxer::new(), Vec::new());
    while let Some(packet) = demuxer.push(&mut input).map_err(|error| error.to_string())? {
        if packet.track.kind == Kind::Video && matches!(packet.role, Role::Config | Role::Frame) {
            packets.push(packet);
        }
    }
    Ok(packets)
}

fn parse(rung: &str) -> Option<Config> {
    let mut parts = rung.split(':');
    let (width, height) = parts.next()?.split_once('x')?;
    Some(Config {
        codec: Codec::H264,
        backend: None,
        width: width.parse().ok()?,
        height: height.parse().ok()?,
        fps_max: None,
        bitrate_bps: parts.next()?.parse::<u32>().ok()? * 1000,
        quality: None,
        vmaf: None,
        gop: None,
        lookahead: LOOKAHEAD_LIVE,
        preset: Preset::parse(parts.next()?)?,
        profile: None,
        tune: None,
        denoise: false,
        regions: false,
        b_frames: parts.next()?.parse().ok()?,
        threads: 1,
        marks: Marks::default(),
    })
}

async fn collect(mut outlet: Outlet, begun: Instant) -> (u64, usize, Duration, engine::host::Usage) {
    let (mut frames, mut bytes, mut first) = (0, 0, Duration::ZERO);
    while let Some(output) = outlet.next().await {
        if let Output::Packet(packet) = output
            && packet.role == Role::Frame
        {
            if frames == 0 {
                first = begun.elapsed();
            }
            (frames, bytes) = (frames + 1, bytes + packet.payload.len());
        }
    }
    (frames, bytes, first, outlet.usage())
}
