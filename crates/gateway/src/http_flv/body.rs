//! A player on a connection that hyper has.

use super::admission::{Refusal, admit};
use super::form::FlvForm;
use super::player::serve_upgraded;
use super::rewound::{self, Rewinding};
use super::websocket::accept_key;
use crate::Env;
use crate::egress::Egress;
use crate::http::{Prefixed, Sequel, Watched, allow_origin, allows_websocket, problem};
use crate::metrics::{Outcome, ProtocolMetrics};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Frame;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::future::Future;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Answers a media request; the response begins with the first packets.
pub(super) async fn respond(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    peer: SocketAddr,
    request: Request,
) -> Response {
    let mut rest = match rewinding(&env, &metrics, peer, &request).await {
        Ok(Some(rewinding)) => rewinding.start(env.clone(), FlvForm::Plain, peer),
        Ok(None) => match admitted(&env, &metrics, peer, &request) {
            Ok(egress) => {
                let (batches, rest) = mpsc::channel(1);
                tokio::spawn(env.clone().contain(peer, feed(env.clone(), egress, batches)));
                rest
            }
            Err(refusal) => return refused(&refusal),
        },
        Err(refusal) => return refused(&refusal),
    };
    let Some(first) = rest.recv().await else { return refused(&Refusal::not_found()) };
    let mut response = Response::new(Body::new(FlvBody { first: Some(first), rest }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/x-flv"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let origin = text(request.headers(), &header::ORIGIN);
    if let Some(Ok(origin)) = allow_origin(&env.config.http, origin).map(HeaderValue::from_str) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(HeaderName::from_static("timing-allow-origin"), origin);
    }
    response
}

/// Answers a WebSocket upgrade and takes the socket back from hyper.
pub(super) async fn respond_websocket(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    peer: SocketAddr,
    mut request: Request,
) -> Response {
    let key = text(request.headers(), &header::SEC_WEBSOCKET_KEY).map(accept_key);
    let Some(Ok(key)) = key.map(HeaderValue::try_from) else {
        return problem(StatusCode::BAD_REQUEST, "A WebSocket upgrade needs Sec-WebSocket-Key.");
    };
    let headers = request.headers();
    if !allows_websocket(&env.config.http, text(headers, &header::ORIGIN), text(headers, &header::HOST)) {
        return refused(&Refusal::foreign_page());
    }
    let source = match rewinding(&env, &metrics, peer, &request).await {
        Ok(Some(rewinding)) => Ok(Source::Rewound(rewinding)),
        Ok(None) => admitted(&env, &metrics, peer, &request).map(Source::Live),
        Err(refusal) => Err(refusal),
    };
    let source = match source {
        Ok(source) => source,
        Err(refusal) => return refused(&refusal),
    };
    let Some(sequel) = request.extensions().get::<Sequel>().cloned() else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "This connection cannot be upgraded.");
    };
    let upgrade = hyper::upgrade::on(&mut request);
    sequel.set(Box::pin(async move {
        // The peer left before the upgrade was written: dropping the reader is all there is to do.
        let Ok(upgraded) = upgrade.await else { return };
        if let Ok(parts) = auto::upgrade::downcast::<TokioIo<Watched<Prefixed>>>(upgraded) {
            let mut input = parts.io.into_inner().into_inner();
            input.head.extend_from_slice(&parts.read_buf);
            match source {
                Source::Live(egress) => serve_upgraded(env, egress, input.stream, input.head).await,
                Source::Rewound(rewinding) => {
                    let batches = rewinding.start(env.clone(), FlvForm::WebSocket, peer);
                    rewound::serve_websocket(env, batches, input.stream, input.head).await;
                }
            }
        }
    }));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    response
}

/// Where a player's media comes from.
enum Source {
    Live(Egress),
    Rewound(Rewinding),
}

/// Not an async function: bodies of requests cannot be held by a future that changes threads.
fn rewinding(
    env: &Env,
    metrics: &ProtocolMetrics,
    peer: SocketAddr,
    request: &Request,
) -> impl Future<Output = Result<Option<Rewinding>, Refusal>> {
    let (uri, user_agent) = (request.uri(), text(request.headers(), &header::USER_AGENT));
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    rewound::admit(env, metrics, path, query, peer, user_agent)
}

fn admitted(
    env: &Env,
    metrics: &ProtocolMetrics,
    peer: SocketAddr,
    request: &Request,
) -> Result<Egress, Refusal> {
    let uri = request.uri();
    let user_agent = text(request.headers(), &header::USER_AGENT);
    admit(env, metrics, uri.path(), uri.query().unwrap_or(""), peer, user_agent, Instant::now())
}

fn refused(refusal: &Refusal) -> Response {
    problem(refusal.status, &refusal.detail)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Hands batches to a response body until the stream or the player ends.
///
/// A task of its own, since hyper does not poll the body of a peer that takes nothing: here that has a deadline, and the
/// shutdown of the node is seen.
async fn feed(env: Arc<Env>, mut egress: Egress, batches: mpsc::Sender<Bytes>) {
    let write_timeout = Duration::from_millis(env.config.http.write_timeout_ms);
    let form = FlvForm::Plain;
    let mut started = false;
    let outcome = loop {
        let mut head = |batch: &[Arc<hub::Entry>]| match std::mem::replace(&mut started, true) {
            true => Bytes::new(),
            false => form.file_header(batch),
        };
        let mut buffers = Vec::new();
        let end = tokio::select! {
            biased;
            end = poll_fn(|cx| egress.poll_buffers(cx, &form, &mut head, &mut buffers)) => end,
            () = batches.closed() => break Outcome::Left,
            () = env.shutdown.triggered() => break Outcome::Shutdown,
        };
        if end.is_some() {
            break Outcome::Finished;
        }
        // One buffer: HTTP/2 makes frames of each.
        match tokio::time::timeout(write_timeout, batches.send(buffers.concat().into())).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => break Outcome::Left,
            Err(_) => break Outcome::Timeout,
        }
    };
    egress.guard().set_outcome(outcome);
}

/// FLV as a response body.
struct FlvBody {
    first: Option<Bytes>,
    rest: mpsc::Receiver<Bytes>,
}

impl http_body::Body for FlvBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.first.take() {
            Some(first) => Some(first),
            None => ready!(self.rest.poll_recv(cx)),
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
