//! A network namespace under `/run/netns`, made and removed with the `ip` program.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Error, run};

/// Where `ip netns` keeps its names.
const DIRECTORY: &str = "/run/netns";

const PREFIX: &str = "rushlight-";

/// Numbers the emulations of this process.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A namespace that is removed on drop.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes `rushlight-PID-NUMBER-LABEL` with its loopback device up.
    pub(super) fn create(label: &str) -> Result<Self, Error> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{label}", std::process::id());
        run("ip", &["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sets a kernel variable of this namespace.
    pub(super) fn set(&self, key: &str, value: &str) -> Result<(), Error> {
        run("ip", &["netns", "exec", &self.name, "sysctl", "-q", "-w", &format!("{key}={value}")])
    }

    /// Moves the host's `device` into the namespace as one end of a point-to-point link.
    pub(super) fn adopt(&self, device: &str, address: Ipv4Addr, peer: Ipv4Addr) -> Result<(), Error> {
        run("ip", &["link", "set", device, "netns", &self.name])?;
        self.ip(&["address", "add", &address.to_string(), "peer", &peer.to_string(), "dev", device])?;
        self.ip(&["link", "set", device, "up"])
    }

    fn ip(&self, arguments: &[&str]) -> Result<(), Error> {
        run("ip", &[&["-n", self.name.as_str()], arguments].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = run("ip", &["netns", "delete", &self.name]) {
            eprintln!("{error}");
        }
    }
}

/// Removes namespaces whose process is gone: a killed process cannot clean up after itself.
pub(super) fn remove_abandoned() {
    let Ok(entries) = std::fs::read_dir(DIRECTORY) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some(process) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        if process.parse::<u32>().is_ok() && !Path::new("/proc").join(process).exists() {
            // Another emulation may be removing it too; only that it goes matters.
            let _ = run("ip", &["netns", "delete", name]);
        }
    }
}
