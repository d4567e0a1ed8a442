//! The real server on free ports.

use crate::process::{Process, Scratch};
use crate::{flv, http, program, wait};
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// A running `rushlight serve` with a data folder of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    /// The process.
    pub process: Process,
    /// Where RTMP listens.
    pub rtmp: SocketAddr,
    /// Where RTMP over TLS listens.
    pub rtmps: SocketAddr,
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// Where HTTP over TLS listens.
    pub https: SocketAddr,
    /// The command line it was started with.
    command: Vec<std::ffi::OsString>,
    scratch: Scratch,
}

impl Server {
    /// Starts with defaults.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts with settings such as `hub.wait_ms=500` on top of the defaults, and waits until it listens.
    ///
    /// # Panics
    /// If the program was not built, or does not come up.
    pub fn with(settings: &[&str]) -> Self {
        let Ok(server) = Self::wrapped(settings, Ok::<_, std::convert::Infallible>);
        server
    }

    /// As [`Server::with`], started by the command that `wrap` makes of the usual one.
    ///
    /// # Errors
    /// What `wrap` says.
    ///
    /// # Panics
    /// As [`Server::with`].
    pub fn wrapped<E>(
        settings: &[&str],
        wrap: impl FnOnce(Command) -> Result<Command, E>,
    ) -> Result<Self, E> {
        let scratch = Scratch::new();
        let mut command = Command::new(program::rushlight());
        let data = format!("data_dir={}", scratch.file("data").display());
        let addresses = scratch.file("addresses.json");
        command.arg("serve").arg("--addresses-file").arg(&addresses);
        for door in DOORS {
            command.arg("--set").arg(format!("{door}.listen=127.0.0.1:0"));
        }
        for setting in [data.as_str()].iter().chain(settings) {
            command.args(["--set", setting]);
        }
        let mut command = wrap(command)?;
        let mut process = Process::spawn(command.current_dir(scratch.path()));
        let [rtmp, rtmps, http, https] = await_open(&mut process, &addresses);
        let command = std::iter::once(command.get_program()).chain(command.get_args());
        let command = command.map(ToOwned::to_owned).collect();
        Ok(Self { rtmp, rtmps, http, https, process, command, scratch })
    }

    /// Starts it again, after it has ended, with the same settings and data. It listens elsewhere.
    ///
    /// # Panics
    /// As [`Server::with`].
    pub fn restart(&mut self) {
        self.process.kill();
        let addresses = self.scratch.file("addresses.json");
        let _ = std::fs::remove_file(&addresses);
        let mut command = Command::new(&self.command[0]);
        self.process = Process::spawn(command.args(&self.command[1..]).current_dir(self.scratch.path()));
        [self.rtmp, self.rtmps, self.http, self.https] = await_open(&mut self.process, &addresses);
    }

    /// `rtmp://…/live/CHANNEL`.
    pub fn rtmp_url(&self, channel: &str) -> String {
        format!("rtmp://{}/live/{channel}", self.rtmp)
    }

    /// `rtmpe://…/live/CHANNEL`.
    pub fn rtmpe_url(&self, channel: &str) -> String {
        format!("rtmpe://{}/live/{channel}", self.rtmp)
    }

    /// `rtmpt://…/live/CHANNEL`.
    pub fn rtmpt_url(&self, channel: &str) -> String {
        format!("rtmpt://{}/live/{channel}", self.http)
    }

    /// `rtmpte://…/live/CHANNEL`.
    pub fn rtmpte_url(&self, channel: &str) -> String {
        format!("rtmpte://{}/live/{channel}", self.http)
    }

    /// `rtmpts://…/live/CHANNEL`.
    pub fn rtmpts_url(&self, channel: &str) -> String {
        format!("rtmpts://{}/live/{channel}", self.https)
    }

    /// `rtmps://…/live/CHANNEL`.
    pub fn rtmps_url(&self, channel: &str) -> String {
        format!("rtmps://{}/live/{channel}", self.rtmps)
    }

    /// `https://…/live/CHANNEL.flv`.
    pub fn https_flv_url(&self, channel: &str) -> String {
        format!("https://{}/live/{channel}.flv", self.https)
    }

    /// The certificate that it made for itself: what clients need to trust it.
    pub fn certificate(&self) -> std::path::PathBuf {
        self.data().join("tls/certificate.pem")
    }

    /// `http://…/live/CHANNEL.flv`.
    pub fn flv_url(&self, channel: &str) -> String {
        format!("http://{}/live/{channel}.flv", self.http)
    }

    /// `ws://…/live/CHANNEL.flv`.
    pub fn websocket_url(&self, channel: &str) -> String {
        format!("ws://{}/live/{channel}.flv", self.http)
    }

    /// Its data folder.
    pub fn data(&self) -> std::path::PathBuf {
        self.scratch.file("data")
    }

    /// A folder for what the test writes.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Opens the live FLV response of a channel of the app `live`, with `query` such as `?startPts=1` or nothing.
    ///
    /// # Errors
    /// If the response is no live stream.
    pub fn open_flv(&self, channel: &str, query: &str) -> io::Result<flv::Reader<http::Body>> {
        let response = http::get(self.http, &format!("/live/{channel}.flv{query}"))?;
        if response.status != 200 {
            return Err(io::Error::other(format!("status {}", response.status)));
        }
        flv::Reader::new(response.body)
    }

    /// The key that publishes where loopback does not count: in HTTP requests.
    ///
    /// # Panics
    /// If the server has made none, because one is configured.
    pub fn publish_key(&self) -> String {
        self.secret("publish.key")
    }

    /// What the API wants of the operator.
    ///
    /// # Panics
    /// If the server has made none.
    pub fn operator_token(&self) -> String {
        self.secret("operator.token")
    }

    fn secret(&self, file: &str) -> String {
        let text = std::fs::read_to_string(self.data().join(file));
        text.expect("the first start writes its keys").trim().to_owned()
    }

    /// A JSON document of the API, as its operator sees it; `None` where it does not exist.
    ///
    /// # Panics
    /// If the server does not answer, or answers with anything but JSON.
    pub fn api(&self, path: &str) -> Option<Value> {
        let bearer = format!("Bearer {}", self.operator_token());
        let headers = [("Authorization", bearer.as_str()), ("Connection", "close")];
        let path = format!("/api/v1/{path}");
        let response = http::request(self.http, "GET", &path, &headers, b"").expect("the API answers");
        let status = response.status;
        let text = response.text().expect("the API answers completely");
        let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {status}, {e}: {text}"));
        (status == 200).then_some(value)
    }

    /// The status of a channel of the app `live`, if it exists.
    pub fn channel(&self, channel: &str) -> Option<Value> {
        self.api(&format!("channels/live/{channel}"))
    }

    /// Whether a publisher is live on a channel.
    pub fn is_live(&self, channel: &str) -> bool {
        self.channel(channel).is_some_and(|status| status["live"] == true)
    }

    /// Waits until a channel is live and its video is known.
    ///
    /// # Panics
    /// After the deadline.
    #[track_caller]
    pub fn await_live(&self, channel: &str) -> Value {
        wait::until(&format!("{channel} goes live"), || {
            self.channel(channel).filter(|s| s["live"] == true && !s["video"].is_null())
        })
    }

    /// Waits until at least this many play sessions exist, on channels that need not be live yet.
    ///
    /// # Panics
    /// After the deadline.
    #[track_caller]
    pub fn await_players(&self, players: usize) {
        wait::until(&format!("{players} players are there"), || {
            (self.sessions("play") >= players).then_some(())
        });
    }

    /// How many sessions of a role (`publish` or `play`) there are.
    pub fn sessions(&self, role: &str) -> usize {
        let listed = self.api("sessions").expect("sessions are always listed");
        listed["sessions"].as_array().map_or(0, |all| all.iter().filter(|s| s["role"] == role).count())
    }

    /// The metrics page.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn metrics(&self) -> String {
        http::get(self.http, "/metrics").and_then(http::Response::text).expect("the metrics page answers")
    }

    /// The sum of all samples of a metric whose line contains every one of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        self.metrics()
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

/// What it listens for, in the order of the fields of [`Server`].
const DOORS: [&str; 4] = ["rtmp", "rtmps", "http", "https"];

fn await_open(process: &mut Process, addresses: &Path) -> [SocketAddr; 4] {
    wait::until("the server says where it listens", || {
        assert!(process.is_running(), "the server ended at start");
        opened(addresses, DOORS)
    })
}

/// The addresses in the file that the server writes once it listens: `{"rtmp": ["…"], "http": ["…"], …}`.
fn opened<const N: usize>(file: &Path, doors: [&str; N]) -> Option<[SocketAddr; N]> {
    let listed: Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
    let addresses = doors.map(|door| listed[door][0].as_str().map(str::parse));
    let open: Vec<SocketAddr> = addresses.into_iter().flatten().filter_map(Result::ok).collect();
    open.try_into().ok()
}
