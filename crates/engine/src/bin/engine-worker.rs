//! A worker and nothing else. The server starts itself as its workers; this is for whoever uses the engine without one.

use std::process::ExitCode;

fn main() -> ExitCode {
    match engine::worker::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("engine-worker: {error}");
            ExitCode::FAILURE
        }
    }
}
