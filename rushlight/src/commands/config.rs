//! `rushlight config`.

use std::process::ExitCode;

use gateway::Config;

use super::SettingsArgs;
use crate::settings;

/// Print the configuration as a documented file.
///
/// It is the one that `rushlight serve` would run with: defaults, file, environment and flags taken together. Keys of
/// publishers and viewers are in it if they are configured.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rushlight config --defaults > rushlight.toml   a file to edit
  rushlight config --set hub.grace_ms=5000       what a flag would change")]
pub(crate) struct ConfigArgs {
    /// Print the defaults, whatever is configured
    #[arg(long)]
    defaults: bool,

    #[command(flatten)]
    settings: SettingsArgs,
}

pub(crate) fn run(args: &ConfigArgs) -> ExitCode {
    let config = if args.defaults {
        Config::default()
    } else {
        match args.settings.load() {
            Ok(loaded) => loaded.config,
            Err(code) => return code,
        }
    };
    print!("{}", settings::print(&config));
    ExitCode::SUCCESS
}
