//! Servers that other people wrote, for our clients.

use crate::process::{Process, Scratch};
use crate::{program, wait};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running server of somebody else, on ports of this machine alone. Dropping it ends it.
#[derive(Debug)]
pub struct Foreign {
    rtmp: u16,
    rtmps: u16,
    scratch: Scratch,
    _process: Process,
}

impl Foreign {
    /// nginx with the RTMP module that Debian has for it. It knows no TLS.
    ///
    /// # Errors
    /// The sentence with which the test is skipped.
    pub fn nginx() -> Result<Self, String> {
        let nginx = program::find("nginx")?;
        let module = Path::new("/usr/lib/nginx/modules/ngx_rtmp_module.so");
        if !module.exists() {
            return Err("nginx has no RTMP module (libnginx-mod-rtmp)".into());
        }
        Ok(Self::start(|ports, scratch| {
            let folder = scratch.path().display();
            let config = format!(
                "load_module {}; daemon off; master_process off; pid {folder}/pid; error_log stderr;
                events {{ worker_connections 64; }}
                rtmp {{ server {{
                    listen 127.0.0.1:{}; chunk_size 4096;
                    application live {{ live on; wait_key on; wait_video on; }}
                }} }}",
                module.display(),
                ports[0],
            );
            let file = scratch.file("nginx.conf");
            std::fs::write(&file, config).expect("the configuration can be written");
            let mut command = Command::new(&nginx);
            command.arg("-c").arg(file).arg("-p").arg(scratch.path());
            command
        }))
    }

    /// node-media-server, with TLS. `./test tools` installs it.
    ///
    /// # Errors
    /// The sentence with which the test is skipped.
    pub fn node_media_server() -> Result<Self, String> {
        let (node, openssl) = (program::find("node")?, program::find("openssl")?);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/node_modules/node-media-server");
        let app = folder.join("bin/app.js");
        if !app.exists() {
            return Err("node-media-server is not installed (./test tools)".into());
        }
        let scratch = Scratch::new();
        let (certificate, key) = (scratch.file("certificate.pem"), scratch.file("key.pem"));
        // As many a manual says it.
        let made = Command::new(openssl)
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            return Err("openssl makes no certificate".into());
        }
        Ok(Self::start_in(scratch, |ports, scratch| {
            let config = serde_json::json!({
                "bind": "127.0.0.1",
                "notify": { "url": "" },
                "store": { "path": scratch.file("data") },
                "auth": {
                    "play": false, "publish": false, "secret": "x", "jwt": { "secret": "x", "users": [] },
                },
                "rtmp": { "port": ports[0] },
                "rtmps": { "port": ports[1], "key": key, "cert": certificate },
                "http": { "port": ports[2] },
                "webadmin": { "enable": false },
                "record": { "auto": false, "path": scratch.file("record") },
            });
            let file = scratch.file("config.json");
            std::fs::write(&file, config.to_string()).expect("the configuration can be written");
            let mut command = Command::new(&node);
            command.arg(&app).arg("-c").arg(file).current_dir(scratch.path());
            command
        }))
    }

    /// `rtmp://…/live/CHANNEL`.
    pub fn rtmp_url(&self, channel: &str) -> String {
        format!("rtmp://127.0.0.1:{}/live/{channel}", self.rtmp)
    }

    /// `rtmps://…/live/CHANNEL`.
    pub fn rtmps_url(&self, channel: &str) -> String {
        format!("rtmps://127.0.0.1:{}/live/{channel}", self.rtmps)
    }

    /// What clients need to trust it.
    pub fn certificate(&self) -> PathBuf {
        self.scratch.file("certificate.pem")
    }

    /// A folder for what the test writes.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    fn start(command: impl Fn([u16; 3], &Scratch) -> Command) -> Self {
        Self::start_in(Scratch::new(), command)
    }

    /// Starts it on free ports and waits until it listens.
    fn start_in(scratch: Scratch, command: impl Fn([u16; 3], &Scratch) -> Command) -> Self {
        loop {
            let ports = free_ports();
            let mut process = Process::spawn(&mut command(ports, &scratch));
            let listens = wait::until("the server listens, or ends because somebody took its port", || {
                if !process.is_running() {
                    assert!(process.output().to_lowercase().contains("in use"), "{}", process.output());
                    return Some(false);
                }
                TcpStream::connect(("127.0.0.1", ports[0])).is_ok().then_some(true)
            });
            if listens {
                return Self { rtmp: ports[0], rtmps: ports[1], scratch, _process: process };
            }
        }
    }
}

/// Ports that are free now; most likely they still are in a moment.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("there is a free port"));
    listeners.map(|listener| listener.local_addr().expect("it has an address").port())
}
