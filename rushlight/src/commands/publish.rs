//! `rushlight publish`.

use std::process::ExitCode;

pub(crate) use broadcaster::cli::PublishArgs;

use super::{FAILED, block_on, fail};

pub(crate) fn run(args: PublishArgs) -> ExitCode {
    match block_on(broadcaster::cli::run(args)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(FAILED, error),
        Err(code) => code,
    }
}
