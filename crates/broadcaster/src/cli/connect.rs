//! How to connect: the options that all commands with an URL share.

use link::{Swf, Tls, Trust};
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

    /// Claim to be this SWF file, for servers that verify it: the hash in hexadecimal digits, as rtmpdump --swfVfy prints it.
    #[arg(long, value_name = "HASH", value_parser = swf_hash, requires = "swf_size")]
    pub swf_hash: Option<[u8; 32]>,

    /// Bytes of the SWF file, without compression.
    #[arg(long, value_name = "BYTES", requires = "swf_hash")]
    pub swf_size: Option<u32>,
}

fn swf_hash(text: &str) -> Result<[u8; 32], String> {
    let digits = text.as_bytes().as_chunks::<2>().0;
    let byte = |pair: &[u8; 2]| {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)
    };
    let bytes: Option<Vec<u8>> = digits.iter().map(byte).collect();
    let hash = bytes.filter(|_| text.len() == 64).and_then(|bytes| bytes.try_into().ok());
    hash.ok_or_else(|| "64 hexadecimal digits are needed".into())
}

impl ConnectArgs {
    /// The options of a link.
    pub fn options(&self) -> link::Options {
        let trust = match &self.ca {
            Some(file) => Trust::File(file.clone()),
            None if self.insecure => Trust::Insecure,
            None => Trust::System,
        };
        let swf = self.swf_hash.zip(self.swf_size).map(|(hash, size)| Swf { hash, size });
        link::Options { tls: Tls::from(trust), swf, ..link::Options::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        connect: ConnectArgs,
    }

    fn parse(args: &str) -> Result<ConnectArgs, clap::Error> {
        let args = std::iter::once("program").chain(args.split_whitespace());
        Program::try_parse_from(args).map(|program| program.connect)
    }

    #[test]
    fn a_swf_file_is_its_hash_and_its_size() {
        let hash = "0f".repeat(32);
        let swf = parse(&format!("--swf-hash {hash} --swf-size 9")).unwrap().options().swf.unwrap();
        assert_eq!((swf.hash, swf.size), ([15; 32], 9));
        for bad in ["--swf-size 9", "--swf-hash 0f --swf-size 9", &format!("--swf-hash {hash}")] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&format!("--swf-hash {}g0 --swf-size 9", &hash[2..])).is_err());
    }

    #[test]
    fn a_server_is_trusted_by_a_file_or_blindly_but_not_both() {
        assert!(parse("--insecure --ca a.pem").is_err());
        assert!(parse("--ca a.pem").unwrap().options().swf.is_none());
    }
}
