//! From a request to a reader, or to the status that says why not.

use crate::Env;
use crate::egress::Egress;
use crate::metrics::{JoinStage, ProtocolMetrics, RejectReason, Role};
use crate::policy::{Action, Request};
use crate::sessions::{NewSession, SessionGuard};
use crate::target::Target;
use http::StatusCode;
use hub::{Reader, Start};
use std::net::SocketAddr;
use std::time::Instant;
use tracing::debug;

/// Why a player gets no media.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) detail: String,
}

impl Refusal {
    /// Nobody published the stream while the player waited.
    pub(super) fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, detail: "Nobody publishes this stream.".into() }
    }

    /// A page of another site asks, and the configuration does not list it.
    pub(super) fn foreign_page() -> Self {
        let detail = "Pages of this site may not play here; see http.allow_origins.".into();
        Self { status: StatusCode::FORBIDDEN, detail }
    }
}

/// Admits a player of `path` and attaches it to the stream.
pub(super) fn admit(
    env: &Env,
    metrics: &ProtocolMetrics,
    path: &str,
    query: &str,
    peer: SocketAddr,
    user_agent: Option<&str>,
    requested: Instant,
) -> Result<Egress, Refusal> {
    let target = grant(env, metrics, path, query, peer, requested)?;
    let reader = attach(env, metrics, &target, target.start(), peer, requested)?;
    let guard = open_session(env, metrics, &target, peer, user_agent, requested)?;
    Ok(Egress::new(reader, metrics.clone(), guard, requested))
}

/// What `path` names, if the player may play it.
pub(super) fn grant(
    env: &Env,
    metrics: &ProtocolMetrics,
    path: &str,
    query: &str,
    peer: SocketAddr,
    requested: Instant,
) -> Result<Target, Refusal> {
    let refuse = |reason, status, detail: String| {
        metrics.rejected(Role::Play, reason);
        debug!(%peer, path, %status, detail, "play refused");
        Refusal { status, detail }
    };
    let target = match Target::from_http(path, query, "flv") {
        Some(Ok(target)) => target,
        Some(Err(error)) => {
            return Err(refuse(RejectReason::Name, StatusCode::BAD_REQUEST, error.to_string()));
        }
        None => {
            return Err(refuse(
                RejectReason::Name,
                StatusCode::NOT_FOUND,
                "No stream has this address.".into(),
            ));
        }
    };
    let key = target.key();
    let request = Request { action: Action::Play, name: &target.name, key: key.as_ref(), local: false };
    env.policy
        .admit(request)
        .map_err(|denied| refuse(RejectReason::Key, StatusCode::FORBIDDEN, denied.to_string()))?;
    metrics.join(JoinStage::Admit, requested.elapsed());
    Ok(target)
}

/// Attaches a player that was admitted to the stream.
pub(super) fn attach(
    env: &Env,
    metrics: &ProtocolMetrics,
    target: &Target,
    start: Start,
    peer: SocketAddr,
    requested: Instant,
) -> Result<Reader, Refusal> {
    let reader = env.origin.read(&target.name, env.read_options(start), requested);
    reader.map_err(|error| full(metrics, target, peer, error.to_string()))
}

/// Opens the session of a player that was admitted.
pub(super) fn open_session(
    env: &Env,
    metrics: &ProtocolMetrics,
    target: &Target,
    peer: SocketAddr,
    user_agent: Option<&str>,
    requested: Instant,
) -> Result<SessionGuard, Refusal> {
    let new = NewSession {
        role: Role::Play,
        stream: target.name.clone(),
        address: peer,
        user_agent,
        started: requested,
    };
    let guard =
        env.sessions.open(new, metrics).map_err(|error| full(metrics, target, peer, error.to_string()))?;
    debug!(session = %guard.id(), %peer, stream = %target.name, "playing");
    Ok(guard)
}

fn full(metrics: &ProtocolMetrics, target: &Target, peer: SocketAddr, detail: String) -> Refusal {
    metrics.rejected(Role::Play, RejectReason::Limit);
    debug!(%peer, stream = %target.name, detail, "play refused");
    Refusal { status: StatusCode::SERVICE_UNAVAILABLE, detail }
}
