//! `rushlight engine`.

mod compare;
mod regions;

use std::process::ExitCode;

use engine::encode::Codec;
use engine::host::{self, Launch, Probed, ProbedDecoder};

use super::{FAILED, block_on, fail};
use compare::CompareArgs;

/// Look at what encodes and decodes on this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct EngineArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Try every encoder and decoder with a real test and say how fast it is
    ///
    /// Devices come first, then the processor; the server uses them in this order. A device decodes if its pictures are those of the processor to
    /// the last bit.
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
    let tried = async {
        let encoders = host::probe(&launch).await?;
        Ok::<_, std::io::Error>((
            encoders,
            host::probe_decoders(&launch, 0, &engine::decode::Backend::ALL).await?,
        ))
    };
    let (encoders, decoders) = match block_on(tried) {
        Ok(Ok(probed)) => probed,
        Ok(Err(error)) => return fail(FAILED, format!("worker processes cannot be started: {error}")),
        Err(code) => return code,
    };
    if json {
        let all = encoders.iter().map(encoder_json).chain(decoders.iter().map(decoder_json));
        println!("{}", serde_json::Value::from(all.collect::<Vec<_>>()));
        return ExitCode::SUCCESS;
    }
    println!("encoding 1280 x 720, 60 pictures:");
    for probed in &encoders {
        print_speed(probed.backend.name(), probed.codec, &probed.speed, "");
    }
    println!("decoding 1272 x 714, 60 pictures:");
    for probed in &decoders {
        let note = match (probed.backend.is_hardware(), probed.is_better_device()) {
            (true, true) => ", the same pictures: used",
            (true, false) => ", the same pictures: not used, the processor does better",
            (false, _) => "",
        };
        print_speed(probed.backend.name(), probed.codec, &probed.speed, note);
    }
    ExitCode::SUCCESS
}

fn print_speed(backend: &str, codec: Codec, speed: &Result<host::Speed, String>, note: &str) {
    let codec = name(codec);
    match speed {
        Ok(speed) => println!(
            "  {backend:<13}{codec:<6}{:>6.0} fps   {:>5.1} ms of processor per picture{note}",
            speed.fps,
            speed.cpu_per_picture.as_secs_f64() * 1e3
        ),
        Err(why) => println!("  {backend:<13}{codec:<6}     -       {why}"),
    }
}

fn encoder_json(probed: &Probed) -> serde_json::Value {
    speed_json("encoder", probed.backend.name(), probed.codec, &probed.speed)
}

fn decoder_json(probed: &ProbedDecoder) -> serde_json::Value {
    let mut json = speed_json("decoder", probed.backend.name(), probed.codec, &probed.speed);
    json["used"] = probed.is_better_device().into();
    json
}

fn speed_json(
    kind: &str,
    backend: &str,
    codec: Codec,
    speed: &Result<host::Speed, String>,
) -> serde_json::Value {
    serde_json::json!({
        "kind": kind,
        "backend": backend,
        "codec": name(codec),
        "fps": speed.as_ref().ok().map(|speed| speed.fps),
        "cpu_ms_per_picture": speed.as_ref().ok().map(|speed| speed.cpu_per_picture.as_secs_f64() * 1e3),
        "error": speed.as_ref().err(),
    })
}

fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264",
        Codec::H265 => "h265",
        Codec::Av1 => "av1",
    }
}
