//! The `rushlight` program.
//!
//! Exit codes: 0 for success, 1 when something failed while it ran, 2 when it was asked for something impossible
//! (arguments, configuration, a busy port).

mod banner;
mod commands;
mod demo;
mod keyfile;
mod logging;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
#[cfg(feature = "engine")]
use commands::engine;
use commands::{config, keys, load, play, publish, serve, sign};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A complete personal live-streaming system: publish with OBS or ffmpeg, watch in a browser.
#[derive(Debug, Parser)]
#[command(name = "rushlight", version, after_help = EXAMPLES, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  rushlight serve --demo                        start, and watch http://localhost:8080/watch/demo
  rushlight publish clip.mp4 rtmp://localhost/live/cam --loop
                                                send a file as a live stream
  rushlight play rtmp://localhost/live/cam      play and measure how fast it starts
  rushlight load --help                         many players at once
  rushlight config --defaults > rushlight.toml  a configuration to edit, with what each key means

'rushlight COMMAND --help' explains each command.";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Publish(publish::PublishArgs),
    Play(play::PlayArgs),
    Load(Box<load::LoadArgs>),
    Config(config::ConfigArgs),
    Keys(keys::KeysArgs),
    Sign(sign::SignArgs),
    #[cfg(feature = "engine")]
    Engine(engine::EngineArgs),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Publish(args) => publish::run(args),
        Command::Play(args) => play::run(args),
        Command::Load(args) => load::run(*args),
        Command::Config(args) => config::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Sign(args) => sign::run(&args),
        #[cfg(feature = "engine")]
        Command::Engine(args) => engine::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
