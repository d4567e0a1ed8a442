//! SeaweedFS, an S3 server that other people wrote, and a line to it that can be cut.

use crate::nginx::free_address;
use crate::process::{Process, Scratch};
use crate::{http, program, wait};
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What it listens on, next to S3 itself.
const PORTS: [&str; 7] = [
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port.grpc",
    "s3.port.grpc",
    "filer.port",
];

/// An S3 server. Dropping it ends it.
#[derive(Debug)]
pub struct S3 {
    weed: PathBuf,
    /// Where it listens, whenever it runs.
    pub address: SocketAddr,
    ports: Vec<SocketAddr>,
    process: Option<Process>,
    scratch: Scratch,
}

impl S3 {
    /// A server that does not run yet.
    ///
    /// # Errors
    /// The sentence with which the test is skipped.
    pub fn new() -> Result<Self, String> {
        let weed = program::seaweedfs()?;
        let scratch = Scratch::new();
        let who = r#"{"identities":[{"name":"us","credentials":[{"accessKey":"key","secretKey":"secret"}],
            "actions":["Admin","Read","Write","List"]}]}"#;
        let made = std::fs::write(scratch.file("who.json"), who);
        made.and_then(|()| std::fs::create_dir(scratch.file("data"))).map_err(|error| error.to_string())?;
        let ports = PORTS.map(|_| free_address()).to_vec();
        Ok(Self { weed, address: free_address(), ports, process: None, scratch })
    }

    /// Starts it, and waits until it takes objects.
    ///
    /// # Panics
    /// If it does not.
    pub fn start(&mut self) {
        let mut command = Command::new(&self.weed);
        command.current_dir(self.scratch.path());
        command.args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            "-s3.iam=false",
            "-s3.config=who.json",
        ]);
        command.args(["-dir=data", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=true"]);
        command.args([
            "-volume.max=100",
            "-volume.preStopSeconds=0",
            "-volume.minFreeSpace=64MiB",
            "-master.telemetry=false",
        ]);
        command.args(["-master.volumeSizeLimitMB=64", &format!("-s3.port={}", self.address.port())]);
        for (name, address) in PORTS.iter().zip(&self.ports) {
            command.arg(format!("-{name}={}", address.port()));
        }
        let mut process = Process::spawn(&mut command);
        wait::until("SeaweedFS takes objects", || {
            assert!(process.is_running(), "SeaweedFS ended at start: {}", process.output());
            let answer =
                http::request(self.files(), "PUT", "/probe", &[("Content-Type", "text/plain")], b"x").ok()?;
            let is_open = http::get(self.address, "/").is_ok_and(|answer| answer.status == 403);
            (answer.status == 201 && is_open).then_some(())
        });
        self.process = Some(process);
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Where the same objects are files, for everybody.
    fn files(&self) -> SocketAddr {
        *self.ports.last().expect("there are ports")
    }

    /// The bytes of an object of the bucket, if it is there.
    pub fn object(&self, name: &str) -> Option<Vec<u8>> {
        let path = format!("/buckets/bucket/{name}");
        let mut answer = http::request(self.files(), "GET", &path, &[("Connection", "close")], b"")
            .ok()
            .filter(|it| it.status == 200)?;
        let mut bytes = Vec::new();
        answer.body.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The names of all objects of the bucket that are in a folder or below.
    pub fn objects(&self, folder: &str) -> Vec<String> {
        let path = format!("/buckets/bucket/{folder}/?limit=1000");
        let headers = [("Accept", "application/json"), ("Connection", "close")];
        let answer =
            http::request(self.files(), "GET", &path, &headers, b"").ok().and_then(|it| it.text().ok());
        let listed: Value = answer.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let mut names = Vec::new();
        for entry in listed["Entries"].as_array().into_iter().flatten() {
            let path = entry["FullPath"].as_str().unwrap_or_default();
            let name = format!("{folder}/{}", path.rsplit('/').next().unwrap_or_default());
            // A folder, as the modes of Go say it.
            if entry["Mode"].as_u64().is_some_and(|mode| mode & 1 << 31 != 0) {
                names.extend(self.objects(&name));
            } else {
                names.push(name);
            }
        }
        names
    }

    /// The settings with which recordings go there, through `address`.
    pub fn settings(address: SocketAddr) -> [String; 5] {
        [
            "record.store=s3://bucket/some/prefix".to_owned(),
            format!("record.store_endpoint=http://{address}"),
            "record.store_access_key_id=key".to_owned(),
            "record.store_secret_access_key=secret".to_owned(),
            "record.store_allow_http=true".to_owned(),
        ]
    }
}

/// A line to a server that breaks when it has carried a number of bytes, and is open again when it is mended.
#[derive(Debug)]
pub struct Line {
    /// Where it begins.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that may still go to the server.
    left: AtomicU64,
    /// Bytes that went.
    carried: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Line {
    /// A line to `server` that breaks behind `bytes`.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn new(server: SocketAddr, bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(State { left: AtomicU64::new(bytes), ..State::default() });
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Broken: closed before a word was said.
                if shared.left.load(Ordering::Acquire) > 0 {
                    let _ = carry(&client, server, &shared);
                }
            }
        });
        Self { address, state }
    }

    /// Opens it again, for ever.
    pub fn mend(&self) {
        self.state.left.store(u64::MAX, Ordering::Release);
    }

    /// Bytes that went to the server so far.
    pub fn carried(&self) -> u64 {
        self.state.carried.load(Ordering::Acquire)
    }
}

fn carry(client: &TcpStream, server: SocketAddr, state: &Arc<State>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let mut answers = (server.try_clone()?, client.try_clone()?);
    let mut open = state.open.lock().unwrap_or_else(PoisonError::into_inner);
    open.extend([server.try_clone()?, client.try_clone()?]);
    drop(open);
    thread::spawn(move || {
        let _ = io::copy(&mut answers.0, &mut answers.1);
        let _ = answers.1.shutdown(Shutdown::Both);
    });
    let (mut requests, mut server, state) = (client.try_clone()?, server, state.clone());
    thread::spawn(move || {
        let mut piece = vec![0; 64 << 10];
        while let Ok(count @ 1..) = requests.read(&mut piece) {
            let take =
                |left: u64| Some(if left == u64::MAX { left } else { left.saturating_sub(count as u64) });
            let left = state.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).unwrap_or(0);
            if left < count as u64 {
                for stream in state.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
                return;
            }
            state.carried.fetch_add(count as u64, Ordering::AcqRel);
            if server.write_all(&piece[..count]).is_err() {
                return;
            }
        }
        let _ = server.shutdown(Shutdown::Write);
    });
    Ok(())
}
