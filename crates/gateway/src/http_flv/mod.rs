//! FLV over HTTP and over WebSocket: play on `/APP/CHANNEL.flv`.
//!
//! The response begins when the first packets are there, so that its head, the FLV header, the codec configuration and
//! the keyframe leave in one write, and so that a stream that never comes is an honest 404.

mod admission;
mod body;
mod form;
mod player;
mod rewound;
pub(crate) mod websocket;

use crate::http::MediaRoute;

/// FLV as the body of an HTTP response.
pub(crate) const ROUTE: MediaRoute = MediaRoute {
    extension: "flv",
    websocket: false,
    folder: false,
    serve: Some(|env, metrics, request, stream, peer| {
        Box::pin(player::serve(env, metrics, request, stream, peer))
    }),
    respond: |env, metrics, peer, request| Box::pin(body::respond(env, metrics, peer, request)),
};

/// FLV as binary WebSocket messages, one tag each.
pub(crate) const ROUTE_WEBSOCKET: MediaRoute = MediaRoute {
    extension: "flv",
    websocket: true,
    folder: false,
    serve: Some(|env, metrics, request, stream, peer| {
        Box::pin(player::serve(env, metrics, request, stream, peer))
    }),
    respond: |env, metrics, peer, request| Box::pin(body::respond_websocket(env, metrics, peer, request)),
};
