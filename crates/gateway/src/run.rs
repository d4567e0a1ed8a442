//! Listeners and shards: from a configuration to a running node.

use crate::Env;
use crate::acme::Acme;
use crate::config::Config;
use crate::gate::Gate;
use crate::hls;
use crate::metrics::ProtocolMetrics;
use crate::record;
use crate::registry::{Door, PROTOCOLS, Protocol, Security, Serving};
use crate::relay;
use crate::slate;
use crate::timeshift;
use crate::tls::{self, Tls};
use crate::transcode;
use net::Stream;
use net::tls::{Acceptor, Identity, IdentityError};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tracing::{debug, error, info, warn};

/// How often deadlines of the hub are looked at. They are tens of seconds long.
const TICK: Duration = Duration::from_millis(250);
/// How long accepting pauses when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long sessions have to say good-bye when the node shuts down.
const DRAIN: Duration = Duration::from_secs(5);

/// Why a node cannot take connections.
#[derive(Debug)]
pub enum BindError {
    /// An address could not be opened.
    Address {
        /// The configuration key that names the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// There is no certificate to serve with.
    Certificate(IdentityError),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, address, error) = match self {
            Self::Address { key, address, error } => (key, address, error),
            Self::Certificate(error) => return write!(f, "there is no TLS certificate: {error}"),
        };
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
    /// There if a door needs it.
    tls: Option<Tls>,
}

struct BoundDoor {
    protocol: &'static Protocol,
    serve: fn(Arc<Env>, ProtocolMetrics, Stream, SocketAddr) -> Serving,
    address: SocketAddr,
    acceptor: Option<Acceptor>,
    /// One per shard.
    listeners: Vec<TcpListener>,
}

impl Bound {
    /// What is open: protocol and address, in the order of the registry.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> + '_ {
        self.doors.iter().map(|door| (door.protocol.name, door.address))
    }

    /// What obtains the certificate from an authority, where that is asked for. It has to be run, by a thread that does not
    /// carry media.
    pub fn take_acme(&mut self) -> Option<Acme> {
        self.tls.as_mut()?.take_acme()
    }

    /// The certificate of the node, if a port needs one.
    pub fn identity(&self) -> Option<&Identity> {
        self.tls.as_ref().map(Tls::identity)
    }
}

/// Opens every address of the configuration, once for each of `shards` threads. The certificate is read, or made, when all
/// ports are open: a second start by mistake leaves no trace.
pub fn bind(config: &Config, shards: usize) -> Result<Bound, BindError> {
    let mut doors = Vec::new();
    let mut secured = Vec::new();
    for protocol in PROTOCOLS {
        let Door::Tcp { key, listen, security, serve } = protocol.door else { continue };
        for &address in listen(config) {
            let failed = |error| BindError::Address { key, address, error };
            let listeners = net::tcp::listen(address, shards).map_err(failed)?;
            let address = listeners[0].local_addr().map_err(failed)?;
            if let Security::Tls(acceptor) = security {
                secured.push((doors.len(), acceptor));
            }
            doors.push(BoundDoor { protocol, serve, address, acceptor: None, listeners });
        }
    }
    let mut tls = None;
    if !secured.is_empty() {
        let loaded = Tls::load(config).map_err(BindError::Certificate)?;
        for (door, acceptor) in secured {
            doors[door].acceptor = Some(acceptor(&loaded).clone());
        }
        tls = Some(loaded);
    }
    Ok(Bound { doors, tls })
}

/// Serves all listeners on one thread per shard until `env.shutdown` is triggered and the sessions have ended.
pub fn run(env: Arc<Env>, bound: Bound, shards: usize) -> io::Result<net::Shards> {
    let window = initial_window(&env.config, &bound);
    // Handed out one shard at a time; a shard takes its listeners inside its own runtime.
    let doors = Arc::new(Mutex::new(bound.doors));
    let gate = Arc::new(Gate::new(&env.config));
    let (window, tls) = (Arc::new(window), bound.tls.map(Arc::new));
    record::start(env.clone())?;
    timeshift::start(env.clone())?;
    transcode::start(env.clone())?;
    env.ready.store(true, Ordering::Release);
    net::run_shards(shards, move |index| {
        let (env, doors, gate) = (env.clone(), doors.clone(), gate.clone());
        let (window, tls) = (window.clone(), tls.clone());
        async move {
            // Held until the last shard ends.
            let _window = window;
            Env::enter_shard(index);
            env.relays.attach_shard();
            if index == 0 {
                let node = env.clone();
                tokio::spawn(env.clone().keep_running("relays", move || relay::supervise(node.clone())));
            }
            if index == 0 && !env.config.slate.streams.is_empty() {
                let node = env.clone();
                tokio::spawn(env.clone().keep_running("slates", move || slate::supervise(node.clone())));
            }
            let node = env.clone();
            let attend = move || hls::attend(node.clone(), index, shards);
            tokio::spawn(env.clone().keep_running("packagers", attend));
            let node = env.clone();
            // One that panics leaves its place to the next.
            let wakes = move || {
                let shard = node.origin.shard(index);
                async move {
                    if let Some(shard) = shard {
                        shard.await;
                    }
                }
            };
            tokio::spawn(env.clone().keep_running("wakes", wakes));
            let taken: Vec<_> = {
                let mut doors = doors.lock().unwrap_or_else(PoisonError::into_inner);
                doors
                    .iter_mut()
                    .filter_map(|door| {
                        let listener = door.listeners.pop()?;
                        let metrics = env.metrics.protocol(door.protocol.name);
                        Some((
                            Entrance { metrics, acceptor: door.acceptor.clone(), serve: door.serve },
                            listener,
                        ))
                    })
                    .collect()
            };
            for (entrance, listener) in taken {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let (node, gate, listener) = (env.clone(), gate.clone(), Arc::new(listener));
                        let accept =
                            move || accept(node.clone(), gate.clone(), entrance.clone(), listener.clone());
                        tokio::spawn(env.clone().keep_running("accept", accept));
                    }
                    Err(error) => {
                        error!(protocol = entrance.metrics.protocol(), %error, "cannot accept connections");
                    }
                }
            }
            if index == 0
                && let Some(tls) = tls
            {
                let node = env.clone();
                let keep_fresh = move || tls::keep_fresh(node.clone(), tls.clone());
                tokio::spawn(env.clone().keep_running("certificate", keep_fresh));
            }
            while !env.shutdown.is_triggered() {
                if index == 0 {
                    env.origin.handle_timeout(Instant::now());
                }
                let _ = tokio::time::timeout(TICK, env.shutdown.triggered()).await;
            }
            env.ready.store(false, Ordering::Release);
            let deadline = Instant::now() + DRAIN;
            let has_work = || {
                gate.open() + env.tunnels.open() + env.relays.active() + env.recordings.active() > 0
                    || env.timeshift.is_active()
                    || env.transcoding.active() > 0
            };
            while has_work() && Instant::now() < deadline {
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

/// What happens to the connections of a listener.
#[derive(Clone)]
struct Entrance {
    metrics: ProtocolMetrics,
    acceptor: Option<Acceptor>,
    serve: fn(Arc<Env>, ProtocolMetrics, Stream, SocketAddr) -> Serving,
}

impl Entrance {
    async fn serve(self, env: Arc<Env>, tcp: TcpStream, peer: SocketAddr) {
        let stream = match &self.acceptor {
            None => tcp.into(),
            Some(acceptor) => {
                let within = env.config.tls.handshake_timeout();
                let accepted = tokio::select! {
                    accepted = tls::accept(acceptor, &self.metrics, tcp, peer, within) => accepted,
                    () = env.shutdown.triggered() => return,
                };
                let Some(stream) = accepted else { return };
                stream
            }
        };
        (self.serve)(env, self.metrics, stream, peer).await;
    }
}

async fn accept(env: Arc<Env>, gate: Arc<Gate>, entrance: Entrance, listener: Arc<tokio::net::TcpListener>) {
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
                let session = entrance.clone().serve(env.clone(), stream, peer);
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
