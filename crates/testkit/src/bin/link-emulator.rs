//! Runs programs at the two ends of an emulated link.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use testkit::emulation::{self, Emulation, Side};
use testkit::link::{self, Loss, Queue, Rate, Reorder};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// Runs COMMAND in a network namespace (10.77.0.2) whose only way out is an emulated link to the server's
/// namespace (10.77.0.1).
///
/// Without COMMAND it prints the names of both namespaces as one line of JSON and holds them until its standard
/// input ends: `nsenter --net=/run/netns/NAME PROGRAM` then runs anything there.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Round-trip time without queueing; half of it in each direction.
    #[arg(long, default_value_t = 0.0, value_name = "MS")]
    rtt_ms: f64,
    /// Each packet waits up to this much longer; order is kept.
    #[arg(long, default_value_t = 0.0, value_name = "MS")]
    jitter_ms: f64,
    /// Rate of each direction; 0 is unlimited.
    #[arg(long, default_value_t = 0.0, value_name = "MBIT")]
    rate_mbit: f64,
    /// Rate from the client to the server, where it differs.
    #[arg(long, value_name = "MBIT")]
    up_mbit: Option<f64>,
    /// Rate from the server to the client as lines of `seconds Mbit/s`, repeated.
    #[arg(long, value_name = "FILE", conflicts_with = "mahimahi")]
    trace: Option<PathBuf>,
    /// Rate from the server to the client as a Mahimahi trace.
    #[arg(long, value_name = "FILE")]
    mahimahi: Option<PathBuf>,
    /// Share of packets lost in each direction, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    loss: f64,
    /// Share lost from the client to the server, where it differs.
    #[arg(long, value_name = "SHARE")]
    up_loss: Option<f64>,
    /// Mean length of a run of lost packets (Gilbert-Elliott); 1 is independent loss.
    #[arg(long, default_value_t = 1.0, value_name = "PACKETS")]
    burst: f64,
    /// Share of packets that are overtaken.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    reorder: f64,
    /// How much later an overtaken packet arrives.
    #[arg(long, default_value_t = 10.0, value_name = "MS")]
    reorder_ms: f64,
    /// Longest wait before the bottleneck.
    #[arg(long, default_value_t = 200.0, value_name = "MS", conflicts_with = "queue_bytes")]
    queue_ms: f64,
    /// Most bytes that wait before the bottleneck.
    #[arg(long, value_name = "BYTES")]
    queue_bytes: Option<usize>,
    /// Seed of every random decision.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// TCP congestion control at both ends, such as cubic; the host's default where absent.
    #[arg(long, value_name = "NAME")]
    congestion: Option<String>,
    /// Shell command to run at the server's end while COMMAND runs.
    #[arg(long, value_name = "COMMAND", requires = "command")]
    server: Option<String>,
    /// Start COMMAND when the server listens on this TCP port.
    #[arg(long, value_name = "PORT", requires = "server")]
    server_port: Option<u16>,
    /// Program and arguments to run at the client's end.
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
}

/// Anything that ends the program early; printed as it is.
struct Failure(String);

impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(Failure(reason)) => {
            eprintln!("link-emulator: {reason}");
            ExitCode::from(125)
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let emulation = Emulation::start(configuration(&arguments)?)?;
    eprintln!("link-emulator: seed {}", arguments.seed);
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let code = tokio::select! {
        code = work(&arguments, &emulation) => code?,
        _ = interrupted.recv() => ExitCode::from(130),
        _ = terminated.recv() => ExitCode::from(143),
    };
    for (name, side) in [("down", Side::Left), ("up", Side::Right)] {
        let stats = emulation.stats_from(side);
        eprintln!(
            "link-emulator: {name}: {} packets in, {} delivered, {} lost, {} dropped by the queue",
            stats.entered_packets, stats.delivered_packets, stats.lost_packets, stats.dropped_packets
        );
    }
    Ok(code)
}

async fn work(arguments: &Arguments, emulation: &Emulation) -> Result<ExitCode, Failure> {
    let Some((program, rest)) = arguments.command.split_first() else {
        let (server, client) = (emulation.namespace(Side::Left), emulation.namespace(Side::Right));
        println!("{{\"server\":\"{server}\",\"client\":\"{client}\"}}");
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut server = match &arguments.server {
        Some(command) => Some(spawn(emulation, Side::Left, "sh", &["-c", command])?),
        None => None,
    };
    if let (Some(server), Some(port)) = (&mut server, arguments.server_port) {
        listening(server, port).await?;
    }
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let status = spawn(emulation, Side::Right, program, &rest)?.wait().await?;
    if let Some(server) = &mut server {
        server.kill().await?;
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn spawn(emulation: &Emulation, side: Side, program: &str, arguments: &[&str]) -> Result<Child, Failure> {
    let mut command = Command::from(emulation.command(side, program));
    Ok(command.args(arguments).kill_on_drop(true).spawn()?)
}

/// Waits until a socket in the server's namespace listens on `port`.
async fn listening(server: &mut Child, port: u16) -> Result<(), Failure> {
    const DEADLINE: Duration = Duration::from_secs(30);
    const INTERVAL: Duration = Duration::from_millis(20);
    let id = server.id().ok_or("the server ended at once")?;
    let tables = ["tcp", "tcp6"].map(|table| Path::new("/proc").join(id.to_string()).join("net").join(table));
    let wait = async {
        loop {
            if let Some(status) = server.try_wait()? {
                return Err(Failure(format!("the server ended before it listened: {status}")));
            }
            let mut listings = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
            if listings.any(|listing| listens(&listing, port)) {
                return Ok(());
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.map_err(|_| format!("nothing listens on port {port}"))?
}

/// Whether a table of `/proc/PID/net/tcp` holds a socket in state LISTEN (0A) on `port`.
fn listens(table: &str, port: u16) -> bool {
    let port = format!(":{port:04X}");
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|local| local.ends_with(&port)) && fields.nth(1) == Some("0A")
    })
}

fn configuration(arguments: &Arguments) -> Result<emulation::Config, Failure> {
    let down_rate = match (&arguments.trace, &arguments.mahimahi) {
        (Some(file), _) => Rate::trace(&read(file)?)?,
        (_, Some(file)) => Rate::mahimahi(&read(file)?)?,
        _ => rate(arguments.rate_mbit)?,
    };
    let up_rate = rate(arguments.up_mbit.unwrap_or(arguments.rate_mbit))?;
    Ok(emulation::Config {
        left_to_right: direction(arguments, down_rate, arguments.loss, arguments.seed)?,
        right_to_left: direction(
            arguments,
            up_rate,
            arguments.up_loss.unwrap_or(arguments.loss),
            arguments.seed.wrapping_add(1),
        )?,
        congestion_control: arguments.congestion.clone(),
    })
}

fn direction(arguments: &Arguments, rate: Rate, loss: f64, seed: u64) -> Result<link::Config, Failure> {
    let probability = share(loss)?;
    Ok(link::Config {
        delay: milliseconds(arguments.rtt_ms / 2.0)?,
        jitter: milliseconds(arguments.jitter_ms)?,
        loss: if arguments.burst > 1.0 {
            Loss::bursts(probability, arguments.burst)
        } else {
            Loss::Random { probability }
        },
        reorder: Reorder {
            probability: share(arguments.reorder)?,
            hold: milliseconds(arguments.reorder_ms)?,
        },
        rate,
        queue: match arguments.queue_bytes {
            Some(bytes) => Queue::Bytes(bytes),
            None => Queue::Time(milliseconds(arguments.queue_ms)?),
        },
        seed,
    })
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure(format!("{}: {error}", file.display())))
}

fn rate(mbit_per_s: f64) -> Result<Rate, Failure> {
    if !(0.0..=1e6).contains(&mbit_per_s) {
        return Err(Failure(format!("a rate of {mbit_per_s} Mbit/s is out of range")));
    }
    Ok(Rate::constant((mbit_per_s * 1e6) as u64))
}

fn share(value: f64) -> Result<f64, Failure> {
    if !(0.0..=1.0).contains(&value) {
        return Err(Failure(format!("{value} is no share between 0 and 1")));
    }
    Ok(value)
}

fn milliseconds(value: f64) -> Result<Duration, Failure> {
    if !(0.0..=60_000.0).contains(&value) {
        return Err(Failure(format!("{value} ms is out of range")));
    }
    Ok(Duration::from_secs_f64(value / 1000.0))
}
