//! `rushlight play`.

use std::process::ExitCode;

pub(crate) use ::load::play::PlayArgs;

pub(crate) fn run(args: PlayArgs) -> ExitCode {
    super::measure(::load::play::run(args))
}
