//! Requests and their answers.

use super::body::{Chunks, Fed, growing};
use super::channel::{Channel, Phase};
use super::joined::{joined, transport};
use super::limits;
use super::name::{BadDirective, Directives, File};
use super::playlist::Terms;
use super::range::{self, Range};
use super::ts;
use super::viewers::ViewerKey;
use super::window::{Edge, Span};
use crate::Env;
use crate::http::problem;
use crate::metrics::{ProtocolMetrics, RejectReason, Role};
use crate::policy::{Action, Denied, Request as PolicyRequest};
use crate::signature;
use crate::target::{self, Target};
use crate::timeshift::{self, Entry, Place, Timeshift};
use crate::transcode;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hub::Start;
use media::{Kind, TrackId};
use std::fmt;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Semaphore, watch};

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const MANIFEST: &str = "application/dash+xml";
const TRANSPORT: &str = "video/mp2t";

/// Segments that are read from the disk and encrypted at this moment: they do not keep those waiting that are in memory.
static SHELVED_SEALS: Semaphore = Semaphore::const_new(limits::SEALS_MAX);

/// How long an answer may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// What the name says never changes. An hour is longer than anybody plays live media behind live.
    Immutable,
    For(Duration),
}

/// A request that got past the policy.
struct Admitted {
    channel: Arc<Channel>,
    viewer: ViewerKey,
    /// What media is to be asked for with: the key or the signature, where one is needed.
    query: String,
}

/// Why a request is not answered as it wants.
struct Refusal {
    status: StatusCode,
    detail: String,
    keep: Duration,
}

impl Refusal {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), keep: Duration::ZERO }
    }

    /// Something that is not there, and that a cache need not ask for again for a moment.
    fn not_found(detail: &str) -> Self {
        Self { keep: Duration::from_secs(1), ..Self::new(StatusCode::NOT_FOUND, detail) }
    }

    /// Media that is gone, or is still to come. The latter is not for caches: they would answer so to those who ask in time.
    fn no_media(what: &str, is_ahead: bool) -> Self {
        match is_ahead {
            true => Self::new(StatusCode::NOT_FOUND, format!("{what} is yet to come.")),
            false => Self::not_found(&format!("{what} is gone.")),
        }
    }
}

impl From<BadDirective> for Refusal {
    fn from(bad: BadDirective) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("{}.", bad.0))
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let mut response = problem(refusal.status, refusal.detail);
        if !refusal.keep.is_zero() {
            set_cache(response.headers_mut(), Keep::For(refusal.keep));
        }
        response
    }
}

/// Answers a request for `/APP/CHANNEL.m3u8`, `/APP/CHANNEL.mpd`, or for a file below `/APP/CHANNEL/`.
pub(super) async fn respond(
    env: Arc<Env>,
    metrics: ProtocolMetrics,
    peer: SocketAddr,
    request: Request,
) -> Response {
    let requested = Asked::new(&request);
    match requested.answer(&env, &metrics, peer).await {
        Ok(response) => response,
        Err(refusal) => refusal.into(),
    }
}

/// What a request says.
struct Asked<'a> {
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    fn new(request: &'a Request) -> Self {
        let uri = request.uri();
        Self { path: uri.path(), query: uri.query().unwrap_or_default(), headers: request.headers() }
    }

    async fn answer(
        &self,
        env: &Arc<Env>,
        metrics: &ProtocolMetrics,
        peer: SocketAddr,
    ) -> Result<Response, Refusal> {
        let Some((folder, file)) = folder_and_file(self.path) else {
            if let Some((extension, format)) = [("cmaf", "video/mp4"), ("ts", TRANSPORT)]
                .into_iter()
                .find(|(extension, _)| self.ends_in(extension))
            {
                return self.endless(env, metrics, peer, extension, format).await;
            }
            let is_dash = self.path.ends_with(".mpd");
            let target = Target::from_http(self.path, self.query, if is_dash { "mpd" } else { "m3u8" });
            let target = target.ok_or_else(|| Refusal::not_found("No stream has this address."))?;
            let admitted = self.admit(env, metrics, peer, target, true).await?;
            let folder = format!("{}/", admitted.channel.name.channel());
            let is_rewind =
                is_dash && target::query_value(self.query, "rewind").is_some_and(|asked| asked == "1");
            let span = if is_rewind { Span::Rewind } else { Span::Live };
            let format = if is_dash { MANIFEST } else { PLAYLIST };
            return self.overview(env, metrics, &admitted, &folder, format, span).await;
        };
        let file = File::parse(file).ok_or_else(|| Refusal::not_found("There is no file of this name."))?;
        // The folder is named like the stream.
        let target = Target::from_http(&format!("{folder}.m3u8"), self.query, "m3u8");
        let target = target.ok_or_else(|| Refusal::not_found("No stream has this address."))?;
        let is_playlist = matches!(
            file,
            File::Playlist(_)
                | File::Rewind
                | File::RewindManifest
                | File::RewindPlaylist(_)
                | File::TsPlaylist
                // Of a rung they ask for no playlist.
                | File::InitOf(..)
                | File::SegmentOf(..)
        );
        let admitted = self.admit(env, metrics, peer, target, is_playlist).await?;
        match file {
            File::Rewind => self.overview(env, metrics, &admitted, "", PLAYLIST, Span::Rewind).await,
            File::RewindManifest => self.overview(env, metrics, &admitted, "", MANIFEST, Span::Rewind).await,
            File::TsPlaylist => self.transport_playlist(env, metrics, &admitted).await,
            File::TsSegment(number) => {
                admitted.channel.transport.note_asked(Instant::now());
                let media = admitted.channel.transport.segment(number);
                let (newest, ended) = admitted.channel.transport.edge();
                let is_ahead = !ended && newest.is_none_or(|newest| number > newest);
                let media = media.ok_or_else(|| Refusal::no_media("This segment", is_ahead))?;
                let media = sealed(&admitted.channel, file, number, media).await?;
                self.whole(metrics, &admitted, HeaderValue::from_static(TRANSPORT), media)
            }
            File::Key(number) => self.key(metrics, &admitted, number),
            File::Playlist(track) => self.media_playlist(env, metrics, &admitted, track, Span::Live).await,
            File::RewindPlaylist(track) => {
                check_rewind(&admitted.channel)?;
                self.media_playlist(env, metrics, &admitted, track, Span::Rewind).await
            }
            File::Init(track, number) => {
                let init = admitted.channel.init(track, number);
                let init = init.ok_or_else(|| Refusal::not_found("This initialization is gone."))?;
                self.whole(metrics, &admitted, content_type(track), vec![init.bytes])
            }
            File::Part(track, segment, part) => {
                let bytes = self.part(env, &admitted.channel, track, segment, part).await?;
                let bytes = sealed(&admitted.channel, file, segment, vec![bytes]).await?;
                self.whole(metrics, &admitted, content_type(track), bytes)
            }
            File::Segment(track, number) => self.segment(env, metrics, &admitted, track, number).await,
            File::InitOf(track, number) => self.init_of(env, metrics, peer, &admitted, (track, number)).await,
            File::SegmentOf(track, number) => {
                self.segment_of(env, metrics, peer, &admitted, (track, number)).await
            }
        }
    }

    /// What a decoder must know of a rung where its stream has an initialization section of this number.
    async fn init_of(
        &self,
        env: &Arc<Env>,
        metrics: &ProtocolMetrics,
        peer: SocketAddr,
        admitted: &Admitted,
        (track, number): (TrackId, u64),
    ) -> Result<Response, Refusal> {
        let channel = &admitted.channel;
        let discontinuities = of_stream(env, channel, peer)?.begun_with(track, number);
        if let Some(begun) = discontinuities {
            // The stream is ahead of its rung.
            let mut own = channel.follow(track).ok_or_else(no_track)?;
            await_edge(env, channel, &mut own, |edge| edge.ended || channel.has_begun_anew(track, begun))
                .await?;
        }
        let init = channel.init_like(track, discontinuities);
        let init = init.ok_or_else(|| Refusal::not_found("This initialization is gone."))?;
        let mut response = self.whole(metrics, admitted, content_type(track), vec![init])?;
        // A rung that begins anew may be of another encoder.
        set_cache(response.headers_mut(), Keep::For(channel.target()));
        Ok(response)
    }

    /// The segment of a rung that goes with one of its stream.
    async fn segment_of(
        &self,
        env: &Arc<Env>,
        metrics: &ProtocolMetrics,
        peer: SocketAddr,
        admitted: &Admitted,
        (track, number): (TrackId, u64),
    ) -> Result<Response, Refusal> {
        let channel = &admitted.channel;
        let stream = of_stream(env, channel, peer)?;
        let mut edge = stream.follow(track).ok_or_else(no_track)?;
        let now = *edge.borrow();
        if !now.ended && now.next() == (number, 0) {
            await_edge(env, &stream, &mut edge, |edge| edge.ended || edge.shows(number, Some(0))).await?;
        }
        let no_media = || Refusal::no_media("This segment", edge.borrow().is_ahead(number, 0));
        let of = stream.line(track, number).ok_or_else(no_media)?;
        let mut own = channel.follow(track).ok_or_else(no_track)?;
        await_edge(env, channel, &mut own, |edge| edge.ended || channel.reaches(track, of.start)).await?;
        // It may have become complete meanwhile.
        let of = stream.line(track, number).unwrap_or(of);
        let end = of.closed.then(|| of.start + of.duration);
        let is_whole = match end {
            Some(end) => {
                let is_there = |edge: &Edge| edge.ended || channel.has_all(track, end);
                // Before an interruption a rung may have less than its stream.
                await_edge(env, channel, &mut own, is_there).await.is_ok()
            }
            None => false,
        };
        let numbers = channel.within(track, of.start, end);
        let Some(first) = numbers.first() else {
            // The rung began later, or it is gone. Players go on behind a segment without a frame.
            let empty = channel.empty(track, &of).ok_or_else(no_media)?;
            let mut response = self.whole(metrics, admitted, content_type(track), vec![empty])?;
            set_cache(response.headers_mut(), Keep::For(channel.target()));
            return Ok(response);
        };
        let closed = |number: &u64| channel.segment(track, *number, 0).filter(|media| media.closed);
        let several = numbers.iter().map(closed).collect::<Option<Vec<_>>>();
        let is_final = is_whole && several.is_some();
        let mut response = match several {
            Some(several) => {
                let parts = several.into_iter().flat_map(|media| media.parts).collect();
                self.whole(metrics, admitted, content_type(track), parts)?
            }
            None => self.segment(env, metrics, admitted, track, *first).await?,
        };
        if !is_final {
            // Another segment may come to belong to it.
            set_cache(response.headers_mut(), Keep::For(channel.target()));
        }
        Ok(response)
    }

    /// Lets a request in. `enters` says whether it begins a session where there is none.
    async fn admit(
        &self,
        env: &Arc<Env>,
        metrics: &ProtocolMetrics,
        peer: SocketAddr,
        target: Result<Target, media::NameError>,
        enters: bool,
    ) -> Result<Admitted, Refusal> {
        let refuse = |reason, status, detail: String| {
            metrics.rejected(Role::Play, reason);
            Refusal::new(status, detail)
        };
        let target =
            target.map_err(|error| refuse(RejectReason::Name, StatusCode::BAD_REQUEST, error.to_string()))?;
        let viewer = ViewerKey::of(peer.ip(), self.query, self.headers);
        let query = match admitted_query(env, &target) {
            // Who watches goes on watching.
            Err(Denied::Expired) if env.packagers.is_watched(&target.name, viewer, Instant::now()) => {
                Ok(presented_query(&target))
            }
            other => other,
        };
        let query =
            query.map_err(|denied| refuse(RejectReason::Key, StatusCode::FORBIDDEN, denied.to_string()))?;
        let channel = env.packagers.channel(env, &target.name, peer).map_err(|error| {
            refuse(RejectReason::Limit, StatusCode::SERVICE_UNAVAILABLE, error.to_string())
        })?;
        let full = |why: &dyn fmt::Display| {
            refuse(RejectReason::Limit, StatusCode::SERVICE_UNAVAILABLE, why.to_string())
        };
        // Somebody wants the stream, so that a relay fetches it: until there is a session, the request itself says so.
        let mut presence = None;
        if enters && *channel.phase.borrow() == Phase::Starting {
            let options = env.read_options(Start::Live);
            let reader = env.origin.read(&target.name, options, Instant::now());
            presence.insert(reader.map_err(|error| full(&error))?).pause();
        }
        let mut phase = channel.phase.subscribe();
        let patience = Duration::from_millis(env.config.hub.wait_ms) + env.config.http.request_timeout();
        let ready = tokio::select! {
            biased;
            ready = phase.wait_for(|phase| *phase != Phase::Starting) => ready.map_or(Phase::Absent, |phase| *phase),
            () = tokio::time::sleep(patience) => Phase::Starting,
            () = env.shutdown.triggered() => Phase::Starting,
        };
        match ready {
            Phase::Ready => {
                if enters && channel.has_ended() {
                    channel.viewers.enter_ended(viewer, Instant::now());
                } else if enters {
                    let user_agent = self.headers.get(header::USER_AGENT);
                    let user_agent = user_agent.and_then(|value| value.to_str().ok());
                    let entered = channel.viewers.enter(env, viewer, &target.name, peer, user_agent, metrics);
                    entered.map_err(|refused| full(&refused))?;
                }
                Ok(Admitted { channel, viewer, query })
            }
            Phase::Starting | Phase::Stopped => {
                let detail = "The stream has only begun; ask again.".to_owned();
                Err(refuse(RejectReason::NotFound, StatusCode::SERVICE_UNAVAILABLE, detail))
            }
            Phase::Absent => {
                metrics.rejected(Role::Play, RejectReason::NotFound);
                Err(Refusal::not_found("Nobody publishes this stream."))
            }
        }
    }

    /// The multivariant playlist or the manifest. `folder` is where media is, as seen from there.
    async fn overview(
        &self,
        env: &Env,
        metrics: &ProtocolMetrics,
        admitted: &Admitted,
        folder: &str,
        format: &'static str,
        span: Span,
    ) -> Result<Response, Refusal> {
        let channel = &admitted.channel;
        if span == Span::Rewind {
            check_rewind(channel)?;
        }
        if format == MANIFEST {
            check_clear(channel)?;
        }
        let query = &admitted.query;
        let written = match (format, span) {
            (MANIFEST, Span::Live) => {
                let rungs = listed_rungs(env, channel);
                channel.manifest(folder, &rungs).at(&xml(query), SystemTime::now())
            }
            (MANIFEST, Span::Rewind) => {
                let written = channel.rewind_manifest(folder).await.ok_or_else(no_track)?;
                let query = xml(query);
                elsewhere(move || written.at(&query, SystemTime::now())).await?
            }
            _ => {
                // Rungs have no past.
                let rungs = if span == Span::Live { listed_rungs(env, channel) } else { Vec::new() };
                channel.multivariant(folder, span, &rungs).with_query(query)
            }
        };
        Ok(self.playlist(metrics, admitted, written, format, channel.target() / 2))
    }

    /// A media playlist, when it has what is asked for (RFC 8216bis section 6.2.5.2).
    async fn media_playlist(
        &self,
        env: &Env,
        metrics: &ProtocolMetrics,
        admitted: &Admitted,
        track: TrackId,
        span: Span,
    ) -> Result<Response, Refusal> {
        let channel = &admitted.channel;
        let directives = Directives::parse(self.query)?;
        let mut edge = channel.follow(track).ok_or_else(no_track)?;
        let target = channel.target();
        let mut keep = target / 2;
        if let Some(segment) = directives.segment {
            let now = *edge.borrow();
            if !now.ended && now.is_beyond(segment, directives.part, channel.part_target()) {
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "The playlist is not that far yet."));
            }
            await_edge(env, channel, &mut edge, |edge| edge.ended || edge.shows(segment, directives.part))
                .await?;
            // The query names a state that the playlist never goes back behind (appendix B.1).
            keep = 6 * target;
        } else if !channel.has_segment(track) {
            // A player that knows whole segments only takes an empty list for the end.
            let first = *edge.borrow();
            await_edge(env, channel, &mut edge, |edge| edge.ended || edge.shows(first.segment, None)).await?;
        }
        let written = match span {
            Span::Live => {
                channel.playlist(track, directives).ok_or_else(no_track)?.with_query(&admitted.query)
            }
            Span::Rewind => {
                let written = channel.rewind_playlist(track, directives).await.ok_or_else(no_track)?;
                let query = admitted.query.clone();
                elsewhere(move || written.with_query(&query)).await?
            }
        };
        Ok(self.playlist(metrics, admitted, written, PLAYLIST, keep))
    }

    /// A key, which no cache keeps. There is none for what is far ahead.
    fn key(&self, metrics: &ProtocolMetrics, admitted: &Admitted, number: u64) -> Result<Response, Refusal> {
        let channel = &admitted.channel;
        let newest = channel.newest().unwrap_or_default();
        let key = channel.view(|_, _, terms| {
            let keys = terms.keys.as_ref()?;
            (number <= keys.number_for(newest) + 1).then(|| keys.key(number))
        });
        let key = key.ok_or_else(|| Refusal::not_found("There is no such key."))?;
        let format = HeaderValue::from_static("application/octet-stream");
        let mut response = self.whole(metrics, admitted, format, vec![Bytes::copy_from_slice(&key)])?;
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// All tracks in an answer that does not end.
    async fn endless(
        &self,
        env: &Arc<Env>,
        metrics: &ProtocolMetrics,
        peer: SocketAddr,
        extension: &str,
        format: &'static str,
    ) -> Result<Response, Refusal> {
        let target = Target::from_http(self.path, self.query, extension);
        let target = target.ok_or_else(|| Refusal::not_found("No stream has this address."))?;
        let Admitted { channel, viewer, .. } = self.admit(env, metrics, peer, target, true).await?;
        let (env, metrics) = (env.clone(), metrics.clone());
        let body = match extension {
            "ts" => {
                check_transport(&channel)?;
                Some(transport(env, metrics, channel, viewer))
            }
            _ => joined(env, metrics, channel, viewer),
        };
        let mut response = Response::new(body.ok_or_else(no_track)?);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// The media playlist of the transport stream, when it has what is asked for.
    async fn transport_playlist(
        &self,
        env: &Env,
        metrics: &ProtocolMetrics,
        admitted: &Admitted,
    ) -> Result<Response, Refusal> {
        let channel = &admitted.channel;
        check_transport(channel)?;
        let directives = Directives::parse(self.query)?;
        let target = channel.target();
        ts::want(channel, &env.shutdown, Instant::now());
        let mut rounds = channel.transport.rounds();
        let patience = tokio::time::sleep(limits::BLOCKED_TARGETS_MAX * target);
        tokio::pin!(patience);
        loop {
            rounds.mark_unchanged();
            let (newest, ended) = channel.transport.edge();
            let is_there = |newest| directives.segment.is_none_or(|wanted| newest >= wanted);
            let is_whole = channel.transport.is_whole();
            if is_whole && (ended || newest.is_some_and(is_there)) {
                break;
            }
            if is_whole && newest.zip(directives.segment).is_some_and(|(newest, wanted)| wanted > newest + 2)
            {
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "The playlist is not that far yet."));
            }
            let late = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The stream does not go on.");
            if !channel.transport.is_being_made() {
                return Err(late());
            }
            tokio::select! {
                changed = rounds.changed() => changed.map_err(|_| late())?,
                () = &mut patience => return Err(late()),
                () = channel.stopped() => return Err(late()),
                () = env.shutdown.triggered() => return Err(late()),
            }
        }
        let terms = channel.view(|_, _, terms| Terms { query: admitted.query.clone(), ..terms.clone() });
        let written = channel.transport.playlist(&terms).ok_or_else(no_track)?;
        let keep = if directives.segment.is_some() { 6 * target } else { target / 2 };
        Ok(self.playlist(metrics, admitted, written.into(), PLAYLIST, keep))
    }

    fn ends_in(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
    }

    /// A part that is there, or that comes next.
    async fn part(
        &self,
        env: &Env,
        channel: &Channel,
        track: TrackId,
        segment: u64,
        part: u32,
    ) -> Result<Bytes, Refusal> {
        let mut edge = channel.follow(track).ok_or_else(no_track)?;
        let now = *edge.borrow();
        let (next_segment, next_part) = now.next();
        let is_next = (segment, part) == (next_segment, next_part);
        if is_next && !now.ended {
            let is_decided = |edge: &Edge| edge.shows(segment, Some(part)) || edge.is_past(segment);
            await_edge(env, channel, &mut edge, is_decided).await?;
        }
        channel
            .part(track, segment, part)
            .ok_or_else(|| Refusal::no_media("This part", edge.borrow().is_ahead(segment, part)))
    }

    /// A segment: whole if it is complete, else as it grows.
    async fn segment(
        &self,
        env: &Arc<Env>,
        metrics: &ProtocolMetrics,
        admitted: &Admitted,
        track: TrackId,
        number: u64,
    ) -> Result<Response, Refusal> {
        let channel = &admitted.channel;
        let mut edge = channel.follow(track).ok_or_else(no_track)?;
        let now = *edge.borrow();
        if !now.ended && now.next() == (number, 0) {
            await_edge(env, channel, &mut edge, |edge| edge.ended || edge.shows(number, Some(0))).await?;
        }
        let is_encrypted = channel.view(|_, _, terms| terms.keys.is_some());
        if is_encrypted && !now.ended && now.next().0 == number {
            // It is encrypted as a whole.
            await_edge(env, channel, &mut edge, |edge| edge.ended || edge.shows(number, None)).await?;
        }
        let media = channel.segment(track, number, 0).filter(|media| media.closed || !is_encrypted);
        if media.is_none()
            && let Some((timeshift, entry)) = channel.shelved(track, number)
        {
            let answered = self.shelved(env, metrics, admitted, (track, number), &timeshift, &entry).await;
            // That it is lost may be known only now.
            if answered.is_ok() || channel.lost(track, number).is_none() {
                return answered;
            }
        }
        if media.is_none()
            && let Some(empty) = channel.lost(track, number)
        {
            let parts = sealed(channel, File::Segment(track, number), number, vec![empty]).await?;
            return self.whole(metrics, admitted, content_type(track), parts);
        }
        let media =
            media.ok_or_else(|| Refusal::no_media("This segment", edge.borrow().is_ahead(number, 0)))?;
        if media.closed {
            let parts = sealed(channel, File::Segment(track, number), number, media.parts).await?;
            return self.whole(metrics, admitted, content_type(track), parts);
        }
        let body = growing(env.clone(), metrics.clone(), channel.clone(), admitted.viewer, track, number);
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type(track));
        set_cache(headers, Keep::Immutable);
        Ok(response)
    }

    /// A segment that is not in memory any more, or a range of it.
    async fn shelved(
        &self,
        env: &Env,
        metrics: &ProtocolMetrics,
        admitted: &Admitted,
        (track, number): (TrackId, u64),
        timeshift: &Timeshift,
        entry: &Entry,
    ) -> Result<Response, Refusal> {
        let channel = &admitted.channel;
        let name = File::Segment(track, number);
        if let Place::Queue(parts) = entry.place() {
            let parts = sealed(channel, name, number, parts).await?;
            return self.whole(metrics, admitted, content_type(track), parts);
        }
        let gone = || Refusal::no_media("This segment", false);
        if let Some(keys) = channel.view(|_, _, terms| terms.keys.clone()) {
            // It is never closed.
            let _turn = SHELVED_SEALS.acquire().await.map_err(|_| gone())?;
            let bytes = usize::try_from(entry.bytes()).map_err(|_| gone())?;
            let clear = async { Ok(vec![timeshift::whole(timeshift, entry).await?]) };
            let part = channel.sealed.seal(&keys, name, number, bytes, clear).await.map_err(|_| gone())?;
            return self.whole(metrics, admitted, content_type(track), vec![part]);
        }
        let file = timeshift::open(timeshift, entry).await.map_err(|_| gone())?;
        let total = usize::try_from(entry.bytes()).unwrap_or(usize::MAX);
        let asked = self.headers.get(header::RANGE).and_then(|range| range.to_str().ok());
        let (first, last) = match asked.map_or(Range::Whole, |asked| range::parse(asked, total)) {
            Range::Whole => (0, total.saturating_sub(1)),
            Range::Bytes(first, last) => (first, last),
            Range::Outside => return Ok(outside(total)),
        };
        let (bytes, is_part) = (last + 1 - first, asked.is_some() && last + 1 - first < total);
        self.count(metrics, admitted, bytes);
        let (write_timeout, shutdown) = (env.config.http.write_timeout(), env.shutdown.clone());
        let pieces = timeshift::body(file, first as u64..last as u64 + 1, write_timeout, shutdown);
        let mut response = Response::new(Body::new(Fed::new(pieces)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type(track));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        set(headers, header::CONTENT_LENGTH, &bytes.to_string());
        set_cache(headers, Keep::Immutable);
        if is_part {
            set(headers, header::CONTENT_RANGE, &format!("bytes {first}-{last}/{total}"));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        Ok(response)
    }

    fn playlist(
        &self,
        metrics: &ProtocolMetrics,
        admitted: &Admitted,
        written: Bytes,
        format: &'static str,
        keep: Duration,
    ) -> Response {
        self.count(metrics, admitted, written.len());
        let mut response = Body::from(written).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format));
        set_cache(headers, Keep::For(keep));
        response
    }

    /// Media that is complete, or a range of it.
    fn whole(
        &self,
        metrics: &ProtocolMetrics,
        admitted: &Admitted,
        format: HeaderValue,
        parts: Vec<Bytes>,
    ) -> Result<Response, Refusal> {
        let total: usize = parts.iter().map(Bytes::len).sum();
        let asked = self.headers.get(header::RANGE).and_then(|range| range.to_str().ok());
        let range = asked.map_or(Range::Whole, |asked| range::parse(asked, total));
        let (status, parts) = match range {
            Range::Whole => (StatusCode::OK, parts),
            Range::Bytes(first, last) => (StatusCode::PARTIAL_CONTENT, range::slice(&parts, first, last)),
            Range::Outside => return Ok(outside(total)),
        };
        self.count(metrics, admitted, parts.iter().map(Bytes::len).sum());
        let mut response = Response::new(Body::new(Chunks::new(parts)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, format);
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Range::Bytes(first, last) = range {
            set(headers, header::CONTENT_RANGE, &format!("bytes {first}-{last}/{total}"));
        }
        set_cache(headers, Keep::Immutable);
        Ok(response)
    }

    fn count(&self, metrics: &ProtocolMetrics, admitted: &Admitted, bytes: usize) {
        count(metrics, &admitted.channel, admitted.viewer, bytes);
    }
}

/// Counts bytes for the viewer who gets them, or for nobody in particular.
pub(super) fn count(metrics: &ProtocolMetrics, channel: &Channel, viewer: ViewerKey, bytes: usize) {
    if !channel.viewers.note(viewer, bytes as u64) {
        metrics.bytes_out.inc_by(bytes as u64);
    }
}

/// Asks the policy. Returns the query that media of the channel is to be asked for with: the key or signature, where one is needed.
fn admitted_query(env: &Env, target: &Target) -> Result<String, Denied> {
    let ask =
        |key| env.policy.admit(PolicyRequest { action: Action::Play, name: &target.name, key, local: false });
    if ask(None).is_ok() {
        return Ok(String::new());
    }
    let key = target.key();
    ask(key.as_ref())?;
    Ok(presented_query(target))
}

/// The query that says again what was accepted. A key is one of the configuration, which has none that a URL would change.
fn presented_query(target: &Target) -> String {
    target.key().map(|given| signature::query_of(&given)).unwrap_or_default()
}

/// A query as it stands in XML.
fn xml(query: &str) -> String {
    query.replace('&', "&amp;")
}

/// The stream that a rung is of, for a manifest that lists both.
fn of_stream(env: &Arc<Env>, rung: &Channel, peer: SocketAddr) -> Result<Arc<Channel>, Refusal> {
    check_clear(rung)?;
    let (base, _) = env
        .transcoding
        .rung_of(&rung.name)
        .ok_or_else(|| Refusal::not_found("This stream is no smaller version of another."))?;
    let full = |error: hub::ReadError| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    env.packagers.channel(env, &base, peer).map_err(full)
}

/// The rungs that playlists and manifests list beside their stream.
fn listed_rungs(env: &Env, channel: &Channel) -> Vec<transcode::Offer> {
    let is_listed = env.config.transcode.listed && !channel.has_ended();
    let status = env.origin.stream(&channel.name).filter(|_| is_listed);
    let mut rungs = status.map_or_else(Vec::new, |status| transcode::offers(env, &status));
    rungs.retain(transcode::Offer::is_listed);
    rungs
}

/// Waits until a track has come so far, but not for longer than a server should.
async fn await_edge(
    env: &Env,
    channel: &Channel,
    edge: &mut watch::Receiver<Edge>,
    is_there: impl FnMut(&Edge) -> bool,
) -> Result<(), Refusal> {
    let late = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The stream does not go on.");
    tokio::select! {
        // What is there already is looked at first, and nothing else then.
        biased;
        waited = tokio::time::timeout(limits::BLOCKED_TARGETS_MAX * channel.target(), edge.wait_for(is_there)) => {
            waited.map_err(|_| late())?.map(|_| ()).map_err(|_| late())
        }
        () = channel.stopped() => Err(late()),
        () = env.shutdown.triggered() => Err(late()),
    }
}

/// The answer to a range that lies outside of `total` bytes.
fn outside(total: usize) -> Response {
    let mut response: Response =
        Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "The file is not that long.").into();
    set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{total}"));
    response
}

/// Whether segments are as DASH has them.
fn check_clear(channel: &Channel) -> Result<(), Refusal> {
    match channel.view(|_, _, terms| terms.keys.is_some()) {
        true => Err(Refusal::not_found("Segments are encrypted here (hls.encrypt), as only HLS has it.")),
        false => Ok(()),
    }
}

fn check_rewind(channel: &Channel) -> Result<(), Refusal> {
    match channel.can_rewind() {
        true => Ok(()),
        false => Err(Refusal::not_found(
            "Viewers cannot go back in this stream: timeshift.minutes and timeshift.streams say where they can.",
        )),
    }
}

/// `clear`, which is `file` of `segment`, encrypted where the stream is.
async fn sealed(
    channel: &Channel,
    file: File,
    segment: u64,
    clear: Vec<Bytes>,
) -> Result<Vec<Bytes>, Refusal> {
    let Some(keys) = channel.view(|_, _, terms| terms.keys.clone()) else { return Ok(clear) };
    let bytes = clear.iter().map(Bytes::len).sum();
    let sealed = channel.sealed.seal(&keys, file, segment, bytes, ready(Ok(clear))).await;
    let busy = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "The segment cannot be encrypted.");
    sealed.map(|sealed| vec![sealed]).map_err(busy)
}

/// A text of hours, copied on a thread that carries no media.
async fn elsewhere(write: impl FnOnce() -> Bytes + Send + 'static) -> Result<Bytes, Refusal> {
    let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "The list cannot be written.");
    tokio::task::spawn_blocking(write).await.map_err(failed)
}

fn check_transport(channel: &Channel) -> Result<(), Refusal> {
    match channel.view(|renditions, _, _| ts::has_form(renditions)) {
        true => Ok(()),
        false => Err(Refusal::not_found(
            "The codec of this stream has no form in MPEG-TS: play its .m3u8 instead, which is MP4.",
        )),
    }
}

fn no_track() -> Refusal {
    Refusal::not_found("The stream has no such track.")
}

/// The folder and the last part of a path of three parts.
fn folder_and_file(path: &str) -> Option<(&str, &str)> {
    let (folder, file) = path.rsplit_once('/')?;
    folder.strip_prefix('/')?.contains('/').then_some((folder, file))
}

fn content_type(track: TrackId) -> HeaderValue {
    HeaderValue::from_static(if track.kind == Kind::Audio { "audio/mp4" } else { "video/mp4" })
}

fn set_cache(headers: &mut HeaderMap, keep: Keep) {
    let text = match keep {
        Keep::Immutable => "public, max-age=3600, immutable".to_owned(),
        Keep::For(time) => format!("public, max-age={}", time.as_secs()),
    };
    set(headers, header::CACHE_CONTROL, &text);
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_publishes_has_no_sessions() {
        let config = Config::default();
        let policy = config.access.to_policy(None, None);
        let (_trigger, shutdown) = net::Shutdown::new();
        let env = Env::new(config, policy, 1, shutdown);
        let request = Request::get("/live/none.m3u8").body(Body::empty()).unwrap();
        let metrics = env.metrics.protocol("hls");
        let peer = SocketAddr::from(([192, 0, 2, 1], 5000));
        let name = crate::config::parse_channel("live/none").unwrap();
        let while_waiting = async {
            tokio::task::yield_now().await;
            assert!(env.sessions.is_empty());
            assert_eq!(env.origin.presence(&name).viewers, 1, "it is wanted all the same");
        };
        let (response, ()) = tokio::join!(respond(env.clone(), metrics, peer, request), while_waiting);
        assert!(
            response.status() == StatusCode::NOT_FOUND
                || response.status() == StatusCode::SERVICE_UNAVAILABLE
        );
        assert!(env.sessions.is_empty());
    }
}
