//! The HTTP port: pages, API and metrics by way of hyper, media by way of the socket itself.
//!
//! A media request that comes first on its connection (as those of players do) is answered on the bare socket: no
//! server state, no copying, one vectored write per wake. So are the requests of RTMP tunnels, and those for the many files of
//! HLS and DASH for as long as no other comes. Everything else, and media requests on a connection that hyper already has
//! (HTTP/2, after a page), goes through the router.

mod activity;
pub(crate) mod beacon;
mod connection;
mod cors;
mod head;
mod prefixed;
mod problem;
mod ranged;
mod recorded;
mod recordings;
mod relays;
mod routes;
mod sequence;
mod site;
mod status;

pub(crate) use activity::Watched;
pub(crate) use connection::{Peer, Port, Sequel, media, serve};
pub(crate) use cors::{allow_origin, allows_websocket};
pub(crate) use head::{HEAD_BYTES_MAX, RawRequest, Sniffed, sniff};
pub(crate) use prefixed::Prefixed;
pub(crate) use problem::{problem, problem_text};
pub(crate) use ranged::{Ranged, check_range};
pub(crate) use routes::router;
pub(crate) use sequence::{Parsed, parse};
pub(crate) use status::{codec_name, date_time, rfc3339, title as channel_title};

use crate::Env;
use crate::metrics::ProtocolMetrics;
use crate::registry::Serving;
use axum::extract::Request;
use axum::response::Response;
use net::Stream;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// A response in the making.
pub(crate) type Responding = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers the first request of a connection, and takes the connection.
pub(crate) type Serve = fn(Arc<Env>, ProtocolMetrics, RawRequest, Stream, SocketAddr) -> Serving;

/// The paths `/APP/CHANNEL.extension`, with or without a WebSocket upgrade.
#[derive(Clone, Copy)]
pub struct MediaRoute {
    /// The file name extension, without a dot.
    pub extension: &'static str,
    /// Whether this is the WebSocket side of the paths.
    pub websocket: bool,
    /// Whether the files `/APP/CHANNEL/FILE` belong to it, too.
    pub folder: bool,
    /// Answers on the bare socket, which no other request can follow; `None` where others usually do.
    pub(crate) serve: Option<Serve>,
    /// Answers through hyper.
    pub(crate) respond: fn(Arc<Env>, ProtocolMetrics, SocketAddr, Request) -> Responding,
}
