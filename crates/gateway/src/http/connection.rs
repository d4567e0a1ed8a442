//! One HTTP connection: to media on the bare socket, or to hyper.

use super::activity::Activity;
use super::head::{HEAD_BYTES_MAX, Sniffed, sniff};
use super::{MediaRoute, problem, routes, sequence};
use crate::Env;
use crate::metrics::{JoinStage, ProtocolMetrics};
use crate::registry::{self, Door, PROTOCOLS, Serving};
use crate::rtmp;
use crate::timeshift;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::BytesMut;
use http::{Method, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use net::Stream;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tower_service::Service;
use tracing::debug;

/// Streams of one HTTP/2 connection at once: a page with a few players. More wait.
const HTTP2_STREAMS_MAX: u32 = 64;

/// How long a connection stays open on which nothing goes on: a page that is left open asks every few seconds, and a
/// reader who comes back after longer waits for a new connection.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(60);

/// The address of the peer, in the extensions of a routed request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The protocol whose port a routed request came to, in its extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Port(pub(crate) &'static str);

/// Serves an accepted connection until it ends.
pub(crate) async fn serve(env: Arc<Env>, metrics: ProtocolMetrics, stream: Stream, peer: SocketAddr) {
    let accepted = Instant::now();
    let wait = Duration::from_millis(env.config.http.request_timeout_ms);
    let mut stream = stream;
    let mut head = BytesMut::new();
    // A connection that is opened ahead of need and never used just ends here.
    let first = tokio::select! {
        first = tokio::time::timeout(wait, read_head(&mut stream, &mut head)) => first,
        () = env.shutdown.triggered() => return,
    };
    let Ok(Ok(first)) = first else { return };
    metrics.bytes_in.inc_by(head.len() as u64);
    let port = Port(metrics.protocol());
    match first {
        Sniffed::Get(request, length) => {
            let route = route(&request.path, request.websocket_key.is_some());
            // What comes from the past has been waited for, so it may as well take the longer way.
            let is_live = !timeshift::is_asked(&request.query);
            if let Some((name, serve)) =
                route.and_then(|(name, route)| Some((name, route.serve?))).filter(|_| is_live)
            {
                let metrics = env.metrics.protocol(name);
                metrics.join(JoinStage::Request, accepted.elapsed());
                // A player that pipelines behind a media request would wait for ever; its bytes are of no use.
                drop(head.split_to(length));
                return serve(env, metrics, request, stream, peer).await;
            }
        }
        Sniffed::Tunnel => {
            let metrics = env.metrics.protocol(registry::tunnelled(port.0));
            let rest = rtmp::serve_tunnel(env.clone(), metrics, stream, head, peer).await;
            let Some(rest) = rest else { return };
            (stream, head) = rest;
        }
        Sniffed::Other | Sniffed::Partial => {}
    }
    let rest = sequence::serve(&env, stream, head, peer).await;
    if let Some(rest) = rest {
        // Apart: its state is large, and the connections of players are many.
        Box::pin(serve_hyper(env, rest, peer, port)).await;
    }
}

/// Reads until it is clear who answers; `Partial` if that never is.
async fn read_head(stream: &mut Stream, head: &mut BytesMut) -> io::Result<Sniffed> {
    head.reserve(1024);
    loop {
        if stream.read_buf(head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match sniff(head, Instant::now()) {
            Sniffed::Partial if head.len() < HEAD_BYTES_MAX => head.reserve(1024),
            sniffed => return Ok(sniffed),
        }
    }
}

/// The media route of a path, with the name of its protocol.
fn route(path: &str, websocket: bool) -> Option<(&'static str, &'static MediaRoute)> {
    let (app, file) = path.strip_prefix('/')?.split_once('/')?;
    // `/assets/x.EXT` and the like belong to pages.
    if routes::RESERVED.contains(&app) {
        return None;
    }
    let leads_here = |route: &MediaRoute| match file.split_once('/') {
        Some((_, name)) => route.folder && !websocket && !name.contains('/'),
        None => {
            let extension = file.rsplit_once('.').map(|(_, extension)| extension);
            route.websocket == websocket && Some(route.extension) == extension
        }
    };
    PROTOCOLS.iter().find_map(|protocol| match &protocol.door {
        Door::Http(route) if leads_here(route) => Some((protocol.name, route)),
        _ => None,
    })
}

/// Serves what is not media on the bare socket: the routes, then whatever a request has upgraded the connection to.
pub(super) async fn serve_hyper<S>(env: Arc<Env>, stream: S, peer: SocketAddr, port: Port)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (activity, sequel, carrier) = (Activity::default(), Sequel::default(), rtmp::Carrier::default());
    let stream = activity.watch(stream);
    let router = env.router.get_or_init(|| routes::router(env.clone())).clone();
    let service = hyper::service::service_fn(|mut request: hyper::Request<Incoming>| {
        let in_flight = activity.begin();
        let is_plain = request.method() == Method::GET && !request.headers().contains_key(header::UPGRADE);
        let answering = match repeated(request.uri()).filter(|_| is_plain) {
            Some((name, route)) => {
                // What a GET brings along means nothing.
                let request = request.map(|_| Body::empty());
                Answering::Media(answer_media(env.clone(), name, route, peer, request))
            }
            None => {
                request.extensions_mut().insert(Peer(peer));
                request.extensions_mut().insert(port);
                request.extensions_mut().insert(sequel.clone());
                request.extensions_mut().insert(carrier.clone());
                Answering::Routed(router.clone().call(request))
            }
        };
        async move {
            let response = match answering {
                Answering::Media(answer) => Ok(answer.await),
                Answering::Routed(answer) => answer.await,
            };
            response.map(|response| response.map(|body| in_flight.hold(body)))
        }
    });
    let mut builder = auto::Builder::new(Contained { env: env.clone(), peer });
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(env.config.http.request_timeout())
        .max_buf_size(64 * 1024)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .keep_alive_interval(Duration::from_secs(20));
    {
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let ended = tokio::select! {
            result = &mut connection => Some(result),
            () = env.shutdown.triggered() => None,
            () = activity.idle_for(IDLE_MAX) => None,
        };
        let result = match ended {
            Some(result) => result,
            None => {
                connection.as_mut().graceful_shutdown();
                // What is in flight goes on to its end, unless the peer takes nothing of it.
                tokio::select! {
                    result = &mut connection => result,
                    () = activity.idle_for(Duration::from_millis(env.config.http.write_timeout_ms)) => Ok(()),
                }
            }
        };
        if let Err(error) = result {
            debug!(%peer, %error, "HTTP connection failed");
        }
    }
    if let Some(rest) = sequel.take() {
        rest.await;
    }
}

/// Who answers a request.
enum Answering<M, R> {
    Media(M),
    Routed(R),
}

/// The route of a GET request for media that players send many of, one for each part: they do not go through the router. Others do,
/// `HEAD` and preflights among them.
pub(super) fn repeated(uri: &Uri) -> Option<(&'static str, &'static MediaRoute)> {
    let path = uri.path();
    // These lie in the folder of a stream as well.
    if ["/snapshot.mp4", "/snapshot.jpg", "/preview.webp"].iter().any(|own| path.ends_with(own)) {
        return None;
    }
    route(path, false).filter(|(_, route)| route.serve.is_none())
}

/// Answers it.
pub(super) async fn answer_media(
    env: Arc<Env>,
    name: &'static str,
    route: &'static MediaRoute,
    peer: SocketAddr,
    request: Request,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let metrics = env.metrics.protocol(name);
    let mut response = (route.respond)(env.clone(), metrics, peer, request).await;
    routes::finish_media(&env, origin.as_ref(), response.headers_mut());
    response
}

/// What goes on on a connection when hyper is done with it, in the extensions of a routed request.
///
/// The task of the connection goes on with it: an upgraded connection counts among the connections, its panics are caught
/// like those of others, and the shutdown of the node waits for it.
#[derive(Clone, Default)]
pub(crate) struct Sequel(Arc<Mutex<Option<Serving>>>);

impl Sequel {
    /// Names what comes next, once a request upgrades the connection.
    pub(crate) fn set(&self, next: Serving) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    }

    fn take(&self) -> Option<Serving> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Runs the streams of an HTTP/2 connection, which hyper makes tasks of.
#[derive(Clone)]
struct Contained {
    env: Arc<Env>,
    peer: SocketAddr,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Contained {
    fn execute(&self, stream: F) {
        tokio::spawn(self.env.clone().contain(self.peer, stream));
    }
}

/// Answers a media request that came by way of the router.
pub(crate) async fn media(State(env): State<Arc<Env>>, request: Request) -> Response {
    let websocket = request
        .headers()
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let Some((name, route)) = route(request.uri().path(), websocket) else {
        return problem(StatusCode::NOT_FOUND, "There is nothing at this address.");
    };
    let Some(&Peer(peer)) = request.extensions().get::<Peer>() else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "The address of the peer is not known.");
    };
    let metrics = env.metrics.protocol(name);
    (route.respond)(env, metrics, peer, request).await
}

#[cfg(test)]
mod tests;
