//! `rushlight engine compare`: what a rung of constant quality saves against a plain one.

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::regions;
use broadcaster::source;
use bytes::BytesMut;
use engine::encode::{Backend, Codec, Config, Preset};
use engine::host::{Devices, Launch, Options, Output, Transcoder};
use engine::ladder;
use engine::rate::{Point, bd_rate, bps_at};
use media::container::flv;
use media::{Kind, Packet, Role};

/// The quality that plain and saving rungs are compared at.
const VMAF_GOAL: f64 = 93.0;
/// From hardly a difference to what is just watchable, on the scales of x264 and x265, and of AV1: they look as the plain rungs do.
const QUALITIES: [f32; 5] = [20.0, 24.0, 28.0, 32.0, 36.0];
const QUALITIES_AV1: [f32; 5] = [30.0, 38.0, 46.0, 54.0, 62.0];
/// Where a rung begins that finds its quality itself, as those of ladders do, and how much finer the scale of AV1 is.
const START_QUALITY: f32 = 24.0;
const AV1_QUALITY: f32 = 1.5;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The judge is VMAF, and VMAF NEG, which does not reward sharpening. It needs an ffmpeg with libvmaf, which Debian's lacks:
  pip install imageio-ffmpeg
  rushlight engine compare clip.mp4 --ffmpeg \"$(python -c 'import imageio_ffmpeg as i; print(i.get_ffmpeg_exe())')\"")]
pub(crate) struct CompareArgs {
    /// Clips, MP4 or FLV
    #[arg(required = true, value_name = "CLIP")]
    pub(super) clips: Vec<PathBuf>,

    /// An ffmpeg with libvmaf, which judges
    #[arg(long, default_value = "ffmpeg")]
    pub(super) ffmpeg: PathBuf,

    /// Codec of the saving rung: h264, h265 or av1
    #[arg(long, default_value = "h264", value_parser = ["h264", "h265", "av1"])]
    codec: String,

    /// Preset of the saving rung
    #[arg(long, default_value = "faster", value_parser = preset)]
    preset: Preset,

    /// How many pictures the saving rung looks ahead
    #[arg(long, default_value_t = 30)]
    lookahead: u8,

    /// Qualities of the saving rung, on the scale of its codec, best first [default: 20,24,28,32,36, and 30,38,46,54,62 for av1]
    #[arg(long, value_delimiter = ',', hide_default_value = true)]
    quality: Vec<f32>,

    /// What the saving rung is to look like, where it finds its quality itself, on VMAF's scale
    #[arg(long, default_value_t = 93.0)]
    vmaf: f32,

    /// Frames of the saving rung that refer to later ones, between two that do not; live rungs have none unless their template says so
    #[arg(long, default_value_t = 3)]
    b_frames: u8,

    /// Say instead what it saves, and what it costs, to keep faces and text sharper
    #[arg(long)]
    regions: bool,

    /// Bits per pixel and picture of the plain rung
    #[arg(long, value_delimiter = ',', default_values_t = [0.02, 0.04, 0.08, 0.16, 0.32])]
    density: Vec<f64>,
}

fn preset(text: &str) -> Result<Preset, String> {
    let names: Vec<_> = Preset::ALL.iter().map(|preset| preset.name()).collect();
    Preset::parse(text).ok_or_else(|| format!("one of {}", names.join(", ")))
}

impl CompareArgs {
    /// On the scale of the codec, best first.
    pub(super) fn qualities(&self, codec: Codec) -> &[f32] {
        match (&self.quality[..], codec) {
            ([], Codec::Av1) => &QUALITIES_AV1,
            ([], _) => &QUALITIES,
            (asked, _) => asked,
        }
    }

    /// The saving rung, but for its rate and quality.
    pub(super) fn saving(&self, clip: &Clip, codec: Codec) -> Config {
        let (preset, lookahead, b_frames) = (self.preset, self.lookahead, self.b_frames);
        Config { codec, preset, lookahead, b_frames, ..clip.plain() }
    }
}

/// A clip, and what is known of it.
pub(super) struct Clip {
    packets: Vec<Packet>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) fps: f64,
    pub(super) seconds: f64,
}

/// What came of one encode.
struct Encode {
    bps: f64,
    cpu_ms_per_picture: f64,
    vmaf: f64,
    neg: f64,
}

/// What came of one clip.
struct Compared {
    name: String,
    /// Constant rates, and constant qualities.
    plain: Vec<Encode>,
    saving: Vec<Encode>,
    /// The rate that ladders give it, and the quality that it needs.
    usual: Encode,
    following: Encode,
}

pub(super) async fn run(args: &CompareArgs, launch: Launch) -> Result<(), String> {
    let mut token = [0; 8];
    getrandom::fill(&mut token).map_err(|error| error.to_string())?;
    let folder = std::env::temp_dir().join(format!("rushlight-compare-{:016x}", u64::from_ne_bytes(token)));
    // Nobody else's, and not one that somebody has put there.
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let compared = compare(args, &launch, &folder).await;
    // What is left there is in nobody's way.
    let _ = std::fs::remove_dir_all(&folder);
    compared
}

async fn compare(args: &CompareArgs, launch: &Launch, folder: &Path) -> Result<(), String> {
    let codec = match args.codec.as_str() {
        "h265" => Codec::H265,
        "av1" => Codec::Av1,
        _ => Codec::H264,
    };
    if args.regions {
        return regions::compare(args, launch, folder, codec).await;
    }
    println!("| clip | rung | kbit/s | VMAF | VMAF NEG | CPU ms per picture |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut all = Vec::new();
    for path in &args.clips {
        let clip = Clip::open(path)?;
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let pixels_per_second = f64::from(clip.width) * f64::from(clip.height) * clip.fps;
        let (mut plain, mut saving) = (Vec::new(), Vec::new());
        for density in &args.density {
            let config = Config { bitrate_bps: (density * pixels_per_second) as u32, ..clip.plain() };
            let label = format!("plain {} kbit/s", config.bitrate_bps / 1000);
            plain.push(one(args, launch, folder, path, &clip, config, &name, &label).await?);
        }
        let ceiling = args.density.iter().copied().fold(0.0, f64::max) * pixels_per_second;
        for quality in args.qualities(codec) {
            let config =
                Config { quality: Some(*quality), bitrate_bps: ceiling as u32, ..args.saving(&clip, codec) };
            let label = format!("{} {} quality {quality}", args.codec, args.preset.name());
            saving.push(one(args, launch, folder, path, &clip, config, &name, &label).await?);
        }
        // As they run: one has the rate that pictures of this size have, the other finds the quality that it needs.
        let bitrate_bps = ladder::usual_bps(clip.width, clip.height, clip.fps);
        let usual = Config { bitrate_bps, ..clip.plain() };
        let following = Config {
            quality: Some(START_QUALITY * if codec == Codec::Av1 { AV1_QUALITY } else { 1.0 }),
            vmaf: Some(args.vmaf),
            bitrate_bps,
            ..args.saving(&clip, codec)
        };
        let label = format!("plain, usual: {} kbit/s", bitrate_bps / 1000);
        let usual = one(args, launch, folder, path, &clip, usual, &name, &label).await?;
        let label = format!("{} {} VMAF {}", args.codec, args.preset.name(), args.vmaf);
        let following = one(args, launch, folder, path, &clip, following, &name, &label).await?;
        all.push(Compared { name, plain, saving, usual, following });
    }
    summarize(&all);
    Ok(())
}

fn summarize(all: &[Compared]) {
    println!(
        "\n| clip | BD-rate, VMAF | BD-rate, VMAF NEG | bits saved at VMAF {VMAF_GOAL} | CPU | \
         plain rung of the usual rate | one that follows the picture | bits saved by that |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let percent =
        |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{:+.1} %", value * 100.0));
    let points = |encodes: &[Encode], quality: fn(&Encode) -> f64| -> Vec<Point> {
        encodes.iter().map(|encode| Point { bps: encode.bps, quality: quality(encode) }).collect()
    };
    let look = |encode: &Encode| format!("{:.0} kbit/s, VMAF {:.1}", encode.bps / 1e3, encode.vmaf);
    let mut rates = (Vec::new(), Vec::new());
    for Compared { name, plain, saving, usual, following } in all {
        let rate = |quality: fn(&Encode) -> f64| bd_rate(&points(plain, quality), &points(saving, quality));
        let (vmaf, neg) = (rate(|encode| encode.vmaf), rate(|encode| encode.neg));
        let at = |encodes: &[Encode]| bps_at(&points(encodes, |encode| encode.vmaf), VMAF_GOAL);
        let saved = at(plain).zip(at(saving)).map(|(plain, saving)| 1.0 - saving / plain);
        let cpu = |encodes: &[Encode]| {
            encodes.iter().map(|encode| encode.cpu_ms_per_picture).sum::<f64>() / encodes.len().max(1) as f64
        };
        println!(
            "| {name} | {} | {} | {} | {:.2} x | {} | {} | {} |",
            percent(vmaf),
            percent(neg),
            percent(saved),
            cpu(saving) / cpu(plain),
            look(usual),
            look(following),
            percent(Some(1.0 - following.bps / usual.bps)),
        );
        rates.0.extend(vmaf);
        rates.1.extend(neg);
    }
    let mean =
        |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    println!("| **mean** | {} | {} | | | | | |", percent(mean(&rates.0)), percent(mean(&rates.1)));
}

impl Clip {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let mut source = source::open(path).map_err(|error| error.to_string())?;
        let mut packets = Vec::new();
        while let Some(packet) = source.next().map_err(|error| error.to_string())? {
            if packet.track.kind == Kind::Video && matches!(packet.role, Role::Config | Role::Frame) {
                packets.push(packet);
            }
        }
        let config = packets.iter().find(|packet| packet.role == Role::Config);
        let summary = config.and_then(|packet| media::codec::summary(packet.codec, &packet.payload));
        let size = summary.and_then(|summary| summary.width.zip(summary.height));
        let (width, height) =
            size.ok_or_else(|| format!("{}: there is no picture size in it", path.display()))?;
        let mut times: Vec<_> =
            packets.iter().filter(|packet| packet.role == Role::Frame).map(|packet| packet.pts).collect();
        times.sort_unstable();
        let (Some(first), Some(last)) = (times.first(), times.last()) else {
            return Err(format!("{}: there are no pictures in it", path.display()));
        };
        let length = last.since(*first).as_secs_f64();
        let fps = if length > 0.0 { (times.len() - 1) as f64 / length } else { 30.0 };
        let seconds = times.len() as f64 / fps;
        Ok(Self { packets, width: width & !1, height: height & !1, fps, seconds })
    }

    /// The rung that most servers make: x264 `veryfast` at a constant rate, a keyframe every two seconds.
    fn plain(&self) -> Config {
        Config {
            codec: Codec::H264,
            backend: None,
            width: self.width,
            height: self.height,
            fps_max: None,
            bitrate_bps: 0,
            quality: None,
            vmaf: None,
            gop: Some(Duration::from_secs(2)),
            b_frames: 3,
            lookahead: engine::encode::LOOKAHEAD_LIVE,
            preset: Preset::Veryfast,
            profile: None,
            tune: None,
            denoise: false,
            regions: false,
            threads: 1,
            marks: engine::mark::Marks::default(),
        }
    }
}

/// Encodes and judges, and prints a row.
#[allow(clippy::too_many_arguments, reason = "it is the body of two loops")]
async fn one(
    args: &CompareArgs,
    launch: &Launch,
    folder: &Path,
    path: &Path,
    clip: &Clip,
    config: Config,
    name: &str,
    label: &str,
) -> Result<Encode, String> {
    let file = folder.join("rung.flv");
    let (bytes, pictures, cpu) = encode(launch, clip, config, &file).await?;
    let (vmaf, neg) = judge(args, &file, path, clip, &folder.join("vmaf.json"))?;
    let bps = bytes as f64 * 8.0 / clip.seconds;
    let cpu_ms_per_picture = cpu.as_secs_f64() * 1e3 / pictures.max(1) as f64;
    println!("| {name} | {label} | {:.0} | {vmaf:.2} | {neg:.2} | {cpu_ms_per_picture:.1} |", bps / 1e3);
    // Rows come minutes apart.
    let _ = std::io::stdout().flush();
    Ok(Encode { bps, cpu_ms_per_picture, vmaf, neg })
}

/// Writes a rung of `clip` to `file`: payload bytes, pictures, and processor time of the encoder.
pub(super) async fn encode(
    launch: &Launch,
    clip: &Clip,
    config: Config,
    file: &Path,
) -> Result<(usize, u64, Duration), String> {
    let options = Options {
        launch: launch.clone(),
        backends: vec![Backend::X264, Backend::X265, Backend::SvtAv1],
        devices: Devices::default(),
        decoders: Vec::new(),
        decoder_threads: 1,
        nice: 0,
        is_live: false,
    };
    let (transcoder, mut inlet) = Transcoder::start(options);
    let mut outlet = transcoder.add(config);
    let packets = clip.packets.clone();
    let feeding = tokio::spawn(async move {
        for packet in packets {
            if inlet.push(packet).await.is_err() {
                return Err("the clip cannot be decoded".to_owned());
            }
        }
        Ok(())
    });
    let mut out = BytesMut::new();
    flv::write_file_header(false, true, &mut out);
    let (mut bytes, mut pictures) = (0, 0);
    while let Some(output) = outlet.next().await {
        if let Output::Packet(packet) = output {
            if packet.role == Role::Frame {
                (bytes, pictures) = (bytes + packet.payload.len(), pictures + 1);
            }
            flv::write_tag(&packet, &mut out);
        }
    }
    feeding.await.map_err(|error| error.to_string())??;
    let usage = outlet.usage();
    if pictures == 0 {
        return Err(usage.error.unwrap_or_else(|| "the encoder gave nothing".to_owned()));
    }
    // The judge would take what comes after them for something else.
    let given = clip.packets.iter().filter(|packet| packet.role == Role::Frame).count() as u64;
    if pictures != given {
        return Err(format!(
            "{} of {given} pictures were lost: is the machine too busy, or the clip damaged?",
            given.abs_diff(pictures)
        ));
    }
    std::fs::write(file, &out).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok((bytes, pictures, usage.cpu))
}

/// VMAF and VMAF NEG of `file` against the clip.
pub(super) fn judge(
    args: &CompareArgs,
    file: &Path,
    clip_path: &Path,
    clip: &Clip,
    log: &Path,
) -> Result<(f64, f64), String> {
    let (width, height, fps) = (clip.width, clip.height, clip.fps);
    let graph = format!(
        "[0:v]fps={fps:.5},setpts=N[a];[1:v]fps={fps:.5},scale={width}:{height}:flags=bicubic,setpts=N[b];\
         [a][b]libvmaf=model='version=vmaf_v0.6.1\\:name=vmaf|version=vmaf_v0.6.1neg\\:name=neg':\
         n_threads=2:log_fmt=json:log_path={}",
        log.display()
    );
    let output = Command::new(&args.ffmpeg)
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .arg("-i")
        .arg(clip_path)
        .args(["-lavfi", &graph, "-f", "null", "-"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{} does not start: {error}", args.ffmpeg.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{} cannot judge (it needs libvmaf, see --help): {}",
            args.ffmpeg.display(),
            said.lines().last().unwrap_or_default()
        ));
    }
    let text = std::fs::read(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let json: serde_json::Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let mean = |name: &str| json["pooled_metrics"][name]["mean"].as_f64();
    mean("vmaf").zip(mean("neg")).ok_or_else(|| "the judge did not say what it found".to_owned())
}
