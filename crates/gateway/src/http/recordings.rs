//! Recordings over the API: what there is, and what is recorded from now on. For the operator.

use std::sync::Arc;

use api::{NewRecording, RecordingChange, Recordings};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{RequestExt, Router};
use http::StatusCode;

use super::problem;
use super::routes::{asker, json, method_not_allowed, unauthorized};
use crate::Env;
use crate::config::parse_channel;
use crate::record::{self, DeleteError, Entry, RecordingId, StartError};
use crate::target::query_value;

/// Bytes of the name of a stream in JSON.
const BODY_BYTES_MAX: usize = 1024;
/// Recordings in one answer, if nothing else is asked for; each takes about a kilobyte.
const PAGE: usize = 50;
/// Recordings in one answer.
const PAGE_MAX: usize = 500;

pub(super) fn routes(env: Arc<Env>) -> Router {
    Router::new()
        .route("/api/v1/recordings", get(list).post(begin).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .route(
            "/api/v1/recordings/{id}",
            get(one).delete(remove).patch(change).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)),
        )
        .route("/api/v1/recordings/{id}/stop", post(stop))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(env)
}

async fn list(State(env): State<Arc<Env>>, request: Request) -> Response {
    if !asker(&env, &request).operator {
        return unauthorized(&request, "");
    }
    let query = request.uri().query().unwrap_or_default();
    let name = match query_value(query, "stream").map(|text| parse_channel(&text)).transpose() {
        Ok(name) => name,
        Err(message) => return problem(StatusCode::BAD_REQUEST, format!("The stream: {message}.")),
    };
    let before = query_value(query, "before");
    let Some(before) = before.map(|text| RecordingId::parse(&text).ok_or(())).transpose().ok() else {
        return problem(StatusCode::BAD_REQUEST, "before= is no name of a recording.");
    };
    let limit = query_value(query, "limit").map_or(Ok(PAGE), |text| text.parse());
    let Some(limit) = limit.ok().filter(|limit| (1..=PAGE_MAX).contains(limit)) else {
        return problem(StatusCode::BAD_REQUEST, format!("limit= must lie between 1 and {PAGE_MAX}."));
    };
    let (entries, has_more) = env.recordings.list(name.as_ref(), before.as_ref(), limit);
    let next = entries.last().filter(|_| has_more).map(|entry| entry.id.to_string());
    json(&Recordings { recordings: entries.iter().map(|entry| entry.describe()).collect(), next })
}

async fn one(State(env): State<Arc<Env>>, Path(id): Path<String>, request: Request) -> Response {
    if !asker(&env, &request).operator {
        return unauthorized(&request, "");
    }
    find(&env, &id).map_or_else(absent, |entry| json(&entry.describe()))
}

async fn begin(State(env): State<Arc<Env>>, request: Request) -> Response {
    // Before the body is read.
    if !asker(&env, &request).operator {
        return unauthorized(&request, "");
    }
    let new: NewRecording = match read_json(request, "recording").await {
        Ok(new) => new,
        Err(response) => return response,
    };
    let name = match parse_channel(&new.stream) {
        Ok(name) => name,
        Err(message) => return problem(StatusCode::BAD_REQUEST, format!("The stream: {message}.")),
    };
    match env.recordings.begin(&env, &name) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(StartError::NoRule) => problem(
            StatusCode::CONFLICT,
            format!(
                "No rule is for {name}: add one to record.rule, with policy = \"on-demand\", and restart."
            ),
        ),
        Err(StartError::NotLive) => problem(StatusCode::CONFLICT, format!("{name} is not live.")),
    }
}

async fn stop(State(env): State<Arc<Env>>, Path(id): Path<String>, request: Request) -> Response {
    if !asker(&env, &request).operator {
        return unauthorized(&request, "");
    }
    let Some(entry) = find(&env, &id) else { return absent() };
    match env.recordings.stop(&entry.id) {
        true => StatusCode::ACCEPTED.into_response(),
        false => problem(StatusCode::CONFLICT, "This recording has ended already."),
    }
}

async fn remove(State(env): State<Arc<Env>>, Path(id): Path<String>, request: Request) -> Response {
    if !asker(&env, &request).operator {
        return unauthorized(&request, "");
    }
    let Some(entry) = find(&env, &id) else { return absent() };
    // It goes on where an answer takes longer than answers may.
    let wait = env.config.http.request_timeout() * 4 / 5;
    let Ok(deleted) = tokio::time::timeout(wait, record::delete(&env, &entry)).await else {
        return StatusCode::ACCEPTED.into_response();
    };
    match deleted {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(DeleteError::Going) => StatusCode::ACCEPTED.into_response(),
        Err(error @ DeleteError::Kept) => problem(StatusCode::CONFLICT, format!("Not deleted: {error}.")),
        Err(DeleteError::Running) => {
            problem(StatusCode::CONFLICT, "This recording is being made: stop it first.")
        }
        Err(DeleteError::Storage(error)) => problem(
            StatusCode::BAD_GATEWAY,
            format!("The object storage does not delete it now: {error}. Try again later."),
        ),
        Err(DeleteError::Failed(error)) => {
            problem(StatusCode::INTERNAL_SERVER_ERROR, format!("The files cannot be removed: {error}."))
        }
    }
}

async fn change(State(env): State<Arc<Env>>, Path(id): Path<String>, request: Request) -> Response {
    // Before the body is read.
    if !asker(&env, &request).operator {
        return unauthorized(&request, "");
    }
    let Some(entry) = find(&env, &id) else { return absent() };
    let change: RecordingChange = match read_json(request, "change").await {
        Ok(change) => change,
        Err(response) => return response,
    };
    // The disk is not for this thread.
    let kept = tokio::task::spawn_blocking({
        let entry = entry.clone();
        move || env.recordings.keep(&entry, change.keep)
    });
    match kept.await {
        Ok(Ok(())) => json(&entry.describe()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            problem(StatusCode::CONFLICT, "This recording is being deleted.")
        }
        Ok(Err(error)) => {
            problem(StatusCode::INTERNAL_SERVER_ERROR, format!("The change cannot be written: {error}."))
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "The change was not written."),
    }
}

/// Reads the body of a request, which is about a `what`.
async fn read_json<T: serde::de::DeserializeOwned>(request: Request, what: &str) -> Result<T, Response> {
    let body: Result<Bytes, BytesRejection> = Bytes::from_request(request.with_limited_body(), &()).await;
    let body = body.map_err(|rejection| problem(rejection.status(), rejection.body_text()))?;
    serde_json::from_slice(&body)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, format!("The {what} is not understood: {error}.")))
}

fn find(env: &Env, id: &str) -> Option<Arc<Entry>> {
    env.recordings.get(&RecordingId::parse(id)?)
}

fn absent() -> Response {
    problem(StatusCode::NOT_FOUND, "There is no such recording.")
}
