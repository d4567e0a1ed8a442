//! How to connect: the options that all commands with an URL share.

use link::{Tls, Trust};
use std::path::PathBuf;

/// How to connect.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectArgs {
    /// Accept every certificate of a TLS server (rtmps, rtmpts, https, wss). Whoever is on the way can then read and change
    /// everything.
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,

    /// Accept TLS servers with a certificate that is in this PEM file, or was issued by one that is, instead of those that
    /// the system trusts.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl ConnectArgs {
    /// The options of a link.
    pub fn options(&self) -> link::Options {
        let trust = match &self.ca {
            Some(file) => Trust::File(file.clone()),
            None if self.insecure => Trust::Insecure,
            None => Trust::System,
        };
        link::Options { tls: Tls::from(trust), ..link::Options::default() }
    }
}
