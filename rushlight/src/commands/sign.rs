//! `rushlight sign`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use gateway::config::parse_channel;
use gateway::signed_query;
use media::StreamName;

use super::{IMPOSSIBLE, SettingsArgs, fail};

/// Print an address that plays a stream for a while, where playing needs a key or a signature (access.sign_secret).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rushlight sign http://example.org:8080/live/cam.m3u8 --for 2h
  rushlight sign rtmp://example.org/live/cam --for 30m
  rushlight sign --stream live/cam --for 7d http://example.org:8080/api/v1/channels/live/cam

What is signed is the stream: the same query plays it over every protocol. Who watches when the time
is over goes on; an HLS or DASH session does so for 12 hours at most. A recording stops then: give its
address as long as watching it takes.")]
pub(crate) struct SignArgs {
    /// The address to sign: the stream is its application and channel, as in /live/cam.m3u8
    #[arg(value_name = "URL")]
    url: String,

    /// How long it begins to play: a number with s, m, h or d
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    valid: Duration,

    /// The stream, where the address does not name it: live/cam
    #[arg(long, value_name = "STREAM", value_parser = parse_channel)]
    stream: Option<StreamName>,

    #[command(flatten)]
    settings: SettingsArgs,
}

pub(crate) fn run(args: &SignArgs) -> ExitCode {
    let config = match args.settings.load() {
        Ok(loaded) => loaded.config,
        Err(code) => return code,
    };
    let Some(secret) = &config.access.sign_secret else {
        return fail(IMPOSSIBLE, "there is nothing to sign with: set access.sign_secret, for the server too");
    };
    let Some(name) = args.stream.clone().or_else(|| stream_of(&args.url)) else {
        return fail(
            IMPOSSIBLE,
            format!("{} names no stream: add --stream live/NAME with the stream that it plays", args.url),
        );
    };
    let query = signed_query(secret, &name, SystemTime::now() + args.valid);
    let separator = if args.url.contains('?') { '&' } else { '?' };
    println!("{}{separator}{query}", args.url);
    ExitCode::SUCCESS
}

/// The stream of an address: the first two parts of its path, the extension of a file left out.
fn stream_of(url: &str) -> Option<StreamName> {
    const EXTENSIONS: [&str; 5] = [".m3u8", ".mpd", ".cmaf", ".flv", ".ts"];
    let path = url.split_once("://")?.1.split(['?', '#']).next()?.split_once('/')?.1;
    let mut parts = path.split('/');
    let (app, channel) = (parts.next()?, parts.next()?);
    let is_file = parts.next().is_none();
    let stem = EXTENSIONS.iter().find_map(|extension| channel.strip_suffix(extension));
    StreamName::parse(app, stem.filter(|_| is_file).unwrap_or(channel)).ok()
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write a number and s, m, h or d, such as 2h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(seconds * u64::from(count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_found_in_addresses_of_all_protocols() {
        for url in [
            "http://h:8080/live/cam.m3u8",
            "https://h/live/cam.mpd?x=1",
            "rtmp://h/live/cam",
            "ws://[::1]:8080/live/cam.flv",
            "http://h/live/cam/ts.m3u8",
        ] {
            assert_eq!(stream_of(url).unwrap().as_str(), "live/cam", "{url}");
        }
        for url in ["http://h", "http://h/x", "live/cam", "http://h//cam", "http://h/../cam"] {
            assert_eq!(stream_of(url), None, "{url}");
        }
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "2", "h", "-1h", "2ä", "99999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
