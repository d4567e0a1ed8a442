//! Two network namespaces joined by two emulated links.
//!
//! ```text
//!  namespace left (10.77.0.1)          this process          namespace right (10.77.0.2)
//!  program - kernel - TUN  <-->  one pumping thread  <-->  TUN - kernel - program
//! ```
//!
//! The kernel's own TCP stacks talk to each other; only the wire is emulated. The devices offer no offloads, so
//! every packet is at most 1,500 bytes, as on a real access link. TCP remembers nothing between connections
//! (`tcp_no_metrics_save`), so every connection is a cold one.
//!
//! Accuracy, measured with UDP echoes and bulk TCP on a two-core virtual machine: a round trip takes 0.2 to 0.5 ms
//! longer than asked (median; p99 1.1 ms, with both cores busy as well as idle), bulk TCP gets the whole of a 5,
//! 20 or 100 Mbit/s bottleneck to within 0.2 % once headers are counted, and 100 Mbit/s cost a third of a core, the
//! kernel's TCP included. Loss is exact by construction (see [`Link`]). The pump asks for real-time priority and runs
//! without it where that is refused; then a busy machine shows in the delays.

mod device;
mod namespace;
mod pump;
mod system;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::link::{self, Link};
use device::Device;
use namespace::Namespace;
use pump::{Links, Pump};

/// One of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The end that servers usually run on.
    Left,
    /// The end that clients usually run on.
    Right,
}

impl Side {
    /// The address of this end, the same in every emulation.
    pub const fn address(self) -> Ipv4Addr {
        match self {
            Self::Left => Ipv4Addr::new(10, 77, 0, 1),
            Self::Right => Ipv4Addr::new(10, 77, 0, 2),
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

/// Both directions of the path.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// From the left namespace to the right one: the downlink of a client on the right.
    pub left_to_right: link::Config,
    /// From the right namespace to the left one.
    pub right_to_left: link::Config,
    /// TCP congestion control of both namespaces, such as `cubic`; the host's default where absent. A namespace
    /// may use only those that the host lists in `net.ipv4.tcp_allowed_congestion_control`.
    pub congestion_control: Option<String>,
}

/// Why no emulation could be started.
#[derive(Debug)]
pub enum Error {
    /// This machine or user cannot have one: not enough privilege, no TUN device, no `ip` program.
    Unavailable(String),
    /// A step failed that should not have.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(reason) => write!(f, "link emulation is not available: {reason}"),
            Self::Failed(reason) => write!(f, "link emulation failed: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

/// A running emulation. Dropping it stops the links and removes the namespaces; programs that still run inside
/// lose their network but are not ended.
#[derive(Debug)]
pub struct Emulation {
    links: Arc<Mutex<Links>>,
    // Fields drop in order: the pump lets go of the devices before the namespaces go.
    _pump: Pump,
    left: Namespace,
    right: Namespace,
}

impl Emulation {
    /// Makes both namespaces and starts the links.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where the machine cannot do it at all (a test should say so and pass),
    /// [`Error::Failed`] for everything else.
    pub fn start(config: Config) -> Result<Self, Error> {
        system::check_available()?;
        namespace::remove_abandoned();
        let congestion_control = config.congestion_control.as_deref();
        let (left, left_device) = end(Side::Left, congestion_control)?;
        let (right, right_device) = end(Side::Right, congestion_control)?;
        let now = Instant::now();
        let links = Arc::new(Mutex::new(Links {
            left_to_right: Link::new(config.left_to_right, now),
            right_to_left: Link::new(config.right_to_left, now),
        }));
        let pump = Pump::start(left_device, right_device, Arc::clone(&links))
            .map_err(|error| Error::Failed(format!("starting the pump: {error}")))?;
        Ok(Self { links, _pump: pump, left, right })
    }

    /// As [`Emulation::start`], for tests: prints a line that begins with `SKIPPED:` and returns `None` where the
    /// machine cannot do it.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`].
    pub fn start_or_skip(config: Config) -> Result<Option<Self>, Error> {
        match Self::start(config) {
            Ok(emulation) => Ok(Some(emulation)),
            Err(error @ Error::Unavailable(_)) => {
                eprintln!("SKIPPED: {error}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Name of a namespace: `/run/netns/NAME` is its file.
    pub fn namespace(&self, side: Side) -> &str {
        match side {
            Side::Left => self.left.name(),
            Side::Right => self.right.name(),
        }
    }

    /// A command that runs `program` inside a namespace; its process id is that of the program.
    ///
    /// Only the network changes. (`ip netns exec` would also hide `/sys/fs/cgroup`, and with it what a server does to
    /// its sockets through its control group.)
    pub fn command(&self, side: Side, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace(side))).arg("--").arg(program);
        command
    }

    /// Changes both directions for packets that enter from now on. [`Config::congestion_control`] keeps its first
    /// value.
    pub fn reconfigure(&self, left_to_right: link::Config, right_to_left: link::Config) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.left_to_right.reconfigure(left_to_right);
        links.right_to_left.reconfigure(right_to_left);
    }

    /// Counters of what left `side`.
    pub fn stats_from(&self, side: Side) -> link::Stats {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        match side {
            Side::Left => links.left_to_right.stats(),
            Side::Right => links.right_to_left.stats(),
        }
    }
}

/// A namespace with its device up and addressed.
fn end(side: Side, congestion_control: Option<&str>) -> Result<(Namespace, Device), Error> {
    let namespace = Namespace::create(side.label())?;
    let device = Device::open().map_err(|error| Error::Failed(format!("opening a TUN device: {error}")))?;
    // IPv6 would put router solicitations on the wire, and the random decisions would depend on their number.
    namespace.set("net.ipv6.conf.all.disable_ipv6", "1")?;
    namespace.set("net.ipv4.tcp_no_metrics_save", "1")?;
    if let Some(name) = congestion_control {
        namespace.set("net.ipv4.tcp_congestion_control", name)?;
    }
    namespace.adopt(device.name(), side.address(), side.other().address())?;
    Ok((namespace, device))
}

/// Runs a program to its end and turns failure into text.
fn run(program: &str, arguments: &[&str]) -> Result<(), Error> {
    let failed =
        |reason: &dyn fmt::Display| Error::Failed(format!("`{program} {}`: {reason}", arguments.join(" ")));
    let output = Command::new(program).args(arguments).output().map_err(|error: io::Error| failed(&error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(&String::from_utf8_lossy(&output.stderr).trim()))
}
