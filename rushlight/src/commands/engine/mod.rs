//! `rushlight engine`.

mod compare;
mod regions;

use std::process::ExitCode;

use engine::encode::Codec;
use engine::host::{self, Launch};

use super::{FAILED, block_on, fail};
use compare::CompareArgs;

/// Look at what encodes on this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct EngineArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Try every encoder with a real test encode and say how fast it is
    ///
    /// Devices come first, then the processor; the server uses them in this order.
    Probe {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say how many bits a rung of constant quality saves against a plain one, on clips of yours
    Compare(CompareArgs),
    /// Decode or encode for a server that started this process
    #[command(hide = true)]
    Worker,
}

pub(crate) fn run(args: &EngineArgs) -> ExitCode {
    match &args.action {
        Action::Probe { json } => probe(*json),
        Action::Compare(args) => compare(args),
        Action::Worker => match engine::worker::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(FAILED, error),
        },
    }
}

/// How this program starts itself as a worker.
pub(crate) fn launch() -> std::io::Result<Launch> {
    // After an update of the file the running program is found only here.
    let own = std::path::Path::new("/proc/self/exe");
    let program = if own.exists() { own.to_owned() } else { std::env::current_exe()? };
    Ok(Launch { program, arguments: vec!["engine".into(), "worker".into()] })
}

fn compare(args: &CompareArgs) -> ExitCode {
    let compared = launch().map_err(|error| format!("this program does not find itself: {error}"));
    match compared.map(|launch| block_on(compare::run(args, launch))) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        Ok(Ok(Err(why))) | Err(why) => fail(FAILED, why),
        Ok(Err(code)) => code,
    }
}

fn probe(json: bool) -> ExitCode {
    let launch = match launch() {
        Ok(launch) => launch,
        Err(error) => return fail(FAILED, format!("this program does not find itself: {error}")),
    };
    let probed = match block_on(host::probe(&launch)) {
        Ok(Ok(probed)) => probed,
        Ok(Err(error)) => return fail(FAILED, format!("worker processes cannot be started: {error}")),
        Err(code) => return code,
    };
    if json {
        let all: Vec<_> = probed
            .iter()
            .map(|probed| {
                serde_json::json!({
                    "backend": probed.backend.name(),
                    "codec": name(probed.codec),
                    "fps": probed.speed.as_ref().ok().map(|speed| speed.fps),
                    "cpu_ms_per_picture": probed.speed.as_ref().ok().map(|speed| speed.cpu_per_picture.as_secs_f64() * 1e3),
                    "error": probed.speed.as_ref().err(),
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(all));
        return ExitCode::SUCCESS;
    }
    println!("1280 x 720, 60 pictures:");
    for probed in &probed {
        let (backend, codec) = (probed.backend.name(), name(probed.codec));
        match &probed.speed {
            Ok(speed) => println!(
                "  {backend:<13}{codec:<6}{:>6.0} fps   {:>5.1} ms of processor per picture",
                speed.fps,
                speed.cpu_per_picture.as_secs_f64() * 1e3
            ),
            Err(why) => println!("  {backend:<13}{codec:<6}     -       {why}"),
        }
    }
    ExitCode::SUCCESS
}

fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264",
        Codec::H265 => "h265",
        Codec::Av1 => "av1",
    }
}
