//! Requests of tunnels that hyper has read: over HTTP/2, or behind another request on the same connection.

use super::{Carrier, Tunnels};
use super::session::{Next, Served, Work};
use crate::http::{Peer, Port, problem};
use crate::{Env, registry};
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use rtmp::tunnel::{CONTENT_TYPE, Call, Refusal};
use std::sync::Arc;
use std::task::Poll;

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
    let arriving = Bytes::from_request(request, &());
    let body = match tokio::time::timeout(env.config.http.request_timeout(), arriving).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => return problem(rejection.status(), rejection.body_text()),
        Err(_) => return refused(Refusal::Slow),
    };
    let reply = match call {
        Call::Open => {
            let metrics = env.metrics.protocol(registry::tunnelled(port));
            let begun = Tunnels::begin(&env, metrics, peer, &carrier);
            begun.map(|id| Bytes::from(format!("{id}\n")))
        }
        _ => exchange(&env, call, body).await,
    };
    match reply {
        Ok(reply) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE)),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            ];
            (headers, Body::from(reply)).into_response()
        }
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status().0).unwrap_or(StatusCode::BAD_REQUEST);
    problem(status, format!("The request is refused: {refusal}."))
}

/// Serves a request of a tunnel that exists and returns the body of the reply.
async fn exchange(env: &Env, call: Call, body: Bytes) -> Result<Bytes, Refusal> {
    let (Call::Send(id, number) | Call::Idle(id, number) | Call::Close(id, number)) = call else {
        return Err(Refusal::NotFound);
    };
    let tunnel = env.tunnels.find(id).ok_or(Refusal::NotFound)?;
    let reply = loop {
        if let Some(reply) = tunnel.turn(number).await? {
            break reply;
        }
        let work = match call {
            Call::Send(..) => Work::Send(body.clone()),
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
