//! Requests of tunnels that hyper has read: over HTTP/2, or behind another request on the same connection.

use super::session::{Next, Served, Work};
use super::{Carrier, SKIP_BYTES_MAX, Tunnels};
use crate::http::{Peer, Port, problem};
use crate::{Env, registry};
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use rtmp::limits::TUNNEL_BODY_BYTES_MAX;
use rtmp::tunnel::{CONTENT_TYPE, Call, Refusal};
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::OwnedSemaphorePermit;

/// Answers a request of a tunnel.
pub(crate) async fn answer(State(env): State<Arc<Env>>, request: Request) -> Response {
    let Some(call) = Call::parse(request.uri().path()) else {
        return problem(StatusCode::METHOD_NOT_ALLOWED, "POST is not possible at this address.");
    };
    let extensions = request.extensions();
    let (Some(&Peer(peer)), Some(&Port(port))) = (extensions.get::<Peer>(), extensions.get::<Port>()) else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "The address of the peer is not known.");
    };
    let carrier = extensions.get::<Carrier>().cloned().unwrap_or_default();
    let mut body = Arriving { env: &env, carrier: &carrier, request: Some(request), room: None };
    let reply = match call {
        Call::Open => match body.skip().await {
            Ok(()) => {
                let metrics = env.metrics.protocol(registry::tunnelled(port));
                let begun = Tunnels::begin(&env, metrics, peer, &carrier);
                begun.map(|id| Bytes::from(format!("{id}\n")))
            }
            Err(refusal) => Err(refusal),
        },
        _ => exchange(&env, call, &mut body).await,
    };
    match reply {
        Ok(reply) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE)),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            ];
            (headers, Body::from(reply)).into_response()
        }
        Err(refusal) => {
            // So that the client reads the answer. What is longer is cut off.
            let _ = body.skip().await;
            refused(refusal)
        }
    }
}

/// The body of a request: nothing of it is read before it is known what it is for.
struct Arriving<'a> {
    env: &'a Env,
    carrier: &'a Carrier,
    /// Until its body is read.
    request: Option<Request>,
    /// Held until the request is answered.
    room: Option<OwnedSemaphorePermit>,
}

impl Arriving<'_> {
    /// Reads it whole, once the other requests of the connection leave room for it.
    async fn read(&mut self) -> Result<Bytes, Refusal> {
        let Some(request) = self.request.take() else { return Ok(Bytes::new()) };
        let room = content_length(&request).unwrap_or(TUNNEL_BODY_BYTES_MAX).min(TUNNEL_BODY_BYTES_MAX);
        let arriving = async {
            self.room = self.carrier.bodies.clone().acquire_many_owned(room as u32).await.ok();
            Bytes::from_request(request, &()).await
        };
        match tokio::time::timeout(self.env.config.http.request_timeout(), arriving).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Refusal::BodyTooLarge)
            }
            Ok(Err(_)) => Err(Refusal::Malformed("the body did not arrive")),
            Err(_) => Err(Refusal::Slow),
        }
    }

    /// Reads what has no meaning, and keeps nothing of it.
    async fn skip(&mut self) -> Result<(), Refusal> {
        let Some(request) = self.request.take() else { return Ok(()) };
        if content_length(&request).is_some_and(|bytes| bytes > SKIP_BYTES_MAX) {
            return Err(Refusal::BodyTooLarge);
        }
        let skipping = async {
            let mut body = request.into_body();
            let mut skipped = 0;
            while let Some(Ok(frame)) = body.frame().await {
                skipped += frame.data_ref().map_or(0, Bytes::len);
                if skipped > SKIP_BYTES_MAX {
                    return Err(Refusal::BodyTooLarge);
                }
            }
            Ok(())
        };
        let within = self.env.config.http.request_timeout();
        tokio::time::timeout(within, skipping).await.unwrap_or(Err(Refusal::Slow))
    }
}

fn content_length(request: &Request) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn refused(refusal: Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status().0).unwrap_or(StatusCode::BAD_REQUEST);
    problem(status, format!("The request is refused: {refusal}."))
}

/// Serves a request of a tunnel that exists and returns the body of the reply.
async fn exchange(env: &Env, call: Call, arriving: &mut Arriving<'_>) -> Result<Bytes, Refusal> {
    let (Call::Send(id, number) | Call::Idle(id, number) | Call::Close(id, number)) = call else {
        return Err(Refusal::NotFound);
    };
    let tunnel = env.tunnels.find(id).ok_or(Refusal::NotFound)?;
    let mut body = None;
    let reply = loop {
        // Before the body is read: one that waits for its turn keeps no memory.
        if let Some(reply) = tunnel.turn(number).await? {
            arriving.skip().await?;
            break reply;
        }
        let body = match (&body, call) {
            (Some(body), _) => Bytes::clone(body),
            (None, Call::Send(..)) => body.insert(arriving.read().await?).clone(),
            (None, _) => {
                arriving.skip().await?;
                Bytes::new()
            }
        };
        let work = match call {
            Call::Send(..) => Work::Send(body),
            Call::Close(..) => Work::Close,
            _ => Work::Idle,
        };
        // hyper does not read on while a request is at work.
        if let Served::Reply(reply) = tunnel.serve(number, work, |_| Poll::<Next>::Pending).await {
            break reply;
        }
    };
    if let Call::Close(..) = call {
        env.tunnels.forget(id);
    }
    let mut bytes = BytesMut::with_capacity(1 + reply.bytes);
    bytes.put_u8(reply.interval);
    reply.data.iter().for_each(|data| bytes.extend_from_slice(data));
    Ok(bytes.freeze())
}
