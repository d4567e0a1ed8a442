//! The tunnels of a node.

use super::session::Tunnel;
use super::{LINGER, PIPE_BYTES_MAX, SHUTDOWN_LINGER, YOUNG_PER_ADDRESS_MIN, YOUNG_PER_CONNECTION_MAX};
use crate::Env;
use crate::config::Config;
use crate::gate::{Gate, Pass};
use crate::metrics::ProtocolMetrics;
use net::Stream;
use rtmp::limits::TUNNEL_BODY_BYTES_MAX;
use rtmp::tunnel::{Refusal, SessionId};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::debug;

/// All tunnels, by the name that only their client knows. They are limited as connections are, in all and by address, but
/// counted apart: the connections that carry their requests are counted as well.
#[derive(Debug)]
pub(crate) struct Tunnels {
    gate: Arc<Gate>,
    /// Those that carry nothing yet.
    young: Arc<Gate>,
    by_id: Mutex<HashMap<SessionId, Arc<Tunnel>>>,
}

impl Tunnels {
    pub(crate) fn new(config: &Config) -> Self {
        let connections_max = config.limits.connections_max;
        let young_max = (connections_max / 8).max(YOUNG_PER_ADDRESS_MIN);
        Self {
            gate: Arc::new(Gate::new(config)),
            young: Arc::new(Gate::with(connections_max, young_max)),
            by_id: Mutex::default(),
        }
    }

    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.gate.open()
    }

    /// Begins a tunnel and serves it as a connection of `protocol` on the calling thread.
    pub(super) fn begin(
        env: &Arc<Env>,
        metrics: ProtocolMetrics,
        peer: SocketAddr,
        carrier: &Carrier,
    ) -> Result<SessionId, Refusal> {
        if carrier.young() >= YOUNG_PER_CONNECTION_MAX {
            return Err(Refusal::Full);
        }
        let young = Young {
            _pass: env.tunnels.young.enter(peer.ip()).ok_or(Refusal::Full)?,
            _carrier: carrier.opened.clone(),
        };
        let pass = match env.tunnels.gate.enter(peer.ip()) {
            Some(pass) if !env.shutdown.is_triggered() => pass,
            _ => return Err(Refusal::Full),
        };
        let mut random = [0; 16];
        random.copy_from_slice(&crate::random_seed()[..16]);
        let id = SessionId::new(random);
        let (ours, theirs) = net::pipe(PIPE_BYTES_MAX);
        let tunnel = Arc::new(Tunnel::new(ours, Instant::now()));
        env.tunnels.table().insert(id, tunnel.clone());
        let entry = Entry { env: env.clone(), id, _pass: pass };
        debug!(%peer, ?id, "tunnel begins");
        tokio::spawn(
            env.clone().contain(peer, serve(entry, tunnel, young, metrics, Stream::Pipe(theirs), peer)),
        );
        Ok(id)
    }

    pub(super) fn find(&self, id: SessionId) -> Option<Arc<Tunnel>> {
        self.table().get(&id).cloned()
    }

    /// Forgets a tunnel that its client has closed.
    pub(super) fn forget(&self, id: SessionId) {
        self.table().remove(&id);
    }

    fn table(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Tunnel>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What carries the requests of tunnels: a TCP connection, with all its streams.
#[derive(Debug, Clone)]
pub(crate) struct Carrier {
    /// Shared with every young tunnel that it has opened.
    opened: Arc<()>,
    /// Bytes of bodies that may be read at once.
    pub(super) bodies: Arc<Semaphore>,
}

impl Default for Carrier {
    fn default() -> Self {
        Self { opened: Arc::default(), bodies: Arc::new(Semaphore::new(TUNNEL_BODY_BYTES_MAX)) }
    }
}

impl Carrier {
    /// How many tunnels it has opened that carry nothing yet.
    fn young(&self) -> usize {
        // Clones of the carrier share the rest.
        Arc::strong_count(&self.opened) - 1
    }
}

/// A tunnel that carries nothing yet. An RTMP connection of its own would cost its client a TCP connection; to open tunnels
/// costs a request each, so these have a ceiling of their own.
#[derive(Debug)]
pub(crate) struct Young {
    _pass: Pass,
    _carrier: Arc<()>,
}

/// A tunnel's place in the table.
struct Entry {
    env: Arc<Env>,
    id: SessionId,
    _pass: Pass,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.env.tunnels.forget(self.id);
    }
}

async fn serve(
    entry: Entry,
    tunnel: Arc<Tunnel>,
    young: Young,
    metrics: ProtocolMetrics,
    stream: Stream,
    peer: SocketAddr,
) {
    let env = &entry.env;
    let mut serving = pin!(super::super::connection::serve_young(env.clone(), metrics, stream, peer, young));
    tokio::select! {
        () = &mut serving => {
            // The last bytes wait for the next request.
            let linger = if env.shutdown.is_triggered() { SHUTDOWN_LINGER } else { LINGER };
            let _ = tokio::time::timeout(linger, tunnel.told()).await;
        }
        // A client that no longer asks is one that takes nothing.
        () = tunnel.silent(env.config.rtmp.write_timeout()) => {
            tunnel.fail();
            serving.await;
        }
    }
}
