//! `rushlight keys`.

use std::process::ExitCode;

use super::{FAILED, IMPOSSIBLE, SettingsArgs, fail};
use crate::keyfile::{self, Kind};

/// Print the key that publishes from other machines, or the token of the operator, or make a new one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rushlight keys            the key; the first time it is made
  rushlight keys --rotate   a new key; the old one ends with the next start of the server
  curl -H \"Authorization: Bearer $(rushlight keys --operator)\" http://localhost:8080/api/v1/sessions")]
pub(crate) struct KeysArgs {
    /// The token that the API wants of the operator, instead of the key
    #[arg(long)]
    operator: bool,

    /// Replace it by a new one; a running server takes it when it is started again
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
    let (kind, configured, setting) = if args.operator {
        (Kind::OperatorToken, &config.access.operator_token, "access.operator_token")
    } else {
        (Kind::PublishKey, &config.access.publish_key, "access.publish_key")
    };
    match configured {
        Some(_) if args.rotate => {
            return fail(
                IMPOSSIBLE,
                format!("{setting} is configured and comes before the file: change it there"),
            );
        }
        Some(key) => {
            println!("{}", key.expose());
            return ExitCode::SUCCESS;
        }
        None => {}
    }
    let make = if args.rotate { keyfile::create } else { keyfile::load };
    let key = make(&config.data_dir, kind);
    match key {
        Ok(key) => {
            println!("{}", key.key.expose());
            ExitCode::SUCCESS
        }
        Err(error) => fail(FAILED, error),
    }
}
