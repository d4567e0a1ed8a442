//! The `play` command.

use super::quality::{Continuity, Counts, Playout};
use super::stages::{JSON_NAMES, ms};
use super::{Options, Player, connect, joins};
use crate::Error;
use broadcaster::cli::ConnectArgs;
use bytes::BytesMut;
use media::codec::Summary;
use media::container::flv;
use media::{Codec, Kind, Packet, Role, Time, TrackId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  rushlight play rtmp://localhost/live/cam
  rushlight play --duration 10 --output cam.flv http://localhost:8080/live/cam.flv
  rushlight play --insecure rtmps://localhost:1936/live/cam
                                                TLS, with the certificate that a server made for itself
  rushlight play --ca rushlight.pem https://example.net:8443/live/cam.flv
  rushlight play rtmpt://example.net:8080/live/cam
  rushlight play --count 100 rtmp://localhost/live/cam";

/// Play a stream without showing it: measure how fast it starts and how well it runs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PlayArgs {
    /// rtmp://HOST/APP/CHANNEL, http://HOST/PATH.flv or ws://HOST/PATH.flv. The other schemes are
    /// rtmps, rtmpt, rtmpts, rtmpe, rtmpte, https and wss.
    pub url: String,

    /// Write what arrives to an FLV file; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Stop after this many seconds. Without it the stream is played to its end, or until interrupted.
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    pub duration: Option<f64>,

    /// Join this many times, each only up to the first keyframe, and print percentiles.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,

    /// With --count: wait a random time of up to so many seconds before each join. More than the distance of keyframes, so
    /// that joins fall on every part of it.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = positive)]
    pub random_gap: f64,

    /// Media that the simulated player holds before it starts, and after a stall, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub buffer_ms: u64,

    /// How long the server may take to answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = positive)]
    pub timeout: f64,

    /// Wait for the answer to each RTMP command, as most players do.
    #[arg(long)]
    pub no_pipeline: bool,

    /// Ask for no sound. RTMP only.
    #[arg(long, conflicts_with = "no_video")]
    pub no_audio: bool,

    /// Ask for no pictures. RTMP only.
    #[arg(long)]
    pub no_video: bool,

    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

pub(crate) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds above 0 is needed".into()),
    }
}

/// Runs the command.
///
/// # Errors
///
/// The server cannot be reached or refuses, or the file cannot be written. A stream that breaks off is reported and is
/// an error as well.
pub async fn run(args: PlayArgs) -> Result<(), Error> {
    let options = Options {
        timeout: Duration::from_secs_f64(args.timeout),
        pipelined: !args.no_pipeline,
        audio: !args.no_audio,
        video: !args.no_video,
        ..args.connect.options()
    };
    if args.count > 1 {
        let joins =
            joins::run(&args.url, &options, args.count, Duration::from_secs_f64(args.random_gap)).await?;
        if args.json {
            println!("{}", joins.to_json());
        } else {
            print!("{joins}");
        }
        return joins.into_result();
    }
    let mut file = args.output.as_deref().map(FlvFile::create).transpose()?;
    let player = connect(&args.url, &options).await?;
    let mut session = Session::new(player, Duration::from_millis(args.buffer_ms));
    let watched = session.watch(args.duration.map(Duration::from_secs_f64), file.as_mut(), !args.json).await;
    if let Some(file) = file {
        file.finish()?;
    }
    let report = if args.json { format!("{}\n", session.to_json(&args.url)) } else { session.to_text() };
    // The stream itself has standard output then.
    if args.output.as_deref() == Some(Path::new("-")) {
        eprint!("{report}");
    } else {
        print!("{report}");
    }
    watched
}

struct Session {
    player: Player,
    playout: Playout,
    continuity: Continuity,
    counts: Counts,
    codecs: BTreeMap<TrackId, Codec>,
    /// What the configurations say, for those codecs that have one.
    summaries: BTreeMap<TrackId, Summary>,
    behind: Option<Duration>,
    ended: Option<Instant>,
}

impl Session {
    fn new(player: Player, buffer: Duration) -> Self {
        Self {
            player,
            playout: Playout::new(buffer),
            continuity: Continuity::default(),
            counts: Counts::default(),
            codecs: BTreeMap::new(),
            summaries: BTreeMap::new(),
            behind: None,
            ended: None,
        }
    }

    async fn watch(
        &mut self,
        duration: Option<Duration>,
        mut file: Option<&mut FlvFile>,
        progress: bool,
    ) -> Result<(), Error> {
        let end = async {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        let mut end = std::pin::pin!(end);
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        let progress = progress && std::io::stderr().is_terminal();
        let mut before = (Instant::now(), 0, 0);
        let result = loop {
            tokio::select! {
                biased;
                () = &mut end => break Ok(()),
                _ = &mut interrupt => break Ok(()),
                _ = ticks.tick() => {
                    let now = Instant::now();
                    self.playout.advance(now);
                    if let Some(file) = &mut file {
                        file.flush()?;
                    }
                    if progress {
                        let after = (now, self.player.bytes_in(), self.counts.video);
                        eprint!("\r{:<78}", self.line(before, after));
                        before = after;
                    }
                }
                next = self.player.next() => match next {
                    Ok(Some((packet, arrived))) => {
                        self.take(&packet, arrived);
                        if let Some(file) = &mut file {
                            file.write(&packet)?;
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            }
        };
        if progress {
            eprintln!();
        }
        let now = Instant::now();
        self.behind = self.playout.behind_live(now);
        self.playout.finish(now);
        self.ended = Some(now);
        result
    }

    fn take(&mut self, packet: &Packet, arrived: Instant) {
        self.counts.count(packet);
        self.continuity.check(packet);
        if packet.track.kind != Kind::Data {
            self.codecs.insert(packet.track, packet.codec);
        }
        if packet.role == Role::Config
            && let Some(summary) = media::codec::summary(packet.codec, &packet.payload)
        {
            self.summaries.insert(packet.track, summary);
        }
        let leads = if self.player.has_video() { TrackId::VIDEO } else { TrackId::AUDIO };
        // Playout begins with a picture: what comes before the first keyframe cannot be shown.
        if packet.role == Role::Frame && packet.track == leads && self.player.stages().keyframe.is_some() {
            self.playout.frame(arrived, packet.dts);
        }
    }

    fn line(&self, before: (Instant, u64, u64), now: (Instant, u64, u64)) -> String {
        let seconds = (now.0 - before.0).as_secs_f64().max(0.001);
        let played = now.0.saturating_duration_since(self.player.stages().start);
        format!(
            "{:.0} s  {:.2} Mbit/s  {:.0} fps  behind {}  late p95 {}  stalls {}",
            played.as_secs_f64(),
            now.1.saturating_sub(before.1) as f64 * 8.0 / 1e6 / seconds,
            now.2.saturating_sub(before.2) as f64 / seconds,
            optional_ms(self.playout.behind_live(now.0)),
            optional_ms(self.playout.lateness().percentile(0.95)),
            self.playout.stalls,
        )
    }

    fn watched(&self) -> Duration {
        self.ended.map_or(Duration::ZERO, |end| end.saturating_duration_since(self.player.stages().start))
    }

    fn megabits_per_second(&self) -> f64 {
        self.player.bytes_in() as f64 * 8.0 / 1e6 / self.watched().as_secs_f64().max(0.001)
    }

    /// `video0 avc1.64001f 1280x720 30 fps`, or just the codec where nothing more is known.
    fn describe(&self, track: TrackId, codec: Codec) -> String {
        let Some(summary) = self.summaries.get(&track) else { return format!("{track} {codec:?}") };
        let mut text = format!("{track} {}", summary.mime);
        if let (Some(width), Some(height)) = (summary.width, summary.height) {
            text += &format!(" {width}x{height}");
        }
        if let Some(fps) = summary.fps {
            text += &format!(" {fps:.0} fps");
        }
        if let (Some(rate), Some(channels)) = (summary.sample_rate, summary.channels) {
            text += &format!(" {rate} Hz {channels} ch");
        }
        text
    }

    fn to_text(&self) -> String {
        use std::fmt::Write;
        let mut out = String::new();
        for (name, time) in self.player.stages().steps() {
            let time = ms(time).map_or("-".into(), |ms| format!("{ms:.3} ms"));
            let _ = writeln!(out, "{name:<20} {time:>12}");
        }
        let tracks: Vec<_> = self.codecs.iter().map(|(track, codec)| self.describe(*track, *codec)).collect();
        let Counts { video, keyframes, audio, other, .. } = self.counts;
        let _ = writeln!(
            out,
            "played {:.1} s  {:.2} Mbit/s  video {video} ({keyframes} keyframes)  audio {audio}  other {other}  [{}]",
            self.watched().as_secs_f64(),
            self.megabits_per_second(),
            tracks.join(", "),
        );
        let _ = writeln!(
            out,
            "stalls {} ({:.0} ms)  behind the live edge {}  discontinuities {} ({} back, {} holes)",
            self.playout.stalls,
            self.playout.stalled.as_secs_f64() * 1e3,
            optional_ms(self.behind),
            self.continuity.discontinuities(),
            self.continuity.backward,
            self.continuity.holes,
        );
        let _ = writeln!(out, "lateness of frames   {}", self.playout.lateness());
        out
    }

    fn to_json(&self, url: &str) -> Value {
        let steps = self.player.stages().steps();
        let stages: serde_json::Map<_, _> = JSON_NAMES
            .iter()
            .zip(steps)
            .map(|(name, (_, time))| (format!("{name}Ms"), json!(ms(time))))
            .collect();
        let tracks: serde_json::Map<_, _> = self
            .codecs
            .iter()
            .map(|(track, codec)| (track.to_string(), json!(format!("{codec:?}").to_lowercase())))
            .collect();
        json!({
            "url": rtmp::url::without_credentials(url),
            "startup": stages,
            "playedMs": ms(Some(self.watched())),
            "bytes": self.player.bytes_in(),
            "bitrateBps": (self.megabits_per_second() * 1e6) as u64,
            "videoFrames": self.counts.video,
            "keyframes": self.counts.keyframes,
            "audioFrames": self.counts.audio,
            "otherPackets": self.counts.other,
            "tracks": tracks,
            "stalls": self.playout.stalls,
            "stalledMs": ms(Some(self.playout.stalled)),
            "behindLiveMs": ms(self.behind),
            "lateness": self.playout.lateness().to_json(),
            "discontinuities": self.continuity.discontinuities(),
            "dtsBackward": self.continuity.backward,
            "dtsHoles": self.continuity.holes,
        })
    }
}

fn optional_ms(time: Option<Duration>) -> String {
    time.map_or("-".into(), |time| format!("{:.1} ms", time.as_secs_f64() * 1e3))
}

/// What was received, as a file.
struct FlvFile {
    out: Output,
    path: PathBuf,
    tag: BytesMut,
    has_audio: bool,
    has_video: bool,
    has_frames: bool,
}

enum Output {
    File(BufWriter<File>),
    Pipe(std::io::Stdout),
}

impl FlvFile {
    fn create(path: &Path) -> Result<Self, Error> {
        let out = if path == Path::new("-") {
            Output::Pipe(std::io::stdout())
        } else {
            let file =
                File::create(path).map_err(|error| Error::Local(format!("{}: {error}", path.display())))?;
            Output::File(BufWriter::new(file))
        };
        let tag = BytesMut::new();
        let mut flv =
            Self { out, path: path.into(), tag, has_audio: false, has_video: false, has_frames: false };
        flv::write_file_header(true, true, &mut flv.tag);
        flv.write_tag()?;
        Ok(flv)
    }

    fn write(&mut self, packet: &Packet) -> Result<(), Error> {
        self.has_audio |= packet.track.kind == Kind::Audio;
        self.has_video |= packet.track.kind == Kind::Video;
        self.has_frames |= packet.role == Role::Frame;
        self.tag.clear();
        if self.has_frames || packet.role != Role::StreamMetadata {
            flv::write_tag(packet, &mut self.tag);
        } else {
            // Programs take metadata for the description of the file only at its very start.
            let at_start = Packet { dts: Time::ZERO, pts: Time::ZERO, ..packet.clone() };
            flv::write_tag(&at_start, &mut self.tag);
        }
        self.write_tag()
    }

    fn write_tag(&mut self) -> Result<(), Error> {
        let written = match &mut self.out {
            Output::File(file) => file.write_all(&self.tag),
            Output::Pipe(pipe) => pipe.write_all(&self.tag).and_then(|()| pipe.flush()),
        };
        written.map_err(|error| Error::Local(format!("{}: {error}", self.path.display())))
    }

    /// Lets others see what was received so far.
    fn flush(&mut self) -> Result<(), Error> {
        let Output::File(file) = &mut self.out else { return Ok(()) };
        file.flush().map_err(|error| Error::Local(format!("{}: {error}", self.path.display())))
    }

    /// Corrects the header, which was written before anyone knew what would come.
    fn finish(mut self) -> Result<(), Error> {
        let mut header = BytesMut::new();
        flv::write_file_header(self.has_audio, self.has_video, &mut header);
        let Output::File(file) = &mut self.out else { return Ok(()) };
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&header))
            .and_then(|()| file.flush())
            .map_err(|error| Error::Local(format!("{}: {error}", self.path.display())))
    }
}
