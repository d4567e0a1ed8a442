//! `rushlight keys`.

use std::process::ExitCode;

use super::{FAILED, IMPOSSIBLE, SettingsArgs, fail};
use crate::keyfile;

/// Print the key that publishes from other machines, or make a new one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rushlight keys            the key; the first time it is made
  rushlight keys --rotate   a new key; the old one ends with the next start of the server")]
pub(crate) struct KeysArgs {
    /// Replace the key by a new one; a running server takes it when it is started again
    #[arg(long)]
    rotate: bool,

    #[command(flatten)]
    settings: SettingsArgs,
}

pub(crate) fn run(args: &KeysArgs) -> ExitCode {
    let config = match args.settings.load() {
        Ok(loaded) => loaded.config,
        Err(code) => return code,
    };
    match &config.access.publish_key {
        Some(_) if args.rotate => {
            return fail(
                IMPOSSIBLE,
                "access.publish_key is configured and comes before the key file: change it there",
            );
        }
        Some(key) => {
            println!("{}", key.expose());
            return ExitCode::SUCCESS;
        }
        None => {}
    }
    let key = if args.rotate { keyfile::create(&config.data_dir) } else { keyfile::load(&config.data_dir) };
    match key {
        Ok(key) => {
            println!("{}", key.key);
            ExitCode::SUCCESS
        }
        Err(error) => fail(FAILED, error),
    }
}
