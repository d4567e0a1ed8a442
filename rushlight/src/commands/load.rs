//! `rushlight load`.

use std::process::ExitCode;

pub(crate) use ::load::cli::LoadArgs;

pub(crate) fn run(args: LoadArgs) -> ExitCode {
    super::measure(::load::cli::run(args))
}
