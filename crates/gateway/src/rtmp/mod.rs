//! RTMP: publish and play, live streams and recordings, on TCP and inside HTTP requests.

mod connection;
mod egress;
mod ingest;
mod recorded;
mod tunnel;

pub(crate) use connection::serve;
pub(crate) use ingest::Demux;
pub(crate) use tunnel::{Carrier, Tunnels, answer as answer_tunnel, serve as serve_tunnel};

use crate::metrics::ProtocolMetrics;
use crate::{Env, http};
use net::Stream;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

/// Serves a connection on which RTMP or HTTP is spoken; the first byte tells which. RTMP begins with its version, a small
/// number (RTMP section 5.2.2), and HTTP with the name of a method.
pub(crate) async fn serve_or_http(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    mut stream: Stream,
    peer: SocketAddr,
) {
    let within = env.config.rtmp.handshake_timeout();
    let first = tokio::select! {
        first = tokio::time::timeout(within, poll_fn(|cx| stream.poll_peek(cx))) => first,
        () = env.shutdown.triggered() => return,
    };
    // Silent, gone, or broken: nobody is there to be told.
    let Ok(Ok(Some(first))) = first else { return };
    if first.is_ascii_uppercase() {
        http::serve(env, metrics, stream, peer).await;
    } else {
        serve(env, metrics, stream, peer).await;
    }
}
