//! Logs, on standard error.

mod queue;

use std::io::{self, IsTerminal};
use std::time::Duration;

use gateway::config::{LogConfig, LogFormat};
use queue::Lines;
use tracing_subscriber::EnvFilter;

/// How long the end of the program waits for its last lines.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// The logs of this run. Dropping it writes what is still on its way.
#[derive(Debug)]
pub(crate) struct Logs(Lines);

impl Drop for Logs {
    fn drop(&mut self) {
        self.0.flush(FLUSH_MAX);
    }
}

/// Begins to log as `config` says. The parts of a log directive are the names of crates: `gateway`, `hub`, `net`.
pub(crate) fn start(config: &LogConfig) -> Result<Logs, String> {
    let mut level = config.level.clone();
    // It tells what it tries again, as if that were news; who gave it the work says what came of it.
    if !level.contains("object_store") {
        level.push_str(",object_store=warn");
    }
    let filter = EnvFilter::try_new(&level).map_err(|error| format!("log.level: {error}"))?;
    let lines = Lines::default();
    let writer = lines.clone();
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            writer.write_to(io::stderr(), |dropped| {
                tracing::warn!(
                    dropped,
                    "lines of the log were dropped: standard error takes them too slowly"
                );
            });
        })
        .map_err(|error| format!("logging cannot start: {error}"))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines.clone());
    let started = match config.format {
        LogFormat::Text => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            logs.with_ansi(colour).with_target(false).try_init()
        }
        LogFormat::Json => {
            logs.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
    };
    started.map_err(|error| format!("logging cannot start: {error}"))?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(location, "panic: {message}");
    }));
    Ok(Logs(lines))
}
