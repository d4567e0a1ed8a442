//! nginx with its RTMP module: a server that other people wrote.

use crate::process::{Process, Scratch};
use crate::{program, wait};
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// A running nginx. Dropping it ends it.
#[derive(Debug)]
pub struct Nginx {
    /// The process.
    pub process: Process,
    /// Where RTMP listens.
    pub rtmp: SocketAddr,
    _scratch: Scratch,
}

impl Nginx {
    /// Starts it with an application `live`, with `directives` in it beside what makes it an ordinary live server, and waits
    /// until it listens.
    ///
    /// # Errors
    /// The sentence with which the test is skipped.
    pub fn start(directives: &str) -> Result<Self, String> {
        let nginx = program::find("nginx")?;
        if !Path::new(MODULE).exists() {
            return Err("nginx has no RTMP module".to_owned());
        }
        let scratch = Scratch::new();
        let rtmp = free_address();
        let folder = scratch.path().display();
        let mut config = String::new();
        let _ = write!(
            config,
            "load_module {MODULE}; worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             rtmp {{ access_log off; server {{ listen {rtmp}; chunk_size 4096;\n\
             application live {{ live on; wait_key on; wait_video on; publish_notify on; {directives} }}\n\
             }} }}\n"
        );
        let file = scratch.file("nginx.conf");
        std::fs::write(&file, config).map_err(|error| error.to_string())?;
        let mut process =
            Process::spawn(Command::new(nginx).arg("-p").arg(scratch.path()).arg("-c").arg(&file));
        wait::until("nginx listens", || {
            assert!(process.is_running(), "nginx ended at start: {}", process.output());
            TcpStream::connect(rtmp).ok()
        });
        Ok(Self { process, rtmp, _scratch: scratch })
    }

    /// `rtmp://…/live/CHANNEL`.
    pub fn rtmp_url(&self, channel: &str) -> String {
        format!("rtmp://{}/live/{channel}", self.rtmp)
    }
}

/// An address on which nothing listens, for programs that cannot choose one themselves.
///
/// # Panics
/// If there is none.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("a listener has an address")
}
