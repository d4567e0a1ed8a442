//! Relays over the API: how they go, and targets that are added and removed at run time.
//!
//! Whoever may publish a stream may say where else it goes: everybody who has the stream's publish key, and the operator.

use std::sync::Arc;

use api::NewPush;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{RequestExt, extract::FromRequest};
use http::StatusCode;
use link::Reach;
use media::StreamName;

use super::problem;
use super::routes::{asker, json, method_not_allowed, unauthorized};
use super::status::Asker;
use crate::Env;
use crate::config::parse_channel;
use crate::policy::{Action, Request as Admission};
use crate::relay::{AddError, RemoveError, TargetId, limits, new_target};

/// Bytes of a target to add. URLs with keys have a few hundred.
const BODY_BYTES_MAX: usize = 8 * 1024;

/// What else opens these addresses.
const OR_KEY: &str = " For the relays of a stream, its publish key does too: add ?key=...";

pub(super) fn routes(env: Arc<Env>) -> Router {
    Router::new()
        .route("/api/v1/relays", get(list))
        .route("/api/v1/relays/push", post(add).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .route("/api/v1/relays/push/{id}", delete(remove))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(env)
}

async fn list(State(env): State<Arc<Env>>, request: Request) -> Response {
    let asker = asker(&env, &request);
    if !asker.operator && asker.key.is_none() {
        return unauthorized(&request, OR_KEY);
    }
    let may_see =
        |name: Option<&StreamName>| asker.operator || name.is_some_and(|name| has_key(&env, &asker, name));
    json(&env.relays.to_api(&env, may_see))
}

async fn add(State(env): State<Arc<Env>>, request: Request) -> Response {
    let asker = asker(&env, &request);
    // Before the body is read.
    if !asker.operator && asker.key.is_none() {
        return unauthorized(&request, OR_KEY);
    }
    let body: Result<Bytes, BytesRejection> = Bytes::from_request(request.with_limited_body(), &()).await;
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return problem(rejection.status(), rejection.body_text()),
    };
    let wrong = |detail: String| problem(StatusCode::BAD_REQUEST, detail);
    let new: NewPush = match serde_json::from_slice(&body) {
        Ok(new) => new,
        Err(error) => return wrong(format!("The target is not understood: {error}.")),
    };
    let name = match parse_channel(&new.stream) {
        Ok(name) => name,
        Err(message) => return wrong(format!("The stream: {message}.")),
    };
    if !may_direct(&env, &asker, &name) {
        return forbidden();
    }
    // Somebody far away may send a stream out into the world, not into the networks of this machine.
    let reach = if asker.operator { Reach::Anywhere } else { Reach::Public };
    match env.relays.add(&name, &new.url, &new.name, reach) {
        Ok(target) => (StatusCode::CREATED, json(&new_target(&target))).into_response(),
        Err(AddError::Invalid(field, why)) => wrong(format!("The field {field} {why}.")),
        Err(AddError::Exists) => {
            problem(StatusCode::CONFLICT, format!("{name} has a target called {:?} already.", new.name))
        }
        Err(AddError::Full) => problem(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "There are too many targets: at most {} for one stream and {} in all can be added.",
                limits::ADDED_PER_STREAM_MAX,
                limits::ADDED_MAX
            ),
        ),
    }
}

async fn remove(State(env): State<Arc<Env>>, Path(id): Path<String>, request: Request) -> Response {
    let asker = asker(&env, &request);
    if !asker.operator && asker.key.is_none() {
        return unauthorized(&request, OR_KEY);
    }
    let target = TargetId::parse(&id).and_then(|id| env.relays.target(id));
    let Some(target) = target else {
        return problem(StatusCode::NOT_FOUND, format!("There is no target {id}."));
    };
    // What is for several streams stands in the configuration, and only the operator may know of it.
    let allowed = match target.pattern.exact() {
        Some(name) => may_direct(&env, &asker, &name),
        None => asker.operator,
    };
    if !allowed {
        return forbidden();
    }
    match env.relays.remove(target.id) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(RemoveError::Unknown) => problem(StatusCode::NOT_FOUND, format!("There is no target {id}.")),
        Err(RemoveError::Configured) => problem(
            StatusCode::CONFLICT,
            "This target stands in the configuration: remove it there and restart.",
        ),
    }
}

fn forbidden() -> Response {
    problem(
        StatusCode::FORBIDDEN,
        "Whoever may publish a stream may say where else it goes: add ?key=... with its publish key.",
    )
}

/// Whether the asker may say where the stream goes.
fn may_direct(env: &Env, asker: &Asker, name: &StreamName) -> bool {
    asker.operator || has_key(env, asker, name)
}

/// Whether the asker has given the publish key of the stream.
fn has_key(env: &Env, asker: &Asker, name: &StreamName) -> bool {
    let admission = Admission { action: Action::Publish, name, key: asker.key.as_ref(), local: false };
    asker.key.is_some() && env.policy.admit(admission).is_ok()
}
