//! The formulas of Adobe's and Limelight's authentication, held against programs that other people wrote: a server that
//! asks as those of Adobe and Limelight do, and that lets in who answers as this crate would.
//!
//! A program that is not installed makes its test skip, loudly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use md5::{Digest, Md5};
use rtmp::url::Url;
use rtmp::{chunk, client, message, server};

const USER: &str = "me";
const PASSWORD: &str = "open-sesame";
const SALT: &str = "c2FsdA==";
const CHALLENGE: &str = "Y2hhbGxlbmdlcyE=";
const NONCE: &str = "0badcafe";

/// How long a program may take to start, be asked twice, and publish.
const PROGRAM_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Asks {
    /// With `opaque` or with `challenge`: programs disagree on what counts if there are both.
    Adobe {
        opaque: bool,
    },
    Limelight,
}

/// What a server does about a `connect`.
enum Decision {
    LetIn,
    Refuse(String),
}

impl Asks {
    fn decide(self, app: &str) -> Decision {
        let name = if self == Self::Limelight { "llnw" } else { "adobe" };
        let (app, query) = app.split_once('?').unwrap_or((app, ""));
        let given = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(known, _)| *known == key).map(|(_, value)| value)
        };
        let refuse = |what: &str| Decision::Refuse(format!("[ AccessManager.Reject ] : {what}"));
        if given("authmod") != Some(name) {
            return refuse(&format!("[ code=403 need auth; authmod={name} ] : "));
        }
        assert_eq!(given("user"), Some(USER));
        match given("response") {
            None => refuse(&format!("[ authmod={name} ] : ?reason=needauth&user={USER}&{}", self.question())),
            Some(response) if response == self.expected(app, given) => Decision::LetIn,
            Some(_) => refuse(&format!("[ authmod={name} ] : ?reason=authfailed")),
        }
    }

    fn question(self) -> String {
        match self {
            Self::Adobe { opaque: true } => format!("salt={SALT}&opaque={CHALLENGE}"),
            Self::Adobe { opaque: false } => format!("salt={SALT}&challenge={CHALLENGE}"),
            Self::Limelight => format!("nonce={NONCE}"),
        }
    }

    fn expected<'a>(self, app: &str, given: impl Fn(&str) -> Option<&'a str>) -> String {
        let base64 = |text: String| STANDARD.encode(Md5::digest(text));
        let hex =
            |text: String| Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Self::Adobe { .. } => {
                let known = base64(format!("{USER}{SALT}{PASSWORD}"));
                base64(format!("{known}{CHALLENGE}{}", given("challenge").unwrap()))
            }
            Self::Limelight => {
                assert_eq!((given("nonce"), given("nc")), (Some(NONCE), Some("00000001")));
                let instance = if app.contains('/') { "" } else { "/_definst_" };
                let known = hex(format!("{USER}:live:{PASSWORD}"));
                let wanted = hex(format!("publish:/{app}{instance}"));
                hex(format!("{known}:{NONCE}:00000001:{}:auth:{wanted}", given("cnonce").unwrap()))
            }
        }
    }
}

/// Serves on a port of its own until media is published; the channel then says after how many connections.
fn serve(asks: Asks) -> (SocketAddr, mpsc::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (published, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for count in 1.. {
            let Ok((stream, _)) = listener.accept() else { return };
            if serve_one(stream, asks).is_some() {
                let _ = published.send(count);
                return;
            }
        }
    });
    (address, receiver)
}

/// `Some` once the peer has published media, `None` if it was refused or left.
fn serve_one(mut stream: TcpStream, asks: Asks) -> Option<()> {
    let mut session = server::Session::new(server::Config::default(), [9; 32], Instant::now());
    let (mut input, mut refused, mut buffer) = (BytesMut::new(), false, [0; 4096]);
    while !refused {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        input.extend_from_slice(&buffer[..count]);
        session.handle_input(Instant::now(), &mut input).ok()?;
        while let Some(event) = session.poll_event() {
            match event {
                server::Event::Connect(connect) => match asks.decide(&connect.app) {
                    Decision::LetIn => session.accept_connect(),
                    Decision::Refuse(description) => {
                        session.reject_connect("NetConnection.Connect.Rejected", &description);
                        refused = true;
                    }
                },
                server::Event::Publish(publish) => session.accept_publish(publish.stream_id),
                server::Event::Message(message) if message.kind != message::DATA => return Some(()),
                _ => {}
            }
        }
        while let Some(bytes) = session.poll_output() {
            stream.write_all(&bytes).ok()?;
        }
    }
    // librtmp connects anew when it is told that this connection is over.
    let mut close = BytesMut::new();
    chunk::write_message(
        &mut close,
        128,
        3,
        0,
        message::COMMAND,
        0,
        &[b"\x02\0\x05close\0\0\0\0\0\0\0\0\0\x05"],
    );
    stream.write_all(&close).ok()?;
    let _ = stream.shutdown(std::net::Shutdown::Write);
    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
    None
}

/// A program that ends with its test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().expect("an installed program starts"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("authentication").to_owned();
    eprintln!("SKIPPED: {why}");
    if let Some(path) = std::env::var_os("RUSHLIGHT_SKIPS")
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = file.write_all(format!("{test}: {why}\n").as_bytes());
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn gstreamer_with(element: &str) -> Option<PathBuf> {
    let inspect = on_path("gst-inspect-1.0")?;
    let exists =
        Command::new(inspect).args(["--exists", element]).status().is_ok_and(|status| status.success());
    on_path("gst-launch-1.0").filter(|_| exists)
}

/// `command` publishes to `asks` after being asked twice.
fn authenticates(asks: Asks, command: impl FnOnce(SocketAddr) -> Command) {
    let (address, published) = serve(asks);
    let _program = Program::start(&mut command(address));
    assert_eq!(published.recv_timeout(PROGRAM_MAX), Ok(3), "{asks:?}: published on the third connection");
}

/// With the ffmpeg that `RUSHLIGHT_FFMPEG9` names, otherwise that of the system.
fn ffmpeg_authenticates(asks: Asks, app: &str) {
    let newer = std::env::var_os("RUSHLIGHT_FFMPEG9").map(PathBuf::from);
    let Some(ffmpeg) = newer.or_else(|| on_path("ffmpeg")) else { return skip("ffmpeg is not installed") };
    authenticates(asks, |address| {
        let mut command = Command::new(ffmpeg);
        command.args([
            "-v",
            "error",
            "-re",
            "-f",
            "lavfi",
            "-i",
            "sine",
            "-c:a",
            "pcm_s16le",
            "-ar",
            "44100",
        ]);
        command.args(["-f", "flv", &format!("rtmp://{USER}:{PASSWORD}@{address}/{app}/cam")]);
        command
    });
}

fn gstreamer_authenticates(asks: Asks, sink: &str, properties: impl FnOnce(SocketAddr) -> Vec<String>) {
    let Some(launch) = gstreamer_with(sink) else { return skip(&format!("GStreamer has no {sink}")) };
    authenticates(asks, |address| {
        let mut command = Command::new(launch);
        command.args("-q audiotestsrc is-live=true ! audio/x-raw,format=S16LE,rate=44100".split(' '));
        command.args(["!", "flvmux", "streamable=true", "!", sink]).args(properties(address));
        command
    });
}

#[test]
fn ffmpeg_answers_adobe() {
    for opaque in [true, false] {
        ffmpeg_authenticates(Asks::Adobe { opaque }, "live");
    }
}

#[test]
fn ffmpeg_answers_limelight() {
    for app in ["live", "live/room"] {
        ffmpeg_authenticates(Asks::Limelight, app);
    }
}

/// Not Adobe's: built with GnuTLS, as Debian does, librtmp then writes behind the end of a buffer.
#[test]
fn librtmp_answers_limelight() {
    gstreamer_authenticates(Asks::Limelight, "rtmpsink", |address| {
        let options = format!("app=live/room playpath=cam pubUser={USER} pubPasswd={PASSWORD}");
        vec![format!("location=rtmp://{address}/live/room/cam {options}")]
    });
}

#[test]
fn gstreamer_answers_adobe() {
    gstreamer_authenticates(Asks::Adobe { opaque: true }, "rtmp2sink", |address| {
        vec![
            format!("location=rtmp://{address}/live/cam"),
            format!("username={USER}"),
            format!("password={PASSWORD}"),
        ]
    });
}

/// One connection of our own client: what it is to do next, if it is not to publish.
fn publish_once(address: SocketAddr, config: client::Config) -> Option<client::Event> {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut session = client::Session::new(config, [8; 32], Instant::now());
    let (mut input, mut buffer) = (BytesMut::new(), [0; 4096]);
    loop {
        while let Some(bytes) = session.poll_output() {
            stream.write_all(&bytes).unwrap();
        }
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed without a word");
        input.extend_from_slice(&buffer[..count]);
        session.handle_input(Instant::now(), &mut input).unwrap();
        while let Some(event) = session.poll_event() {
            match event {
                client::Event::Publishing => {
                    session.send_message(message::AUDIO, 0, &[&[0x32, 0]]).unwrap();
                    while let Some(bytes) = session.poll_output() {
                        stream.write_all(&bytes).unwrap();
                    }
                    return None;
                }
                client::Event::Authenticate(_) | client::Event::Rejected(_) => return Some(event),
                _ => {}
            }
        }
    }
}

/// The last event of our own client with `url`.
fn ours(address: SocketAddr, credentials: &str, app: &str) -> Option<client::Event> {
    let url = Url::parse(&format!("rtmp://{credentials}@{address}/{app}/cam")).unwrap();
    let mut config = client::Config::publish(&url);
    loop {
        match publish_once(address, config.clone()) {
            Some(client::Event::Authenticate(auth)) => config.auth = Some(auth),
            event => return event,
        }
    }
}

#[test]
fn our_own_client_answers_both() {
    for asks in [Asks::Adobe { opaque: true }, Asks::Adobe { opaque: false }, Asks::Limelight] {
        for app in ["live", "live/room"] {
            let (address, published) = serve(asks);
            assert_eq!(ours(address, "me:open%2dsesame", app), None, "{asks:?}");
            assert_eq!(published.recv_timeout(PROGRAM_MAX), Ok(3));
        }
    }
}

#[test]
fn wrong_password_ends_in_a_refusal() {
    for asks in [Asks::Adobe { opaque: true }, Asks::Limelight] {
        let (address, _published) = serve(asks);
        let event = ours(address, "me:wrong", "live");
        assert!(
            matches!(&event, Some(client::Event::Rejected(status)) if status.description.contains("authfailed")),
            "{event:?}"
        );
    }
}
