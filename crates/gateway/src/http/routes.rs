//! The routes of the HTTP port, and what all their answers have in common: a deadline, security headers, and the
//! permission for pages of other sites.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use media::StreamName;
use serde::Serialize;

use super::cors::allow_origin;
use super::site::Site;
use super::status::{self, Asker};
use super::{Peer, beacon, problem, recorded, recordings, relays};
use crate::allowance::{Allowance, Rate};
use crate::vod::{self, SnapshotForm};
use crate::{Env, Secret, metrics, rtmp, signature};

/// First path elements that are never an app, so that `/assets/x.flv` is a file and not a stream.
pub(crate) const RESERVED: &[&str] = &["api", "assets", "recordings", "watch"];

/// How old a list of channels may be. Every open home page asks for it every few seconds, and making it walks all
/// streams.
const CHANNELS_AGE_MAX: Duration = Duration::from_millis(500);

/// Reports of players that one address may send. Many viewers behind one address see a stream come back together, and each says
/// so; a player sends two in a minute, so the rate is for 600 viewers behind one address.
const BEACONS: Rate = Rate { burst: 300, refill: Duration::from_millis(50) };

#[derive(Clone)]
struct App {
    env: Arc<Env>,
    site: Arc<Site>,
    channels: Arc<Mutex<Lists>>,
    beacons: Arc<Mutex<Allowance>>,
}

/// Lists of channels and when they were made, by the key that they were made for.
#[derive(Default)]
struct Lists(HashMap<Option<String>, (Instant, Bytes)>);

impl Lists {
    /// The list for `key`, made anew if it is too old. The caller bounds the keys: they are those of the configuration.
    fn get(&mut self, key: Option<&str>, now: Instant, make: impl FnOnce() -> Bytes) -> Bytes {
        let key = key.map(str::to_owned);
        match self.0.get(&key) {
            Some((made, list)) if now.saturating_duration_since(*made) < CHANNELS_AGE_MAX => list.clone(),
            _ => self.0.entry(key).insert_entry((now, make())).get().1.clone(),
        }
    }
}

/// All routes of the HTTP port. Media that did not take the short way (see the module) is the last resort of the paths
/// that are nothing else.
pub(crate) fn router(env: Arc<Env>) -> Router {
    with_site(env, Site::embedded())
}

fn with_site(env: Arc<Env>, site: Site) -> Router {
    let app = App {
        env: env.clone(),
        site: Arc::new(site),
        channels: Arc::default(),
        beacons: Arc::new(Mutex::new(Allowance::new(BEACONS))),
    };
    // Media waits for its stream as long as the hub says, so the deadline of other answers is not its own.
    let media = Router::new()
        .route("/{app}/{file}", get(super::media).merge(tunnel()))
        .route("/{app}/{channel}/{file}", get(super::media))
        .route("/{app}/{channel}/snapshot.mp4", get(snapshot_mp4))
        .route("/{app}/{channel}/snapshot.jpg", get(snapshot_jpeg))
        .route("/{app}/{channel}/preview.webp", get(preview_webp))
        .route("/send/{id}/{number}", get(super::media).merge(tunnel()))
        .route("/idle/{id}/{number}", get(super::media).merge(tunnel()))
        .route("/close/{id}/{number}", get(super::media).merge(tunnel()))
        .with_state(env.clone())
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(env.clone(), cross_origin));
    // What programs and pages of other sites may read.
    let open = Router::new()
        .route("/api/v1/channels", get(channels))
        .route("/api/v1/channels/{app}/{channel}", get(channel))
        .route("/api/v1/channels/{app}/{channel}/las.json", get(las))
        .route("/api/v1/beacon", post(beacon).layer(DefaultBodyLimit::max(beacon::limits::BODY_BYTES_MAX)))
        .merge(recorded::routes(env.clone()))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(env.clone(), cross_origin));
    let pages = Router::new()
        .route("/", get(home))
        .route("/watch/{channel}", get(watch))
        .route("/recordings", get(recordings_page))
        .route("/recordings/{id}/", get(recording_page))
        .route("/assets/{*path}", get(file))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .route("/api/v1/sessions", get(sessions))
        .route("/api/v1/transcoding", get(transcoding))
        .fallback(file);
    open.merge(pages)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
        .merge(recordings::routes(env.clone()))
        .merge(relays::routes(env.clone()))
        .layer(middleware::from_fn_with_state(env, deadline))
        .merge(media)
        .layer(middleware::from_fn(secure))
}

/// The requests of RTMP tunnels. Some look like an app and a channel, so they share the path with media.
fn tunnel() -> MethodRouter<Arc<Env>> {
    post(rtmp::answer_tunnel).layer(DefaultBodyLimit::max(::rtmp::limits::TUNNEL_BODY_BYTES_MAX))
}

async fn home(State(app): State<App>, headers: HeaderMap) -> Response {
    page(&app, "index.html", &headers)
}

/// The page is the same for every channel: it takes the name from its own address, and its first script asks for media
/// before anything else is loaded.
async fn watch(State(app): State<App>, Path(channel): Path<String>, headers: HeaderMap) -> Response {
    match StreamName::parse("live", &channel) {
        Ok(_) => page(&app, "watch.html", &headers),
        Err(error) => problem(StatusCode::NOT_FOUND, format!("There is no such channel: {error}.")),
    }
}

async fn recordings_page(State(app): State<App>, headers: HeaderMap) -> Response {
    page(&app, "recordings.html", &headers)
}

/// The same for every recording, even one that there is not: the page asks for it, with the key that it was given.
async fn recording_page(State(app): State<App>, headers: HeaderMap) -> Response {
    page(&app, "recording.html", &headers)
}

fn page(app: &App, path: &str, headers: &HeaderMap) -> Response {
    app.site.get(path, headers).unwrap_or_else(nothing_here)
}

async fn file(State(app): State<App>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    // Pages have addresses of their own.
    if path.ends_with(".html") {
        return nothing_here();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return method_not_allowed(request.method().clone()).await;
    }
    app.site.get(path, request.headers()).unwrap_or_else(nothing_here)
}

fn nothing_here() -> Response {
    problem(StatusCode::NOT_FOUND, "There is nothing at this address.")
}

pub(super) async fn method_not_allowed(method: Method) -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not possible at this address."))
}

async fn ready(State(app): State<App>) -> Response {
    if status::is_ready(&app.env) {
        "ready\n".into_response()
    } else {
        problem(StatusCode::SERVICE_UNAVAILABLE, "The server is starting or shutting down.")
    }
}

async fn exposition(State(app): State<App>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, status::metrics(&app.env)).into_response()
}

async fn channels(State(app): State<App>, request: Request) -> Response {
    let asker = asker(&app.env, &request);
    if asker.operator {
        return json(&status::channels(&app.env, &asker));
    }
    // Who may see what depends on the key alone, and on no key that plays nothing.
    let key = asker.key.and_then(|key| app.env.policy.play_key(&key).cloned());
    let asker = Asker { key, ..asker };
    let mut lists = app.channels.lock().unwrap_or_else(PoisonError::into_inner);
    let body = lists.get(asker.key.as_ref().map(Secret::expose), Instant::now(), || {
        to_json(&status::channels(&app.env, &asker)).into()
    });
    drop(lists);
    json_body(body)
}

async fn channel(
    State(app): State<App>,
    Path((name, channel)): Path<(String, String)>,
    request: Request,
) -> Response {
    let detail = StreamName::parse(&name, &channel)
        .ok()
        .and_then(|name| status::channel_detail(&app.env, &name, &asker(&app.env, &request)));
    match detail {
        Some(detail) => json(&detail),
        // The same words whether it is absent or not for this asker: nobody finds out what exists.
        None => problem(StatusCode::NOT_FOUND, format!("There is no channel {name}/{channel}.")),
    }
}

async fn sessions(State(app): State<App>, request: Request) -> Response {
    // They hold addresses of viewers.
    if !asker(&app.env, &request).operator {
        return unauthorized(&request, "");
    }
    json(&status::sessions(&app.env))
}

async fn transcoding(State(app): State<App>, request: Request) -> Response {
    if !asker(&app.env, &request).operator {
        return unauthorized(&request, "");
    }
    json(&status::transcoding(&app.env))
}

async fn las(
    State(app): State<App>,
    Path((name, channel)): Path<(String, String)>,
    request: Request,
) -> Response {
    let manifest = StreamName::parse(&name, &channel)
        .ok()
        .and_then(|name| status::las(&app.env, &name, &asker(&app.env, &request)));
    match manifest {
        Some(manifest) => json(&manifest),
        None => problem(StatusCode::NOT_FOUND, format!("There is no channel {name}/{channel}.")),
    }
}

async fn beacon(State(app): State<App>, request: Request) -> Response {
    let player = app.env.metrics.player();
    let refused = |status: StatusCode, detail: String| {
        player.beacons_rejected.inc();
        problem(status, detail)
    };
    // Before its body is read.
    let allowed = {
        let mut beacons = app.beacons.lock().unwrap_or_else(PoisonError::into_inner);
        beacons.take(address(&request), Instant::now())
    };
    if !allowed {
        return refused(StatusCode::TOO_MANY_REQUESTS, "Too many reports come from this address.".to_owned());
    }
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => return refused(rejection.status(), rejection.body_text()),
    };
    let beacon: api::Beacon = match serde_json::from_slice(&body) {
        Ok(beacon) => beacon,
        Err(error) => {
            return refused(StatusCode::BAD_REQUEST, format!("The report is not understood: {error}."));
        }
    };
    match beacon::record(&beacon, player) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(reason) => refused(StatusCode::BAD_REQUEST, format!("The report makes no sense: {}.", reason.0)),
    }
}

async fn snapshot_mp4(
    State(env): State<Arc<Env>>,
    name: Path<(String, String)>,
    request: Request,
) -> Response {
    snapshot(env, name, &request, SnapshotForm::Mp4).await
}

async fn snapshot_jpeg(
    State(env): State<Arc<Env>>,
    name: Path<(String, String)>,
    request: Request,
) -> Response {
    snapshot(env, name, &request, SnapshotForm::Jpeg).await
}

async fn preview_webp(
    State(env): State<Arc<Env>>,
    name: Path<(String, String)>,
    request: Request,
) -> Response {
    snapshot(env, name, &request, SnapshotForm::WebP).await
}

/// The newest keyframe of a stream, or its last seconds, for whoever may play it.
fn snapshot(
    env: Arc<Env>,
    Path((app, channel)): Path<(String, String)>,
    request: &Request,
    form: SnapshotForm,
) -> impl Future<Output = Response> + use<> {
    let asker = asker(&env, request);
    let name = StreamName::parse(&app, &channel).ok().filter(|name| status::may_play(&env, name, &asker));
    async move {
        match name {
            Some(name) => {
                let mut response = vod::snapshot(env, name, form).await;
                if asker.operator {
                    // A cache that is shared must not hand it to others.
                    let value = HeaderValue::from_static("private, no-store");
                    response.headers_mut().insert(header::CACHE_CONTROL, value);
                }
                response
            }
            // The same words whether it is absent or not for this asker.
            None => {
                problem(StatusCode::NOT_FOUND, "There is no such stream, or it needs a key: add ?key=... .")
            }
        }
    }
}

pub(super) fn json(value: &impl Serialize) -> Response {
    json_body(to_json(value).into())
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    // Types of the API have string keys and no failing parts.
    serde_json::to_vec(value).unwrap_or_default()
}

fn json_body(body: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from(body)).into_response()
}

/// Who asks. The address says nothing: a proxy on this machine speaks for others, and rarely says so.
pub(super) fn asker(env: &Env, request: &Request) -> Asker {
    let key = signature::presented(request.uri().query().unwrap_or_default());
    Asker { key, operator: bearer(request.headers()).is_some_and(|token| env.policy.is_operator(token)) }
}

/// The token of a request (RFC 6750 section 2.1). It cannot be in the URL, which ends up in logs and histories.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The answer to who is not the operator, and where one is needed. `or` says what else would do.
pub(super) fn unauthorized(request: &Request, or: &str) -> Response {
    let given = bearer(request.headers()).is_some();
    let detail = format!(
        "{}: send \"Authorization: Bearer TOKEN\" with what `rushlight keys --operator` prints on the server \
         (access.operator_token, or operator.token in its data folder).{or}",
        if given { "The token is not valid" } else { "This is for the operator" },
    );
    let mut response = problem(StatusCode::UNAUTHORIZED, detail);
    // RFC 6750 section 3.1: no error is named to who gave no token.
    let challenge = if given {
        "Bearer realm=\"rushlight\", error=\"invalid_token\""
    } else {
        "Bearer realm=\"rushlight\""
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// The address of the peer. Without one, that of somebody far away.
fn address(request: &Request) -> IpAddr {
    request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip())
}

/// Bounds the time to an answer.
async fn deadline(State(env): State<Arc<Env>>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(env.config.http.request_timeout(), next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            problem(StatusCode::REQUEST_TIMEOUT, "The request took too long to arrive or to be answered.")
        }
    }
}

async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    add_security(response.headers_mut());
    response
}

/// Headers for every answer; those that a route sets itself stay.
fn add_security(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        // For what is no page: should a browser show it, it loads nothing and is framed by nobody.
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        );
    }
}

/// Adds to an answer of media that did not come by way of the router what the router's layers would have added. `origin` is the
/// page that asked.
pub(super) fn finish_media(env: &Env, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    headers.entry(header::VARY).or_insert(HeaderValue::from_static("origin"));
    if let Some(allowed) = allowed_origin(env, origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    }
    add_security(headers);
}

/// The origin that the answer to a request of `origin` may be read by.
fn allowed_origin(env: &Env, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
    let origin = origin.and_then(|origin| origin.to_str().ok());
    HeaderValue::from_str(allow_origin(&env.config.http, origin)?).ok()
}

/// Lets pages of allowed origins read the answer. Players of ours cause no preflight; others that ask for a range or
/// send a report as `application/json` do.
async fn cross_origin(State(env): State<Arc<Env>>, request: Request, next: Next) -> Response {
    let allowed = allowed_origin(&env, request.headers().get(header::ORIGIN));
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    // Media says so itself.
    headers.entry(header::VARY).or_insert(HeaderValue::from_static("origin"));
    if let Some(allowed) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if preflight {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            headers.insert(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                // CMCD: what players tell of their session (CTA-5004 section 2.1).
                HeaderValue::from_static(
                    "content-type, range, cmcd-object, cmcd-request, cmcd-session, cmcd-status",
                ),
            );
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        }
    }
    response
}

#[cfg(test)]
mod tests;
