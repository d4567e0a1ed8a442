//! The `publish` command.

mod connect;

pub use connect::ConnectArgs;

use crate::source::{self, Timeline};
use crate::{Error, Feed, Options, Snapshot, Stats, push};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  rushlight publish clip.mp4 rtmp://localhost/live/cam --loop
  rushlight publish clip.mp4 'rtmps://example.net:1936/live/cam?key=KEY'
                                                over TLS; port 1936 is that of a Rushlight server
  rushlight publish clip.mp4 rtmpt://example.net:8080/live/cam
                                                inside HTTP, where nothing else gets through
  rushlight publish clip.flv rtmpe://localhost/live/cam
                                                encrypted as Flash did it; hides, but proves nothing
  rushlight publish clip.flv rtmp://user:password@example.net/live/cam
                                                to a server that asks who publishes
  ffmpeg -i clip.mkv -c copy -f flv - | rushlight publish - rtmp://localhost/live/cam";

/// Publish a file, or FLV from standard input, as a live stream over RTMP.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PublishArgs {
    /// An FLV or MP4 file, or `-` for FLV on standard input.
    pub source: PathBuf,

    /// Where to: `rtmp://HOST[:PORT]/APP/CHANNEL[?key=KEY]`. The other schemes are rtmps, rtmpt, rtmpts, rtmpe and rtmpte;
    /// without a port it is 1935, 443 with TLS, and 80 inside HTTP. `USER:PASSWORD@` goes before the host.
    pub url: String,

    /// Start over at the end, with times that run on.
    #[arg(long = "loop")]
    pub looped: bool,

    /// How fast to send: 1 is real time, 0 as fast as the network takes it.
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,

    /// Connections that may fail in a row before giving up. Counts from the very first one if given; without it the first
    /// connection has to succeed, and a lost one is tried again 10 times.
    #[arg(long, value_name = "COUNT")]
    pub retry: Option<u32>,

    /// How late media may be, in seconds, before it is left out up to the next keyframe.
    #[arg(long, default_value_t = 5.0, value_parser = seconds, value_name = "SECONDS")]
    pub lag_max: f64,

    /// Wait for the answer to each command, for servers that cannot take all of them at once.
    #[arg(long)]
    pub no_pipeline: bool,

    /// Print nothing but errors.
    #[arg(long, short)]
    pub quiet: bool,

    /// How to connect.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.0..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("a number from 0 to 1000 is needed".into()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.1 to 3600 is needed".into()),
    }
}

/// Runs the command until the source ends or the terminal interrupts it.
pub async fn run(args: PublishArgs) -> Result<(), Error> {
    let source = source::open(&args.source)?;
    let feed = Feed::threaded(Timeline::new(source, args.looped))
        .map_err(|error| Error::Source(format!("no thread to read it: {error}")))?;
    let options = Options {
        speed: args.speed,
        retries: args.retry.unwrap_or(Options::default().retries),
        retries_at_start: args.retry.unwrap_or(0),
        lag_max: Duration::from_secs_f64(args.lag_max),
        link: link::Options { pipelined: !args.no_pipeline, ..args.connect.options() },
        ..Options::default()
    };
    let stats = Stats::default();
    let started = Instant::now();
    let interrupted = async {
        // Without a signal handler the stream still ends properly at the end of the source.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let pushed = tokio::select! {
        pushed = push(feed, &args.url, options, &stats, interrupted) => pushed,
        never = report(&stats, &args) => match never {},
    };
    if !args.quiet && stats.snapshot().connections > 0 {
        if std::io::stderr().is_terminal() {
            eprintln!();
        }
        eprintln!("{}", summary(&stats.snapshot(), started.elapsed()));
    }
    pushed
}

/// One line on a terminal, rewritten each half second; elsewhere one line when the state changes.
async fn report(stats: &Stats, args: &PublishArgs) -> std::convert::Infallible {
    let terminal = std::io::stderr().is_terminal();
    let mut before = (Instant::now(), stats.snapshot());
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    loop {
        ticks.tick().await;
        let now = (Instant::now(), stats.snapshot());
        if args.quiet {
        } else if terminal {
            eprint!("\r{:<78}", line(&before.1, &now.1, now.0 - before.0));
        } else if now.1.connected != before.1.connected {
            eprintln!("{}", if now.1.connected { "publishing" } else { "connection lost" });
        }
        before = now;
    }
}

fn line(before: &Snapshot, now: &Snapshot, elapsed: Duration) -> String {
    if !now.connected {
        return format!("{}  not connected, {} packets left out", clock(now.media), now.dropped);
    }
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
    format!(
        "{}  {:.2} Mbit/s  {:.0} fps  queue {} KB  lag {} ms{}",
        clock(now.media),
        rate(before.bytes, now.bytes) * 8.0 / 1e6,
        rate(before.video_frames, now.video_frames),
        now.queued / 1000,
        now.lag.as_millis(),
        if now.dropped > 0 { format!("  {} left out", now.dropped) } else { String::new() },
    )
}

fn summary(stats: &Snapshot, elapsed: Duration) -> String {
    format!(
        "sent {} video and {} audio frames, {:.1} MB in {:.1} s{}{}",
        stats.video_frames,
        stats.audio_frames,
        stats.bytes as f64 / 1e6,
        elapsed.as_secs_f64(),
        if stats.dropped > 0 { format!(", {} packets left out", stats.dropped) } else { String::new() },
        match stats.connections {
            0 | 1 => String::new(),
            more => format!(", {} reconnects", more - 1),
        },
    )
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_line_shows_rates_over_the_last_interval() {
        let before = Snapshot { connected: true, bytes: 1_000_000, video_frames: 100, ..Snapshot::default() };
        let now = Snapshot {
            bytes: 1_250_000,
            video_frames: 130,
            media: Duration::from_secs(3725),
            queued: 12_345,
            lag: Duration::from_millis(7),
            ..before
        };
        assert_eq!(
            line(&before, &now, Duration::from_secs(1)),
            "1:02:05  2.00 Mbit/s  30 fps  queue 12 KB  lag 7 ms"
        );
    }

    #[test]
    fn times_and_speeds_outside_their_range_are_refused() {
        assert!(speed("-1").is_err() && speed("NaN").is_err() && speed("0").is_ok());
        assert!(seconds("0").is_err() && seconds("inf").is_err() && seconds("2.5").is_ok());
    }
}
