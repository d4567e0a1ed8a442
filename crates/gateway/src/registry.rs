//! The table of protocols.

use crate::config::Config;
use crate::metrics::ProtocolMetrics;
use crate::tls::Tls;
use crate::{Env, hls, http, http_flv, rtmp};
use net::Stream;
use net::tls::Acceptor;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// A task that serves one connection.
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A way in or out of the hub.
pub struct Protocol {
    /// Its name: the label in metrics, the `protocol` of a session.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// Where connections come in.
    pub door: Door,
}

/// Where the connections of a protocol come in.
pub enum Door {
    /// Ports of its own.
    Tcp {
        /// The configuration key that names the addresses.
        key: &'static str,
        /// Reads the addresses.
        listen: fn(&Config) -> &[SocketAddr],
        /// What lies between the socket and the protocol.
        security: Security,
        /// Serves one accepted connection.
        serve: fn(Arc<Env>, ProtocolMetrics, Stream, SocketAddr) -> Serving,
    },
    /// The paths `/APP/CHANNEL.extension` of the HTTP ports, and maybe the files `/APP/CHANNEL/FILE`.
    Http(http::MediaRoute),
    /// Those of another protocol, from which the handshake tells it apart.
    Handshake {
        /// The name of the other one.
        of: &'static str,
    },
    /// Requests of a tunnel on the ports of other protocols.
    Tunnel {
        /// The names of those.
        of: &'static [&'static str],
    },
}

/// The name of `protocol` with a handshake that encrypts; the same if there is none.
pub(crate) fn encrypted(protocol: &'static str) -> &'static str {
    let of = |door: &Door| matches!(door, Door::Handshake { of } if *of == protocol);
    PROTOCOLS.iter().find(|candidate| of(&candidate.door)).map_or(protocol, |candidate| candidate.name)
}

/// The name of a tunnel on the port of `protocol`.
pub(crate) fn tunnelled(protocol: &'static str) -> &'static str {
    let of = |door: &Door| matches!(door, Door::Tunnel { of } if of.contains(&protocol));
    PROTOCOLS.iter().find(|candidate| of(&candidate.door)).map_or(protocol, |candidate| candidate.name)
}

/// What lies between a socket and a protocol.
#[derive(Clone, Copy)]
pub enum Security {
    /// Nothing.
    Plain,
    /// TLS, done before the protocol sees the stream.
    Tls(fn(&Tls) -> &Acceptor),
}

/// All protocols. Adding one is one line here and a folder beside this file.
pub static PROTOCOLS: &[Protocol] = &[
    Protocol {
        name: "rtmp",
        about: "RTMP and Enhanced RTMP: rtmp://HOST/APP/CHANNEL, publish and play",
        door: Door::Tcp {
            key: "rtmp.listen",
            listen: |config| &config.rtmp.listen,
            security: Security::Plain,
            serve: |env, metrics, stream, peer| Box::pin(rtmp::serve(env, metrics, stream, peer)),
        },
    },
    Protocol {
        name: "rtmpe",
        about: "RTMP with an encrypted handshake: rtmpe://HOST/APP/CHANNEL, publish and play",
        door: Door::Handshake { of: "rtmp" },
    },
    Protocol {
        name: "rtmps",
        about: "RTMP over TLS: rtmps://HOST:1936/APP/CHANNEL, publish and play; HTTP is understood here too",
        door: Door::Tcp {
            key: "rtmps.listen",
            listen: |config| &config.rtmps.listen,
            security: Security::Tls(|tls| &tls.rtmp),
            serve: |env, metrics, stream, peer| Box::pin(rtmp::serve_or_http(env, metrics, stream, peer)),
        },
    },
    Protocol {
        name: "http",
        about: "Pages, API and metrics over HTTP/1.1 and HTTP/2, and the port of the protocols below",
        door: Door::Tcp {
            key: "http.listen",
            listen: |config| &config.http.listen,
            security: Security::Plain,
            serve: |env, metrics, stream, peer| Box::pin(http::serve(env, metrics, stream, peer)),
        },
    },
    Protocol {
        name: "https",
        about: "HTTP over TLS, with all that the HTTP port has",
        door: Door::Tcp {
            key: "https.listen",
            listen: |config| &config.https.listen,
            security: Security::Tls(|tls| &tls.http),
            serve: |env, metrics, stream, peer| Box::pin(http::serve(env, metrics, stream, peer)),
        },
    },
    Protocol {
        name: "http-flv",
        about: "FLV over HTTP: http://HOST:8080/APP/CHANNEL.flv, play",
        door: Door::Http(http_flv::ROUTE),
    },
    Protocol {
        name: "ws-flv",
        about: "FLV over WebSocket: ws://HOST:8080/APP/CHANNEL.flv, play",
        door: Door::Http(http_flv::ROUTE_WEBSOCKET),
    },
    Protocol {
        name: "hls",
        about: "HLS with low latency: http://HOST:8080/APP/CHANNEL.m3u8, play",
        door: Door::Http(hls::ROUTE),
    },
    Protocol {
        name: "dash",
        about: "DASH with low latency: http://HOST:8080/APP/CHANNEL.mpd, play",
        door: Door::Http(hls::ROUTE_DASH),
    },
    Protocol {
        name: "cmaf",
        about: "The segments of HLS as one endless MP4: http://HOST:8080/APP/CHANNEL.cmaf, play",
        door: Door::Http(hls::ROUTE_CMAF),
    },
    Protocol {
        name: "http-ts",
        about: "MPEG-TS over HTTP: http://HOST:8080/APP/CHANNEL.ts, play",
        door: Door::Http(hls::ROUTE_TS),
    },
    Protocol {
        name: "rtmpt",
        about: "RTMP inside HTTP requests: rtmpt://HOST:8080/APP/CHANNEL, publish and play",
        door: Door::Tunnel { of: &["http"] },
    },
    Protocol {
        name: "rtmpte",
        about: "RTMP with an encrypted handshake inside HTTP requests: rtmpte://HOST:8080/APP/CHANNEL, publish and play",
        door: Door::Handshake { of: "rtmpt" },
    },
    Protocol {
        name: "rtmpts",
        about: "RTMP inside HTTPS requests: rtmpts://HOST:8443/APP/CHANNEL, publish and play",
        door: Door::Tunnel { of: &["https", "rtmps"] },
    },
];
