//! A player on a connection that hyper has.

use super::admission::{Refusal, admit};
use super::form::FlvForm;
use super::player::serve_upgraded;
use super::websocket::accept_key;
use crate::Env;
use crate::egress::Egress;
use crate::http::Prefixed;
use crate::http::{allow_origin, problem};
use crate::metrics::{Outcome, ProtocolMetrics};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Frame;
use hub::EndReason;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// Answers a media request; the response begins with the first packets.
pub(super) async fn respond(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    peer: SocketAddr,
    request: Request,
) -> Response {
    let mut player = match admitted(&env, &metrics, peer, &request) {
        Ok(egress) => FlvBody { egress, started: false, queue: VecDeque::new() },
        Err(refusal) => return refused(&refusal),
    };
    if let Some(EndReason::NoPublisher) = poll_fn(|cx| player.poll_fill(cx)).await {
        player.egress.guard().set_outcome(Outcome::Finished);
        return refused(&Refusal::not_found());
    }
    let mut response = Response::new(Body::new(player));
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
    let egress = match admitted(&env, &metrics, peer, &request) {
        Ok(egress) => egress,
        Err(refusal) => return refused(&refusal),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // The peer left before the upgrade was written: dropping the reader is all there is to do.
        let Ok(upgraded) = upgrade.await else { return };
        if let Ok(parts) = auto::upgrade::downcast::<TokioIo<Prefixed>>(upgraded) {
            let mut input = parts.io.into_inner();
            input.head.extend_from_slice(&parts.read_buf);
            serve_upgraded(env, egress, input.stream, input.head).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    response
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

/// FLV as a response body.
struct FlvBody {
    egress: Egress,
    started: bool,
    queue: VecDeque<Bytes>,
}

impl FlvBody {
    /// Fills the queue with the next batch, joined to one buffer: HTTP/2 frames each buffer anew.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Option<EndReason>> {
        let Self { egress, started, queue } = self;
        let form = FlvForm::Plain;
        let mut head = |batch: &[Arc<hub::Entry>]| match std::mem::replace(started, true) {
            true => Bytes::new(),
            false => form.file_header(batch),
        };
        let mut buffers = Vec::new();
        let end = ready!(egress.poll_buffers(cx, &form, &mut head, &mut buffers));
        if buffers.len() > 1 {
            let mut joined = BytesMut::with_capacity(buffers.iter().map(Bytes::len).sum());
            buffers.iter().for_each(|buffer| joined.extend_from_slice(buffer));
            queue.push_back(joined.freeze());
        } else {
            queue.extend(buffers);
        }
        if end.is_some() {
            egress.guard().set_outcome(Outcome::Finished);
        }
        Poll::Ready(end)
    }
}

impl http_body::Body for FlvBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(bytes) = self.queue.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if ready!(self.poll_fill(cx)).is_some() {
                return Poll::Ready(None);
            }
        }
    }
}
