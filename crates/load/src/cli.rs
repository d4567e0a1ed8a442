//! The `load` command.

use crate::hls::{self, Style};
use crate::limits::{CLIP_BYTES_MAX, PUBLISHERS_MAX, VIEWERS_MAX};
use crate::play::positive;
use crate::run::{Joining, Measurement, Setup};
use crate::synthetic::{Profile, Synthetic};
use crate::{Error, Target, limit, report, run as runs};
use broadcaster::Source;
use broadcaster::cli::ConnectArgs;
use broadcaster::source::{self, Replay, Timeline};
use media::Time;
use std::path::PathBuf;
use std::time::Duration;

/// Stands for the number of the stream in URLs.
const NUMBER: &str = "{n}";
/// Media that is looked at to know the rate of messages: several groups of pictures.
const SAMPLED: Time = Time::from_millis(20_000);

/// Measure a server under many viewers, and what of its cost is the kernel's.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArgs {
    /// Where to publish: rtmp://HOST/APP/CHANNEL. An n in curly braces becomes the number of the stream. Without it, streams that exist
    /// already are played, and latency is not measured.
    #[arg(long, value_name = "URL")]
    pub publish: Option<String>,

    /// Streams to publish.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = count(1, PUBLISHERS_MAX))]
    pub publishers: usize,

    /// Publish this FLV or MP4 file over and over, instead of generated packets.
    #[arg(long, value_name = "FILE")]
    pub clip: Option<PathBuf>,

    /// Bitrate of generated video, in kbit/s.
    #[arg(long, value_name = "KBIT", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub bitrate: u64,

    /// Pictures per second of generated video.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub fps: u32,

    /// Distance of keyframes in generated video, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = positive)]
    pub gop: f64,

    /// Bitrate of generated audio, in kbit/s; 0 for none.
    #[arg(long, value_name = "KBIT", default_value_t = 128, value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub audio_bitrate: u64,

    /// Where to play: rtmp://, http://, ws:// or one of their kin (rtmps, rtmpt, rtmpts, rtmpe, rtmpte, https, wss); addresses that
    /// end with .m3u8 are played as HLS with low latency, all by viewers that count. May be given several times; viewers take turns. Numbers as above.
    #[arg(long, value_name = "URL")]
    pub play: Vec<String>,

    /// Viewers, all together.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = count(0, VIEWERS_MAX))]
    pub viewers: usize,

    /// How many of the viewers are whole players that measure. The others count bytes.
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = count(0, 1000))]
    pub measure: usize,

    /// Viewers that join per second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 500.0, value_parser = positive)]
    pub ramp: f64,

    /// All viewers join at random times within this many seconds, instead of one after the other.
    #[arg(long, value_name = "SECONDS", value_parser = positive, conflicts_with = "ramp")]
    pub join_storm: Option<f64>,

    /// How many of the viewers cannot keep up.
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = count(0, VIEWERS_MAX))]
    pub slow: usize,

    /// What slow viewers read of the stream: 0 is nothing, 0.1 a tenth.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub slow_share: f64,

    /// Viewers of HLS take whole segments, as players without low latency do.
    #[arg(long)]
    pub whole_segments: bool,

    /// Viewers ask for all addresses of --play again and again, so many milliseconds apart and all at the same moments: files of
    /// any web server.
    #[arg(long, value_name = "MS", conflicts_with = "whole_segments", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub files_every_ms: Option<u64>,

    /// Viewers that leave and come back, per second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 0.0, value_parser = rate)]
    pub churn: f64,

    /// How long to measure after all have joined, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0, value_parser = positive)]
    pub duration: f64,

    /// How long to publish before the first joins, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = positive)]
    pub warmup: f64,

    /// Process whose CPU time and memory to account for. Give all of a server with workers.
    #[arg(long, value_name = "PID")]
    pub server_pid: Vec<u32>,

    /// Threads for the viewers that count.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = count(1, 64))]
    pub threads: usize,

    /// Measure the bare limit instead of a server: a process that writes the same messages to as many sockets, and does
    /// nothing else.
    #[arg(long)]
    pub limit: bool,

    /// Measure the server, then the bare limit, and print the ratio of their costs.
    #[arg(long, conflicts_with = "limit")]
    pub compare_limit: bool,

    /// Messages of this many milliseconds in one write of the bare limit; 0 writes each when it is due. Without it,
    /// --compare-limit takes what the writes of the server averaged to, and --limit takes 0.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub batch_ms: Option<u64>,

    /// Write the report to a file as JSON; `-` prints it instead of the text.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// How to connect.
    #[command(flatten)]
    pub connect: ConnectArgs,

    /// Be the process of --limit. It is started by this program itself.
    #[arg(long, hide = true)]
    pub limit_server: bool,
}

fn count(min: usize, max: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(count) if (min..=max).contains(&count) => Ok(count),
        _ => Err(format!("a number from {min} to {max} is needed")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 1 is needed".into()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("a number from 0 to 100000 is needed".into()),
    }
}

/// Runs the command.
///
/// # Errors
///
/// Arguments that do not fit together, a clip that cannot be read, a stream that cannot be published. What happens to
/// single viewers is part of the report.
pub async fn run(args: LoadArgs) -> Result<(), Error> {
    net::limits::raise_file_limit();
    let media = Media::of(&args)?;
    if args.limit_server {
        let batch = Duration::from_millis(args.batch_ms.unwrap_or(0));
        let sources = (0..args.publishers).map(|stream| media.source(stream)).collect();
        return tokio::task::spawn_blocking(move || limit::serve(sources, batch))
            .await
            .unwrap_or_else(|_| Err(Error::Local("the limit server failed".into())));
    }
    let mut report = report::Report::default();
    if !args.limit {
        report.server = Some(runs::against_server(server_setup(&args)?, &media).await?);
    }
    if args.limit || args.compare_limit {
        let setup = Setup { measure: 0, churn: 0.0, slow: 0, ..setup(&args) };
        let write_bytes = report.server.as_ref().and_then(Measurement::bytes_per_write);
        let batch_ms = match (args.batch_ms, write_bytes) {
            (Some(batch_ms), _) => batch_ms,
            (None, Some(bytes)) => media.batch_ms(bytes)?,
            (None, None) => 0,
        };
        report.batch_ms = Some(batch_ms);
        report.limit = Some(runs::against_limit(setup, &limit_args(&args, batch_ms)).await?);
    }
    report.print(args.json.as_deref())
}

fn setup(args: &LoadArgs) -> Setup {
    Setup {
        publish: Vec::new(),
        play: Vec::new(),
        viewers: args.viewers,
        measure: args.measure,
        joining: match args.join_storm {
            Some(seconds) => Joining::Storm(Duration::from_secs_f64(seconds)),
            None => Joining::Ramp(args.ramp),
        },
        slow: args.slow,
        slow_share: args.slow_share,
        churn: args.churn,
        hls: None,
        warmup: Duration::from_secs_f64(args.warmup),
        duration: Duration::from_secs_f64(args.duration),
        server_pids: args.server_pid.clone(),
        threads: args.threads,
        link: args.connect.options(),
    }
}

fn server_setup(args: &LoadArgs) -> Result<Setup, Error> {
    let argument = |text: &str| Err(Error::Argument(text.into()));
    if args.play.is_empty() && args.viewers > 0 {
        return argument("--play is missing: where should the viewers play from?");
    }
    let several = args.publishers > 1;
    if several && args.publish.iter().chain(&args.play).any(|url| !url.contains(NUMBER)) {
        return argument("with several publishers every URL needs {n} for the number of the stream");
    }
    if args.slow + args.measure.min(args.viewers) > args.viewers {
        return argument("more slow and measuring viewers than viewers");
    }
    let number = |url: &str, stream: usize| url.replace(NUMBER, &stream.to_string());
    let mut of_hls = 0;
    for url in &args.play {
        let target = Target::parse(&number(url, 0))?;
        if let Target::Raw(_) = target {
            return argument(
                "tcp:// is what --limit uses; a server is played over rtmp://, http:// or ws://",
            );
        }
        if let Target::Hls(web) = target {
            of_hls += 1;
            if web.secure {
                return argument("HLS is played over http:// only");
            }
        }
    }
    let style = match args.files_every_ms {
        Some(millis) => Some(Style::Files(Duration::from_millis(millis))),
        None if of_hls == 0 => None,
        None if args.whole_segments => Some(Style::Segments),
        None => Some(Style::Parts),
    };
    let is_hls = style.is_some();
    if args.files_every_ms.is_some() && args.play.len() > hls::CONNECTIONS {
        return argument("viewers ask for four files at most");
    }
    if is_hls && args.files_every_ms.is_none() && of_hls < args.play.len() {
        return argument("viewers of HLS and others need a run each");
    }
    if is_hls && (args.slow > 0 || args.churn > 0.0 || args.compare_limit) {
        return argument("viewers of HLS cannot be --slow, --churn or compared with the limit");
    }
    if args.whole_segments && !is_hls {
        return argument("--whole-segments is for HLS: --play http://HOST/APP/CHANNEL.m3u8");
    }
    let streams = 0..args.publishers;
    Ok(Setup {
        measure: if is_hls { 0 } else { args.measure },
        hls: style,
        publish: streams.clone().filter_map(|stream| Some(number(args.publish.as_ref()?, stream))).collect(),
        play: streams.map(|stream| args.play.iter().map(|url| number(url, stream)).collect()).collect(),
        ..setup(args)
    })
}

/// The arguments with which this program becomes the limit server: what describes the media, and nothing else.
fn limit_args(args: &LoadArgs, batch_ms: u64) -> Vec<String> {
    let mut list = vec!["load".to_owned(), "--limit-server".into()];
    let mut option = |name: &str, value: String| list.extend([format!("--{name}"), value]);
    option("publishers", args.publishers.to_string());
    option("bitrate", args.bitrate.to_string());
    option("fps", args.fps.to_string());
    option("gop", args.gop.to_string());
    option("audio-bitrate", args.audio_bitrate.to_string());
    option("batch-ms", batch_ms.to_string());
    if let Some(clip) = &args.clip {
        option("clip", clip.to_string_lossy().into_owned());
    }
    list
}

/// What is published.
pub(crate) enum Media {
    Clip(Replay),
    Synthetic(Profile),
}

impl Media {
    fn of(args: &LoadArgs) -> Result<Self, Error> {
        if let Some(path) = &args.clip {
            let mut clip = source::open(path)?;
            return Ok(Self::Clip(Replay::read(&mut clip, CLIP_BYTES_MAX)?));
        }
        Ok(Self::Synthetic(Profile {
            video_bps: args.bitrate * 1000,
            fps: args.fps,
            gop: ((args.gop * f64::from(args.fps)).round() as u32).max(1),
            audio_bps: args.audio_bitrate * 1000,
        }))
    }

    /// How long messages must be collected until a write has `write_bytes` on average: the time of so many bytes, less the
    /// wait for the first message.
    fn batch_ms(&self, write_bytes: f64) -> Result<u64, Error> {
        let mut source = self.source(0);
        let (mut bytes, mut messages, mut last) = (0, 0, Time::ZERO);
        while last < SAMPLED {
            let Some(packet) = source.next()? else { break };
            bytes += packet.payload.len();
            messages += 1;
            last = packet.dts;
        }
        let message_bytes = bytes as f64 / f64::from(messages.max(1));
        let seconds_per_message = last.nanos() as f64 / 1e9 / f64::from(messages.max(1));
        let more = write_bytes / message_bytes.max(1.0) - 1.0;
        // Less than half a message more is the odd pair of messages that were due together.
        Ok(if more < 0.5 { 0 } else { (more * seconds_per_message * 1e3).round() as u64 })
    }

    /// The media of one stream.
    pub(crate) fn source(&self, stream: usize) -> Box<dyn Source> {
        match self {
            Media::Clip(clip) => Box::new(Timeline::new(clip.clone(), true)),
            Media::Synthetic(profile) => Box::new(Synthetic::new(*profile, stream as u32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: LoadArgs,
    }

    fn parse(args: &str) -> LoadArgs {
        Program::parse_from(std::iter::once("load").chain(args.split_whitespace())).args
    }

    #[test]
    fn streams_get_their_numbers() {
        let args = parse(
            "--publish rtmp://h/live/s{n} --publishers 2 --play rtmp://h/live/s{n} --play http://h/s{n}.flv",
        );
        let setup = server_setup(&args).unwrap();
        assert_eq!(setup.publish, ["rtmp://h/live/s0", "rtmp://h/live/s1"]);
        assert_eq!(setup.play[1], ["rtmp://h/live/s1", "http://h/s1.flv"]);
    }

    #[test]
    fn arguments_that_do_not_fit_together_are_refused() {
        for bad in [
            "",
            "--publish rtmp://h/live/a --publishers 2 --play rtmp://h/live/a{n}",
            "--play rtmp://h/live/a --viewers 10 --measure 5 --slow 6",
            "--play tcp://h:1",
            "--play rtmp://h",
            "--play http://h/a.m3u8 --play http://h/a.flv",
            "--play http://h/a.m3u8 --churn 1",
            "--play https://h/a.m3u8",
            "--play http://h/a.flv --whole-segments",
            "--play http://h/1 --play http://h/2 --play http://h/3 --play http://h/4 --play http://h/5 --files-every-ms 9",
        ] {
            assert!(matches!(server_setup(&parse(bad)), Err(Error::Argument(_))), "{bad}");
        }
        assert!(server_setup(&parse("--play rtmp://h/live/a --viewers 4")).is_ok());
        assert_eq!(server_setup(&parse("--play http://h/a.m3u8 --whole-segments")).unwrap().measure, 0);
    }

    #[test]
    fn the_limit_server_is_given_the_same_media() {
        let args = parse(
            "--bitrate 900 --fps 25 --gop 1.5 --audio-bitrate 64 --publishers 3 --batch-ms 40 --viewers 9",
        );
        let mut program = vec!["program".to_owned()];
        program.extend(limit_args(&args, 40).into_iter().skip(1));
        let server = Program::parse_from(program).args;
        assert!(server.limit_server);
        assert_eq!((server.publishers, server.batch_ms), (3, Some(40)));
        let profile = |args: &LoadArgs| match Media::of(args).unwrap() {
            Media::Synthetic(profile) => profile,
            Media::Clip(_) => panic!("no clip was given"),
        };
        assert_eq!(profile(&server), profile(&args));
        assert_eq!(profile(&server).gop, 38);
    }

    #[test]
    fn the_batch_is_as_long_as_the_writes_of_the_server_were_large() {
        // 25 messages per second of 10,000 bytes on average, a keyframe first.
        let media = Media::of(&parse("--bitrate 2000 --fps 25 --gop 1 --audio-bitrate 0")).unwrap();
        assert_eq!(media.batch_ms(10_000.0).unwrap(), 0);
        assert_eq!(media.batch_ms(11_000.0).unwrap(), 0, "one message and a rare second one");
        assert!((118..=120).contains(&media.batch_ms(40_000.0).unwrap()));
    }
}
