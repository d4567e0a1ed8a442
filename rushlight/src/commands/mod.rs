//! One file per command. What a command does lives in the crates; here it gets its arguments and its exit code.

pub(crate) mod config;
#[cfg(feature = "engine")]
pub(crate) mod engine;
pub(crate) mod keys;
pub(crate) mod load;
pub(crate) mod play;
pub(crate) mod publish;
pub(crate) mod serve;
pub(crate) mod sign;

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::settings::{self, Flag, Loaded, Sources};

/// Something failed while it ran.
const FAILED: u8 = 1;
/// What was asked for is impossible.
const IMPOSSIBLE: u8 = 2;

/// Prints an error and gives the exit code.
fn fail(code: u8, message: impl Display) -> ExitCode {
    eprintln!("rushlight: {message}");
    ExitCode::from(code)
}

/// Runs a command that needs one thread and no more.
fn block_on<F: Future>(command: F) -> Result<F::Output, ExitCode> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => Ok(runtime.block_on(command)),
        Err(error) => Err(fail(FAILED, format!("cannot start a runtime: {error}"))),
    }
}

/// Runs a command of the measuring crate.
fn measure(command: impl Future<Output = Result<(), ::load::Error>>) -> ExitCode {
    match block_on(command) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error @ ::load::Error::Argument(_))) => fail(IMPOSSIBLE, error),
        Ok(Err(error)) => fail(FAILED, error),
        Err(code) => code,
    }
}

/// Flags that change the configuration, the same for every command that reads it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct SettingsArgs {
    /// Configuration file [default: ./rushlight.toml, then /etc/rushlight.toml, if there is one]
    #[arg(long, short, value_name = "FILE", env = "RUSHLIGHT_CONFIG")]
    config: Option<PathBuf>,

    /// Set any key, as in --set hub.grace_ms=5000; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,

    /// Addresses for RTMP, with commas between them: `[::]:1935`
    #[arg(long, value_name = "ADDRESS")]
    rtmp_listen: Option<String>,

    /// Addresses for HTTP, with commas between them: `[::]:8080`
    #[arg(long, value_name = "ADDRESS")]
    http_listen: Option<String>,

    /// Folder for keys and state
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,

    /// What to log: error, warn, info, debug, trace, or as in info,gateway=debug
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,

    /// How to log: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,

    /// Run a bundled clip as the channel live/demo
    #[arg(long)]
    demo: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, as in hub.grace_ms=5000")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl SettingsArgs {
    /// Reads the configuration; if there is anything wrong, says all of it.
    fn load(&self) -> Result<Loaded, ExitCode> {
        let sources = Sources {
            file: self.config.clone(),
            // A name or value that is no Unicode cannot be one of ours.
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            flags: self.flags(),
        };
        settings::load(&sources).map_err(|problems| {
            for problem in &problems {
                eprintln!("rushlight: {problem}");
            }
            ExitCode::from(IMPOSSIBLE)
        })
    }

    fn flags(&self) -> Vec<Flag> {
        let set = self.set.iter().map(|(key, value)| Flag {
            name: "--set".to_owned(),
            key: key.clone(),
            value: value.clone(),
        });
        let demo = self.demo.then(|| "true".to_owned());
        let own = [
            ("--rtmp-listen", "rtmp.listen", &self.rtmp_listen),
            ("--http-listen", "http.listen", &self.http_listen),
            ("--data-dir", "data_dir", &self.data_dir),
            ("--log", "log.level", &self.log),
            ("--log-format", "log.format", &self.log_format),
            ("--demo", "demo.enabled", &demo),
        ];
        let own = own.into_iter().filter_map(|(name, key, value)| {
            Some(Flag { name: name.to_owned(), key: key.to_owned(), value: value.clone()? })
        });
        set.chain(own).collect()
    }
}
