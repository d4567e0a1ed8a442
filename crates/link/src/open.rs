//! From an URL to a stream that runs: connecting, being sent elsewhere, and saying who we are.

use crate::connection::Connection;
use crate::limits::{AUTH_ROUNDS_MAX, REDIRECTS_MAX};
use crate::{Error, Options, Times};
use rtmp::client::{Auth, Config, Event, Role};
use rtmp::url::Url;
use rtmp::{Status, url};
use std::time::Instant;
use tokio::time::timeout_at;

/// Bytes that a server sends in the handshake: S0, S1 and S2 (`RTMP` section 5.2). When they are here, the client has sent
/// the end of its own handshake with all commands behind it.
const HANDSHAKE_BYTES: u64 = 1 + 1536 + 1536;

/// A connection on which the server has agreed.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    /// Where that was.
    pub(crate) url: Url,
    pub(crate) times: Times,
}

/// What a server said.
enum Answer {
    Agreed(Box<(Connection, Times)>),
    /// Connect to that instead.
    Elsewhere(String),
    /// Connect again as somebody.
    Authenticate(Auth),
}

/// Connects, as often as the server wants it, until it plays or takes the stream.
pub(crate) async fn open(url: &Url, role: Role, options: &Options) -> Result<Opened, Error> {
    if url.app.is_empty() || url.name.is_empty() {
        let scheme = url.scheme.as_str();
        return Err(Error::Url(format!(
            "{url}: expected {scheme}://HOST/APP/CHANNEL, such as {scheme}://localhost/live/me"
        )));
    }
    let deadline = Instant::now() + options.timeout;
    let mut visited = vec![url.clone()];
    let mut auth = None;
    let mut rounds = 0;
    loop {
        let url = visited.last().unwrap_or(url).clone();
        let config = config(&url, role, options, auth.take());
        match attempt(&url, config, options, deadline).await? {
            Answer::Agreed(agreed) => {
                let (connection, times) = *agreed;
                return Ok(Opened { connection, url, times });
            }
            Answer::Elsewhere(to) => {
                let to = moved(&url, Some(&to))?;
                if visited.contains(&to) {
                    return Err(Error::Redirects(format!("the server redirects in a circle, back to {to}")));
                }
                if visited.len() > REDIRECTS_MAX {
                    return Err(Error::Redirects(format!(
                        "the server redirects more than {REDIRECTS_MAX} times, now to {to}"
                    )));
                }
                visited.push(to);
                rounds = 0;
            }
            Answer::Authenticate(_) if rounds == AUTH_ROUNDS_MAX => {
                return Err(Error::Credentials { given: true });
            }
            Answer::Authenticate(answer) => {
                rounds += 1;
                auth = Some(answer);
            }
        }
    }
}

fn config(url: &Url, role: Role, options: &Options, auth: Option<Auth>) -> Config {
    let mut config = match role {
        Role::Play => Config::play(url),
        Role::Publish => Config::publish(url),
    };
    config.pipelined = options.pipelined;
    (config.audio, config.video) = (options.audio, options.video);
    config.swf = options.swf;
    if let Some(note) = &options.note {
        config.flash_ver = format!("{} ({note})", config.flash_ver);
    }
    config.start_timeout = options.timeout;
    config.auth = auth.or(config.auth);
    config
}

/// One connection, up to the server's answer.
async fn attempt(url: &Url, config: Config, options: &Options, deadline: Instant) -> Result<Answer, Error> {
    let mut connection = Connection::open(url, options, config, deadline).await?;
    let connected = connection.carrier().connected;
    let mut requested = None;
    loop {
        let stepped = timeout_at(deadline.into(), connection.step()).await;
        let open = stepped.map_err(|_| Error::Timeout("neither accepted nor refused the stream"))??;
        if connection.session_bytes_in >= HANDSHAKE_BYTES {
            requested.get_or_insert(connection.arrived);
        }
        while let Some(event) = connection.poll_event() {
            match event {
                Event::Publishing | Event::Playing => {
                    let accepted = connection.arrived;
                    let times = Times { connected, requested: requested.unwrap_or(accepted), accepted };
                    return Ok(Answer::Agreed(Box::new((connection, times))));
                }
                Event::Redirect { tc_url } => return Ok(Answer::Elsewhere(tc_url)),
                Event::Authenticate(auth) => return Ok(Answer::Authenticate(auth)),
                Event::Rejected(status) => return Err(refusal(status, url)),
                _ => {}
            }
        }
        if !open {
            return Err(Error::Closed("before it accepted the stream"));
        }
    }
}

fn refusal(status: Status, url: &Url) -> Error {
    // Both ways of asking say so like this, and nothing else does.
    if status.description.contains("authmod=") {
        return Error::Credentials { given: !url.user.is_empty() };
    }
    status.into()
}

/// Where a server wants us that sends us elsewhere ("connect" redirects, and E-RTMP v2 "Reconnect Request"): an absolute URL,
/// one relative to our own, or the same again. The stream's name and the credentials stay.
///
/// # Errors
/// `Url` if it is none, or would take us out of TLS, or out of the encryption of RTMPE to where nothing is encrypted.
pub fn moved(url: &Url, to: Option<&str>) -> Result<Url, Error> {
    let Some(to) = to else { return Ok(url.clone()) };
    let base = if let Some(rest) = to.strip_prefix("//") {
        format!("{}://{rest}", url.scheme.as_str())
    } else if to.starts_with('/') {
        format!("{}://{}{to}", url.scheme.as_str(), url.authority())
    } else {
        to.to_owned()
    };
    let bad =
        |why: &str| Error::Url(format!("the server sends us to {}: {why}", url::without_credentials(to)));
    let mut moved = Url::parse(&base).map_err(|error| bad(&error.to_string()))?;
    if url.scheme.is_tls() && !moved.scheme.is_tls() {
        return Err(bad("that is without TLS"));
    }
    if url.scheme.is_encrypted() && !(moved.scheme.is_encrypted() || moved.scheme.is_tls()) {
        return Err(bad("that is without encryption"));
    }
    // It names an application, or a stream in it: ours.
    if moved.name != url.name || moved.app.is_empty() {
        moved.app = if moved.name.is_empty() { moved.app } else { format!("{}/{}", moved.app, moved.name) };
        moved.name.clone_from(&url.name);
    }
    moved.query = match (url.query.as_str(), moved.query.as_str()) {
        (own, "") => own.to_owned(),
        ("", other) => other.to_owned(),
        (own, other) if own == other => own.to_owned(),
        (own, other) => format!("{own}&{other}"),
    };
    if moved.user.is_empty() {
        (moved.user, moved.password) = (url.user.clone(), url.password.clone());
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_send_us_elsewhere_by_an_absolute_or_a_relative_url() {
        let url = Url::parse("rtmp://a:1936/live/me?key=1").unwrap();
        let to = |to: Option<&str>| moved(&url, to).unwrap().to_string();
        assert_eq!(to(None), "rtmp://a:1936/live/me?key=1");
        assert_eq!(to(Some("rtmp://b/other")), "rtmp://b:1935/other/me?key=1");
        assert_eq!(to(Some("rtmp://b/other/me")), "rtmp://b:1935/other/me?key=1");
        assert_eq!(to(Some("rtmp://b/live/instance")), "rtmp://b:1935/live/instance/me?key=1");
        assert_eq!(to(Some("rtmp://b/other?token=2")), "rtmp://b:1935/other/me?key=1&token=2");
        assert_eq!(to(Some("//b:19/other/")), "rtmp://b:19/other/me?key=1");
        assert_eq!(to(Some("/other")), "rtmp://a:1936/other/me?key=1");
        assert!(moved(&url, Some("http://b/")).is_err());
    }

    #[test]
    fn nobody_sends_us_out_of_tls_or_takes_our_credentials() {
        let url = Url::parse("rtmps://user:secret@a/live/me").unwrap();
        let error = moved(&url, Some("rtmp://b/live")).unwrap_err().to_string();
        assert_eq!(error, "the server sends us to rtmp://b/live: that is without TLS");
        let moved = moved(&url, Some("rtmpts://b/live")).unwrap();
        assert_eq!((moved.user.as_str(), moved.password.as_str()), ("user", "secret"));
    }

    #[test]
    fn encryption_is_not_lost_on_the_way() {
        for (from, to, may) in [
            ("rtmpe", "rtmp", false),
            ("rtmpe", "rtmpt", false),
            ("rtmpte", "rtmp", false),
            ("rtmpte", "rtmpt", false),
            ("rtmpe", "rtmpte", true),
            ("rtmpte", "rtmpe", true),
            ("rtmpe", "rtmps", true),
            ("rtmpte", "rtmpts", true),
            ("rtmps", "rtmpe", false),
            ("rtmp", "rtmp", true),
        ] {
            let url = Url::parse(&format!("{from}://a/live/me")).unwrap();
            assert_eq!(moved(&url, Some(&format!("{to}://b/live"))).is_ok(), may, "{from} to {to}");
        }
    }

    #[tokio::test]
    async fn addresses_without_a_channel_are_refused_with_an_example() {
        for bad in ["rtmp://localhost", "rtmp://localhost/live"] {
            let url = Url::parse(bad).unwrap();
            let error = open(&url, Role::Play, &Options::default()).await.err().unwrap();
            assert!(
                matches!(&error, Error::Url(what) if what.contains("rtmp://localhost/live/me")),
                "{error}"
            );
        }
    }
}
