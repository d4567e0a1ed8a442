//! Real worker processes, and a real stream that ffmpeg makes.

mod asked;
mod clip;
mod decoding;
mod devices;
mod driver;
mod faults;
mod hdr;
mod look;
mod mark;
mod regions;
mod rungs;
mod slate;
mod sound;
mod still;
mod turned;

use clip::Clip;
use engine::encode::{Backend, Codec, Config, Preset};
use engine::host::{Devices, Inlet, Launch, Options, Outlet, Output, Transcoder};
use engine::mark::Marks;
use media::{Packet, Role};
use std::time::Duration;

/// Longer than anything takes here; who waits longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options {
        launch: Launch { program: env!("CARGO_BIN_EXE_engine-worker").into(), arguments: Vec::new() },
        backends: vec![Backend::X264, Backend::X265, Backend::SvtAv1],
        devices: Devices::default(),
        decoders: Vec::new(),
        decoder_threads: 2,
        nice: 0,
        is_live: false,
    }
}

fn config(width: u32, height: u32) -> Config {
    Config {
        codec: Codec::H264,
        backend: None,
        width,
        height,
        fps_max: None,
        bitrate_bps: 500_000,
        quality: None,
        vmaf: None,
        gop: None,
        b_frames: 2,
        lookahead: 10,
        preset: Preset::Ultrafast,
        profile: None,
        tune: None,
        denoise: false,
        regions: false,
        threads: 1,
        marks: Marks::default(),
    }
}

/// Pushes a clip to its end, joining anew as often as it is asked to.
async fn publish(mut inlet: Inlet, clip: &Clip) {
    let mut next = 0;
    while let Some(packet) = clip.packets.get(next) {
        next = match inlet.push(packet.clone()).await {
            Ok(()) => next + 1,
            Err(_) => clip.joins_at(next),
        };
    }
}

/// All that comes.
async fn collect(mut outlet: Outlet) -> Vec<Output> {
    let mut outputs = Vec::new();
    while let Some(output) = outlet.next().await {
        outputs.push(output);
    }
    if outputs.is_empty() {
        println!("nothing came: {:?}", outlet.usage());
    }
    outputs
}

fn packets(outputs: &[Output]) -> Vec<&Packet> {
    outputs
        .iter()
        .filter_map(|output| if let Output::Packet(packet) = output { Some(packet) } else { None })
        .collect()
}

/// Times of the frames of `packets`, in the order in which they are shown; only those of keyframes if asked.
fn shown<'a>(packets: impl IntoIterator<Item = &'a Packet>, keyframes_only: bool) -> Vec<i64> {
    let mut times: Vec<_> = packets
        .into_iter()
        .filter(|packet| packet.role == Role::Frame && (packet.flags.keyframe || !keyframes_only))
        .map(|packet| packet.pts.nanos())
        .collect();
    times.sort_unstable();
    times
}

/// Runs `clip` through encoders of `configs`.
async fn transcode(clip: &Clip, configs: Vec<Config>) -> Vec<Vec<Output>> {
    let (transcoder, inlet) = Transcoder::start(options());
    let outlets: Vec<_> = configs.into_iter().map(|config| transcoder.add(config)).collect();
    let tasks: Vec<_> = outlets.into_iter().map(|outlet| tokio::spawn(collect(outlet))).collect();
    publish(inlet, clip).await;
    let mut all = Vec::new();
    for task in tasks {
        all.push(tokio::time::timeout(PATIENCE, task).await.expect("it ends").unwrap());
    }
    all
}
