//! Listeners and shards: from a configuration to a running node.

use crate::Env;
use crate::config::Config;
use crate::metrics::ProtocolMetrics;
use crate::registry::{Door, PROTOCOLS, Protocol, Serving};
use net::Stream;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::{debug, error, info, warn};

/// How often deadlines of the hub are looked at. They are tens of seconds long.
const TICK: Duration = Duration::from_millis(250);
/// How long accepting pauses when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long sessions have to say good-bye when the node shuts down.
const DRAIN: Duration = Duration::from_secs(5);

/// An address that could not be opened.
#[derive(Debug)]
pub struct BindError {
    /// The configuration key that names the address.
    pub key: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, address, error } = self;
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                write!(
                    f,
                    "port {} is in use ({key} = {address}): stop the other program or set {key}",
                    address.port()
                )
            }
            io::ErrorKind::PermissionDenied => {
                write!(f, "not allowed to listen on {address} ({key}): ports below 1024 need privileges")
            }
            _ => write!(f, "cannot listen on {address} ({key}): {error}"),
        }
    }
}

impl std::error::Error for BindError {}

/// Open listeners, not accepting yet.
pub struct Bound {
    doors: Vec<BoundDoor>,
}

struct BoundDoor {
    protocol: &'static Protocol,
    serve: fn(Arc<Env>, ProtocolMetrics, Stream, SocketAddr) -> Serving,
    address: SocketAddr,
    /// One per shard.
    listeners: Vec<TcpListener>,
}

impl Bound {
    /// What is open: protocol and address, in the order of the registry.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> + '_ {
        self.doors.iter().map(|door| (door.protocol.name, door.address))
    }
}

/// Opens every address of the configuration, once for each of `shards` threads.
pub fn bind(config: &Config, shards: usize) -> Result<Bound, BindError> {
    let mut doors = Vec::new();
    for protocol in PROTOCOLS {
        let Door::Tcp { key, listen, serve } = protocol.door else { continue };
        for &address in listen(config) {
            let failed = |error| BindError { key, address, error };
            let listeners = net::tcp::listen(address, shards).map_err(failed)?;
            let address = listeners[0].local_addr().map_err(failed)?;
            doors.push(BoundDoor { protocol, serve, address, listeners });
        }
    }
    Ok(Bound { doors })
}

/// Serves all listeners on one thread per shard until `env.shutdown` is triggered and the sessions have ended.
pub fn run(env: Arc<Env>, bound: Bound, shards: usize) -> io::Result<net::Shards> {
    let window = initial_window(&env.config, &bound);
    // Handed out one shard at a time; a shard takes its listeners inside its own runtime.
    let doors = Arc::new(Mutex::new(bound.doors));
    let gate = Arc::new(Gate::new(&env.config));
    let window = Arc::new(window);
    env.ready.store(true, Ordering::Release);
    net::run_shards(shards, move |index| {
        let (env, doors, gate, window) = (env.clone(), doors.clone(), gate.clone(), window.clone());
        async move {
            // Held until the last shard ends.
            let _window = window;
            Env::enter_shard(index);
            if let Some(wakes) = env.origin.shard(index) {
                tokio::spawn(wakes);
            }
            let taken: Vec<_> = {
                let mut doors = doors.lock().unwrap_or_else(PoisonError::into_inner);
                doors
                    .iter_mut()
                    .filter_map(|door| Some((door.protocol, door.serve, door.listeners.pop()?)))
                    .collect()
            };
            for (protocol, serve, listener) in taken {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let metrics = env.metrics.protocol(protocol.name);
                        tokio::spawn(accept(env.clone(), gate.clone(), metrics, serve, listener));
                    }
                    Err(error) => error!(protocol = protocol.name, %error, "cannot accept connections"),
                }
            }
            while !env.shutdown.is_triggered() {
                if index == 0 {
                    env.origin.handle_timeout(Instant::now());
                }
                let _ = tokio::time::timeout(TICK, env.shutdown.triggered()).await;
            }
            env.ready.store(false, Ordering::Release);
            let deadline = Instant::now() + DRAIN;
            while gate.open() > 0 && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
}

/// Lets new connections send a whole keyframe at once, where the kernel lets us.
fn initial_window(config: &Config, bound: &Bound) -> Option<net::initial_window::InitialWindow> {
    let segments = config.runtime.initial_window_segments;
    if segments == 0 {
        return None;
    }
    let ports: Vec<u16> = bound.doors.iter().map(|door| door.address.port()).collect();
    match net::initial_window::raise(&ports, segments) {
        Ok(window) => {
            info!(segments, "connections start with a larger window");
            Some(window)
        }
        Err(error) => {
            debug!(%error, "connections start with the window of the kernel (a larger one needs CAP_BPF and CAP_NET_ADMIN)");
            None
        }
    }
}

async fn accept(
    env: Arc<Env>,
    gate: Arc<Gate>,
    metrics: ProtocolMetrics,
    serve: fn(Arc<Env>, ProtocolMetrics, Stream, SocketAddr) -> Serving,
    listener: tokio::net::TcpListener,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = env.shutdown.triggered() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(pass) = gate.enter(peer.ip()) else { continue };
                if net::tcp::tune(&stream).is_err() {
                    continue;
                }
                let session = serve(env.clone(), metrics.clone(), stream.into(), peer);
                let contained = env.clone().contain(peer, session);
                tokio::spawn(async move {
                    let _pass = pass;
                    contained.await;
                });
            }
            // The connection was gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Counts connections, in all and by address, and keeps to the ceilings.
struct Gate {
    connections_max: usize,
    per_address_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    open: usize,
    /// Kept only where a ceiling per address is set.
    by_address: HashMap<IpAddr, usize>,
}

impl Gate {
    fn new(config: &Config) -> Self {
        Self {
            connections_max: config.limits.connections_max,
            per_address_max: config.limits.connections_per_address_max,
            counts: Mutex::default(),
        }
    }

    fn open(&self) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).open
    }

    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Pass> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.open >= self.connections_max {
            return None;
        }
        if self.per_address_max > 0 {
            let count = counts.by_address.entry(address).or_default();
            if *count >= self.per_address_max {
                return None;
            }
            *count += 1;
        }
        counts.open += 1;
        Some(Pass { gate: self.clone(), address })
    }
}

/// One open connection; leaving the gate is dropping it.
struct Pass {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.open -= 1;
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_keeps_both_ceilings_and_forgets_those_who_left() {
        let mut config = Config::default();
        config.limits.connections_max = 3;
        config.limits.connections_per_address_max = 2;
        let gate = Arc::new(Gate::new(&config));
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = gate.enter(a);
        let _second = gate.enter(a).unwrap();
        assert!(first.is_some() && gate.enter(a).is_none());
        let third = gate.enter(b);
        assert!(third.is_some() && gate.enter(b).is_none());
        drop((first, third));
        assert_eq!(gate.open(), 1);
        assert!(gate.enter(a).is_some());
        assert_eq!(gate.counts.lock().unwrap().by_address.len(), 1);
    }
}
