//! Recordings over the API: what there is, what is recorded from now on, and clips. For the operator; others see a list of what
//! they may play.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use api::{NewClip, NewRecording, Recording, RecordingChange, RecordingState, Recordings};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{RequestExt, Router};
use http::StatusCode;

use super::problem;
use super::routes::{asker, json, method_not_allowed, unauthorized};
use super::status::may_play;
use crate::Env;
use crate::config::parse_channel;
use crate::record::{self, DeleteError, Entry, RecordingId, StartError};
use crate::target::query_value;
use crate::vod::{self, parse_rfc3339};
use media::Time;
use serde::de::DeserializeOwned;

/// Bytes of what is asked for in JSON: a name, and a title.
const BODY_BYTES_MAX: usize = 4096;
/// Characters of a title: a line of a page.
const TITLE_CHARS_MAX: usize = 200;
/// Characters that are searched for.
const SEARCH_CHARS_MAX: usize = 100;
/// How long the answer waits for a clip. Most take less than a second.
const CLIP_WAIT: Duration = Duration::from_secs(5);
/// Recordings in one answer, if nothing else is asked for; each takes about a kilobyte.
const PAGE: usize = 50;
/// Recordings in one answer.
const PAGE_MAX: usize = 500;

pub(super) fn routes(env: Arc<Env>) -> Router {
    Router::new()
        .route("/api/v1/recordings", get(list).post(begin).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .route(
            "/api/v1/recordings/{id}",
            get(one).patch(change).delete(remove).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)),
        )
        .route("/api/v1/clips", post(clip).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .route("/api/v1/recordings/{id}/stop", post(stop))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(env)
}

/// Recordings in a time: between names, which begin with when they were begun.
type Names = (Bound<RecordingId>, Bound<RecordingId>);

/// Reads `since=`, `until=` and `before=`.
fn names(query: &str) -> Result<Names, String> {
    let moment = |key: &str| match query_value(query, key).map(|text| parse_rfc3339(&text)) {
        Some(None) => Err(format!("{key}= is no time: write 2026-11-23T04:30:00Z.")),
        Some(Some(time)) => Ok(Some(RecordingId::new(time, 0))),
        None => Ok(None),
    };
    let before = query_value(query, "before").map(|text| RecordingId::parse(&text).ok_or(())).transpose();
    let before = before.map_err(|()| "before= is no name of a recording.".to_owned())?;
    let end = [moment("until")?, before].into_iter().flatten().min();
    let start = moment("since")?;
    Ok((start.map_or(Bound::Unbounded, Bound::Included), end.map_or(Bound::Unbounded, Bound::Excluded)))
}

async fn list(State(env): State<Arc<Env>>, request: Request) -> Response {
    let asker = asker(&env, &request);
    if !asker.operator && !env.config.record.listed {
        return unauthorized(&request, "");
    }
    let query = request.uri().query().unwrap_or_default();
    let name = match query_value(query, "stream").map(|text| parse_channel(&text)).transpose() {
        Ok(name) => name,
        Err(message) => return problem(StatusCode::BAD_REQUEST, format!("The stream: {message}.")),
    };
    let range = match names(query) {
        Ok(range) => range,
        Err(message) => return problem(StatusCode::BAD_REQUEST, message),
    };
    let limit = query_value(query, "limit").map_or(Ok(PAGE), |text| text.parse());
    let Some(limit) = limit.ok().filter(|limit| (1..=PAGE_MAX).contains(limit)) else {
        return problem(StatusCode::BAD_REQUEST, format!("limit= must lie between 1 and {PAGE_MAX}."));
    };
    let words = query_value(query, "q").unwrap_or_default().to_lowercase();
    if words.chars().count() > SEARCH_CHARS_MAX {
        return problem(StatusCode::BAD_REQUEST, format!("q= has more than {SEARCH_CHARS_MAX} characters."));
    }
    let fits = |entry: &Entry| {
        let is_named = name.as_ref().is_none_or(|name| entry.name == *name);
        is_named
            && (asker.operator || (entry.is_complete() && may_play(&env, &entry.name, &asker)))
            && (words.is_empty() || entry.is_called(&words))
    };
    let (entries, next) = env.recordings.list(range, limit, fits);
    let next = next.map(|id| id.to_string());
    let describe = |entry: &Arc<Entry>| match asker.operator {
        true => entry.describe(),
        false => public(entry.describe()),
    };
    json(&Recordings { recordings: entries.iter().map(describe).collect(), next })
}

/// What viewers see of a recording.
fn public(recording: Recording) -> Recording {
    Recording {
        id: recording.id,
        stream: recording.stream,
        kind: recording.kind,
        title: recording.title,
        source: None,
        state: recording.state,
        started_at: recording.started_at,
        ended_at: recording.ended_at,
        duration_ms: recording.duration_ms,
        bytes: recording.bytes,
        tracks: recording.tracks,
        files: Vec::new(),
        gaps: Vec::new(),
        problem: None,
        keep: false,
        upload: None,
    }
}

async fn one(State(env): State<Arc<Env>>, Path(id): Path<String>, request: Request) -> Response {
    let asker = asker(&env, &request);
    match find(&env, &id).filter(|entry| may_play(&env, &entry.name, &asker)) {
        Some(entry) if asker.operator => json(&entry.describe()),
        Some(entry) => json(&public(entry.describe())),
        // The same words whether it is absent or not for this asker: nobody finds out what exists.
        None => absent(),
    }
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

/// Reads the body of a request, which is about a `what`.
async fn read_json<T: DeserializeOwned>(request: Request, what: &str) -> Result<T, Response> {
    let body: Result<Bytes, BytesRejection> = Bytes::from_request(request.with_limited_body(), &()).await;
    let body = body.map_err(|rejection| problem(rejection.status(), rejection.body_text()))?;
    serde_json::from_slice(&body)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, format!("The {what} is not understood: {error}.")))
}

/// A title without what no title has.
fn read_title(title: Option<String>) -> Result<Option<String>, String> {
    let title = title.map(|title| title.trim().to_owned()).filter(|title| !title.is_empty());
    let is_wrong =
        |title: &String| title.chars().count() > TITLE_CHARS_MAX || title.chars().any(char::is_control);
    match title.as_ref().is_some_and(is_wrong) {
        true => Err(format!("A title is one line of {TITLE_CHARS_MAX} characters at most.")),
        false => Ok(title),
    }
}

async fn change(State(env): State<Arc<Env>>, Path(id): Path<String>, request: Request) -> Response {
    if !asker(&env, &request).operator {
        return unauthorized(&request, "");
    }
    let Some(entry) = find(&env, &id) else { return absent() };
    let change: RecordingChange = match read_json(request, "change").await {
        Ok(change) => change,
        Err(response) => return response,
    };
    let title = match change.title.map(|title| read_title(Some(title))).transpose() {
        Ok(title) => title,
        Err(message) => return problem(StatusCode::BAD_REQUEST, message),
    };
    // The disk is not for this thread.
    let saved = tokio::task::spawn_blocking(move || {
        env.recordings.change(&entry, change.keep, title).map(|()| entry.describe())
    });
    match saved.await {
        Ok(Ok(recording)) => json(&recording),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            problem(StatusCode::CONFLICT, "This recording is being deleted.")
        }
        Ok(Err(error)) => {
            problem(StatusCode::INTERNAL_SERVER_ERROR, format!("The change cannot be written: {error}."))
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "The change was not written."),
    }
}

/// A time in seconds that a clip may have.
fn seconds(value: Option<f64>) -> Option<Duration> {
    value
        .and_then(|value| Duration::try_from_secs_f64(value).ok())
        .filter(|time| *time < Duration::from_secs(1 << 30))
}

async fn clip(State(env): State<Arc<Env>>, request: Request) -> Response {
    if !asker(&env, &request).operator {
        return unauthorized(&request, "");
    }
    let new: NewClip = match read_json(request, "clip").await {
        Ok(new) => new,
        Err(response) => return response,
    };
    let wrong = |detail: String| problem(StatusCode::BAD_REQUEST, detail);
    let title = match read_title(new.title) {
        Ok(title) => title,
        Err(message) => return wrong(message),
    };
    let exact = new.exact;
    let cutting =
        match (new.stream, seconds(new.last_s), new.recording, seconds(new.from_s), seconds(new.to_s)) {
            (Some(stream), Some(last), None, None, None) if !last.is_zero() => {
                let name = match parse_channel(&stream) {
                    Ok(name) => name,
                    Err(message) => return wrong(format!("The stream: {message}.")),
                };
                tokio::spawn(vod::clip_of_stream(env, name, last, exact, title))
            }
            (None, None, Some(id), Some(from), Some(to)) => {
                let Some(entry) = find(&env, &id) else { return absent() };
                let window = move |_: &Recording| Time::ZERO + from..Time::ZERO + to;
                tokio::spawn(vod::clip_of_recording(env, entry, window, exact, title))
            }
            _ => {
                let detail =
                    "A clip needs stream and last_s, or recording, from_s and to_s: times in seconds.";
                return wrong(detail.to_owned());
            }
        };
    // It goes on if it takes longer.
    match tokio::time::timeout(CLIP_WAIT, cutting).await {
        Err(_) => StatusCode::ACCEPTED.into_response(),
        Ok(Ok(Ok(entry))) => {
            let recording = entry.describe();
            let is_complete = recording.state == RecordingState::Complete;
            let status = if is_complete { StatusCode::CREATED } else { StatusCode::ACCEPTED };
            (status, json(&recording)).into_response()
        }
        Ok(Ok(Err(refusal))) => refusal.into(),
        Ok(Err(_)) => problem(StatusCode::INTERNAL_SERVER_ERROR, "The clip was not made."),
    }
}

fn find(env: &Env, id: &str) -> Option<Arc<Entry>> {
    env.recordings.get(&RecordingId::parse(id)?)
}

fn absent() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "There is no such recording, or it needs a key: add ?key=... to the address.",
    )
}
