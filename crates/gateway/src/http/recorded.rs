//! Files of recordings, finished or not, whole or in part, and what is made of them. Who may play the stream may play them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::problem;
use super::ranged::Ranged;
use super::routes::asker;
use crate::feed::{ReadPieces, feed};
use crate::policy::{Action, Request as Admission};
use crate::record::read::{self, Source};
use crate::record::{FileName, RecordingId};
use crate::{Env, Secret, signature, vod};

/// What is read at once, and waits for the peer: a few of them for each download.
const PIECE_BYTES: u64 = 128 << 10;

pub(super) fn routes<S: Clone + Send + Sync + 'static>(env: Arc<Env>) -> Router<S> {
    Router::new()
        .route("/recordings/{file}", get(whole))
        .route("/recordings/{id}/{file}", get(file))
        .with_state(env)
}

/// The same words whether it is absent or not for this asker: nobody finds out what exists.
fn absent() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "There is no such recording, or it needs a key: add ?key=... to the address.",
    )
}

/// A request for something of a recording.
struct Admitted {
    asked: vod::Asked,
    /// Whether the token of the operator is all that lets it in: nothing in the address says so.
    is_private: bool,
}

/// Has no cache keep an answer that others who ask the same must not get (RFC 9111 section 5.2.2.9 lets `public` ones be kept
/// also where a token was sent).
fn guarded(mut response: Response, is_private: bool) -> Response {
    if is_private {
        let value = HeaderValue::from_static("private, no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    response
}

/// A request for something of a recording, if whoever asks may play its stream.
fn admit(env: &Env, id: &str, request: &Request) -> Option<Admitted> {
    let entry = env.recordings.get(&RecordingId::parse(id)?)?;
    let asker = asker(env, request);
    let may = |key: Option<&Secret>| {
        let admission = Admission { action: Action::Play, name: &entry.name, key, local: false };
        env.policy.admit(admission).is_ok()
    };
    let is_open = may(None);
    if !is_open && !asker.operator && !may(asker.key.as_ref()) {
        return None;
    }
    let key = asker.key.filter(|key| !is_open && may(Some(key)));
    let is_private = !is_open && key.is_none();
    let asked = vod::Asked {
        keys: key.map(|key| signature::query_of(&key).trim_start_matches('?').to_owned()).unwrap_or_default(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        method: request.method().clone(),
        headers: request.headers().clone(),
        entry,
    };
    Some(Admitted { asked, is_private })
}

async fn whole(State(env): State<Arc<Env>>, Path(name): Path<String>, request: Request) -> Response {
    if RecordingId::parse(&name).is_some() {
        // The page of a recording, whose address ends with a slash.
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        return Redirect::permanent(&format!("/recordings/{name}/{query}")).into_response();
    }
    let known = vod::Whole::parse(&name).and_then(|(id, form)| Some((admit(&env, id, &request)?, form)));
    drop(request);
    let Some((Admitted { asked, is_private }, form)) = known else { return absent() };
    let answer = match form {
        // A recording in segments has its playlist already.
        vod::Whole::Hls
            if asked.entry.is_in_segments()
                && !vod::is_part(&asked.query)
                && !vod::wants_mp4(&asked.query) =>
        {
            segments(&asked, &env).await.unwrap_or_else(absent)
        }
        form => vod::whole(env, asked, form).await,
    };
    guarded(answer, is_private)
}

async fn file(
    State(env): State<Arc<Env>>,
    Path((id, name)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Some(Admitted { asked, is_private }) = admit(&env, &id, &request) else { return absent() };
    drop(request);
    guarded(answer(env, asked, &name).await, is_private)
}

/// Answers `/recordings/ID/NAME`.
async fn answer(env: Arc<Env>, asked: vod::Asked, name: &str) -> Response {
    let Some(file) = FileName::parse(name) else {
        return vod::file(env, asked, name).await.unwrap_or_else(absent);
    };
    if file.is_playlist() && !asked.keys.is_empty() {
        return segments(&asked, &env).await.unwrap_or_else(absent);
    }
    let Ok(source) = read::open(&asked.entry, &file).await else { return absent() };
    let ranged = Ranged {
        length: source.bytes(),
        etag: Some(source.version().etag()),
        media: match file.extension() {
            "mp4" => "video/mp4",
            "flv" => "video/x-flv",
            "ts" => "video/mp2t",
            _ => "application/vnd.apple.mpegurl",
        },
        // The file in its final form has the same name, so it is asked for again, at the cost of a 304.
        cache: "no-cache",
    };
    ranged.answer(&asked.method, &asked.headers, |range| {
        feed(source, range, env.config.http.write_timeout(), env.shutdown.clone())
    })
}

/// The playlist of a recording in segments, for who asks for it beside the folder, or with a key that segments need too.
async fn segments(asked: &vod::Asked, env: &Env) -> Option<Response> {
    let source = read::open(&asked.entry, &FileName::playlist()).await.ok()?;
    let (mut text, mut position) = (Vec::new(), 0);
    while position < source.bytes() {
        let end = source.bytes().min(position + PIECE_BYTES);
        text.extend(source.read(position..end).await.ok()?);
        position = end;
    }
    let query = if asked.keys.is_empty() { String::new() } else { format!("?{}", asked.keys) };
    let id = asked.entry.id.clone();
    // There may be a hundred thousand of them.
    let addressed = tokio::task::spawn_blocking(move || {
        let lines = std::str::from_utf8(&text).ok()?.lines().map(|line| match line.starts_with('#') {
            true => format!("{line}\n"),
            false => format!("/recordings/{id}/{line}{query}\n"),
        });
        Some(Bytes::from(lines.collect::<String>()))
    });
    let text = addressed.await.ok()??;
    let media = "application/vnd.apple.mpegurl";
    let ranged = Ranged { length: text.len() as u64, etag: None, media, cache: "no-cache" };
    Some(ranged.answer(&asked.method, &asked.headers, |range| {
        feed(text, range, env.config.http.write_timeout(), env.shutdown.clone())
    }))
}

impl ReadPieces for Source {
    async fn read_piece(&mut self, range: Range<u64>) -> io::Result<Bytes> {
        self.read(range.start..range.end.min(range.start + PIECE_BYTES)).await
    }
}
